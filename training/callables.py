"""
Classes that settings name: callbacks, wrappers, policies and their parts.

A name is imported only from packages that are known to hold nothing but what it stands for, and must be of the kind
that its key asks for. So a YAML file of somebody else's says what is trained and doesn't say what is run.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import gymnasium as gym
import torch as th
from stable_baselines3.common.buffers import BaseBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnvWrapper

from checked import SettingsError

PACKAGES = (
    "agents",
    "reward",
    "training",
    "stable_baselines3",
    "sb3_contrib",
    "rl_zoo3",
    "gymnasium",
    "torch.nn",
    "torch.optim",
)
KINDS: dict[str, type] = {
    "callback": BaseCallback,
    "env_wrapper": gym.Wrapper,
    "vec_env_wrapper": VecEnvWrapper,
    "policy": BasePolicy,
    "replay_buffer_class": BaseBuffer,
    "rollout_buffer_class": BaseBuffer,
    "activation_fn": th.nn.Module,
    "optimizer_class": th.optim.Optimizer,
    "features_extractor_class": BaseFeaturesExtractor,
}
_LISTED = ("callback", "env_wrapper", "vec_env_wrapper")
_ALONE = ("policy", "replay_buffer_class", "rollout_buffer_class")
_INSIDE = ("policy_kwargs", "replay_buffer_kwargs")


def check_callables(hyperparams: Mapping[str, Any], packages: Iterable[str], where: str) -> None:
    """
    Refuse names from elsewhere, and of another kind.

    Parameters
    ----------
    packages
        Allowed besides `PACKAGES`: those of ``--gym-packages``.

    Raises
    ------
    SettingsError
        Naming place, key and what to do.
    """
    allowed = (*PACKAGES, *(package.partition(".")[0] for package in packages))
    for place, key, name in _names(hyperparams, where):
        check_name(f"{where}: {place}", key, name, allowed)


def check_name(where: str, key: str, name: Any, allowed: Iterable[str]) -> Any:
    """The class behind a dotted name, when it may stand there."""
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")) or "." not in name:
        raise SettingsError(f"{where}: expected the name of a class, package.module.Class, came {name!r}.")
    if not any(name.startswith(f"{package}.") for package in allowed):
        raise SettingsError(
            f"{where}: '{name}' is not of a package whose classes settings may name ({', '.join(sorted(allowed))}). "
            "A package of your own: name it with --gym-packages."
        )
    found = import_name(name, where)
    kind = KINDS.get(key)
    if kind is not None and not (isinstance(found, type) and issubclass(found, kind)):
        raise SettingsError(f"{where}: '{name}' is no {kind.__module__.partition('.')[0]} {kind.__name__}.")
    return found


def import_name(dotted: str, where: str = "") -> Any:
    """What a dotted name such as ``torch.nn.ReLU`` stands for."""
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the module does when it is imported
        raise SettingsError(f"{f'{where}: ' if where else ''}'{dotted}' can't be imported: {error}") from error


def _names(hyperparams: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, Any]]:
    """Place, key and name of every class that the settings name."""
    for key in _LISTED:
        entries = hyperparams.get(key)
        for entry in entries if isinstance(entries, list) else [entries] if entries is not None else []:
            if isinstance(entry, Mapping):
                if len(entry) != 1 or not all(isinstance(arguments, Mapping) for arguments in entry.values()):
                    raise SettingsError(
                        f"{where}: {key}: expected a class and its arguments, 'package.Class: {{name: value}}'. "
                        "Check the indentation."
                    )
                yield key, key, next(iter(entry))
            else:
                yield key, key, entry
    for key in _ALONE:
        if isinstance(hyperparams.get(key), str) and "." in hyperparams[key]:
            yield key, key, hyperparams[key]
    for outer in _INSIDE:
        inner = hyperparams.get(outer)
        for key, value in inner.items() if isinstance(inner, Mapping) else ():
            if isinstance(value, str) and "." in value and (key == "activation_fn" or str(key).endswith("_class")):
                yield f"{outer}, {key}", key, value
