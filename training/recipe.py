"""A hyperparameter block made into objects: classes, schedules, wrappers, callbacks, as rl-zoo3 reads its YAML."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from rl_zoo3.utils import SimpleLinearSchedule, get_callback_list, get_wrapper_class
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import ConstantSchedule

from agents.replay import machine_memory
from checked import SettingsError
from training.blocks import import_named_classes
from training.callables import import_name
from training.teacher import with_rule

SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")


@dataclass(frozen=True)
class Recipe:
    """
    What a block says about the environments, the callbacks and the algorithm of a run.

    Attributes
    ----------
    wrapper_entry
        The YAML value behind ``env_wrapper``, from which the native batch reads its reward.
    normalize
        Keyword arguments of VecNormalize; None: not normalised.
    constructor
        Keyword arguments of the algorithm.
    """

    n_envs: int
    wrapper_entry: Any
    env_wrapper: Callable[[gym.Env], gym.Env] | None
    vec_env_wrapper: Callable[[Any], Any] | None
    monitor_kwargs: dict[str, Any]
    normalize: dict[str, Any] | None
    callbacks: list[BaseCallback]
    constructor: dict[str, Any]

    @classmethod
    def of(cls, hyperparams: Mapping[str, Any]) -> Recipe:
        """
        The recipe of a checked block.

        Raises
        ------
        SettingsError
            For a dotted name that can't be imported.
        """
        rest = deepcopy(dict(hyperparams))
        env_wrapper, vec_env_wrapper = get_wrapper_class(rest), get_wrapper_class(rest, "vec_env_wrapper")
        callbacks = get_callback_list(rest)
        n_envs = rest.pop("n_envs", 1)
        monitor_kwargs = rest.pop("monitor_kwargs", None) or {}
        normalize = rest.pop("normalize", False)
        if normalize:
            normalize = dict(normalize) if isinstance(normalize, dict) else {}
            if "gamma" in rest:
                normalize["gamma"] = rest["gamma"]
        for key in ("callback", "env_kwargs", "env_wrapper", "vec_env_wrapper", "n_timesteps"):
            rest.pop(key, None)
        for key in ("policy_kwargs", "replay_buffer_kwargs"):
            if isinstance(rest.get(key), dict):
                rest[key] = import_named_classes(rest[key])
        for key in ("policy", "replay_buffer_class"):
            if isinstance(rest.get(key), str) and "." in rest[key]:
                rest[key] = import_name(rest[key])
        if rest.get("teacher") is not None:
            rest["teacher"] = with_rule(rest["teacher"])
        if isinstance(rest.get("train_freq"), list):
            rest["train_freq"] = tuple(rest["train_freq"])
        for key in SCHEDULED:
            if key in rest:
                rest[key] = schedule(key, rest[key])
        return cls(
            n_envs=n_envs,
            wrapper_entry=hyperparams.get("env_wrapper"),
            env_wrapper=env_wrapper,
            vec_env_wrapper=vec_env_wrapper,
            monitor_kwargs=monitor_kwargs,
            normalize=normalize if normalize is not False else None,
            callbacks=callbacks,
            constructor=rest,
        )


def schedule(key: str, value: Any) -> Any:
    """A constant for a number; for ``lin_<number>`` a line from there to 0; None and negative numbers switch off."""
    if value is None or (isinstance(value, (int, float)) and value < 0):
        return value
    if isinstance(value, (int, float)):
        return ConstantSchedule(float(value))
    kind, _, number = str(value).partition("_")
    try:
        if kind != "lin":
            raise ValueError
        if not 0.0 <= float(number) < math.inf:
            raise ValueError
        return SimpleLinearSchedule(float(number))
    except ValueError:
        raise SettingsError(f"{key}: expected a number, or lin_0.001 for a line down to 0; came {value!r}.") from None


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
            f"memory. At most {allowed // transition} fit; branching_dqn stores them in less."
        )
