"""When trips happen, and what one more trip changes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from envs.simulator import Simulator
from envs.world.orders import default_rules
from envs.world.plans import evaluate_insertion, plan_cost, project_insertion
from envs.world.travel import arrival, departure
from tests.envs.line import booking, driver, line_day


def rules(**changes: float) -> np.ndarray:
    record = default_rules()
    for name, value in changes.items():
        record[name] = value
    return record


def test_driver_arriving_after_window_is_late():
    simulator = Simulator(line_day([booking("b0", (10, 20), (480, 495))], [driver("d0", 0)]))
    outcome = simulator.assign("d0", "b0")
    # d0 at km 0, pickup at km 10, 2 min a km: 08:00 + 20 min = 08:20; the window closes 08:15
    assert outcome.pickup_min == pytest.approx(500)
    assert outcome.lateness_min == pytest.approx(5)
    assert outcome.deadhead_km == pytest.approx(10)


def test_early_driver_leaves_so_as_to_arrive_at_earliest_pickup():
    simulator = Simulator(line_day([booking("b0", (10, 20), (540, 560))], [driver("d0", 0)]))
    simulator.assign("d0", "b0")
    record = simulator.world.bookings[0, 0]
    # 20 min of driving before 09:00: leaves 08:40; 3 min service, 20 min ride, 3 min service: free 09:26
    assert record["depart_min"] == pytest.approx(520)
    assert record["pickup_min"] == 540
    assert record["dropoff_min"] == pytest.approx(566)


def test_append_goes_to_the_end_and_insert_to_the_cheapest_place():
    bookings = [
        booking("b0", (0, 1), (480, 500)),
        booking("b1", (10, 11), (600, 620)),
        booking("b2", (1, 2), (500, 620)),
    ]
    day = line_day(bookings, [driver("d0", 0)])
    for inserts, position, deadhead_km in ((0, 2, 10.0), (1, 1, 0.0)):
        simulator = Simulator(day, rules(inserts=inserts, max_lateness_min=60))
        simulator.assign("d0", "b0")
        simulator.assign("d0", "b1")
        outcome = simulator.assign("d0", "b2")
        # appended: from km 11 back to km 1; inserted after b0, which ends at km 1: nothing to drive
        assert outcome.position == position
        assert outcome.deadhead_km == pytest.approx(deadhead_km)


def test_evaluated_insertion_is_what_inserting_then_changes():
    bookings = [
        booking("b0", (5, 8), (490, 520)),
        booking("b1", (3, 9), (520, 540)),
        booking("b2", (2, 4), (560, 570)),
        booking("b3", (7, 1), (500, 560)),
    ]
    day = line_day(bookings, [driver("d0", 0)])
    for position in range(4):
        simulator = Simulator(day, rules(max_lateness_min=200))
        for booking_id in ("b0", "b1", "b2"):
            simulator.assign("d0", booking_id)
        world = simulator.world
        plan = world.plans[0, 0, :3].copy()
        before_cost = plan_cost(world, 0, 0)
        before_km = world.bookings["approach_km"][0, plan].sum()
        _, pickup, approach, added_km, driving, lateness, _ = evaluate_insertion(world, 0, 0, 3, position)
        predicted_pickups, predicted_km = np.zeros(16), np.zeros(16)
        project_insertion(world, 0, 0, 3, position, predicted_pickups, predicted_km)
        simulator.assign("d0", "b3", position)
        plan = world.plans[0, 0, :4]
        assert plan_cost(world, 0, 0) - before_cost == pytest.approx(driving + lateness)
        assert world.bookings["approach_km"][0, plan].sum() - before_km == pytest.approx(added_km)
        assert world.bookings["pickup_min"][0, 3] == pytest.approx(pickup)
        assert world.bookings["approach_km"][0, 3] == pytest.approx(approach)
        assert world.bookings["pickup_min"][0, plan] == pytest.approx(predicted_pickups[:4])
        assert world.bookings["approach_km"][0, plan] == pytest.approx(predicted_km[:4])


def test_insertion_that_would_make_a_later_trip_too_late_is_infeasible():
    bookings = [booking("b0", (10, 11), (480, 500)), booking("b1", (0, 20), (480, 500))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rules(max_lateness_min=30))
    simulator.assign("d0", "b0")
    # b1 first: 3 + 40 + 3 min, then 20 min back to km 10: b0 would be picked up 09:06, 46 min after 08:20
    with pytest.raises(ValueError, match="more than 30 min late"):
        simulator.assign("d0", "b1", position=0)
    assert simulator.world.drivers["plan_len"][0, 0] == 1


def test_trip_must_end_within_the_shift():
    day = line_day([booking("b0", (0, 10), (480, 500))], [driver("d0", 0, (480, 505)), driver("d1", 0, (480, 506))])
    # 3 + 20 + 3 min of trip: free 08:26, one minute after the shift of d0
    with pytest.raises(ValueError, match="end after the shift"):
        Simulator(day).assign("d0", "b0")
    assert Simulator(day).assign("d1", "b0").lateness_min == 0


def test_trip_that_would_overlap_the_break_starts_after_it():
    pausing = driver("d0", 0, break_start_min=490.0, break_end_min=520.0)
    simulator = Simulator(line_day([booking("b0", (0, 10), (480, 500))], [pausing]))
    # 08:00-08:26 would run into the break at 08:10, so the pickup is 08:40, 20 min late
    assert simulator.assign("d0", "b0").lateness_min == pytest.approx(20)


def test_wheelchair_needs_a_wheelchair_vehicle():
    day = line_day(
        [booking("b0", (0, 1), (480, 500), is_wheelchair=True)],
        [driver("d0", 0, can_wheelchair=False), driver("d1", 9)],
    )
    with pytest.raises(ValueError, match="no wheelchair place"):
        Simulator(day).assign("d0", "b0")
    assert Simulator(day).assign("d1", "b0").deadhead_km == pytest.approx(9)


def test_plan_is_full_at_max_trips_with_the_trip_under_way_counted():
    bookings = [booking(f"b{i}", (0, 10), (480, 700)) for i in range(3)]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rules(max_trips=2, max_lateness_min=100))
    simulator.assign("d0", "b0")
    simulator.advance()
    simulator.assign("d0", "b1")
    with pytest.raises(ValueError, match="plan full"):
        simulator.assign("d0", "b2")


def test_assigning_twice_says_how_the_booking_stands():
    simulator = Simulator(line_day([booking("b0", (0, 1), (480, 500))], [driver("d0", 0)]))
    simulator.assign("d0", "b0")
    with pytest.raises(ValueError, match="booking 'b0': is planned"):
        simulator.assign("d0", "b0")


def test_unassign_is_off_by_default_and_counted_when_on():
    day = line_day([booking("b0", (0, 1), (600, 620))], [driver("d0", 0)])
    simulator = Simulator(day)
    simulator.assign("d0", "b0")
    with pytest.raises(ValueError, match="unassign is off"):
        simulator.unassign("b0")
    simulator = Simulator(day, allows_unassign=True)
    simulator.assign("d0", "b0")
    simulator.unassign("b0")
    assert simulator.world.clocks["num_unassigned"][0] == 1
    assert simulator.assign("d0", "b0").position == 0


@pytest.mark.parametrize("work", [0.0, 3.0, 25.0, 80.0])
def test_departure_is_arrival_run_backwards(work):
    speeds = np.array([0.3 + 0.02 * (hour * 7 % 11) for hour in range(24)])
    for arrive in (0.0, 61.0, 480.0, 539.5, 1500.0):
        assert arrival(speeds, departure(speeds, arrive, work), work) == pytest.approx(arrive, abs=1e-9)


def test_speed_is_integrated_across_the_hour():
    speeds = np.full(24, 0.5)
    speeds[9] = 0.25
    # 08:50, 10 km: 10 min at 0.5 km/min = 5 km by 09:00, the other 5 km at 0.25 take 20 min
    assert arrival(speeds, 530.0, 10.0) == pytest.approx(560.0)


def test_leaving_later_never_arrives_earlier():
    speeds = np.full(24, 0.2)
    speeds[9] = 1.0
    arrivals = [arrival(speeds, 480.0 + minute, 14.0) for minute in range(120)]
    assert all(later >= earlier for earlier, later in itertools.pairwise(arrivals))
