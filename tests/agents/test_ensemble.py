"""Several networks as one agent."""

from __future__ import annotations

from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch as th

from agents.candidates import Candidates
from agents.ensemble import EnsemblePolicy
from agents.maskable_dqn import MaskableDQN
from agents.masking import INFEASIBLE
from reward import RewardV2
from tests.agents.toy import ToyDispatch

LOWEST = np.float32(INFEASIBLE)
SMALL = {"buffer_size": 10, "device": "cpu", "policy_kwargs": {"width": 8}}


class Fixed:
    """Answers the same Q-values always."""

    reward_scale, horizon_min, prices = 100.0, None, None
    policy = SimpleNamespace(candidates=None)

    def __init__(self, *q_values: float, **changed) -> None:
        self.answer = np.array(q_values, np.float32)
        self.__dict__.update(changed)

    def as_seen(self, observation):
        return observation

    def q_values(self, observation):
        return np.where(observation["action_mask"] > 0, self.answer, LOWEST)


def test_the_mean_decides_and_not_the_majority():
    # wait, pair 0, pair 1:  (0, 1, 0), (0, 1, 0), (0, -5, 3)  mean (0, -1, 1): action 2, though two of three prefer 1.
    policy = EnsemblePolicy([Fixed(0, 1, 0), Fixed(0, 1, 0), Fixed(0, -5, 3)])
    observation = {"action_mask": np.ones(3, np.int8)}
    assert policy.q_values(observation) == pytest.approx([0, -1, 1])
    assert policy.predict(observation)[0] == 2
    # Without pair 1: (0, -1): wait.
    assert policy.predict(observation, action_masks=np.array([True, True, False]))[0] == 0


def test_infeasible_actions_stay_the_worst():
    # The sum of two most negative float32 overflows to -inf in float32; the mean in float64 does not.
    policy = EnsemblePolicy([Fixed(-2, 5, 5), Fixed(-4, 5, 5)])
    q = policy.q_values({"action_mask": np.array([[1, 0, 0]], np.int8)})
    assert np.isfinite(q).all()
    assert q[0, 0] == -3
    assert (policy.predict({"action_mask": np.array([[1, 0, 0]], np.int8)})[0] == [0]).all()


def test_one_network_alone_chooses_as_itself():
    model = MaskableDQN("PairPolicy", ToyDispatch(3, 4), seed=0, **SMALL)
    observation, _ = ToyDispatch(3, 4).reset(seed=3)
    alone = EnsemblePolicy([model])
    assert alone.q_values(observation) == pytest.approx(model.q_values(observation).astype(float))
    assert alone.predict(observation)[0] == model.predict(observation, deterministic=True)[0]


def test_models_of_other_units_or_prices_are_refused():
    with pytest.raises(ValueError, match="none"):
        EnsemblePolicy([])
    with pytest.raises(ValueError, match=r"differ in reward_scale: \[100.0, 10.0\]"):
        EnsemblePolicy([Fixed(0, 1), Fixed(0, 1, reward_scale=10.0)])
    with pytest.raises(ValueError, match="differ in prices"):
        EnsemblePolicy([Fixed(0, 1), Fixed(0, 1, prices={"price_priority": 1.0})])


def test_large_fleets_are_scored_as_small_ones():
    env = RewardV2(gym.make("Dispatch-v0"))  # 5 drivers: 5 candidates a booking are all pairs
    models = [MaskableDQN("PairPolicy", env, seed=seed, **SMALL) for seed in (0, 1, 2)]
    for model in models:
        th.nn.init.normal_(model.q_net.score_head.weight, std=0.3)
    policy = EnsemblePolicy(models)
    observation, _ = env.reset(options={"day": 5})
    taken = []
    for _ in range(40):
        for model in models:
            model.policy.candidates = None
        all_scored = int(policy.predict(observation)[0])
        for model in models:
            model.policy.candidates = Candidates(above=1, per_booking=5)
        assert policy.predict(observation)[0] == all_scored
        taken.append(all_scored)
        observation = env.step(all_scored)[0]
    assert len(set(taken)) > 5
