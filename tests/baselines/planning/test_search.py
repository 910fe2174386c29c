"""Plans beside the simulator: their worth, what an insertion adds, and a search that never makes them worse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.planning.plan import Plan, insert_missing, load, make_objective, make_plan, routes_of
from baselines.planning.search import make_search, ruin_and_recreate
from baselines.planning.worth import decide_ticks, worth_of
from envs.simulator import Simulator
from envs.world.orders import default_rules
from reward.weights import WEIGHTS_DTYPE
from tests.envs.line import booking, driver, line_day

NO_WEIGHTS = np.zeros(1, WEIGHTS_DTYPE)
COST = make_objective("cost", None)


def begun(simulator: Simulator, objective: np.ndarray = COST, ready_min: float = -np.inf) -> Plan:
    """An empty plan at the simulator's time for all bookings of the only row."""
    rows = np.arange(simulator.world.bookings.shape[1])
    ready_min = max(ready_min, float(simulator.world.clocks["now_min"][0]))
    return make_plan(simulator.world, 0, objective, NO_WEIGHTS, rows, ready_min)


def test_the_worth_is_minus_deadhead_minutes_and_lost_bookings():
    bookings = [
        booking("b0", (10, 11), (540, 570)),
        booking("b1", (12, 20), (560, 600)),
        booking("b2", (0, 1), (540, 541)),
    ]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]))
    plan = begun(simulator)
    load(plan, [[0, 1]])
    # approach 0 -> 10 km: 20 min; drop-off at 11 -> 12 km: 2 min; b2 left out: 300
    assert worth_of(plan) == pytest.approx(-322)


def test_trips_that_can_not_be_or_do_not_pay_are_left_out():
    # b0: too far to be there in time (60 km = 120 min); b1 needs a wheelchair place; b2: 40 km = 80 min, saves 300
    bookings = [
        booking("b0", (60, 61), (540, 550)),
        booking("b1", (1, 2), (540, 600), is_wheelchair=True),
        booking("b2", (40, 41), (560, 620)),
    ]
    simulator = Simulator(line_day(bookings, [driver("d0", 0, can_wheelchair=False)]))
    plan = begun(simulator)
    load(plan, [[0, 1, 2]])
    assert routes_of(plan) == [[2]]
    cheap = COST.copy()
    cheap["lost"] = 79.0  # less than the 80 min of approach
    plan = begun(simulator, cheap)
    load(plan, [[2]])
    assert routes_of(plan) == [[]]


def test_a_driver_who_dropped_out_takes_no_trips():
    simulator = Simulator(line_day([booking("b0", (1, 2), (540, 600))], [driver("d0", 0), driver("d1", 9)]))
    simulator.world.drivers["is_out"][0, 0] = 1
    plan = begun(simulator)
    load(plan, [[0], []])  # held before d0 dropped out
    assert routes_of(plan) == [[], []]
    insert_missing(plan)
    assert routes_of(plan) == [[], [0]]
    assert worth_of(plan) == pytest.approx(-16)  # d1 drives 9 -> 1 km: 16 min


def test_a_trip_waits_until_its_booking_is_ready():
    simulator = Simulator(line_day([booking("b0", (10, 11), (490, 600))], [driver("d0", 0)]))
    plan = begun(simulator, ready_min=520.0)
    load(plan, [[0]])
    assert plan.trips["depart_min"] == pytest.approx([520])  # not at 480, though the window opens at 490
    assert plan.trips["pickup_min"] == pytest.approx([540])


def test_a_trip_that_would_overlap_the_break_begins_after_it():
    # 20 min to km 10 for 08:30 would end at 08:35 + 6 min of service, in the break from 08:30 to 09:00
    pausing = driver("d0", 0, break_start_min=510.0, break_end_min=540.0)
    simulator = Simulator(line_day([booking("b0", (10, 11), (510, 570))], [pausing]))
    plan = begun(simulator)
    load(plan, [[0]])
    assert plan.trips["depart_min"] == pytest.approx([540])
    assert plan.trips["pickup_min"] == pytest.approx([560])


def draw_day(data: st.DataObject) -> Simulator:
    km = st.floats(0, 30)
    bookings = [
        booking(f"b{i}", (data.draw(km), data.draw(km)), (start, start + data.draw(st.integers(0, 60))))
        for i, start in enumerate(data.draw(st.lists(st.integers(480, 640), min_size=1, max_size=9)))
    ]
    return Simulator(line_day(bookings, [driver(f"d{n}", data.draw(km)) for n in range(2)]), default_rules())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_searching_never_costs_and_gives_nobody_two_places(data):
    simulator = draw_day(data)
    plan, again = begun(simulator), begun(simulator)
    insert_missing(plan)
    before = worth_of(plan)
    found = -ruin_and_recreate(plan, make_search(50), 1)
    assert found >= before - 1e-9
    planned = [k for route in routes_of(plan) for k in route]
    assert len(planned) == len(set(planned))
    # What it says is what the trips are worth when they are scheduled anew.
    load(again, routes_of(plan))
    assert worth_of(again) == pytest.approx(found)


def test_with_one_decision_per_tick_the_second_of_two_trips_begins_a_tick_later():
    rules = default_rules()
    rules["decisions_per_tick"] = 1
    bookings = [booking("b0", (1, 2), (480, 500)), booking("b1", (11, 12), (480, 510))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0), driver("d1", 10)]), rules)
    objective = COST.copy()
    objective["one_decision_per_tick"], objective["late_min"] = 1, 0.0
    plan = begun(simulator, objective)
    load(plan, [[0], [1]])
    ticks = np.zeros(plan.stops.shape, np.int64)
    decide_ticks(plan, ticks)
    # both are due at 08:00; the first gets that tick, the other one the next (and still its window)
    assert [ticks[0, 0], ticks[1, 0]] == [0, 1]
