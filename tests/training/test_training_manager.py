"""What the manager does differently from rl-zoo3's, each once."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import yaml

import custom_envs  # noqa: F401
import train
from agents.maskable_dqn import MaskableDQN
from baselines import tuned_settings
from checked import SettingsError
from envs import DispatchEnv
from envs.days.scenario import Scenario
from tests.training.tiny import DECISIONS, metrics_of, monitor_returns, run, write_config
from training.environments import Environments
from training.recipe import Recipe, check_buffer
from training.run_folder import read_resolved
from training.settings import REPO_ROOT, RunSettings
from training.zoo import ZooManager


class Charge(gym.RewardWrapper):
    """Takes one point per decision: an episode of the raw environment, which pays 0, then returns -24."""

    def reward(self, reward):
        return float(reward) - 1.0


class CountedDispatch(DispatchEnv):
    """Remembers the days that its instances were made for."""

    made: list[tuple[int, int]] = []  # noqa: RUF012

    def __init__(self, scenario="short_shift", days=None, **kwargs):
        CountedDispatch.made.append(days)
        super().__init__(scenario=scenario, days=days, **kwargs)


# Not by its name: custom_envs.py may have put ours in its place, depending on what was imported first.
StockManager = ZooManager.__bases__[0]


def trained_by(manager_class: type, folder: Path, **changes) -> Path:
    """A short run of dispatch, as rl-zoo3's command makes it, under the given manager."""
    config = write_config(folder, env_wrapper="tests.training.test_training_manager.Charge", **changes)
    return made_by_zoo(manager_class, "Dispatch-v0", config, n_timesteps=2 * DECISIONS, eval_freq=DECISIONS)


def made_by_zoo(manager_class: type, env_id: str, config: Path, **options) -> Path:
    """The run folder of a run that goes through rl-zoo3's steps, beside its hyperparameter file."""
    args = argparse.Namespace(log_folder=str(config.parent), env_kwargs=None, gym_packages=["tests"])
    options = {"n_eval_episodes": 2, "log_interval": -1, "config": str(config), "verbose": 0, **options}
    manager = manager_class(args, "dqn", env_id, str(config.parent), **options)
    prepared = manager.setup_experiment()
    assert prepared is not None
    model, _ = prepared
    manager.learn(model)
    manager.save_trained_model(model)
    return Path(manager.save_path)


def test_logged_return_is_the_wrapped_one(tmp_path):
    # 24 decisions at -1 each; the stock manager's Monitor sits inside the wrapper and sees the environment's 0
    folder = trained_by(ZooManager, tmp_path / "ours", env_kwargs={})
    assert monitor_returns(folder) == [-24.0, -24.0]
    assert np.load(folder / "evaluations.npz")["results"].tolist() == [[-24.0, -24.0]] * 2


def test_stock_manager_logs_the_raw_return(tmp_path):
    """Shows that the test above tests something; when rl-zoo3 changes this, our override can go."""
    folder = trained_by(StockManager, tmp_path / "stock", env_kwargs={})
    assert monitor_returns(folder) == [0.0, 0.0]


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    for name in ("ours", "stock"):
        (tmp_path / name).mkdir()


def test_yaml_env_kwargs_reach_the_evaluation_environment(tmp_path):
    # 2 drivers x 3 slots in the YAML, 5 x 15 by default: an evaluation at the wrong size would fail
    folder = trained_by(ZooManager, tmp_path / "ours")
    assert np.load(folder / "evaluations.npz")["results"].shape == (2, 2)


def test_command_line_env_kwargs_are_merged_into_the_yaml(tmp_path):
    folder = run(tmp_path, "-n", "48", "--max-bookings", "4", "--env-kwargs", "max_lateness_min:20.0")
    assert read_resolved(folder)["env_kwargs"] == {"num_drivers": 2, "max_bookings": 4, "max_lateness_min": 20.0}
    assert metrics_of(folder)["environment"]["num_actions"] == 2 * 4 + 1


def test_training_plays_training_days_and_evaluation_selection_days(tmp_path, monkeypatch):
    gym.register(
        "Counted-v0", entry_point="tests.training.test_training_manager:CountedDispatch", disable_env_checker=True
    )
    try:
        CountedDispatch.made.clear()
        config = write_config(tmp_path, block="Counted-v0")
        folder = run(
            tmp_path, "--env", "Counted-v0", "-n", "48", "--eval-freq", "24", "--eval-episodes", "3", config=config
        )
    finally:
        del gym.registry["Counted-v0"]
    assert set(CountedDispatch.made) == {(0, 1_000_000), (1_000_000, 1_000_500)}
    assert all(0 <= episode["day"] < 1_000_000 for episode in metrics_of(folder)["episodes"])


@pytest.mark.parametrize("num_envs", [1, 2, 3])
def test_evaluation_plays_the_first_selection_days_each_once(tmp_path, num_envs):
    settings = RunSettings(algo="dqn", env="Dispatch-v0", n_timesteps=96, hyperparams={}, eval_episodes=7)
    environments = Environments(settings, Recipe.of({}))
    days = [day for rank in range(num_envs) for day in environments.selection_days(rank, num_envs)]
    assert days == list(range(1_000_000, 1_000_007))


@pytest.mark.parametrize("algo", ["qrdqn", "ppo", "branching_dqn", "maskable_dqn", "maskable_ppo"])
def test_algorithms_that_fit_train_and_evaluate(tmp_path, algo):
    is_off_policy = algo in {"qrdqn", "branching_dqn", "maskable_dqn"}
    changes = {} if is_off_policy else {"n_steps": 24}
    off_policy_only = ("buffer_size", "learning_starts", "train_freq", "target_update_interval", "batch_size")
    config = write_config(tmp_path, remove=() if is_off_policy else off_policy_only, **changes)
    folder = run(tmp_path, "-n", "48", "--eval-freq", "24", "--eval-episodes", "2", config=config, algo=algo)
    assert len(metrics_of(folder)["episodes"]) == 2
    assert len(metrics_of(folder)["evaluations"]) == 2
    if algo.startswith("maskable"):
        assert all(e["kpis"]["num_infeasible"] == 0 for e in metrics_of(folder)["evaluations"])


def test_batched_environment_trains(tmp_path):
    config = write_config(tmp_path, n_envs=4)
    folder = run(
        tmp_path, "-n", "192", "--vec-env", "batched", "--eval-freq", "96", "--eval-episodes", "2", config=config
    )
    assert len(monitor_returns(folder)) == 192 // DECISIONS
    assert len(metrics_of(folder)["episodes"]) == 192 // DECISIONS


def test_batched_environment_with_scaled_rewards_is_evaluated(tmp_path):
    config = write_config(
        tmp_path,
        remove=("buffer_size", "learning_starts", "train_freq", "target_update_interval"),
        n_envs=2,
        n_steps=24,
        normalize={"norm_obs": False, "norm_reward": True},
    )
    options = ("-n", "96", "--vec-env", "batched", "--eval-freq", "48", "--eval-episodes", "2")
    folder = run(tmp_path, *options, config=config, algo="maskable_ppo")
    assert len(metrics_of(folder)["evaluations"]) == 2
    # the evaluation shows the reward as it is, in the tens or hundreds, not scaled
    assert max(abs(e["reward"]) for e in metrics_of(folder)["evaluations"]) > 10.0


def test_run_folders_are_numbered_and_claimed_at_once(tmp_path, monkeypatch):
    assert run(tmp_path, "-n", "24").relative_to(tmp_path) == Path("logs/v2/dqn/Dispatch-v0_1")
    # a run that started meanwhile has taken number 2 after ours looked it up
    monkeypatch.setattr("training.run_folder.get_latest_run_id", lambda *_: 1)
    (tmp_path / "logs/v2/dqn/Dispatch-v0_2").mkdir()
    assert run(tmp_path, "-n", "24").name == "Dispatch-v0_3"


def test_run_folder_holds_rl_zoo3s_files_and_ours(tmp_path):
    folder = run(tmp_path, "-n", "48", "--eval-freq", "24", "--eval-episodes", "1", "--reward", "v1")
    assert folder.relative_to(tmp_path / "logs").parts[0] == "v1"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    zoo = {"config.yml", "args.yml", "command.txt"}
    assert {f"Dispatch-v0/{name}" for name in zoo | {"resolved.yml"}} <= names
    assert {"0.monitor.csv", "best_model.zip", "evaluations.npz", "Dispatch-v0.zip", "training_metrics.json"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    resolved = yaml.safe_load((folder / "Dispatch-v0/resolved.yml").read_text())
    assert resolved["hyperparams"]["env_wrapper"] == "reward.RewardV1"  # --reward goes before the YAML


def test_rl_zoo3s_optimize_runs_our_search(tmp_path):
    config = write_config(tmp_path)
    manager = ZooManager(
        argparse.Namespace(objective_days=2, top_k=0),
        "dqn",
        "Dispatch-v0",
        str(tmp_path),
        n_timesteps=DECISIONS,
        optimize_hyperparameters=True,
        n_trials=1,
        no_optim_plots=True,
        config=str(config),
        verbose=0,
    )
    assert manager.setup_experiment() is None
    manager.hyperparameters_optimization()
    assert [path.name for path in (tmp_path / "dqn").iterdir()] == ["search"]  # no empty run folder beside it
    assert len(list((tmp_path / "dqn" / "search").glob("v2-dqn-Dispatch-v0-*/best_hyperparams.yml"))) == 1


def test_stock_command_finds_us_and_logs_the_wrapped_return(tmp_path):
    config = write_config(tmp_path)
    command = [sys.executable, "-m", "rl_zoo3.train", "--algo", "dqn", "--env", "Dispatch-v0", "-conf", str(config)]
    command += [
        "-f",
        str(tmp_path / "logs"),
        "-n",
        "48",
        "--eval-freq",
        "24",
        "--eval-episodes",
        "1",
        "-tb",
        str(tmp_path / "tb"),
    ]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    folder = tmp_path / "logs/dqn/Dispatch-v0_1"
    # the raw reward is 0 throughout; V2 charges 60 x priority / 5 for every lost booking
    assert all(value != 0.0 for value in monitor_returns(folder)) and len(monitor_returns(folder)) == 2
    assert list((tmp_path / "tb").rglob("events.out.tfevents*"))
    play = [
        sys.executable,
        "-m",
        "rl_zoo3.enjoy",
        "--algo",
        "dqn",
        "--env",
        "Dispatch-v0",
        "-f",
        str(tmp_path / "logs"),
    ]
    done = subprocess.run(
        [*play, "-n", "24", "--no-render"], cwd=REPO_ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and "Episode Reward" in done.stdout, done.stderr[-2000:]


def test_stock_command_still_trains_other_environments(tmp_path):
    config = tmp_path / "cartpole.yml"
    config.write_text("CartPole-v1: {n_timesteps: 64, policy: MlpPolicy, learning_starts: 8}\n")
    folder = made_by_zoo(ZooManager, "CartPole-v1", config, n_timesteps=64, eval_freq=-1)
    assert (folder / "CartPole-v1.zip").is_file()


def test_help_shows_defaults(capsys):
    with pytest.raises(SystemExit) as stop:
        train.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "(default: v2)" in text and "(default: branching_dqn)" in text


def test_buffer_larger_than_half_of_the_memory_is_refused_with_the_size_that_fits(monkeypatch):
    space = gym.spaces.Dict({"pairs": gym.spaces.Box(-1, 1, (100,), np.float32)})
    monkeypatch.setattr("training.recipe.machine_memory", lambda: 1_600_000)
    # 100 x 4 bytes, twice = 800 bytes a transition; half of the memory holds 1000
    check_buffer(5000, 1000, space)
    with pytest.raises(SettingsError, match="At most 1000 fit"):
        check_buffer(5000, 1001, space)


def test_training_goes_on_from_a_given_model(tmp_path):
    first = run(tmp_path, "-n", "48")
    second = run(tmp_path, "-n", "24", "-i", str(first / "Dispatch-v0.zip"))
    assert metrics_of(second)["num_timesteps"] == 24


def pair_network_config(folder, **changes):
    changes = {"policy": "PairPolicy", "policy_kwargs": {"width": 8}, "n_envs": 4, **changes}
    return write_config(folder, remove=("train_freq", "target_update_interval"), **changes)


def test_training_goes_on_from_a_pair_network_of_another_size(tmp_path):
    first = run(tmp_path, config=pair_network_config(tmp_path), algo="maskable_dqn")
    # Nothing is learned before 1000 decisions, so the last networks are those that it started from.
    config = pair_network_config(tmp_path, env_kwargs={"num_drivers": 3, "max_bookings": 5}, learning_starts=1000)
    second = run(tmp_path, "-n", "96", "-i", str(first / "Dispatch-v0.zip"), config=config, algo="maskable_dqn")
    before, after = (MaskableDQN.load(folder / "Dispatch-v0.zip") for folder in (first, second))
    assert (before.action_space.n, after.action_space.n) == (2 * 3 + 1, 3 * 5 + 1)
    for name, weights in before.policy.state_dict().items():
        assert weights.equal(after.policy.state_dict()[name]), name


def test_a_flat_network_of_another_size_is_refused_as_a_start(tmp_path, capsys):
    config = pair_network_config(tmp_path, policy="MaskableMlpPolicy", policy_kwargs={"net_arch": [8]})
    first = run(tmp_path, config=config, algo="maskable_dqn")
    config = pair_network_config(tmp_path, env_kwargs={"num_drivers": 3, "max_bookings": 5})
    options = ["--algo", "maskable_dqn", "-conf", str(config), "-f", str(tmp_path / "logs"), "--verbose", "0"]
    assert train.main([*options, "-i", str(first / "Dispatch-v0.zip")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("train.py: --trained-agent ")
    assert "the weights of MaskableMlpPolicy fit one number of drivers" in told


def test_a_start_that_is_no_model_is_told_without_a_traceback(tmp_path, capsys):
    no_model = tmp_path / "notes.zip"
    no_model.write_text("not a model")
    options = ["--algo", "dqn", "-conf", str(write_config(tmp_path)), "-f", str(tmp_path / "logs"), "--verbose", "0"]
    assert train.main([*options, "-i", str(no_model)]) == 2
    assert f"--trained-agent {no_model}: " in capsys.readouterr().err


def test_teacher_without_settings_gets_those_tuned_for_environment_and_reward(tmp_path):
    config = pair_network_config(tmp_path, teacher={"rule": "best_reward_with_prices", "until": 0.5})
    folder = run(tmp_path, "--reward", "v1", config=config, algo="branching_dqn")
    teacher = yaml.safe_load((folder / "Dispatch-v0/resolved.yml").read_text())["hyperparams"]["teacher"]
    tuned = tuned_settings("Dispatch-v0", "v1", Scenario.load("short_shift"))
    assert teacher["settings"] == tuned["best_reward_with_prices"]


def test_prices_named_after_a_rule_become_the_numbers_tuned_for_it(tmp_path):
    config = pair_network_config(tmp_path, env_wrapper={"reward.RewardV2": {"prices": "best_reward_with_prices"}})
    folder = run(tmp_path, "--reward", "v1", config=config, algo="branching_dqn")
    wrapper = yaml.safe_load((folder / "Dispatch-v0/resolved.yml").read_text())["hyperparams"]["env_wrapper"]
    tuned = tuned_settings("Dispatch-v0", "v1", Scenario.load("short_shift"))
    assert wrapper == {"reward.RewardV1": {"prices": tuned["best_reward_with_prices"]}}  # --reward keeps the prices
    assert MaskableDQN.load(folder / "Dispatch-v0.zip").prices == tuned["best_reward_with_prices"]


def test_prices_of_a_rule_that_was_not_tuned_are_refused(tmp_path, capsys):
    wrapper = {"reward.RewardV2": {"prices": "nearest_driver"}}
    config = pair_network_config(tmp_path, env_wrapper=wrapper)
    options = ["--algo", "branching_dqn", "-conf", str(config), "-f", str(tmp_path / "logs"), "--verbose", "0"]
    assert train.main(options) != 0
    assert "prices: nothing was tuned for 'nearest_driver' here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("branching", "message"),
    [
        ("{'rows':10}", r"branching: a look makes up to states x actions = 192 copies, more than rows=10"),
        ("{'rowz':10}", r"branching: unknown key 'rowz'. Did you mean 'rows'"),
        ("{'states':'many'}", r"hyperparameter file"),
    ],
)
def test_branching_out_of_range_is_told_without_a_traceback(tmp_path, capsys, branching, message):
    config = pair_network_config(tmp_path)
    options = ["--hyperparams", f"branching:{branching}", "--algo", "branching_dqn", "-conf", str(config)]
    assert train.main([*options, "-f", str(tmp_path / "logs"), "--verbose", "0"]) == 2
    assert message in capsys.readouterr().err


def test_unknown_teacher_is_told_without_a_traceback(tmp_path, capsys):
    config = pair_network_config(tmp_path)
    options = ["--hyperparams", "teacher:{'rule':'nearest_drivr'}", "--algo", "branching_dqn", "-conf", str(config)]
    assert train.main([*options, "-f", str(tmp_path / "logs"), "--verbose", "0"]) != 0
    assert "Did you mean 'nearest_driver'?" in capsys.readouterr().err
