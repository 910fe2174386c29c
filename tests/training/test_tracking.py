"""--track: rl-zoo3's flag, with a stand-in for wandb."""

from __future__ import annotations

import importlib.util
import sys
import types

import train
from tests.training.tiny import run, write_config


def test_without_wandb_the_flag_says_what_to_do(tmp_path, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else found(name))
    arguments = ["--algo", "dqn", "-conf", str(write_config(tmp_path)), "-f", str(tmp_path / "logs"), "--track"]
    assert train.main([*arguments, "--verbose", "0"]) == 2
    assert "--track: Weights & Biases is not installed. pip install wandb" in capsys.readouterr().err
    assert not (tmp_path / "logs").exists()


def test_a_tracked_run_is_begun_before_its_curves_and_finished(tmp_path, monkeypatch):
    calls = []

    class Run:
        def finish(self):
            calls.append("finish")

    def init(**given):
        calls.append(given)
        return Run()

    wandb = types.ModuleType("wandb")
    wandb.init = init
    wandb.__spec__ = importlib.util.spec_from_loader("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    folder = run(tmp_path, "-n", "24", "--track", "--wandb-group", "tests", "-tags", "tiny", "quick")
    begun, ended = calls
    assert ended == "finish"
    assert (begun["group"], begun["tags"], begun["sync_tensorboard"]) == ("tests", ["tiny", "quick"], True)
    assert begun["dir"] == str(folder) and begun["config"]["hyperparams"]["learning_rate"] == 0.001
