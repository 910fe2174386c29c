"""Copies of days in play: they share the future, keep their own books and leave the original alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.batch import DispatchBatch
from envs.branches import Branches
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction
from tests.envs.line import booking, driver, line_day

V2 = RewardFunction.load("v2")


def first_feasible(observation: Any) -> np.ndarray:
    """The feasible pair of the lowest number; waits without one."""
    mask = observation["action_mask"].copy()
    mask[:, 0] = ~mask[:, 1:].any(axis=1)
    return mask.argmax(axis=1)


def play_on(env: DispatchVecEnv, row: int, action: int) -> float:
    """What row ``row`` is paid until its day ends when it begins with ``action``; the other rows wait."""
    total, actions = 0.0, np.zeros(env.num_envs, np.int64)
    actions[row] = action
    observation: Any = None
    while True:
        env.step_async(actions)
        observation, rewards, dones, _ = env.step_wait()
        total += float(rewards[row])
        if dones[row]:
            return total
        actions[row] = first_feasible(observation)[row]


def test_branch_is_paid_what_the_environment_pays_for_the_same_actions():
    def at_third_decision() -> DispatchVecEnv:
        env = DispatchVecEnv(3, reward_function=V2, seed=5)
        observation = env.reset()
        for _ in range(2):
            env.step_async(first_feasible(observation))
            observation, *_ = env.step_wait()
        return env

    env = at_third_decision()
    feasible = np.flatnonzero(env.batch.observation["action_mask"][1])
    assert len(feasible) > 2
    branches = Branches(env, num_rows=len(feasible) + 3)
    branches.put([1] * len(feasible), feasible)
    returns = branches.play(first_feasible)
    played = [play_on(at_third_decision(), 1, int(action)) for action in feasible]
    assert returns == pytest.approx(played, abs=1e-9)


def test_original_days_go_on_as_if_nothing_had_been_copied():
    envs = [DispatchVecEnv(2, reward_function=V2, seed=3) for _ in range(2)]
    observations = [env.reset() for env in envs]
    branches = Branches(envs[0], num_rows=4)
    for _ in range(30):
        branches.put([0, 1, 1], [0, 0, first_feasible(observations[0])[1]])
        branches.play(first_feasible)
        for i, env in enumerate(envs):
            env.step_async(first_feasible(observations[i]))
            observations[i], rewards, dones, _ = env.step_wait()
            results = (rewards, dones) if i == 0 else results  # noqa: F821
        assert np.array_equal(results[0], rewards) and np.array_equal(results[1], dones)
    for key in observations[0]:
        assert np.array_equal(observations[0][key], observations[1][key])


def test_rows_are_used_again():
    env = DispatchVecEnv(2, reward_function=V2, seed=0)
    env.reset()
    branches = Branches(env, num_rows=4)
    branches.put([0, 1, 1], [0, 0, 0])
    assert branches.room == 1
    first = branches.play(first_feasible)
    assert branches.room == 4
    branches.put([1], [0])
    # the same state, the same action, the same future
    assert branches.play(first_feasible) == pytest.approx([first[1]])


def test_copies_follow_a_day_with_more_bookings_than_any_before():
    few = line_day([booking("b0", (1.0, 2.0), (480.0, 500.0))], [driver("d0", 0.0)])
    many = line_day([booking(f"b{i}", (1.0, 2.0), (480.0, 500.0 + i)) for i in range(6)], [driver("d0", 0.0)])
    env = DispatchVecEnv(1, "paratransit", V2, day_list=[few, many], in_order=True, num_drivers=1, max_bookings=6)
    env.reset()
    branches = Branches(env, num_rows=3)
    branches.put([0], [1])
    env._load_next_days(np.array([0]))  # makes the environment's world larger while a copy of the smaller day waits
    env.payer.price_pairs()
    branches.put([0], [1])
    small, large = branches.play(first_feasible)
    # b0 alone: assigned 100, picked up in the first half of its window 15, short approach 10, deadhead of 1 km / 20,
    # completion 100 x 1/1, balance 50, mean approach 30; its priority, 3 by default, adds nothing
    assert small == pytest.approx(100 + 15 + 10 - 0.05 + 100 + 50 + 30, abs=0.01)
    assert large > small
    assert branches.batch.world.clocks["num_bookings"][:2].tolist() == [1, 6]


def test_branch_is_cut_off_and_valued():
    # Waiting costs 1 whenever a pair is feasible, and nothing ends within two ticks: 1 + 0.5 x 1 with a discount of one
    # half per tick of 5 min, then 0.25 x 40 for the state after 10 minutes.
    day = line_day([booking("b0", (1.0, 2.0), (480.0, 600.0))], [driver("d0", 0.0)])
    env = DispatchVecEnv(1, "paratransit", V2, day_list=[day], num_drivers=1, max_bookings=2, plan_improvement=False)
    env.reset()
    branches = Branches(env, num_rows=2)
    branches.put([0], [0])
    seen = []

    def value(observation: dict[str, np.ndarray]) -> np.ndarray:
        seen.append(observation["clock"].copy())
        return np.array([40.0])

    def wait(observation: dict[str, np.ndarray]) -> np.ndarray:
        return np.zeros(len(observation["clock"]), np.int64)

    returns = branches.play(wait, value, horizon_min=10.0, discount_per_min=0.5**0.2)
    assert returns == pytest.approx([-1.0 - 0.5 * 1.0 + 0.25 * 40.0])
    assert len(seen) == 1 and seen[0][0, 0] == pytest.approx(490.0 / 1440.0)


class FirstFeasible:
    """A rule: `first_feasible`, from the world instead of the observation."""

    def act(self, batch: DispatchBatch, payer: Any) -> np.ndarray:
        feasible = batch.world.pairs["is_feasible"].reshape(batch.batch_size, -1) == 1
        return np.where(feasible.any(axis=1), 1 + feasible.argmax(axis=1), 0)


def test_rule_leads_on_and_is_paid_for_it():
    # Who chooses is the same before the horizon and behind it, so wherever it lies the whole day is paid the same; some
    # copies pass it many decisions before others.
    env = DispatchVecEnv(3, reward_function=V2, seed=5)
    env.reset()
    rows, actions = [], []
    for row in range(3):
        for action in np.flatnonzero(env.batch.observation["action_mask"][row]):
            rows.append(row)
            actions.append(int(action))
    branches = Branches(env, num_rows=len(rows) + 2)
    branches.put(rows, actions)
    whole = branches.play(first_feasible)
    assert len(set(np.round(whole, 6))) > 3
    for horizon_min in (5.0, 30.0):
        branches.put(rows, actions)
        led = branches.play(first_feasible, horizon_min=horizon_min, leader=FirstFeasible(), led_min=np.inf)
        assert led == pytest.approx(whole, abs=1e-9)


def test_rule_leads_for_as_long_as_asked():
    # Waiting costs 1 at every tick with a feasible pair. The agent waits at 08:00 and 08:05, the rule from 08:10 on.
    day = line_day([booking("b0", (1.0, 2.0), (480.0, 600.0))], [driver("d0", 0.0)])
    env = DispatchVecEnv(1, "paratransit", V2, day_list=[day], num_drivers=1, max_bookings=2, plan_improvement=False)
    env.reset()
    branches = Branches(env, num_rows=2)

    def wait(observation: dict[str, np.ndarray]) -> np.ndarray:
        return np.zeros(len(observation["clock"]), np.int64)

    class Waiter:
        def act(self, batch: DispatchBatch, payer: Any) -> np.ndarray:
            return np.zeros(batch.batch_size, np.int64)

    for led_min, paid, now_min in ((0.0, -2.0, 490.0), (5.0, -3.0, 495.0), (20.0, -6.0, 510.0)):
        branches.put([0], [0])
        returns = branches.play(wait, horizon_min=10.0, leader=Waiter(), led_min=led_min)
        assert returns == pytest.approx([paid])
        assert branches.batch.world.clocks["now_min"][0] == now_min


def test_horizon_without_values_is_refused():
    env = DispatchVecEnv(1, reward_function=V2, seed=0)
    env.reset()
    with pytest.raises(ValueError, match="needs the value"):
        Branches(env, num_rows=2).play(first_feasible, horizon_min=10.0)


def test_no_more_copies_than_rows():
    env = DispatchVecEnv(1, reward_function=V2, seed=0)
    env.reset()
    with pytest.raises(ValueError, match="room for 2 copies, got 3"):
        Branches(env, num_rows=2).put([0, 0, 0], [0, 0, 0])


def test_environment_without_reward_is_refused():
    with pytest.raises(ValueError, match="pays no reward"):
        Branches(DispatchVecEnv(1, seed=0), num_rows=2)
