"""One model in many sizes, its values in a matching, and rl-zoo3's tables."""

from __future__ import annotations

import numpy as np
import pytest
from rl_zoo3.utils import ALGOS
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from agents import zoo
from agents.hybrid import MatchingPolicy, best_of_matching
from agents.maskable_dqn import MaskableDQN
from agents.maskable_ppo import MaskablePPO
from agents.masking import MAX_HORIZON_MIN
from agents.transfer import load_for
from envs.observation import BOOKING_FEATURES
from tests.agents.toy import ToyDispatch

SMALL = {"buffer_size": 2_000, "learning_starts": 50, "batch_size": 16, "seed": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    env = make_vec_env(lambda: ToyDispatch(5, 15), n_envs=4, seed=0)
    model = MaskableDQN("PairPolicy", env, **SMALL, reward_scale=10.0, policy_kwargs={"width": 16}).learn(400)
    path = tmp_path_factory.mktemp("model") / "model.zip"
    model.save(path)
    return model, path


def pad(obs, n: int, m: int):
    """The same state of 5 drivers and 15 slots in an observation of n x m."""
    big = {
        key: np.zeros(space.shape or (), space.dtype)
        for key, space in ToyDispatch(n, m).observation_space.spaces.items()
    }
    big["drivers"][:5], big["bookings"][:15] = obs["drivers"], obs["bookings"]
    big["clock"], big["wait_reward"] = obs["clock"], obs["wait_reward"]
    for key in ("pairs", "pair_reward"):
        tail = obs[key].shape[1:]
        big[key].reshape(n, m, *tail)[:5, :15] = obs[key].reshape(5, 15, *tail)
    big["action_mask"][0] = 1
    big["action_mask"][1:].reshape(n, m)[:5, :15] = obs["action_mask"][1:].reshape(5, 15)
    return big


@pytest.mark.parametrize(("n", "m"), [(10, 30), (50, 200)])
def test_model_answers_the_same_in_a_larger_fleet(trained, n, m):
    model, path = trained
    large = load_for(path, ToyDispatch(n, m), device="cpu")
    env = ToyDispatch(5, 15)
    obs, _ = env.reset(seed=1)
    for _ in range(12):
        small_q, large_q = model.q_values(obs), large.q_values(pad(obs, n, m))
        assert large_q[0] == pytest.approx(small_q[0], abs=1e-5)
        feasible = obs["action_mask"][1:].reshape(5, 15).astype(bool)
        pairs = large_q[1:].reshape(n, m)[:5, :15]
        assert pairs[feasible] == pytest.approx(small_q[1:].reshape(5, 15)[feasible], abs=1e-5)
        obs = env.step(model.predict(obs, deterministic=True)[0])[0]


def test_transferred_model_trains_on(trained):
    _, path = trained
    env = make_vec_env(lambda: ToyDispatch(7, 9), n_envs=2, seed=0)
    model = load_for(path, env, device="cpu")
    model.learn(100, reset_num_timesteps=False)
    assert model.num_timesteps == 500


def test_other_features_are_refused(trained):
    _, path = trained
    with pytest.raises(ValueError, match="6 features per row of 'bookings', but the environment has 8"):
        load_for(path, ToyDispatch(5, 15, booking_dim=8))


def test_flat_network_is_refused(tmp_path):
    model = MaskableDQN("MaskableMlpPolicy", ToyDispatch(2, 4), **SMALL, policy_kwargs={"net_arch": [8]})
    model.save(tmp_path / "flat")
    with pytest.raises(ValueError, match="one number of drivers and bookings only"):
        load_for(tmp_path / "flat.zip", ToyDispatch(3, 4))


def test_matching_gives_the_contested_booking_to_whom_it_matters():
    # advantages  b0 b1     driver 0 alone would take b0 (10); then driver 1 is left with b1 (1): 11 in total.
    #         d0  10  8     The matching d0-b1, d1-b0 is worth 17; its best pair is d1-b0: action 1 + 1 x 2 + 0 = 3.
    #         d1   9  1
    values = np.array([[10.0, 8.0], [9.0, 1.0]])
    assert best_of_matching(values + 5.0, np.ones((2, 2), bool), wait_value=5.0) == 3


def test_a_driver_matched_to_a_booking_ahead_is_kept_for_it():
    # advantages  b0 b1     b1 is too far ahead to be assigned. d0-b0, d1-b1 is worth 10 + 9, d0-b1, d1-b0 8 + 1:
    #         d0  10  8     d0-b0 is the best pair that may be the answer, action 1. With d1 alone only b1, 9 against 1,
    #         d1   1  9     is matched: wait, though d1-b0 beats waiting too.
    values, near = np.array([[10.0, 8.0], [1.0, 9.0]]), np.array([[True, False], [True, False]])
    assert best_of_matching(values, np.ones((2, 2), bool), 0.0, may_answer=near) == 1
    only_d1 = np.array([[False, False], [True, True]])
    assert best_of_matching(values, only_d1, 0.0, may_answer=near) == 0
    assert best_of_matching(values, only_d1, 0.0) == 4


def test_the_share_of_what_was_learned_is_mixed_with_the_start(trained):
    model, _ = trained
    obs = ToyDispatch(5, 15).reset(seed=2)[0]
    batch = {key: np.asarray(value)[None] for key, value in obs.items()}
    feasible = obs["action_mask"].astype(bool)
    scale = model.policy.q_net.pair_reward_scale
    start = scale * np.concatenate([obs["wait_reward"].reshape(-1), obs["pair_reward"].reshape(-1)])
    learned = model.q_values(obs).astype(np.float64) - start
    for share in (0.0, 0.5, 1.0, 1.5):
        values = MatchingPolicy(model, learned_share=share)._values(batch)[0]
        assert values[feasible] == pytest.approx((start + share * learned)[feasible], abs=1e-4)


def test_only_bookings_within_the_look_ahead_are_matched(trained):
    # earliest pickups 0, 40 and 80 min ahead; a model that looks 30 min ahead sees the first, with 20 min more two
    model, _ = trained
    bookings = np.zeros((1, 3, len(BOOKING_FEATURES)), np.float32)
    bookings[0, :, BOOKING_FEATURES.index("minutes_until_earliest")] = np.array([0.0, 40.0, 80.0]) / MAX_HORIZON_MIN
    observation = {"bookings": bookings, "action_mask": np.ones((1, 1 + 2 * 3), np.int8)}
    try:
        model.horizon_min = 30.0
        assert model.as_seen(observation)["action_mask"][0].tolist() == [True, *[True, False, False] * 2]
        assert model.as_seen(observation, 20.0)["action_mask"][0].tolist() == [True, *[True, True, False] * 2]
    finally:
        model.horizon_min = None


def test_a_network_without_a_start_knows_no_share():
    model = MaskableDQN("PairPolicy", ToyDispatch(2, 4), **SMALL, policy_kwargs={"width": 8, "use_pair_reward": False})
    with pytest.raises(ValueError, match="needs a pair network with use_pair_reward"):
        MatchingPolicy(model, learned_share=0.5)


def test_matching_waits_when_no_pair_beats_waiting():
    assert best_of_matching(np.array([[1.0, 2.0]]), np.ones((1, 2), bool), wait_value=2.0) == 0
    assert best_of_matching(np.array([[1.0, 9.0]]), np.array([[True, False]]), wait_value=2.0) == 0


def test_matching_policy_answers_batches_as_singles(trained):
    policy = MatchingPolicy(trained[0])
    observations = []
    for seed in range(8):
        env = ToyDispatch(5, 15)
        obs, _ = env.reset(seed=seed)
        for _ in range(seed):
            obs = env.step(0)[0]
        obs["drivers"][:, 2] = np.linspace(-1, 1, 5)  # equal drivers would tie, and rounding would break the ties
        observations.append(obs)
    batch = {key: np.stack([obs[key] for obs in observations]) for key in observations[0]}
    actions, _ = policy.predict(batch)
    feasible = batch["action_mask"].astype(bool)
    for action, q, mask in zip(actions, trained[0].q_values(batch), feasible, strict=True):
        assert action == best_of_matching(q[1:].reshape(5, 15), mask[1:].reshape(5, 15), q[0])
    assert [policy.predict(obs)[0].shape for obs in observations] == [()] * 8
    assert batch["action_mask"][np.arange(8), actions].all()
    evaluate_policy(policy, make_vec_env(lambda: ToyDispatch(5, 15), n_envs=2, seed=0), 4)


def test_zoo_knows_our_algorithms():
    zoo.register()
    before = dict(ALGOS)
    zoo.register()
    assert before == ALGOS
    assert ALGOS["maskable_dqn"] is MaskableDQN


def test_masked_ppo_uses_the_observed_mask_under_stock_evaluation():
    env = make_vec_env(lambda: ToyDispatch(2, 4), n_envs=2, seed=0)
    model = MaskablePPO("MultiInputPolicy", env, n_steps=16, batch_size=16, device="cpu").learn(64)
    evaluate_policy(model, env, 4, deterministic=False)
    assert sum(env.get_attr("num_infeasible")) == 0
