"""The simulator as a dispatcher would use it: days by name, orders by id; it knows neither Gymnasium nor rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.days.day import Day
from envs.days.loading import write_day
from envs.world.clock import forget_touched, move_on
from envs.world.disturbances import DISTURBANCES
from envs.world.orders import allocate_world, assign, default_rules, start_day, unassign
from envs.world.plans import best_insertion, evaluate_insertion, has_room
from envs.world.promises import freeze, refuse
from envs.world.records import Actor, BookingState


@dataclass(frozen=True)
class Outcome:
    """What an assignment is predicted to lead to: pickup [min], lateness [min], deadhead [km] of the booking itself."""

    pickup_min: float
    lateness_min: float
    deadhead_km: float
    position: int


class Simulator:
    """
    Days side by side with the orders a dispatcher can give: assign, unassign, advance.

    Parameters
    ----------
    days
        A day, or several that run side by side as rows 0, 1, ...
    rules
        RULES, shape (1,); by default the operating day's without plan improvement.
    rates
        DISTURBANCES, shape (1,); none by default.
    allows_unassign
        Whether ``unassign`` may be used; each use is churn and is counted.
    """

    def __init__(
        self,
        days: Day | Sequence[Day],
        rules: np.ndarray | None = None,
        rates: np.ndarray | None = None,
        allows_unassign: bool = False,
    ) -> None:
        self.days = [days] if isinstance(days, Day) else list(days)
        self.allows_unassign = allows_unassign
        rules = default_rules() if rules is None else rules
        rates = np.zeros(1, DISTURBANCES) if rates is None else rates
        self.world = allocate_world(
            rules,
            len(self.days),
            max(len(day.drivers) for day in self.days),
            max(len(day.bookings) for day in self.days),
            max_bookings=1,
            has_matrix=any(day.travel.has_matrix for day in self.days),
        )
        for b, day in enumerate(self.days):
            write_day(self.world, b, day, day.fleet_center())
            start_day(self.world, b, rates, np.uint64(day.key))

    def assign(self, driver_id: str, booking_id: str, position: int | None = None, row: int = 0) -> Outcome:
        """
        Give an open booking to a driver, at ``position`` of the trips not begun or, when None, as the rules say.

        Raises
        ------
        ValueError
            When the booking is not open or the assignment is not feasible; says why. Nothing changes then.
        """
        n, k = self._driver_row(driver_id, row), self._booking_row(booking_id, row)
        where = f"day {self.days[row].label}, booking '{booking_id}'"
        state = BookingState(self.world.bookings["state"][row, k])
        if state != BookingState.OPEN:
            raise ValueError(f"{where}: is {state.name.lower()}, only an open booking can be assigned.")
        if not has_room(self.world, row, n, k):
            raise ValueError(
                f"{where}: driver '{driver_id}' can't take it (plan full, no wheelchair place, or dropped out)."
            )
        if position is None:
            _, position, pickup_min, deadhead_km, *_ = best_insertion(self.world, row, n, k)
            is_feasible = position >= 0
        else:
            plan_len = int(self.world.drivers["plan_len"][row, n])
            if not 0 <= position <= plan_len:
                raise ValueError(f"{where}: position {position} is outside of the plan, expected 0 to {plan_len}.")
            is_feasible, pickup_min, deadhead_km, *_ = evaluate_insertion(self.world, row, n, k, position)
        if not is_feasible:
            limit = float(self.world.rules["max_lateness_min"][0])
            raise ValueError(
                f"{where}: driver '{driver_id}' would come more than {limit:g} min late to a pickup of the plan, "
                "or end after the shift."
            )
        assign(self.world, row, n, k, position)
        latest = float(self.world.bookings["latest_pickup_min"][row, k])
        return Outcome(pickup_min, max(0.0, pickup_min - latest), deadhead_km, position)

    def unassign(self, booking_id: str, row: int = 0) -> None:
        """Open a planned booking again (its trip must not have begun); counted as churn."""
        k = self._booking_row(booking_id, row)
        where = f"day {self.days[row].label}, booking '{booking_id}'"
        if not self.allows_unassign:
            raise ValueError(f"{where}: unassign is off. Make the simulator with allows_unassign=True.")
        state = BookingState(self.world.bookings["state"][row, k])
        if state != BookingState.PLANNED:
            raise ValueError(f"{where}: is {state.name.lower()}, only a trip not begun can be unassigned.")
        if self.world.bookings["is_frozen"][row, k]:
            raise ValueError(f"{where}: leaves soon or was locked; a frozen trip keeps its driver.")
        unassign(self.world, row, k)

    def refuse(self, booking_id: str, row: int = 0) -> None:
        """Tell an open booking that nobody can come; a promised one can't be refused any more."""
        k = self._booking_row(booking_id, row)
        booking = self.world.bookings[row, k]
        if BookingState(booking["state"]) != BookingState.OPEN or booking["is_promised"]:
            state = "promised" if booking["is_promised"] else BookingState(booking["state"]).name.lower()
            raise ValueError(
                f"day {self.days[row].label}, booking '{booking_id}': is {state}, only an open wish can be refused."
            )
        refuse(self.world, row, k, int(Actor.POLICY))

    def lock(self, booking_id: str, row: int = 0) -> None:
        """Keep a planned trip with its driver from now on, as a trip that leaves within ``freeze_min`` is kept."""
        k = self._booking_row(booking_id, row)
        state = BookingState(self.world.bookings["state"][row, k])
        if state != BookingState.PLANNED:
            raise ValueError(
                f"day {self.days[row].label}, booking '{booking_id}': is {state.name.lower()}, "
                "only a planned trip can be locked."
            )
        freeze(self.world, row, k, int(Actor.POLICY))

    def advance(self, num_ticks: int = 1, row: int = 0) -> None:
        """Move the clock of a row by ``num_ticks`` ticks; a day that is over stays as it is."""
        for _ in range(num_ticks):
            if self.is_done(row):
                return
            move_on(self.world, row)
            forget_touched(self.world, row)

    def run_to_end(self, row: int = 0) -> None:
        """Let the clock run to closing without further orders."""
        while not self.is_done(row):
            self.advance(row=row)

    def is_done(self, row: int = 0) -> bool:
        return bool(self.world.clocks["is_done"][row])

    def _driver_row(self, driver_id: str, row: int) -> int:
        return _row_of(driver_id, [driver.id for driver in self.days[row].drivers], "driver", self.days[row].label)

    def _booking_row(self, booking_id: str, row: int) -> int:
        return _row_of(booking_id, [b.id for b in self.days[row].bookings], "booking", self.days[row].label)


def _row_of(name: str, names: list[str], what: str, label: str) -> int:
    if name not in names:
        raise ValueError(f"day {label}: there is no {what} '{name}'.")
    return names.index(name)
