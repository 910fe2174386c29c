"""The hindsight plan: its replay is what was planned, nobody leaves before a booking is known, no policy is better."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time

import numpy as np
import pytest

from baselines.planning import solvers
from baselines.planning.bound import BoundSearch, TooManyLabelsError, is_beyond, upper_bound
from baselines.planning.hindsight import PYVRP_SCALE, Planner, hindsight, is_from_policy
from baselines.planning.problem import make_problem
from baselines.planning.worth import worth_of
from baselines.policy import Policy
from baselines.registry import make_rules
from baselines.replanners import ReplanSearch
from envs.days.scenario import Scenario
from envs.days.travel import MatrixTravel
from envs.world.records import Leg
from evaluation.reference import make_reference
from evaluation.runner import Case, play
from evaluation.setup import generated_cases
from tests.envs.line import DEG_PER_KM, booking, driver, line_day

OPERATING_DAY = Scenario.load("operating_day", plan_improvement=False)
SHORT_SHIFT = Scenario.load("short_shift")
ITERATIONS = 200


def planner_of(bookings, drivers) -> Planner:
    return Planner(line_day(bookings, drivers), OPERATING_DAY, None, "cost")


def random_day(seed: int, size: int = 7):
    rng = np.random.default_rng(seed)
    bookings = []
    for i in range(size):
        start = float(rng.integers(490, 640))
        release = float(rng.integers(480, int(start) + 1))
        bookings.append(booking(f"b{i}", tuple(rng.uniform(0, 15, 2)), (start, start + 20.0), release=release))
    return bookings, [driver("d0", 0), driver("d1", 10)]


@pytest.mark.parametrize("seed", range(4))
def test_where_travel_is_constant_the_replay_comes_to_what_was_planned(seed):
    planner = planner_of(*random_day(seed))
    routes = planner.search([], ITERATIONS, 0)
    value, driven = planner.replay(routes)
    assert value == pytest.approx(-worth_of(planner.load(routes)))
    assert driven[: len(routes)] == routes  # the scenario has room for more drivers


def test_nobody_leaves_before_a_booking_is_known():
    # Known at 08:20 (a tick), wanted until 08:30, 12 min away: can't be reached though hindsight knows of it.
    planner = planner_of([booking("b0", (21, 22), (480, 510), release=500)], [driver("d0", 0)])
    # 21 km = 42 min: 08:20 + 42 = 09:02, 32 min after 08:30, and 30 are allowed; leaving at 08:00 would have done
    assert hindsight(planner, num_iterations=ITERATIONS, cache=None).value == pytest.approx(300.0)
    known = planner_of([booking("b0", (21, 22), (480, 510), release=480)], [driver("d0", 0)])
    assert hindsight(known, num_iterations=ITERATIONS, cache=None).value == pytest.approx(42.0)


def test_a_plan_is_kept_and_found_again(tmp_path):
    bookings, drivers = random_day(1)
    first = hindsight(planner_of(bookings, drivers), num_iterations=ITERATIONS, cache=tmp_path)
    (path,) = tmp_path.glob("*.json")
    written = path.stat().st_mtime_ns
    again = hindsight(planner_of(bookings, drivers), num_iterations=ITERATIONS, cache=tmp_path)
    assert (again.value, again.routes) == (first.value, first.routes)
    assert path.stat().st_mtime_ns == written  # nothing new: nothing was searched or written
    # Another fleet is another day.
    hindsight(planner_of(bookings, drivers[:1]), num_iterations=ITERATIONS, cache=tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 2


def planner_with(**changes) -> Planner:
    """Of a day that is ordinary but for what is changed of a booking (b_), a driver (d_), the day or the judgement."""
    of_booking = {name[2:]: value for name, value in changes.items() if name.startswith("b_")}
    of_driver = {name[2:]: value for name, value in changes.items() if name.startswith("d_")}
    one = booking("b1", changes.get("way", (4, 9)), changes.get("window", (560, 580)), changes.get("release", 500.0))
    bookings = [booking("b0", (1, 2), (500, 520)), dataclasses.replace(one, **of_booking)]
    drivers = [driver("d0", changes.get("start", 0), changes.get("shift", (480.0, 900.0)), **of_driver)]
    drivers += [driver("d1", 3)] * changes.get("second", 0)
    times, speeds = changes.get("times", (480.0, 720.0)), changes.get("speeds", (30.0,) * 24)
    scenario = Scenario.load("operating_day", plan_improvement=False, **changes.get("rules", {}))
    day = line_day(bookings, drivers, times[0], times[1], speeds)
    if "minutes" in changes:
        places = [(0.0, km * DEG_PER_KM) for km in (0, 1, 2, 4, 9)]
        day = dataclasses.replace(day, travel=MatrixTravel(places, changes["minutes"], changes.get("km")))
    objective, reward = changes.get("objective", "reward"), changes.get("reward", "v3")
    return Planner(day, scenario, reward, objective, changes.get("num_unservable", 0))


FIVE_MIN = 5.0 * (1.0 - np.eye(5))  # [min] from each place to each other
OTHER_WAY = FIVE_MIN + np.outer(np.eye(5)[2], np.eye(5)[3])  # from 2 km to 4 km, where b0 ends and b1 begins
CHANGES = {
    "nothing": {},
    "known later": {"release": 530.0},
    "earlier window": {"window": (550, 580)},
    "longer window": {"window": (560, 590)},
    "other pickup": {"way": (5, 9)},
    "other drop-off": {"way": (4, 8)},
    "priority": {"b_priority": 5},
    "leg": {"b_leg": Leg.RETURN},
    "wheelchair": {"b_is_wheelchair": True},
    "service at the pickup": {"b_pickup_service_min": 30.0},
    "service at the drop-off": {"b_dropoff_service_min": 30.0},
    "appointment": {"b_appointment_min": 600.0},
    "start place": {"start": 1},
    "shift begins later": {"shift": (490.0, 900.0)},
    "shift ends earlier": {"shift": (480.0, 800.0)},
    "break": {"d_break_start_min": 560.0, "d_break_end_min": 600.0},
    "longer break": {"d_break_start_min": 560.0, "d_break_end_min": 620.0},
    "emergency driver": {"d_is_emergency": True},
    "no wheelchair": {"d_can_wheelchair": False},
    "one more driver": {"second": 1},
    "opens earlier": {"times": (420.0, 720.0)},
    "closes later": {"times": (480.0, 780.0)},
    "speed of an hour": {"speeds": (*(30.0,) * 9, 40.0, *(30.0,) * 14)},
    "table of minutes": {"minutes": FIVE_MIN},
    "approach of the table": {"minutes": OTHER_WAY},
    "kilometres of the table": {"minutes": FIVE_MIN, "km": OTHER_WAY},
    "lateness allowed": {"rules": {"max_lateness_min": 0.0}},
    "expiry": {"rules": {"expiry_tolerance_min": 10.0}},
    "tick": {"rules": {"tick_min": 10.0}},
    "one decision per tick": {"rules": {"decisions_per_tick": 1}},
    "another reward": {"reward": "v2"},
    "cost": {"objective": "cost", "reward": None},
    "cost with lateness": {"objective": "cost_with_lateness", "reward": None},
    "not counted": {"objective": "cost", "reward": None, "num_unservable": 1},
}


def test_a_plan_of_another_day_or_judgement_is_not_taken_for_this_one():
    digests = {name: planner_with(**changes).digest() for name, changes in CHANGES.items()}
    alike = [(a, b) for a, b in itertools.combinations(digests, 2) if digests[a] == digests[b]]
    assert not alike
    assert planner_with().digest() == digests["nothing"]


@pytest.mark.parametrize("change", ["service at the pickup", "break", "approach of the table"])
def test_with_plans_kept_the_value_is_that_of_the_day_itself(change, tmp_path):
    ordinary = {"minutes": FIVE_MIN} if "table" in change else {}
    judged = {"objective": "cost", "reward": None}
    hindsight(planner_with(**ordinary, **judged), num_iterations=ITERATIONS, cache=tmp_path)
    kept, new = (
        hindsight(planner_with(**CHANGES[change], **judged), num_iterations=ITERATIONS, cache=cache)
        for cache in (tmp_path, None)
    )
    assert kept.value == new.value


def test_a_trip_that_a_break_makes_too_late_is_lost_whatever_the_plan_says():
    # The break lasts from 08:00 to 09:00; b0 may be picked up until 08:10, and 30 min late, so it is lost: 300.
    # The driver stands where b1 begins: nothing
    bookings = [booking("b0", (0, 1), (480, 490)), booking("b1", (0, 1), (570, 600))]
    planner = planner_of(bookings, [driver("d0", 0, break_start_min=480.0, break_end_min=540.0)])
    value, driven = planner.replay([[0, 1]])
    assert value == pytest.approx(300.0)
    assert driven[0] == [1]


def test_a_better_plan_of_a_policy_is_taken_over(tmp_path):
    bookings, drivers = random_day(2)
    planner = planner_of(bookings, drivers)
    best = hindsight(planner, num_iterations=2_000, cache=None)
    (tmp_path / f"{planner.digest()}.json").write_text(
        '{"value": 5000.0, "routes": [[], []], "origin": "search", "num_iterations": 2000, "bound": null}'
    )
    found = hindsight(planner, [("rule", best.value, best.routes)], num_iterations=2_000, cache=tmp_path)
    assert found.value <= best.value + 1e-9
    assert found.origin.startswith("rule")


def test_the_search_starts_from_each_online_plan_once(monkeypatch):
    planner = planner_of(*random_day(2))
    here, there = [[0], [1], [], []], [[1], [0], [], []]
    online = [("far", 900.0, here), ("near", 800.0, there), ("same", 850.0, here)]
    asked = []
    search = planner.search

    def watched(routes, num_iterations, seed):
        asked.append((routes, num_iterations))
        return search(routes, num_iterations, seed)

    monkeypatch.setattr(planner, "search", watched)
    monkeypatch.setattr(solvers, "is_installed", lambda name: False)
    hindsight(planner, online, num_iterations=ITERATIONS, cache=None)
    # from nothing; from the best online plan as long; from the other one, which two of them played, a tenth of 200
    assert asked == [([], ITERATIONS), (there, ITERATIONS), (here, 20)]


def test_a_second_solver_polishes_what_was_found(monkeypatch):
    pytest.importorskip("pyvrp")
    bookings, drivers = random_day(3)
    planner = planner_of(bookings, drivers)
    best = hindsight(planner, num_iterations=2_000, cache=None)
    monkeypatch.setattr(planner, "search", lambda routes, num_iterations, seed: [[0], [1], [], []])
    found = hindsight(planner, num_iterations=2_000, cache=None)
    assert found.value == pytest.approx(best.value)
    assert found.origin.endswith("pyvrp")
    polished = planner.polish([[0], [1], [], []], solvers.PyVrp(0.0, 0, 500))
    assert planner.replay(polished)[0] == pytest.approx(best.value)


def test_a_plan_without_slack_is_not_rounded_away():
    pytest.importorskip("pyvrp")
    # 1.234 km take 2.468 min; the window closes half a thousandth of a minute after that, and nobody may be late. In
    # hundredths the way takes 2.47, until 482.47, and the window ends at 482.46.
    scenario = Scenario.load("operating_day", plan_improvement=False, max_lateness_min=0.0)
    day = line_day([booking("b0", (1.234, 2), (480, 482.4685))], [driver("d0", 0)])
    problem = make_problem(Planner(day, scenario, None, "cost").new_plan())
    assert solvers.PyVrp(0.0, 0, 50).solve(problem, [[]], [[]]) == [[]]
    assert solvers.PyVrp(0.0, 0, 50, PYVRP_SCALE).solve(problem, [[]], [[]]) == [[0]]


def test_a_played_plan_that_no_search_finds_becomes_the_plan(monkeypatch, tmp_path):
    # Both searches are blind here: each leaves everybody at home.
    bookings, drivers = random_day(2)
    case = Case(line_day(bookings, drivers), "line", "line")
    rule = make_rules(["cheapest_insertion_at_release"])[0]
    played = [play(rule, [case], OPERATING_DAY, None, measure_latency=False)]
    monkeypatch.setattr(Planner, "search", lambda *_: [[], [], [], []])
    monkeypatch.setattr(Planner, "polish", lambda *_: [[], [], [], []])
    first = make_reference([case], [], OPERATING_DAY, None, "cost", ITERATIONS, cache=tmp_path)
    assert first.values[0] == pytest.approx(300.0 * len(bookings))
    for _ in range(2):  # and stays it
        reference = make_reference([case], played, OPERATING_DAY, None, "cost", ITERATIONS, cache=tmp_path)
        assert reference.values[0] == pytest.approx(played[0].kpis["cost"][0])
        assert reference.values[0] < first.values[0]
        assert reference.from_policies == 1


def test_a_policy_named_after_a_search_is_a_policy():
    assert is_from_policy("replan_search") and is_from_policy("replan_pyvrp")
    searched = ("search", "pyvrp", "pyvrp and search", "replan_search and search and pyvrp", "search by columns")
    assert not any(map(is_from_policy, searched))


def test_a_booking_that_is_driven_last_may_have_to_be_given_away_first():
    # d0 takes b0 at 08:00 and is free at 08:46: 3 min at each end, 40 for 20 km. b2, from where he is then, must be
    # given away by 08:40; b1, known at 08:43 (at the tick 08:45), can't be picked up 30 min late if b2 goes ahead, as
    # that takes 3 + 60 + 3. Both in this order: b1 from 08:46 to 08:52, b2 at 08:52, 12 min late. No deadhead at all.
    bookings = [
        booking("b0", (0, 20), (480, 490)),
        booking("b1", (20, 20), (523, 526), release=523.0),
        booking("b2", (20, 50), (510, 520)),
    ]
    planner = planner_of(bookings, [driver("d0", 0)])
    rows = {"b0": 0, "b2": 1, "b1": 2}  # by release
    value, driven = planner.replay([[rows["b0"], rows["b1"], rows["b2"]]])
    assert value == pytest.approx(0.0)
    assert driven[0] == [0, 2, 1]


FAST_FROM_NINE = tuple(10.0 if hour == 8 else 60.0 for hour in range(24))


class Patient(Policy):
    """Gives the only booking away at nine."""

    name, description = "patient", "gives the only booking away at 09:00"

    def act(self, batch, payer=None):
        slots = np.flatnonzero(batch.world.slots[0] == 0)
        is_time = batch.world.clocks["now_min"][0] >= 540.0 and len(slots)
        return np.array([1 + int(slots[0]) if is_time else 0], np.int64)


@pytest.mark.parametrize("objective", ["cost", "cost_with_lateness"])
def test_who_waits_for_a_faster_hour_drives_for_less(objective):
    # 10 km at 10 km/h take an hour from 08:00 on, at 60 km/h ten minutes from 09:00 on; the window closes at 09:50
    day = line_day([booking("b0", (10, 12), (480, 590))], [driver("d0", 0)], speeds_kmh=FAST_FROM_NINE)
    waited = play(Patient(), [Case(day, "line", "line")], OPERATING_DAY, None, measure_latency=False)
    assert waited.kpis["cost"][0] == pytest.approx(10.0)
    planner = Planner(day, OPERATING_DAY, None, objective)
    bound, _ = upper_bound(planner, [[0]], 5.0)
    assert bound == pytest.approx(10.0)
    assert hindsight(planner, num_iterations=ITERATIONS, cache=None).value == pytest.approx(10.0)


def test_waiting_stops_where_lateness_costs_more_than_it_saves():
    # The window closes at 08:40 and lateness costs 5 a minute. Until 09:00 the 5 km take 6 min each, 30 min: leaving by
    # 08:10 is in time. Leaving at 08:35 saves 4 min on the 5/6 km that are left at 09:00, but is 21 min late, for 104.
    # So 30, and 30 is the bound.
    day = line_day([booking("b0", (5, 12), (480, 520))], [driver("d0", 0)], speeds_kmh=FAST_FROM_NINE)
    planner = Planner(day, OPERATING_DAY, None, "cost_with_lateness")
    assert hindsight(planner, num_iterations=ITERATIONS, cache=None).value == pytest.approx(30.0)
    assert upper_bound(planner, [[0]], 5.0)[0] == pytest.approx(30.0)
    # Where it costs nothing the driver leaves at the last tick before the booking expires, 08:40: 3 1/3 km by 09:00,
    # and 1 2/3 km in as many minutes. Pickup 09:01:40, 21 2/3 min late.
    free = Planner(day, OPERATING_DAY, None, "cost")
    assert hindsight(free, num_iterations=ITERATIONS, cache=None).value == pytest.approx(65.0 / 3.0)
    # The bound lets him be idle with the booking in his plan, and allows 30 min late: 09:10 less 5 min from 09:05 on.
    assert upper_bound(free, [[0]], 5.0)[0] == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("scenario", "reward", "objective"), [(SHORT_SHIFT, "v2", "reward"), (OPERATING_DAY, "v3", "reward")]
)
def test_no_policy_is_better_than_hindsight_and_nothing_better_than_the_bound(scenario, reward, objective, tmp_path):
    cases = generated_cases(1_000_000, 2, scenario)
    played = [play(ReplanSearch(2.0), cases, scenario, reward, measure_latency=False)]
    reference = make_reference(cases, played, scenario, reward, objective, ITERATIONS, 10.0, tmp_path)
    assert np.all(played[0].reward <= reference.values + 1e-6)
    assert not any(is_beyond(v, b, objective) for v, b in zip(reference.values, reference.bounds, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_on_a_small_day_the_bound_is_reached(seed):
    # With few bookings and two drivers the relaxation has whole solutions, nearly always.
    planner = planner_of(*random_day(seed, size=5))
    found = hindsight(planner, num_iterations=2_000, cache=None)
    bound, routes = upper_bound(planner, found.routes, seconds=10.0)
    assert bound <= found.value + 1e-6
    assert bound == pytest.approx(found.value, abs=20.0)
    assert planner.replay(routes)[0] >= bound - 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_with_many_bookings_subgradients_lead_to_the_same_bound(seed, monkeypatch):
    planner = planner_of(*random_day(seed, size=9))
    found = hindsight(planner, num_iterations=2_000, cache=None)
    by_master, _ = upper_bound(planner, found.routes, seconds=10.0)
    monkeypatch.setattr("baselines.planning.bound.MANY_BOOKINGS", 0)
    bound, _ = upper_bound(planner, found.routes, seconds=2.0)
    assert bound == pytest.approx(by_master, abs=0.05)
    # Subgradients alone: true as well, and not far off
    search = BoundSearch(planner)
    search.add_routes(found.routes)
    value, duals, _ = search._master()
    best, _ = search._descend(duals[: len(search.limit_of)] * 0.0, value, time.monotonic() + 2.0)
    alone = search._to_objective(best + search.lost)
    # all lost costs 9 x 300 = 2700; a bound within 5 % of that
    assert by_master - 135.0 <= alone <= found.value + 1e-6


def test_what_subgradients_proved_stays_when_a_pricing_runs_out_of_room(monkeypatch):
    planner = planner_of(*random_day(0, size=9))
    search = BoundSearch(planner)
    price = search._price

    def price_some(*args):
        if search.num_rounds >= 5:
            raise TooManyLabelsError
        return price(*args)

    monkeypatch.setattr("baselines.planning.bound.MANY_BOOKINGS", 0)
    monkeypatch.setattr(search, "_price", price_some)
    assert np.isfinite(search.run(5.0))
    assert search.num_rounds == 5


def test_the_master_forgets_columns_that_are_worth_little(monkeypatch):
    # 4 columns a booking: (9 + 1) x 4 = 40 are kept when there are more than 80; the bound stays what it is
    planner = planner_of(*random_day(0, size=9))
    found = hindsight(planner, num_iterations=2_000, cache=None)
    of_all, _ = upper_bound(planner, found.routes, seconds=10.0)
    monkeypatch.setattr("baselines.planning.bound.COLUMNS_A_BOOKING", 4)
    search = BoundSearch(planner)
    search.add_routes(found.routes)
    assert search.run(10.0) == pytest.approx(of_all, abs=0.05)
    search._forget(np.zeros(len(search.columns)))  # few: all stay
    before = len(search.columns)
    worths = np.arange(100.0)
    for i in range(100 - before):
        search._add(0, 0.0, (i % 9, i))
    search._forget(worths)
    assert len(search.columns) == 41  # and the driver who stays at home
    assert search.columns[0] == (0, 0.0, ())
    assert len(search._known) == 40


def test_a_bound_knows_that_a_tick_has_one_decision():
    # Three bookings known at 08:00 that must be assigned by 08:04, before the next tick: two of them are lost.
    bookings = [booking(f"b{i}", (i, i + 1), (480, 484)) for i in range(3)]
    day = line_day(bookings, [driver(f"d{n}", n) for n in range(3)])
    scenario = Scenario.load("short_shift")
    planner = Planner(day, scenario, None, "cost")
    # one tick until 08:00, two until 08:05: three bookings are too many for either
    assert BoundSearch(planner).room.tolist() == [1.0, 2.0]
    found = hindsight(planner, num_iterations=ITERATIONS, cache=None)
    # everybody stands at a pickup: no deadhead, 2 x 300 lost
    assert found.value == pytest.approx(600.0)
    assert upper_bound(planner, found.routes)[0] == pytest.approx(600.0)


def test_a_bound_is_looked_for_again_when_given_longer(tmp_path):
    day = line_day(*random_day(0))
    case = Case(day, "line", "line")

    def bound(seconds):
        return make_reference([case], [], OPERATING_DAY, None, "cost", ITERATIONS, seconds, tmp_path).bounds[0]

    longest = bound(2.0)
    (path,) = tmp_path.glob("*.json")
    kept = json.loads(path.read_text())
    assert (kept["bound"], kept["bound_seconds"]) == (longest, 2.0)
    # A worse bound found in a shorter time is improved, but not when less time is given than before
    path.write_text(json.dumps({**kept, "bound": longest - 500.0, "bound_seconds": 1.0}))
    assert bound(0.5) == longest - 500.0
    # as long as before finds about what it found before: on a busy machine not quite as many rounds
    assert bound(2.0) == pytest.approx(longest, abs=10.0)


def test_the_case_says_what_no_shift_can_serve():
    # b1 is out of reach of the only shift: lost, but not in the cost, nor in the bound
    bookings = [booking("b0", (2, 3), (500, 520)), booking("b1", (60, 61), (480, 485))]
    day = line_day(bookings, [driver("d0", 0)])
    case = Case(day, "line", "line", num_unservable=1)
    reference = make_reference([case], [], OPERATING_DAY, None, "cost", ITERATIONS, 5.0, None)
    assert reference.values[0] == pytest.approx(4.0)
    assert reference.bounds[0] == pytest.approx(4.0)
