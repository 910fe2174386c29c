"""The agent without its mask, as the ablation trains it."""

from __future__ import annotations

import numpy as np
import pytest

from agents.masking import INFEASIBLE
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction
from studies.unmasked import AllActionsDQN, PresentPairsDQN

FLAT = {"policy": "MaskableMlpPolicy", "policy_kwargs": {"net_arch": [32, 32]}}
PAIR = {"policy": "PairPolicy", "policy_kwargs": {"width": 16}}
BRANCHING = {"start": 0.4, "horizon_ticks": 2.0, "states": 4, "actions": 3, "random_actions": 1, "rows": 24, "every": 1}


def batch_env() -> DispatchVecEnv:
    return DispatchVecEnv(8, reward_function=RewardFunction.load("v2"), seed=0)


def test_masks_by_hand():
    # Two drivers, the second absent; two bookings. Pairs: (0, 0) infeasible, (0, 1) feasible, those of driver 1 absent.
    obs = {
        "drivers": np.array([[[1.0], [0.0]]]),
        "bookings": np.array([[[1.0], [1.0]]]),
        "action_mask": np.array([[1, 0, 1, 0, 0]], np.int8),
    }
    model = object.__new__(PresentPairsDQN)
    assert model.as_seen(obs)["action_mask"].tolist() == [[1, 1, 1, 0, 0]]
    assert AllActionsDQN.as_seen(model, obs)["action_mask"].tolist() == [[1] * 5]  # type: ignore[arg-type]
    assert obs["action_mask"].tolist() == [[1, 0, 1, 0, 0]]  # the environment's own stays as it is


@pytest.mark.parametrize(("algo", "network"), [(PresentPairsDQN, PAIR), (AllActionsDQN, FLAT)])
def test_it_learns_and_goes_by_no_mask(algo, network):
    model = algo(
        **network,
        env=batch_env(),
        buffer_size=1_000,
        learning_starts=64,
        batch_size=16,
        branching={**BRANCHING, "batch_size": 16, "buffer_states": 400},
        replay_buffer_kwargs={"pair_fill": 1.0},
        seed=0,
        device="cpu",
    )
    model.learn(400)
    # a pair that is not feasible has a row of zeros, so its first feature, is_feasible, is 0
    samples = model._branching.buffer.sample_states(200)
    assert (samples.observations["pairs"].reshape(-1, samples.observations["pairs"].shape[-1])[:, 0] == 0).any()
    # The network is asked about infeasible actions too, and a mask from outside is ignored as the observed one is.
    obs = batch_env().reset()
    wait_only = np.eye(1, obs["action_mask"].shape[1], dtype=np.int8).repeat(8, 0)
    assert (model.q_values({**obs, "action_mask": wait_only}) > INFEASIBLE).sum() > 8
    free, _ = model.predict(obs, deterministic=True)
    masked, _ = model.predict(obs, deterministic=True, action_masks=wait_only)
    assert free.tolist() == masked.tolist()
