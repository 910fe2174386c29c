"""
``training_metrics.json``: one file per run that says what was trained, with what, and how every episode ended.

``jq '.episodes | max_by(.reward) | .reward' training_metrics.json`` answers for the best training episode.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import kept
from checked import without_password
from training.settings import REPO_ROOT

FILE_NAME = "training_metrics.json"
_PACKAGES = ("stable_baselines3", "sb3_contrib", "rl_zoo3", "gymnasium", "torch", "numpy", "numba")
_MIN_WRITE_INTERVAL_S = 10.0
_WRITE_TIME_SHARE = 0.02  # at most this share of a run goes into writing the file


class TrainingMetrics:
    """
    The content of ``training_metrics.json``, written anew and atomically while the run goes on.

    Parameters
    ----------
    run_folder
        Where the file lives.
    header
        Everything but ``episodes`` and ``evaluations``: config, seeds, commit, versions, environment.
    """

    def __init__(self, run_folder: str | Path, header: dict[str, Any]) -> None:
        self.path = Path(run_folder) / FILE_NAME
        self.header = plain_settings(header)
        self.evaluations: list[dict[str, Any]] = []
        # Episodes are kept as JSON text: a long run has 100 000 of them, and each write would encode them all again.
        self._episodes: list[str] = []
        self._next_write = time.monotonic() + _MIN_WRITE_INTERVAL_S
        self._attempts = kept.Attempts(str(self.path))

    def restore(self, num_timesteps: int) -> None:
        """Take over what the file holds up to the step from which the run is resumed."""
        if not self.path.is_file():
            return
        try:
            saved = json.loads(self.path.read_text())
        except ValueError:
            print(f"warning: {self.path} is damaged; the episodes before step {num_timesteps} are not in it any more.")
            return
        self._episodes = [json.dumps(e) for e in saved["episodes"] if e["timesteps"] <= num_timesteps]
        self.evaluations = [e for e in saved["evaluations"] if e["timesteps"] <= num_timesteps]
        self.header = {
            **self.header,
            "started_at": saved.get("started_at"),
            "resumed_at": [*saved.get("resumed_at", []), self.header.get("started_at")],
            "resumed_from": [*saved.get("resumed_from", []), num_timesteps],
        }

    @property
    def num_episodes(self) -> int:
        return len(self._episodes)

    def add_episode(self, **fields: Any) -> None:
        """A finished training episode: ``timesteps``, ``reward``, ``steps``, ``day`` and its ``kpis``."""
        self._episodes.append(json.dumps(plain({"episode": self.num_episodes + 1, **fields})))
        if time.monotonic() >= self._next_write:
            self.write()

    def add_evaluation(self, **fields: Any) -> None:
        """An evaluation on the selection days."""
        self.evaluations.append(plain(fields))

    def write(self, **header: Any) -> None:
        """Write the file now; ``header`` replaces or adds entries at the top."""
        start = time.monotonic()
        self.header.update(plain_settings(header))
        top = json.dumps(self.header, indent=1)[:-2]  # without the closing "\n}"
        evaluations = ",\n  ".join(json.dumps(e) for e in self.evaluations)
        episodes = ",\n  ".join(self._episodes)
        text = f'{top},\n "evaluations": [\n  {evaluations}\n ],\n "episodes": [\n  {episodes}\n ]\n}}\n'
        with self._attempts.one():
            kept.write_text(self.path, text)
        took = time.monotonic() - start
        self._next_write = time.monotonic() + max(_MIN_WRITE_INTERVAL_S, took / _WRITE_TIME_SHARE)


def plain(value: Any) -> Any:
    """The same as plain data for JSON and YAML: no NumPy numbers, no tuples, no classes; not-a-number becomes null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, range)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if math.isfinite(value) else None
    return value if value is None or isinstance(value, str) else str(value)


def plain_settings(value: Any) -> Any:
    """As ``plain``, with every digit of a number kept: settings are read back when a run is resumed."""
    if isinstance(value, dict):
        return {str(key): plain_settings(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, range)):
        return [plain_settings(item) for item in value]
    if isinstance(value, float):
        return value
    return plain(value)


def write_yaml(path: str | Path, content: dict[str, Any]) -> None:
    """Write plain YAML that ``yaml.safe_load`` reads back."""
    kept.write_text(path, yaml.safe_dump(plain_settings(content), sort_keys=False, allow_unicode=True))


def command() -> str:
    """The command that this process was started with, without the password of a database."""
    return " ".join(without_password(word) for word in sys.orig_argv)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what a run gives."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _PACKAGES}}


def commit() -> dict[str, Any]:
    """The commit of this checkout and whether files differ from it; nulls outside a git checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=REPO_ROOT, capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    head = git("rev-parse", "HEAD")
    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": head, "has_local_changes": bool(status) if head and status is not None else None}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
