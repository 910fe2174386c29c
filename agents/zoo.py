"""rl-zoo3 learns our algorithms: ``register()`` adds them to its tables, for train, enjoy and ``-optimize``."""

from __future__ import annotations

from typing import Any

import optuna
from rl_zoo3.hyperparams_opt import (
    HYPERPARAMS_CONVERTER,
    HYPERPARAMS_SAMPLER,
    convert_onpolicy_params,
    sample_ppo_params,
)
from rl_zoo3.utils import ALGOS

from agents.maskable_dqn import MaskableDQN
from agents.maskable_ppo import MaskablePPO

# Part of a study's name: a study can't go on with another search space.
SEARCH_SPACE_VERSION = 1


def sample_maskable_dqn(
    trial: optuna.Trial, n_actions: int, n_envs: int, additional_args: dict[str, Any]
) -> dict[str, Any]:
    """
    Hyperparameters of MaskableDQN; only the algorithm's, never the environment's or the reward's.

    ``policy_kwargs`` is not sampled: rl-zoo3 would replace the YAML's whole dict by it, and with it the scale of the
    pair reward.
    """
    sampled = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "one_minus_gamma": trial.suggest_float("one_minus_gamma", 0.003, 0.1, log=True),
        "n_ticks": trial.suggest_int("n_ticks", 1, 16, log=True),
        "batch_size_pow": trial.suggest_int("batch_size_pow", 6, 9),
        "gradient_steps": trial.suggest_int("gradient_steps", 1, 4),
        "tau": trial.suggest_float("tau", 0.001, 0.05, log=True),
        "exploration_initial_eps": trial.suggest_float("exploration_initial_eps", 0.05, 1.0, log=True),
        "exploration_final_eps": trial.suggest_float("exploration_final_eps", 0.005, 0.1, log=True),
        "exploration_fraction": trial.suggest_float("exploration_fraction", 0.1, 0.9),
    }
    converted = convert_maskable_dqn(sampled)
    trial.set_user_attr("gamma", converted["gamma"])
    trial.set_user_attr("batch_size", converted["batch_size"])
    return converted


def convert_maskable_dqn(sampled_params: dict[str, Any]) -> dict[str, Any]:
    """Constructor arguments from a trial's raw parameters."""
    params = dict(sampled_params)
    params["gamma"] = 1.0 - params.pop("one_minus_gamma")
    params["batch_size"] = 2 ** params.pop("batch_size_pow")
    return params


def register() -> None:
    """Add ``maskable_dqn`` and ``maskable_ppo``. Calling it again changes nothing; it trains and starts nothing."""
    ALGOS["maskable_dqn"] = MaskableDQN
    HYPERPARAMS_SAMPLER["maskable_dqn"] = sample_maskable_dqn
    HYPERPARAMS_CONVERTER["maskable_dqn"] = convert_maskable_dqn
    ALGOS["maskable_ppo"] = MaskablePPO
    HYPERPARAMS_SAMPLER["maskable_ppo"] = sample_ppo_params
    HYPERPARAMS_CONVERTER["maskable_ppo"] = convert_onpolicy_params
