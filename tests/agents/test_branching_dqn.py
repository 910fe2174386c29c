"""The defaults are the agent of the tables in docs/results, and models of before load."""

from __future__ import annotations

import inspect
import json
import zipfile

import numpy as np
import pytest
import yaml

from agents.branching import BranchSettings
from agents.branching_dqn import BranchingDQN
from agents.maskable_dqn import MaskableDQN
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction
from training.blocks import OWN_KEYS
from training.settings import REPO_ROOT

VERSIONS = ("v1", "v2")


def small_batch() -> DispatchVecEnv:
    return DispatchVecEnv(2, reward_function=RewardFunction.load("v2"), num_drivers=2, max_bookings=3, seed=0)


@pytest.mark.parametrize("algo", [MaskableDQN, BranchingDQN])
@pytest.mark.parametrize("version", VERSIONS)
def test_defaults_are_the_settings_of_the_short_shift(algo, version):
    name = "branching_dqn" if algo is BranchingDQN else "maskable_dqn"
    block = yaml.safe_load((REPO_ROOT / "hyperparams" / version / f"{name}.yml").read_text())["Dispatch-v0"]
    model = algo(block["policy"], small_batch(), buffer_size=10, device="cpu")
    for key, value in block.items():
        if key == "branching":
            assert BranchSettings.read(value) == BranchSettings()
        elif key == "policy_kwargs":
            assert value.items() <= model.policy_kwargs.items()
        elif key not in OWN_KEYS:
            assert getattr(model, key) == value, key


def test_constructor_can_be_read():
    own = set(inspect.signature(MaskableDQN.__init__).parameters) - set(
        inspect.signature(MaskableDQN.__mro__[1].__init__).parameters
    )
    assert len(own) <= 8
    assert set(inspect.signature(BranchingDQN.__init__).parameters) >= {"branching", "teacher", "q_learning"}


def test_model_of_before_loads_and_chooses_as_before(tmp_path):
    """A zip of the time when MaskableDQN held everything: more settings, the teacher by its name."""
    model = BranchingDQN("PairPolicy", small_batch(), buffer_size=10, device="cpu", policy_kwargs={"width": 8})
    model.save(tmp_path / "new.zip")
    old = {"masking": "feasible", "tick_min": 5.0, "prioritized": False, "priority_alpha": 0.6, "priority_beta": 0.4}
    old |= {"exploration_decay": None, "teacher": {"rule": "nearest_driver", "until": 0.0, "settings": {}}}
    with zipfile.ZipFile(tmp_path / "new.zip") as source, zipfile.ZipFile(tmp_path / "old.zip", "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, json.dumps({**json.loads(content), **old}) if name == "data" else content)
    observation = model.env.reset()
    expected = model.predict(observation, deterministic=True)[0]
    for algo in (MaskableDQN, BranchingDQN):
        loaded = algo.load(tmp_path / "old.zip", device="cpu")
        assert np.array_equal(loaded.predict(observation, deterministic=True)[0], expected)
    loaded = BranchingDQN.load(tmp_path / "old.zip", env=small_batch(), device="cpu", learning_starts=0)
    assert loaded.teacher is None
    loaded.learn(8)
