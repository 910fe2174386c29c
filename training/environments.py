"""The environments of a run: training days apart from selection days, the learned reward in every log."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor, VecNormalize

from checked import SettingsError
from envs import SELECTION_DAYS, TRAINING_DAYS
from training import checkpoint
from training.real_days import read_day_lists
from training.recipe import Recipe
from training.resolve import plays_days
from training.rewards import reward_of_wrapper
from training.settings import RunSettings
from training.wrappers import FixedDays, RunMonitor
from training.writers import Rows

NUM_PROBE_OBSERVATIONS = 64


class Environments:
    """
    Makes what a run trains and is judged on.

    - Monitor is the outermost wrapper, so monitor.csv, TensorBoard, ``best_model.zip`` and Optuna see the reward that
      is learned from (rl-zoo3: the raw reward of the environment, which is zero here).
    - The settings of the environment reach the evaluation environment.
    - Training plays training days, evaluation plays the same selection days every time.

    Parameters
    ----------
    saved
        A checkpoint whose running averages (VecNormalize) go on.
    training_days
        Days read already; None: as the settings say.

    Raises
    ------
    SettingsError
        When the days that the settings name can't be read.
    """

    def __init__(
        self,
        settings: RunSettings,
        recipe: Recipe,
        saved: Path | None = None,
        training_days: Sequence[Any] | None = None,
    ) -> None:
        self.settings, self.recipe = settings, recipe
        self.has_days = plays_days(settings.env)
        self._saved = saved
        self._training_list, self._selection_list = training_days, None
        if training_days is None:
            self._training_list, self._selection_list = read_day_lists(
                settings.days_from, settings.train_days, settings.eval_days, settings.columns
            )

    @property
    def days_from_files(self) -> tuple[list[str], list[str]] | None:
        """Labels of the days that are trained on, and of those that select; None for generated days."""
        if not self._training_list or self._selection_list is None:
            return None
        training, selection = ([day.label for day in days] for days in (self._training_list, self._selection_list))
        return training, selection

    def training(self, log_folder: Path | None) -> VecEnv:
        """``n_envs`` environments; finished episodes go to ``*.monitor.csv`` in the folder."""
        kwargs = self.kwargs(is_evaluation=False)
        if self.settings.is_batched:
            env = self._batch(kwargs, log_folder)
        else:
            n_envs = self.recipe.n_envs
            files = [None if log_folder is None else os.path.join(log_folder, str(rank)) for rank in range(n_envs)]
            env = self._vec_env([self._maker(rank, kwargs, None, file) for rank, file in enumerate(files)])
        return self._finished(env, is_evaluation=False)

    def evaluation(self, n_envs: int | None = None) -> VecEnv:
        """Environments that play the first selection days, each once per evaluation."""
        n_envs = n_envs or self.settings.n_eval_envs
        kwargs = self.kwargs(is_evaluation=True)
        days = [self.selection_days(rank, n_envs) if self.has_days else None for rank in range(n_envs)]
        env = self._vec_env([self._maker(rank, kwargs, days[rank], None) for rank in range(n_envs)])
        if self.settings.is_batched and self.recipe.normalize is not None:
            env = quiet_monitor(env)  # SB3 copies VecNormalize's statistics between stacks of wrappers that are alike
        return self._finished(env, is_evaluation=True)

    def kwargs(self, is_evaluation: bool) -> dict[str, Any]:
        """Keyword arguments of one environment, its days included."""
        settings = self.settings
        kwargs = settings.all_eval_env_kwargs if is_evaluation else dict(settings.env_kwargs)
        if not self.has_days:
            return kwargs
        day_list = self._selection_list if is_evaluation else self._training_list
        default = SELECTION_DAYS if is_evaluation else TRAINING_DAYS
        if day_list:
            kwargs["day_list"] = day_list
        else:
            kwargs["days"] = tuple(kwargs.get("days", (default.start, default.stop)))
        return kwargs

    def selection_days(self, rank: int, n_envs: int) -> list[Any]:
        """
        The days that environment ``rank`` of the evaluation plays.

        ``evaluate_policy`` takes (eval_episodes + rank) // n_envs episodes from it, so together the environments play
        the first ``eval_episodes`` selection days, each once.
        """
        kwargs = self.kwargs(is_evaluation=True)
        days = list(kwargs.get("day_list") or range(*kwargs["days"]))
        counts = [(self.settings.eval_episodes + r) // n_envs for r in range(n_envs)]
        first = sum(counts[:rank])
        return [days[i % len(days)] for i in range(first, first + max(counts[rank], 1))]

    def probe_observations(self) -> dict[str, np.ndarray]:
        """Observations met by valid random actions on selection days: the same in every run of an environment."""
        env = self.evaluation(n_envs=1)
        random = np.random.default_rng(0)
        observation = env.reset()
        probe: list[dict[str, np.ndarray]] = []
        while len(probe) < NUM_PROBE_OBSERVATIONS:
            assert isinstance(observation, dict)
            probe.append({key: value[0].copy() for key, value in observation.items()})
            mask = observation.get("action_mask")
            valid = np.flatnonzero(mask[0]) if mask is not None else np.arange(env.action_space.n)  # type: ignore[attr-defined]
            observation, *_ = env.step(np.array([random.choice(valid)]))
        env.close()
        return {key: np.stack([o[key] for o in probe]) for key in probe[0]}

    def _maker(
        self, rank: int, kwargs: dict[str, Any], days: list[Any] | None, filename: str | None
    ) -> Callable[[], gym.Env]:
        spec, seed = gym.spec(self.settings.env), self.settings.seed
        env_wrapper, monitor_kwargs = self.recipe.env_wrapper, dict(self.recipe.monitor_kwargs)
        if self.settings.resume is not None:
            monitor_kwargs["override_existing"] = False

        def make() -> gym.Env:
            env = spec.make(**kwargs)
            env.action_space.seed(seed + rank)
            if env_wrapper is not None:
                env = env_wrapper(env)
            if days is not None:
                env = FixedDays(env, days)
            return RunMonitor(env, filename, rank=rank, **monitor_kwargs)

        return make

    def _vec_env(self, makers: list[Callable[[], gym.Env]]) -> VecEnv:
        return SubprocVecEnv(makers) if self.settings.vec_env == "subproc" else DummyVecEnv(makers)

    def _batch(self, kwargs: dict[str, Any], log_folder: Path | None) -> VecEnv:
        """The native batch: many days in one simulator. It pays the reward itself, so wrappers don't apply."""
        from envs.vec_env import DispatchVecEnv
        from reward import RewardFunction

        env = DispatchVecEnv(
            self.recipe.n_envs,
            reward_function=RewardFunction.load(*reward_of_wrapper(self.recipe.wrapper_entry)),
            seed=self.settings.seed,
            **{**gym.spec(self.settings.env).kwargs, **kwargs},
        )
        if log_folder is None:
            return env
        number = len(list(log_folder.glob("*.monitor.csv")))  # a resumed run starts another file
        return quiet_monitor(env, os.path.join(log_folder, str(number)))

    def _finished(self, env: VecEnv, is_evaluation: bool) -> VecEnv:
        """Seeded, wrapped and normalised."""
        env.seed(self.settings.seed)
        if self.recipe.vec_env_wrapper is not None:
            env = self.recipe.vec_env_wrapper(env)
        started_from = Path(self.settings.trained_agent).parent / self.settings.env_name / "vecnormalize.pkl"
        normalized = None if self._saved is None else checkpoint.load_vecnormalize(self._saved, env)
        if normalized is None and self.settings.trained_agent and started_from.is_file():
            normalized = VecNormalize.load(str(started_from), env)
        if normalized is None and self.recipe.normalize is not None:
            normalized = _normalized(env, self.recipe.normalize)
        if normalized is not None and is_evaluation:
            normalized.training = normalized.norm_reward = False
        if is_evaluation:  # a model wraps its own, as images need it
            return BaseAlgorithm._wrap_env(normalized or env, verbose=0, monitor_wrapper=False)
        return normalized or env


def _normalized(env: VecEnv, arguments: dict[str, Any]) -> VecNormalize:
    """
    Running averages around ``env``.

    Raises
    ------
    SettingsError
        When the observation can't be normalised, or by settings that don't exist.
    """
    try:
        return VecNormalize(env, **arguments)
    except TypeError as error:
        raise SettingsError(f"normalize: {error}. Its keys are those of VecNormalize, such as norm_obs.") from error
    except (ValueError, AssertionError) as error:
        raise SettingsError(
            f"normalize: this observation can't be normalised as a whole ({error}). Write 'normalize: {{norm_obs: "
            "false}' to scale the reward alone, or name its parts with norm_obs_keys."
        ) from error


def quiet_monitor(env: VecEnv, filename: str | None = None) -> VecMonitor:
    """VecMonitor over members that bring "episode" themselves; it overwrites it with the same numbers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*already wrapped with a `Monitor`.*")
        monitor = VecMonitor(env, filename)
    if monitor.results_writer is not None:
        monitor.results_writer = Rows.around(monitor.results_writer)
    return monitor
