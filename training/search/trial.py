"""One trial: an agent is trained with one setting and judged on fixed days against the best rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from evaluation.runner import Arena, Case, num_rows_for, play
from training.blocks import check_hyperparams
from training.environments import Environments
from training.manager import make_model
from training.recipe import Recipe
from training.settings import RunSettings

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


def make_trial_model(task: Task, block: dict[str, Any], seed: int, n_timesteps: int) -> tuple[BaseAlgorithm, Recipe]:
    """
    The untrained agent that ``train.py`` makes of this block and seed, on its training environment; no files.

    The days run side by side in the native batch, which agrees with single environments step by step.
    """
    check_hyperparams(block, task.algo, "search")
    settings = RunSettings(
        algo=task.algo,
        env=task.env_id,
        hyperparams={**block, "env_wrapper": task.env_wrapper},
        env_kwargs={**(block.get("env_kwargs") or {}), **task.env_kwargs},
        n_timesteps=n_timesteps,
        seed=seed,
        vec_env="batched",
        device=task.device,
        verbose=0,
    )
    recipe = Recipe.of(settings.hyperparams)
    env = Environments(settings, recipe, training_days=task.training_days).training(None)
    return make_model(settings, recipe, env), recipe


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
        from evaluation.players import ModelPolicy

        policy: Any = ModelPolicy("trial", model)
        played = play(policy, self.cases, self.scenario, self.reward, measure_latency=False, arena=self._arena)
        return played.reward - self.rule_rewards


def rewards_of_best_rule(env_id: str, scenario: Any, reward: str, cases: Sequence[Case]) -> tuple[str, list[float]]:
    """The rule, tuned where it can be, with the largest mean reward on these days, and what it earned on each."""
    from baselines import make_rules, tuned_settings

    tuned = tuned_settings(env_id, reward, scenario)
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
    model, recipe = make_trial_model(task, block, seed, n_timesteps)
    assert model.env is not None
    try:
        callback = CallbackList([*recipe.callbacks, Checkups(n_timesteps, num_checks, check)])
        model.learn(n_timesteps, callback=callback, log_interval=None)  # type: ignore[arg-type]
        check(num_checks, model)
    finally:
        model.env.close()
    return model
