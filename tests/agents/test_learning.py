"""MaskableDQN reaches the known optimum of a toy day."""

from __future__ import annotations

import pytest
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from agents.maskable_dqn import MaskableDQN
from agents.replay import PrioritizedClockReplayBuffer
from tests.agents.toy import PATIENCE_BEST, PATIENCE_GREEDY, patience_env


def train(policy: str, **kwargs):
    """Return of the deterministic policy before and after some seconds of training."""
    env = make_vec_env(patience_env, n_envs=8, seed=0)
    model = MaskableDQN(
        policy,
        env,
        buffer_size=5_000,
        learning_starts=200,
        batch_size=64,
        reward_scale=10.0,
        seed=0,
        device="cpu",
        **kwargs,
    )
    before = evaluate_policy(model, patience_env(), 1, warn=False)[0]
    model.learn(6_000)
    return before, evaluate_policy(model, patience_env(), 1, warn=False)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"replay_buffer_class": PrioritizedClockReplayBuffer}, {"n_ticks": 0, "averaging": None, "tau": 0.02}],
)
def test_pair_network_starts_greedy_and_learns_patience(options):
    before, after = train("PairPolicy", policy_kwargs={"width": 32}, **options)
    assert before == PATIENCE_GREEDY
    assert after == PATIENCE_BEST


@pytest.mark.slow
def test_dueling_pair_network_learns_patience():
    assert train("PairPolicy", policy_kwargs={"width": 32, "dueling": True}) == (PATIENCE_GREEDY, PATIENCE_BEST)


@pytest.mark.slow
def test_flat_network_learns_patience():
    assert train("MaskableMlpPolicy", policy_kwargs={"net_arch": [64, 64]})[1] == PATIENCE_BEST
