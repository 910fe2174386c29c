"""The reward that a run learns from: asked for by name or file, written as a YAML value of ``env_wrapper``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from checked import SettingsError, nearest

REWARD_VERSIONS = ("v1", "v2", "v3")


class Reward(NamedTuple):
    """A reward as asked for on the command line."""

    name: str  # names the run folder
    env_wrapper: Any  # the YAML value of `env_wrapper`


def find_reward(asked: str) -> Reward:
    """
    The reward named v1, v2 or v3, or described by a YAML file of weights.

    Raises
    ------
    SettingsError
        When it is neither a known version nor a file.
    """
    if asked in REWARD_VERSIONS:
        return Reward(asked, f"reward.Reward{asked.upper()}")
    path = Path(asked)
    if path.suffix in {".yml", ".yaml"}:
        if not path.is_file():
            raise SettingsError(f"--reward {asked}: there is no such file of weights.")
        return Reward(path.stem, {"reward.RewardWrapper": {"version": str(path.resolve())}})
    raise SettingsError(
        f"--reward {asked}: expected {', '.join(REWARD_VERSIONS)} or the path of a YAML file of weights. "
        + nearest(asked, REWARD_VERSIONS)
    )


def reward_of_wrapper(entry: Any) -> tuple[str, Any, Any]:
    """Version (or file), changed weights and prices behind a YAML value of ``env_wrapper``; None where not given."""
    name, kwargs = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
    match = re.fullmatch(r"reward\.Reward(V\d+|Wrapper)", str(name))
    if not match:
        raise SettingsError(
            f"--vec-env batched: env_wrapper '{name}' is no reward of this project, and the batch takes no other "
            "wrapper. Use --vec-env dummy."
        )
    version = kwargs.get("version", "v2") if match[1] == "Wrapper" else match[1].lower()
    return version, kwargs.get("weights"), kwargs.get("prices")


def prices_of_wrapper(entry: Any) -> Any:
    """The prices in a YAML value of ``env_wrapper``, whatever it wraps with; None without."""
    kwargs = next(iter(entry.values())) if isinstance(entry, dict) and entry else None
    return kwargs.get("prices") if isinstance(kwargs, dict) else None


def with_prices(entry: Any, prices: Any) -> Any:
    """The YAML value ``entry`` of ``env_wrapper`` with these prices; unchanged for None."""
    if prices is None:
        return entry
    name, kwargs = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
    return {name: {**kwargs, "prices": prices}}
