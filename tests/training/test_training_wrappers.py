"""The same days at every evaluation; streams and traces of training environments."""

from __future__ import annotations

from functools import partial

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

import envs  # noqa: F401
from reward import RewardV2
from tests.training.tiny import DECISIONS
from training.wrappers import FixedDays, RunMonitor


def make_env() -> gym.Env:
    return RewardV2(gym.make("Dispatch-v0", num_drivers=2, max_bookings=3))


def played(env: DummyVecEnv, episodes: int) -> list[int]:
    """The days of the next episodes, from a reset of all on."""
    env.reset()
    days: list[int] = []
    while len(days) < episodes:
        _, _, dones, infos = env.step(np.zeros(env.num_envs, dtype=int))
        days += [info["day"] for done, info in zip(dones, infos, strict=True) if done]
    return days


def test_every_evaluation_starts_with_the_first_day():
    env = DummyVecEnv([lambda: FixedDays(make_env(), [1_000_000, 1_000_001, 1_000_002])])
    assert played(env, 3) == [1_000_000, 1_000_001, 1_000_002]
    assert played(env, 2) == [1_000_000, 1_000_001]  # after three whole episodes
    env.step(np.zeros(1, dtype=int))
    assert played(env, 1) == [1_000_000]  # from the middle of an episode


def test_each_environment_of_a_batch_has_its_own_stream_of_days():
    def days_of(seed: int) -> list[list[int]]:
        env = DummyVecEnv([partial(RunMonitor, make_env(), rank=rank) for rank in range(2)])
        env.seed(seed)
        env.reset()
        days: list[list[int]] = [[], []]
        for _ in range(3 * DECISIONS):
            _, _, dones, infos = env.step(np.zeros(2, dtype=int))
            for rank in np.flatnonzero(dones):
                days[rank].append(infos[rank]["day"])
        return days

    assert days_of(5) == days_of(5)
    first, second = days_of(5)
    # a VecEnv seeds its members with 5 and 6: without care, the second would play what seed 6's first plays
    assert second != days_of(6)[0] and not set(first) & set(second)


def test_monitor_sums_the_reward_terms_of_an_episode():
    env = RunMonitor(make_env())
    env.reset(seed=3)
    info: dict = {}
    for _ in range(DECISIONS):
        *_, info = env.step(0)
    # the terms of every step sum to its reward, so those of the episode sum to its return
    assert sum(info["episode_terms"].values()) == np.float64(info["episode"]["r"]).round(6) or np.isclose(
        sum(info["episode_terms"].values()), info["episode"]["r"], atol=1e-5
    )


def test_a_running_episode_is_rebuilt_from_its_day_and_actions():
    first, second = RunMonitor(make_env()), RunMonitor(make_env())
    observation, _ = first.reset(seed=3)
    random = np.random.default_rng(0)
    for _ in range(10):
        observation, *_ = first.step(random.choice(np.flatnonzero(observation["action_mask"])))
    second.reset(seed=4)
    second.rebuild_episode(first.episode_trace())
    for _ in range(2 * DECISIONS):  # to the end of this day and through the next one
        here, there = first.step(0), second.step(0)
        np.testing.assert_equal(here[0], there[0])
        assert here[1:3] == there[1:3]
        if here[2]:
            assert here[4]["episode"]["r"] == there[4]["episode"]["r"]
            first.reset(), second.reset()
