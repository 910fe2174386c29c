"""Returns that nobody has called yet: who is expected, and how many within which time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.batch import DispatchBatch
from envs.days.scenario import Scenario
from envs.observation import EXPECTED_FEATURES
from envs.simulator import Simulator
from envs.world.expected import minutes_expected, returns_expected
from envs.world.records import NEVER
from tests.envs.line import booking, driver, line_day


def day_with_a_return(**expected: Any):
    """The outbound leg is known from the start, its return is called at 10:50 for 11:00."""
    bookings = [
        booking("out", (0, 10), (500, 530)),
        booking("back", (10, 0), (660, 690), release=650.0, outbound_id="out", **expected),
    ]
    return line_day(bookings, [driver("d0", 0), driver("d1", 0)])


def test_a_return_is_expected_from_the_call_of_its_outbound_leg_to_its_own():
    simulator = Simulator(day_with_a_return(expected_min=630.0, expected_std_min=30.0))
    # at 08:00 the mean, 10:30, is five standard deviations away: half before it, half after, all of it ahead
    world = simulator.world
    assert returns_expected(world, 0, 480.0, 630.0) == pytest.approx(0.5, abs=1e-6)
    assert returns_expected(world, 0, 630.0, NEVER) == pytest.approx(0.5, abs=1e-6)
    # one standard deviation around the mean: 68 %
    assert returns_expected(world, 0, 600.0, 660.0) == pytest.approx(0.6827, abs=1e-4)
    # 3 + 20 + 3 minutes of driving and service, without the way there
    assert minutes_expected(world, 0, 480.0, NEVER) == pytest.approx(26.0)
    simulator.advance(30)  # 10:30, not called: what is left lies ahead, so that it is certain again
    assert returns_expected(world, 0, 630.0, NEVER) == pytest.approx(1.0)
    simulator.advance(4)  # 10:50: called
    assert returns_expected(world, 0, 650.0, NEVER) == 0.0


def test_an_overdue_return_is_expected_at_once():
    simulator = Simulator(day_with_a_return(expected_min=490.0, expected_std_min=2.0))
    simulator.advance(6)  # 08:30, twenty standard deviations late
    assert returns_expected(simulator.world, 0, 510.0, 570.0) == 1.0
    assert returns_expected(simulator.world, 0, 570.0, NEVER) == 0.0


def test_without_a_time_nobody_expects_it():
    assert returns_expected(Simulator(day_with_a_return()).world, 0, 480.0, NEVER) == 0.0


def test_the_observation_tells_returns_expected_per_driver():
    scenario = Scenario.load("operating_day", expects_returns=True, num_drivers=2, plan_improvement=False)
    batch = DispatchBatch(scenario)
    batch.load_day(0, day_with_a_return(expected_min=630.0, expected_std_min=1.0))
    batch.refresh()
    # 10:30 lies in the third hour from 08:00 on; one return / 2 drivers / 2
    assert batch.observation["expected"][0].tolist() == pytest.approx([0, 0, 0.25, 0, 0], abs=1e-6)
    assert batch.observation["expected"].shape == (1, len(EXPECTED_FEATURES))
    assert batch.observation_space["expected"].shape == (len(EXPECTED_FEATURES),)
    assert "expected" not in DispatchBatch(Scenario.load("operating_day")).observation


def test_generated_returns_know_their_outbound_leg_and_when_they_are_expected():
    batch = DispatchBatch(Scenario.load("operating_day_promises", load=2.0), 20)
    batch.load_generated_days(np.arange(20), np.arange(1_000_000, 1_000_020))
    num_expected = 0
    for b in range(20):
        rows = batch.world.bookings[b, : batch.world.clocks["num_bookings"][b]]
        for k, back in enumerate(rows):
            if back["leg"] == 0:
                assert back["outbound"] == -1
                continue
            out = rows[back["outbound"]]
            assert back["outbound"] < k and out["leg"] == 0
            assert (out["pickup_lat"], out["dropoff_lat"]) == (back["dropoff_lat"], back["pickup_lat"])
            is_called = back["release_min"] > out["release_min"]
            assert np.isfinite(back["expected_min"]) == is_called
            if is_called:  # 4 h 20 after the outbound's scheduled time, which is the middle of its window
                assert back["expected_min"] == out["earliest_pickup_min"] + 15 + 260
                num_expected += 1
    assert num_expected > 20
