"""Worlds written by hand, small enough to draw: what the tests of KPIs and rules start from."""

from __future__ import annotations

import numpy as np

from envs.world.records import (
    BOOKING,
    CLOCK,
    DRIVER,
    EVENT,
    NEVER,
    NO_BOOKING,
    NO_DRIVER,
    PAIR,
    RIVALRY,
    RULES,
    EventKind,
    World,
)


def empty_world(num_drivers: int, num_bookings: int, num_slots: int | None = None, num_rows: int = 1) -> World:
    """Drivers on shift 08:00-10:00 and bookings of priority 3, ambulatory, outbound, window 08:00-08:30; no event."""
    num_slots = num_bookings if num_slots is None else num_slots
    clocks = np.zeros(num_rows, CLOCK)
    clocks["open_min"], clocks["now_min"], clocks["close_min"] = 480.0, 480.0, 600.0
    clocks["num_shown"] = min(num_slots, num_bookings)
    clocks["num_bookings"], clocks["num_drivers"] = num_bookings, num_drivers
    clocks["num_open"] = clocks["num_released"] = num_bookings
    drivers = np.zeros((num_rows, num_drivers), DRIVER)
    drivers["shift_start_min"], drivers["shift_end_min"], drivers["free_min"] = 480.0, 600.0, 480.0
    drivers["break_start_min"] = drivers["break_end_min"] = drivers["drop_out_min"] = NEVER
    drivers["under_way"] = NO_BOOKING
    bookings = np.zeros((num_rows, num_bookings), BOOKING)
    bookings["earliest_pickup_min"], bookings["latest_pickup_min"] = 480.0, 510.0
    bookings["release_min"] = 480.0
    bookings["appointment_min"] = bookings["expected_min"] = np.nan
    bookings["outbound"], bookings["told_driver"] = NO_BOOKING, NO_DRIVER
    bookings["keeps_appointment_min"] = bookings["last_pickup_min"] = bookings["promised_min"] = NEVER
    bookings["priority"], bookings["driver"] = 3, NO_DRIVER
    rules = np.zeros(1, RULES)
    rules["tick_min"], rules["decisions_per_tick"], rules["max_trips"] = 5.0, 1, 3
    slots = np.full((num_rows, num_slots), NO_BOOKING, np.int32)
    slots[:, : min(num_slots, num_bookings)] = np.arange(min(num_slots, num_bookings))
    return World(
        rules=rules,
        clocks=clocks,
        drivers=drivers,
        bookings=bookings,
        plans=np.full((num_rows, num_drivers, 3), NO_BOOKING, np.int32),
        speeds=np.full((num_rows, 24), 0.5),
        km=np.zeros((num_rows, 1, 1), np.float32),
        work=np.zeros((num_rows, 1, 1), np.float32),
        touched=np.zeros((num_rows, num_bookings), np.int32),
        rows=np.zeros((num_rows, num_bookings), np.int32),
        events=np.zeros((num_rows, 6 * num_bookings + 10), EVENT),
        slots=slots,
        rivalries=np.zeros((num_rows, num_slots), RIVALRY),
        pairs=np.zeros((num_rows, num_drivers, num_slots), PAIR),
        open_rows=np.tile(np.arange(num_bookings, dtype=np.int32), (num_rows, 1)),
    )


def log(world: World, *events: tuple[float, int, int, int, float], b: int = 0) -> None:
    """Append (time_min, kind, driver, booking, km) to the log of row ``b``; from RELEASE on with pickup_min for km."""
    for time_min, kind, driver, booking, value in events:
        e = world.clocks["num_events"][b]
        event = world.events[b, e]
        event["time_min"], event["kind"], event["driver"], event["booking"] = time_min, kind, driver, booking
        event["pickup_min" if kind >= EventKind.RELEASE else "km"] = value
        world.clocks["num_events"][b] = e + 1
