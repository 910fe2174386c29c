"""
A model's zip read without unpickling anything: weights, plain settings, and names of classes that are known.

Stable-Baselines3 keeps what JSON can't say as pickled objects, and unpickling runs whatever is in them. To predict,
none of it is needed: the weights are read by ``torch.load(weights_only=True)``, classes are looked up by their names,
spaces are read from their text, and the rest (schedules, buffers, statistics of the training) is left out.
"""

from __future__ import annotations

import importlib
import json
import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

KNOWN_PACKAGES = ("agents", "stable_baselines3", "sb3_contrib")
_PARTS = ("torch.nn", "torch.optim")
_KINDS = (th.nn.Module, th.optim.Optimizer, BasePolicy)
_NUMBER = r"-?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf)"
_BOX = re.compile(rf"Box\(({_NUMBER}), ({_NUMBER}), \(([\d, ]*)\), (\w+)\)")
_DTYPES = ("float32", "float64", "uint8", "int8", "int32", "int64")
# To predict, these may be anything that the constructor takes.
_UNUSED: dict[str, Any] = {
    "learning_rate": 0.0,
    "lr_schedule": None,
    "exploration_schedule": None,
    "clip_range": 0.2,
    "train_freq": TrainFreq(1, TrainFrequencyUnit.STEP),
    "replay_buffer_class": None,
    "replay_buffer_kwargs": {},
    "rollout_buffer_class": None,
    "rollout_buffer_kwargs": {},
    "ep_info_buffer": None,
    "ep_success_buffer": None,
    "_last_obs": None,
    "_last_original_obs": None,
    "_last_episode_starts": None,
    "action_noise": None,
}


class NeedsPickle(ValueError):
    """A zip of which something that is needed can only be unpickled; the message says what."""


def plain_objects(
    path: str | Path, packages: Collection[str] = (), known_spaces: Mapping[str, spaces.Space[Any]] | None = None
) -> dict[str, Any]:
    """
    What takes the place of every pickled object: for ``load(path, custom_objects=...)``, which then unpickles none.

    Parameters
    ----------
    packages
        Packages besides `KNOWN_PACKAGES` whose policies may be looked up.
    known_spaces
        ``observation_space`` and ``action_space``, where they are known; else they are read from their text.

    Raises
    ------
    NeedsPickle
        When something can't be known without.
    """
    with zipfile.ZipFile(path) as archive:
        data = json.loads(archive.read("data"))
    objects: dict[str, Any] = {}
    for key, value in data.items():
        if not isinstance(value, dict) or ":serialized:" not in value:
            continue
        if known_spaces is not None and key in known_spaces:
            objects[key] = known_spaces[key]
        elif key in ("observation_space", "action_space"):
            objects[key] = _space(value, key)
        elif key == "policy_class":
            objects[key] = _policy(value, (*KNOWN_PACKAGES, *packages))
        elif key == "policy_kwargs":
            objects[key] = _arguments(value, (*_PARTS, *KNOWN_PACKAGES, *packages))
        elif key in _UNUSED:
            objects[key] = _UNUSED[key]
        else:
            raise NeedsPickle(f"'{key}' is a pickled object")
    if "n_ticks" in data:  # the family of MaskableDQN makes its own buffer
        from agents.replay import ClockReplayBuffer

        objects["replay_buffer_class"] = ClockReplayBuffer
    return objects


def _policy(value: Mapping[str, Any], packages: Collection[str]) -> type[BasePolicy]:
    module, init = str(value.get("__module__")), re.match(r"<function (\w+)\.__init__ at", str(value.get("__init__")))
    if module.partition(".")[0] in packages and init is not None:
        found = getattr(importlib.import_module(module), init[1], None)
        if isinstance(found, type) and issubclass(found, BasePolicy):
            return found
    raise NeedsPickle(f"its policy ({module[:60]}) is of no known package")


def _arguments(value: Mapping[str, Any], packages: Collection[str]) -> dict[str, Any]:
    """Arguments of a policy, classes among them; what is neither plain nor a class can't be known."""
    arguments: dict[str, Any] = {}
    for key, item in value.items():
        if key in (":type:", ":serialized:"):
            continue
        name = re.fullmatch(r"<class '([\w.]+)\.(\w+)'>", item) if isinstance(item, str) else None
        if name is not None and any(f"{name[1]}.".startswith(f"{package}.") for package in packages):
            found = getattr(importlib.import_module(name[1]), name[2], None)
            if isinstance(found, type) and issubclass(found, _KINDS):
                arguments[key] = found
                continue
        if isinstance(item, str):
            raise NeedsPickle(f"'{key}' of its policy is a pickled object")
        arguments[key] = item
    return arguments


def _space(value: Mapping[str, Any], key: str) -> spaces.Space[Any]:
    kind = re.search(r"\.(\w+)'>$", str(value.get(":type:")))
    if kind is not None and kind[1] == "Discrete" and str(value.get("start")) == "0" and str(value.get("n")).isdigit():
        return spaces.Discrete(int(value["n"]))
    if kind is not None and kind[1] == "Dict":
        text = str(value.get("spaces"))
        if text.startswith("OrderedDict"):
            text = (
                "{" + ", ".join(f"'{name}': {part}" for name, part in re.findall(r"\('(\w+)', ([^']*)\)", text)) + "}"
            )
        parts = re.findall(r"'(\w+)': ((?:Box|MultiBinary|Discrete)\((?:[^()]|\([^()]*\))*\))", text)
        rebuilt = "{" + ", ".join(f"'{name}': {part}" for name, part in parts) + "}"
        if parts and rebuilt == text:
            return spaces.Dict({name: _part(part, key) for name, part in parts})
    raise NeedsPickle(f"'{key}' is of a kind that isn't read from its text")


def _part(text: str, key: str) -> spaces.Space[Any]:
    box = _BOX.fullmatch(text)
    if box is not None and box[4] in _DTYPES:
        shape = tuple(int(size) for size in box[3].replace(" ", "").split(",") if size)
        dtype: Any = np.dtype(box[4]).type
        return spaces.Box(float(box[1]), float(box[2]), shape, dtype)
    number = re.fullmatch(r"(MultiBinary|Discrete)\((\d+)\)", text)
    if number is not None:
        return getattr(spaces, number[1])(int(number[2]))
    raise NeedsPickle(f"'{key}' holds {text[:40]}")
