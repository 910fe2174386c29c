"""Plan improvement saves without ever losing a trip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.days.day import Booking, Driver
from envs.simulator import Simulator
from envs.world.improvement import improve_plans
from envs.world.orders import default_rules
from envs.world.plans import plan_cost, project_plan
from envs.world.records import NO_DRIVER, BookingState
from envs.world.ruin_recreate import early_weight, sketch_of
from tests.envs.line import booking, driver, line_day


def drawn_day(data: st.DataObject, num_drivers: int, longest_window: int) -> tuple[list[Booking], list[Driver]]:
    size, km = data.draw(st.integers(1, 14)), st.floats(0, 30)
    bookings = [
        booking(f"b{i}", (data.draw(km), data.draw(km)), (start, start + data.draw(st.integers(0, longest_window))))
        for i, start in enumerate(data.draw(st.lists(st.integers(480, 640), min_size=size, max_size=size)))
    ]
    return bookings, [driver(f"d{n}", data.draw(km)) for n in range(num_drivers)]


def total_cost(simulator: Simulator) -> float:
    return sum(plan_cost(simulator.world, 0, n) for n in range(simulator.world.clocks["num_drivers"][0]))


def planned(simulator: Simulator) -> list[int]:
    lengths = simulator.world.drivers["plan_len"][0]
    return sorted(int(k) for n, size in enumerate(lengths) for k in simulator.world.plans[0, n, :size])


def test_trips_given_to_the_wrong_drivers_change_places():
    bookings = [booking("b0", (20, 21), (560, 580)), booking("b1", (0, 1), (560, 580))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0), driver("d1", 20)]))
    simulator.assign("d0", "b0")
    simulator.assign("d1", "b1")
    # 40 + 2 min each before; each driver stands at the other's pickup: 2 + 2 min after
    assert total_cost(simulator) == pytest.approx(84)
    improve_plans(simulator.world, 0)
    assert total_cost(simulator) == pytest.approx(4)
    assert simulator.world.plans[0, :, 0].tolist() == [1, 0]
    assert simulator.world.clocks["num_moved"][0] == 2


def test_plans_that_can_not_be_improved_stay_as_they_are():
    bookings = [booking("b0", (0, 1), (560, 580)), booking("b1", (20, 21), (560, 580))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0), driver("d1", 20)]))
    simulator.assign("d0", "b0")
    simulator.assign("d1", "b1")
    before = simulator.world.bookings.copy()
    improve_plans(simulator.world, 0)
    assert simulator.world.clocks["num_moved"][0] == 0
    for name in ("driver", "depart_min", "pickup_min", "dropoff_min", "approach_km"):
        assert np.array_equal(simulator.world.bookings[name], before[name])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_trip_loses_its_place_and_the_cost_never_rises(data):
    bookings, drivers = drawn_day(data, num_drivers=3, longest_window=60)
    rules = default_rules()
    rules["max_lateness_min"] = data.draw(st.sampled_from([0.0, 30.0]))
    simulator = Simulator(line_day(bookings, drivers), rules)
    for item in bookings:
        for n in data.draw(st.permutations(range(3))):
            try:
                simulator.assign(f"d{n}", item.id)
            except ValueError:
                continue
            break
    simulator.advance(data.draw(st.integers(0, 5)))
    cost, trips = total_cost(simulator), planned(simulator)
    improve_plans(simulator.world, 0)
    assert total_cost(simulator) <= cost + 1e-6
    assert planned(simulator) == trips
    world = simulator.world
    lateness = (world.bookings["pickup_min"] - world.bookings["latest_pickup_min"])[0, trips]
    assert np.all(lateness <= rules["max_lateness_min"][0] + 1e-5)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_further_moves_never_cost_and_depend_on_nothing_but_the_day(data):
    bookings, drivers = drawn_day(data, num_drivers=3, longest_window=60)
    costs, plans = [], []
    for moves in (0, 60, 60):
        rules = default_rules()
        rules["improvement_moves"] = moves
        simulator = Simulator(line_day(bookings, drivers), rules)
        for k in range(len(bookings)):
            try:
                simulator.assign(f"d{k % 3}", f"b{k}")
            except ValueError:
                continue
        before = planned(simulator)
        improve_plans(simulator.world, 0)
        assert planned(simulator) == before
        if moves == 0:  # these are the plans with which the rounds begin
            weight = early_weight(simulator.world, 0)
        rows = np.flatnonzero(simulator.world.bookings["driver"][0] != NO_DRIVER).astype(np.int32)
        costs.append(sketch_of(simulator.world, 0, rows, weight, 0.0).routes["cost"].sum())
        plans.append(simulator.world.plans.copy())
    assert costs[1] <= costs[0] + 1e-6
    np.testing.assert_array_equal(plans[1], plans[2])


def _long_trip_in_the_way_of_two() -> Simulator:
    """One driver at km 0, promised b0 from 0 to 60; b1 and b2 would fit one after the other, but not beside b0."""
    bookings = [
        booking("b0", (0, 60), (490, 490)),  # 490 to 490 + 3 + 120 + 3 = 616
        booking("b1", (0, 5), (500, 500)),  # 500 to 516
        booking("b2", (5, 0), (530, 530)),  # 530 to 546
    ]
    rules = default_rules()
    rules["max_lateness_min"] = 0.0
    rules["improves_plans"], rules["improvement_moves"], rules["improvement_lost_min"] = 1, 50, 300.0
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rules)
    simulator.assign("d0", "b0")
    return simulator


def test_a_promised_booking_is_given_back_for_two_that_fit_nowhere():
    simulator = _long_trip_in_the_way_of_two()
    improve_plans(simulator.world, 0)
    # two left out cost 2 x 300 + 120 of driving, one 300 + 2 x 10
    world = simulator.world
    assert planned(simulator) == [1, 2]
    assert world.bookings["state"][0].tolist() == [BookingState.OPEN, BookingState.PLANNED, BookingState.PLANNED]
    assert world.bookings["driver"][0].tolist() == [NO_DRIVER, 0, 0]
    assert world.open_rows[0, : world.clocks["num_open"][0]].tolist() == [0]
    assert world.clocks["num_unassigned"][0] == 1
    assert total_cost(simulator) == pytest.approx(20)


def test_without_a_price_nobody_is_given_back():
    simulator = _long_trip_in_the_way_of_two()
    simulator.world.rules["improvement_lost_min"] = 0.0
    improve_plans(simulator.world, 0)
    assert planned(simulator) == [0]
    assert simulator.world.clocks["num_unassigned"][0] == 0


def test_who_would_fit_is_left_to_the_dispatcher():
    # b1 fits behind b0 (free at 516): improvement gives nothing back for it and doesn't assign it by itself
    bookings = [booking("b0", (0, 5), (500, 500)), booking("b1", (5, 0), (530, 530))]
    rules = default_rules()
    rules["improvement_moves"], rules["improvement_lost_min"] = 50, 300.0
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rules)
    simulator.assign("d0", "b0")
    improve_plans(simulator.world, 0)
    assert planned(simulator) == [0]
    assert simulator.world.clocks["num_open"][0] == 1


def test_a_booking_released_later_is_taken_in_without_other_news():
    bookings = [booking("b0", (0, 60), (520, 520)), booking("b1", (0, 5), (530, 530), release=488)]
    bookings += [booking("b2", (5, 0), (550, 550), release=488)]
    rules = default_rules()
    rules["max_lateness_min"] = 0.0
    rules["improves_plans"], rules["improvement_moves"], rules["improvement_lost_min"] = 1, 50, 300.0
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rules)
    simulator.assign("d0", "b0")
    simulator.advance()  # 08:05: the news of the assignment is dealt with
    assert planned(simulator) == [0]
    simulator.advance()  # 08:10: both are released, and fit nowhere
    assert planned(simulator) == [0]
    simulator.advance()  # before the clock moves they are brought in
    assert planned(simulator) == [1, 2]


@pytest.mark.parametrize(("moves", "leaves_with"), [(0, "d1"), (50, "d0")])
def test_with_moves_a_trip_is_with_the_better_driver_before_anyone_leaves(moves, leaves_with):
    # b0 at km 1 from 482, given to d1 at km 20, who would leave at once (38 min away); d0 at km 0 is 2 min away
    rules = default_rules()
    rules["improves_plans"], rules["improvement_moves"] = 1, moves
    bookings = [booking("b0", (1, 5), (482, 540)), booking("b1", (21, 25), (600, 700))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0), driver("d1", 20)]), rules)
    simulator.assign("d1", "b0")
    simulator.assign("d1", "b1")
    simulator.advance()
    assert simulator.world.bookings["driver"][0, 0] == int(leaves_with[1])
    assert simulator.world.bookings["state"][0, 0] != BookingState.PLANNED  # under way


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_giving_back_keeps_the_books_and_leaves_no_more_out(data):
    bookings, drivers = drawn_day(data, num_drivers=2, longest_window=20)
    size = len(bookings)
    rules = default_rules()
    rules["max_lateness_min"] = data.draw(st.sampled_from([0.0, 30.0]))
    rules["improvement_moves"], rules["improvement_lost_min"] = 60, 10_000.0  # more than all trips together take
    simulator = Simulator(line_day(bookings, drivers), rules)
    for k in range(size):
        try:
            simulator.assign(f"d{k % 2}", f"b{k}")
        except ValueError:
            continue
    before = len(planned(simulator))
    improve_plans(simulator.world, 0)
    world, trips = simulator.world, planned(simulator)
    assert len(trips) >= before
    states = world.bookings["state"][0]
    num_open = int(world.clocks["num_open"][0])
    assert sorted([*trips, *world.open_rows[0, :num_open].tolist()]) == list(range(size))
    for k in range(size):
        assert states[k] == (BookingState.PLANNED if k in trips else BookingState.OPEN)
        assert (world.bookings["driver"][0, k] == NO_DRIVER) == (k not in trips)
    latest = world.bookings["latest_pickup_min"][0, world.open_rows[0, :num_open]]
    assert np.all(np.diff(latest) >= 0)
    lateness = (world.bookings["pickup_min"] - world.bookings["latest_pickup_min"])[0, trips]
    assert np.all(lateness <= rules["max_lateness_min"][0] + 1e-5)
    for n in range(2):  # predictions belong to the plans as they are
        saved = world.bookings["pickup_min"][0].copy()
        project_plan(world, 0, n, 0)
        np.testing.assert_allclose(world.bookings["pickup_min"][0], saved)
