"""What a run writes on its way, so that a full disk ends no training and a kill leaves no half file."""

from __future__ import annotations

import contextlib
import io
import threading
import zipfile
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import TensorBoardOutputFormat
from stable_baselines3.common.monitor import ResultsWriter
from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
from torch.utils.tensorboard import SummaryWriter

import kept


def save_model(model: BaseAlgorithm, path: str | Path) -> None:
    """The model as a zip; a good one that stands there stays until this one is whole."""
    in_memory = io.BytesIO()
    model.save(in_memory)
    kept.write_bytes(path, in_memory.getvalue())


def is_whole_model(path: str | Path) -> bool:
    """Whether this is a model's zip from beginning to end."""
    try:
        with zipfile.ZipFile(path) as archive:  # a zip within a cut one may look like one
            return "data" in archive.namelist() and archive.testzip() is None
    except (OSError, zipfile.BadZipFile, ValueError, EOFError, NotImplementedError):
        return False


class Rows(ResultsWriter):
    """Rows of a monitor file; those that can't be written now are written with a later one."""

    @classmethod
    def around(cls, writer: ResultsWriter) -> Rows:
        """The same file, written patiently."""
        rows = cls.__new__(cls)
        rows.__dict__ = {**vars(writer), "attempts": kept.Attempts("the file of episodes (monitor.csv)")}
        return rows

    attempts: kept.Attempts

    def write_row(self, epinfo: dict[str, Any]) -> None:
        with self.attempts.one():
            super().write_row(epinfo)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


class Curves(TensorBoardOutputFormat):
    """TensorBoard's curves; after a failure they go on in a file of their own, with a gap."""

    def __init__(self, folder: str, first_step: int = 0) -> None:
        _silence_writers()
        super().__init__(folder)
        self.folder = folder
        self.attempts = kept.Attempts("the curves of TensorBoard")
        if first_step:  # hides what an interrupted run wrote after its last checkpoint
            self.writer.close()
            self.writer = SummaryWriter(log_dir=folder, purge_step=first_step + 1)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        with self.attempts.one():
            if self.attempts.is_failing:
                with contextlib.suppress(OSError):
                    self.writer.close()
                self.writer = SummaryWriter(log_dir=self.folder)
            super().write(key_values, key_excluded, step)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def _silence_writers() -> None:
    """TensorBoard's thread prints a traceback when the disk is full; `Curves` says it in a line."""
    before = threading.excepthook
    if getattr(before, "is_of_curves", False):
        return

    def hook(args: threading.ExceptHookArgs) -> None:
        if not (isinstance(args.thread, _AsyncWriterThread) and isinstance(args.exc_value, OSError)):
            before(args)

    hook.is_of_curves = True  # type: ignore[attr-defined]
    threading.excepthook = hook
