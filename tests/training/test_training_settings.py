"""Settings: precedence and messages."""

from __future__ import annotations

import dataclasses

import gymnasium as gym
import pytest
import yaml

import custom_envs  # noqa: F401
import train
from baselines import tuned_settings
from checked import SettingsError
from envs.days.scenario import Scenario
from tests.training.tiny import TINY_DQN, write_config
from training.blocks import check_algo, check_hyperparams, find_config, known_keys, read_block
from training.metrics import write_yaml
from training.options import DEFAULTS, read_options
from training.real_days import parse_day_ranges
from training.resolve import env_parameters, plays_days
from training.rewards import find_reward, prices_of_wrapper
from training.settings import RunSettings

SETTINGS = RunSettings(
    algo="dqn",
    env="Dispatch-v0",
    n_timesteps=96,
    hyperparams={"policy": "MultiInputPolicy", "n_timesteps": 96},
    reward="v2",
    env_kwargs={"num_drivers": 2, "days": [0, 10]},
    eval_env_kwargs={"load": 2.0},
    log_folder="logs/v2",
    uuid=True,
)


def test_settings_survive_the_way_to_the_file_and_back(tmp_path):
    path = tmp_path / "resolved.yml"
    write_yaml(path, SETTINGS.to_resolved())
    read = RunSettings.from_resolved(yaml.safe_load(path.read_text()))
    assert dataclasses.replace(read, gym_packages=(), wandb_tags=()) == SETTINGS  # YAML has lists alone


def test_evaluation_takes_over_the_environment_but_not_its_days():
    assert SETTINGS.all_eval_env_kwargs == {"num_drivers": 2, "load": 2.0}


def test_settings_of_an_older_run_are_read():
    content = SETTINGS.to_resolved()
    for name in ("track", "wandb_tags", "gym_packages"):  # options of later
        del content["args"][name]
    content["args"] |= {"env_wrapper": "reward.RewardV2", "n_trials": 50, "eval_env_kwargs": None}  # and of before
    content["eval_env_kwargs"] = {"num_drivers": 2, "days": [0, 10]}
    read = RunSettings.from_resolved(content, n_timesteps=192, resume="logs/v2/dqn/Dispatch-v0_1")
    assert read == dataclasses.replace(
        SETTINGS, n_timesteps=192, resume="logs/v2/dqn/Dispatch-v0_1", eval_env_kwargs={}
    )


def test_flags_of_the_command_line_have_the_defaults_of_the_settings():
    options, given = read_options([])
    assert given == {}
    same = {name: DEFAULTS[name] for name in options if name in DEFAULTS and name != "n_timesteps"}
    others = {name for name, value in same.items() if options[name] != value}
    assert others == {"reward", "vec_env"}  # v2; the algorithm decides


def test_reward_is_a_version_or_a_file_of_weights(tmp_path):
    assert find_reward("v1") == ("v1", "reward.RewardV1")
    weights = tmp_path / "gentle.yml"
    weights.write_text("name: gentle\n")
    assert find_reward(str(weights)).name == "gentle"


@pytest.mark.parametrize("asked", ["v4", "V2", "weights.yml"])
def test_unknown_reward_is_refused(asked):
    with pytest.raises(SettingsError, match=f"--reward {asked}"):
        find_reward(asked)


def test_reward_without_hyperparameters_of_its_own_borrows_those_of_v2():
    assert find_config("v1", "dqn").parts[-2:] == ("v1", "dqn.yml")
    assert find_config("gentle", "dqn").parts[-2:] == ("v2", "dqn.yml")


def test_unknown_key_names_the_nearest_one():
    with pytest.raises(SettingsError, match=r"unknown key 'learning_rat' for dqn. Did you mean 'learning_rate'\?"):
        check_hyperparams({**TINY_DQN, "learning_rat": 0.1}, "dqn", "here")


def test_number_that_yaml_reads_as_text_is_explained():
    with pytest.raises(SettingsError, match=r"'learning_rate: 1e-4' is text to YAML"):
        check_hyperparams({**TINY_DQN, "learning_rate": "1e-4"}, "dqn", "here")


def test_python_in_yaml_is_not_evaluated():
    with pytest.raises(SettingsError, match="expected a mapping"):
        check_hyperparams({**TINY_DQN, "policy_kwargs": "dict(net_arch=[64])"}, "dqn", "here")


def test_keys_of_algorithms_are_read_from_their_constructors():
    assert {"target_update_interval", "exploration_fraction", "env_wrapper"} <= known_keys("dqn")
    assert "n_steps" in known_keys("ppo") and "target_update_interval" not in known_keys("ppo")
    assert not {"env", "seed", "verbose", "self"} & known_keys("dqn")


def test_missing_block_names_the_nearest_one(tmp_path):
    path = write_config(tmp_path, block="v1-published")
    with pytest.raises(SettingsError, match=r"no block 'v1-publishd'. Did you mean 'v1-published'\?"):
        read_block(path, "v1-publishd")


def test_default_block_serves_environments_without_one_but_no_misspelt_block(tmp_path):
    path = write_config(tmp_path, block="default")
    assert read_block(path, "Dispatch-v0")[0] == "default"
    with pytest.raises(SettingsError, match="no block 'Dispatch-v0'"):
        read_block(path, "Dispatch-v0", fall_back=False)


def test_algorithms_for_continuous_actions_are_refused():
    with pytest.raises(SettingsError, match="--algo sac does not fit: the actions are discrete"):
        check_algo("sac", plays_days=True)
    check_algo("qrdqn", plays_days=True)
    check_algo("sac", plays_days=False)


def test_environment_parameters_tell_that_it_plays_days():
    assert {"days", "day_list", "scenario"} <= env_parameters("Dispatch-v0")
    assert plays_days("Dispatch-v0") and not plays_days("CartPole-v1")


def test_day_ranges():
    assert parse_day_ranges("0-2,7, 9-10") == [0, 1, 2, 7, 9, 10]
    for wrong in ("", "a-b", "4-2", "1-2-3"):
        with pytest.raises(SettingsError):
            parse_day_ranges(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reward", "v9"], "--reward v9"),
        (["--algo", "sac"], "does not fit"),
        (["--env", "Dispatch-v9"], "Did you mean 'Dispatch-v0'?"),
        (["--resume", "nowhere"], "nowhere is not a training run"),
        (["--hyperparams-block", "v1-publishd"], "there is no block"),
        (["-conf", "nowhere.yml"], "no such file"),
        (["-params", "gama:0.9"], "Did you mean 'gamma'?"),
        (["--env-kwargs", "days:(0,1000010)"], "reach beyond (0, 1000000)"),
        (["--eval-env-kwargs", "days:(2000000,2000005)"], "report days are kept apart"),
        (["--days-from", "nowhere"], "no such folder"),
    ],
)
def test_wrong_options_end_with_a_message_and_exit_code_2(options, message, tmp_path, capsys):
    assert train.main([*options, "-f", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*/*/*"))


def test_published_files_hold_only_known_keys_and_env_kwargs():
    for reward in ("v1", "v2"):
        path = find_config(reward, "dqn")
        for block in ("Dispatch-v0", "Dispatch-v0-quick", "DispatchDay-v0", "paratransit"):
            name, hyperparams = read_block(path, block, fall_back=False)
            check_hyperparams(hyperparams, "dqn", name)
            assert hyperparams["env_wrapper"] == f"reward.Reward{reward.upper()}"
    for algo in ("qrdqn", "ppo", "branching_dqn", "maskable_dqn", "maskable_ppo"):
        name, hyperparams = read_block(find_config("v1", algo), "Dispatch-v0")
        check_hyperparams(hyperparams, algo, name)
    _, hyperparams = read_block(find_config("v1", "dqn"), "v1-published")
    env = gym.make("Dispatch-v0", **hyperparams["env_kwargs"])
    assert env.action_space.n == 6 * 10 + 1


def test_real_days_have_settings_of_their_own():
    name, block = read_block(find_config("paratransit", "branching_dqn"), "DispatchDay-v0", fall_back=False)
    check_hyperparams(block, "branching_dqn", name)
    prices = prices_of_wrapper(block["env_wrapper"])
    assert prices == block["teacher"]["rule"]
    scenario = Scenario.load("paratransit", plan_improvement=False)
    settings = tuned_settings("DispatchDay-v0", "reward/paratransit.yml", scenario, "cost")[prices]
    assert block["horizon_min"] == pytest.approx(
        settings["horizon_min"], abs=0.1
    )  # beyond, pairs are shown as the worst


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_operating_day_has_settings_of_its_own(version):
    _, block = read_block(find_config(version, "branching_dqn"), "DispatchDay-v0", fall_back=False)
    assert block["env_kwargs"]["load"] == [1.5, 2.5]  # training days are busier than the company's
    # Without a teacher there is nobody to lead branches on, and values learned from scratch are no good there.
    assert (block["branching"]["start"] == 1.0) == ("teacher" not in block)
