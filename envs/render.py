"""A readable text view of one day at one moment, for ``render_mode="human"`` and for error hunting."""

from __future__ import annotations

import numpy as np

from envs.days.day import Day
from envs.world.records import NO_BOOKING, BookingState, World


def clock_text(minutes: float) -> str:
    """``485.0`` -> ``08:05``."""
    return f"{int(minutes) // 60:02d}:{int(minutes) % 60:02d}"


def render_text(world: World, b: int, day: Day) -> str:
    """Clock, fleet with plans, open bookings with the feasible drivers, and how the bookings stand."""
    clock = world.clocks[b]
    bookings = world.bookings[b]
    lines = [
        f"day {day.label}  {clock_text(clock['now_min'])}  "
        + ", ".join(
            f"{int(np.sum(bookings['state'][: clock['num_bookings']] == state))} {state.name.lower().replace('_', ' ')}"
            for state in BookingState
        )
    ]
    for n, driver in enumerate(day.drivers):
        record = world.drivers[b, n]
        trips = [
            f"{day.bookings[k].id}@{clock_text(bookings['pickup_min'][k])}"
            for k in world.plans[b, n, : record["plan_len"]]
        ]
        under_way = record["under_way"]
        if record["is_out"]:
            doing = "dropped out"
        elif under_way == NO_BOOKING:
            doing = "idle"
        else:
            verb = "carries" if record["has_patient"] else "drives to"
            doing = f"{verb} {day.bookings[under_way].id}, free {clock_text(record['free_min'])}"
        lines.append(f"  {driver.id:<6} {doing:<28} plan: {' '.join(trips) or '-'}")
    for slot, k in enumerate(world.slots[b]):
        if k == NO_BOOKING:
            break
        booking = day.bookings[k]
        feasible = np.flatnonzero(world.pairs["is_feasible"][b, : clock["num_drivers"], slot])
        drivers = " ".join(f"{day.drivers[n].id}@{clock_text(world.pairs['pickup_min'][b, n, slot])}" for n in feasible)
        lines.append(
            f"  {booking.id:<6} priority {booking.priority}, pickup {clock_text(booking.earliest_pickup_min)}-"
            f"{clock_text(booking.latest_pickup_min)}  by: {drivers or 'nobody'}"
        )
    backlog = int(clock["num_open"]) - int(np.sum(world.slots[b] != NO_BOOKING))
    if backlog > 0:
        lines.append(f"  and {backlog} more bookings in the backlog")
    return "\n".join(lines)
