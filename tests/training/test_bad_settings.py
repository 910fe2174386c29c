"""What stands on the command line or in a hyperparameter file ends in a run or in a message, never in a traceback."""

from __future__ import annotations

import argparse
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import train
from checked import SettingsError
from tests.training.test_training_resume import BRANCHING
from tests.training.tiny import TINY_DQN, run, write_config
from training.blocks import known_keys
from training.options import build_parser, literal
from training.registration import register

HUGE = "9" * 30
DECAY = "training.callbacks.EpsilonDecayPerEpisode"
PPO = {
    "env_wrapper": "reward.RewardV2",
    "env_kwargs": {"num_drivers": 2, "max_bookings": 3},
    "n_envs": 2,
    "n_timesteps": 64,
    "policy": "MultiInputPolicy",
    "n_steps": 16,
    "batch_size": 16,
}
BLOCKS = {
    "dqn": {**TINY_DQN, "n_timesteps": 30},
    "ppo": PPO,
    "branching_dqn": {**BRANCHING, "env_kwargs": TINY_DQN["env_kwargs"], "env_wrapper": "reward.RewardV2"}
    | {"batch_size": 8, "n_timesteps": 64},
}
VALUES: tuple[Any, ...] = (
    None,
    "abc",
    "torch.nn.ReLU",
    -5,
    0,
    0.5,
    10**30,
    float("nan"),
    float("inf"),
    True,
    [],
    [1, 2],
    {},
    {"x": 1},
)


def told(tmp_path: Path, capsys: Any, *options: str) -> str | None:
    """What the command said when it refused; None when it ran. A refused run leaves no folder."""
    logs = tmp_path / "logs"
    try:
        code = train.main(["-f", str(logs), "--verbose", "0", "--eval-freq", "-1", *options])
    except SystemExit as stop:
        code = int(stop.code or 0)
    err = capsys.readouterr().err
    assert code in (0, 2)
    assert code == 0 or (err.strip() and "Traceback" not in err)
    if code == 2:
        assert not list(logs.rglob("resolved.yml")) and not list(logs.glob("*/*/*_*"))
    shutil.rmtree(logs, ignore_errors=True)
    return err if code == 2 else None


# --- YAML -------------------------------------------------------------------------------------------------------------


def bad_blocks() -> list[tuple[str, str, Any]]:
    register()
    return [(algo, key, value) for algo in BLOCKS for key in sorted(known_keys(algo)) for value in VALUES]


def check_blocks(tmp_path: Path, capsys: Any, chosen: list[tuple[str, str, Any]]) -> None:
    faults = []
    for algo, key, value in chosen:
        path = tmp_path / "bad.yml"
        path.write_text(yaml.safe_dump({"Dispatch-v0": {**BLOCKS[algo], key: value}}))
        try:
            told(tmp_path, capsys, "--algo", algo, "-conf", str(path))
        except Exception as error:
            faults.append(f"{algo}, {key}: {value!r} ended in {type(error).__name__}: {error}")
    assert not faults, "\n".join(faults)


def test_values_that_can_not_be_end_in_a_message(tmp_path, capsys):
    check_blocks(tmp_path, capsys, random.Random(0).sample(bad_blocks(), 40))


@pytest.mark.slow
def test_every_value_that_can_not_be_ends_in_a_message(tmp_path, capsys):
    check_blocks(tmp_path, capsys, bad_blocks())


@pytest.mark.parametrize(
    ("algo", "key", "value", "words"),
    [
        ("dqn", "gamma", float("nan"), "gamma: expected a number from 0 to 1, came nan"),
        ("dqn", "learning_rate", float("nan"), "learning_rate"),
        ("dqn", "learning_rate", "lin_nan", "learning_rate"),
        ("dqn", "batch_size", 0, "batch_size: expected a whole number from 1"),
        ("dqn", "buffer_size", 10**11, "buffer_size"),
        ("dqn", "train_freq", [1, "day"], "train_freq"),
        ("dqn", "policy_kwargs", {"net_arch": "wide"}, "policy_kwargs"),
        ("dqn", "policy_kwargs", {"nothing_like_it": 1}, "policy_kwargs"),
        ("dqn", "optimize_memory_usage", True, "optimize_memory_usage"),
        ("branching_dqn", "branching", {"start": 2.0}, "start"),
        ("branching_dqn", "buffer_size", 10**11, "buffer_size"),
        ("ppo", "ent_coef", 10**30, "ent_coef: expected a number from 0 to 1e+06"),
        ("ppo", "normalize", True, "normalize: {norm_obs: false}"),
        ("ppo", "normalize", {"norm_everything": True}, "normalize"),
        ("ppo", "callback", [{DECAY: {"initial": 1.0, "final": 0.1, "factor": 0.9}}], "no exploration rate"),
    ],
)  # fmt: skip
def test_refused_setting_is_named(tmp_path, capsys, algo, key, value, words):
    path = tmp_path / "bad.yml"
    path.write_text(yaml.safe_dump({"Dispatch-v0": {**BLOCKS[algo], key: value}}))
    said = told(tmp_path, capsys, "--algo", algo, "-conf", str(path))
    assert said is not None and words in said


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("callback", [{"subprocess.Popen": {"args": ["touch", "made"]}}], "not of a package"),
        ("callback", "os.system", "not of a package"),
        ("callback", "stable_baselines3.common.save_util.load_from_pkl", "is no stable_baselines3 BaseCallback"),
        ("env_wrapper", {"torch.hub.load": {"repo_or_dir": "x"}}, "not of a package"),
        ("vec_env_wrapper", "builtins.exec", "not of a package"),
        ("policy", "shutil.rmtree", "not of a package"),
        ("policy_kwargs", {"activation_fn": "os.abort"}, "not of a package"),
        ("policy_kwargs", {"optimizer_class": "torch.nn.ReLU"}, "is no torch Optimizer"),
        ("replay_buffer_class", "pickle.Unpickler", "not of a package"),
    ],
)
def test_settings_name_classes_of_known_packages_only(tmp_path, capsys, key, value, words):
    path = write_config(tmp_path, **{key: value})
    said = told(tmp_path, capsys, "--algo", "dqn", "-conf", str(path), "--env", "Dispatch-v0")
    assert said is not None and words in said and key in said


# --- command line -----------------------------------------------------------------------------------------------------


def flags() -> list[tuple[str, ...]]:
    """Every flag with values of every wrong kind, and without one."""
    bad = []
    for action in build_parser()._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        flag = action.option_strings[-1]
        values = (
            "abc",
            "",
            "-5",
            "0",
            "0.5",
            "nan",
            HUGE,
            "x:1",
            "x:__import__('os').system('true')",
            "/proc/none",
            "no:such",
        )
        bad += [(flag,), *((flag, value) for value in values)]
    return bad


def check_flags(tmp_path: Path, capsys: Any, monkeypatch: Any, chosen: list[tuple[str, ...]]) -> None:
    monkeypatch.setattr("training.search.command.run", lambda *_: [])
    monkeypatch.chdir(tmp_path)  # where a journal or a folder of that name may be made
    config = str(write_config(tmp_path, n_timesteps=30))
    faults = []
    for words in chosen:
        joined = f"{words[0]}={words[1]}" if len(words) == 2 and words[1].startswith("-") else None
        for more in ([], ["-optimize"]):
            try:
                told(
                    tmp_path,
                    capsys,
                    "--algo",
                    "dqn",
                    "-n",
                    "30",
                    "-conf",
                    config,
                    *more,
                    *([joined] if joined else words),
                )
            except Exception as error:
                faults.append(f"{words} {more} ended in {type(error).__name__}: {error}")
    assert not faults, "\n".join(faults)


def test_flags_that_can_not_be_end_in_a_message(tmp_path, capsys, monkeypatch):
    check_flags(tmp_path, capsys, monkeypatch, random.Random(0).sample(flags(), 40))


@pytest.mark.slow
def test_every_flag_that_can_not_be_ends_in_a_message(tmp_path, capsys, monkeypatch):
    check_flags(tmp_path, capsys, monkeypatch, flags())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-n", "0"], "--n-timesteps 0: expected a whole number from 1"),
        (["-n", "-5"], "--n-timesteps -5"),
        (["--seed", HUGE], "--seed"),
        (["--gym-packages", "no_such_package_at_all"], "--gym-packages no_such_package_at_all"),
        (["--env-kwargs", "load:__import__('os').getpid()"], "expected key:value with a number"),
        (["--env-kwargs", "num_drivers:'many'"], "num_drivers"),
        (["--eval-env-kwargs", "days:7"], "days"),
        (["--train-days", f"0-{HUGE}", "--days-from", "."], "holds more than"),
    ],
)
def test_refused_flag_is_named(tmp_path, capsys, options, words):
    said = told(tmp_path, capsys, "--algo", "dqn", "-conf", str(write_config(tmp_path)), *options)
    assert said is not None and words in said


def test_empty_folder_of_days_is_told(tmp_path, capsys):
    (tmp_path / "days").mkdir()
    options = ("--env", "DispatchDay-v0", "--days-from", str(tmp_path / "days"))
    said = told(tmp_path, capsys, "--algo", "dqn", *options)
    assert said is not None and "--days-from" in said


def test_model_of_another_algorithm_is_told(tmp_path, capsys):
    folder = run(tmp_path / "first", "-n", "30", config=write_config(tmp_path))
    path = tmp_path / "ppo.yml"
    path.write_text(yaml.safe_dump({"Dispatch-v0": PPO}))
    said = told(tmp_path, capsys, "--algo", "ppo", "-conf", str(path), "-i", str(folder / "Dispatch-v0.zip"))
    assert said is not None and "a model of dqn, and ppo is to be trained" in said


@pytest.mark.parametrize(
    ("text", "value"),
    [("2.0", 2.0), ("1e-4", 1e-4), ("'a b'", "a b"), ("[1, 2]", [1, 2]), ("dict(net_arch=[64])", {"net_arch": [64]}),
     ("true", True), ("None", None), ("-3", -3)],
)  # fmt: skip
def test_literals_are_read(text, value):
    assert literal(text) == value


@pytest.mark.parametrize("text", ["open('x')", "dict(a=print())", "().__class__", "load", "[" * 3000, ""])
def test_code_is_not_run(text):
    with pytest.raises((ValueError, SyntaxError, MemoryError, RecursionError)):
        literal(text)


def test_a_package_that_fails_when_it_is_imported_is_told(tmp_path, monkeypatch):
    (tmp_path / "broken_by_itself.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SettingsError, match="--gym-packages broken_by_itself: division by zero"):
        register(["broken_by_itself"])
