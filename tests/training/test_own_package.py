"""An engineer's own environment and algorithm, from a package of their own, and environments without dispatch days."""

from __future__ import annotations

import sys

import gymnasium as gym
import pytest
import yaml
from rl_zoo3.utils import ALGOS
from stable_baselines3 import DQN

import train
from tests.training.tiny import metrics_of, run, write_config

PACKAGE = """
import gymnasium as gym
from rl_zoo3.utils import ALGOS
from stable_baselines3 import DQN

from envs import DispatchEnv


class SlowDispatch(DispatchEnv):
    '''Dispatch as it is, in a class of its own.'''

    def __init__(self, scenario="short_shift", days=None, **kwargs):
        super().__init__(scenario=scenario, days=days, **kwargs)


class OtherDQN(DQN):
    '''DQN under another name.'''


ALGOS["other_dqn"] = OtherDQN
gym.register("SlowDispatch-v0", entry_point="mypkg:SlowDispatch", disable_env_checker=True)
"""
CARTPOLE = {"CartPole-v1": {"n_timesteps": 64, "policy": "MlpPolicy", "learning_starts": 8, "buffer_size": 500}}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on the path; what it registered is forgotten afterwards."""
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "__init__.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "mypkg"
    forget()


def forget() -> None:
    sys.modules.pop("mypkg", None)
    gym.registry.pop("SlowDispatch-v0", None)
    ALGOS.pop("other_dqn", None)


def test_an_algorithm_of_ones_own_trains(tmp_path, package):
    folder = run(tmp_path, "-n", "48", "--gym-packages", package, algo="other_dqn")
    assert folder.parts[-2:] == ("other_dqn", "Dispatch-v0_1") and metrics_of(folder)["num_timesteps"] == 48


def test_an_environment_of_ones_own_trains_under_a_reward_of_ours(tmp_path, package):
    config = write_config(tmp_path, block="SlowDispatch-v0")
    options = ("-n", "48", "--gym-packages", package, "--env", "SlowDispatch-v0", "--reward", "v1")
    folder = run(tmp_path, *options, config=config)
    resolved = yaml.safe_load((folder / "SlowDispatch-v0" / "resolved.yml").read_text())
    assert resolved["hyperparams"]["env_wrapper"] == "reward.RewardV1"
    assert metrics_of(folder)["environment"]["scenario_fingerprint"]


def test_maskable_dqn_leaves_the_native_batch_to_the_environments_it_knows(tmp_path, package, capsys):
    changes = {"policy": "PairPolicy", "policy_kwargs": {"width": 8}}
    config = write_config(tmp_path, block="SlowDispatch-v0", remove=("train_freq", "target_update_interval"), **changes)
    options = ["--gym-packages", package, "--env", "SlowDispatch-v0", "-n", "48"]
    folder = run(tmp_path, *options, config=config, algo="maskable_dqn")
    resolved = yaml.safe_load((folder / "SlowDispatch-v0" / "resolved.yml").read_text())
    assert resolved["args"]["vec_env"] == "dummy"
    arguments = [*options, "--algo", "maskable_dqn", "-conf", str(config), "-f", str(tmp_path), "--vec-env", "batched"]
    assert train.main(arguments) == 2
    assert "SlowDispatch-v0 is a class of its own. Use --vec-env dummy." in capsys.readouterr().err


def test_a_run_remembers_its_packages(tmp_path, package):
    folder = run(tmp_path, "-n", "48", "--gym-packages", package, algo="other_dqn")
    forget()
    assert train.main(["--resume", str(folder), "-n", "72", "--verbose", "0"]) == 0


def test_a_package_that_is_not_there_is_told(tmp_path, capsys):
    assert train.main(["--gym-packages", "no_such_package", "-f", str(tmp_path)]) == 2
    assert "--gym-packages no_such_package: No module named" in capsys.readouterr().err


def test_an_environment_without_a_block_says_what_to_write(tmp_path, capsys):
    assert train.main(["--env", "CartPole-v1", "-f", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "--env CartPole-v1: no hyperparameters are shipped for it." in told
    assert "pass --algo dqn -conf my.yml:\n  CartPole-v1:\n    n_timesteps: 50000\n    policy: MlpPolicy" in told


def test_an_environment_without_dispatch_days_trains_evaluates_and_resumes(tmp_path):
    config, logs = tmp_path / "my.yml", tmp_path / "logs"
    config.write_text(yaml.safe_dump(CARTPOLE))
    options = ["--env", "CartPole-v1", "--algo", "dqn", "-conf", str(config), "-f", str(logs), "--verbose", "0"]
    assert train.main([*options, "--eval-freq", "32", "--eval-episodes", "1", "--save-replay-buffer"]) == 0
    folder = logs / "dqn" / "CartPole-v1_1"  # as rl-zoo3 lays it out: no reward of ours in between
    assert DQN.load(folder / "best_model.zip").num_timesteps in (32, 64)
    assert len(metrics_of(folder)["evaluations"]) == 2
    assert train.main(["--resume", str(folder), "-n", "96", "--verbose", "0"]) == 0
    assert metrics_of(folder)["num_timesteps"] == 96


@pytest.mark.parametrize("option", [["--reward", "v1"], ["--num-drivers", "3"], ["--days-from", "folder"]])
def test_options_of_dispatch_days_are_refused_elsewhere(tmp_path, capsys, option):
    config = tmp_path / "my.yml"
    config.write_text(yaml.safe_dump(CARTPOLE))
    assert train.main(["--env", "CartPole-v1", "--algo", "dqn", "-conf", str(config), *option]) == 2
    assert f"{option[0]} is for dispatch days, and CartPole-v1 has none" in capsys.readouterr().err


def test_an_algorithm_for_dispatch_is_refused_elsewhere_with_a_message(tmp_path, capsys):
    config = tmp_path / "my.yml"
    config.write_text(yaml.safe_dump({"CartPole-v1": {"n_timesteps": 64, "policy": "MaskableMlpPolicy"}}))
    assert train.main(["--env", "CartPole-v1", "-conf", str(config), "-f", str(tmp_path / "logs")]) == 2
    assert "Use DQN for environments without a mask" in capsys.readouterr().err
