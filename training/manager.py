"""
One training run, from its settings to a folder with a model.

rl-zoo3's way with YAML, callbacks and folders, mended where dispatch days need it: `training.environments` says how
the environments differ, `training.run_folder` what is kept. Beyond that

- a run can be resumed;
- ``--trained-agent`` takes a pair network of any fleet and slot size (rl-zoo3: only one of the same spaces).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch as th
from rl_zoo3.utils import ALGOS
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

import kept
from agents.maskable_dqn import MaskableDQN
from agents.transfer import load_for
from checked import SettingsError
from training import checkpoint, metrics
from training.callbacks import (
    Checkpoints,
    EpisodeRecorder,
    NumberedModels,
    Progress,
    QValueRecorder,
    Refill,
    RunStopped,
    SelectionEvaluation,
)
from training.environments import Environments
from training.metrics import TrainingMetrics
from training.real_days import DEFAULT_RANGES
from training.recipe import Recipe, check_buffer
from training.run_folder import Occupied, RunFolder
from training.settings import RunSettings
from training.tracking import check_tracking, start_tracking
from training.writers import is_whole_model, save_model

DEFAULT_LOG_INTERVAL = 10  # finished episodes between two points of a curve; SB3's 4 is a point per 96 decisions here


class RunManager:
    """
    Sets a run up, trains, and writes what is left of it.

    Raises
    ------
    SettingsError
        When the settings name something that isn't there; nothing was written then.
    """

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings
        check_tracking(settings)
        try:
            self.recipe = Recipe.of(settings.hyperparams)
        except (TypeError, ValueError, AssertionError) as error:
            raise as_setting(error, "a class named in the settings refuses its arguments") from error
        self.checkpoint: Path | None = None
        self._occupied: Occupied | None = None
        if settings.resume is not None:
            self._occupied = Occupied(settings.resume)
        try:
            if settings.resume is not None:
                self.checkpoint = self._last_checkpoint(settings.resume)
            self.environments = Environments(settings, self.recipe, saved=self.checkpoint)
        except SettingsError:
            self._release()
            raise
        self.is_stopped = False
        self.folder: RunFolder
        self.model: BaseAlgorithm
        self.metrics: TrainingMetrics
        self.callbacks: list[BaseCallback]
        self.tracked: Any = None
        self._attempts = kept.Attempts("the last checkpoint")

    def _last_checkpoint(self, run_folder: str) -> Path:
        found, faults = checkpoint.settle(run_folder)
        if faults:
            print(
                f"warning: the last checkpoint is damaged ({'; '.join(faults)}). The run goes on from the one before, "
                f"of step {checkpoint.num_timesteps(found)}."
            )
        return found

    # --- before -------------------------------------------------------------------------------------------------------

    def set_up(self) -> BaseAlgorithm:
        """Make the folder, the environments and the model; a new folder goes again when that fails."""
        try:
            self.folder = RunFolder.claim(self.settings)
        except OSError as error:
            raise SettingsError(f"--log-folder {self.settings.log_folder}: {error.strerror}.") from error
        try:
            if self._occupied is None:
                self._occupied = Occupied(self.folder.path)
            return self._set_up()
        except Exception as error:
            self._release()
            if self.settings.resume is None:
                self.folder.discard()
            raise as_setting(error, "the run can't be set up with these settings") from error

    def _release(self) -> None:
        if self._occupied is not None:
            self._occupied.release()

    def _set_up(self) -> BaseAlgorithm:
        settings = self.settings
        set_random_seed(settings.seed)
        if settings.num_threads > 0:
            th.set_num_threads(settings.num_threads)
        self.tracked = start_tracking(settings, self.folder)
        if self.checkpoint is not None:
            rows = checkpoint.saved_monitor_rows(self.checkpoint)
            if rows is not None or not settings.is_batched:
                self.folder.trim_monitor_files(checkpoint.num_timesteps(self.checkpoint), rows)
        self.metrics = TrainingMetrics(self.folder.path, {})
        self.callbacks = self._make_callbacks()
        env = self.environments.training(self.folder.path)
        self.model = self._make_model(env)
        first_step = self.model.num_timesteps if self.checkpoint is not None else 0
        self.folder.write_settings(settings)
        logger = self.folder.logger(settings, first_step)
        if logger is not None:
            self.model.set_logger(logger)
        self.metrics.header = metrics.plain_settings(self._metrics_header())
        if self.checkpoint is not None:
            self.metrics.restore(first_step)
            for callback in self.callbacks:
                if isinstance(callback, SelectionEvaluation):
                    callback.restore(first_step, first_step // self.model.n_envs)
        self.metrics.write()
        if settings.verbose > 0:
            print(f"Run folder: {self.folder.path}")
            days = self.environments.days_from_files
            if days is not None:
                training, selection = (f"{len(labels)} ({labels[0]} to {labels[-1]})" for labels in days)
                print(f"Days from files: {training} are trained on, {selection} select the best model.")
        return self.model

    def _make_model(self, env: VecEnv) -> BaseAlgorithm:
        settings = self.settings
        if self.checkpoint is None:
            return make_model(settings, self.recipe, env)
        not_saved = {name: self.recipe.constructor[name] for name in ("teacher",) if name in self.recipe.constructor}
        model = checkpoint.load(settings.algo, self.checkpoint, env, settings.device, settings.verbose, **not_saved)
        if model.num_timesteps >= settings.n_timesteps:
            self._mend_last_model(model)
            raise SettingsError(
                f"{settings.resume}: the run has made all of its {settings.n_timesteps} steps. "
                f"To train on, pass a larger total, such as -n {2 * settings.n_timesteps}."
            )
        if settings.verbose > 0:
            print(f"Resuming at step {model.num_timesteps} of {settings.n_timesteps}")
            if settings.n_timesteps != model._total_timesteps:
                print(self._about_new_total(model.num_timesteps, model._total_timesteps))
        if isinstance(model, OffPolicyAlgorithm) and not checkpoint.has_buffer(self.checkpoint):
            refill = Refill(min(max(model.learning_starts, model.batch_size), model.buffer_size))
            self.callbacks.insert(0, refill)
            if settings.verbose > 0:
                print(
                    f"The finished run's replay buffer was not kept: {refill.num_transitions} decisions are played "
                    "before it learns on."
                )
        return model

    def _mend_last_model(self, model: BaseAlgorithm) -> None:
        """A run that was killed while it wrote its last model has it in its checkpoint."""
        if not is_whole_model(self.folder.model):
            save_model(model, self.folder.model)
            print(f"{self.folder.model} was missing or damaged; it was written anew from the checkpoint.")

    def _about_new_total(self, done: int, total: int) -> str:
        return (
            f"The total was {total} and is {self.settings.n_timesteps} now. What follows the share of the run that is "
            "over (a learning rate or exploration that shrinks, the parts of branching_dqn) goes on from "
            f"{100 * done / self.settings.n_timesteps:.0f} % instead of {100 * done / max(total, 1):.0f} %."
        )

    def _make_callbacks(self) -> list[BaseCallback]:
        settings, n_envs, path = self.settings, self.recipe.n_envs, str(self.folder.path)
        callbacks = [*self.recipe.callbacks]
        if settings.progress:
            callbacks.append(Progress())
        if settings.save_freq > 0:  # rl-zoo3's numbered models, kept for good
            callbacks.append(NumberedModels(max(settings.save_freq // n_envs, 1), path))
        callbacks.append(EpisodeRecorder(self.metrics))
        if self.environments.has_days:
            callbacks.append(QValueRecorder(self.environments.probe_observations))
        eval_freq = settings.eval_freq or settings.n_timesteps // 20
        if eval_freq > 0:
            callbacks.append(
                SelectionEvaluation(
                    self.environments.evaluation(),
                    metrics=self.metrics,
                    shows_progress=settings.progress,
                    params=self.folder.params,
                    best_model_save_path=path,
                    n_eval_episodes=settings.eval_episodes,
                    log_path=path,
                    eval_freq=max(eval_freq // n_envs, 1),
                    deterministic=True,
                    verbose=settings.verbose,
                )
            )
        every = settings.checkpoint_freq or settings.n_timesteps // 10
        # Last, so that the first callback to see a new rollout has already counted the step before it.
        callbacks.append(Checkpoints(self.folder.path, every, self.metrics))
        return callbacks

    # --- the run ------------------------------------------------------------------------------------------------------

    def learn(self) -> None:
        """Train until the end, or until asked to stop; then ``is_stopped``."""
        try:
            self._learn()
        finally:
            self._release()

    def _learn(self) -> None:
        settings, model = self.settings, self.model
        is_resumed = self.checkpoint is not None
        kwargs: dict[str, Any] = {}
        if settings.log_interval == -1 and isinstance(model, OffPolicyAlgorithm):
            kwargs["log_interval"] = DEFAULT_LOG_INTERVAL
        elif settings.log_interval > 0:
            kwargs["log_interval"] = settings.log_interval
        elif settings.log_interval != -1:  # only at evaluations, as in rl-zoo3
            kwargs["log_interval"] = None
        try:
            model.learn(
                settings.n_timesteps - (model.num_timesteps if is_resumed else 0),
                callback=self.callbacks,
                reset_num_timesteps=not is_resumed,
                **kwargs,
            )
        except (RunStopped, KeyboardInterrupt):
            self.is_stopped = True
        except Exception as error:
            if is_resumed or model.num_timesteps > 0:
                raise
            self.folder.discard()  # nothing was trained: a callback or evaluation met its algorithm for the first time
            raise as_setting(error, "the run can't begin with these settings") from error
        finally:
            for callback in self.callbacks:
                if isinstance(callback, Checkpoints):
                    callback.restore_handlers()
                if isinstance(callback, Progress):
                    callback.close()
            if self.folder.path.is_dir():
                self.metrics.write(
                    num_timesteps=model.num_timesteps, finished_at=None if self.is_stopped else metrics.now()
                )
        if not self.is_stopped:
            with self._attempts.one():
                checkpoint.save(model, self.folder.path, with_buffer=settings.save_replay_buffer)
        if self.tracked is not None:
            self.tracked.finish()
        assert model.env is not None
        model.env.close()

    def save(self) -> Path:
        """
        Write the last model; where the result is.

        Raises
        ------
        SettingsError
            When it can't be written.
        """
        try:
            save_model(self.model, self.folder.model)
            normalize = self.model.get_vec_normalize_env()
            if normalize is not None:
                with kept.written(self.folder.params / "vecnormalize.pkl") as fresh:
                    normalize.save(str(fresh))
        except OSError as error:
            raise SettingsError(
                f"{self.folder.model} can't be written ({error.strerror}). Make room, then: python train.py --resume "
                f"{self.folder.path}"
            ) from error
        return self.folder.result

    def advice_after_stop(self) -> str:
        """What to type after a run was stopped."""
        try:
            step = checkpoint.num_timesteps(checkpoint.find(self.folder.path))
        except SettingsError:
            return f"There is no checkpoint yet; what was logged is in {self.folder.path}"
        return f"Go on from step {step} with: python train.py --resume {self.folder.path}"

    # --- records ------------------------------------------------------------------------------------------------------

    def _metrics_header(self) -> dict[str, Any]:
        settings, model = self.settings, self.model
        resolved = settings.to_resolved()
        args = resolved.pop("args")
        training, selection = (self.environments.kwargs(is_evaluation) for is_evaluation in (False, True))
        days = self.environments.days_from_files
        is_divided = days is not None and (settings.train_days, settings.eval_days) == DEFAULT_RANGES
        played = days if days is not None and is_divided else (args["train_days"], args["eval_days"])
        return {
            "config": {**resolved, "command": metrics.command()},
            "seeds": {
                "seed": settings.seed,
                "training_days": played[0] if "day_list" in training else training.get("days"),
                "selection_days": played[1] if "day_list" in selection else selection.get("days"),
                "num_selection_days_played": settings.eval_episodes,
            },
            **metrics.commit(),
            "versions": metrics.versions(),
            "device": str(model.device),
            "environment": self._fingerprint(),
            "started_at": metrics.now(),
            "num_timesteps": model.num_timesteps,
        }

    def _fingerprint(self) -> dict[str, Any]:
        """What identifies the problem: results of different fingerprints are never compared."""
        assert self.model.env is not None
        try:
            fingerprint = self.model.env.get_attr("batch", indices=0)[0].scenario.fingerprint()
        except AttributeError:
            fingerprint = None
        space = self.model.observation_space
        parts = space.spaces if isinstance(space, gym.spaces.Dict) else {"observation": space}
        return {
            "env_id": self.settings.env,
            "scenario_fingerprint": fingerprint,
            "observation_shapes": {key: list(part.shape or ()) for key, part in parts.items()},
            "num_actions": int(getattr(self.model.action_space, "n", 0)) or None,
        }


def make_model(settings: RunSettings, recipe: Recipe, env: VecEnv) -> BaseAlgorithm:
    """
    An agent on these environments: untrained, or with the networks of ``--trained-agent``.

    Those of a pair network are also taken where it was trained at another size.

    Raises
    ------
    SettingsError
        When the algorithm refuses its settings or the environment, the networks don't fit, or the replay buffer
        wouldn't fit into memory.
    """
    algo, constructor = ALGOS[settings.algo], dict(recipe.constructor)
    fixed: dict[str, Any] = {"seed": settings.seed, "verbose": settings.verbose, "device": settings.device}
    if "buffer_size" in constructor and "replay_buffer_class" not in constructor and not issubclass(algo, MaskableDQN):
        check_buffer(constructor["buffer_size"], settings.n_timesteps, env.observation_space)
    if not settings.trained_agent:

        def make(keys: Mapping[str, Any]) -> BaseAlgorithm:
            return algo(env=env, tensorboard_log=None, **fixed, **keys)

        try:
            return make(constructor)
        except Exception as error:
            key = refused_key(make, constructor)
            where = f"--algo {settings.algo} --env {settings.env}"
            raise as_setting(error, f"{where}: {key} is refused" if key else where) from error
    kept = {name: value for name, value in constructor.items() if name not in ("policy", "policy_kwargs")}
    try:
        data, _, _ = load_from_zip_file(settings.trained_agent)
        assert data is not None
        if not issubclass(algo, MaskableDQN) or data["observation_space"] == env.observation_space:
            return algo.load(settings.trained_agent, env=env, tensorboard_log=None, **fixed, **kept)
        return load_for(settings.trained_agent, env, algo, **fixed, **kept)
    except Exception as error:  # no model, one of other spaces, or damaged
        raise as_setting(error, f"--trained-agent {settings.trained_agent}") from error


def refused_key(make: Callable[[Mapping[str, Any]], Any], constructor: Mapping[str, Any]) -> str | None:
    """The key without which the algorithm can be made; None when it isn't one alone."""
    for key in constructor:
        if key in ("policy", "buffer_size"):  # needed, and all the others are cheaper with a small buffer
            continue
        with contextlib.suppress(Exception):
            make({name: value for name, value in constructor.items() if name != key})
            return key
    return None


def as_setting(error: Exception, where: str) -> SettingsError:
    """An error of a library while a run is set up, as one of its settings; ``--verbose 2`` shows where it came from."""
    if isinstance(error, SettingsError):
        return error
    if isinstance(error, MemoryError):
        return SettingsError(
            f"{where}: it doesn't fit into memory ({error or 'no more is given'}). Lower buffer_size or n_envs."
        )
    if isinstance(error, OSError):
        return SettingsError(f"{error.filename or where}: {error.strerror or error}.")
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return SettingsError(f"{where}: {text} (--verbose 2 shows where this comes from)")
