"""Trained models on disk: the zip behind a path or a name, and the settings it was trained with."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from checked import SettingsError

RESOLVED = "resolved.yml"  # what train.py leaves in <run>/<environment>/
BEST, LAST = "best", "last"
TRAINED_AGENTS = Path(__file__).resolve().parent.parent / "trained-agents"


class ModelError(SettingsError):
    """A model that can't be evaluated; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Run:
    """
    A trained model and the settings it was trained with.

    Attributes
    ----------
    settings
        Of ``resolved.yml``: reward, algo, env, env_kwargs, seed, hyperparams; empty for a bare zip.
    is_trusted
        Whether pickled objects in its files may be loaded, which runs them.
    packages
        Of the user's own (``--gym-packages``), whose policies may be looked up by name.
    """

    path: Path
    folder: Path | None
    checkpoint: str  # best, last or the name of the zip
    algo: str
    settings: dict[str, Any] = field(default_factory=dict)
    is_trusted: bool = False
    packages: tuple[str, ...] = ()

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


def find_runs(given: Sequence[str], checkpoints: Sequence[str], algo: str | None = None) -> list[Run]:
    """The runs behind the words of a command line, each in these checkpoints; see ``by_name`` and ``find_run``."""
    paths = [path for word in given for path in by_name(word)]
    return [find_run(path, which, algo) for path in paths for which in checkpoints]


def folder_for_results(runs: Sequence[Run], logs: Path = Path("logs")) -> Path:
    """
    The run folder of the first model of one's own, else ``logs/evaluation_1``; ``evaluation_2``, ``_3``, ... there,
    when that has an evaluation already.

    Shipped models are part of the project: nothing is written among them.
    """
    own = [run.folder for run in runs if run.folder is not None]
    own = [folder for folder in own if TRAINED_AGENTS not in folder.resolve().parents]
    if own and not (own[0] / "evaluation.json").exists():
        return own[0]
    where, first = (own[0], 2) if own else (logs, 1)
    return next(folder for number in count(first) if not (folder := where / f"evaluation_{number}").exists())


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
        return "branching_dqn" if data.get("branching") is not None or data.get("teacher") else "maskable_dqn"
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
