"""
Days made up from their number, in compiled code, straight into record arrays.

``write_generated_day`` is what the simulator calls; ``envs.scenario.generate_day`` wraps it for Python. Each
draw is a function of (day number, kind, booking or tick, leg), so a day never depends on what was generated before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.compiled import jit
from envs.day import finish_bookings, finish_drivers
from envs.draws import standard_normal, uniform, uniform_int
from envs.records import NEVER, Leg
from envs.travel import HourlyTravel
from envs.travel_kernel import EARTH_RADIUS_KM

SHORT_SHIFT = 0
OPERATING_DAY = 1
MAX_PERIODS = 8  # periods or peaks that fit the record below

# Kinds of draws (envs.draws); a new one goes to the end, or every day changes.
_NUM_DRIVERS = 0
_LOAD = 1
_INITIAL = 2
_ARRIVES = 3
_MORE = 4
_PRIORITY = 5
_WINDOW = 6
_PICKUP_LAT = 7
_PICKUP_LON = 8
_DROPOFF_LAT = 9
_DROPOFF_LON = 10
_NUM_TRIPS = 11
_IS_ROUND_TRIP = 12
_PEAK = 13
_SCHEDULED = 14
_RETURN_GAP = 15
_LENGTH = 16
_DIRECTION = 17
_MIDDLE_EAST = 18
_MIDDLE_NORTH = 19
_KNOWN = 20
_AHEAD = 21
_WHEELCHAIR = 22
_START_EAST = 23
_START_NORTH = 24

_KM_PER_DEG = EARTH_RADIUS_KM * math.pi / 180.0
_P95_NORMAL = 1.6448536269514722  # 95 % of a standard normal lie below

GENERATOR = np.dtype(
    [
        ("kind", np.int32),
        ("num_drivers_low", np.int32),
        ("num_drivers_high", np.int32),
        ("open_min", np.float64),
        ("close_min", np.float64),
        ("tick_min", np.float64),
        ("center_lat", np.float64),
        ("center_lon", np.float64),
        ("detour", np.float64),
        ("speeds", np.float64, (24,)),  # [km/min]
        ("shift_start_min", np.float64),
        ("shift_end_min", np.float64),
        ("service_min", np.float64),
        # --- short shift ------------------------------------------------------------------------------------------
        ("half_side_deg", np.float64),
        ("initial_low", np.int32),
        ("initial_high", np.int32),
        ("more_low", np.int32),
        ("more_high", np.int32),
        ("arrival_probability", np.float64),
        ("num_periods", np.int32),
        ("period_start_min", np.float64, (MAX_PERIODS,)),
        ("period_end_min", np.float64, (MAX_PERIODS,)),
        ("period_probability", np.float64, (MAX_PERIODS,)),
        ("urgent_priority", np.int32),
        ("urgent_window_low", np.int32),
        ("urgent_window_high", np.int32),
        ("window_low", np.int32),
        ("window_high", np.int32),
        # --- operating day ----------------------------------------------------------------------------------------
        ("load_low", np.float64),
        ("load_high", np.float64),
        ("legs_per_driver", np.float64),
        ("round_trip_share", np.float64),
        ("return_gap_mean_min", np.float64),
        ("return_gap_std_min", np.float64),
        ("peak_std_min", np.float64),
        ("num_round_trip_peaks", np.int32),
        ("round_trip_peak_min", np.float64, (MAX_PERIODS,)),
        ("round_trip_peak_share", np.float64, (MAX_PERIODS,)),
        ("num_one_way_peaks", np.int32),
        ("one_way_peak_min", np.float64, (MAX_PERIODS,)),
        ("one_way_peak_share", np.float64, (MAX_PERIODS,)),
        ("last_pickup_before_close_min", np.float64),
        ("trip_km_median", np.float64),
        ("trip_km_log_std", np.float64),
        ("middle_east_std_km", np.float64),
        ("middle_north_std_km", np.float64),
        ("outbound_before_min", np.float64),
        ("outbound_after_min", np.float64),
        ("return_before_min", np.float64),
        ("return_after_min", np.float64),
        ("known_at_opening_share", np.float64),
        ("ahead_low_min", np.int32),
        ("ahead_high_min", np.int32),
        ("called_return_share", np.float64),
        ("called_low_min", np.int32),
        ("called_high_min", np.int32),
        ("wheelchair_share", np.float64),
        ("wheelchair_vehicle_share", np.float64),
        ("emergency_every", np.int32),
        ("start_std_km", np.float64),
    ],
    align=True,
)


# --- settings, as a scenario states them -----------------------------------------------------------------------------


def _expect(where: str, is_right: bool, expected: str) -> None:
    if not is_right:
        raise ValueError(f"{where}: expected {expected}.")


def _expect_range(where: str, name: str, low_high: tuple[float, float], at_least: float) -> None:
    low, high = low_high
    _expect(f"{where}: {name} ({low:g} to {high:g})", at_least <= low <= high, f"{at_least:g} <= first <= second")


def _expect_share(where: str, name: str, value: float) -> None:
    _expect(f"{where}: {name} ({value:g})", 0.0 <= value <= 1.0, "a share from 0 to 1")


def _expect_length(where: str, name: str, values: tuple[Any, ...]) -> None:
    _expect(f"{where}: {name} has {len(values)} entries", len(values) <= MAX_PERIODS, f"at most {MAX_PERIODS}")


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start_min`` until before ``end_min``, a tick brings bookings with this probability."""

    start_min: float
    end_min: float
    probability: float


@dataclass(frozen=True, slots=True)
class Peak:
    """A share of the trips is scheduled around ``center_min``."""

    center_min: float
    share: float


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
        _check_hours(where, self)
        _expect_range(where, "num_initial", self.num_initial, 1)
        _expect_range(where, "num_more", self.num_more, 0)
        _expect_range(where, "urgent_window_min", self.urgent_window_min, 0)
        _expect_range(where, "window_min", self.window_min, 0)
        _expect_share(where, "arrival_probability", self.arrival_probability)
        _expect_length(where, "arrival_periods", self.arrival_periods)
        for period in self.arrival_periods:
            _expect_share(where, "probability of arrival_periods", period.probability)
        _expect(f"{where}: half_side_deg ({self.half_side_deg:g})", 0 < self.half_side_deg <= 10, "0 < degrees <= 10")

    def max_bookings(self, num_drivers_high: int, tick_min: float) -> int:
        """The largest number of bookings that a day can have."""
        return self.num_initial[1] + (_num_ticks(self.open_min, self.close_min, tick_min) - 1) * self.num_more[1]

    def write(self, record: Any) -> None:
        """Write these settings into one GENERATOR record."""
        record["kind"] = SHORT_SHIFT
        _write_hours(record, self)
        record["half_side_deg"] = self.half_side_deg
        record["initial_low"], record["initial_high"] = self.num_initial
        record["more_low"], record["more_high"] = self.num_more
        record["arrival_probability"] = self.arrival_probability
        record["num_periods"] = len(self.arrival_periods)
        for i, period in enumerate(self.arrival_periods):
            record["period_start_min"][i] = period.start_min
            record["period_end_min"][i] = period.end_min
            record["period_probability"][i] = period.probability
        record["urgent_priority"] = self.urgent_priority
        record["urgent_window_low"], record["urgent_window_high"] = self.urgent_window_min
        record["window_low"], record["window_high"] = self.window_min


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

    def __post_init__(self) -> None:
        where = "day operating_day"
        _check_hours(where, self)
        _expect_range(where, "load", self.load, 0.05)
        _expect_range(where, "ahead_min", self.ahead_min, 0)
        _expect_range(where, "called_min", self.called_min, 0)
        for name in (
            "round_trip_share",
            "known_at_opening_share",
            "called_return_share",
            "wheelchair_share",
            "wheelchair_vehicle_share",
        ):
            _expect_share(where, name, getattr(self, name))
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
            _expect(f"{where}: {name} ({getattr(self, name):g})", getattr(self, name) >= 0, "at least 0")
        for name in ("legs_per_driver", "trip_km_median"):
            _expect(f"{where}: {name} ({getattr(self, name):g})", getattr(self, name) > 0, "more than 0")
        _expect(
            f"{where}: trip_km_p95 ({self.trip_km_p95:g})",
            self.trip_km_p95 >= self.trip_km_median,
            "the median or more",
        )
        for name in ("round_trip_peaks", "one_way_peaks"):
            peaks = getattr(self, name)
            _expect_length(where, name, peaks)
            total = sum(peak.share for peak in peaks)
            _expect(f"{where}: the shares of {name} sum to {total:g}", abs(total - 1.0) < 1e-6, "a sum of 1")
        _expect(
            f"{where}: pickup_std_km has {len(self.pickup_std_km)} numbers", len(self.pickup_std_km) == 2, "east, north"
        )
        self._middle_std_km()

    def _trip_km_log_std(self) -> float:
        return math.log(self.trip_km_p95 / self.trip_km_median) / _P95_NORMAL

    def _middle_std_km(self) -> tuple[float, float]:
        # Each end is middle +- length / 2 in a uniform direction: variance = middle's + E[length^2] / 8 on each axis,
        # and E[length^2] = median^2 exp(2 s^2) for a lognormal.
        ends_variance = self.trip_km_median**2 * math.exp(2.0 * self._trip_km_log_std() ** 2) / 8.0
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

    def write(self, record: Any) -> None:
        """Write these settings into one GENERATOR record."""
        record["kind"] = OPERATING_DAY
        _write_hours(record, self)
        record["load_low"], record["load_high"] = self.load
        record["trip_km_log_std"] = self._trip_km_log_std()
        record["middle_east_std_km"], record["middle_north_std_km"] = self._middle_std_km()
        record["ahead_low_min"], record["ahead_high_min"] = self.ahead_min
        record["called_low_min"], record["called_high_min"] = self.called_min
        for kind in ("round_trip", "one_way"):
            peaks = getattr(self, f"{kind}_peaks")
            record[f"num_{kind}_peaks"] = len(peaks)
            for i, peak in enumerate(peaks):
                record[f"{kind}_peak_min"][i] = peak.center_min
                record[f"{kind}_peak_share"][i] = peak.share
        for name in (
            "legs_per_driver",
            "round_trip_share",
            "return_gap_mean_min",
            "return_gap_std_min",
            "peak_std_min",
            "last_pickup_before_close_min",
            "trip_km_median",
            "outbound_before_min",
            "outbound_after_min",
            "return_before_min",
            "return_after_min",
            "known_at_opening_share",
            "called_return_share",
            "wheelchair_share",
            "wheelchair_vehicle_share",
            "emergency_every",
            "start_std_km",
        ):
            record[name] = getattr(self, name)


def _check_hours(where: str, settings: ShortShift | OperatingDay) -> None:
    _expect(
        f"{where}: close_min ({settings.close_min:g})",
        settings.open_min < settings.close_min,
        f"a time after open_min ({settings.open_min:g})",
    )
    _expect(
        f"{where}: shift_end_min ({settings.shift_end_min:g})",
        settings.shift_start_min < settings.shift_end_min,
        f"a time after shift_start_min ({settings.shift_start_min:g})",
    )
    _expect(f"{where}: service_min ({settings.service_min:g})", settings.service_min >= 0, "at least 0")


def _write_hours(record: Any, settings: ShortShift | OperatingDay) -> None:
    for name in ("open_min", "close_min", "shift_start_min", "shift_end_min", "service_min"):
        record[name] = getattr(settings, name)


def _num_ticks(open_min: float, close_min: float, tick_min: float) -> int:
    return math.ceil((close_min - open_min) / tick_min)


def generator_record(
    settings: ShortShift | OperatingDay,
    num_drivers: tuple[int, int],
    tick_min: float,
    center_lat: float,
    center_lon: float,
    travel: HourlyTravel,
) -> npt.NDArray[Any]:
    """All that compiled code needs to make the days of a scenario: GENERATOR, shape (1,)."""
    record = np.zeros(1, dtype=GENERATOR)
    row = record[0]
    settings.write(row)
    row["num_drivers_low"], row["num_drivers_high"] = num_drivers
    row["tick_min"] = tick_min
    row["center_lat"], row["center_lon"] = center_lat, center_lon
    row["detour"] = travel.detour
    row["speeds"] = travel.speeds()
    return record


# --- compiled --------------------------------------------------------------------------------------------------------


@jit
def write_generated_day(generator, day_number, bookings_row, drivers_row, clock_row, speeds_row):
    """
    Write day ``day_number``, complete and ready to start, into the rows of one day.

    Parameters
    ----------
    generator
        GENERATOR, shape (1,), of ``Scenario.generator_record``.
    bookings_row, drivers_row, clock_row, speeds_row
        BOOKING, shape (K,); DRIVER, shape (N,); CLOCK, shape (1,); float64, shape (24,). Rows beyond the day's own
        bookings and drivers are left as they are.

    Returns
    -------
    int
        The number of bookings, as in the clock.
    """
    settings = generator[0]
    num_drivers = uniform_int(day_number, _NUM_DRIVERS, 0, 0, settings.num_drivers_low, settings.num_drivers_high)
    if num_drivers > drivers_row.shape[0]:
        raise ValueError("the generated day has more drivers than the array has rows; see Scenario.num_drivers")
    _write_drivers(settings, day_number, num_drivers, drivers_row)
    if settings.kind == SHORT_SHIFT:
        num_bookings = _write_short_shift(settings, day_number, bookings_row)
    else:
        num_bookings = _write_operating_day(settings, day_number, num_drivers, bookings_row)
    finish_bookings(bookings_row, num_bookings, settings.detour, settings.center_lat, settings.center_lon)
    _write_clock(settings, day_number, num_bookings, num_drivers, clock_row[0])
    for hour in range(24):
        speeds_row[hour] = settings.speeds[hour]
    return num_bookings


@jit
def _write_clock(settings, day_number, num_bookings, num_drivers, clock):
    clock.day_number = day_number
    clock.now_min = settings.open_min
    clock.open_min = settings.open_min
    clock.close_min = settings.close_min
    clock.num_bookings = num_bookings
    clock.num_drivers = num_drivers
    clock.has_matrix = 0
    clock.has_disturbances = 0
    clock.detour = settings.detour
    clock.decisions_this_tick = 0
    clock.num_open = 0
    clock.num_feasible = 0
    clock.is_done = 0
    clock.plan_news = 0
    clock.num_touched = 0
    clock.num_events = 0
    clock.elapsed_min = 0.0
    clock.was_infeasible = 0
    clock.was_idle_wait = 0
    clock.was_assigned = 0
    clock.num_decisions = 0
    clock.num_infeasible = 0
    clock.num_idle_waits = 0
    clock.num_unassigned = 0
    clock.num_moved = 0
    clock.num_spare = 0


@jit
def _write_drivers(settings, day_number, num_drivers, drivers_row):
    east_km_per_deg = _KM_PER_DEG * math.cos(math.radians(settings.center_lat))
    for n in range(num_drivers):
        driver = drivers_row[n]
        driver.key = np.uint64(n)
        driver.start_lat = settings.center_lat
        driver.start_lon = settings.center_lon
        if settings.start_std_km > 0.0:
            driver.start_lat += settings.start_std_km * standard_normal(day_number, _START_NORTH, n, 0) / _KM_PER_DEG
            driver.start_lon += settings.start_std_km * standard_normal(day_number, _START_EAST, n, 0) / east_km_per_deg
        driver.shift_start_min = settings.shift_start_min
        driver.shift_end_min = settings.shift_end_min
        driver.break_start_min = NEVER
        driver.break_end_min = NEVER
        driver.is_emergency = 0
        driver.can_wheelchair = 1
        if settings.kind == OPERATING_DAY:
            every = settings.emergency_every
            driver.is_emergency = 1 if every > 0 and n % every == every - 1 else 0
            # Capable vehicles spread evenly over the fleet, the first one included
            share = settings.wheelchair_vehicle_share
            driver.can_wheelchair = 1 if math.ceil((n + 1) * share - 1e-9) > math.ceil(n * share - 1e-9) else 0
    finish_drivers(drivers_row, num_drivers, settings.center_lat, settings.center_lon)


@jit
def _write_short_shift(settings, day_number, bookings_row):
    num_bookings = 0
    for tick in range(math.ceil((settings.close_min - settings.open_min) / settings.tick_min)):
        now_min = settings.open_min + tick * settings.tick_min
        if tick == 0:
            num_new = uniform_int(day_number, _INITIAL, 0, 0, settings.initial_low, settings.initial_high)
        else:
            probability = settings.arrival_probability
            for i in range(settings.num_periods):
                if settings.period_start_min[i] <= now_min < settings.period_end_min[i]:
                    probability = settings.period_probability[i]
            num_new = 0
            if uniform(day_number, _ARRIVES, tick, 0) < probability:
                num_new = uniform_int(day_number, _MORE, tick, 0, settings.more_low, settings.more_high)
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
    booking.priority = uniform_int(day_number, _PRIORITY, k, 0, 1, 5)
    low, high = settings.window_low, settings.window_high
    if booking.priority >= settings.urgent_priority:
        low, high = settings.urgent_window_low, settings.urgent_window_high
    booking.release_min = now_min
    booking.earliest_pickup_min = now_min
    booking.latest_pickup_min = now_min + uniform_int(day_number, _WINDOW, k, 0, low, high)
    booking.pickup_service_min = settings.service_min
    booking.dropoff_service_min = settings.service_min
    booking.appointment_min = np.nan
    booking.leg = Leg.OUTBOUND
    booking.is_wheelchair = 0
    booking.pickup_lat = settings.center_lat + side * (uniform(day_number, _PICKUP_LAT, k, 0) - 0.5)
    booking.pickup_lon = settings.center_lon + side * (uniform(day_number, _PICKUP_LON, k, 0) - 0.5)
    booking.dropoff_lat = settings.center_lat + side * (uniform(day_number, _DROPOFF_LAT, k, 0) - 0.5)
    booking.dropoff_lon = settings.center_lon + side * (uniform(day_number, _DROPOFF_LON, k, 0) - 0.5)


@jit
def _write_operating_day(settings, day_number, num_drivers, bookings_row):
    load = settings.load_low + (settings.load_high - settings.load_low) * uniform(day_number, _LOAD, 0, 0)
    mean_trips = load * settings.legs_per_driver * num_drivers / (1.0 + settings.round_trip_share)
    num_trips = max(1, math.floor(mean_trips + uniform(day_number, _NUM_TRIPS, 0, 0)))
    # One entry per leg, by trip: the trip, 1 for its return, scheduled time, release
    trip_of = np.empty(2 * num_trips, dtype=np.int64)
    is_return = np.empty(2 * num_trips, dtype=np.int64)
    scheduled = np.empty(2 * num_trips)
    release = np.empty(2 * num_trips)
    num_legs = 0
    for trip in range(num_trips):
        has_return = uniform(day_number, _IS_ROUND_TRIP, trip, 0) < settings.round_trip_share
        known = uniform(day_number, _KNOWN, trip, 0)
        outbound_min = _scheduled_outbound(settings, day_number, trip, has_return)
        earliest_min = outbound_min - settings.outbound_before_min
        outbound_release = settings.open_min
        if known >= settings.known_at_opening_share:
            ahead = uniform_int(day_number, _AHEAD, trip, 0, settings.ahead_low_min, settings.ahead_high_min)
            outbound_release = max(settings.open_min, earliest_min - ahead)
        trip_of[num_legs] = trip
        is_return[num_legs] = 0
        scheduled[num_legs] = outbound_min
        release[num_legs] = outbound_release
        num_legs += 1
        if has_return:
            gap = settings.return_gap_mean_min
            gap += settings.return_gap_std_min * standard_normal(day_number, _RETURN_GAP, trip, 1)
            last = settings.close_min - settings.last_pickup_before_close_min - settings.return_after_min
            return_min = min(outbound_min + max(60.0, float(round(gap))), last)
            return_release = outbound_release
            if known >= 1.0 - settings.called_return_share:
                ahead = uniform_int(day_number, _AHEAD, trip, 1, settings.called_low_min, settings.called_high_min)
                return_release = max(settings.open_min, return_min - settings.return_before_min - ahead)
            trip_of[num_legs] = trip
            is_return[num_legs] = 1
            scheduled[num_legs] = return_min
            release[num_legs] = return_release
            num_legs += 1
    if num_legs > bookings_row.shape[0]:
        raise ValueError("the generated day has more bookings than the array has rows; see max_bookings_of_day")
    order = _stable_order(release, num_legs)
    for k in range(num_legs):
        i = order[k]
        booking = bookings_row[k]
        booking.key = np.uint64(k)
        booking.release_min = release[i]
        _write_operating_day_booking(settings, day_number, trip_of[i], is_return[i], scheduled[i], booking)
    return num_legs


@jit
def _scheduled_outbound(settings, day_number, trip, has_return):
    """Whole minute around a drawn peak, early enough for the return to follow."""
    last = settings.close_min - settings.last_pickup_before_close_min - settings.outbound_after_min
    choice = uniform(day_number, _PEAK, trip, 0)
    if has_return:
        last -= settings.return_after_min + 60.0
        center = settings.round_trip_peak_min[settings.num_round_trip_peaks - 1]
        for i in range(settings.num_round_trip_peaks):
            choice -= settings.round_trip_peak_share[i]
            if choice < 0.0:
                center = settings.round_trip_peak_min[i]
                break
    else:
        center = settings.one_way_peak_min[settings.num_one_way_peaks - 1]
        for i in range(settings.num_one_way_peaks):
            choice -= settings.one_way_peak_share[i]
            if choice < 0.0:
                center = settings.one_way_peak_min[i]
                break
    drawn = float(round(center + settings.peak_std_min * standard_normal(day_number, _SCHEDULED, trip, 0)))
    return max(settings.open_min + settings.outbound_before_min, min(drawn, last))


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
    booking.priority = uniform_int(day_number, _PRIORITY, trip, 0, 1, 5)
    booking.leg = Leg.RETURN if is_return else Leg.OUTBOUND
    booking.is_wheelchair = 1 if uniform(day_number, _WHEELCHAIR, trip, 0) < settings.wheelchair_share else 0
    length = settings.trip_km_median * math.exp(
        settings.trip_km_log_std * standard_normal(day_number, _LENGTH, trip, 0)
    )
    direction = 2.0 * math.pi * uniform(day_number, _DIRECTION, trip, 0)
    if is_return:
        direction += math.pi
    half_east, half_north = 0.5 * length * math.cos(direction), 0.5 * length * math.sin(direction)
    east = settings.middle_east_std_km * standard_normal(day_number, _MIDDLE_EAST, trip, 0)
    north = settings.middle_north_std_km * standard_normal(day_number, _MIDDLE_NORTH, trip, 0)
    east_km_per_deg = _KM_PER_DEG * math.cos(math.radians(settings.center_lat))
    booking.pickup_lat = settings.center_lat + (north - half_north) / _KM_PER_DEG
    booking.pickup_lon = settings.center_lon + (east - half_east) / east_km_per_deg
    booking.dropoff_lat = settings.center_lat + (north + half_north) / _KM_PER_DEG
    booking.dropoff_lon = settings.center_lon + (east + half_east) / east_km_per_deg
