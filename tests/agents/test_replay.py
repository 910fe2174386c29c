"""The arithmetic of the replay memory, by hand."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from agents import replay
from agents.replay import ClockReplayBuffer, PrioritizedClockReplayBuffer
from agents.replay.sum_tree import SumTree

NUM_PAIRS = 4


def small_space(num_drivers: int = 2, num_bookings: int = 2, fd: int = 3, fb: int = 3, fp: int = 3, fc: int = 2):
    def box(*shape: int) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, shape, dtype=np.float32)

    pairs = num_drivers * num_bookings
    return spaces.Dict(
        {
            "drivers": box(num_drivers, fd),
            "bookings": box(num_bookings, fb),
            "pairs": box(pairs, fp),
            "clock": box(fc),
            "action_mask": spaces.MultiBinary(pairs + 1),
            "pair_reward": box(pairs),
            "wait_reward": box(1),
        }
    )


def observation(rng: np.random.Generator, space: spaces.Dict, num_envs: int, number: float = 0.0):
    """Random, with ``clock[0]`` saying which one it is, and an infeasible pair's rows not zero."""
    obs = {
        key: rng.uniform(-1, 1, (num_envs, *(box.shape or ()))).astype(np.float32) for key, box in space.spaces.items()
    }
    obs["action_mask"] = (rng.random((num_envs, *(space["action_mask"].shape or ()))) < 0.5).astype(np.int8)
    obs["action_mask"][:, 0] = 1
    obs["clock"][:, 0] = number
    return obs


def filled(rewards, minutes, dones=None, num_envs=1, buffer_size=100, truncated=(), cls=ClockReplayBuffer, **kwargs):
    """A buffer fed one step per reward; returns it with the observations."""
    space = small_space()
    kwargs.setdefault("pair_fill", 1.0)
    buffer = cls(buffer_size, space, spaces.Discrete(NUM_PAIRS + 1), "cpu", num_envs, **kwargs)
    rng = np.random.default_rng(0)
    seen = [observation(rng, space, num_envs, t / 100) for t in range(len(rewards) + 1)]
    for t, reward in enumerate(rewards):
        done = bool(dones[t]) if dones is not None else False
        infos = [{"elapsed_min": minutes[t], "TimeLimit.truncated": t in truncated}] * num_envs
        action = np.zeros(num_envs, dtype=int)
        buffer.add(seen[t], seen[t + 1], action, np.full(num_envs, reward), np.full(num_envs, done), infos)
    return buffer, seen


def test_return_ends_when_the_clock_has_moved_by_n_ticks():
    # Steps of 1, 0, 2 and 1 ticks with gamma 0.5, so discounts 1/2, 1, 1/4, 1/2.
    buffer, _ = filled([1.0, 2.0, 4.0, 8.0, 16.0], [5, 0, 10, 5, 5], gamma=0.5, n_ticks=3)
    rewards, discounts, dones, ends = buffer.returns(np.array([0]))
    # 1 + 1/2 x 2 + 1/2 x 1 x 4 = 4; after 1 + 0 + 2 = 3 ticks it ends: discount 1/2 x 1 x 1/4 = 1/8, at observation 3
    assert rewards[0] == pytest.approx(4.0)
    assert discounts[0] == pytest.approx(0.125)
    assert ends[0] == 3
    assert not dones[0]


def test_decision_that_costs_no_time_is_not_discounted():
    buffer, _ = filled([1.0, 2.0, 4.0, 8.0], [0, 0, 5, 5], gamma=0.5, n_ticks=1)
    rewards, discounts, _, ends = buffer.returns(np.array([0, 1]))
    # 1 + 2 + 4 and 2 + 4: all at the same minute; then one tick passes: discount 1/2, bootstrap at observation 3
    assert rewards == pytest.approx([7.0, 6.0])
    assert discounts == pytest.approx([0.5, 0.5])
    assert ends.tolist() == [3, 3]


def test_zero_ticks_is_the_one_step_return():
    buffer, _ = filled([1.0, 2.0, 4.0], [0, 5, 5], gamma=0.5, n_ticks=0)
    rewards, discounts, _, ends = buffer.returns(np.array([0, 1]))
    assert rewards == pytest.approx([1.0, 2.0])
    assert discounts == pytest.approx([1.0, 0.5])  # 0 minutes, 5 minutes
    assert ends.tolist() == [1, 2]


def test_return_ends_with_the_episode():
    buffer, _ = filled([1.0, 2.0, 100.0, 100.0], [5] * 4, dones=[0, 1, 0, 0], gamma=0.5, n_ticks=8)
    rewards, discounts, dones, _ = buffer.returns(np.array([0, 1]))
    assert rewards == pytest.approx([2.0, 2.0])  # 1 + 2/2, and 2
    assert dones.tolist() == [True, True]
    assert discounts == pytest.approx([0.25, 0.5])


def test_missing_elapsed_minutes_count_as_one_tick():
    space = small_space()
    buffer = ClockReplayBuffer(10, space, spaces.Discrete(5), "cpu", 1, gamma=0.5, tick_min=5.0)
    obs = observation(np.random.default_rng(0), space, 1)
    buffer.add(obs, obs, np.array([0]), np.array([1.0]), np.array([False]), [{}])
    assert buffer.ticks[0, 0] == 1.0


def test_no_return_crosses_the_write_head():
    # Room for 4 steps, 6 written: steps 2..5 are held, 0..3 in slots 2, 3, 0, 1. The newest has no next observation.
    buffer, _ = filled([1.0, 2.0, 4.0, 8.0, 16.0, 32.0], [5] * 6, gamma=1.0, n_ticks=8, buffer_size=4)
    drawn = {int(i) for i in buffer.sample(200).indices}
    assert drawn == {2, 3, 0}  # steps 2, 3, 4
    rewards, _, _, ends = buffer.returns(np.array([2, 3, 0]))
    assert rewards == pytest.approx([4 + 8 + 16, 8 + 16, 16])
    assert ends.tolist() == [1, 1, 1]  # the newest step's observation


def test_truncated_episode_is_not_taken_for_a_terminated_one():
    buffer, _ = filled([1.0, 2.0, 4.0, 8.0], [5] * 4, dones=[0, 1, 0, 0], truncated=(1,), gamma=0.5, n_ticks=8)
    rewards, discounts, dones, ends = buffer.returns(np.array([0]))
    # the observation after step 1 isn't stored: bootstrap from observation 1
    assert (rewards[0], discounts[0], dones[0], ends[0]) == (1.0, 0.5, False, 1)
    assert 1 not in buffer.sample(200).indices


def test_reset_from_outside_is_a_seam():
    buffer, _ = filled([1.0, 2.0], [5, 5], gamma=0.5, n_ticks=8)
    stranger = observation(np.random.default_rng(9), small_space(), 1, 0.9)
    for _ in range(2):
        buffer.add(stranger, stranger, np.array([0]), np.array([7.0]), np.array([False]), [{"elapsed_min": 5}])
    rewards, _, _, ends = buffer.returns(np.array([0]))
    assert (rewards[0], ends[0]) == (1.0, 1)
    assert set(buffer.sample(100).indices) == {0, 2}


def test_equal_copy_of_the_next_observation_continues_the_episode():
    buffer, seen = filled([1.0, 2.0], [5, 5], gamma=0.5, n_ticks=8)
    copy = {key: value.copy() for key, value in seen[2].items()}
    buffer.add(copy, copy, np.array([0]), np.array([4.0]), np.array([False]), [{"elapsed_min": 5}])
    assert buffer.returns(np.array([0]))[0] == pytest.approx([2.0])  # 1 + 2/2


def test_loaded_buffer_does_not_continue_the_last_step():
    buffer, seen = filled([1.0, 2.0], [5, 5], gamma=0.5, n_ticks=8)
    loaded = pickle.loads(pickle.dumps(buffer))
    loaded.add(seen[2], seen[2], np.array([0]), np.array([4.0]), np.array([False]), [{"elapsed_min": 5}])
    assert set(loaded.sample(100).indices) == {0}


def test_a_saved_buffer_holds_only_what_was_written():
    buffer, _ = filled([1.0, 2.0, 4.0, 8.0], [5] * 4, buffer_size=10_000)
    assert len(pickle.dumps(buffer)) < buffer.nbytes / 100  # 4 steps of 10 000, and the settings


@pytest.mark.parametrize("buffer_size", [50, 5])  # half empty, and overwritten twice
def test_a_loaded_buffer_goes_on_as_the_saved_one(buffer_size):
    buffer, seen = filled([1.0, 2.0, 4.0, 8.0, 16.0] * 2, [5] * 10, buffer_size=buffer_size)
    loaded = pickle.loads(pickle.dumps(buffer))
    for each in (buffer, loaded):
        each.add(seen[-1], seen[0], np.array([0]), np.array([32.0]), np.array([True]), [{"elapsed_min": 5}])
    for name in loaded._layout():
        if name != "is_open":  # the loaded one can't know that the observation continues its newest step
            assert (getattr(loaded, name) == getattr(buffer, name)).all(), name


@pytest.mark.parametrize("packed", [False, True])
def test_observations_come_back_as_they_went_in(packed):
    buffer, seen = filled([0.0] * 7, [5] * 7, num_envs=3, buffer_size=15, packed=packed)  # five steps: wraps
    index = (4 % 5) * 3 + 1  # step 4, environment 1
    obs = buffer.observations_at(np.array([index, (6 % 5) * 3 + 2]))
    for row, (step, env) in enumerate([(4, 1), (6, 2)]):
        mask = seen[step]["action_mask"][env].astype(bool)
        assert (obs["action_mask"][row].numpy() == mask).all()
        for key in ("drivers", "bookings", "clock", "wait_reward"):
            assert obs[key][row].numpy() == pytest.approx(seen[step][key][env], abs=1e-3)
        for key in ("pairs", "pair_reward"):
            feasible = seen[step][key][env][mask[1:]]
            if packed:
                rows = (obs["pair_at"] // NUM_PAIRS == row).numpy()
                assert obs[key][rows].numpy() == pytest.approx(feasible, abs=1e-3)
                assert ((obs["pair_at"][rows] % NUM_PAIRS).numpy() == np.flatnonzero(mask[1:])).all()
            else:
                assert obs[key][row].numpy()[mask[1:]] == pytest.approx(feasible, abs=1e-3)
                assert not obs[key][row].numpy()[~mask[1:]].any()


def test_dense_days_push_out_the_oldest_steps_and_nothing_else():
    # An arena for an eighth of 4 pairs x 8 steps, and one step more = 8 rows; every step has 4 feasible pairs: two fit.
    space = small_space()
    buffer = ClockReplayBuffer(8, space, spaces.Discrete(5), "cpu", 1, pair_fill=0.125)
    rng = np.random.default_rng(0)
    seen = [observation(rng, space, 1, t / 10) for t in range(6)]
    for t in range(5):
        seen[t]["action_mask"][:] = 1
        buffer.add(seen[t], seen[t + 1], np.array([1]), np.array([float(t)]), np.array([False]), [{}])
    assert buffer.size() == 2
    assert set(buffer.sample(50).indices) == {3}
    assert buffer.observations_at(np.array([4]))["pairs"][0].numpy() == pytest.approx(seen[4]["pairs"][0], abs=1e-3)


def test_random_writing_keeps_every_held_observation_intact():
    space = small_space()
    buffer = ClockReplayBuffer(3 * 11, space, spaces.Discrete(5), "cpu", 3, pair_fill=0.4, packed=False)
    rng = np.random.default_rng(1)
    history = [observation(rng, space, 3, t / 1000) for t in range(200)]
    for t in range(199):
        infos = [{"elapsed_min": 5.0}] * 3
        buffer.add(history[t], history[t + 1], np.zeros(3, int), np.zeros(3), np.zeros(3, bool), infos)
        for step in range(buffer.tail, buffer.head):
            for env in range(3):
                got = buffer.observations_at(np.array([(step % 11) * 3 + env]))
                mask = history[step]["action_mask"][env, 1:].astype(bool)
                assert got["clock"][0, 0] == pytest.approx(step / 1000)
                assert got["pairs"][0].numpy()[mask] == pytest.approx(history[step]["pairs"][env][mask], abs=1e-3)


def test_infeasible_action_is_refused():
    space = small_space()
    buffer = ClockReplayBuffer(10, space, spaces.Discrete(5), "cpu", 1)
    obs = observation(np.random.default_rng(0), space, 1)
    obs["action_mask"][0, 3] = 0
    with pytest.raises(ValueError, match="action 3, which is infeasible"):
        buffer.add(obs, obs, np.array([3]), np.array([0.0]), np.array([False]), [{}])


@pytest.mark.parametrize(("num_drivers", "num_bookings", "limit"), [(5, 15, 2_000), (20, 60, 20_000)])
def test_transition_stays_within_its_memory(num_drivers, num_bookings, limit):
    space = small_space(num_drivers, num_bookings, fd=12, fb=16, fp=12, fc=12)
    buffer = ClockReplayBuffer(64_000, space, spaces.Discrete(num_drivers * num_bookings + 1), "cpu", 64)
    assert buffer.bytes_per_transition <= limit


def test_buffer_over_half_of_the_memory_is_refused_with_the_size_that_fits(monkeypatch):
    space = small_space()
    one = ClockReplayBuffer(1000, space, spaces.Discrete(5), "cpu", 1)
    monkeypatch.setattr(replay, "machine_memory", lambda: int(2 * 500.5 * one.bytes_per_transition))
    with pytest.raises(MemoryError, match="buffer_size=500 or less"):
        one.allocate()
    ClockReplayBuffer(500, space, spaces.Discrete(5), "cpu", 1).allocate()


def test_sum_tree_finds_the_leaf_whose_share_contains_the_number():
    tree = SumTree(5)
    tree.update(np.array([0, 1, 3, 4]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert tree.total == 10.0
    # running sums: leaf 0 [0, 1), leaf 1 [1, 3), leaf 2 empty, leaf 3 [3, 6), leaf 4 [6, 10)
    assert tree.find(np.array([0.0, 0.99, 1.0, 2.9, 3.0, 5.9, 6.0, 9.9, 10.0])).tolist() == [0, 0, 1, 1, 3, 3, 4, 4, 4]
    tree.update(np.array([4, 4]), np.array([9.0, 0.0]))
    assert tree.total == 6.0


def test_sum_tree_agrees_with_plain_sums():
    rng = np.random.default_rng(0)
    tree, values = SumTree(300), np.zeros(300)
    for _ in range(50):
        leaves = rng.permutation(300)[:64]
        values[leaves] = rng.random(64)
        tree.update(leaves, values[leaves])
    assert tree.total == pytest.approx(values.sum())
    numbers = rng.random(500) * values.sum()
    assert (tree.find(numbers) == np.searchsorted(np.cumsum(values), numbers, side="right")).all()


def test_priorities_probabilities_and_importance_weights():
    buffer, _ = filled([0.0] * 5, [5] * 5, cls=PrioritizedClockReplayBuffer, alpha=0.5, beta=1.0, epsilon=0.0)
    assert buffer.num_drawable == 4  # the newest waits for its next observation
    assert buffer.tree.get(np.arange(5)).tolist() == [1, 1, 1, 1, 0]
    buffer.update_priorities(np.array([0, 1, 2, 3]), np.array([-1.0, 4.0, 9.0, 16.0]))
    # p^alpha = 1, 2, 3, 4: probabilities 0.1, 0.2, 0.3, 0.4
    # (N P)^-1 with N = 4: 1/0.4 = 2.5, 1/0.8 = 1.25, 1/1.2, 1/1.6; divided by the largest (2.5): 1, 1/2, 1/3, 1/4
    assert buffer.importance_weights(np.arange(4)) == pytest.approx([1.0, 1 / 2, 1 / 3, 1 / 4])
    counts = np.bincount(buffer.sample(10_000).indices, minlength=4) / 10_000
    assert counts == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-3)  # stratified: nearly exact
    assert buffer.max_priority == 16.0


def test_new_transition_gets_the_largest_priority_seen():
    buffer, seen = filled([0.0] * 3, [5] * 3, cls=PrioritizedClockReplayBuffer, alpha=0.5, epsilon=0.0)
    buffer.update_priorities(np.array([0]), np.array([9.0]))
    buffer.add(seen[3], seen[3], np.array([0]), np.array([0.0]), np.array([False]), [{"elapsed_min": 5}])
    assert buffer.tree.get(np.array([0, 1, 2, 3])).tolist() == [3.0, 1.0, 3.0, 0.0]


def test_overwritten_transitions_leave_the_tree():
    buffer, _ = filled([0.0] * 9, [5] * 9, cls=PrioritizedClockReplayBuffer, buffer_size=4)
    assert buffer.num_drawable == 3
    assert buffer.tree.total == pytest.approx(3.0)
    assert set(buffer.sample(100).indices) == {1, 2, 3}  # steps 5, 6, 7; step 8 in slot 0 is the newest


def test_samples_bootstrap_only_where_the_episode_goes_on():
    buffer, _ = filled([1.0, 2.0, 4.0, 8.0], [5] * 4, dones=[0, 1, 0, 0], n_ticks=1, gamma=0.5)
    batch = buffer.sample(64)
    done = batch.dones.reshape(-1).bool()
    assert (batch.indices[done.numpy()] == 1).all()
    assert batch.bootstraps.tolist() == th.nonzero(~done).reshape(-1).tolist()
    assert len(batch.next_observations["clock"]) == len(batch.bootstraps)
