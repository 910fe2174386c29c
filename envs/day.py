"""A day: its bookings, its fleet, how one travels; checked once, never changed, and written into record arrays."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.compiled import jit
from envs.draws import stable_key
from envs.records import NEVER, NO_BOOKING, NO_DRIVER, BookingState, Leg
from envs.travel import Travel, matrices, ride
from envs.travel_kernel import EARTH_RADIUS_KM, arrival, great_circle_km

DEFAULT_PRIORITY = 3  # the middle of 1..5
DEFAULT_SERVICE_MIN = 5.0  # [min] dwell at each end, as of the paratransit agency in README "Data"
_KM_PER_DEG = EARTH_RADIUS_KM * math.pi / 180.0


@dataclass(frozen=True, slots=True)
class Booking:
    """A passenger's trip request. Times are minutes since midnight, places degrees."""

    id: str
    release_min: float
    earliest_pickup_min: float
    latest_pickup_min: float
    pickup_lat: float
    pickup_lon: float
    dropoff_lat: float
    dropoff_lon: float
    priority: int = DEFAULT_PRIORITY
    leg: Leg = Leg.OUTBOUND
    is_wheelchair: bool = False
    pickup_service_min: float = DEFAULT_SERVICE_MIN
    dropoff_service_min: float = DEFAULT_SERVICE_MIN
    appointment_min: float | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver with their vehicle."""

    id: str
    start_lat: float
    start_lon: float
    shift_start_min: float
    shift_end_min: float
    is_emergency: bool = False
    can_wheelchair: bool = True
    break_start_min: float | None = None
    break_end_min: float | None = None


def natural_order(text: str) -> tuple[Any, ...]:
    """Sort key in which b2 comes before b10."""
    parts = re.split(r"([0-9]+)", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part), text


@dataclass(frozen=True)
class Day:
    """
    Everything that is settled before a day starts; every policy faces the same.

    Bookings are kept in the order of (release, id), drivers as given; rows of arrays follow that order.

    Attributes
    ----------
    label
        Names the day in messages and tables.
    day_number
        Of a generated day; -1 for a day from files.

    Raises
    ------
    ValueError
        For anything that can't be: no bookings, no drivers, ids used twice, a window that closes before it opens, ...

    Warns
    -----
    UserWarning
        Naming the wheelchair bookings of a day without any wheelchair vehicle: they can't be served, and are counted.
    """

    label: str
    bookings: tuple[Booking, ...]
    drivers: tuple[Driver, ...]
    travel: Travel
    open_min: float
    close_min: float
    day_number: int = -1
    key: int = field(init=False, repr=False, compare=False, default=0)  # names the day's random draws, below 2**64

    def __post_init__(self) -> None:
        object.__setattr__(self, "bookings", tuple(self.bookings))
        object.__setattr__(self, "drivers", tuple(self.drivers))
        where = f"day {self.label}"
        if not self.bookings:
            raise ValueError(f"{where}: no bookings. Expected at least one; leave empty days out.")
        if not self.drivers:
            raise ValueError(f"{where}: no drivers. Expected at least one row in the fleet.")
        _check_times(where, open_min=self.open_min, close_min=self.close_min)
        if self.close_min <= self.open_min:
            raise ValueError(f"{where}: close_min ({self.close_min:g}) is not after open_min ({self.open_min:g}).")
        for kind, members in (("booking", self.bookings), ("driver", self.drivers)):
            _check_ids(where, kind, [member.id for member in members])
        for booking in self.bookings:
            check_booking(f"{where}, booking {booking.id!r}", booking)
        for driver in self.drivers:
            check_driver(f"{where}, driver {driver.id!r}", driver)
        ordered = sorted(self.bookings, key=lambda booking: (booking.release_min, natural_order(booking.id)))
        object.__setattr__(self, "bookings", tuple(ordered))
        object.__setattr__(self, "key", self.day_number if self.day_number >= 0 else stable_key(self.label))
        self._warn_of_missing_wheelchair_vehicle()

    def _warn_of_missing_wheelchair_vehicle(self) -> None:
        if any(driver.can_wheelchair for driver in self.drivers):
            return
        waiting = [booking.id for booking in self.bookings if booking.is_wheelchair]
        if waiting:
            shown = ", ".join(repr(booking_id) for booking_id in waiting[:10])
            more = f" and {len(waiting) - 10} more" if len(waiting) > 10 else ""
            warnings.warn(
                f"day {self.label}: no vehicle of the fleet takes a wheelchair, so booking {shown}{more} can't be "
                "served; counted as lost. Give a driver can_wheelchair = true.",
                stacklevel=4,
            )

    @property
    def num_bookings(self) -> int:
        return len(self.bookings)

    @property
    def num_drivers(self) -> int:
        return len(self.drivers)

    def unservable(self, max_lateness_min: float) -> list[str]:
        """
        Ids of the bookings that no driver could serve even alone: no wheelchair vehicle, window or shift out of reach.

        A driver is taken to leave the start place for the pickup when the shift (or the day) begins, known or not; so
        whoever is listed is out of reach of every policy. Breaks are left out.
        """
        approach_work = matrices(self)[1]
        ride_work = ride(self)[1]
        speeds = self.travel.speeds()
        ids = []
        for k, booking in enumerate(self.bookings):
            begin = max(booking.release_min, booking.earliest_pickup_min)
            for n, driver in enumerate(self.drivers):
                if booking.is_wheelchair and not driver.can_wheelchair:
                    continue
                leave = max(self.open_min, driver.shift_start_min)
                pickup = max(begin, arrival(speeds, leave, float(approach_work[n, k])))
                if pickup > booking.latest_pickup_min + max_lateness_min:
                    continue
                end = arrival(speeds, pickup + booking.pickup_service_min, float(ride_work[k]))
                if end + booking.dropoff_service_min <= driver.shift_end_min:
                    break
            else:
                ids.append(booking.id)
        return ids

    @classmethod
    def from_records(
        cls,
        bookings_row: npt.NDArray[Any],
        drivers_row: npt.NDArray[Any],
        clock_row: npt.NDArray[Any],
        travel: Travel,
        label: str | None = None,
    ) -> Day:
        """
        The day that a generator wrote; ids are ``b`` and ``d`` with the row number.

        Parameters
        ----------
        bookings_row, drivers_row, clock_row
            BOOKING, shape (K,); DRIVER, shape (N,); CLOCK, shape (1,): only the rows that the clock counts are read.
        """
        clock = clock_row[0]
        bookings = tuple(
            Booking(
                id=f"b{k}",
                **{name: float(row[name]) for name in _BOOKING_FLOATS},
                priority=int(row["priority"]),
                leg=Leg(int(row["leg"])),
                is_wheelchair=bool(row["is_wheelchair"]),
                appointment_min=_finite_or_none(row["appointment_min"]),
            )
            for k, row in enumerate(bookings_row[: int(clock["num_bookings"])])
        )
        drivers = tuple(
            Driver(
                id=f"d{n}",
                **{name: float(row[name]) for name in _DRIVER_FLOATS},
                is_emergency=bool(row["is_emergency"]),
                can_wheelchair=bool(row["can_wheelchair"]),
                break_start_min=_finite_or_none(row["break_start_min"]),
                break_end_min=_finite_or_none(row["break_end_min"]),
            )
            for n, row in enumerate(drivers_row[: int(clock["num_drivers"])])
        )
        number = int(clock["day_number"])
        return cls(
            label=str(number) if label is None else label,
            bookings=bookings,
            drivers=drivers,
            travel=travel,
            open_min=float(clock["open_min"]),
            close_min=float(clock["close_min"]),
            day_number=number,
        )


_BOOKING_FLOATS = (
    "release_min",
    "earliest_pickup_min",
    "latest_pickup_min",
    "pickup_lat",
    "pickup_lon",
    "dropoff_lat",
    "dropoff_lon",
    "pickup_service_min",
    "dropoff_service_min",
)
_DRIVER_FLOATS = ("start_lat", "start_lon", "shift_start_min", "shift_end_min")


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# --- checks ----------------------------------------------------------------------------------------------------------


def _check_times(where: str, **times: float) -> None:
    for name, value in times.items():
        if not math.isfinite(value):
            raise ValueError(f"{where}: {name} ({value}) is not a finite number of minutes since midnight.")


def _check_ids(where: str, kind: str, ids: list[str]) -> None:
    seen: set[str] = set()
    for member_id in ids:
        if not member_id:
            raise ValueError(f"{where}: a {kind} has an empty id. Give every {kind} an id of its own.")
        if member_id in seen:
            raise ValueError(f"{where}: {kind} id {member_id!r} occurs twice. Give every {kind} an id of its own.")
        seen.add(member_id)


def _check_place(where: str, name: str, lat: float, lon: float) -> None:
    # Written so that nan fails too
    if not -90.0 <= lat <= 90.0:
        raise ValueError(f"{where}: {name}_lat ({lat}) is off the globe; expected degrees in [-90, 90].")
    if not -180.0 <= lon <= 180.0:
        raise ValueError(f"{where}: {name}_lon ({lon}) is off the globe; expected degrees in [-180, 180].")


def check_booking(where: str, booking: Booking) -> None:
    _check_times(
        where,
        release_min=booking.release_min,
        earliest_pickup_min=booking.earliest_pickup_min,
        latest_pickup_min=booking.latest_pickup_min,
    )
    if booking.appointment_min is not None:
        _check_times(where, appointment_min=booking.appointment_min)
    if booking.latest_pickup_min < booking.earliest_pickup_min:
        raise ValueError(
            f"{where}: latest_pickup_min ({booking.latest_pickup_min:g}) is before "
            f"earliest_pickup_min ({booking.earliest_pickup_min:g})."
        )
    if booking.release_min > booking.latest_pickup_min:
        raise ValueError(
            f"{where}: release_min ({booking.release_min:g}) is after latest_pickup_min "
            f"({booking.latest_pickup_min:g}): nobody could serve it. "
            "Correct the release time or leave the booking out."
        )
    _check_place(where, "pickup", booking.pickup_lat, booking.pickup_lon)
    _check_place(where, "dropoff", booking.dropoff_lat, booking.dropoff_lon)
    if booking.priority not in (1, 2, 3, 4, 5):
        raise ValueError(f"{where}: priority ({booking.priority}) is not a whole number from 1 to 5.")
    if not any(booking.leg is leg for leg in Leg):
        raise ValueError(f"{where}: leg ({booking.leg!r}) is unknown; expected Leg.OUTBOUND or Leg.RETURN.")
    if booking.is_wheelchair not in (False, True):
        raise ValueError(f"{where}: is_wheelchair ({booking.is_wheelchair!r}) is neither true nor false.")
    for name in ("pickup_service_min", "dropoff_service_min"):
        value = getattr(booking, name)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{where}: {name} ({value}) must be a finite number of minutes, at least 0.")


def check_driver(where: str, driver: Driver) -> None:
    _check_times(where, shift_start_min=driver.shift_start_min, shift_end_min=driver.shift_end_min)
    if driver.shift_end_min <= driver.shift_start_min:
        raise ValueError(
            f"{where}: shift_end_min ({driver.shift_end_min:g}) is not after shift_start_min "
            f"({driver.shift_start_min:g}). A shift past midnight ends later than 1440 (24:00)."
        )
    _check_place(where, "start", driver.start_lat, driver.start_lon)
    if (driver.break_start_min is None) != (driver.break_end_min is None):
        raise ValueError(f"{where}: a break needs both break_start_min and break_end_min; only one is given.")
    if driver.break_start_min is not None and driver.break_end_min is not None:
        _check_times(where, break_start_min=driver.break_start_min, break_end_min=driver.break_end_min)
        if driver.break_end_min < driver.break_start_min:
            raise ValueError(
                f"{where}: break_end_min ({driver.break_end_min:g}) is before "
                f"break_start_min ({driver.break_start_min:g})."
            )


# --- into record arrays ----------------------------------------------------------------------------------------------


@jit
def unit_vector(lat, lon, out):
    """Write the point of the unit sphere at (lat, lon) [deg] into ``out``, float64, shape (3,)."""
    lat_rad, lon_rad = math.radians(lat), math.radians(lon)
    out[0] = math.cos(lat_rad) * math.cos(lon_rad)
    out[1] = math.cos(lat_rad) * math.sin(lon_rad)
    out[2] = math.sin(lat_rad)


@jit
def finish_bookings(bookings, num_bookings, detour, center_lat, center_lon):
    """
    Fill in what follows from the given fields of the first ``num_bookings`` rows, and reset what happens later.

    Unit vectors, plane coordinates (equirectangular around the centre), the ride by great circle x detour.
    """
    east_km_per_deg = _KM_PER_DEG * math.cos(math.radians(center_lat))
    for k in range(num_bookings):
        booking = bookings[k]
        unit_vector(booking.pickup_lat, booking.pickup_lon, booking.pickup_xyz)
        unit_vector(booking.dropoff_lat, booking.dropoff_lon, booking.dropoff_xyz)
        booking.pickup_east_km = (booking.pickup_lon - center_lon) * east_km_per_deg
        booking.pickup_north_km = (booking.pickup_lat - center_lat) * _KM_PER_DEG
        booking.dropoff_east_km = (booking.dropoff_lon - center_lon) * east_km_per_deg
        booking.dropoff_north_km = (booking.dropoff_lat - center_lat) * _KM_PER_DEG
        booking.ride_km = great_circle_km(booking.pickup_xyz, booking.dropoff_xyz) * detour
        booking.ride_work = booking.ride_km
        booking.approach_noise = 1.0
        booking.ride_noise = 1.0
        booking.cancel_min = NEVER
        booking.is_no_show = 0
        booking.state = BookingState.UNRELEASED
        booking.driver = NO_DRIVER
        booking.depart_min = 0.0
        booking.approach_km = 0.0
        booking.approach_min = 0.0
        booking.pickup_min = 0.0
        booking.dropoff_min = 0.0
        booking.true_pickup_min = 0.0
        booking.true_dropoff_min = 0.0
        booking.by_spare = 0
        booking.is_touched = 0


@jit
def finish_drivers(drivers, num_drivers, center_lat, center_lon):
    """Put the first ``num_drivers`` rows at their start place, idle from the start of their shift."""
    east_km_per_deg = _KM_PER_DEG * math.cos(math.radians(center_lat))
    for n in range(num_drivers):
        driver = drivers[n]
        unit_vector(driver.start_lat, driver.start_lon, driver.xyz)
        driver.east_km = (driver.start_lon - center_lon) * east_km_per_deg
        driver.north_km = (driver.start_lat - center_lat) * _KM_PER_DEG
        driver.drop_out_min = NEVER
        driver.place = n
        driver.free_min = driver.shift_start_min
        driver.under_way = NO_BOOKING
        driver.has_patient = 0
        driver.plan_len = 0
        driver.num_trips = 0
        driver.is_out = 0


def fill_bookings(day: Day, bookings_row: npt.NDArray[Any], center_lat: float, center_lon: float) -> None:
    """Write the bookings of a day into the first rows of BOOKING, shape (K,); rows beyond are left as they are."""
    if day.num_bookings > len(bookings_row):
        raise ValueError(
            f"day {day.label}: {day.num_bookings} bookings don't fit an array of {len(bookings_row)}. Make it larger."
        )
    rows = bookings_row[: day.num_bookings]
    for row, booking in zip(rows, day.bookings, strict=True):
        row["key"] = stable_key(booking.id)
        for name in _BOOKING_FLOATS:
            row[name] = getattr(booking, name)
        row["appointment_min"] = math.nan if booking.appointment_min is None else booking.appointment_min
        row["priority"] = booking.priority
        row["leg"] = int(booking.leg)
        row["is_wheelchair"] = int(booking.is_wheelchair)
    finish_bookings(rows, day.num_bookings, day.travel.detour, center_lat, center_lon)
    if day.travel.has_matrix:
        rows["ride_km"], rows["ride_work"] = ride(day)


def fill_drivers(day: Day, drivers_row: npt.NDArray[Any], center_lat: float, center_lon: float) -> None:
    """Write the fleet of a day into the first rows of DRIVER, shape (N,); rows beyond are left as they are."""
    if day.num_drivers > len(drivers_row):
        raise ValueError(
            f"day {day.label}: the day has {day.num_drivers} drivers but the environment was made for "
            f"{len(drivers_row)}. Pass --num-drivers {day.num_drivers}."
        )
    rows = drivers_row[: day.num_drivers]
    for row, driver in zip(rows, day.drivers, strict=True):
        row["key"] = stable_key(driver.id)
        for name in _DRIVER_FLOATS:
            row[name] = getattr(driver, name)
        row["break_start_min"] = NEVER if driver.break_start_min is None else driver.break_start_min
        row["break_end_min"] = NEVER if driver.break_end_min is None else driver.break_end_min
        row["is_emergency"] = int(driver.is_emergency)
        row["can_wheelchair"] = int(driver.can_wheelchair)
    finish_drivers(rows, day.num_drivers, center_lat, center_lon)


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
