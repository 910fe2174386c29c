"""Puts a ``Day`` into the record arrays of a world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.days.day import BOOKING_FLOATS, DRIVER_FLOATS, Booking, Day, Driver
from envs.days.travel import FloatArray
from envs.world.derived import bound_by_appointments, finish_bookings, finish_drivers
from envs.world.draws import stable_key
from envs.world.records import NEVER, NO_BOOKING, World


def write_day(world: World, b: int, day: Day, center: tuple[float, float]) -> None:
    """
    Write the given part of ``day`` into row ``b``; the world must be large enough (``fits``).

    ``center`` [deg lat, deg lon] is the origin of the plane that observations use.
    """
    fill_bookings(day, world.bookings[b], *center)
    fill_drivers(day, world.drivers[b], *center)
    fill_clock(day, world.clocks[b : b + 1], world.speeds[b])
    if day.travel.has_matrix:
        world.km[b], world.work[b] = matrices(day, world.drivers.shape[1], world.bookings.shape[1])


def fill_bookings(day: Day, bookings_row: npt.NDArray[Any], center_lat: float, center_lon: float) -> None:
    """Write the bookings of a day into the first rows of BOOKING, shape (K,); rows beyond are left as they are."""
    if day.num_bookings > len(bookings_row):
        raise ValueError(
            f"day {day.label}: {day.num_bookings} bookings don't fit an array of {len(bookings_row)}. Make it larger."
        )
    rows = bookings_row[: day.num_bookings]
    _copy(day.bookings, rows, (*BOOKING_FLOATS, "priority", "leg", "is_wheelchair"))
    row_of = {booking.id: k for k, booking in enumerate(day.bookings)}
    rows["outbound"] = [NO_BOOKING if each.outbound_id is None else row_of[each.outbound_id] for each in day.bookings]
    for name in ("appointment_min", "expected_min", "expected_std_min"):
        values = [getattr(each, name) for each in day.bookings]
        rows[name] = [math.nan if value is None else value for value in values]
    finish_bookings(rows, day.num_bookings, day.travel.detour, center_lat, center_lon)
    if day.travel.has_matrix:
        rows["ride_km"], rows["ride_work"] = ride(day)
    bound_by_appointments(rows, day.num_bookings, day.travel.speeds())


def fill_drivers(day: Day, drivers_row: npt.NDArray[Any], center_lat: float, center_lon: float) -> None:
    """Write the fleet of a day into the first rows of DRIVER, shape (N,); rows beyond are left as they are."""
    if day.num_drivers > len(drivers_row):
        raise ValueError(
            f"day {day.label}: the day has {day.num_drivers} drivers but the environment was made for "
            f"{len(drivers_row)}. Pass --num-drivers {day.num_drivers}."
        )
    rows = drivers_row[: day.num_drivers]
    _copy(day.drivers, rows, (*DRIVER_FLOATS, "is_emergency", "can_wheelchair"))
    for name in ("break_start_min", "break_end_min"):
        breaks = [getattr(driver, name) for driver in day.drivers]
        rows[name] = [NEVER if at is None else at for at in breaks]
    finish_drivers(rows, day.num_drivers, center_lat, center_lon)


def _copy(members: Sequence[Booking | Driver], rows: npt.NDArray[Any], names: tuple[str, ...]) -> None:
    """Write the key of each member and its fields of these names, which the records have too."""
    rows["key"] = [stable_key(member.id) for member in members]
    for name in names:
        rows[name] = [getattr(member, name) for member in members]


def fill_clock(day: Day, clock_row: npt.NDArray[Any], speeds_row: npt.NDArray[Any]) -> None:
    """Write opening, closing, counts and travel into CLOCK, shape (1,), all counters at 0, and speeds, shape (24,)."""
    clock_row[:] = np.zeros(1, dtype=clock_row.dtype)
    clock_row["day_number"] = day.day_number
    clock_row["now_min"] = clock_row["open_min"] = day.open_min
    clock_row["close_min"] = day.close_min
    clock_row["num_bookings"] = day.num_bookings
    clock_row["num_drivers"] = day.num_drivers
    clock_row["has_matrix"] = int(day.travel.has_matrix)
    clock_row["detour"] = day.travel.detour
    speeds_row[:] = day.travel.speeds()


def matrices(
    day: Day, num_drivers: int | None = None, num_bookings: int | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """
    Kilometres and work of every leg to a pickup.

    Parameters
    ----------
    num_drivers, num_bookings
        Sizes N and K of padded tables; the day's own numbers by default. Padding is 0.

    Returns
    -------
    km, work
        float32, shape (N + 2K, K): rows n = start of driver n, N + k = drop-off of booking k, N + K + k = pickup of
        booking k; columns = pickups.
    """
    starts, pickups, dropoffs = day.places()
    n, k = len(starts), len(pickups)
    max_n, max_k = num_drivers or n, num_bookings or k
    if n > max_n or k > max_k:
        raise ValueError(
            f"day {day.label}: {n} drivers and {k} bookings don't fit tables of {max_n} and {max_k}. Make them larger."
        )
    km = np.zeros((max_n + 2 * max_k, max_k), dtype=np.float32)
    work = np.zeros_like(km)
    for first_row, origins in ((0, starts), (max_n, dropoffs), (max_n + max_k, pickups)):
        block = slice(first_row, first_row + len(origins)), slice(0, k)
        km[block], work[block] = day.travel.legs(origins[:, None, :], pickups[None, :, :])
    return km, work


def ride(day: Day) -> tuple[FloatArray, FloatArray]:
    """Kilometres and work from pickup to drop-off, one of each per booking."""
    _, pickups, dropoffs = day.places()
    return day.travel.legs(pickups, dropoffs)
