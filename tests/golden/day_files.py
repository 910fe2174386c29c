"""Made-up days as files: what the golden records replay where days have no number."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from random import Random  # its random() gives the same numbers on every version and machine

import yaml

_PUBLISHED_LAYOUT = (
    "bookingid",
    "Sch Time in HH:MM:SS",
    "ldate",
    "Pickup LAT",
    "Pickup LON",
    "Dropoff LAT",
    "Dropoff LON",
    "AM/WC",
)
_BOOKINGS = (
    *("id", "release", "earliest_pickup", "latest_pickup", "pickup_lat", "pickup_lon", "dropoff_lat", "dropoff_lon"),
    *("priority", "leg", "mobility", "pickup_service", "dropoff_service"),
)
_FLEET = (
    *("id", "start_lat", "start_lon", "shift_start", "shift_end", "kind", "can_wheelchair"),
    *("break_start", "break_end"),
)


def write_published_trips(path: Path, num_days: int, num_bookings: int) -> None:
    """A file in the layout that the paratransit agency publishes: trips of some 10 km around its depot."""
    random = Random(21)

    def place() -> tuple[float, float]:
        return round(35.06 + 0.2 * (random.random() - 0.5), 5), round(-85.27 + 0.2 * (random.random() - 0.5), 5)

    rows: list[tuple[object, ...]] = []
    for day in range(num_days):
        for _ in range(num_bookings):
            minute = 300 + int(random.random() * 840)  # 05:00-19:00
            clock = f"{minute // 60}:{minute % 60:02d}:00"
            mobility = "WC" if random.random() < 0.3 else "AM"
            rows.append((1000 + len(rows), clock, day, *place(), *place(), mobility))
    _write_csv(path, _PUBLISHED_LAYOUT, rows)


def write_day_with_matrix(folder: Path, num_bookings: int = 24, num_drivers: int = 3) -> None:
    """A day with all that a file can say: a matrix of minutes, a break, wheelchairs, an emergency driver, returns."""
    random = Random(22)

    def place() -> tuple[float, float]:
        return round(46.2 + 0.1 * (random.random() - 0.5), 5), round(6.14 + 0.1 * (random.random() - 0.5), 5)

    bookings, fleet, places = [], [], []
    for i in range(num_bookings):
        pickup, dropoff = place(), place()
        places += [pickup, dropoff]
        earliest = 420 + int(random.random() * 500)
        release = max(360, earliest - 20 - int(random.random() * 200))
        leg, mobility = ("return" if i % 3 == 2 else "outbound"), ("wheelchair" if i % 5 == 0 else "ambulatory")
        window = 10 + int(random.random() * 30)
        bookings.append(
            (f"b{i}", release, earliest, earliest + window, *pickup, *dropoff, 1 + i % 5, leg, mobility, 4, 6)
        )
    for n in range(num_drivers):
        start = place()
        places.append(start)
        pause = (720, 750) if n == 0 else ("", "")
        kind, ramp = ("emergency" if n == 2 else "regular"), ("no" if n == 1 else "yes")
        fleet.append((f"d{n}", *start, 360 + 30 * n, 960 + 60 * n, kind, ramp, *pause))
    # 2 min and 1.5 min a km of the straight line, times up to 1.3 that differ by direction
    minutes = [
        [round(2 + 1.5 * _km(a, b) * (1 + 0.3 * random.random()), 2) if a != b else 0.0 for b in places] for a in places
    ]
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / "day-000-bookings.csv", _BOOKINGS, bookings)
    _write_csv(folder / "day-000-fleet.csv", _FLEET, fleet)
    travel = {"model": "matrix", "places": [list(at) for at in places], "minutes": minutes}
    (folder / "travel.yml").write_text(yaml.safe_dump(travel))


def _km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """On a plane; only made-up minutes depend on it."""
    return 111.2 * math.hypot(a[0] - b[0], 0.7 * (a[1] - b[1]))


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
