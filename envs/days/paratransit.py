"""
Real days of a public paratransit agency (Chattanooga), from its published file to pairs of bookings and fleet files.

    python -m envs.days.paratransit PATH_TO_CSV --output data/paratransit --drivers 8 10 14

What the file doesn't say is set (docs/environments/real-days.md): a window of -15/+15 min around the scheduled time, 5
min at each stop, priority 3, every booking announced U[60, 240] min before its latest pickup, drawn by (booking id,
seed). A fleet of n drivers takes the runs number int(i x 18/n) of the agency's list of shifts. All vehicles take
wheelchairs and start at the depot.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from envs.days.day import Booking, Day, Driver
from envs.days.files import write_day, write_travel
from envs.days.tables import Row, csv_rows
from envs.days.travel import PowerLawTravel
from envs.world.draws import stable_key, uniform

DEPOT_LAT, DEPOT_LON = 35.0571, -85.2696  # [deg] published with the bookings
WINDOW_MIN = 15.0  # [min] before and after the scheduled time, published
DWELL_MIN = 5.0  # [min] at each stop, published
ANNOUNCE_LEAD_MIN = (60.0, 240.0)  # [min] before the latest pickup; convention of Berbeglia, Cordeau, Laporte 2012
TRAVEL = PowerLawTravel(minutes_per=2.08, exponent=0.845)  # [min, km] fit on road times of 339 places of the city
SHIFTS_H = (  # [h] start and end of the agency's 18 driver runs, in its order
    *[(4.0, 15.0)] * 2,
    *[(5.0, 15.0)] * 2,
    *[(7.0, 18.0)] * 6,
    *[(7.0, 20.0)] * 6,
    (15.0, 22.0),
    (12.0, 22.75),
)

_COLUMNS = (
    "bookingid",
    "Sch Time in HH:MM:SS",
    "ldate",
    "Pickup LAT",
    "Pickup LON",
    "Dropoff LAT",
    "Dropoff LON",
    "AM/WC",
)
_MOBILITIES = {"am": False, "wc": True}
_ANNOUNCE = 2000  # kind of draw, apart from those of generators and disturbances


def fleet(num_drivers: int) -> tuple[Driver, ...]:
    """``num_drivers`` of the agency's runs, spread evenly over its list."""
    if not 1 <= num_drivers <= len(SHIFTS_H):
        raise ValueError(f"paratransit fleet: {num_drivers} drivers; expected 1 to {len(SHIFTS_H)}, the agency's runs.")
    runs = [int(i * len(SHIFTS_H) / num_drivers) for i in range(num_drivers)]
    return tuple(
        Driver(
            id=f"run-{run:02d}",
            start_lat=DEPOT_LAT,
            start_lon=DEPOT_LON,
            shift_start_min=60.0 * SHIFTS_H[run][0],
            shift_end_min=60.0 * SHIFTS_H[run][1],
        )
        for run in runs
    )


def read_trips(
    path: str | Path, announce_seed: int = 0, announce_lead_min: tuple[float, float] = ANNOUNCE_LEAD_MIN
) -> dict[int, list[Booking]]:
    """
    Bookings of the published file by service day.

    Raises
    ------
    ValueError
        When the file is not in this layout, naming the missing column or the line and column that can't be read.
    """
    low, high = announce_lead_min
    if not 0 <= low <= high:
        raise ValueError(f"announce lead {low:g} to {high:g} min: expected 0 <= first <= second.")
    path = Path(path)
    _check_layout(path)
    trips: dict[int, list[Booking]] = {}
    for row in csv_rows(path, [_column(name) for name in _COLUMNS], ()):
        trips.setdefault(_service_day(row), []).append(_booking(row, announce_seed, low, high))
    return trips


def _column(name: str) -> str:
    return name.lower().replace(" ", "_")


def _check_layout(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Pass the path of the published para_transit_trips CSV.")
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        names = {_column(name.strip()) for name in next(csv.reader(file), [])}
    for name in _COLUMNS:
        if _column(name) not in names:
            raise ValueError(
                f"{path}: column {name!r} is missing, so this is not the Chattanooga layout; expected "
                f"{', '.join(_COLUMNS)}. For other data, write bookings files as envs/days/files.py describes."
            )


def _service_day(row: Row) -> int:
    row.required("ldate")
    return row.whole_number("ldate", 0)


def _booking(row: Row, announce_seed: int, lead_low: float, lead_high: float) -> Booking:
    booking_id = row.required("bookingid")
    scheduled = row.required_minutes("sch_time_in_hh:mm:ss")
    latest = scheduled + WINDOW_MIN
    lead = lead_low + (lead_high - lead_low) * uniform(announce_seed, _ANNOUNCE, stable_key(booking_id), 0)
    row.required("am/wc")
    return Booking(
        id=booking_id,
        release_min=latest - lead,
        earliest_pickup_min=scheduled - WINDOW_MIN,
        latest_pickup_min=latest,
        pickup_lat=row.number("pickup_lat"),
        pickup_lon=row.number("pickup_lon"),
        dropoff_lat=row.number("dropoff_lat"),
        dropoff_lon=row.number("dropoff_lon"),
        is_wheelchair=row.choice("am/wc", _MOBILITIES, "am"),
        pickup_service_min=DWELL_MIN,
        dropoff_service_min=DWELL_MIN,
    )


def paratransit_days(
    path: str | Path,
    drivers: int,
    days: Iterable[int] | None = None,
    announce_seed: int = 0,
    min_bookings: int = 100,
    announce_lead_min: tuple[float, float] = ANNOUNCE_LEAD_MIN,
) -> list[Day]:
    """
    Days with at least ``min_bookings`` bookings, in order, for a fleet of ``drivers``.

    Opening and closing are the first start and the last end of a shift of that fleet.

    Parameters
    ----------
    days
        Service days to take; by default all of the file. Days that the file doesn't have are left out.
    """
    return _days(read_trips(path, announce_seed, announce_lead_min), drivers, days, min_bookings)


def _days(trips: dict[int, list[Booking]], drivers: int, days: Iterable[int] | None, min_bookings: int) -> list[Day]:
    members = fleet(drivers)
    chosen = sorted(trips if days is None else set(days) & set(trips))
    return [
        Day(
            label=f"{service_day:03d}",
            bookings=tuple(trips[service_day]),
            drivers=members,
            travel=TRAVEL,
            open_min=min(driver.shift_start_min for driver in members),
            close_min=max(driver.shift_end_min for driver in members),
        )
        for service_day in chosen
        if len(trips[service_day]) >= min_bookings
    ]


def _day_range(text: str) -> list[int]:
    try:
        days: list[int] = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            days.extend(range(int(first), int(last or first) + 1))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected days such as 0-89 or 0-44,60, came {text!r}") from None
    return days


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert the published file; one folder per fleet size, one pair of files per service day."""
    parser = argparse.ArgumentParser(
        prog="python -m envs.days.paratransit",
        description="Make bookings and fleet files of the published Chattanooga paratransit bookings.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("path", type=Path, help="the published CSV (para_transit_trips_...)")
    parser.add_argument("--output", type=Path, default=Path("data/paratransit"), help="folder to write into")
    parser.add_argument("--drivers", type=int, nargs="+", default=[8, 10, 14], help="fleet sizes, a folder each")
    parser.add_argument(
        "--announce-lead",
        type=float,
        nargs=2,
        default=list(ANNOUNCE_LEAD_MIN),
        metavar=("LOW", "HIGH"),
        help="minutes before the latest pickup at which a booking becomes known, uniform",
    )
    parser.add_argument("--announce-seed", type=int, default=0, help="seed of those draws")
    parser.add_argument("--days", type=_day_range, default="0-89", help="service days, such as 0-89 or 0-44,60")
    parser.add_argument("--min-bookings", type=int, default=100, help="leave out days with fewer bookings")
    options = parser.parse_args(arguments)
    try:
        trips = read_trips(options.path, options.announce_seed, tuple(options.announce_lead))
        num_wanted = len(set(options.days) & set(trips))
        for num_drivers in options.drivers:
            days = _days(trips, num_drivers, options.days, options.min_bookings)
            if not days:
                raise ValueError(
                    f"{options.path}: no service day of --days has {options.min_bookings} bookings. "
                    "Lower --min-bookings."
                )
            folder = options.output / f"drivers-{num_drivers}"
            folder.mkdir(parents=True, exist_ok=True)
            for day in days:
                write_day(day, folder / f"day-{day.label}-bookings.csv", folder / f"day-{day.label}-fleet.csv")
            write_travel(TRAVEL, folder / "travel.yml")
            print(
                f"{num_drivers} drivers: {len(days)} days with {sum(day.num_bookings for day in days)} bookings, "
                f"{num_wanted - len(days)} days left out with fewer than {options.min_bookings}, in {folder}"
            )
    except (OSError, ValueError) as error:
        parser.exit(2, f"{error}\n")
    print(f"Wrote {options.output}")


if __name__ == "__main__":
    main()
