"""Compiled disturbances: what goes wrong on a day, each draw a function of (day, kind, booking or driver, leg)."""

from __future__ import annotations

import math

import numpy as np

from envs.world.compiled import jit
from envs.world.draws import standard_normal, uniform
from envs.world.records import NEVER, World

DISTURBANCES = np.dtype(
    [
        ("travel_noise_std", np.float64),  # of the logarithm of each leg's work; the mean factor is 1
        ("cancellation_rate", np.float64),  # share of bookings cancelled between release and earliest pickup
        ("no_show_rate", np.float64),  # share of bookings whose patient is not there
        ("drop_out_rate", np.float64),  # share of drivers who drop out at some time of their shift
    ],
    align=True,
)

# Kinds of draw; the generators count from 0, so that no draw is used twice.
_APPROACH_NOISE, _RIDE_NOISE, _CANCELS, _CANCEL_TIME, _NO_SHOWS, _DROPS_OUT, _DROP_OUT_TIME = range(1000, 1007)


@jit
def _noise(day_key, kind, booking, std):
    return math.exp(std * standard_normal(day_key, kind, booking.key, booking.leg) - 0.5 * std * std)


@jit
def draw_disturbances(world: World, b, rates, day_key):
    """Draw the disturbances of day ``b`` with ``rates`` (a DISTURBANCES record); nothing is drawn where all are 0."""
    clock = world.clocks[b]
    noise, cancels, no_shows, drop_outs = (
        rates.travel_noise_std,
        rates.cancellation_rate,
        rates.no_show_rate,
        rates.drop_out_rate,
    )
    clock.has_disturbances = 1 if noise + cancels + no_shows + drop_outs > 0.0 else 0
    for k in range(clock.num_bookings):
        booking = world.bookings[b, k]
        booking.approach_noise = 1.0
        booking.ride_noise = 1.0
        booking.cancel_min = NEVER
        booking.is_no_show = 0
        if noise > 0.0:
            booking.approach_noise = _noise(day_key, _APPROACH_NOISE, booking, noise)
            booking.ride_noise = _noise(day_key, _RIDE_NOISE, booking, noise)
        if cancels > 0.0 and uniform(day_key, _CANCELS, booking.key, booking.leg) < cancels:
            share = uniform(day_key, _CANCEL_TIME, booking.key, booking.leg)
            notice = max(0.0, booking.earliest_pickup_min - booking.release_min)
            booking.cancel_min = booking.release_min + share * notice
        if no_shows > 0.0 and uniform(day_key, _NO_SHOWS, booking.key, booking.leg) < no_shows:
            booking.is_no_show = 1
    for n in range(clock.num_drivers):
        driver = world.drivers[b, n]
        driver.drop_out_min = NEVER
        if drop_outs > 0.0 and uniform(day_key, _DROPS_OUT, driver.key, 0) < drop_outs:
            share = uniform(day_key, _DROP_OUT_TIME, driver.key, 0)
            driver.drop_out_min = driver.shift_start_min + share * (driver.shift_end_min - driver.shift_start_min)
