"""Models are read without unpickling anything."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import stable_baselines3.common.save_util as save_util
import torch as th
from stable_baselines3 import PPO

from agents.maskable_dqn import MaskableDQN
from agents.plain_zip import NeedsPickle, plain_objects
from evaluation.players import load_model
from evaluation.runs import TRAINED_AGENTS, ModelError, find_run
from tests.agents.toy import ToyDispatch

MODELS = sorted(TRAINED_AGENTS.glob("*-seed1/*.zip"))


@pytest.fixture
def no_pickle(monkeypatch):
    """Unpickling fails."""

    def refuse(*_: Any) -> None:
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(save_util.cloudpickle, "loads", refuse)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.name)
def test_shipped_model_is_read_without_pickle(path, no_pickle):
    model = load_model(find_run(path))
    assert model.observation_space["action_mask"].n == model.action_space.n


def test_weights_and_spaces_are_those_of_the_model(tmp_path, no_pickle):
    model = MaskableDQN("PairPolicy", ToyDispatch(3, 4), buffer_size=16, device="cpu", policy_kwargs={"width": 8})
    model.save(tmp_path / "model.zip")
    read = MaskableDQN.load(tmp_path / "model.zip", custom_objects=plain_objects(tmp_path / "model.zip"), device="cpu")
    assert read.observation_space == model.observation_space and read.action_space == model.action_space
    for here, there in zip(model.policy.state_dict().values(), read.policy.state_dict().values(), strict=True):
        assert th.equal(here, there)


def test_classes_of_torch_are_looked_up(tmp_path, no_pickle):
    path = tmp_path / "model.zip"
    PPO("MultiInputPolicy", ToyDispatch(3, 4), n_steps=8, policy_kwargs={"activation_fn": th.nn.ReLU}).save(path)
    assert plain_objects(path)["policy_kwargs"] == {"activation_fn": th.nn.ReLU}


class OwnActivation(th.nn.ReLU):
    """Of a package that nobody knows."""


def test_model_that_needs_pickle_is_refused_unless_trusted(tmp_path):
    path = tmp_path / "model.zip"
    PPO("MultiInputPolicy", ToyDispatch(3, 4), n_steps=8, policy_kwargs={"activation_fn": OwnActivation}).save(path)
    with pytest.raises(NeedsPickle, match="activation_fn"):
        plain_objects(path)
    assert plain_objects(path, packages=("tests",))["policy_kwargs"]["activation_fn"] is OwnActivation
    with pytest.raises(ModelError, match="Pass --trust"):
        load_model(find_run(path))
    load_model(dataclasses.replace(find_run(path), is_trusted=True))


def test_planted_code_is_not_run(tmp_path):
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    PPO("MultiInputPolicy", ToyDispatch(3, 4), n_steps=8).save(good)
    plant(good, bad, "ep_info_buffer")
    load_model(find_run(bad))
    assert not (tmp_path / "made").exists()
    plant(good, bad, "of_an_attacker")
    with pytest.raises(ModelError, match="'of_an_attacker' is a pickled object"):
        load_model(find_run(bad))
    assert not (tmp_path / "made").exists()


def plant(good: Path, bad: Path, key: str) -> None:
    """A copy of a model with an object under this key that makes a file when it is unpickled."""
    import base64
    import pickle

    class Planted:
        def __reduce__(self) -> Any:
            return Path.touch, (bad.parent / "made",)

    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "data":
                data = json.loads(content)
                data[key] = {":type:": "object", ":serialized:": base64.b64encode(pickle.dumps(Planted())).decode()}
                content = json.dumps(data).encode()
            target.writestr(name, content)


def test_policy_of_an_unknown_package_is_not_looked_up(tmp_path):
    path = tmp_path / "data.zip"
    policy = {":type:": "type", ":serialized:": "", "__module__": "os", "__init__": "<function system.__init__ at 0>"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps({"policy_class": policy}))
    with pytest.raises(NeedsPickle, match="no known package"):
        plain_objects(path)
    with pytest.raises(NeedsPickle):
        plain_objects(path, packages=("os",))  # no policy either
