"""
rl-zoo3's own command trains dispatch agents through this: ``python -m rl_zoo3.train --algo dqn --env Dispatch-v0 ...``.

``custom_envs.py`` puts `ZooManager` in the place of rl-zoo3's manager.
"""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from rl_zoo3.exp_manager import ExperimentManager
from stable_baselines3.common.base_class import BaseAlgorithm

from training.manager import RunManager
from training.resolve import plays_days, resolve
from training.search.command import run_search, trial_change
from training.search.options import SearchOptions

# rl-zoo3's names of arguments where they differ from those of its options.
OPTION_OF = {"env_id": "env", "n_eval_episodes": "eval_episodes", "config": "conf_file", "show_progress": "progress"}


class ZooManager(ExperimentManager):
    """Runs of dispatch environments by `RunManager`; all others as rl-zoo3 does them."""

    def __init__(self, args: argparse.Namespace, *positional: Any, **named: Any) -> None:
        super().__init__(args, *positional, **named)
        bound = inspect.signature(ExperimentManager.__init__).bind(self, args, *positional, **named)
        bound.apply_defaults()
        self.options: dict[str, Any] = dict(vars(args))
        for name, value in bound.arguments.items():
            self.options[OPTION_OF.get(name, name)] = value
        self.options |= {"vec_env": bound.arguments["vec_env_type"], "uuid": bool(bound.arguments["uuid_str"])}
        self.options["is_tensorboard_on"] = bool(self.options["tensorboard_log"])
        self.options["track"] = False  # rl-zoo3's command does it itself
        self.run: RunManager | None = None

    @property
    def _is_dispatch(self) -> bool:
        return plays_days(self.env_name.gym_id)

    def setup_experiment(self) -> tuple[BaseAlgorithm, dict[str, Any]] | None:
        if not self._is_dispatch:
            return super().setup_experiment()
        if self.optimize_hyperparameters:
            return None
        change = trial_change(self.options) if self.trial_id is not None else None
        self.run = RunManager(resolve(self.options, change_block=change))
        model = self.run.set_up()
        self.save_path = str(self.run.folder.path)
        return model, dict(self.run.settings.hyperparams)

    def learn(self, model: BaseAlgorithm) -> None:
        if self.run is None:
            super().learn(model)
        else:
            self.run.learn()

    def save_trained_model(self, model: BaseAlgorithm) -> None:
        if self.run is None:
            super().save_trained_model(model)
        elif not self.run.is_stopped:
            print(f"Result: {self.run.save()}")

    def hyperparameters_optimization(self) -> None:
        if not self._is_dispatch:
            super().hyperparameters_optimization()
        else:
            run_search(resolve(self.options), SearchOptions.of(self.options))
