"""Each routing solver understands the problem: who is near, what pays, who may, and how late is worth how much."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from baselines.planning import solvers
from baselines.planning.solvers import OrTools, PyVrp, RoutingProblem, SolverMissing, Vroom

LIMIT_MS = 200.0
MAKERS = {
    "pyvrp": lambda: PyVrp(LIMIT_MS, num_iterations=200),
    "vroom": lambda: Vroom(LIMIT_MS),
    "ortools": lambda: OrTools(LIMIT_MS),
}
ALL = [
    pytest.param(
        name, marks=pytest.mark.skipif(not solvers.is_installed(name), reason=f"needs {name}: {solvers.INSTALL}")
    )
    for name in MAKERS
]
WITH_PRIZES = [ALL[0], ALL[2]]


def problem(minutes, **changes) -> RoutingProblem:
    """Drivers free at 08:00, bookings of 20 min to be picked up from 08:00 to 10:00; cost = minutes, lost = -300."""
    minutes = np.asarray(minutes, np.float64)
    size = minutes.shape[1]
    num_drivers = len(minutes) - size
    values = {
        "start_min": np.full(num_drivers, 480.0),
        "end_min": np.full(num_drivers, 900.0),
        "minutes": minutes,
        "cost": minutes.copy(),
        "driver_cost": np.zeros(num_drivers),
        "service_min": np.full(size, 20.0),
        "earliest_min": np.full(size, 480.0),
        "ends_min": np.full((size, 2), [600.0, np.nan]),
        "worths": np.full((size, 2), [0.0, np.nan]),
        "lost_worth": np.full(size, -300.0),
        "can_take": np.ones((num_drivers, size), bool),
    }
    return RoutingProblem(**{**values, **changes})


def solve(name: str, given: RoutingProblem, warm=None):
    warm = warm or [[] for _ in range(given.num_drivers)]
    solver: Any = MAKERS[name]()
    return solver.solve(given, warm, [[480.0] * len(route) for route in warm])


# Two drivers, two bookings: each stands 5 min from one and 50 from the other; 60 min between them.
CROSSED = [[50, 5], [5, 50], [0, 60], [60, 0]]


@pytest.mark.parametrize("name", ALL)
def test_everybody_goes_where_it_is_near(name):
    assert solve(name, problem(CROSSED)) == [[1], [0]]


@pytest.mark.parametrize("name", ALL)
def test_a_warm_start_that_is_poor_is_improved(name):
    assert solve(name, problem(CROSSED), warm=[[0], [1]]) == [[1], [0]]


@pytest.mark.parametrize("name", ALL)
def test_who_may_not_take_a_booking_does_not(name):
    allowed = np.array([[True, False], [True, True]])
    routes = solve(name, problem(CROSSED, can_take=allowed))
    assert 1 not in routes[0]
    assert sorted(r for route in routes for r in route) == [0, 1]


@pytest.mark.parametrize("name", ALL)
def test_a_driver_off_duty_gets_nothing(name):
    routes = solve(name, problem(CROSSED, start_min=np.array([480.0, np.inf])))
    assert routes[1] == []
    assert sorted(routes[0]) == [0, 1]  # 5 + 20 + 60 min: in time for both


@pytest.mark.parametrize("name", ALL)
def test_a_booking_that_nobody_reaches_in_time_is_left_to_nobody(name):
    # the approach takes 50 min and the window ends 10 min from now
    assert solve(name, problem([[50], [0]], ends_min=np.array([[490.0, np.nan]]))) == [[]]


@pytest.mark.parametrize("name", WITH_PRIZES)
def test_what_costs_more_than_losing_it_is_left_out(name):
    # the approach of 40 costs more than the 30 that serving brings
    assert solve(name, problem([[40], [0]], lost_worth=np.array([-30.0]))) == [[]]
    assert solve(name, problem([[40], [0]], lost_worth=np.array([-50.0]))) == [[0]]


@pytest.mark.parametrize("name", WITH_PRIZES)
def test_a_late_pickup_is_worth_less(name):
    # One driver, both 10 min away and 10 min apart. In time (until 08:15) each is worth 100, late (until 09:00)
    # b0 20 and b1 90: b0 goes first, 100 + 90 instead of 20 + 100.
    given = problem(
        [[10, 10], [0, 10], [10, 0]],
        ends_min=np.array([[495.0, 540.0], [495.0, 540.0]]),
        worths=np.array([[100.0, 20.0], [100.0, 90.0]]),
        lost_worth=np.zeros(2),
    )
    assert solve(name, given) == [[0, 1]]


@pytest.mark.parametrize("name", WITH_PRIZES)
def test_a_dear_driver_is_spared(name):
    assert solve(name, problem([[10], [12], [0]], driver_cost=np.array([5.0, 0.0]))) == [[], [0]]


def test_a_missing_solver_says_what_to_install(monkeypatch):
    monkeypatch.setattr(solvers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SolverMissing, match=r"pip install -r requirements-solvers\.txt"):
        PyVrp(10.0)
