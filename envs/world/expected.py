"""Compiled: the returns that nobody has called yet, though everybody knows that they will come (will-call returns)."""

from __future__ import annotations

import math

from envs.world.compiled import jit
from envs.world.records import NO_BOOKING, World

_LEAST_MASS = 1e-3  # of the distribution that is still ahead; less: the call is overdue, and expected at once
_LEAST_STD_MIN = 1.0


@jit
def is_expected(world: World, b, k):
    """Whether booking ``k`` is a return not called yet whose outbound leg has been, with a time given for it."""
    booking, num_released = world.bookings[b, k], world.clocks[b].num_released
    if booking.outbound == NO_BOOKING or k < num_released or booking.outbound >= num_released:
        return False
    return booking.expected_min == booking.expected_min  # not nan


@jit
def chance_within(booking, now_min, start_min, end_min):
    """
    Probability that the earliest pickup of a return not called by ``now_min`` lies in [start, end), both from now on.

    Normal around ``expected_min``, given that it is still ahead.
    """
    std = max(_LEAST_STD_MIN, booking.expected_std_min) * math.sqrt(2.0)
    ahead = 0.5 * math.erfc((now_min - booking.expected_min) / std)
    if ahead < _LEAST_MASS:
        return 1.0 if start_min <= now_min < end_min else 0.0
    after_start = 0.5 * math.erfc((start_min - booking.expected_min) / std)
    after_end = 0.5 * math.erfc((end_min - booking.expected_min) / std)
    return (after_start - after_end) / ahead


@jit
def returns_expected(world: World, b, start_min, end_min):
    """How many returns not called yet are expected to have their earliest pickup in [start, end), now or later."""
    clock = world.clocks[b]
    expected = 0.0
    for k in range(clock.num_released, clock.num_bookings):
        if is_expected(world, b, k):
            expected += chance_within(world.bookings[b, k], clock.now_min, start_min, end_min)
    return expected


@jit
def minutes_expected(world: World, b, start_min, end_min):
    """Minutes of drivers' time that these take, without the way to them."""
    clock = world.clocks[b]
    pace = 1.0 / world.speeds[b].mean()
    minutes = 0.0
    for k in range(clock.num_released, clock.num_bookings):
        if is_expected(world, b, k):
            booking = world.bookings[b, k]
            chance = chance_within(booking, clock.now_min, start_min, end_min)
            minutes += chance * (booking.pickup_service_min + pace * booking.ride_work + booking.dropoff_service_min)
    return minutes
