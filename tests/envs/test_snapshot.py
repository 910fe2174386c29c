"""Days in play go on elsewhere as they would have here."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from envs.branches import Branches
from envs.days.day import Day
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction
from tests.envs.line import booking, driver, line_day

V2 = RewardFunction.load("v2")


def made_up_days() -> list[Day]:
    """Two days of two drivers; the second has a booking more, so that a batch makes room for it."""
    drivers = [driver("d-secret", 0.0), driver("e-secret", 8.0)]
    bookings = [booking(f"b-secret-{i}", (2.0 * i, 5.0), (490.0 + 20 * i, 520.0 + 20 * i)) for i in range(4)]
    return [line_day(bookings[:3], drivers), line_day(bookings, drivers)]


def made(kind: str) -> DispatchVecEnv:
    if kind == "generated":
        return DispatchVecEnv(3, reward_function=V2, seed=5)
    return DispatchVecEnv(3, "operating_day", V2, 5, day_list=made_up_days(), num_drivers=2, max_bookings=3)


def play(env: DispatchVecEnv, observation: Any, count: int) -> tuple[Any, list[Any]]:
    """First feasible pairs for so many steps; what came of them."""
    seen = []
    for _ in range(count):
        mask = observation["action_mask"].copy()
        mask[:, 0] = ~mask[:, 1:].any(axis=1)
        env.step_async(mask.argmax(axis=1))
        observation, rewards, dones, infos = env.step_wait()
        seen.append(
            (
                {key: array.copy() for key, array in observation.items()},
                rewards,
                dones.copy(),
                [(info.get("day"), info.get("kpis"), (info.get("episode") or {}).get("r")) for info in infos],
            )
        )
    return observation, seen


@pytest.mark.parametrize("kind", ["generated", "from files"])
def test_restored_environment_goes_on_as_the_first_one(kind):
    first = made(kind)
    observation, _ = play(first, first.reset(), 7)
    saved, seen_then = pickle.dumps(first.snapshot()), {key: array.copy() for key, array in observation.items()}
    second = made(kind)
    second.restore(pickle.loads(saved))
    _, expected = play(first, observation, 60)
    _, got = play(second, seen_then, 60)
    for (here, *rest), (there, *others) in zip(expected, got, strict=True):
        for key in here:
            np.testing.assert_array_equal(here[key], there[key])
        np.testing.assert_equal(rest, others)
    assert any(done.any() for _, _, done, _ in expected)


def test_snapshot_holds_no_ids_of_days_from_files():
    env = made("from files")
    play(env, env.reset(), 5)
    assert b"secret" in pickle.dumps(made_up_days()) and b"secret" not in pickle.dumps(env.snapshot())


@pytest.mark.parametrize("kind", ["generated", "from files"])
def test_waiting_branches_are_played_as_if_nothing_had_happened(kind):
    first = made(kind)
    play(first, first.reset(), 3)
    waiting = Branches(first, 8)
    waiting.put([0, 1, 2], [0, 1, 0])
    saved = pickle.dumps((first.snapshot(), waiting.snapshot()))
    second = made(kind)
    of_env, of_branches = pickle.loads(saved)
    second.restore(of_env)
    again = Branches(second, 8)
    again.restore(of_branches)

    def waits(observation: Any) -> np.ndarray:
        return np.zeros(len(observation["action_mask"]), np.int64)

    assert again.room == waiting.room == 5
    np.testing.assert_array_equal(waiting.play(waits), again.play(waits))
