"""``DispatchBatch``: days side by side with decisions and observations; Gymnasium's and SB3's faces stand on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from envs.days.day import Day
from envs.days.generators import write_generated_day
from envs.days.loading import write_day
from envs.days.scenario import Scenario, generate_day, max_bookings_of_day
from envs.kpis import KPI_NAMES, kpi_rows
from envs.observation import (
    allocate_observation,
    observation_space,
    write_expected,
    write_observation,
    write_observations,
)
from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.decisions import refresh, step_day, to_next_decisions
from envs.world.disturbances import DISTURBANCES
from envs.world.orders import allocate_world, start_day
from envs.world.records import World

_MATRICES = ("km", "work")  # of a world: read-only in play


@jit
def _start_generated(world: World, rows, generator, rates, day_numbers):
    world = borrow(world)
    for i in range(len(rows)):
        b, number = rows[i], day_numbers[i]
        write_generated_day(
            generator, number, world.bookings[b], world.drivers[b], world.clocks[b : b + 1], world.speeds[b]
        )
        start_day(world, b, rates, np.uint64(number))


@jit
def _step_and_observe(world: World, actions, scale_km, drivers, bookings, pairs, clock, mask):
    """
    A decision and its observation, row by row: what one has touched is still at hand for the other.

    False, with nothing done, when an action is outside of the action space.
    """
    world = borrow(world)
    num_actions = mask.shape[1]
    for b in range(len(actions)):
        if actions[b] < 0 or actions[b] >= num_actions:
            return False
    for b in range(len(actions)):
        step_day(world, b, actions[b])
        write_observation(world, b, scale_km, drivers, bookings, pairs, clock, mask)
    return True


class DispatchBatch:
    """
    Days side by side: load a day into a row, decide, read the observation.

    Parameters
    ----------
    scenario
        The world's rules, sizes and days.
    batch_size
        Number of rows B.
    num_drivers, max_bookings
        Sizes N and M of observation and action; by default the scenario's. Days with fewer drivers are padded.
    num_buffers
        Each ``step`` writes into the next of so many sets of arrays: an observation stays as it is until
        ``num_buffers`` steps later. With 1 it is overwritten by the next step.

    Attributes
    ----------
    world
        The state (``envs.world.records.World``). Replaced by a larger one when a day has more bookings than fit, so
        read it through the batch.
    observation
        Dict of arrays with a leading axis B, written in place; see ``envs.observation``.
    buffers
        The sets of arrays of which ``observation`` is one.
    """

    def __init__(
        self,
        scenario: Scenario,
        batch_size: int = 1,
        num_drivers: int | None = None,
        max_bookings: int | None = None,
        num_buffers: int = 1,
    ) -> None:
        self.scenario = scenario
        self.batch_size = batch_size
        self.num_drivers = num_drivers or scenario.num_drivers
        self.max_bookings = max_bookings or scenario.max_bookings
        self.days: list[Day | int | None] = [None] * batch_size
        self.buffers = [allocate_observation(batch_size, *self._observed_sizes()) for _ in range(num_buffers)]
        self.buffer_in_use = 0
        self._all_rows = np.arange(batch_size)
        self.observation_space = observation_space(*self._observed_sizes())
        self.action_space = gym.spaces.Discrete(self.num_drivers * self.max_bookings + 1)
        self._rates = np.zeros(1, DISTURBANCES)
        for name in DISTURBANCES.names or ():
            self._rates[name] = getattr(scenario.disturbances, name)
        self._generator = scenario.generator_record() if scenario.is_generated else None
        self._center = (scenario.observation.center_lat, scenario.observation.center_lon)
        self._scale_km = scenario.observation.scale_km
        self.world = self._allocate(max_bookings_of_day(scenario) if scenario.is_generated else 1, False)

    def _observed_sizes(self) -> tuple[int, int, bool]:
        return self.num_drivers, self.max_bookings, self.scenario.rules.expects_returns

    def _allocate(self, num_bookings: int, has_matrix: bool) -> World:
        return allocate_world(
            self.scenario.rules_record(),
            self.batch_size,
            self.num_drivers,
            num_bookings,
            self.max_bookings,
            has_matrix,
        )

    def load_day(self, b: int, day: int | Day) -> None:
        """
        Put a day into row ``b``: the number of a generated day, or a day from files. ``refresh`` before reading.

        Raises
        ------
        ValueError
            When the day has more drivers than the batch, or the scenario generates no days.
        """
        if not isinstance(day, Day):
            if isinstance(day, bool) or not isinstance(day, (int, np.integer)) or not 0 <= day < 2**63:
                raise ValueError(f"day: expected a number from 0 or a Day, got {day!r}.")
            self.load_generated_days(np.array([b]), np.array([day], np.int64))
            return
        if day.num_drivers > self.num_drivers:
            raise ValueError(
                f"the day has {day.num_drivers} drivers but the environment was made for {self.num_drivers}. "
                f"Pass --num-drivers {day.num_drivers} (the pair network needs no retraining)."
            )
        self._make_room(day.num_bookings, day.travel.has_matrix)
        # A generated day lies around the scenario's centre; of any other town nobody but its fleet knows the middle.
        write_day(self.world, b, day, self._center if day.day_number >= 0 else day.fleet_center())
        start_day(self.world, b, self._rates, np.uint64(day.key))
        self.days[b] = day

    def load_generated_days(self, rows: npt.NDArray[np.int64], day_numbers: npt.NDArray[np.int64]) -> None:
        """As ``load_day``, for many rows at once."""
        if self._generator is None:
            raise ValueError(
                f"scenario '{self.scenario.name}' has no generator for day {day_numbers[0]}. "
                "Pass days from files (day_list)."
            )
        _start_generated(self.world, rows, self._generator, self._rates, day_numbers)
        for b, number in zip(rows.tolist(), day_numbers.tolist(), strict=True):
            self.days[b] = number

    def _make_room(self, num_bookings: int, has_matrix: bool) -> None:
        """Move to a larger world when so many bookings, or a matrix, don't fit; rows in play are carried over."""
        old = self.world
        capacity = old.bookings.shape[1]
        had_matrix = old.km.shape[1] > 1
        if num_bookings <= capacity and (had_matrix or not has_matrix):
            return
        new_capacity = max(capacity, num_bookings)
        new = self._allocate(new_capacity, had_matrix or has_matrix)
        for name in World._fields:
            source, target = getattr(old, name), getattr(new, name)
            if name in _MATRICES:
                if had_matrix:
                    _copy_matrix(source, target, self.num_drivers, capacity, new_capacity)
            elif name == "events":
                _copy_events(old, self._all_rows, new, self._all_rows)
            else:
                target[tuple(slice(0, size) for size in source.shape)] = source
        places = new.drivers["place"]
        places[places >= self.num_drivers + capacity] += new_capacity - capacity
        self.world = new

    def copy_rows(self, source: DispatchBatch, rows: npt.NDArray[np.int64], at: npt.NDArray[np.int64]) -> None:
        """
        Rows ``at`` become copies of ``rows`` of another batch of the same scenario and sizes, state and observation.

        The copies are days of their own: what happens in one happens nowhere else.
        """
        capacity = max(self.world.bookings.shape[1], source.world.bookings.shape[1])
        has_matrix = self.world.km.shape[1] > 1 or source.world.km.shape[1] > 1
        for batch in (self, source):
            batch._make_room(capacity, has_matrix)
        for name in World._fields:
            if name == "events":
                _copy_events(source.world, rows, self.world, at)
            elif name != "rules":
                _copy_rows(getattr(source.world, name), rows, getattr(self.world, name), at)
        for key, array in self.observation.items():
            _copy_rows(source.observation[key], rows, array, at)
        for row, target in zip(rows.tolist(), at.tolist(), strict=True):
            self.days[target] = source.days[row]

    def snapshot(self, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
        """State and observation of these rows as copies; without travel matrices, which a day brings itself."""
        kept = [name for name in World._fields if name not in ("rules", *_MATRICES)]
        return {
            "world": {name: getattr(self.world, name)[rows] for name in kept},
            "observation": {key: array[rows] for key, array in self.observation.items()},
            "num_bookings": self.world.bookings.shape[1],
            "has_matrix": self.world.km.shape[1] > 1,
        }

    def restore(self, rows: npt.NDArray[np.int64], saved: dict[str, Any], days: Sequence[int | Day]) -> None:
        """
        Bring ``rows`` to where those of ``snapshot`` stood, whose days these are.

        Raises
        ------
        ValueError
            When the batch holds larger days already, or has other sizes.
        """
        self._make_room(saved["num_bookings"], saved["has_matrix"])
        for b, day in zip(rows.tolist(), days, strict=True):
            if isinstance(day, Day):
                self.load_day(b, day)
            else:
                self.days[b] = day
        for name, array in saved["world"].items():
            target = getattr(self.world, name)
            if target.shape[1:] != array.shape[1:] or target.dtype != array.dtype:
                raise ValueError(
                    f"snapshot: '{name}' has another layout here ({array.shape[1:]} saved, {target.shape[1:]} here)."
                )
            target[rows] = array
        for key, array in saved["observation"].items():
            self.observation[key][rows] = array

    @property
    def observation(self) -> dict[str, np.ndarray]:
        return self.buffers[self.buffer_in_use]

    def refresh(self, rows: int | npt.NDArray[np.int64] | None = None) -> None:
        """Bring rows that were just loaded (all by default) to their first decision and write their observation."""
        to_next_decisions(self.world, self._rows(rows))
        self.write_observation(rows)

    def _rows(self, rows: int | npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64]:
        return self._all_rows if rows is None else np.atleast_1d(np.asarray(rows, np.int64))

    def reconsider(self, b: int) -> None:
        """After orders were given past ``step`` (``envs.simulator``): evaluate the pairs of row ``b`` anew."""
        refresh(self.world, b)
        self.write_observation(b)

    def step(self, actions: npt.ArrayLike) -> None:
        """
        One decision in every row: apply, move the clocks, write the observation. Rows that are over stay as they are.

        Parameters
        ----------
        actions
            Integers, shape (B,), each in [0, N * M].
        """
        actions = whole_numbers(actions)
        before = self.buffer_in_use
        self.next_buffer()
        if actions.shape != (self.batch_size,) or not _step_and_observe(
            self.world, actions, self._scale_km, *self._observed_arrays()
        ):
            self.buffer_in_use = before
            raise ValueError(
                f"actions: expected {self.batch_size} integers from 0 to {self.action_space.n - 1}, got {actions!r}."
            )
        self._write_expected(self._all_rows)

    def next_buffer(self) -> None:
        """From now on observations are written into the next set of arrays."""
        self.buffer_in_use = (self.buffer_in_use + 1) % len(self.buffers)

    def write_observation(self, rows: int | npt.NDArray[np.int64] | None = None) -> None:
        """Write the observation of all rows, or of some, into ``observation``."""
        write_observations(self.world, self._rows(rows), self._scale_km, *self._observed_arrays())
        self._write_expected(self._rows(rows))

    def _write_expected(self, rows: npt.NDArray[np.int64]) -> None:
        if "expected" in self.observation:
            write_expected(self.world, rows, self.observation["expected"])

    def _observed_arrays(self) -> tuple[np.ndarray, ...]:
        out = self.observation
        return out["drivers"], out["bookings"], out["pairs"], out["clock"], out["action_mask"]

    @property
    def is_done(self) -> npt.NDArray[np.bool_]:
        """Which rows are over, shape (B,)."""
        return self.world.clocks["is_done"] == 1

    def day_of(self, b: int) -> Day:
        """The day that row ``b`` plays, as a Day."""
        day = self.days[b]
        if day is None:
            raise ValueError(f"row {b} has no day yet; load_day first.")
        return day if isinstance(day, Day) else generate_day(self.scenario, day)

    def day_label(self, b: int) -> int | str:
        """Number of the generated day, or label of the day from files, that row ``b`` plays."""
        day = self.days[b]
        if day is None:
            raise ValueError(f"row {b} has no day yet; load_day first.")
        return day.label if isinstance(day, Day) else int(day)

    def kpis(self, b: int) -> dict[str, float]:
        """KPIs of row ``b`` from its event log; see ``envs.kpis``. Bookings that no shift can serve cost nothing."""
        return self.kpis_of(np.array([b]))[0]

    def kpis_of(self, rows: npt.NDArray[np.int64]) -> list[dict[str, float]]:
        """As ``kpis``, for many rows at once."""
        max_lateness_min = self.scenario.rules.max_lateness_min
        days = [self.days[b] for b in rows.tolist()]
        num_unservable = [len(day.unservable(max_lateness_min)) if isinstance(day, Day) else 0 for day in days]
        values = kpi_rows(self.world, rows, np.array(num_unservable))
        return [dict(zip(KPI_NAMES, row, strict=True)) for row in values.tolist()]


def whole_numbers(actions: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """
    Actions as an array of integers.

    Raises
    ------
    ValueError
        For 1.7 or "1", which NumPy would make whole numbers of.
    """
    given = np.asarray(actions)
    if given.dtype.kind not in "iu":
        raise ValueError(f"actions: expected integers, got {actions!r}.")
    return given.astype(np.int64, copy=False)


def _copy_matrix(source: Any, target: Any, num_drivers: int, old: int, new: int) -> None:
    for first, last, shift in (
        (0, num_drivers + old, 0),
        (num_drivers + old, num_drivers + 2 * old, new - old),
    ):
        target[:, first + shift : last + shift, :old] = source[:, first:last]


def _copy_events(source: World, rows: npt.NDArray[np.int64], target: World, at: npt.NDArray[np.int64]) -> None:
    """The events that the clocks count; the log has room for many times as many."""
    for row, place in zip(rows.tolist(), at.tolist(), strict=True):
        size = int(source.clocks["num_events"][row])
        target.events[place, :size].view(np.uint8)[:] = source.events[row, :size].view(np.uint8)


def _copy_rows(source: np.ndarray, rows: npt.NDArray[np.int64], target: np.ndarray, at: npt.NDArray[np.int64]) -> None:
    """``target[at] = source[rows]``, row by row as bytes: NumPy copies records field by field, and twice."""
    from_bytes, to_bytes = (array.view(np.uint8).reshape(len(array), -1) for array in (source, target))
    for row, place in zip(rows.tolist(), at.tolist(), strict=True):
        to_bytes[place] = from_bytes[row]
