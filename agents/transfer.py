"""A trained pair network in an environment of another size."""

from __future__ import annotations

import io
import pathlib
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import GymEnv

from agents.maskable_dqn import MaskableDQN
from agents.policies import PairPolicy

FEATURE_KEYS = ("drivers", "bookings", "pairs", "clock")


def check_transferable(saved: spaces.Dict, wanted: spaces.Dict, name: str = "model") -> None:
    """
    Refuse spaces whose rows mean something else; how many rows there are is free.

    Raises
    ------
    ValueError
        When a key is missing or the number of features of a row differs.
    """
    for key in FEATURE_KEYS:
        if key not in wanted.spaces:
            raise ValueError(f"{name}: the environment's observation has no '{key}'. Wrap it as the model was trained.")
        trained, given = saved[key].shape[-1], wanted[key].shape[-1]  # type: ignore[index]
        if trained != given:
            raise ValueError(
                f"{name}: trained on {trained} features per row of '{key}', but the environment has {given}. "
                "Use the environment version that the model was trained on, or train a new model "
                "(the numbers of drivers and bookings are free, their features are not)."
            )


def load_for(
    path: str | pathlib.Path | io.BufferedIOBase,
    env: GymEnv,
    algorithm: type[MaskableDQN] = MaskableDQN,
    custom_objects: dict[str, Any] | None = None,
    **kwargs: Any,
) -> MaskableDQN:
    """
    Load a `MaskableDQN` (or ``algorithm``, built on it) with the pair network for any fleet and slot size.

    SB3 ties a model to its spaces; the weights of the pair network are not, so the policy is rebuilt on the spaces of
    ``env`` and gets the trained weights. Further arguments go to ``algorithm.load``; ``custom_objects`` stand for what
    would be unpickled (`agents.plain_zip`).

    Raises
    ------
    ValueError
        When the model isn't a pair network, or its features aren't those of ``env``.
    """
    # A file object is read twice: once for the check, once to load.
    start = path.tell() if isinstance(path, io.IOBase) else None
    data, _, _ = load_from_zip_file(path, custom_objects=custom_objects)
    assert data is not None
    name = "model" if start is not None else f"model {pathlib.Path(str(path)).name}"
    if not issubclass(data["policy_class"], PairPolicy):
        raise ValueError(
            f"{name}: the weights of {data['policy_class'].__name__} fit one number of drivers and bookings only. "
            "Train with PairPolicy, or use MaskableDQN.load with an environment of the trained size."
        )
    check_transferable(data["observation_space"], env.observation_space, name)  # type: ignore[arg-type]
    if start is not None:
        path.seek(start)  # type: ignore[union-attr]
    changed: dict[str, Any] = dict(custom_objects or {})
    changed |= {"observation_space": env.observation_space, "action_space": env.action_space}
    changed |= {"verbose": kwargs["verbose"]} if "verbose" in kwargs else {}  # SB3 speaks before it takes kwargs in
    return algorithm.load(path, env=env, custom_objects=changed, **kwargs)
