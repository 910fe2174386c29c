"""The short shift: bookings come in at its ticks, and nobody can serve them all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from envs.days.generators import kinds
from envs.days.generators.record import (
    check_hours,
    expect,
    expect_length,
    expect_range,
    expect_share,
    num_ticks,
)
from envs.world.compiled import jit
from envs.world.draws import uniform, uniform_int
from envs.world.records import NO_BOOKING, Leg


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start_min`` until before ``end_min``, a tick brings bookings with this probability."""

    start_min: float
    end_min: float
    probability: float


@dataclass(frozen=True, slots=True)
class ShortShift:
    """
    Bookings that come in at the ticks of a short shift, each to be picked up from that tick on.

    The originators said nothing about mobility, legs and kinds of drivers: everyone is ambulatory and outbound, every
    driver is regular and takes wheelchairs. Ids are b0, b1, ... in the order of the draws, so in order of release.
    """

    open_min: float
    close_min: float
    shift_start_min: float
    shift_end_min: float
    service_min: float
    half_side_deg: float
    num_initial: tuple[int, int]
    num_more: tuple[int, int]
    arrival_probability: float
    arrival_periods: tuple[Period, ...]
    urgent_priority: int
    urgent_window_min: tuple[int, int]
    window_min: tuple[int, int]

    def __post_init__(self) -> None:
        where = "day short_shift"
        check_hours(where, self)
        expect_range(where, "num_initial", self.num_initial, 1)
        expect_range(where, "num_more", self.num_more, 0)
        expect_range(where, "urgent_window_min", self.urgent_window_min, 0)
        expect_range(where, "window_min", self.window_min, 0)
        expect_share(where, "arrival_probability", self.arrival_probability)
        expect_length(where, "arrival_periods", self.arrival_periods)
        for period in self.arrival_periods:
            expect_share(where, "probability of arrival_periods", period.probability)
        expect(f"{where}: half_side_deg ({self.half_side_deg:g})", 0 < self.half_side_deg <= 10, "0 < degrees <= 10")

    def max_bookings(self, num_drivers_high: int, tick_min: float) -> int:
        """The largest number of bookings that a day can have."""
        return self.num_initial[1] + (num_ticks(self.open_min, self.close_min, tick_min) - 1) * self.num_more[1]


@jit
def write_short_shift(settings, day_number, bookings_row):
    num_bookings = 0
    for tick in range(math.ceil((settings.close_min - settings.open_min) / settings.tick_min)):
        now_min = settings.open_min + tick * settings.tick_min
        if tick == 0:
            num_new = uniform_int(day_number, kinds.INITIAL, 0, 0, settings.num_initial[0], settings.num_initial[1])
        else:
            probability = settings.arrival_probability
            for i in range(settings.num_arrival_periods):
                if settings.arrival_periods_start_min[i] <= now_min < settings.arrival_periods_end_min[i]:
                    probability = settings.arrival_periods_probability[i]
            num_new = 0
            if uniform(day_number, kinds.ARRIVES, tick, 0) < probability:
                num_new = uniform_int(day_number, kinds.MORE, tick, 0, settings.num_more[0], settings.num_more[1])
        if num_bookings + num_new > bookings_row.shape[0]:
            raise ValueError("the generated day has more bookings than the array has rows; see max_bookings_of_day")
        for k in range(num_bookings, num_bookings + num_new):
            _write_short_shift_booking(settings, day_number, k, now_min, bookings_row[k])
        num_bookings += num_new
    return num_bookings


@jit
def _write_short_shift_booking(settings, day_number, k, now_min, booking):
    side = 2.0 * settings.half_side_deg
    booking.key = np.uint64(k)
    booking.priority = uniform_int(day_number, kinds.PRIORITY, k, 0, 1, 5)
    low, high = settings.window_min[0], settings.window_min[1]
    if booking.priority >= settings.urgent_priority:
        low, high = settings.urgent_window_min[0], settings.urgent_window_min[1]
    booking.release_min = now_min
    booking.earliest_pickup_min = now_min
    booking.latest_pickup_min = now_min + uniform_int(day_number, kinds.WINDOW, k, 0, low, high)
    booking.pickup_service_min = settings.service_min
    booking.dropoff_service_min = settings.service_min
    booking.outbound = NO_BOOKING
    booking.expected_min = booking.expected_std_min = np.nan
    booking.appointment_min = np.nan
    booking.leg = Leg.OUTBOUND
    booking.is_wheelchair = 0
    booking.pickup_lat = settings.center_lat + side * (uniform(day_number, kinds.PICKUP_LAT, k, 0) - 0.5)
    booking.pickup_lon = settings.center_lon + side * (uniform(day_number, kinds.PICKUP_LON, k, 0) - 0.5)
    booking.dropoff_lat = settings.center_lat + side * (uniform(day_number, kinds.DROPOFF_LAT, k, 0) - 0.5)
    booking.dropoff_lon = settings.center_lon + side * (uniform(day_number, kinds.DROPOFF_LON, k, 0) - 0.5)
