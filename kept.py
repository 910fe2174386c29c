"""Files that are whole or not there: written beside their place, brought to the disk, then renamed into it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_FORMULA = tuple("=+-@\t\r")  # what a formula begins with


@contextlib.contextmanager
def written(path: str | Path) -> Iterator[Path]:
    """
    A path to write to, beside ``path`` and with its suffix; at the end it takes the place of ``path``.

    When the body fails, or the process dies in it, ``path`` stays what it was.
    """
    path = Path(path)
    fresh = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        yield fresh
        sync(fresh)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_bytes(path: str | Path, content: bytes) -> None:
    """The file with this content, or as it was before."""
    with written(path) as fresh:
        fresh.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """The file with this text, or as it was before."""
    write_bytes(path, content.encode())


def sync(path: str | Path) -> None:
    """Bring what was written to this file, or the names in this folder, from the system's memory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Attempts:
    """
    Writes without which a run can go on, such as those on a disk that is full for a while.

    Parameters
    ----------
    what
        What is written, in a message; said once when it fails and once when it works again.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.is_failing = False

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """An attempt: an error of the system in the body is told, not raised."""
        try:
            yield
        except OSError as error:
            if not self.is_failing:
                print(
                    f"warning: {self.what} can't be written ({error.strerror or error}). The run goes on and tries "
                    "again; make room on the disk.",
                    file=sys.stderr,
                    flush=True,
                )
            self.is_failing = True
        else:
            if self.is_failing:
                print(f"{self.what} could be written again.", file=sys.stderr, flush=True)
            self.is_failing = False


def for_spreadsheet(text: str) -> str:
    """A text for a cell of a CSV file, with a quote before what a spreadsheet would run as a formula; numbers aside."""
    return f"'{text}" if text[:1] in _FORMULA else text
