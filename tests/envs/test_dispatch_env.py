"""The Gymnasium face: contract, seeds, days, text view."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import envs  # noqa: F401 - registers the ids
from envs import DispatchEnv
from envs.days.stream import DayStream
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction, RewardV1, RewardV2, RewardV3


@pytest.mark.parametrize("env_id", ["Dispatch-v0", "DispatchDay-v0", "DispatchDay-v1"])
@pytest.mark.parametrize("wrapper", [None, RewardV1, RewardV2, RewardV3])
def test_checkers_pass_without_warnings(env_id, wrapper):
    env = gym.make(env_id)
    env = env if wrapper is None else wrapper(env)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # rows of drivers, bookings and pairs are 2-D on purpose; SB3 warns that no image extractor fits them
        warnings.filterwarnings("ignore", message=".*unconventional shape.*")
        # Gymnasium asks for the unwrapped environment; here the reward is a part of the contract
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
        sb3_check_env(env, warn=True)
        gymnasium_check_env(env.unwrapped if wrapper is None else env, skip_render_check=True)


def test_two_environments_with_one_seed_agree_at_every_step():
    first, second = gym.make("DispatchDay-v0"), gym.make("DispatchDay-v0")
    seen = [env.reset(seed=11) for env in (first, second)]
    random = np.random.default_rng(0)
    for _ in range(200):
        assert seen[0][1]["day"] == seen[1][1]["day"]
        for key in seen[0][0]:
            assert np.array_equal(seen[0][0][key], seen[1][0][key])
        action = random.choice(np.flatnonzero(seen[0][0]["action_mask"]))
        steps = [env.step(action) for env in (first, second)]
        seen = [(step[0], step[4]) for step in steps]
        if steps[0][2]:
            seen = [env.reset() for env in (first, second)]


def test_reset_plays_the_day_that_is_asked_for():
    env = DispatchEnv()
    assert env.reset(options={"day": 2_000_003})[1]["day"] == 2_000_003


def test_day_stream_draws_from_its_range_and_restarts_with_its_seed():
    stream = DayStream((10, 20))
    stream.seed(1, 0)
    drawn = [stream.next_day() for _ in range(50)]
    assert set(drawn) <= set(range(10, 20))
    stream.seed(1, 0)
    assert drawn == [stream.next_day() for _ in range(50)]
    stream.seed(1, 1)
    assert drawn != [stream.next_day() for _ in range(50)]


def test_day_stream_in_order_goes_round():
    stream = DayStream((10, 13), in_order=True)
    assert [stream.next_day() for _ in range(5)] == [10, 11, 12, 10, 11]


def test_sizes_and_other_settings_are_arguments():
    env = gym.make("DispatchDay-v0", num_drivers=7, max_bookings=12, load=1.0, plan_improvement=False)
    assert env.action_space.n == 7 * 12 + 1
    assert env.unwrapped.batch.world.rules["improves_plans"][0] == 0


def test_misspelt_setting_names_the_nearest_known_one():
    with pytest.raises(ValueError, match="max_bookings"):
        DispatchEnv(max_boookings=3)


def test_text_view_shows_drivers_and_bookings(capsys):
    env = gym.make("Dispatch-v0", render_mode="human")
    env.reset(options={"day": 4})
    env.step(1)
    text = capsys.readouterr().out
    assert "day 4  08:05" in text
    assert "d4" in text and "priority" in text


def test_map_shows_each_place_within_its_frame_and_changes_with_the_day():
    env = gym.make("Dispatch-v0", render_mode="rgb_array")
    env.reset(options={"day": 4})
    before = env.render()
    env.step(1)
    after = env.render()
    assert before.shape == after.shape == (480, 640, 3) and before.dtype == np.uint8
    assert (before != after).any()
    # The first driver starts in the middle of the square: the middle of the frame is not white.
    assert (before[200:280, 280:360] < 200).any()


def test_last_step_terminates_and_reports_kpis():
    env = DispatchEnv()
    env.reset(seed=0)
    for step in range(24):
        _, reward, terminated, truncated, info = env.step(0)
        assert (terminated, truncated) == (step == 23, False)
        assert reward == 0.0
        assert info["elapsed_min"] == 5
    assert info["kpis"]["service_rate"] == 0.0


@pytest.mark.parametrize("scenario", ["short_shift", "operating_day"])
def test_vec_env_agrees_with_single_environments_step_by_step(scenario):
    days = [(100 + b, 101 + b) for b in range(3)]
    vec = [DispatchVecEnv(1, scenario, RewardFunction.load("v2"), days=day) for day in days]
    together = DispatchVecEnv(3, scenario, RewardFunction.load("v2"), days=(100, 103), in_order=True)
    for b, stream in enumerate(together._streams):
        stream._position = b  # row b begins with day 100 + b
    singles = [RewardV2(DispatchEnv(scenario, days=day)) for day in days]
    batch_obs = together.reset()
    single_obs = [env.reset()[0] for env in singles]
    lone_obs = [env.reset() for env in vec]
    done = [False] * 3
    returns = np.zeros(3)
    random = np.random.default_rng(5)
    while not all(done):
        actions = [random.choice(np.flatnonzero(mask)) for mask in batch_obs["action_mask"]]
        for b in range(3):
            if not done[b]:
                for key in single_obs[b]:
                    assert np.array_equal(batch_obs[key][b], single_obs[b][key]), key
                    assert np.array_equal(batch_obs[key][b], lone_obs[b][key][0]), key
        batch_obs, rewards, dones, infos = together.step(np.array(actions))
        for b in range(3):
            if done[b]:
                continue
            single_obs[b], reward, done[b], _, info = singles[b].step(actions[b])
            lone_obs[b], lone_reward, _, _ = vec[b].step(np.array([actions[b]]))
            returns[b] += reward
            assert reward == rewards[b] == lone_reward[0]
            assert info["elapsed_min"] == infos[b]["elapsed_min"]
            assert done[b] == dones[b]
            if done[b]:
                assert infos[b]["episode"]["r"] == pytest.approx(returns[b])
                assert infos[b]["kpis"] == pytest.approx(info["kpis"], nan_ok=True)
                for key in ("drivers", "bookings", "clock", "action_mask"):
                    assert np.array_equal(infos[b]["terminal_observation"][key], single_obs[b][key])


def test_an_observation_of_the_batch_stays_as_it_was_for_two_more_steps():
    env = DispatchVecEnv(3, "short_shift", seed=0)
    observations = [env.reset()]
    kept = [{key: array.copy() for key, array in observations[0].items()}]
    for _ in range(2):
        observation, *_ = env.step(observations[-1]["action_mask"].argmax(axis=1))
        observations.append(observation)
        kept.append({key: array.copy() for key, array in observation.items()})
    for observation, copy in zip(observations, kept, strict=True):
        for key, array in copy.items():
            assert np.array_equal(observation[key], array), key


@pytest.mark.parametrize("day", [-1, 1.5, "3", True, None.__class__, 2**70])
def test_day_that_can_not_be_is_refused(day):
    with pytest.raises(ValueError, match="expected a number from 0 or a Day"):
        gym.make("Dispatch-v0").unwrapped.reset(options={"day": day})


@pytest.mark.parametrize("action", [1.7, "1", None, [1], True])
def test_action_that_is_no_whole_number_is_refused(action):
    env = gym.make("Dispatch-v0").unwrapped
    env.reset(options={"day": 1})
    with pytest.raises(ValueError, match="actions: expected"):
        env.step(action)
