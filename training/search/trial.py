"""One trial: an agent is trained with one setting and judged on fixed days against the best rule."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.vec_env import VecEnv

from evaluation.runner import Arena, Case, num_rows_for, play
from training.manager import DispatchManager
from training.settings import check_hyperparams

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """
    The problem on which settings are compared; the same for every trial of a study.

    Attributes
    ----------
    env_kwargs
        Of the environment, such as the scenario.
    training_days
        Days from files; None: generated ones.
    """

    algo: str
    env_id: str
    env_wrapper: Any  # the YAML value that names the reward
    env_kwargs: dict[str, Any]
    training_days: Sequence[Any] | None = None
    device: str = "auto"


class TrialManager(DispatchManager):
    """
    Makes the agent of a trial as ``train.py`` makes it from the same YAML block, and leaves no files.

    The days run side by side in the native batch, which agrees with single environments step by step.
    """

    def __init__(self, task: Task, block: dict[str, Any], seed: int, n_timesteps: int) -> None:
        args = argparse.Namespace(training_day_list=task.training_days, env_wrapper=task.env_wrapper)
        super().__init__(
            args,
            task.algo,
            task.env_id,
            "",
            env_kwargs=dict(task.env_kwargs),
            n_timesteps=n_timesteps,
            seed=seed,
            verbose=0,
            vec_env_type="batched",
            device=task.device,
        )
        self._block = block

    def make_model(self) -> BaseAlgorithm:
        """The untrained agent, on its training environment."""
        # DispatchManager's own part of this step opens logs, which a trial has none of.
        with contextlib.redirect_stdout(io.StringIO()):  # rl-zoo3 prints the environment's settings every time
            prepared = super(DispatchManager, self).setup_experiment()
        assert prepared is not None
        return prepared[0]

    def _read_checked_block(self) -> dict[str, Any]:
        check_hyperparams(self._block, self.algo, "search")
        return {**self._block, "env_wrapper": self.args.env_wrapper}

    def create_envs(self, n_envs: int, eval_env: bool = False, no_log: bool = False) -> VecEnv:
        return super().create_envs(n_envs, eval_env, no_log=True)

    def create_log_folder(self) -> None:
        pass

    def create_callbacks(self) -> None:
        pass

    def _save_config(self, saved_hyperparams: dict[str, Any]) -> None:
        pass


class Judge:
    """
    Plays an agent, greedily, on fixed days side by side and compares it with the best rule on the same days.

    Parameters
    ----------
    reward
        Version or path.
    rule_rewards
        What the best rule earned on each case; shape (len(cases),).
    """

    def __init__(self, scenario: Any, reward: str, cases: Sequence[Case], rule_rewards: Sequence[float]) -> None:
        self.scenario, self.reward, self.cases = scenario, reward, list(cases)
        self.rule_rewards = np.asarray(rule_rewards, np.float64)
        self._arena = Arena(scenario, reward, num_rows_for(self.cases))

    def differences(self, model: BaseAlgorithm) -> FloatArray:
        """Reward of the agent minus reward of the best rule, day by day."""
        from evaluation.models import ModelPolicy

        policy: Any = ModelPolicy("trial", model)
        played = play(policy, self.cases, self.scenario, self.reward, measure_latency=False, arena=self._arena)
        return played.reward - self.rule_rewards


def rewards_of_best_rule(env_id: str, scenario: Any, reward: str, cases: Sequence[Case]) -> tuple[str, list[float]]:
    """The rule, tuned where it can be, with the largest mean reward on these days, and what it earned on each."""
    from baselines import make_rules, tuned_settings

    rules = scenario.rules
    tuned = tuned_settings(
        env_id, reward, scenario=scenario.name, plan_improvement=rules.plan_improvement, gives_back=rules.gives_back
    )
    arena = Arena(scenario, reward, num_rows_for(cases))
    policies: list[Any] = list(make_rules(None, tuned, has_reward=True))
    played = [play(policy, cases, scenario, reward, measure_latency=False, arena=arena) for policy in policies]
    best = max(played, key=lambda one: one.reward.mean())
    return best.policy, best.reward.tolist()


class Checkups(BaseCallback):
    """
    Calls ``check(number, model)`` at equal shares of the training, between rollouts; the last one is the caller's.

    Parameters
    ----------
    num
        Checks in the whole training, the last at its end: the n-th of them after n / num of the decisions.
    """

    def __init__(self, n_timesteps: int, num: int, check: Callable[[int, BaseAlgorithm], None]) -> None:
        super().__init__()
        self._at = [round(n_timesteps * k / num) for k in range(1, num)]
        self._check = check
        self._next = 0

    def _on_rollout_start(self) -> None:
        while self._next < len(self._at) and self.num_timesteps >= self._at[self._next]:
            self._next += 1
            if self._next == len(self._at) or self.num_timesteps < self._at[self._next]:
                self._check(self._next, self.model)

    def _on_step(self) -> bool:
        return True


def train(
    task: Task,
    block: dict[str, Any],
    seed: int,
    n_timesteps: int,
    num_checks: int = 1,
    check: Callable[[int, BaseAlgorithm], None] = lambda number, model: None,
) -> BaseAlgorithm:
    """
    The agent that ``train.py`` would train with this block and seed, checked on the way and at the end.

    Whatever ``check`` raises ends the training.
    """
    manager = TrialManager(task, block, seed, n_timesteps)
    model = manager.make_model()
    assert model.env is not None
    try:
        callback = CallbackList([*manager.callbacks, Checkups(n_timesteps, num_checks, check)])
        model.learn(n_timesteps, callback=callback, log_interval=None)  # type: ignore[arg-type]
        check(num_checks, model)
    finally:
        model.env.close()
    return model
