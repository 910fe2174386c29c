"""The wrappers: spaces, info, and the same reward as in the batched environment."""

from __future__ import annotations

import warnings
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env

from envs.batch import DispatchBatch
from envs.days.scenario import Scenario
from envs.dispatch_env import DispatchEnv
from reward import TERM_NAMES, RewardFunction, RewardV1, RewardV2, RewardV3, RewardWrapper, episode_terms

WRAPPERS = {"v1": RewardV1, "v2": RewardV2, "v3": RewardV3}
SCENARIOS = ("short_shift", "operating_day")


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("version", WRAPPERS)
def test_sb3_and_gymnasium_accept_the_wrapped_environment(scenario: str, version: str) -> None:
    env = WRAPPERS[version](DispatchEnv(scenario))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*unconventional shape.*")
        check_env(env)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("version", WRAPPERS)
def test_reward_terms_sum_to_the_reward_and_to_the_log(scenario: str, version: str) -> None:
    env = WRAPPERS[version](DispatchEnv(scenario))
    rng = np.random.default_rng(7)
    for day in (11, 12):
        observation, _ = env.reset(options={"day": day})
        assert env.observation_space.contains(observation)
        total: dict[str, float] = dict.fromkeys(env.reward_function.term_names, 0.0)
        terminated = False
        while not terminated:
            action = rng.choice(np.flatnonzero(env.action_masks()))
            observation, reward, terminated, _, info = env.step(action)
            assert env.observation_space.contains(observation)
            assert reward == pytest.approx(sum(info["reward_terms"].values()))
            assert tuple(info["reward_terms"]) == env.reward_function.term_names
            for name, value in info["reward_terms"].items():
                total[name] += value
        expected = episode_terms(env.payer.batch.world, 0, env.reward_function.weights)
        assert total == pytest.approx({name: expected[name] for name in total}, abs=1e-8)
        assert not any(value for name, value in expected.items() if name not in total)


def test_single_and_batched_environment_are_paid_alike() -> None:
    days = (3, 4, 5)
    batch = DispatchBatch(Scenario.load("short_shift"), len(days))
    payer = RewardFunction.load("v2").attach(batch)
    for b, day in enumerate(days):
        batch.load_day(b, day)
    batch.refresh()
    payer.price_pairs()
    envs = [RewardV2(DispatchEnv("short_shift")) for _ in days]
    observations = [env.reset(options={"day": day})[0] for env, day in zip(envs, days, strict=True)]
    rng = np.random.default_rng(0)
    for _ in range(24):
        for b, observation in enumerate(observations):
            np.testing.assert_array_equal(observation["pair_reward"], payer.pair_reward[b])
            np.testing.assert_array_equal(observation["wait_reward"], payer.wait_reward[b])
        actions = np.array([rng.choice(np.flatnonzero(env.action_masks())) for env in envs])
        batch.step(actions)
        rewards = payer.pay().copy()
        payer.price_pairs()
        for b, env in enumerate(envs):
            observations[b], reward, *_ = env.step(actions[b])
            assert reward == rewards[b]


def test_observation_keeps_its_own_copy() -> None:
    env = RewardV2(DispatchEnv("short_shift"))
    first, _ = env.reset(options={"day": 1})
    before = first["pair_reward"].copy()
    env.step(int(np.flatnonzero(env.action_masks())[-1]))
    np.testing.assert_array_equal(first["pair_reward"], before)


def test_weights_can_be_changed_in_the_constructor() -> None:
    env = RewardV2(DispatchEnv("short_shift"), weights={"idle_wait": -7.0})
    env.reset(options={"day": 1})
    assert env.action_masks()[1:].any()
    # day 1 opens with a feasible pair: waiting costs 7
    _, _, _, _, info = env.step(0)
    assert info["reward_terms"]["idle_wait"] == -7.0


def test_second_reward_on_top_is_refused() -> None:
    with pytest.raises(ValueError, match="already has a reward"):
        RewardV1(RewardV2(DispatchEnv("short_shift")))


def test_foreign_environment_is_refused() -> None:
    with pytest.raises(TypeError, match="Dispatch-v0, DispatchDay-v0"):
        RewardWrapper(gym.make("CartPole-v1"))


def test_row_in_play_is_paid_on_when_a_longer_day_makes_the_batch_grow() -> None:
    batch = DispatchBatch(Scenario.load("short_shift"), 2)
    function = RewardFunction.load("v1")
    payer = function.attach(batch)
    for b in range(2):
        batch.load_day(b, b)
    batch.refresh()
    total = np.zeros_like(payer.terms)
    for step in range(24):
        if step == 8:  # row 1 gets a day of ten times as many bookings
            day = batch.day_of(1)
            many = tuple(replace(booking, id=f"{booking.id}-{copy}") for copy in range(10) for booking in day.bookings)
            old_size = batch.world.bookings.shape[1]
            batch.load_day(1, replace(day, label="long", bookings=many, day_number=-1))
            assert batch.world.bookings.shape[1] > old_size
            batch.refresh(1)
            payer.reset(1)
            total[1] = 0.0
        batch.step(batch.observation["action_mask"].argsort(axis=1, kind="stable")[:, -1])
        payer.pay()
        total += payer.terms
    expected = episode_terms(batch.world, 0, function.weights)
    assert dict(zip(TERM_NAMES, total[0], strict=True)) == pytest.approx(expected, abs=1e-8)
