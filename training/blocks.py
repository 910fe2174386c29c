"""Hyperparameter files: one block per environment, every key checked against what reads it."""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_zoo3.utils import ALGOS

from agents.branching import BranchSettings
from agents.imitation import TeacherSettings
from checked import SettingsError, is_number_as_text, nearest
from envs.days import plain_yaml
from training.callables import import_name
from training.settings import REPO_ROOT
from training.teacher import with_rule

# Keys that are read here; all other keys go to the constructor of the algorithm.
OWN_KEYS = (
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
# rl-zoo3's algorithms that can't learn dispatch. One that another package registers is taken at its word.
UNFIT_ALGOS = ("ars", "crossq", "ddpg", "ppo_lstm", "sac", "td3", "tqc", "trpo")


def check_algo(algo: str, plays_days: bool) -> None:
    """
    Refuse an algorithm that isn't there, and on dispatch days those of rl-zoo3 that can't work there.

    Raises
    ------
    SettingsError
        With the algorithms to choose from.
    """
    fitting = [name for name in ALGOS if not (plays_days and name in UNFIT_ALGOS)]
    if algo not in ALGOS:
        raise SettingsError(
            f"--algo {algo}: there is no such algorithm. {nearest(algo, fitting)} One of your own: let a package put "
            "it into rl_zoo3.utils.ALGOS and name the package with --gym-packages."
        )
    if algo not in fitting:
        raise SettingsError(
            f"--algo {algo} does not fit: the actions are discrete and the observation is a Dict. "
            f"Choose one of {', '.join(fitting)}."
        )


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


def read_block(path: str | Path, block: str, fall_back: bool = True) -> tuple[str, dict[str, Any]]:
    """
    One block of a hyperparameter file, and its name: the one asked for, else ``default`` where that is allowed.

    Keys that start with a dot hold shared values (YAML anchors) and are no blocks.
    """
    if not Path(path).is_file():
        raise SettingsError(f"hyperparameter file {path}: there is no such file.")
    try:
        blocks = plain_yaml.load(path)
    except (ValueError, OSError) as error:
        raise SettingsError(f"hyperparameter file {error}") from error
    if not isinstance(blocks, dict):
        raise SettingsError(
            f"hyperparameter file {path}: expected blocks named after environments, such as 'Dispatch-v0:'."
        )
    names = [name for name in blocks if not str(name).startswith(".")]
    if block not in names and not (fall_back and "default" in names):
        advice = nearest(block, names)
        for other in sorted(Path(path).parent.glob("*.yml")):
            with contextlib.suppress(ValueError, OSError, TypeError):
                if block in (plain_yaml.load(other) or {}):
                    advice = f"{other} has one: pass --algo {other.stem}."
        raise SettingsError(f"hyperparameter file {path}: there is no block '{block}'. {advice}")
    name = block if block in names else "default"
    if not isinstance(blocks[name], dict):
        raise SettingsError(f"hyperparameter file {path}, block '{name}': expected 'key: value' lines.")
    return name, dict(blocks[name])


def example_block(algo: str, env_id: str) -> str:
    """How a first block for an environment without one is written and used; for a message."""
    algo = algo if algo not in ("branching_dqn", "maskable_dqn", "maskable_ppo") else "dqn"
    lines = (
        f"{env_id}:\n  n_timesteps: 50000\n"
        "  policy: MlpPolicy        # MultiInputPolicy where the observation is a Dict, CnnPolicy for images"
    )
    return (
        f"Write a block, into my.yml for example, and pass --algo {algo} -conf my.yml:\n{textwrap.indent(lines, '  ')}"
    )


def known_keys(algo: str) -> set[str]:
    """Every key that a hyperparameter block of this algorithm may hold."""
    keys: set[str] = set(OWN_KEYS)
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
        if is_number_as_text(value):
            raise SettingsError(
                f"{where}: '{key}: {value}' is text to YAML, not a number. Write it with a point: 1.0e-4."
            )
        if key in {"policy_kwargs", "replay_buffer_kwargs", "monitor_kwargs", "normalize"} and isinstance(value, str):
            raise SettingsError(
                f"{where}: '{key}' is text ({value!r}); expected a mapping. Python code in YAML is not evaluated."
            )
    if "n_timesteps" not in hyperparams:
        raise SettingsError(f"{where}: 'n_timesteps' is missing. Add the number of decisions to train for.")


def check_parts(hyperparams: Mapping[str, Any], where: str) -> None:
    """Refuse settings of the parts of an algorithm that it would refuse itself, before anything is set up."""
    try:
        if hyperparams.get("branching") is not None:
            BranchSettings.read(hyperparams["branching"])
        if hyperparams.get("teacher") is not None:
            TeacherSettings.read(with_rule(hyperparams["teacher"]))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{where}: {error}") from error


def import_named_classes(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Replace dotted names (``activation_fn: torch.nn.ReLU``, ``*_class: package.Class``) by what they name."""
    result = dict(kwargs)
    for key, value in kwargs.items():
        if isinstance(value, str) and "." in value and (key == "activation_fn" or key.endswith("_class")):
            result[key] = import_name(value)
    return result
