"""The plain Python implementation that the simulator is measured against plays by the same rules."""

from __future__ import annotations

import numpy as np
import pytest

from envs import DispatchBatch, Scenario
from envs.days.scenario import generate_day
from studies.plain_dispatch import PlainDispatch

LARGER = {"num_drivers": 8, "max_bookings": 12, "num_initial": [12, 20], "num_more": [3, 6]}


@pytest.mark.parametrize("overrides", [{}, LARGER])
def test_plain_python_and_the_simulator_agree_at_every_step(overrides):
    scenario = Scenario.load("short_shift", **overrides)
    plain, batch = PlainDispatch(scenario), DispatchBatch(scenario)
    random = np.random.default_rng(0)
    for day in range(10):
        batch.load_day(0, day)
        batch.refresh()
        seen = plain.reset(generate_day(scenario, day))
        is_done = False
        while not is_done:
            for key, array in seen.items():
                assert np.allclose(array, batch.observation[key][0], atol=1e-6), (
                    day,
                    batch.world.clocks["now_min"],
                    key,
                )
            action = int(random.choice(np.flatnonzero(seen["action_mask"])))
            seen, is_done = plain.step(action)
            batch.step([action])
            assert is_done == batch.is_done[0]
        num_served = sum(booking["state"] == "served" for booking in plain.bookings)
        assert num_served == batch.kpis(0)["num_served"]


def test_other_rules_than_the_short_shift_are_refused():
    with pytest.raises(ValueError, match="knows the short shift's rules only"):
        PlainDispatch(Scenario.load("operating_day"))
