"""Which days are played: the three ranges of day numbers that never mix, and the stream that draws from them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.days.day import Day

REPORT_DAYS = range(2_000_000, 2_000_500)
SELECTION_DAYS = range(1_000_000, 1_000_500)
TRAINING_DAYS = range(0, 1_000_000)


class DayStream:
    """
    Draws the days that an environment plays: numbers out of a range, or days out of a list.

    Parameters
    ----------
    days
        (first, last) day number, the last one excluded.
    day_list
        Days from files, drawn with equal probability; takes the place of ``days``.
    in_order
        Play them in order, again and again, instead of drawing: for evaluation.
    """

    def __init__(
        self, days: tuple[int, int] | None = None, day_list: Sequence[Day] | None = None, in_order: bool = False
    ) -> None:
        first, last = (TRAINING_DAYS.start, TRAINING_DAYS.stop) if days is None else days
        if day_list is not None and not day_list:
            raise ValueError("day_list: expected at least one day, got none.")
        if first < 0 or last <= first:
            raise ValueError(f"days: expected first >= 0 and last > first, got ({first}, {last}).")
        self._first, self._last = first, last
        self._day_list = list(day_list) if day_list is not None else None
        self._in_order = in_order
        self._position = 0
        self.seed(None)

    def seed(self, seed: int | None, env_index: int = 0) -> None:
        """Restart the stream: environment ``env_index`` of a batch draws from SeedSequence([seed, env_index])."""
        entropy = None if seed is None else [seed, env_index]
        self._random = np.random.default_rng(np.random.SeedSequence(entropy))
        self._position = 0

    def next_day(self) -> int | Day:
        size = self._last - self._first if self._day_list is None else len(self._day_list)
        if self._in_order:
            index = self._position % size
            self._position += 1
        else:
            index = int(self._random.integers(size))
        return self._first + index if self._day_list is None else self._day_list[index]

    def state(self) -> dict[str, Any]:
        """Where the stream stands; the days of a list aren't in it."""
        return {"random": self._random.bit_generator.state, "position": self._position, "days": self._checksum()}

    def restore(self, state: dict[str, Any]) -> None:
        """
        Go on from where a stream of the same days stood.

        Raises
        ------
        ValueError
            When there are other days now.
        """
        if state["days"] != self._checksum():
            raise ValueError("the days to draw from are others than before. Put the same files back.")
        self._random.bit_generator.state = state["random"]
        self._position = state["position"]

    def _checksum(self) -> int:
        labels = [f"{self._first}-{self._last}"] if self._day_list is None else [day.label for day in self._day_list]
        return zlib.crc32("\n".join(labels).encode())

    def name_of(self, day: int | Day) -> int:
        """A number that stands for one of the stream's days: its own, or its place in the list."""
        if not isinstance(day, Day):
            return day
        return next(place for place, listed in enumerate(self._day_list or ()) if listed is day)

    def day_named(self, name: int) -> int | Day:
        """The day behind ``name_of``."""
        return name if self._day_list is None else self._day_list[name]
