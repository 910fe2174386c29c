"""A day: its bookings, its fleet, how one travels; checked once and never changed."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.days.bounds import FIRST_RELEASE_MIN, MAX_EXPECTED_STD_MIN, MAX_SERVICE_MIN, check_between, check_time, shown
from envs.days.travel import FloatArray, Travel
from envs.world.draws import stable_key
from envs.world.records import NO_BOOKING, Leg
from envs.world.travel import arrival, departure

DEFAULT_PRIORITY = 3  # the middle of 1..5
DEFAULT_SERVICE_MIN = 5.0  # [min] dwell at each end, as of the paratransit agency in docs/environments/real-days.md
# Fields that a record holds under the same name
BOOKING_FLOATS = (
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
DRIVER_FLOATS = ("start_lat", "start_lon", "shift_start_min", "shift_end_min")


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
    outbound_id: str | None = None  # of a return: the leg that it belongs to
    expected_min: float | None = None  # of a return not called yet: mean of its earliest pickup, as known from the
    expected_std_min: float | None = None  # call of the outbound leg on, and its standard deviation


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
        check_time(where, "open_min", self.open_min)
        check_time(where, "close_min", self.close_min)
        if self.close_min <= self.open_min:
            raise ValueError(f"{where}: close_min ({self.close_min:g}) is not after open_min ({self.open_min:g}).")
        for kind, members in (("booking", self.bookings), ("driver", self.drivers)):
            _check_ids(where, kind, [member.id for member in members])
        for booking in self.bookings:
            check_booking(f"{where}, booking {booking.id!r}", booking)
        _check_outbounds(where, self.bookings)
        for driver in self.drivers:
            check_driver(f"{where}, driver {driver.id!r}", driver)
        ordered = sorted(self.bookings, key=lambda booking: (booking.release_min, natural_order(booking.id)))
        object.__setattr__(self, "bookings", tuple(ordered))
        object.__setattr__(self, "key", self.day_number if self.day_number >= 0 else stable_key(self.label))
        self._warn_of_missing_wheelchair_vehicle()
        self._warn_of_missed_appointments()

    def _warn_of_missing_wheelchair_vehicle(self) -> None:
        if any(driver.can_wheelchair for driver in self.drivers):
            return
        waiting = [booking.id for booking in self.bookings if booking.is_wheelchair]
        if waiting:
            warnings.warn(
                f"day {self.label}: no vehicle of the fleet takes a wheelchair, so booking {_named(waiting)} can't be "
                "served; counted as lost. Give a driver can_wheelchair = true.",
                stacklevel=4,
            )

    def _warn_of_missed_appointments(self) -> None:
        missed = [
            booking.id
            for booking, keeps_min in zip(self.bookings, self._keeps_appointment_min(), strict=True)
            if keeps_min < booking.earliest_pickup_min - 1e-6
        ]
        if missed:
            warnings.warn(
                f"day {self.label}: booking {_named(missed)} misses the appointment even when picked up at the "
                "earliest; counted as late. Correct earliest_pickup_min or appointment_min.",
                stacklevel=4,
            )

    def _keeps_appointment_min(self) -> list[float]:
        """Last pickup of each booking that keeps its appointment, infinite without one (``envs.world.derived``)."""
        if all(booking.appointment_min is None for booking in self.bookings):
            return [math.inf] * self.num_bookings
        _, pickups, dropoffs = self.places()
        speeds, works = self.travel.speeds(), self.travel.legs(pickups, dropoffs)[1]
        return [
            math.inf
            if booking.appointment_min is None
            else departure(speeds, booking.appointment_min - booking.dropoff_service_min, float(work))
            - booking.pickup_service_min
            for booking, work in zip(self.bookings, works, strict=True)
        ]

    @property
    def num_bookings(self) -> int:
        return len(self.bookings)

    @property
    def num_drivers(self) -> int:
        return len(self.drivers)

    def places(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Start places, pickups and drop-offs [deg lat, deg lon], float64, shapes (N, 2), (K, 2) and (K, 2)."""
        starts = np.array([(driver.start_lat, driver.start_lon) for driver in self.drivers])
        pickups = np.array([(booking.pickup_lat, booking.pickup_lon) for booking in self.bookings])
        dropoffs = np.array([(booking.dropoff_lat, booking.dropoff_lon) for booking in self.bookings])
        return starts, pickups, dropoffs

    def fleet_center(self) -> tuple[float, float]:
        """Middle [deg lat, deg lon] of the places where drivers start, each counted once."""
        lat, lon = np.unique(self.places()[0], axis=0).mean(axis=0)
        return float(lat), float(lon)

    def unservable(self, max_lateness_min: float) -> list[str]:
        """
        Ids of the bookings that no driver could serve even alone: no wheelchair vehicle, window or shift out of reach.

        A driver is taken to leave the start place for the pickup when the shift (or the day) begins, known or not; so
        whoever is listed is out of reach of every policy. Breaks are left out.
        """
        starts, pickups, dropoffs = self.places()
        # float32, as the world's tables hold it
        approach_work = self.travel.legs(starts[:, None, :], pickups[None, :, :])[1].astype(np.float32)
        ride_work = self.travel.legs(pickups, dropoffs)[1]
        speeds = self.travel.speeds()
        ids = []
        for k, (booking, keeps_min) in enumerate(zip(self.bookings, self._keeps_appointment_min(), strict=True)):
            latest = min(booking.latest_pickup_min, max(booking.earliest_pickup_min, keeps_min))
            begin = max(booking.release_min, booking.earliest_pickup_min)
            for n, driver in enumerate(self.drivers):
                if booking.is_wheelchair and not driver.can_wheelchair:
                    continue
                leave = max(self.open_min, driver.shift_start_min)
                pickup = max(begin, arrival(speeds, leave, float(approach_work[n, k])))
                if pickup > latest + max_lateness_min:
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
                **{name: float(row[name]) for name in BOOKING_FLOATS},
                priority=int(row["priority"]),
                leg=Leg(int(row["leg"])),
                is_wheelchair=bool(row["is_wheelchair"]),
                appointment_min=_finite_or_none(row["appointment_min"]),
                outbound_id=None if row["outbound"] == NO_BOOKING else f"b{row['outbound']}",
                expected_min=_finite_or_none(row["expected_min"]),
                expected_std_min=_finite_or_none(row["expected_std_min"]),
            )
            for k, row in enumerate(bookings_row[: int(clock["num_bookings"])])
        )
        drivers = tuple(
            Driver(
                id=f"d{n}",
                **{name: float(row[name]) for name in DRIVER_FLOATS},
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


def _named(booking_ids: list[str]) -> str:
    shown = ", ".join(repr(booking_id) for booking_id in booking_ids[:10])
    return shown + (f" and {len(booking_ids) - 10} more" if len(booking_ids) > 10 else "")


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# --- checks ----------------------------------------------------------------------------------------------------------


def _check_ids(where: str, kind: str, ids: list[str]) -> None:
    seen: set[str] = set()
    for member_id in ids:
        if not member_id:
            raise ValueError(f"{where}: a {kind} has an empty id. Give every {kind} an id of its own.")
        if member_id in seen:
            raise ValueError(f"{where}: {kind} id {member_id!r} occurs twice. Give every {kind} an id of its own.")
        seen.add(member_id)


def _check_outbounds(where: str, bookings: tuple[Booking, ...]) -> None:
    by_id = {booking.id: booking for booking in bookings}
    for booking in bookings:
        outbound = by_id.get(booking.outbound_id or booking.id)
        if booking.outbound_id is not None and (outbound is None or outbound is booking):
            raise ValueError(
                f"{where}, booking {booking.id!r}: outbound_id names no other booking of the day. "
                "Give the id of its outbound leg, or leave it out."
            )


def _check_place(where: str, name: str, lat: float, lon: float) -> None:
    # Written so that nan fails too
    if not -90.0 <= lat <= 90.0:
        raise ValueError(f"{where}: {name}_lat ({shown(lat)}) is off the globe; expected degrees in [-90, 90].")
    if not -180.0 <= lon <= 180.0:
        raise ValueError(f"{where}: {name}_lon ({shown(lon)}) is off the globe; expected degrees in [-180, 180].")


def check_booking(where: str, booking: Booking) -> None:
    """Raise a ``ValueError`` that begins with ``where`` for what no booking of a day can be."""
    check_time(where, "release_min", booking.release_min, first=FIRST_RELEASE_MIN)
    check_time(where, "earliest_pickup_min", booking.earliest_pickup_min)
    check_time(where, "latest_pickup_min", booking.latest_pickup_min)
    if booking.appointment_min is not None:
        check_time(where, "appointment_min", booking.appointment_min)
    if (booking.expected_min is None) != (booking.expected_std_min is None):
        raise ValueError(f"{where}: expected_min and expected_std_min need each other; only one is given.")
    if booking.expected_min is not None and booking.expected_std_min is not None:
        check_time(where, "expected_min", booking.expected_min)
        check_between(where, "expected_std_min", booking.expected_std_min, 0.0, MAX_EXPECTED_STD_MIN, "minutes")
        if booking.outbound_id is None:
            raise ValueError(f"{where}: expected_min says when a return will be called; give its outbound_id too.")
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
        raise ValueError(f"{where}: priority ({shown(booking.priority)}) is not a whole number from 1 to 5.")
    if not any(booking.leg is leg for leg in Leg):
        raise ValueError(f"{where}: leg ({booking.leg!r}) is unknown; expected Leg.OUTBOUND or Leg.RETURN.")
    if booking.is_wheelchair not in (False, True):
        raise ValueError(f"{where}: is_wheelchair ({booking.is_wheelchair!r}) is neither true nor false.")
    for name in ("pickup_service_min", "dropoff_service_min"):
        check_between(where, name, getattr(booking, name), 0.0, MAX_SERVICE_MIN, "minutes")


def check_driver(where: str, driver: Driver) -> None:
    """Raise a ``ValueError`` that begins with ``where`` for what no driver of a day can be."""
    check_time(where, "shift_start_min", driver.shift_start_min)
    check_time(where, "shift_end_min", driver.shift_end_min)
    if driver.shift_start_min < 0.0:
        raise ValueError(
            f"{where}: shift_start_min ({driver.shift_start_min:g}) is on the evening before. Count the minutes from "
            "that evening's midnight, for the bookings too: a shift from 22:00 to 06:00 is 1320 to 1800."
        )
    if driver.shift_end_min <= driver.shift_start_min:
        raise ValueError(
            f"{where}: shift_end_min ({driver.shift_end_min:g}) is not after shift_start_min "
            f"({driver.shift_start_min:g}). A shift past midnight ends later than 1440 (24:00)."
        )
    _check_place(where, "start", driver.start_lat, driver.start_lon)
    if (driver.break_start_min is None) != (driver.break_end_min is None):
        raise ValueError(f"{where}: a break needs both break_start_min and break_end_min; only one is given.")
    if driver.break_start_min is not None and driver.break_end_min is not None:
        check_time(where, "break_start_min", driver.break_start_min)
        check_time(where, "break_end_min", driver.break_end_min)
        if driver.break_end_min < driver.break_start_min:
            raise ValueError(
                f"{where}: break_end_min ({driver.break_end_min:g}) is before "
                f"break_start_min ({driver.break_start_min:g})."
            )
        if not driver.shift_start_min <= driver.break_start_min <= driver.break_end_min <= driver.shift_end_min:
            raise ValueError(
                f"{where}: the break ({driver.break_start_min:g} to {driver.break_end_min:g}) lies outside of the "
                f"shift ({driver.shift_start_min:g} to {driver.shift_end_min:g}). Correct it or leave it out."
            )
