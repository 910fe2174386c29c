"""
Checkpoints from which a run continues as if it had never stopped.

A checkpoint is taken between two rollouts, the only moment at which step count, replay buffer and environments agree.
It holds the model (networks, optimizer, step and episode counts), the replay buffer, the state of every random
generator, and of each environment the day and the actions of the running episode.
"""

from __future__ import annotations

import copy
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from rl_zoo3.utils import ALGOS
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.save_util import load_from_pkl, save_to_pkl
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from checked import SettingsError

FOLDER = "checkpoint"
_MODEL, _BUFFER, _STATE, _NORMALIZE = "model.zip", "replay_buffer.pkl", "state.pkl", "vecnormalize.pkl"


def save(model: BaseAlgorithm, run_folder: str | Path, with_buffer: bool = True) -> Path:
    """
    Write the checkpoint of a run; the previous one stays valid until the new one is complete.

    ``with_buffer=False`` leaves out the replay buffer, for a run that is finished: should it go on, it fills a new one.
    """
    target = Path(run_folder) / FOLDER
    fresh, old = target.with_suffix(".new"), target.with_suffix(".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    model.save(fresh / _MODEL)
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None and with_buffer:
        save_to_pkl(fresh / _BUFFER, _without_unused_rows(buffer))
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        normalize.save(str(fresh / _NORMALIZE))
    with open(fresh / _STATE, "wb") as file:
        pickle.dump(
            {"num_timesteps": model.num_timesteps, "random": _random_states(model), "episodes": _traces(model)}, file
        )
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def find(run_folder: str | Path) -> Path:
    """
    The latest complete checkpoint of a run.

    Raises
    ------
    SettingsError
        When the run has none.
    """
    target = Path(run_folder) / FOLDER
    # a kill between the two renames of ``save`` leaves the previous checkpoint under its other name
    for folder in (target, target.with_suffix(".new"), target.with_suffix(".old")):
        if (folder / _STATE).is_file() and _is_readable(folder / _STATE):
            return folder
    raise SettingsError(
        f"{run_folder}: the run ended before its first checkpoint, so it can't be resumed. Start it again."
    )


def load(
    algo: str, checkpoint: Path, env: VecEnv, device: th.device | str = "auto", verbose: int = 0, **given_anew: Any
) -> BaseAlgorithm:
    """The model of a checkpoint, its environments brought to where they stood; ``given_anew`` is what isn't saved."""
    state = _read_state(checkpoint)
    is_exact = state["episodes"] is not None and len(state["episodes"]) == env.num_envs
    model = ALGOS[algo].load(
        checkpoint / _MODEL,
        env=env,
        device=device,
        force_reset=not is_exact,
        verbose=verbose,
        tensorboard_log=None,
        **given_anew,
    )
    if has_buffer(checkpoint):
        buffer = load_from_pkl(checkpoint / _BUFFER)
        buffer.device = model.device
        model.replay_buffer = _with_unused_rows(buffer)  # type: ignore[attr-defined]
    if is_exact:
        for rank, trace in enumerate(state["episodes"]):
            env.env_method("rebuild_episode", trace, indices=rank)
    else:
        # The running episodes are given up; new ones come from a stream that no earlier part of the run has used.
        sequence = np.random.SeedSequence([model.seed or 0, model.num_timesteps])
        env.seed(int(sequence.generate_state(1)[0]))
    _restore_random_states(model, state["random"])
    return model


def has_buffer(checkpoint: Path) -> bool:
    """Whether the replay buffer was kept; on-policy algorithms have none."""
    return (checkpoint / _BUFFER).is_file()


def num_timesteps(checkpoint: Path) -> int:
    """Steps that the run had made when the checkpoint was taken."""
    return int(_read_state(checkpoint)["num_timesteps"])


def load_vecnormalize(checkpoint: Path, env: VecEnv) -> VecNormalize | None:
    """The running averages of a checkpoint around ``env``, or None when the run does not normalise."""
    path = checkpoint / _NORMALIZE
    return VecNormalize.load(str(path), env) if path.is_file() else None


def _read_state(checkpoint: Path) -> dict[str, Any]:
    with open(checkpoint / _STATE, "rb") as file:
        return pickle.load(file)


def _is_readable(path: Path) -> bool:
    try:
        _read_state(path.parent)
    except (EOFError, pickle.UnpicklingError):
        return False
    return True


def _traces(model: BaseAlgorithm) -> list[dict[str, Any]] | None:
    """The running episode of each environment; None where the environments can't tell (the native batch)."""
    env = model.get_env()
    try:
        return env.env_method("episode_trace") if env is not None else None
    except (AttributeError, NotImplementedError, ValueError):
        return None


def _random_states(model: BaseAlgorithm) -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": th.get_rng_state(),
        "cuda": th.cuda.get_rng_state_all() if th.cuda.is_available() else None,
        "action_space": model.action_space.np_random.bit_generator.state,
    }


def _restore_random_states(model: BaseAlgorithm, states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    th.set_rng_state(states["torch"])
    if states["cuda"] is not None and th.cuda.is_available():
        th.cuda.set_rng_state_all(states["cuda"])
    model.action_space.np_random.bit_generator.state = states["action_space"]


def _resized(buffer: ReplayBuffer, rows: int) -> ReplayBuffer:
    """A shallow copy of a stock buffer whose arrays have ``rows`` rows, cut off or filled up with zeros."""

    def resize(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: resize(item) for key, item in value.items()}
        if not isinstance(value, np.ndarray) or value.ndim < 2 or len(value) not in (buffer.buffer_size, buffer.pos):
            return value
        if rows <= len(value):
            return value[:rows]
        filled = np.zeros((rows, *value.shape[1:]), dtype=value.dtype)
        filled[: len(value)] = value
        return filled

    resized = copy.copy(buffer)
    resized.__dict__ = {key: resize(value) for key, value in vars(buffer).items()}
    return resized


def _without_unused_rows(buffer: ReplayBuffer) -> ReplayBuffer:
    """Stock buffers are allocated whole; what was never written need not go to disk."""
    if type(buffer) not in (ReplayBuffer, DictReplayBuffer) or buffer.full:
        return buffer
    return _resized(buffer, buffer.pos)


def _with_unused_rows(buffer: ReplayBuffer) -> ReplayBuffer:
    if type(buffer) not in (ReplayBuffer, DictReplayBuffer) or buffer.full:
        return buffer
    return _resized(buffer, buffer.buffer_size)
