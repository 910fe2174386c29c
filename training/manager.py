"""
rl-zoo3's ExperimentManager, mended where dispatch days need it.

What differs from the stock manager, each with a test:

- Monitor is the outermost wrapper, so monitor.csv, TensorBoard, ``best_model.zip`` and Optuna see the reward that is
  learned from (stock: the raw reward of the environment, which is zero here).
- ``env_kwargs`` of the YAML file reach the evaluation environment, and those of the command line are merged into them.
- Training plays training days, evaluation plays the same selection days every time.
- Blocks can be named, unknown keys are errors, YAML text is never evaluated as Python.
- The run folder is claimed atomically (two runs started together get two numbers) and holds a plain ``resolved.yml``.
- A run can be resumed; TensorBoard's event file lies in the run folder.
- ``--trained-agent`` takes a pair network of any fleet and slot size (stock: only one of the same spaces).
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import yaml
from rl_zoo3.callbacks import SaveVecNormalizeCallback
from rl_zoo3.exp_manager import ExperimentManager
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, ProgressBarCallback
from stable_baselines3.common.logger import HumanOutputFormat, KVWriter, Logger, TensorBoardOutputFormat
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from torch.utils.tensorboard import SummaryWriter

from agents.replay import machine_memory
from agents.transfer import load_for
from envs import SELECTION_DAYS, TRAINING_DAYS
from training import checkpoint, metrics
from training.callbacks import Checkpoints, EpisodeRecorder, QValueRecorder, RunStopped, SelectionEvaluation
from training.metrics import TrainingMetrics
from training.settings import (
    SettingsError,
    check_algo,
    check_hyperparams,
    env_parameters,
    import_name,
    import_named_classes,
    known_keys,
    nearest,
    prices_of_wrapper,
    read_block,
    reward_of_wrapper,
    with_prices,
)
from training.wrappers import FixedDays, RunMonitor

RESOLVED = "resolved.yml"
NUM_PROBE_OBSERVATIONS = 64
DEFAULT_LOG_INTERVAL = 10  # finished episodes between two points of a curve; SB3's 4 is a point per 96 decisions here


class DispatchManager(ExperimentManager):
    """
    See the module. Made by ``train.py``, or by rl-zoo3's own command through ``custom_envs.py``.

    Beyond rl-zoo3's arguments it reads from ``args``, where present: ``hyperparams_block``, ``reward``,
    ``env_wrapper`` (replaces the YAML's), ``resume`` (a run folder), ``checkpoint_freq``, ``training_day_list`` and
    ``selection_day_list`` (days read from files), ``is_tensorboard_on``.
    """

    def __init__(self, args: argparse.Namespace, *positional: Any, vec_env_type: str = "dummy", **named: Any) -> None:
        self.is_batched = vec_env_type == "batched"
        named["vec_env_type"] = "dummy" if self.is_batched else vec_env_type
        super().__init__(args, *positional, **named)
        gym_id = self.env_name.gym_id
        self.plays_days = "days" in env_parameters(gym_id)
        if self.plays_days:
            check_algo(self.algo)
        self.resume_folder: Path | None = Path(args.resume) if getattr(args, "resume", None) else None
        self.checkpoint: Path | None = None
        if self.resume_folder is not None:
            self.save_path = str(self.resume_folder)
            self.params_path = f"{self.save_path}/{self.env_name}"
            self.checkpoint = checkpoint.find(self.resume_folder)
            self.continue_training = True
        self._uuid_suffix = str(named.get("uuid_str", ""))
        self.metrics: TrainingMetrics | None = None
        self.block = getattr(args, "hyperparams_block", None) or gym_id
        self.is_stopped = False
        self.wrapper_entry: Any = None

    # --- settings -----------------------------------------------------------------------------------------------------

    def read_hyperparameters(self) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.resume_folder is not None:
            hyperparams = read_resolved(self.resume_folder)["hyperparams"]
        elif not self.plays_days:
            return super().read_hyperparameters()
        else:
            hyperparams = self._read_checked_block()
        if self.plays_days:
            hyperparams["env_kwargs"] = {**(hyperparams.get("env_kwargs") or {}), **self.env_kwargs}
            self._check_days("--env-kwargs", hyperparams["env_kwargs"], TRAINING_DAYS)
            self._check_days("--eval-env-kwargs", self._eval_env_kwargs_args or {}, SELECTION_DAYS)
        self.env_kwargs = dict(hyperparams.get("env_kwargs") or {})
        self.eval_env_kwargs = {**self.env_kwargs, **(self._eval_env_kwargs_args or {})}
        # rl-zoo3's enjoy takes the kwargs of args.yml instead of the YAML's when there are any
        self.args.env_kwargs = dict(self.env_kwargs) or None
        return hyperparams, OrderedDict(sorted(hyperparams.items()))

    def _read_checked_block(self) -> dict[str, Any]:
        self.block, hyperparams = read_block(
            self.config, self.block, fall_back=not getattr(self.args, "hyperparams_block", None)
        )
        where = f"hyperparameter file {self.config}, block '{self.block}'"
        wrapper = getattr(self.args, "env_wrapper", None)
        if self.trial_id is not None:
            from training.search.command import block_of_trial

            hyperparams = block_of_trial(self, {**hyperparams, **({"env_wrapper": wrapper} if wrapper else {})})
        check_hyperparams(hyperparams, self.algo, where)
        unknown = set(self.custom_hyperparams or {}) - known_keys(self.algo)
        if unknown:
            key = sorted(unknown)[0]
            raise SettingsError(
                f"--hyperparams {key}: unknown key for {self.algo}. {nearest(key, known_keys(self.algo))}"
            )
        hyperparams.update(self.custom_hyperparams or {})
        if wrapper is not None:
            of_file = hyperparams.get("env_wrapper")
            wrapper = with_prices(wrapper, prices_of_wrapper(of_file))
            if self.verbose > 0 and of_file not in (None, wrapper):
                print(f"--reward replaces the reward of the file: {of_file} -> {wrapper}")
            hyperparams["env_wrapper"] = wrapper
        self._put_in_tuned(hyperparams)
        self._check_parts(hyperparams, where)
        if self.verbose > 0:
            print(f"Settings: {where}")
        return hyperparams

    def _put_in_tuned(self, hyperparams: dict[str, Any]) -> None:
        """
        Put in what was tuned for this environment and reward, so that resolved.yml tells it: the settings of a teacher
        that comes without, and prices that are given as the name of a rule.
        """
        teacher, prices = hyperparams.get("teacher"), prices_of_wrapper(hyperparams.get("env_wrapper"))
        if isinstance(prices, str):
            settings = self._tuned(hyperparams).get(prices, {})
            if "threshold" not in settings:
                raise SettingsError(
                    f"prices: nothing was tuned for '{prices}' here. Name a priced rule that baselines/tuned.yml holds "
                    "for this environment, reward and plan improvement (python -m baselines.tune), or give the numbers."
                )
            hyperparams["env_wrapper"] = with_prices(hyperparams["env_wrapper"], dict(settings))
        if isinstance(teacher, dict) and "rule" in teacher and "settings" not in teacher:
            settings = dict(self._tuned(hyperparams).get(teacher["rule"], {}))
            if not settings and self.verbose > 0:
                print(f"teacher: nothing was tuned for {teacher['rule']} here; it decides with its defaults.")
            hyperparams["teacher"] = {**teacher, "settings": settings}

    @staticmethod
    def _check_parts(hyperparams: Mapping[str, Any], where: str) -> None:
        """Refuse settings of the parts of ``maskable_dqn`` that it would refuse, before anything is set up."""
        from agents.branching import BranchSettings
        from agents.imitation import TeacherSettings

        try:
            if hyperparams.get("branching") is not None:
                BranchSettings.read(hyperparams["branching"])
            if hyperparams.get("teacher") is not None:
                TeacherSettings.read(hyperparams["teacher"]).make_rule()
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{where}: {error}") from error

    def _tuned(self, hyperparams: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Tuned settings by rule for the environment and reward of these hyperparameters."""
        from baselines import tuned_settings
        from envs.days.scenario import Scenario
        from evaluation.setup import usual_objective

        kwargs = {**gym.spec(self.env_name.gym_id).kwargs, **(hyperparams.get("env_kwargs") or {}), **self.env_kwargs}
        overrides = {
            key: value for key, value in kwargs.items() if key not in ("scenario", "days", "day_list", "in_order")
        }
        scenario = Scenario.load(kwargs.get("scenario", "short_shift"), **overrides)
        return tuned_settings(
            self.env_name.gym_id,
            str(reward_of_wrapper(hyperparams.get("env_wrapper"))[0]),
            scenario=scenario.name,
            plan_improvement=scenario.rules.plan_improvement,
            gives_back=scenario.rules.gives_back,
            objective=usual_objective(scenario, from_files=bool(getattr(self.args, "days_from", None))),
        )

    @staticmethod
    def _check_days(where: str, env_kwargs: dict[str, Any], allowed: range) -> None:
        """Training, selection and report days are kept apart."""
        first, last = env_kwargs.get("days", (allowed.start, allowed.stop))
        if first < allowed.start or last > allowed.stop:
            raise SettingsError(
                f"{where}: days ({first}, {last}) reach beyond ({allowed.start}, {allowed.stop}). Training, selection "
                "and report days are kept apart: nothing is trained on days that judge it."
            )

    def _preprocess_hyperparams(
        self, hyperparams: dict[str, Any]
    ) -> tuple[dict[str, Any], Callable | None, list[BaseCallback], Callable | None]:
        hyperparams = dict(hyperparams)
        for key in ("policy_kwargs", "replay_buffer_kwargs"):
            if isinstance(hyperparams.get(key), dict):
                hyperparams[key] = import_named_classes(hyperparams[key])
        if isinstance(hyperparams.get("replay_buffer_class"), str):
            hyperparams["replay_buffer_class"] = import_name(hyperparams["replay_buffer_class"])
        hyperparams.pop("env_kwargs", None)  # taken in read_hyperparameters
        self.wrapper_entry = hyperparams.get("env_wrapper")
        return super()._preprocess_hyperparams(hyperparams)

    # --- environments -------------------------------------------------------------------------------------------------

    def create_envs(self, n_envs: int, eval_env: bool = False, no_log: bool = False) -> VecEnv:
        log_dir = None if eval_env or no_log or self.optimize_hyperparameters else self.save_path
        if log_dir is not None:
            os.makedirs(log_dir, exist_ok=True)
        kwargs = self._kwargs_of(eval_env)
        if self.is_batched and not eval_env:
            env = self._create_batch(n_envs, kwargs, log_dir)
        else:
            makers = [self._env_maker(rank, n_envs, kwargs, eval_env, log_dir) for rank in range(n_envs)]
            env = self.vec_env_class(makers, **self.vec_env_kwargs)
            if self.is_batched and self.normalize:
                # SB3 copies VecNormalize's statistics between stacks of wrappers that are alike
                env = quiet_monitor(env)
        env.seed(self.seed)
        if self.vec_env_wrapper is not None:
            env = self.vec_env_wrapper(env)
        if self.checkpoint is not None:
            normalized = checkpoint.load_vecnormalize(self.checkpoint, env)
            if normalized is not None:
                normalized.training, normalized.norm_reward = not eval_env, normalized.norm_reward and not eval_env
                return normalized
        return self._maybe_normalize(env, eval_env)

    def _kwargs_of(self, eval_env: bool) -> dict[str, Any]:
        """Keyword arguments of one environment, its days included."""
        kwargs = dict(self.eval_env_kwargs if eval_env else self.env_kwargs)
        if not self.plays_days:
            return kwargs
        day_list = getattr(self.args, "selection_day_list" if eval_env else "training_day_list", None)
        if day_list:
            kwargs.update(day_list=day_list)
        elif eval_env:
            kwargs["days"] = tuple((self._eval_env_kwargs_args or {}).get("days", _bounds(SELECTION_DAYS)))
        else:
            kwargs["days"] = tuple(kwargs.get("days", _bounds(TRAINING_DAYS)))
        return kwargs

    def _selection_days(self, rank: int, n_envs: int, kwargs: dict[str, Any]) -> list[Any]:
        """
        The days that environment ``rank`` of the evaluation plays.

        ``evaluate_policy`` takes (n_eval_episodes + rank) // n_envs episodes from it, so together the environments play
        the first ``n_eval_episodes`` selection days, each once.
        """
        days = list(kwargs.get("day_list") or range(*kwargs["days"]))
        counts = [(self.n_eval_episodes + r) // n_envs for r in range(n_envs)]
        first = sum(counts[:rank])
        return [days[i % len(days)] for i in range(first, first + max(counts[rank], 1))]

    def _env_maker(
        self, rank: int, n_envs: int, kwargs: dict[str, Any], eval_env: bool, log_dir: str | None
    ) -> Callable[[], gym.Env]:
        spec = gym.spec(self.env_name.gym_id)
        env_wrapper, monitor_kwargs, seed = self.env_wrapper, dict(self.monitor_kwargs), self.seed
        days = self._selection_days(rank, n_envs, kwargs) if eval_env and self.plays_days else None
        filename = None if log_dir is None else os.path.join(log_dir, str(rank))
        if self.resume_folder is not None:
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

    def _create_batch(self, n_envs: int, kwargs: dict[str, Any], log_dir: str | None) -> VecEnv:
        """The native batch: many days in one simulator. It pays the reward itself, so wrappers don't apply."""
        from envs.vec_env import DispatchVecEnv
        from reward import RewardFunction

        defaults = gym.spec(self.env_name.gym_id).kwargs
        env = DispatchVecEnv(
            n_envs,
            reward_function=RewardFunction.load(*reward_of_wrapper(self.wrapper_entry)),
            seed=self.seed,
            **{**defaults, **kwargs},
        )
        if log_dir is None:
            return env
        number = len(list(Path(log_dir).glob("*.monitor.csv")))  # a resumed run starts another file
        return quiet_monitor(env, os.path.join(log_dir, str(number)))

    def _preprocess_action_noise(
        self, hyperparams: dict[str, Any], saved_hyperparams: dict[str, Any], env: VecEnv
    ) -> dict[str, Any]:
        """Rl-zoo3's only step between environment and model: the place to see whether the replay buffer fits."""
        if "buffer_size" in hyperparams and "replay_buffer_class" not in hyperparams and self.algo in {"dqn", "qrdqn"}:
            check_buffer(hyperparams["buffer_size"], self.n_timesteps, env.observation_space)
        return super()._preprocess_action_noise(hyperparams, saved_hyperparams, env)

    # --- callbacks ----------------------------------------------------------------------------------------------------

    def create_callbacks(self) -> None:
        if self.show_progress:
            self.callbacks.append(ProgressBarCallback())
        if self.save_freq > 0:
            # rl-zoo3's numbered models, kept for good
            self.callbacks.append(CheckpointCallback(max(self.save_freq // self.n_envs, 1), self.save_path))
        if self.optimize_hyperparameters:
            return
        if self.plays_days:
            self.metrics = TrainingMetrics(self.save_path, {})
        self.callbacks.append(EpisodeRecorder(self.metrics))
        if self.plays_days:
            self.callbacks.append(QValueRecorder(self._probe_observations))
        eval_freq = self.n_timesteps // 20 if self.eval_freq == 0 else self.eval_freq
        if eval_freq > 0:
            self.eval_freq = max(eval_freq // self.n_envs, 1)
            self.callbacks.append(
                SelectionEvaluation(
                    self.create_envs(self.n_eval_envs, eval_env=True),
                    metrics=self.metrics,
                    callback_on_new_best=SaveVecNormalizeCallback(save_freq=1, save_path=self.params_path),
                    best_model_save_path=self.save_path,
                    n_eval_episodes=self.n_eval_episodes,
                    log_path=self.save_path,
                    eval_freq=self.eval_freq,
                    deterministic=self.deterministic_eval,
                    verbose=self.verbose,
                )
            )
        if self.plays_days:
            every = getattr(self.args, "checkpoint_freq", 0) or self.n_timesteps // 10
            # Last, so that the first callback to see a new rollout has already counted the step before it.
            self.callbacks.append(Checkpoints(self.save_path, every, self.metrics))

    def _probe_observations(self) -> dict[str, np.ndarray]:
        """Observations met by valid random actions on selection days: the same in every run of an environment."""
        env = self.create_envs(1, eval_env=True, no_log=True)
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

    # --- the run ------------------------------------------------------------------------------------------------------

    def create_log_folder(self) -> None:
        if self.optimize_hyperparameters and self.plays_days:
            return  # a search has a folder of its own
        if self.resume_folder is None and not self._uuid_suffix:
            stem, _, number = self.save_path.rpartition("_")
            run = int(number)
            os.makedirs(self.log_path, exist_ok=True)
            while True:  # another run may have taken the number since it was looked up
                try:
                    os.mkdir(f"{stem}_{run}")
                    break
                except FileExistsError:
                    run += 1
            self.save_path = f"{stem}_{run}"
            self.params_path = f"{self.save_path}/{self.env_name}"
        super().create_log_folder()

    def setup_experiment(self) -> tuple[BaseAlgorithm, dict[str, Any]] | None:
        if self.resume_folder is not None:
            assert self.checkpoint is not None
            if not self.is_batched:
                _trim_monitor_files(self.resume_folder, checkpoint.num_timesteps(self.checkpoint))
        result = super().setup_experiment()
        if result is None or not self.plays_days:
            return result
        model, saved_hyperparams = result
        self._set_logger(model)
        if self.resume_folder is not None:
            for callback in self.callbacks:
                if isinstance(callback, SelectionEvaluation):
                    callback.restore(model.num_timesteps, model.num_timesteps // self.n_envs)
        assert self.metrics is not None
        self.metrics.header = metrics.plain_settings(self._metrics_header(model, saved_hyperparams))
        if self.resume_folder is not None:
            self.metrics.restore(model.num_timesteps)
        self.metrics.write()
        return result

    def _load_pretrained_agent(self, hyperparams: dict[str, Any], env: VecEnv) -> BaseAlgorithm:
        if self.checkpoint is None:
            return self._load_start(hyperparams, env)
        model = checkpoint.load(self.algo, self.checkpoint, env, device=self.device, verbose=self.verbose)
        if model.num_timesteps >= self.n_timesteps:
            raise SettingsError(
                f"{self.resume_folder}: the run has made all of its {self.n_timesteps} steps. "
                f"To train on, pass a larger total, such as -n {2 * self.n_timesteps}."
            )
        if self.verbose > 0:
            print(f"Resuming at step {model.num_timesteps} of {self.n_timesteps}")
        return model

    def _load_start(self, hyperparams: dict[str, Any], env: VecEnv) -> BaseAlgorithm:
        """The networks of ``--trained-agent``; those of a pair network also where it was trained at another size."""
        settings = {name: value for name, value in hyperparams.items() if name not in ("policy", "policy_kwargs")}
        settings |= {"seed": self.seed, "device": self.device, "verbose": self.verbose}
        try:
            data, _, _ = load_from_zip_file(self.trained_agent)
            assert data is not None
            if self.algo != "maskable_dqn" or data["observation_space"] == env.observation_space:
                return super()._load_pretrained_agent(hyperparams, env)
            return load_for(self.trained_agent, env, **settings)
        except ValueError as error:  # no model, or one of other spaces
            raise SettingsError(f"--trained-agent {self.trained_agent}: {error}") from error

    def _set_logger(self, model: BaseAlgorithm) -> None:
        """
        Curves go into the run folder, so that ``tensorboard --logdir logs`` names a run v2/dqn/Dispatch-v0_1.

        ``-tb DIR`` puts them below DIR under the same name instead.
        """
        if not getattr(self.args, "is_tensorboard_on", self.tensorboard_log is not None):
            return
        folder = self.save_path
        if getattr(self.args, "tensorboard_log", ""):
            folder = os.path.join(self.args.tensorboard_log, os.path.relpath(self.save_path, self._log_root()))
        tensorboard = TensorBoardOutputFormat(folder)
        if self.resume_folder is not None:
            # hides what the interrupted run wrote after its last checkpoint
            tensorboard.writer = SummaryWriter(log_dir=folder, purge_step=model.num_timesteps + 1)
        formats: list[KVWriter] = [tensorboard]
        if self.verbose > 0 and not self.show_progress:
            formats.append(HumanOutputFormat(sys.stdout))
        model.set_logger(Logger(folder, formats))

    def _log_root(self) -> str:
        return getattr(self.args, "log_root", None) or self.args.log_folder

    def learn(self, model: BaseAlgorithm) -> None:
        if not self.plays_days:
            super().learn(model)
            return
        steps_left = self.n_timesteps - (model.num_timesteps if self.resume_folder is not None else 0)
        kwargs: dict[str, Any] = {}
        if self.log_interval == -1 and isinstance(model, OffPolicyAlgorithm):
            kwargs["log_interval"] = DEFAULT_LOG_INTERVAL
        elif self.log_interval > 0:
            kwargs["log_interval"] = self.log_interval
        elif self.log_interval != -1:  # only at evaluations, as in rl-zoo3
            kwargs["log_interval"] = None
        assert self.metrics is not None and model.env is not None
        try:
            model.learn(
                steps_left,
                callback=self.callbacks,
                reset_num_timesteps=self.resume_folder is None,
                **kwargs,
            )
        except (RunStopped, KeyboardInterrupt):
            self.is_stopped = True
        finally:
            for callback in self.callbacks:
                if isinstance(callback, Checkpoints):
                    callback.restore_handlers()
                if isinstance(callback, ProgressBarCallback) and hasattr(callback, "pbar"):
                    callback.on_training_end()
            self.metrics.write(
                num_timesteps=model.num_timesteps, finished_at=None if self.is_stopped else metrics.now()
            )
        if not self.is_stopped:
            checkpoint.save(model, self.save_path, with_buffer=self.save_replay_buffer)
        model.env.close()

    def advice_after_stop(self) -> str:
        """What to type after a run was stopped."""
        try:
            step = checkpoint.num_timesteps(checkpoint.find(self.save_path))
        except SettingsError:
            return f"There is no checkpoint yet; what was logged is in {self.save_path}"
        return f"Go on from step {step} with: python train.py --resume {self.save_path}"

    def hyperparameters_optimization(self) -> None:
        if not self.plays_days:
            super().hyperparameters_optimization()
            return
        from training.search.command import run_search

        run_search(self)

    def save_trained_model(self, model: BaseAlgorithm) -> None:
        if not self.plays_days:
            super().save_trained_model(model)
            return
        keep, self.save_replay_buffer = self.save_replay_buffer, False  # the checkpoint has it
        super().save_trained_model(model)
        self.save_replay_buffer = keep

    # --- records ------------------------------------------------------------------------------------------------------

    def _save_config(self, saved_hyperparams: dict[str, Any]) -> None:
        days, self.args.training_day_list = getattr(self.args, "training_day_list", None), None
        selection, self.args.selection_day_list = getattr(self.args, "selection_day_list", None), None
        if self.resume_folder is None:
            super()._save_config(saved_hyperparams)
        self.args.training_day_list, self.args.selection_day_list = days, selection
        if self.plays_days:
            metrics.write_yaml(Path(self.params_path) / RESOLVED, self._resolved(saved_hyperparams))

    def _resolved(self, saved_hyperparams: dict[str, Any]) -> dict[str, Any]:
        """Everything that a resumed run needs to be the same run."""
        args = {
            k: v for k, v in sorted(vars(self.args).items()) if k not in {"training_day_list", "selection_day_list"}
        }
        return {
            "reward": getattr(self.args, "reward", None),
            "algo": self.algo,
            "env": self.env_name.gym_id,
            "block": self.block,
            "config_file": self.config,
            "seed": self.seed,
            "n_timesteps": self.n_timesteps,
            "env_kwargs": self.env_kwargs,
            "eval_env_kwargs": self.eval_env_kwargs,
            "hyperparams": dict(saved_hyperparams),
            "args": args,
        }

    def _metrics_header(self, model: BaseAlgorithm, saved_hyperparams: dict[str, Any]) -> dict[str, Any]:
        resolved = self._resolved(saved_hyperparams)
        args = resolved.pop("args")
        uses_files = bool(getattr(self.args, "training_day_list", None))
        return {
            "config": {**resolved, "command": " ".join(sys.orig_argv)},
            "seeds": {
                "seed": self.seed,
                "training_days": args.get("train_days") if uses_files else list(self._kwargs_of(False)["days"]),
                "selection_days": args.get("eval_days") if uses_files else list(self._kwargs_of(True)["days"]),
                "num_selection_days_played": self.n_eval_episodes,
            },
            **metrics.commit(),
            "versions": metrics.versions(),
            "device": str(model.device),
            "environment": self._fingerprint(model),
            "started_at": metrics.now(),
            "num_timesteps": model.num_timesteps,
        }

    def _fingerprint(self, model: BaseAlgorithm) -> dict[str, Any]:
        """What identifies the problem: results of different fingerprints are never compared."""
        assert model.env is not None
        try:
            batch = model.env.get_attr("batch", indices=0)[0]
            fingerprint = batch.scenario.fingerprint()
        except AttributeError:
            fingerprint = None
        space = model.observation_space
        parts = space.spaces if isinstance(space, gym.spaces.Dict) else {}
        return {
            "env_id": self.env_name.gym_id,
            "scenario_fingerprint": fingerprint,
            "observation_shapes": {key: list(part.shape or ()) for key, part in parts.items()},
            "num_actions": int(model.action_space.n),  # type: ignore[attr-defined]
        }


def check_buffer(buffer_size: int, n_timesteps: int, space: gym.Space) -> None:
    """
    Refuse a stock replay buffer that would fill more than half of the memory during the run.

    Raises
    ------
    SettingsError
        With the size that fits.
    """
    parts = space.spaces.values() if isinstance(space, gym.spaces.Dict) else [space]
    # observation and next observation are both stored, dense; the rest is some bytes
    transition = 2 * sum(int(np.prod(part.shape or (1,))) * (part.dtype or np.dtype(float)).itemsize for part in parts)
    allowed = machine_memory() // 2
    filled = min(buffer_size, n_timesteps)
    if filled * transition > allowed:
        raise SettingsError(
            f"buffer_size {buffer_size}: {filled} transitions of {transition / 1e3:.0f} kB are more than half of the "
            f"memory. At most {allowed // transition} fit; maskable_dqn stores them in less."
        )


def quiet_monitor(env: VecEnv, filename: str | None = None) -> VecMonitor:
    """VecMonitor over members that bring "episode" themselves; it overwrites it with the same numbers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*already wrapped with a `Monitor`.*")
        return VecMonitor(env, filename)


def _bounds(days: range) -> tuple[int, int]:
    return days.start, days.stop


def read_resolved(run_folder: str | Path) -> dict[str, Any]:
    """
    The settings of a run, as ``resolved.yml`` keeps them.

    Raises
    ------
    SettingsError
        When the folder is not a run of this project.
    """
    folder = Path(run_folder)
    found = sorted(folder.glob(f"*/{RESOLVED}")) if folder.is_dir() else []
    if len(found) != 1:
        what = "there is no such folder" if not folder.is_dir() else f"it holds no <environment>/{RESOLVED}"
        raise SettingsError(
            f"{run_folder} is not a training run: {what}. Name a folder such as logs/v2/dqn/Dispatch-v0_1."
        )
    return yaml.safe_load(found[0].read_text())


def _trim_monitor_files(run_folder: Path, num_timesteps: int) -> None:
    """Drop the episodes that the interrupted run finished after its last checkpoint: they will be played again."""
    files = sorted(run_folder.glob("*.monitor.csv"))
    for path in files:
        lines = path.read_text().splitlines(keepends=True)
        header, rows = lines[:2], lines[2:]
        if len(header) < 2:
            continue
        length = next(csv.reader([header[1]])).index("l")
        steps, kept = 0, []
        for row in rows:
            steps += int(next(csv.reader([row]))[length])
            if steps > num_timesteps // max(len(files), 1):
                break
            kept.append(row)
        path.write_text("".join(header + kept))
