"""
The folder of a run, laid out as rl-zoo3 does it: ``<log-folder>/<algo>/<env>_<n>/``.

    0.monitor.csv ...  evaluations.npz  events.out.tfevents.*  training_metrics.json
    best_model.zip  <env>.zip  checkpoint/
    <env>/  config.yml  args.yml  command.txt  resolved.yml  [vecnormalize.pkl]
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import os
import shutil
import sys
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rl_zoo3.utils import get_latest_run_id
from stable_baselines3.common.logger import HumanOutputFormat, KVWriter, Logger

import kept
from checked import SettingsError
from training import metrics
from training.renamed import upgraded
from training.settings import RunSettings
from training.writers import Curves

RESOLVED = "resolved.yml"
LOCK = ".lock"


@dataclass(frozen=True)
class RunFolder:
    """A run's folder; ``claim`` makes one, a resumed run names its own."""

    path: Path
    env_name: str

    @classmethod
    def claim(cls, settings: RunSettings) -> RunFolder:
        """
        The folder of the resumed run, or a new one with the next free number.

        It is claimed atomically: two runs started together get two numbers.
        """
        if settings.resume is not None:
            return cls(Path(settings.resume), settings.env_name)
        parent = Path(settings.log_folder) / settings.algo
        parent.mkdir(parents=True, exist_ok=True)
        number = get_latest_run_id(str(parent), settings.env_name) + 1
        suffix = f"_{uuid.uuid4()}" if settings.uuid else ""
        while True:
            folder = cls(parent / f"{settings.env_name}_{number}{suffix}", settings.env_name)
            try:
                folder.path.mkdir()
                folder.params.mkdir()
                return folder
            except FileExistsError:  # another run took the number since it was looked up
                number += 1

    def discard(self) -> None:
        """Remove a folder in which nothing was trained, and those above it that held nothing else."""
        shutil.rmtree(self.path)
        for folder in list(self.path.parents)[:3]:  # <log-folder>/<reward>/<algo>
            with contextlib.suppress(OSError):
                folder.rmdir()

    @property
    def params(self) -> Path:
        """Where settings and running averages lie."""
        return self.path / self.env_name

    @property
    def model(self) -> Path:
        """The last model."""
        return self.path / f"{self.env_name}.zip"

    @property
    def result(self) -> Path:
        """The best model on the selection days, or the folder when none was evaluated."""
        best = self.path / "best_model.zip"
        return best if best.is_file() else self.path

    def write_settings(self, settings: RunSettings) -> None:
        """rl-zoo3's three files, unless the run is resumed, and a plain ``resolved.yml``."""
        if settings.resume is None:
            for name, content in (("config.yml", settings.hyperparams), ("args.yml", settings.to_args())):
                plain = metrics.plain_settings(content)
                kept.write_text(self.params / name, yaml.dump(OrderedDict(sorted(plain.items()))))
            kept.write_text(self.params / "command.txt", metrics.command())
        metrics.write_yaml(self.params / RESOLVED, settings.to_resolved())

    def logger(self, settings: RunSettings, first_step: int) -> Logger | None:
        """
        Curves go into the run folder, so that ``tensorboard --logdir logs`` names a run v2/dqn/Dispatch-v0_1.

        ``-tb DIR`` puts them below DIR under the same name instead. None: no curves. ``first_step`` hides what an
        interrupted run wrote after its last checkpoint.
        """
        if not settings.is_tensorboard_on:
            return None
        folder = str(self.path)
        if settings.tensorboard_log:
            folder = os.path.join(settings.tensorboard_log, os.path.relpath(self.path, settings.log_root))
        formats: list[KVWriter] = [Curves(folder, first_step)]
        if settings.verbose > 0 and not settings.progress:
            formats.append(HumanOutputFormat(sys.stdout))
        return Logger(folder, formats)

    def trim_monitor_files(self, num_timesteps: int, rows_kept: Mapping[str, int] | None) -> None:
        """
        Drop the episodes that an interrupted run finished after its last checkpoint: they will be played again.

        ``rows_kept``: how many each file held by then; None in checkpoints of older versions, where the lengths of the
        episodes say it.
        """
        files = sorted(self.path.glob("*.monitor.csv"))
        for path in files:
            lines = path.read_text().splitlines(keepends=True)
            header, rows = lines[:2], lines[2:]
            if len(header) < 2:
                continue
            if rows_kept is not None:
                kept_rows = rows[: rows_kept.get(path.name, 0)]
            else:
                kept_rows = _rows_until(header[1], rows, num_timesteps // max(len(files), 1))
            kept.write_text(path, "".join(header + kept_rows))


def _rows_until(names: str, rows: list[str], num_steps: int) -> list[str]:
    """The first episodes that together are no longer than so many steps."""
    length = next(csv.reader([names])).index("l")
    steps, kept_rows = 0, []
    for row in rows:
        steps += int(next(csv.reader([row]))[length])
        if steps > num_steps:
            break
        kept_rows.append(row)
    return kept_rows


def read_resolved(run_folder: str | Path) -> dict[str, Any]:
    """
    The settings of a run, as ``resolved.yml`` keeps them.

    Raises
    ------
    SettingsError
        When the folder is not a run of this project.
    """
    folder = Path(run_folder)
    found = sorted(folder.glob(f"*/{RESOLVED}")) if folder.is_dir() else []
    if len(found) != 1:
        what = "there is no such folder" if not folder.is_dir() else f"it holds no <environment>/{RESOLVED}"
        raise SettingsError(
            f"{run_folder} is not a training run: {what}. Name a folder such as logs/v2/dqn/Dispatch-v0_1."
        )
    try:
        content = yaml.safe_load(found[0].read_text())
        return upgraded({**content, "args": dict(content["args"])})
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise SettingsError(f"{found[0]} is damaged, so the settings of the run are lost. Start it again.") from error


class Occupied:
    """
    A folder in which this process alone trains, until ``release`` or its end, however it ends.

    Raises
    ------
    SettingsError
        When another process trains in it.
    """

    def __init__(self, folder: str | Path) -> None:
        self._descriptor: int | None = os.open(Path(folder) / LOCK, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.read(self._descriptor, 20).decode()
            self.release()
            raise SettingsError(
                f"--resume {folder}: another training (process {who}) is at work in this folder. Two would overwrite "
                "each other's files: wait until it has ended, or stop it."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        """Others may train in the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
