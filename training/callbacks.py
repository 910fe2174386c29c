"""
What happens between the steps of a run: exploration, curves, evaluations, checkpoints.

The curves that TensorBoard shows for a run (means over the last 100 finished episodes unless said otherwise):

| curve | meaning |
| --- | --- |
| `rollout/ep_rew_mean` | return of training episodes under the reward that is trained, exploration included |
| `rollout/ep_len_mean` | decisions per training episode |
| `rollout/exploration_rate` | probability of a random action now |
| `dispatch/reward_terms/<term>` | what each term of the reward added to a training episode; they sum to the return |
| `kpi/service_rate`, `kpi/...` | KPIs of training episodes, from the event log: V1 and V2 may be compared by them |
| `eval/mean_reward` | mean return on the selection days, without exploration; `best_model.zip` is the best of these |
| `eval/mean_ep_length` | decisions per selection day |
| `eval_kpi/...` | KPIs on the selection days, the same days at every evaluation |
| `dispatch/q/max_valid` | mean over a fixed set of observations of the largest Q-value of a valid action |
| `dispatch/q/max_any` | the same over all actions; above `max_valid` where the network overrates invalid ones |
| `dispatch/q/spread` | mean standard deviation of the Q-values of valid actions: how strongly the agent prefers one |
| `dispatch/value` | mean value of the same observations, for algorithms with a critic of states (PPO, A2C) |
| `train/loss` | loss of the last updates (Huber loss of the temporal difference for the DQN family) |
| `train/learning_rate` | step size of the optimizer |
| `time/fps` | decisions per second, evaluations included |
"""

from __future__ import annotations

import math
import signal
import time
import zipfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import ConstantSchedule, obs_as_tensor, safe_mean
from stable_baselines3.common.vec_env import VecEnv, sync_envs_normalization
from tqdm import tqdm

import kept
from checked import SettingsError
from training import checkpoint
from training.metrics import TrainingMetrics
from training.writers import save_model

WINDOW = 100  # episodes in a mean, as in Stable-Baselines3


class EpsilonDecayPerEpisode(BaseCallback):
    """
    Exploration that shrinks by a factor after each finished episode: ``max(final, initial x factor^episodes)``.

    Stable-Baselines3 reads ``exploration_schedule`` after every step. Its place is taken by a constant, replaced when
    an episode ends. The number of finished episodes is the model's own count, which a saved model keeps, so the
    schedule goes on where it was.

    Parameters
    ----------
    initial, final
        First and smallest probability of a random action, in [0, 1].
    factor
        In (0, 1].
    """

    def __init__(self, initial: float, final: float, factor: float) -> None:
        super().__init__()
        if not 0.0 <= final <= initial <= 1.0:
            raise SettingsError(
                f"EpsilonDecayPerEpisode: expected 0 <= final <= initial <= 1, got final={final}, initial={initial}."
            )
        if not 0.0 < factor <= 1.0:
            raise SettingsError(f"EpsilonDecayPerEpisode: expected 0 < factor <= 1, got {factor}.")
        self.initial, self.final, self.factor = float(initial), float(final), float(factor)
        self.num_episodes = 0

    def epsilon(self, num_episodes: int) -> float:
        """Probability of a random action after so many finished episodes."""
        return max(self.final, self.initial * self.factor**num_episodes)

    def _on_training_start(self) -> None:
        if not hasattr(self.model, "exploration_schedule"):
            raise SettingsError(
                f"EpsilonDecayPerEpisode: {type(self.model).__name__} has no exploration rate; remove the callback."
            )
        self.num_episodes = self.model._episode_num  # type: ignore[attr-defined]
        self._apply()
        self.model.exploration_rate = self.epsilon(self.num_episodes)  # type: ignore[attr-defined]

    def _on_step(self) -> bool:
        finished = int(np.sum(self.locals["dones"]))
        if finished:
            self.num_episodes += finished
            self._apply()
        return True

    def _apply(self) -> None:
        self.model.exploration_schedule = ConstantSchedule(self.epsilon(self.num_episodes))  # type: ignore[attr-defined]


class EpisodeRecorder(BaseCallback):
    """Reward terms and KPIs of finished training episodes, to TensorBoard and to ``training_metrics.json``."""

    def __init__(self, metrics: TrainingMetrics | None = None) -> None:
        super().__init__()
        self.metrics = metrics
        self._windows: dict[str, deque[float]] = {}

    def _on_step(self) -> bool:
        changed: set[str] = set()  # many days may end at once: a mean is worked out once, not after each of them
        for rank, info in enumerate(self.locals["infos"]):
            episode = info.get("episode")
            if episode is None:
                continue
            kpis = info.get("kpis", {})
            changed |= self._remember("kpi", kpis)
            changed |= self._remember("dispatch/reward_terms", info.get("episode_terms", {}))
            if self.metrics is not None:
                self.metrics.add_episode(
                    timesteps=self.num_timesteps,
                    env=rank,
                    day=getattr(info.get("day"), "label", info.get("day")),
                    reward=episode["r"],
                    steps=episode["l"],
                    kpis=kpis,
                )
        for key in changed:
            self.logger.record(key, safe_mean(self._windows[key]), exclude="stdout")
        return True

    def _remember(self, group: str, values: dict[str, float]) -> set[str]:
        """Put the numbers of an episode into their windows; returns the keys of those that changed."""
        numbers = {f"{group}/{name}": float(value) for name, value in values.items() if math.isfinite(value)}
        for key, value in numbers.items():
            self._windows.setdefault(key, deque(maxlen=WINDOW)).append(value)
        return set(numbers)

    def _on_training_end(self) -> None:
        if self.metrics is not None:
            self.metrics.write()


class QValueRecorder(BaseCallback):
    """
    Q-values (or state values) on observations that stay the same during the run and between runs of one environment.

    Parameters
    ----------
    observations
        Dict of arrays, first axis = observation; read once, when training starts.
    every
        Steps between two looks.
    """

    def __init__(self, observations: Callable[[], dict[str, np.ndarray]], every: int = 500) -> None:
        super().__init__()
        self._make_observations = observations
        self.every = every
        self._next = 0
        self._probe: dict[str, th.Tensor] = {}
        self._valid: np.ndarray | None = None

    def _on_training_start(self) -> None:
        observations = self._make_observations()
        mask = observations.get("action_mask")
        self._valid = None if mask is None else np.asarray(mask, dtype=bool)
        self._probe = obs_as_tensor(observations, self.model.device)  # type: ignore[assignment,arg-type]
        self._next = self.num_timesteps

    def _on_rollout_start(self) -> None:
        if self.num_timesteps < self._next:
            return
        self._next = self.num_timesteps + self.every
        with th.no_grad():
            q_values = action_values(self.model, self._probe)
            if q_values is None:
                value = self.model.policy.predict_values(self._probe)  # type: ignore[operator,union-attr]
                self.logger.record("dispatch/value", float(value.mean()), exclude="stdout")
                return
        valid = np.ones_like(q_values, dtype=bool) if self._valid is None else self._valid
        only_valid = np.where(valid, q_values, np.nan)
        self.logger.record("dispatch/q/max_any", float(q_values.max(axis=1).mean()), exclude="stdout")
        self.logger.record("dispatch/q/max_valid", float(np.nanmax(only_valid, axis=1).mean()), exclude="stdout")
        self.logger.record("dispatch/q/spread", float(np.nanstd(only_valid, axis=1).mean()), exclude="stdout")

    def _on_step(self) -> bool:
        return True


def action_values(model: Any, observations: dict[str, th.Tensor]) -> np.ndarray | None:
    """Q-values, float, shape (observations, actions), unmasked; None when the algorithm has none."""
    for name in ("q_net", "quantile_net"):
        net = getattr(model, name, None)
        if net is not None:
            net.set_training_mode(False)
            values = net(observations)
            # a quantile network gives (observations, quantiles, actions)
            return (values.mean(dim=1) if values.ndim == 3 else values).cpu().numpy()
    return None


class SelectionEvaluation(EvalCallback):
    """
    Stable-Baselines3's EvalCallback with KPIs, resumable, and with files that are whole or not there.

    ``best_model.zip`` is the model with the best mean return on the selection days. ``params`` is the folder for the
    running averages that belong to it.
    """

    def __init__(
        self,
        eval_env: VecEnv,
        metrics: TrainingMetrics | None = None,
        shows_progress: bool = False,
        params: Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(eval_env, **kwargs)
        self.metrics, self.shows_progress, self.params = metrics, shows_progress, params
        self._evaluations, self._best = kept.Attempts("evaluations.npz"), kept.Attempts("best_model.zip")
        self._bar: Any = None
        self._kpis: list[dict[str, float]] = []

    def _init_callback(self) -> None:
        # The stock version warns when training runs on a native batch and evaluation on single environments.
        for folder in (self.best_model_save_path, self.log_path and str(Path(self.log_path).parent)):
            if folder is not None:
                Path(folder).mkdir(parents=True, exist_ok=True)

    def restore(self, num_timesteps: int, num_calls: int) -> None:
        """Take over the evaluations up to the step from which the run is resumed."""
        self.n_calls = num_calls
        path = Path(f"{self.log_path}.npz")
        if not path.is_file():
            return
        try:
            with np.load(path) as saved:
                is_before = saved["timesteps"] <= num_timesteps
                self.evaluations_timesteps = saved["timesteps"][is_before].tolist()
                self.evaluations_results = saved["results"][is_before].tolist()
                self.evaluations_length = saved["ep_lengths"][is_before].tolist()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            print(f"warning: {path} is damaged; the evaluations before step {num_timesteps} are not in it any more.")
            means = [] if self.metrics is None else [each["reward"] for each in self.metrics.evaluations]
        else:
            means = np.mean(self.evaluations_results, axis=1).tolist() if self.evaluations_results else []
        if means:
            self.best_mean_reward = float(np.max(means))

    def _log_success_callback(self, locals_: dict[str, Any], globals_: dict[str, Any]) -> None:
        super()._log_success_callback(locals_, globals_)
        if locals_["done"] and self._bar is not None:
            self._bar.update()
        if locals_["done"] and "kpis" in locals_["info"]:
            self._kpis.append(locals_["info"]["kpis"])
            # After the last episode these are the means over all, in time for the dump of this evaluation.
            for name, value in mean_kpis(self._kpis).items():
                self.logger.record(f"eval_kpi/{name}", value, exclude="stdout")

    def _on_step(self) -> bool:
        if self.eval_freq <= 0 or self.n_calls % self.eval_freq != 0:
            return True
        if self.model.get_vec_normalize_env() is not None:
            sync_envs_normalization(self.training_env, self.eval_env)
        self._kpis, self._is_success_buffer = [], []
        total = self.n_eval_episodes if self.shows_progress else 0
        with tqdm(total=total, desc="evaluation", unit=" days", delay=2.0, leave=False, disable=not total) as self._bar:
            rewards, lengths = evaluate_policy(
                self.model,
                self.eval_env,
                n_eval_episodes=self.n_eval_episodes,
                deterministic=self.deterministic,
                return_episode_rewards=True,
                warn=self.warn,
                callback=self._log_success_callback,
            )
        assert isinstance(rewards, list) and isinstance(lengths, list)
        self._tell(rewards, lengths)
        with self._evaluations.one():
            self._write_evaluations(rewards, lengths)
        if self.last_mean_reward > self.best_mean_reward:
            with self._best.one():
                self._write_best()
                self.best_mean_reward = self.last_mean_reward
        if self.metrics is not None:
            kpis = mean_kpis(self._kpis)
            self.metrics.add_evaluation(timesteps=self.num_timesteps, reward=self.last_mean_reward, kpis=kpis)
        return True

    def _tell(self, rewards: list[float], lengths: list[int]) -> None:
        """The curves of Stable-Baselines3's EvalCallback."""
        self.last_mean_reward = float(np.mean(rewards))
        if self.verbose >= 1:
            print(f"Eval num_timesteps={self.num_timesteps}, ", end="")
            print(f"episode_reward={self.last_mean_reward:.2f} +/- {np.std(rewards):.2f}")
            print(f"Episode length: {np.mean(lengths):.2f} +/- {np.std(lengths):.2f}")
        self.logger.record("eval/mean_reward", self.last_mean_reward)
        self.logger.record("eval/mean_ep_length", np.mean(lengths))
        if self._is_success_buffer:
            self.logger.record("eval/success_rate", np.mean(self._is_success_buffer))
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)

    def _write_evaluations(self, rewards: list[float], lengths: list[int]) -> None:
        if self.log_path is None:
            return
        self.evaluations_timesteps.append(self.num_timesteps)
        self.evaluations_results.append(rewards)
        self.evaluations_length.append(lengths)
        successes: dict[str, Any] = {}
        if self._is_success_buffer:
            self.evaluations_successes.append(self._is_success_buffer)
            successes["successes"] = self.evaluations_successes
        with kept.written(f"{self.log_path}.npz") as fresh:
            np.savez(
                fresh,
                timesteps=self.evaluations_timesteps,
                results=self.evaluations_results,
                ep_lengths=self.evaluations_length,
                **successes,
            )

    def _write_best(self) -> None:
        """The model, and the running averages of its observations."""
        if self.best_model_save_path is None:
            return
        if self.verbose >= 1:
            print("New best mean reward!")
        save_model(self.model, Path(self.best_model_save_path) / "best_model.zip")
        normalize = self.model.get_vec_normalize_env()
        if normalize is not None and self.params is not None:
            with kept.written(self.params / "vecnormalize.pkl") as fresh:
                normalize.save(str(fresh))


class NumberedModels(CheckpointCallback):
    """rl-zoo3's numbered models, ``rl_model_<n>_steps.zip``, kept for good."""

    def __init__(self, save_freq: int, save_path: str) -> None:
        super().__init__(save_freq, save_path)
        self._attempts = kept.Attempts("a numbered model")

    def _on_step(self) -> bool:
        if self.n_calls % self.save_freq == 0:
            with self._attempts.one():
                save_model(self.model, self._checkpoint_path(extension="zip"))
        return True


def mean_kpis(episodes: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each KPI over the episodes that have it: the on-time share of a day without a pickup is no number."""
    means = {}
    for name in episodes[0] if episodes else ():
        values = [episode[name] for episode in episodes if np.isfinite(episode[name])]
        if values:
            means[name] = float(np.mean(values))
    return means


class Progress(BaseCallback):
    """How far the run is, decisions per second and the time that is left."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None

    def _on_training_start(self) -> None:
        self._bar = tqdm(total=self.locals["total_timesteps"], initial=self.num_timesteps, unit=" decisions")

    def _on_step(self) -> bool:
        self._bar.update(self.num_timesteps - self._bar.n)
        return True

    def close(self) -> None:
        """Also after a stop in between."""
        if self._bar is not None:
            self._bar.close()

    def _on_training_end(self) -> None:
        self.close()


class Refill(BaseCallback):
    """
    A finished run that goes on without its replay buffer plays first and learns once it has something to sample.

    What is given up against a kept buffer: these decisions bring no updates, and the transitions of before are gone.

    Parameters
    ----------
    num_transitions
        How many are played without an update. First among the callbacks, so that a saved model knows nothing of it.
    """

    def __init__(self, num_transitions: int) -> None:
        super().__init__()
        self.num_transitions = num_transitions
        self._gradient_steps: int | None = None

    def _on_rollout_start(self) -> None:
        if self._gradient_steps is not None:
            self.model.gradient_steps = self._gradient_steps  # type: ignore[attr-defined]
            self._gradient_steps = None

    def _on_rollout_end(self) -> None:
        model: Any = self.model
        if model.replay_buffer.size() * model.n_envs < self.num_transitions:
            self._gradient_steps, model.gradient_steps = model.gradient_steps, 0

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._on_rollout_start()


class RunStopped(Exception):
    """The run was asked to stop (Ctrl-C, SIGTERM) and its checkpoint is written."""


class Checkpoints(BaseCallback):
    """
    Writes a checkpoint every ``every`` steps, and at a polite stop (Ctrl-C, SIGTERM), between two rollouts.

    A second Ctrl-C stops at once; the run then resumes from the last checkpoint.
    """

    def __init__(self, run_folder: str | Path, every: int, metrics: TrainingMetrics | None = None) -> None:
        super().__init__()
        self.run_folder = Path(run_folder)
        self.every = every
        self.metrics = metrics
        self.stop_requested = False
        self._next = 0
        self._handlers: dict[int, Any] = {}
        self._attempts = kept.Attempts("a checkpoint")

    def _on_training_start(self) -> None:
        self._next = self.num_timesteps + self.every
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._handlers[number] = signal.signal(number, self._request_stop)
            except ValueError:  # not in the main thread: the caller handles signals
                return

    def _request_stop(self, number: int, frame: Any) -> None:
        self.restore_handlers()
        self.stop_requested = True

    def restore_handlers(self) -> None:
        """Give the signals back to whoever had them before the training."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _on_rollout_start(self) -> None:
        if self.stop_requested or (self.every > 0 and self.num_timesteps >= self._next):
            self.write()
        if self.stop_requested:
            raise RunStopped

    def _on_step(self) -> bool:
        return True

    def write(self) -> None:
        """Write a checkpoint now; only right between two rollouts."""
        start = time.monotonic()
        if self.metrics is not None:  # first: episodes beyond a checkpoint can be dropped, missing ones not be found
            self.metrics.write(num_timesteps=self.num_timesteps)
        with self._attempts.one():
            checkpoint.save(self.model, self.run_folder)
        self._next = self.num_timesteps + self.every
        if self.verbose > 1:
            print(f"Checkpoint at step {self.num_timesteps} ({time.monotonic() - start:.1f} s)")

    def _on_training_end(self) -> None:
        self.restore_handlers()
