"""Ruin and recreate leaves the best plans that it saw, not the last ones."""

from __future__ import annotations

import numpy as np
import pytest

from envs.plans import total_cost
from envs.ruin_recreate import ruin_and_recreate
from envs.simulator import Simulator
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
