"""
Days small enough to draw, on a line: place x is x kilometres east of 0, 0 on the equator, driven at 30 km/h.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from envs.days.day import Booking, Day, Driver
from envs.days.loading import write_day
from envs.days.travel import HourlyTravel
from envs.world.decisions import step_days, to_next_decision
from envs.world.disturbances import DISTURBANCES
from envs.world.orders import allocate_world, default_rules, start_day
from envs.world.records import World
from envs.world.travel import EARTH_RADIUS_KM

SPEED_KMH = 30.0  # half a kilometre a minute
OPEN_MIN, CLOSE_MIN = 480.0, 600.0  # 08:00-10:00


def lon(km: float) -> float:
    """Degrees east of 0, 0 of the place ``km`` kilometres along the equator."""
    return math.degrees(km / EARTH_RADIUS_KM)


def booking(name: str, from_km: float, to_km: float, earliest: float, latest: float, **others: Any) -> Booking:
    """Known at opening unless ``release_min`` says otherwise; no service time."""
    given: dict[str, Any] = {"release_min": OPEN_MIN, "pickup_service_min": 0.0, "dropoff_service_min": 0.0} | others
    return Booking(
        id=name,
        earliest_pickup_min=earliest,
        latest_pickup_min=latest,
        pickup_lat=0.0,
        pickup_lon=lon(from_km),
        dropoff_lat=0.0,
        dropoff_lon=lon(to_km),
        **given,
    )


def driver(name: str, at_km: float = 0.0, **others: Any) -> Driver:
    given: dict[str, Any] = {"shift_start_min": OPEN_MIN, "shift_end_min": 1440.0} | others
    return Driver(id=name, start_lat=0.0, start_lon=lon(at_km), **given)


def line_day(bookings: list[Booking], drivers: list[Driver], label: str = "line") -> Day:
    return Day(label, tuple(bookings), tuple(drivers), HourlyTravel((SPEED_KMH,) * 24, 1.0), OPEN_MIN, CLOSE_MIN)


class LineBatch:
    """The part of a DispatchBatch that a payer needs, for days on a line; rules by keyword."""

    def __init__(self, *days: Day, num_slots: int = 4, rates: dict[str, float] | None = None, **rules: float) -> None:
        record = default_rules()
        record["skips_idle_ticks"] = 0
        for name, value in rules.items():
            record[name] = value
        num_drivers = max(day.num_drivers for day in days)
        self.world: World = allocate_world(
            record, len(days), num_drivers, max(day.num_bookings for day in days), num_slots
        )
        self.num_slots = num_slots
        self._rates = np.zeros(1, DISTURBANCES)
        for name, value in (rates or {}).items():
            self._rates[name] = value
        for b, day in enumerate(days):
            self.load(b, day)

    def load(self, b: int, day: Day) -> None:
        write_day(self.world, b, day, (0.0, 0.0))
        start_day(self.world, b, self._rates, np.uint64(day.key))
        to_next_decision(self.world, b)

    def step(self, *actions: int) -> None:
        step_days(self.world, np.array(actions))

    def action(self, n: int, k: int, b: int = 0) -> int:
        """The action that gives booking row ``k`` to driver row ``n``."""
        slot = self.world.slots[b].tolist().index(k)
        return 1 + n * self.num_slots + slot

    def feasible(self, b: int = 0) -> list[int]:
        return [int(a) + 1 for a in np.flatnonzero(self.world.pairs["is_feasible"][b].reshape(-1))]

    def is_done(self) -> bool:
        return bool(self.world.clocks["is_done"].all())
