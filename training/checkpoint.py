"""
Checkpoints from which a run continues as if it had never stopped.

A checkpoint is taken between two rollouts, the only moment at which step count, replay buffer and environments agree.
It holds the model (networks, optimizer, step and episode counts), the replay buffer, what else the algorithm remembers,
the state of every random generator, and where each environment stands: of the native batch its state, of others the
day and the actions of the running episode. Of days from files that is what resuming needs and no more: their place in
the list, and in the native batch the coordinates of the days in play; no ids.

The last two are kept, each with a manifest of sizes and checksums. A damaged one is told apart by them, and the run
goes on from the other.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
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
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize, unwrap_vec_wrapper

import kept
from agents.branching_dqn import BranchingDQN
from agents.replay import ClockReplayBuffer
from checked import SettingsError
from envs.vec_env import DispatchVecEnv
from training.writers import is_whole_model

FOLDER = "checkpoint"
_MODEL, _BUFFER, _STATE, _NORMALIZE = "model.zip", "replay_buffer.pkl", "state.pkl", "vecnormalize.pkl"
_MEMORY, _MANIFEST = "memory.pkl", "manifest.json"


def save(model: BaseAlgorithm, run_folder: str | Path, with_buffer: bool = True) -> Path:
    """
    Write the checkpoint of a run; the one before it is kept beside it.

    ``with_buffer=False`` leaves out the replay buffer and all that is remembered like it, for a run that is finished:
    should it go on, it fills a new one. The checkpoint before is removed then.

    Raises
    ------
    OSError
        When it can't be written, for want of room for example; those of before are as they were.
    """
    target = Path(run_folder) / FOLDER
    fresh, old = target.with_suffix(".new"), target.with_suffix(".old")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        _write(model, fresh, Path(run_folder), with_buffer)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    kept.sync(target.parent)
    if not with_buffer:
        shutil.rmtree(old, ignore_errors=True)
    return target


def _write(model: BaseAlgorithm, folder: Path, run_folder: Path, with_buffer: bool) -> None:
    in_memory = io.BytesIO()  # a disk that fills up in the middle of a zip file ends in errors of many kinds
    model.save(in_memory)
    (folder / _MODEL).write_bytes(in_memory.getbuffer())
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None and with_buffer:
        save_to_pkl(folder / _BUFFER, _without_unused_rows(buffer))
    if isinstance(model, BranchingDQN) and with_buffer:
        save_to_pkl(folder / _MEMORY, model.memory())
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        normalize.save(str(folder / _NORMALIZE))
    save_to_pkl(
        folder / _STATE,
        {
            "num_timesteps": model.num_timesteps,
            "random": _random_states(model),
            "episodes": _traces(model),
            "last_obs": model._last_obs if "_last_obs" in model._excluded_save_params() else None,
            "returns": None if normalize is None else normalize.returns,
            "monitor": _monitored(model.get_env()),
            "monitor_rows": monitor_rows(run_folder),
        },
    )
    files = {path.name: _fingerprint(path) for path in sorted(folder.iterdir())}
    for name in files:
        kept.sync(folder / name)
    kept.write_text(folder / _MANIFEST, json.dumps({"num_timesteps": model.num_timesteps, "files": files}, indent=1))


def find(run_folder: str | Path) -> Path:
    """
    The latest undamaged checkpoint of a run.

    Raises
    ------
    SettingsError
        When the run has none.
    """
    found, faults = look_for(run_folder)
    if found is None and faults:
        raise SettingsError(
            f"{run_folder}: no checkpoint can be used, so the run can't be resumed. {'; '.join(faults)}. Start it "
            "again; models that were saved on the way are in the folder."
        )
    if found is None:
        raise SettingsError(
            f"{run_folder}: the run ended before its first checkpoint, so it can't be resumed. Start it again."
        )
    return found


def look_for(run_folder: str | Path) -> tuple[Path | None, list[str]]:
    """The latest undamaged checkpoint, if there is one, and what is wrong with each that is newer."""
    target = Path(run_folder) / FOLDER
    faults: list[str] = []
    # newest first: a kill between the two renames of ``save`` leaves the newest under the name of a fresh one
    for folder in (target.with_suffix(".new"), target, target.with_suffix(".old")):
        if not folder.is_dir() or (folder.suffix == ".new" and not (folder / _MANIFEST).is_file()):
            continue  # half-written: no checkpoint yet
        fault = _fault(folder)
        if fault is None:
            return folder, faults
        faults.append(f"{folder}: {fault}")
    return None, faults


def settle(run_folder: str | Path) -> tuple[Path, list[str]]:
    """
    Put the checkpoint from which the run goes on in the first place, so that the next one doesn't replace it.

    Returns
    -------
    The checkpoint, and what was wrong with newer ones, which are removed.
    """
    found, faults = find(run_folder), look_for(run_folder)[1]
    target = Path(run_folder) / FOLDER
    if found == target:
        shutil.rmtree(target.with_suffix(".new"), ignore_errors=True)
        return target, faults
    shutil.rmtree(target, ignore_errors=True)
    if found.suffix == ".old":
        shutil.rmtree(target.with_suffix(".new"), ignore_errors=True)
    found.rename(target)
    return target, faults


def _fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint; None when it is whole."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        for name, expected in manifest["files"].items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != expected["bytes"]:
                return f"{name} has {path.stat().st_size} bytes of {expected['bytes']}"
            if _fingerprint(path) != expected:
                return f"{name} was changed"
    except FileNotFoundError:
        return _fault_without_manifest(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{_MANIFEST} can't be read"
    return None


def _fault_without_manifest(folder: Path) -> str | None:
    """Of a checkpoint of an older version."""
    for name in (_STATE, _MODEL):
        if not (folder / name).is_file():
            return f"{name} is missing"
    try:
        _read_state(folder)
    except Exception as error:  # a damaged pickle ends in errors of any kind
        return f"{_STATE} can't be read ({type(error).__name__})"
    return None if is_whole_model(folder / _MODEL) else f"{_MODEL} is damaged"


def _fingerprint(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def load(
    algo: str, checkpoint: Path, env: VecEnv, device: th.device | str = "auto", verbose: int = 0, **given_anew: Any
) -> BaseAlgorithm:
    """The model of a checkpoint, its environments brought to where they stood; ``given_anew`` is what isn't saved."""
    state = _read_state(checkpoint)
    episodes = state["episodes"]
    is_exact = isinstance(episodes, dict) or (episodes is not None and len(episodes) == env.num_envs)
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
        _restore_episodes(model, env, state)
    else:
        # The running episodes are given up; new ones come from a stream that no earlier part of the run has used.
        sequence = np.random.SeedSequence([model.seed or 0, model.num_timesteps])
        env.seed(int(sequence.generate_state(1)[0]))
    if (checkpoint / _MEMORY).is_file() and isinstance(model, BranchingDQN) and is_exact:
        model.restore_memory(load_from_pkl(checkpoint / _MEMORY))
    _restore_random_states(model, state["random"])
    return model


def _restore_episodes(model: BaseAlgorithm, env: VecEnv, state: dict[str, Any]) -> None:
    """Environments, and what is known of them outside of them, stand where they stood."""
    if isinstance(state["episodes"], dict):
        native = env.unwrapped
        assert isinstance(native, DispatchVecEnv)
        native.restore(state["episodes"])
    else:
        for rank, trace in enumerate(state["episodes"]):
            env.env_method("rebuild_episode", trace, indices=rank)
    monitor = unwrap_vec_wrapper(env, VecMonitor)
    if monitor is not None and state.get("monitor") is not None:
        monitor.episode_returns, monitor.episode_lengths = state["monitor"]
    normalize = model.get_vec_normalize_env()
    if normalize is not None and state.get("returns") is not None:
        normalize.returns = state["returns"]
    if state.get("last_obs") is not None:
        model._last_obs = state["last_obs"]
        buffer = getattr(model, "replay_buffer", None)
        if isinstance(buffer, ClockReplayBuffer):
            buffer.continues_with(state["last_obs"])


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


def _traces(model: BaseAlgorithm) -> list[dict[str, Any]] | dict[str, Any] | None:
    """Where the environments stand: the native batch as a whole, others each; None where they can't tell."""
    env = model.get_env()
    if env is not None and isinstance(env.unwrapped, DispatchVecEnv):
        return env.unwrapped.snapshot()
    try:
        return env.env_method("episode_trace") if env is not None else None
    except (AttributeError, NotImplementedError, ValueError):
        return None


def _monitored(env: VecEnv | None) -> tuple[np.ndarray, np.ndarray] | None:
    monitor = None if env is None else unwrap_vec_wrapper(env, VecMonitor)
    return None if monitor is None else (monitor.episode_returns, monitor.episode_lengths)


def monitor_rows(run_folder: Path) -> dict[str, int]:
    """Finished episodes in each monitor file so far."""
    rows = {}
    for path in run_folder.glob("*.monitor.csv"):
        with open(path, "rb") as file:
            rows[path.name] = max(sum(1 for _ in file) - 2, 0)
    return rows


def saved_monitor_rows(checkpoint: Path) -> dict[str, int] | None:
    """``monitor_rows`` when the checkpoint was taken; None in one of an older version."""
    return _read_state(checkpoint).get("monitor_rows")


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
