"""``PromiseBatch``: the promise desks of days side by side; Gymnasium's and SB3's faces stand on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from envs.batch import DispatchBatch, whole_numbers
from envs.days.day import Day
from envs.days.scenario import AT_CALL, Scenario
from envs.kpis import COST_PER_BROKEN, COST_PER_LOST
from envs.promise_observation import (
    allocate_promise_observation,
    promise_space,
    write_promise_observation,
    write_promise_observations,
)
from envs.snapshot import payer_state, restore_payer
from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.desk import CALL, DESK_SETTINGS, OPTION, Answer, Desk, answer_call, open_desk
from envs.world.records import NO_BOOKING, EventKind, World

SHIFTS_MIN = (-30.0, -15.0, 0.0, 15.0, 30.0)  # [min] assumed; a setting
DISCOMFORT_PER_MIN = 0.2  # [deadhead min per min of shift] assumed; a setting
_LONGEST_SHIFT_MIN = 1440.0
# What ``PromiseBatch`` takes besides a scenario and sizes; its faces hand it on.
DESK_ARGUMENTS = ("shifts_min", "discomfort_per_min", "decline_per_min", "forecast", "reward_function")


class DeskPayer(Protocol):
    """What the desk needs of a ``reward.Payer`` (rewards import environments, not the reverse)."""

    rewards: npt.NDArray[np.float64]

    def reset(self, rows: int | npt.NDArray[np.int64]) -> None: ...
    def pay(self) -> npt.NDArray[np.float64]: ...


@jit
def _answer_and_observe(world: World, desk: Desk, actions, forecast, options, caller, fleet, mask):
    """False, with nothing done, when an action is outside of the action space."""
    world, desk = borrow(world), borrow(desk)
    for b in range(len(actions)):
        if actions[b] < 0 or actions[b] > len(desk.shifts):
            return False
    for b in range(len(actions)):
        answer_call(world, desk, b, actions[b])
        write_promise_observation(world, desk, b, forecast, options, caller, fleet, mask)
    return True


class PromiseBatch(DispatchBatch):
    """
    Days side by side in which each decision answers a caller; ``envs.promise_env.PromiseEnv`` says what that means.

    Parameters
    ----------
    scenario
        The world's rules, sizes and days; promises at the call.
    batch_size, num_drivers, num_buffers
        As for ``DispatchBatch``.
    shifts_min
        S shifts of the wished window, rising. Action j offers it moved by ``shifts_min[j]``, action S refuses.
    discomfort_per_min
        What a minute of shift costs the patient, in the unit of the reward.
    decline_per_min
        Probability per minute of shift that the caller hangs up, drawn with the day.
    forecast
        float64, shape (T, T), see ``envs.promise_observation.bookings_to_come``; None: nobody is expected. Without the
        returns that the world expects by itself (``expects_returns``): those stand in the drivers' time taken.
    reward_function
        A ``reward.RewardFunction`` that pays instead of deadhead minutes and lost bookings.

    Attributes
    ----------
    desk
        What the desk knows (``envs.world.desk.Desk``): the callers, and what each window would cost them.
    rewards
        float64, shape (B,): of the last step.
    """

    def __init__(
        self,
        scenario: Scenario,
        batch_size: int = 1,
        num_drivers: int | None = None,
        num_buffers: int = 1,
        shifts_min: Sequence[float] = SHIFTS_MIN,
        discomfort_per_min: float = DISCOMFORT_PER_MIN,
        decline_per_min: float = 0.0,
        forecast: npt.ArrayLike | None = None,
        reward_function: Any = None,
    ) -> None:
        if not scenario.rules.promises_at_call:
            raise ValueError(
                f"scenario {scenario.name}: the promise desk needs promises: {AT_CALL}, its rules say "
                f"{scenario.rules.promises}. Take operating_day_promises or paratransit_promises, or set it."
            )
        settings = np.zeros(1, DESK_SETTINGS)
        settings["discomfort_per_min"] = _not_negative("discomfort_per_min", discomfort_per_min)
        settings["decline_per_min"] = _not_negative("decline_per_min", decline_per_min)
        settings["lost_cost"], settings["broken_cost"] = COST_PER_LOST, COST_PER_BROKEN
        shifts = _checked_shifts(shifts_min)
        self.forecast = _checked_forecast(forecast)
        self.desk = Desk(settings, shifts, np.zeros(batch_size, CALL), np.zeros((batch_size, len(shifts)), OPTION))
        self.desk.calls["wish"] = NO_BOOKING
        super().__init__(scenario, batch_size, num_drivers, 1, num_buffers)
        self.buffers = [allocate_promise_observation(batch_size, len(shifts)) for _ in range(num_buffers)]
        self.observation_space = promise_space(len(shifts))
        self.action_space = gym.spaces.Discrete(len(shifts) + 1)
        self.rewards = np.zeros(batch_size)
        self.payer: DeskPayer | None = None if reward_function is None else reward_function.attach(self)

    # --- days -----------------------------------------------------------------------------------------------------

    def load_day(self, b: int, day: int | Day) -> None:
        super().load_day(b, day)
        if isinstance(day, Day):
            self.desk.calls["day_key"][b] = np.uint64(day.key)

    def load_generated_days(self, rows: npt.NDArray[np.int64], day_numbers: npt.NDArray[np.int64]) -> None:
        super().load_generated_days(rows, day_numbers)
        self.desk.calls["day_key"][rows] = day_numbers.astype(np.uint64)

    def refresh(self, rows: int | npt.NDArray[np.int64] | None = None) -> None:
        """Bring rows that were just loaded (all by default) to their first caller and write their observation."""
        indices = self._rows(rows)
        open_desk(self.world, self.desk, indices)
        self.rewards[indices] = 0.0
        if self.payer is not None:
            self.payer.reset(indices)
        self.write_observation(indices)

    def reconsider(self, b: int) -> None:
        raise NotImplementedError("the promise desk takes no orders past its decisions.")

    def copy_rows(self, source: DispatchBatch, rows: npt.NDArray[np.int64], at: npt.NDArray[np.int64]) -> None:
        raise NotImplementedError("rows of a promise desk aren't copied; take snapshot and restore.")

    def snapshot(self, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
        saved = super().snapshot(rows)
        saved["desk"] = {"calls": self.desk.calls[rows], "options": self.desk.options[rows]}
        saved["paid"] = None if self.payer is None else payer_state(self.payer, rows)
        return saved

    def restore(self, rows: npt.NDArray[np.int64], saved: dict[str, Any], days: Sequence[int | Day]) -> None:
        super().restore(rows, saved, days)
        self.desk.calls[rows], self.desk.options[rows] = saved["desk"]["calls"], saved["desk"]["options"]
        if self.payer is not None:
            restore_payer(self.payer, rows, saved["paid"])

    # --- decisions ------------------------------------------------------------------------------------------------

    def step(self, actions: npt.ArrayLike) -> None:
        """
        One answer in every row, up to the next caller; rows that are over stay as they are.

        Parameters
        ----------
        actions
            Integers, shape (B,), each in [0, S].
        """
        actions = whole_numbers(actions)
        before = self.buffer_in_use
        self.next_buffer()
        if actions.shape != (self.batch_size,) or not _answer_and_observe(
            self.world, self.desk, actions, self.forecast, *self._observed_arrays()
        ):
            self.buffer_in_use = before
            raise ValueError(
                f"actions: expected {self.batch_size} integers from 0 to {self.action_space.n - 1}, got {actions!r}."
            )
        if self.payer is None:
            self.rewards[:] = self.desk.calls["reward"]
        else:
            self.rewards[:] = self.payer.pay() - self.desk.calls["added_discomfort"]

    def write_observation(self, rows: int | npt.NDArray[np.int64] | None = None) -> None:
        """Write the observation of all rows, or of some, into ``observation``."""
        write_promise_observations(self.world, self.desk, self._rows(rows), self.forecast, *self._observed_arrays())

    def _observed_arrays(self) -> tuple[np.ndarray, ...]:
        out = self.observation
        return out["options"], out["caller"], out["fleet"], out["action_mask"]

    # --- what came of it ------------------------------------------------------------------------------------------

    def answer(self, b: int) -> str:
        """What the last caller of row ``b`` got: promised, declined, refused or none."""
        return Answer(int(self.desk.calls["answer"][b])).name.lower()

    def desk_kpis(self, b: int) -> dict[str, float]:
        """
        What the answers of row ``b`` came to, from its event log.

        ``start_cost`` is what the day cost when the first caller was asked about; ``cost`` is deadhead minutes + 300
        per booking lost, whoever could have served it, + 300 more per broken promise + ``discomfort``.
        """
        events = self.world.events[b, : int(self.world.clocks["num_events"][b])]
        by_kind = {kind: events[events["kind"] == kind] for kind in (EventKind.OFFER, EventKind.PROMISE)}
        shifts = np.abs(by_kind[EventKind.PROMISE]["moved_min"])
        kpis = self.kpis(b)
        discomfort = float(self.desk.settings["discomfort_per_min"][0] * shifts.sum())
        lost = COST_PER_LOST * kpis["num_lost"] + COST_PER_BROKEN * kpis["num_broken"]
        num_offers = len(by_kind[EventKind.OFFER])
        declined = np.setdiff1d(by_kind[EventKind.OFFER]["booking"], by_kind[EventKind.PROMISE]["booking"])
        return {
            "num_offers": float(num_offers),
            "num_declined": float(len(declined)),
            "shifted_share": float(np.mean(shifts > 0.0)) if len(shifts) else math.nan,
            "shift_mean_min": float(np.mean(shifts)) if len(shifts) else math.nan,
            "discomfort": discomfort,
            "cost": kpis["deadhead_min"] + lost + discomfort,
            "start_cost": float(self.desk.calls["start_cost"][b]),
        }


def _number(name: str, value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name}: expected a number, got {value!r}.")
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value!r}.")
    return float(value)


def _not_negative(name: str, value: Any) -> float:
    number = _number(name, value)
    if number < 0.0:
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}.")
    return number


def _checked_shifts(shifts_min: Any) -> npt.NDArray[np.float64]:
    if isinstance(shifts_min, (str, bytes)) or not isinstance(shifts_min, (Sequence, np.ndarray)):
        raise ValueError(f"shifts_min: expected minutes such as {SHIFTS_MIN}, got {shifts_min!r}.")
    shifts = np.array([_number("shifts_min", shift) for shift in shifts_min])
    if not len(shifts) or (np.diff(shifts) <= 0.0).any() or (np.abs(shifts) > _LONGEST_SHIFT_MIN).any():
        raise ValueError(
            f"shifts_min: expected at least one shift, rising, each from -{_LONGEST_SHIFT_MIN:g} to "
            f"{_LONGEST_SHIFT_MIN:g} min, got {list(shifts_min)!r}."
        )
    return shifts


def _checked_forecast(forecast: npt.ArrayLike | None) -> npt.NDArray[np.float64]:
    if forecast is None:
        return np.zeros((1, 1))
    try:
        table = np.ascontiguousarray(forecast, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("forecast: expected a square table of numbers.") from None
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        raise ValueError(
            f"forecast: expected a square table, a row and a column per part of the day, got {table.shape}."
        )
    if not np.isfinite(table).all() or (table < 0.0).any():
        raise ValueError("forecast: expected numbers of bookings, finite and at least 0.")
    return table
