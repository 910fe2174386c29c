"""Compiled travel: great-circle distance, and driving through an hourly speed profile, forwards and backwards."""

from __future__ import annotations

import math

from envs.world.compiled import inlined
from envs.world.records import NO_BOOKING, World

EARTH_RADIUS_KM = 6371.0088  # [km] mean radius, IUGG
HOUR_MIN = 60.0
MOST_HOURS = 1000  # [h] six weeks: whoever is under way for longer never arrives


@inlined
def great_circle_km(xyz_a, xyz_b):
    """Great-circle distance [km] between two unit vectors, by their chord: accurate for near points too."""
    dx = xyz_a[0] - xyz_b[0]
    dy = xyz_a[1] - xyz_b[1]
    dz = xyz_a[2] - xyz_b[2]
    return 2.0 * EARTH_RADIUS_KM * math.asin(min(1.0, 0.5 * math.sqrt(dx * dx + dy * dy + dz * dz)))


@inlined
def arrival(speeds, depart_min, work):
    """
    Arrival [min] when leaving at ``depart_min`` with ``work`` ahead; the speed changes at every full hour.

    The speed is integrated across the hours, so leaving later never means arriving earlier. Infinity when it takes
    more than ``MOST_HOURS``, as from a time or over a way that isn't finite.
    """
    hour = math.floor(depart_min / HOUR_MIN)
    last = hour + MOST_HOURS
    time = depart_min
    left = work
    while hour < last:
        speed = speeds[hour % 24]
        end = (hour + 1) * HOUR_MIN
        reach = speed * (end - time)
        if left <= reach:
            return time + left / speed
        left -= reach
        time = end
        hour += 1
    return math.inf


@inlined
def departure(speeds, arrive_min, work):
    """Latest departure [min] that still arrives at ``arrive_min``: ``arrival`` backwards; minus infinity if none."""
    hour = math.ceil(arrive_min / HOUR_MIN) - 1
    last = hour - MOST_HOURS
    time = arrive_min
    left = work
    while hour > last:
        speed = speeds[hour % 24]
        start = hour * HOUR_MIN
        reach = speed * (time - start)
        if left <= reach:
            return time - left / speed
        left -= reach
        time = start
        hour -= 1
    return -math.inf


@inlined
def approach(world: World, b, n, previous, k):
    """
    (km, work) of the leg to the pickup of booking ``k``.

    It starts at the drop-off of booking ``previous``, or, when that is NO_BOOKING, where driver ``n`` is free next.
    """
    clock = world.clocks[b]
    if clock.has_matrix:
        place = world.drivers[b, n].place if previous == NO_BOOKING else world.drivers.shape[1] + previous
        return world.km[b, place, k], world.work[b, place, k]
    if previous == NO_BOOKING:
        km = great_circle_km(world.drivers[b, n].xyz, world.bookings[b, k].pickup_xyz) * clock.detour
    else:
        km = great_circle_km(world.bookings[b, previous].dropoff_xyz, world.bookings[b, k].pickup_xyz) * clock.detour
    return km, km
