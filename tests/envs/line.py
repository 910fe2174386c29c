"""A world small enough to draw: everything lies on the equator, km east of 0; 30 km/h, so that a km takes 2 min."""

from __future__ import annotations

import math

from envs.days.day import Booking, Day, Driver
from envs.days.travel import HourlyTravel
from envs.world.travel import EARTH_RADIUS_KM

DEG_PER_KM = 180.0 / (math.pi * EARTH_RADIUS_KM)
OPEN, CLOSE = 480.0, 720.0  # 08:00-12:00


def booking(
    id: str,
    km: tuple[float, float],
    window: tuple[float, float],
    release: float = OPEN,
    service: float = 3.0,
    **more: object,
) -> Booking:
    """A booking from ``km[0]`` to ``km[1]``, to be picked up within ``window`` [min]."""
    return Booking(
        id=id,
        release_min=release,
        earliest_pickup_min=window[0],
        latest_pickup_min=window[1],
        pickup_lat=0.0,
        pickup_lon=km[0] * DEG_PER_KM,
        dropoff_lat=0.0,
        dropoff_lon=km[1] * DEG_PER_KM,
        pickup_service_min=service,
        dropoff_service_min=service,
        **more,  # type: ignore[arg-type]
    )


def driver(id: str, km: float, shift: tuple[float, float] = (OPEN, 1440.0), **more: object) -> Driver:
    """A driver who starts at ``km``."""
    return Driver(id, 0.0, km * DEG_PER_KM, *shift, **more)  # type: ignore[arg-type]


def line_day(
    bookings: list[Booking],
    drivers: list[Driver],
    open_min: float = OPEN,
    close_min: float = CLOSE,
    speeds_kmh: tuple[float, ...] = (30.0,) * 24,
) -> Day:
    return Day("line", tuple(bookings), tuple(drivers), HourlyTravel(speeds_kmh, 1.0), open_min, close_min)
