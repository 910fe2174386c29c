"""
What a run is asked to do: the reward, the block of a hyperparameter file, the days; every name checked.

Order of precedence: defaults < YAML < command line.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import yaml
from rl_zoo3.utils import ALGOS

REPO_ROOT = Path(__file__).resolve().parent.parent
REWARD_VERSIONS = ("v1", "v2", "v3")
# rl-zoo3's algorithms whose policies take discrete actions and Dict observations, and ours.
FITTING_ALGOS = ("dqn", "maskable_dqn", "qrdqn", "ppo", "maskable_ppo", "a2c")
# Keys that rl-zoo3 reads itself; all other keys go to the constructor of the algorithm.
ZOO_KEYS = (
    "callback",
    "env_kwargs",
    "env_wrapper",
    "monitor_kwargs",
    "n_envs",
    "n_timesteps",
    "normalize",
    "policy",
    "vec_env_wrapper",
)
# Given to every algorithm by the manager, so a YAML may not set them.
MANAGER_KEYS = ("self", "env", "tensorboard_log", "seed", "verbose", "device", "_init_setup_model")


class SettingsError(ValueError):
    """A setting that can't be used; the message says where, what was expected, what came and what to do."""


class Reward(NamedTuple):
    """A reward as asked for on the command line."""

    name: str  # names the run folder
    env_wrapper: Any  # the YAML value of `env_wrapper`


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that helps with a misspelt name: the nearest known one, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}."


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


def find_config(reward_name: str, algo: str, root: Path = REPO_ROOT) -> Path:
    """
    ``hyperparams/<reward>/<algo>.yml``; a reward without a file of its own borrows v2's.

    A custom reward, or V3, is trained with the settings found for V2 until a file of its own is written: the settings
    belong to the algorithm, and the wrapper is put in by ``--reward``.
    """
    own = root / "hyperparams" / reward_name / f"{algo}.yml"
    borrowed = root / "hyperparams" / "v2" / f"{algo}.yml"
    for path in (own, borrowed):
        if path.is_file():
            return path
    raise SettingsError(
        f"no hyperparameters for {algo} under reward {reward_name}: neither hyperparams/{reward_name}/{algo}.yml "
        f"nor hyperparams/v2/{algo}.yml exists. Write one, or name another file with -conf."
    )


def check_algo(algo: str) -> None:
    """Refuse the algorithms of rl-zoo3 that can't work on these environments, with the reason."""
    if algo not in FITTING_ALGOS:
        raise SettingsError(
            f"--algo {algo} does not fit: the actions are discrete and the observation is a Dict. "
            f"Choose one of {', '.join(a for a in FITTING_ALGOS if a in ALGOS)}."
        )
    if algo not in ALGOS:
        raise SettingsError(
            f"--algo {algo} is not installed. Choose one of {', '.join(a for a in FITTING_ALGOS if a in ALGOS)}."
        )


def known_keys(algo: str) -> set[str]:
    """Every key that a hyperparameter block of this algorithm may hold."""
    keys: set[str] = set(ZOO_KEYS)
    for cls in ALGOS[algo].__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
        keys.update(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        # a constructor that forwards **kwargs also takes what its base class takes
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return keys - set(MANAGER_KEYS)


def check_hyperparams(hyperparams: Mapping[str, Any], algo: str, where: str) -> None:
    """
    Fail on an unknown key, on Python hidden in text and on a number that YAML read as text.

    Raises
    ------
    SettingsError
        Naming the place, the key and what to write instead.
    """
    known = known_keys(algo)
    for key, value in hyperparams.items():
        if key not in known:
            raise SettingsError(f"{where}: unknown key '{key}' for {algo}. {nearest(key, known)}")
        if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
            raise SettingsError(
                f"{where}: '{key}: {value}' is text to YAML, not a number. Write it with a point: 1.0e-4."
            )
        if key in {"policy_kwargs", "replay_buffer_kwargs", "monitor_kwargs", "normalize"} and isinstance(value, str):
            raise SettingsError(
                f"{where}: '{key}' is text ({value!r}); expected a mapping. Python code in YAML is not evaluated."
            )
    if "n_timesteps" not in hyperparams:
        raise SettingsError(f"{where}: 'n_timesteps' is missing. Add the number of decisions to train for.")


def read_block(path: str | Path, block: str, fall_back: bool = True) -> tuple[str, dict[str, Any]]:
    """
    One block of a hyperparameter file, and its name: the one asked for, else ``default`` where that is allowed.

    Keys that start with a dot hold shared values (YAML anchors) and are no blocks.
    """
    if not Path(path).is_file():
        raise SettingsError(f"hyperparameter file {path}: there is no such file.")
    try:
        blocks = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise SettingsError(f"hyperparameter file {path} is not valid YAML: {error}") from error
    if not isinstance(blocks, dict):
        raise SettingsError(
            f"hyperparameter file {path}: expected blocks named after environments, such as 'Dispatch-v0:'."
        )
    names = [name for name in blocks if not str(name).startswith(".")]
    if block not in names and not (fall_back and "default" in names):
        raise SettingsError(f"hyperparameter file {path}: there is no block '{block}'. {nearest(block, names)}")
    name = block if block in names else "default"
    if not isinstance(blocks[name], dict):
        raise SettingsError(f"hyperparameter file {path}, block '{name}': expected 'key: value' lines.")
    return name, dict(blocks[name])


def import_named_classes(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Replace dotted names (``activation_fn: torch.nn.ReLU``, ``*_class: package.Class``) by what they name."""
    result = dict(kwargs)
    for key, value in kwargs.items():
        if isinstance(value, str) and "." in value and (key == "activation_fn" or key.endswith("_class")):
            result[key] = import_name(value)
    return result


def import_name(dotted: str) -> Any:
    """What a dotted name such as ``torch.nn.ReLU`` stands for."""
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"'{dotted}' can't be imported: {error}") from error


def env_parameters(env_id: str) -> set[str]:
    """Names of the keyword arguments that the environment's constructor spells out."""
    entry_point = gym.spec(env_id).entry_point
    if isinstance(entry_point, str):
        module, _, name = entry_point.partition(":")
        entry_point = getattr(importlib.import_module(module), name)
    return set(inspect.signature(entry_point).parameters) if callable(entry_point) else set()


def parse_day_ranges(text: str) -> list[int]:
    """
    Service day numbers from ``0-44`` or ``0-9,12,20-29``.

    Raises
    ------
    SettingsError
        When the text is something else, or a range runs backwards.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if not match:
            raise SettingsError(f"days '{text}': expected ranges such as 0-44 or 0-9,12; '{part.strip()}' is neither.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise SettingsError(f"days '{text}': the range {part.strip()} runs backwards.")
        numbers.extend(range(first, last + 1))
    return numbers
