"""Ruin and recreate leaves the best plans that it saw, not the last ones."""

from __future__ import annotations

import numpy as np
import pytest

from envs.dispatch_env import DispatchEnv
from envs.simulator import Simulator
from envs.world.plans import total_cost
from envs.world.records import NO_DRIVER, BookingState
from envs.world.ruin_recreate import FULL_FROM, early_weight, ruin_and_recreate, share_taken, sketch_of
from tests.envs.line import booking, driver, line_day


def crossed() -> Simulator:
    """Two drivers, each promised the trips that start where the other stands."""
    windows = [(500, 560), (580, 640), (500, 560), (580, 640)]
    kms = [(20, 21), (21, 20), (0, 1), (1, 0)]
    bookings = [booking(f"b{i}", km, window) for i, (km, window) in enumerate(zip(kms, windows, strict=True))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0), driver("d1", 20)]))
    for k, n in enumerate((0, 0, 1, 1)):
        simulator.assign(f"d{n}", f"b{k}")
    return simulator


def run(num_rounds: int) -> Simulator:
    simulator = crossed()
    ruin_and_recreate(simulator.world, 0, np.arange(4, dtype=np.int32), num_rounds, 0.0)
    return simulator


def test_crossed_trips_end_with_the_drivers_who_stand_there():
    # 20 km to the first pickup of each, then four rides of 1 km: 2 x 40 + 4 x 2 = 88 min; without the approaches 8
    assert total_cost(crossed().world, 0) == pytest.approx(88)
    done = run(100)
    assert total_cost(done.world, 0) == pytest.approx(8)
    assert done.world.bookings["driver"][0].tolist() == [1, 1, 0, 0]


def test_no_number_of_rounds_ends_above_the_start():
    # at 15 min of temperature single rounds do rise; what is left is the best of them
    assert all(total_cost(run(rounds).world, 0) <= 88 + 1e-6 for rounds in range(1, 40))


def test_no_rounds_change_nothing():
    before, after = crossed().world, run(0).world
    np.testing.assert_array_equal(before.plans, after.plans)
    np.testing.assert_array_equal(before.bookings["pickup_min"], after.bookings["pickup_min"])


def test_share_taken_counts_trips_within_two_hours_and_shifts():
    # Two drivers from 480 on. d0: 20 min to km 10 for 500, 20 of ride, 2 x 3 of service: taken 480 to 526 = 46 min.
    # d1: the same from km 10 for 590: 590 to 616, of which 10 min lie within 480 to 600. (46 + 10) / 240
    bookings = [booking("b0", (10, 20), (500, 560)), booking("b1", (10, 20), (590, 640))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0), driver("d1", 10)]))
    assert share_taken(simulator.world, 0) == 0.0
    simulator.assign("d0", "b0")
    simulator.assign("d1", "b1")
    assert share_taken(simulator.world, 0) == pytest.approx(56 / 240)


def test_no_share_is_taken_where_nobody_drives():
    simulator = crossed()
    simulator.world.drivers["is_out"] = 1
    assert share_taken(simulator.world, 0) == 0.0


def test_the_weight_grows_from_the_share_that_is_free_of_it():
    # one driver from 480 on, 600 - 480 = 120 min ahead; b0 takes 20 + 3 + 2 x km + 3 of them
    for km, share in ((20, 66 / 120), (38, 102 / 120)):
        simulator = Simulator(line_day([booking("b0", (10, 10 + km), (500, 560))], [driver("d0", 0)]))
        simulator.assign("d0", "b0")
        assert share_taken(simulator.world, 0) == pytest.approx(share)
        expected = max(0.0, (share - FULL_FROM) / (1 - FULL_FROM))
        assert early_weight(simulator.world, 0) == pytest.approx(expected)


def test_with_weight_minutes_from_the_earliest_pickup_to_the_end_count():
    # b0: 20 min of approach + 20 of ride; from 500 to 526 = 26 min, of which each counts half: 40 + 13
    simulator = Simulator(line_day([booking("b0", (10, 20), (500, 560))], [driver("d0", 0)]))
    simulator.assign("d0", "b0")
    rows = np.array([0], np.int32)
    assert sketch_of(simulator.world, 0, rows, 0.0, 0.0).routes["cost"] == pytest.approx([40])
    assert sketch_of(simulator.world, 0, rows, 0.5, 0.0).routes["cost"] == pytest.approx([53])


def crowded_world(day: int, **overrides):
    """A generated day, dispatched at random until eight trips are planned; None when that never happens."""
    env = DispatchEnv("operating_day", max_bookings=12, plan_improvement=False, load=2.0, **overrides)
    env.reset(options={"day": day})
    rng = np.random.default_rng(day)
    done = False
    while not done and env.batch.world.drivers["plan_len"].sum() < 8:
        feasible = np.flatnonzero(env.action_masks()[:-1])
        done = env.step(rng.choice(feasible) if len(feasible) else len(env.action_masks()) - 1)[2]
    return None if done else env.batch.world


@pytest.mark.parametrize("lost_min", [0.0, 300.0])
@pytest.mark.parametrize("speeds", [{}, {"speeds_kmh": [27.0] * 24}], ids=["by the hour", "constant"])
def test_the_search_predicts_and_counts_as_the_world_does(speeds, lost_min):
    # breaks, wheelchairs, several speeds or one: what the search says its plans cost is what the world says
    worlds = [world for day in range(6) if (world := crowded_world(day, **speeds)) is not None]
    assert len(worlds) >= 3
    for world in worlds:
        rows = np.flatnonzero(world.bookings["driver"][0] != NO_DRIVER).astype(np.int32)
        rows = rows[world.bookings["state"][0, rows] == BookingState.PLANNED]
        weight = early_weight(world, 0)
        cost = ruin_and_recreate(world, 0, rows, 30, lost_min)
        booked = world.bookings[0, rows]
        placed = booked[booked["driver"] != NO_DRIVER]
        early = (placed["dropoff_min"] - placed["earliest_pickup_min"]).sum()
        assert cost == pytest.approx(total_cost(world, 0) + weight * early + lost_min * (len(booked) - len(placed)))
