"""What is searched reaches the model, and the problem is never searched."""

from __future__ import annotations

import math

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

import custom_envs  # noqa: F401 - registers environments and algorithms
from checked import SettingsError
from training.blocks import find_config, read_block
from training.search import spaces
from training.search.trial import Task, make_trial_model

BLOCKS = {
    "dqn": {
        "env_wrapper": "reward.RewardV2",
        "n_timesteps": 96,
        "policy": "MultiInputPolicy",
        "policy_kwargs": {"optimizer_kwargs": {"eps": 1.0e-6}},
        "learning_starts": 8,
        "tau": 1.0,
        "callback": [{spaces.EXPLORATION_CALLBACK: {"initial": 0.8, "final": 0.1, "factor": 0.9}}],
    },
    "maskable_dqn": {
        "env_wrapper": "reward.RewardV2",
        "n_envs": 2,
        "n_timesteps": 96,
        "policy": "PairPolicy",
        "policy_kwargs": {"optimizer_kwargs": {"eps": 1.0e-6}},
    },
    "maskable_dqn with an MLP": {
        "env_wrapper": "reward.RewardV2",
        "n_timesteps": 96,
        "policy": "MaskableMlpPolicy",
        "policy_kwargs": {"optimizer_kwargs": {"eps": 1.0e-6}},
    },
}
# Where a model keeps what its constructor was given; a name that is added to a space needs an entry here.
READ = {
    "learning_rate": lambda model: model.lr_schedule(1.0),
    "gamma": lambda model: model.gamma,
    "n_ticks": lambda model: model.replay_buffer.n_ticks,
    "batch_size": lambda model: model.batch_size,
    "buffer_size": lambda model: model.replay_buffer.buffer_size * model.n_envs,
    "tau": lambda model: model.tau,
    "target_update_interval": lambda model: model.target_update_interval,
    "train_freq": lambda model: model.train_freq.frequency,
    "gradient_steps": lambda model: model.gradient_steps,
    "exploration_initial_eps": lambda model: model.exploration_schedule(1.0),
    "exploration_final_eps": lambda model: model.exploration_schedule(0.0),
    "exploration_fraction": lambda model: model.exploration_fraction,
    "double_q": lambda model: model.double_q,
    "replay_buffer_class": lambda model: f"agents.replay.{type(model.replay_buffer).__name__}",
    "policy_kwargs.dueling": lambda model: model.q_net.dueling,
    "policy_kwargs.width": lambda model: model.q_net.width,
    "policy_kwargs.mixing_layers": lambda model: len(model.q_net.mixing),
    "policy_kwargs.pair_mixing": lambda model: model.q_net.pair_mixing,
    "policy_kwargs.net_arch": lambda model: [layer.out_features for layer in model.q_net.q_net[:-1:2]],
}


def draw(space, seed):
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask(spaces.distributions(space))
    return trial.params


@pytest.mark.parametrize("which", BLOCKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_searched_setting_reaches_the_model(which, seed):
    algo, block = which.split()[0], BLOCKS[which]
    space = spaces.find_space(algo, block)
    settings = spaces.to_settings(draw(space, seed), space)
    task = Task(algo, "Dispatch-v0", block["env_wrapper"], {"num_drivers": 2, "max_bookings": 3})
    model, _ = make_trial_model(task, spaces.merge(block, settings), seed=0, n_timesteps=96)
    found = {path: READ[path](model) for path in settings}
    # a buffer of several environments keeps whole steps: up to n_envs - 1 transitions fewer
    buffer_size = found.pop("buffer_size")
    assert 0 <= settings.pop("buffer_size") - buffer_size < model.n_envs
    for path, value in found.items():
        assert value == (pytest.approx(settings[path]) if isinstance(value, float) else settings[path]), path
    assert model.policy.optimizer.defaults["eps"] == 1.0e-6  # what the file says beside it is kept


@pytest.mark.parametrize("which", BLOCKS)
def test_the_problem_is_never_searched(which):
    roots = {each.path.split(".")[0] for each in spaces.find_space(which.split()[0], BLOCKS[which])}
    assert not roots & set(spaces.PROBLEM_KEYS)


@pytest.mark.parametrize("path", ["env_kwargs.num_drivers", "env_wrapper", "reward_scale", "n_timesteps"])
def test_a_space_with_a_piece_of_the_problem_is_refused(path):
    with pytest.raises(ValueError, match="part of the problem and is never searched"):
        spaces.Dimension(path, path, FloatDistribution(0.0, 1.0), "")


def test_merging_keeps_what_is_not_searched():
    block = {"policy": "PairPolicy", "policy_kwargs": {"width": 64, "optimizer_kwargs": {"fused": True}}, "tau": 0.1}
    merged = spaces.merge(block, {"policy_kwargs.width": 32, "learning_rate": 0.5})
    assert merged["policy_kwargs"] == {"width": 32, "optimizer_kwargs": {"fused": True}}
    assert merged["tau"] == 0.1 and merged["learning_rate"] == 0.5
    assert block["policy_kwargs"]["width"] == 64  # the file's own block stays as it was


def test_sampled_exploration_is_not_overruled_by_the_files_callback():
    block = {"callback": ["some.Other", {spaces.EXPLORATION_CALLBACK: {"factor": 0.9}}]}
    assert spaces.merge(block, {"exploration_fraction": 0.2})["callback"] == ["some.Other"]
    assert spaces.merge(block, {"gamma": 0.9})["callback"] == block["callback"]


@pytest.mark.parametrize("algo", ["maskable_dqn", "branching_dqn"])
def test_the_search_begins_with_the_shipped_settings(algo):
    _, block = read_block(find_config("v2", algo), "Dispatch-v0")
    space = spaces.find_space(algo, block)
    params = spaces.default_params(algo, block, space)
    settings = spaces.to_settings(params, space)
    assert settings["learning_rate"] == block["learning_rate"]
    assert settings["gamma"] == pytest.approx(block["gamma"])
    assert settings["n_ticks"] == 8  # the constructor's: the file doesn't name it
    assert set(params) == {each.name for each in space}


def test_a_decay_per_episode_is_left_to_the_sampler():
    params = spaces.default_params("dqn", BLOCKS["dqn"], spaces.DQN)
    assert not any(name.startswith("exploration") for name in params)


def test_settings_are_written_as_they_were_trained():
    space = (spaces._one_minus_gamma(0.001, 0.5, ""),)
    assert spaces.to_settings({"one_minus_gamma": 0.0123456789}, space) == {"gamma": 0.9877}


@pytest.mark.parametrize("space", [spaces.DQN, spaces.MASKABLE_DQN, *spaces.NETWORKS.values()])
def test_every_value_survives_the_way_to_the_block_and_back(space):
    for each in space:
        distribution = each.distribution
        values = distribution.choices if isinstance(distribution, CategoricalDistribution) else (distribution.low,)
        for value in values:
            there_and_back = each.to_sample(each.to_setting(value))
            same = there_and_back == value or math.isclose(there_and_back, value, rel_tol=1e-9)
            assert same, each.name


def test_an_algorithm_without_a_space_is_refused():
    with pytest.raises(SettingsError, match="--algo ppo: no search space is written for it"):
        spaces.find_space("ppo", {})


def test_a_policy_without_a_space_is_refused():
    with pytest.raises(SettingsError, match=r"no network of policy 'PearPolicy'.*Did you mean 'PairPolicy'"):
        spaces.find_space("maskable_dqn", {"policy": "agents.policies.PearPolicy"})
