"""Trained models as policies: finds the model of a run, checks that it fits, and lets it choose for many days."""

from __future__ import annotations

import inspect
import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from gymnasium import spaces

from baselines.policy import IntArray, Policy

RESOLVED = "resolved.yml"  # what train.py leaves in <run>/<environment>/
BEST, LAST = "best", "last"
TRAINED_AGENTS = Path(__file__).resolve().parent.parent / "trained-agents"


class ModelError(ValueError):
    """A model that can't be evaluated; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Run:
    """
    A trained model and the settings it was trained with.

    Attributes
    ----------
    settings
        Of ``resolved.yml``: reward, algo, env, env_kwargs, seed, hyperparams; empty for a bare zip.
    """

    path: Path
    folder: Path | None
    checkpoint: str  # best, last or the name of the zip
    algo: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Names the model in tables: algorithm and run folder, or the file's name."""
        if self.folder is None:
            return self.path.stem
        return f"{self.algo} {self.folder.name} ({self.checkpoint})"

    @property
    def group(self) -> str:
        """The same for models that differ in the training seed only."""
        if not self.settings:
            return self.name
        kept = {key: self.settings.get(key) for key in ("reward", "algo", "env", "env_kwargs", "block", "hyperparams")}
        kept["n_timesteps"] = self.settings.get("n_timesteps")
        kept["checkpoint"] = self.checkpoint
        return json.dumps(kept, sort_keys=True, default=str)


def by_name(given: str, root: Path = TRAINED_AGENTS) -> list[Path]:
    """
    The models that a word on the command line stands for.

    A path stands for itself. Otherwise it is the name of a shipped model, ``v2-short-shift-seed1``, or of all its
    training seeds, ``v2-short-shift``.
    """
    path = Path(given)
    if path.exists() or len(path.parts) != 1 or Path(f"{path}.zip").is_file():
        return [path]
    if (root / path).is_dir():
        return [root / path]
    return sorted(root.glob(f"{path}-seed*")) or [path]


def find_run(path: str | Path, which: str = BEST, algo: str | None = None) -> Run:
    """
    The model behind ``path``: a zip, or a run folder such as ``logs/v2/dqn/Dispatch-v0_1``.

    Parameters
    ----------
    which
        ``best`` takes best_model.zip of a run folder (the last model when the run never evaluated), ``last``
        <EnvId>.zip.

    Raises
    ------
    ModelError
        When there is no such file, or the folder is not a run, or the algorithm is not known.
    """
    path = Path(path)
    if path.is_file():
        folder = path.parent if _settings_file(path.parent) else None
        settings = _read_settings(path.parent)
        checkpoint = BEST if path.stem == "best_model" else path.stem
        if settings and path.stem == settings.get("env"):
            checkpoint = LAST
        return Run(path, folder, checkpoint, algo or settings.get("algo") or _algo_of(path), settings)
    if not path.is_dir():
        zipped = path.with_name(path.name + ".zip")
        if zipped.is_file():
            return find_run(zipped, which, algo)
        shipped = sorted(folder.name for folder in TRAINED_AGENTS.glob("*/"))
        raise ModelError(
            f"--model {path}: there is no such file or folder, nor a shipped model of that name. "
            f"Shipped: {', '.join(shipped) or 'none'}."
        )
    settings = _read_settings(path)
    last = [path / f"{settings['env']}.zip"] if "env" in settings else []
    last += [zipped for zipped in sorted(path.glob("*.zip")) if zipped.stem in _env_ids(path)]
    best = path / "best_model.zip"
    chosen = best if which == BEST and best.is_file() else next((p for p in last if p.is_file()), None)
    if chosen is None and best.is_file():
        raise ModelError(f"--model {path}: the run has no last model yet, only best_model.zip. Leave --last out.")
    if chosen is None:
        raise ModelError(
            f"--model {path}: not a run folder, it holds neither best_model.zip nor <EnvId>.zip. "
            "Name a folder such as logs/v2/dqn/Dispatch-v0_1, or a zip."
        )
    checkpoint = BEST if chosen == best else LAST
    return Run(chosen, path, checkpoint, algo or settings.get("algo") or _algo_of(chosen), settings)


def _settings_file(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob(f"*/{RESOLVED}"))), None)


def _env_ids(folder: Path) -> set[str]:
    """Names of the subfolders, one of which rl-zoo3 calls after the environment."""
    return {sub.name for sub in folder.iterdir() if sub.is_dir()}


def _read_settings(folder: Path) -> dict[str, Any]:
    file = _settings_file(folder)
    return (yaml.safe_load(file.read_text()) or {}) if file is not None else {}


def _zip_data(path: Path) -> dict[str, Any]:
    """What Stable-Baselines3 keeps as JSON beside the weights, without unpickling anything."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("data"))
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise ModelError(f"--model {path}: not a model saved by Stable-Baselines3 ({error}).") from error


def _algo_of(path: Path) -> str:
    """The algorithm of a zip that comes without its run folder, from the class of its policy and its settings."""
    data = _zip_data(path)
    policy = str(data.get("policy_class", {}).get("__module__", ""))
    if "n_ticks" in data:
        return "maskable_dqn"
    if "qrdqn" in policy:
        return "qrdqn"
    if policy.startswith("sb3_contrib.common.maskable"):
        return "maskable_ppo"
    if "exploration_rate" in data:
        return "dqn"
    if "clip_range" in data:
        return "ppo"
    if "gae_lambda" in data:
        return "a2c"
    raise ModelError(f"--model {path}: can't tell which algorithm it is. Pass --algo.")


def algo_class(algo: str) -> type[Any]:
    """The class that loads a model of this algorithm."""
    if algo in ("dqn", "ppo", "a2c"):
        import stable_baselines3

        return getattr(stable_baselines3, algo.upper())
    if algo == "qrdqn":
        from sb3_contrib import QRDQN

        return QRDQN
    if algo == "maskable_ppo":
        from agents.maskable_ppo import MaskablePPO

        return MaskablePPO
    if algo == "maskable_dqn":
        from agents.maskable_dqn import MaskableDQN

        return MaskableDQN
    raise ModelError(f"unknown algorithm '{algo}'. Known: a2c, dqn, maskable_dqn, maskable_ppo, ppo, qrdqn.")


def load_policy(run: Run, env: Any) -> ModelPolicy:
    """
    The model of ``run`` as a policy for the sizes of ``env`` (wrapped in its reward).

    Raises
    ------
    ModelError
        When it was trained for other sizes and can't be moved, or on another observation.
    """
    if run.folder is not None and any(run.folder.glob("*/vecnormalize.pkl")) and normalizes_observations(run.settings):
        raise ModelError(
            f"--model {run.path}: trained with normalized observations, which this evaluation does not repeat. Train "
            "with 'normalize: {norm_obs: false}': observations lie in [-1, 1] already."
        )
    cls = algo_class(run.algo)
    # No replay buffer, no rollouts: a loaded model only predicts.
    light = {"buffer_size": 1, "lr_schedule": lambda _: 0.0, "exploration_schedule": lambda _: 0.0}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = cls.load(run.path, device="cpu", custom_objects=light)
    except Exception as error:
        raise ModelError(f"--model {run.path}: can't be loaded as {run.algo}: {error}") from error
    problem = misfit(model.observation_space, model.action_space, env)
    if problem is not None:
        if run.algo != "maskable_dqn":
            raise ModelError(f"--model {run.path}: {problem}")
        from agents.transfer import load_for

        try:
            model = load_for(run.path, env, device="cpu", buffer_size=1, verbose=0)
        except ValueError as error:
            raise ModelError(f"--model {run.path}: {problem} ({error})") from error
    return ModelPolicy(run.name, model, own_reward(run, env, getattr(model, "prices", None)))


def normalizes_observations(settings: dict[str, Any]) -> bool:
    """Whether a run with ``normalize`` scaled what the model sees; scaled rewards change nothing after training."""
    normalize = settings.get("hyperparams", {}).get("normalize", True)
    return normalize.get("norm_obs", True) if isinstance(normalize, dict) else bool(normalize)


def own_reward(run: Run, env: Any, prices: Mapping[str, float] | None = None) -> Any:
    """
    The reward function that the model saw in training, when that isn't the one of ``env``; else None.

    What a pair would pay at once, with ``prices`` corrected by them, is part of the model's observation, whatever the
    evaluation pays.
    """
    trained_on = run.settings.get("reward")
    payer = env.payer if hasattr(env, "payer") else None
    if payer is None or (trained_on is None and prices is None):
        return None
    from reward import PairPrices, RewardFunction

    if trained_on is None:
        return RewardFunction(payer.function.weights, None if prices is None else PairPrices(prices))
    try:
        function = RewardFunction.load(trained_on, prices=prices)
    except (ValueError, OSError) as error:
        raise ModelError(f"--model {run.path}: the reward it was trained on can't be read: {error}") from error
    return None if function.shows_as(payer.function) else function


def misfit(observation_space: spaces.Space[Any], action_space: spaces.Space[Any], env: Any) -> str | None:
    """Why a model of these spaces can't play in ``env``; None when it can."""
    if observation_space == env.observation_space and action_space == env.action_space:
        return None
    batch = env.unwrapped.batch
    if not isinstance(observation_space, spaces.Dict):
        return "it was not trained on these environments: its observation is no Dict."
    missing = sorted(set(env.observation_space.spaces) ^ set(observation_space.spaces))
    if missing:
        return (
            f"its observation differs in {', '.join(missing)}. Evaluate with the reward that it was trained on "
            "(--reward), in the environment that it was trained in (--env)."
        )
    num_drivers, max_bookings = observation_space["drivers"].shape[0], observation_space["bookings"].shape[0]  # type: ignore[index]
    if (num_drivers, max_bookings) == (batch.num_drivers, batch.max_bookings):
        return "it was trained on another version of the observation. Train it anew."
    what, here, there = "drivers", batch.num_drivers, num_drivers
    option = "--num-drivers"
    if here == there:
        what, here, there, option = "slots", batch.max_bookings, max_bookings, "--max-bookings"
    return (
        f"the environment has {here} {what} but the model was trained for {there}. Pass {option} {there}, or train a "
        "pair network (--algo maskable_dqn), which fits any fleet."
    )


class ModelPolicy(Policy):
    """A Stable-Baselines3 model that chooses without exploring, for all days that are not over."""

    name = "model"  # each one has its own
    description = "A trained model, greedy."
    needs_reward = True
    reads_observation: ClassVar[bool] = True

    def __init__(self, name: str, model: Any, reward_function: Any = None) -> None:
        super().__init__()
        self.name = name
        self.model = model
        self.reward_function = reward_function  # when it isn't the one that pays here
        self._own_payer: Any = None
        self._takes_masks = "action_masks" in inspect.signature(model.predict).parameters

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        actions = np.zeros(batch.batch_size, np.int64)
        rows = np.flatnonzero(~batch.is_done)
        if len(rows) == 0:
            return actions
        # Nothing is copied while no day is over: at 200 x 1000 that would take longer than the choice.
        chosen: Any = slice(None) if len(rows) == batch.batch_size else rows
        observation = {key: array[chosen] for key, array in batch.observation.items()}
        if self.reward_function is not None:
            if self._own_payer is None or self._own_payer.batch is not batch:
                self._own_payer = self.reward_function.attach(batch)
            payer = self._own_payer
            payer.price_pairs()
        if payer is not None:
            observation["pair_reward"] = payer.pair_reward[chosen]
            observation["wait_reward"] = payer.wait_reward[chosen]
        masks = {"action_masks": observation["action_mask"].astype(bool)} if self._takes_masks else {}
        actions[rows] = self.model.predict(observation, deterministic=True, **masks)[0]
        return actions
