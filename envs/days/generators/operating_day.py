"""The operating day: round trips around three peaks, half of them known ahead, shaped on a real company's year."""

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
)
from envs.world.compiled import jit
from envs.world.derived import KM_PER_DEG
from envs.world.draws import standard_normal, uniform, uniform_int
from envs.world.records import NO_BOOKING, Leg
from envs.world.travel import arrival

_OUTBOUND = int(Leg.OUTBOUND)
P95_NORMAL = 1.6448536269514722  # 95 % of a standard normal lie below


@dataclass(frozen=True, slots=True)
class Peak:
    """A share of the trips is scheduled around ``center_min``."""

    center_min: float
    share: float


@dataclass(frozen=True, slots=True)
class OperatingDay:
    """
    A whole day shaped on a real company's year: round trips, three peaks, mostly short rides.

    - *How many.* Legs per day are ``load`` x ``legs_per_driver`` x drivers on average; ``load`` is a number or drawn
      per day. Trips are that number / (1 + ``round_trip_share``), rounded at random, so that the mean is exact.
    - *When.* Trips are scheduled around peaks (normal, ``peak_std_min``), whole minutes; a return follows its outbound
      by a normal gap, at least an hour. Nothing is scheduled outside the opening hours; the last pickup closes
      ``last_pickup_before_close_min`` before closing.
    - *Where.* The middle of a trip is normal around the centre and its length lognormal, in any direction. The middle's
      spread is chosen such that pickups, and drop-offs, have the standard deviations asked for, for both legs.
    - *Known when.* A share of the outbounds is known at opening, the others ``ahead_min`` before their earliest pickup,
      but not before opening. A share of the returns is called ``called_min`` before; the others are booked together
      with their outbound. One number per trip decides both, so that with the default halves whoever books at short
      notice calls for the way back; half of all bookings, and those cut off at opening, are then known from the start.
    - *Appointments.* With ``has_appointments`` an outbound leg has one: the next full five minutes after whoever is
      picked up at the end of the window is out of the vehicle.
    - *Who.* Priority is uniform 1-5 (assumed); both legs of a trip share it and the wheelchair. Ids are b0, b1, ... in
      order of release.
    """

    open_min: float
    close_min: float
    shift_start_min: float
    shift_end_min: float
    service_min: float
    load: tuple[float, float]
    legs_per_driver: float
    round_trip_share: float
    return_gap_mean_min: float
    return_gap_std_min: float
    peak_std_min: float
    round_trip_peaks: tuple[Peak, ...]
    one_way_peaks: tuple[Peak, ...]
    last_pickup_before_close_min: float
    trip_km_median: float
    trip_km_p95: float
    pickup_std_km: tuple[float, ...]
    outbound_before_min: float
    outbound_after_min: float
    return_before_min: float
    return_after_min: float
    known_at_opening_share: float
    ahead_min: tuple[int, int]
    called_return_share: float
    called_min: tuple[int, int]
    wheelchair_share: float
    wheelchair_vehicle_share: float
    emergency_every: int
    start_std_km: float
    has_appointments: bool = False

    def __post_init__(self) -> None:
        where = "day operating_day"
        check_hours(where, self)
        expect_range(where, "load", self.load, 0.05)
        expect_range(where, "ahead_min", self.ahead_min, 0)
        expect_range(where, "called_min", self.called_min, 0)
        for name in (
            "round_trip_share",
            "known_at_opening_share",
            "called_return_share",
            "wheelchair_share",
            "wheelchair_vehicle_share",
        ):
            expect_share(where, name, getattr(self, name))
        for name in (
            "return_gap_std_min",
            "peak_std_min",
            "last_pickup_before_close_min",
            "outbound_before_min",
            "outbound_after_min",
            "return_before_min",
            "return_after_min",
            "emergency_every",
            "start_std_km",
        ):
            expect(f"{where}: {name} ({getattr(self, name):g})", getattr(self, name) >= 0, "at least 0")
        for name in ("legs_per_driver", "trip_km_median"):
            expect(f"{where}: {name} ({getattr(self, name):g})", getattr(self, name) > 0, "more than 0")
        expect(
            f"{where}: trip_km_p95 ({self.trip_km_p95:g})",
            self.trip_km_p95 >= self.trip_km_median,
            "the median or more",
        )
        for name in ("round_trip_peaks", "one_way_peaks"):
            peaks = getattr(self, name)
            expect_length(where, name, peaks)
            total = sum(peak.share for peak in peaks)
            expect(f"{where}: the shares of {name} sum to {total:g}", abs(total - 1.0) < 1e-6, "a sum of 1")
        expect(
            f"{where}: pickup_std_km has {len(self.pickup_std_km)} numbers", len(self.pickup_std_km) == 2, "east, north"
        )
        self.middle_std_km()

    def trip_km_log_std(self) -> float:
        """Standard deviation of the logarithm of a trip's length."""
        return math.log(self.trip_km_p95 / self.trip_km_median) / P95_NORMAL

    def middle_std_km(self) -> tuple[float, float]:
        """Standard deviation of a trip's middle, east and north."""
        # Each end is middle +- length / 2 in a uniform direction: variance = middle's + E[length^2] / 8 on each axis,
        # and E[length^2] = median^2 exp(2 s^2) for a lognormal.
        ends_variance = self.trip_km_median**2 * math.exp(2.0 * self.trip_km_log_std() ** 2) / 8.0
        east, north = (std**2 - ends_variance for std in self.pickup_std_km)
        if min(east, north) < 0:
            raise ValueError(
                f"day operating_day: pickup_std_km {self.pickup_std_km} is less than the trips alone spread their ends "
                f"({math.sqrt(ends_variance):.2f} km). Widen it or shorten the trips."
            )
        return math.sqrt(east), math.sqrt(north)

    def _mean_trips(self, load: float, num_drivers: int) -> float:
        return load * self.legs_per_driver * num_drivers / (1.0 + self.round_trip_share)

    def max_bookings(self, num_drivers_high: int, tick_min: float) -> int:
        """The largest number of bookings that a day can have: every trip a round trip."""
        trips = max(1, math.floor(self._mean_trips(self.load[1], num_drivers_high)) + 1)
        return 2 * trips


@jit
def write_operating_day(settings, day_number, num_drivers, bookings_row):
    load = settings.load[0] + (settings.load[1] - settings.load[0]) * uniform(day_number, kinds.LOAD, 0, 0)
    mean_trips = load * settings.legs_per_driver * num_drivers / (1.0 + settings.round_trip_share)
    num_trips = max(1, math.floor(mean_trips + uniform(day_number, kinds.NUM_TRIPS, 0, 0)))
    # One entry per leg, by trip: the trip, 1 for its return, scheduled time, release
    trip_of = np.empty(2 * num_trips, dtype=np.int64)
    is_return = np.empty(2 * num_trips, dtype=np.int64)
    scheduled = np.empty(2 * num_trips)
    release = np.empty(2 * num_trips)
    num_legs = 0
    for trip in range(num_trips):
        has_return = uniform(day_number, kinds.IS_ROUND_TRIP, trip, 0) < settings.round_trip_share
        known = uniform(day_number, kinds.KNOWN, trip, 0)
        outbound_min = _scheduled_outbound(settings, day_number, trip, has_return)
        earliest_min = outbound_min - settings.outbound_before_min
        outbound_release = settings.open_min
        if known >= settings.known_at_opening_share:
            ahead = uniform_int(day_number, kinds.AHEAD, trip, 0, settings.ahead_min[0], settings.ahead_min[1])
            outbound_release = max(settings.open_min, earliest_min - ahead)
        trip_of[num_legs] = trip
        is_return[num_legs] = 0
        scheduled[num_legs] = outbound_min
        release[num_legs] = outbound_release
        num_legs += 1
        if has_return:
            gap = settings.return_gap_mean_min
            gap += settings.return_gap_std_min * standard_normal(day_number, kinds.RETURN_GAP, trip, 1)
            last = settings.close_min - settings.last_pickup_before_close_min - settings.return_after_min
            return_min = min(outbound_min + max(60.0, float(round(gap))), last)
            return_release = outbound_release
            if known >= 1.0 - settings.called_return_share:
                ahead = uniform_int(day_number, kinds.AHEAD, trip, 1, settings.called_min[0], settings.called_min[1])
                return_release = max(settings.open_min, return_min - settings.return_before_min - ahead)
            trip_of[num_legs] = trip
            is_return[num_legs] = 1
            scheduled[num_legs] = return_min
            release[num_legs] = return_release
            num_legs += 1
    if num_legs > bookings_row.shape[0]:
        raise ValueError("the generated day has more bookings than the array has rows; see max_bookings_of_day")
    order = _stable_order(release, num_legs)
    row_of_outbound = np.empty(num_trips, np.int32)
    for k in range(num_legs):
        i = order[k]
        booking = bookings_row[k]
        booking.key = np.uint64(k)
        booking.release_min = release[i]
        _write_operating_day_booking(settings, day_number, trip_of[i], is_return[i], scheduled[i], booking)
        # An outbound leg is released with its return or before it, and comes first among equals.
        booking.outbound = NO_BOOKING
        booking.expected_min = booking.expected_std_min = np.nan
        if not is_return[i]:
            row_of_outbound[trip_of[i]] = k
            continue
        booking.outbound = row_of_outbound[trip_of[i]]
        if release[i] > release[i - 1]:  # the leg before it is its outbound
            booking.expected_min = scheduled[i - 1] + settings.return_gap_mean_min - settings.return_before_min
            booking.expected_std_min = settings.return_gap_std_min
    return num_legs


@jit
def write_appointments(settings, bookings_row, num_bookings, speeds):
    """The appointments of the outbound legs, whose rides are known by now."""
    for k in range(num_bookings):
        booking = bookings_row[k]
        if booking.leg == _OUTBOUND:
            left_min = booking.latest_pickup_min + booking.pickup_service_min
            out_min = arrival(speeds, left_min, booking.ride_work) + booking.dropoff_service_min
            booking.appointment_min = 5.0 * math.ceil(out_min / 5.0)


@jit
def _scheduled_outbound(settings, day_number, trip, has_return):
    """Whole minute around a drawn peak, early enough for the return to follow."""
    last = settings.close_min - settings.last_pickup_before_close_min - settings.outbound_after_min
    choice = uniform(day_number, kinds.PEAK, trip, 0)
    if has_return:
        last -= settings.return_after_min + 60.0
        shares, centers = settings.round_trip_peaks_share, settings.round_trip_peaks_center_min
        center = centers[_drawn_peak(shares, settings.num_round_trip_peaks, choice)]
    else:
        shares, centers = settings.one_way_peaks_share, settings.one_way_peaks_center_min
        center = centers[_drawn_peak(shares, settings.num_one_way_peaks, choice)]
    drawn = float(round(center + settings.peak_std_min * standard_normal(day_number, kinds.SCHEDULED, trip, 0)))
    return max(settings.open_min + settings.outbound_before_min, min(drawn, last))


@jit
def _drawn_peak(shares, num_peaks, choice):
    """The peak that ``choice``, uniform in [0, 1), falls on; the last one where the shares fall short by rounding."""
    for i in range(num_peaks):
        choice -= shares[i]
        if choice < 0.0:
            return i
    return num_peaks - 1


@jit
def _stable_order(values, size):
    """Insertion sort: most bookings of a day are known at opening, so little moves, and equal ones keep their order."""
    order = np.arange(size)
    for k in range(1, size):
        moving = order[k]
        j = k - 1
        while j >= 0 and values[order[j]] > values[moving]:
            order[j + 1] = order[j]
            j -= 1
        order[j + 1] = moving
    return order


@jit
def _write_operating_day_booking(settings, day_number, trip, is_return, scheduled_min, booking):
    before, after = settings.outbound_before_min, settings.outbound_after_min
    if is_return:
        before, after = settings.return_before_min, settings.return_after_min
    booking.earliest_pickup_min = scheduled_min - before
    booking.latest_pickup_min = scheduled_min + after
    booking.pickup_service_min = settings.service_min
    booking.dropoff_service_min = settings.service_min
    booking.appointment_min = np.nan
    booking.priority = uniform_int(day_number, kinds.PRIORITY, trip, 0, 1, 5)
    booking.leg = Leg.RETURN if is_return else Leg.OUTBOUND
    booking.is_wheelchair = 1 if uniform(day_number, kinds.WHEELCHAIR, trip, 0) < settings.wheelchair_share else 0
    length = settings.trip_km_median * math.exp(
        settings.trip_km_log_std * standard_normal(day_number, kinds.LENGTH, trip, 0)
    )
    direction = 2.0 * math.pi * uniform(day_number, kinds.DIRECTION, trip, 0)
    if is_return:
        direction += math.pi
    half_east, half_north = 0.5 * length * math.cos(direction), 0.5 * length * math.sin(direction)
    east = settings.middle_std_km[0] * standard_normal(day_number, kinds.MIDDLE_EAST, trip, 0)
    north = settings.middle_std_km[1] * standard_normal(day_number, kinds.MIDDLE_NORTH, trip, 0)
    east_km_per_deg = KM_PER_DEG * math.cos(math.radians(settings.center_lat))
    booking.pickup_lat = settings.center_lat + (north - half_north) / KM_PER_DEG
    booking.pickup_lon = settings.center_lon + (east - half_east) / east_km_per_deg
    booking.dropoff_lat = settings.center_lat + (north + half_north) / KM_PER_DEG
    booking.dropoff_lon = settings.center_lon + (east + half_east) / east_km_per_deg
