"""How far an evaluation is: one bar on stderr for all who play, which also says what is prepared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

_LINES_EVERY_S = 10.0  # where stderr is no terminal, so that a log stays short


def progress_bar(unit: str) -> tqdm[Any]:
    """
    A bar without a length yet, while things are loaded; it vanishes when it is closed.

    No time that is left is shown: rules take moments, re-planners minutes, and the first to play waits for compilation.
    """
    seconds = 0.1 if sys.stderr.isatty() else _LINES_EVERY_S
    return tqdm(
        desc="loading",
        unit=unit,
        leave=False,
        dynamic_ncols=True,
        mininterval=seconds,
        maxinterval=seconds,
        bar_format="{desc} {bar} {n_fmt} of {total_fmt} {unit}s, {elapsed}",
    )


def days_of(bar: tqdm[Any], name: str) -> Callable[[int], None]:
    """From now on ``name`` plays; the callback takes the number of days that it has played."""
    start = bar.n
    bar.set_description(name)

    def show(done: int) -> None:
        bar.update(start + done - bar.n)

    return show
