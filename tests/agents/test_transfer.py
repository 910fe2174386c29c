"""One model in many sizes, and rl-zoo3's tables."""

from __future__ import annotations

import numpy as np
import pytest
from rl_zoo3.utils import ALGOS
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from agents import zoo
from agents.branching_dqn import BranchingDQN
from agents.maskable_dqn import MaskableDQN
from agents.maskable_ppo import MaskablePPO
from agents.transfer import load_for
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


def test_zoo_knows_our_algorithms():
    zoo.register()
    before = dict(ALGOS)
    zoo.register()
    assert before == ALGOS
    assert (ALGOS["maskable_dqn"], ALGOS["branching_dqn"]) == (MaskableDQN, BranchingDQN)


def test_masked_ppo_uses_the_observed_mask_under_stock_evaluation():
    env = make_vec_env(lambda: ToyDispatch(2, 4), n_envs=2, seed=0)
    model = MaskablePPO("MultiInputPolicy", env, n_steps=16, batch_size=16, device="cpu").learn(64)
    evaluate_policy(model, env, 4, deterministic=False)
    assert sum(env.get_attr("num_infeasible")) == 0
