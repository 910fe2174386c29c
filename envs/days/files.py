"""
Days from files, and back: a bookings CSV, a fleet CSV or YAML, a travel YAML.

Rules of reading
----------------
- Times are minutes since midnight (``555``) or a clock (``9:15``, ``09:15:30``). A clock may run on past midnight:
  ``25:10`` is 01:10 of the next day. A latest pickup, appointment, shift end or break that a clock puts 12 hours or
  more *before* its beginning is read as next day's (``23:50`` to ``00:20``); anything less is an error, not a guess.
- Columns may come in any order; the headers' case and blanks don't matter.
- A column that nobody asked for (passenger names, addresses, phone numbers) is dropped unread, so it reaches no message
  and no log; unless its header looks like a misspelling of a known column that is missing.
- An empty cell of an optional column means its default.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from checked import check_names, check_numbers, minutes_of, nearest
from envs.days.day import (
    DEFAULT_PRIORITY,
    DEFAULT_SERVICE_MIN,
    Booking,
    Day,
    Driver,
    check_booking,
    check_driver,
)
from envs.days.travel import HourlyTravel, MatrixTravel, PowerLawTravel, Travel
from envs.world.records import Leg

_DAY_MIN = 1440.0

_BOOKING_REQUIRED = (
    "id",
    "earliest_pickup_min",
    "latest_pickup_min",
    "pickup_lat",
    "pickup_lon",
    "dropoff_lat",
    "dropoff_lon",
)
_BOOKING_OPTIONAL = (
    "release_min",
    "priority",
    "leg",
    "mobility",
    "pickup_service_min",
    "dropoff_service_min",
    "appointment_min",
)
_DRIVER_REQUIRED = ("id", "start_lat", "start_lon", "shift_start_min", "shift_end_min")
_DRIVER_OPTIONAL = ("kind", "can_wheelchair", "break_start_min", "break_end_min")
_ALIASES = {
    "booking_id": "id",
    "driver_id": "id",
    "release": "release_min",
    "earliest_pickup": "earliest_pickup_min",
    "latest_pickup": "latest_pickup_min",
    "appointment": "appointment_min",
    "pickup_service": "pickup_service_min",
    "dropoff_service": "dropoff_service_min",
    "shift_start": "shift_start_min",
    "shift_end": "shift_end_min",
    "break_start": "break_start_min",
    "break_end": "break_end_min",
}
_LEGS = {"outbound": Leg.OUTBOUND, "return": Leg.RETURN}
_MOBILITIES = {"ambulatory": False, "wheelchair": True}
_KINDS = {"regular": False, "emergency": True}
_YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


# --- rows ----------------------------------------------------------------------------------------------------------


class Row:
    """One row of a file: its cells as text, and where they stand for messages."""

    def __init__(self, where: str, cells: Mapping[str, str]) -> None:
        self.where = where
        self.cells = cells

    def error(self, column: str, problem: str) -> ValueError:
        return ValueError(f"{self.where}, column {column!r}: {problem}. Correct the cell.")

    def text(self, column: str) -> str:
        return self.cells.get(column, "").strip()

    def required(self, column: str) -> str:
        text = self.text(column)
        if not text:
            raise self.error(column, "expected a value, came an empty cell")
        return text

    def number(self, column: str, default: float | None = None) -> float:
        text = self.text(column) if default is not None else self.required(column)
        if not text and default is not None:
            return default
        try:
            return float(text)
        except ValueError:
            raise self.error(column, f"expected a number, came {text!r}") from None

    def whole_number(self, column: str, default: int) -> int:
        value = self.number(column, float(default))
        if not value.is_integer():
            raise self.error(column, f"expected a whole number, came {self.text(column)!r}")
        return int(value)

    def minutes(self, column: str, after: float | None = None) -> float | None:
        """Minutes, or None for an empty cell; see the midnight rule above for ``after``."""
        text = self.text(column)
        if not text:
            return None
        try:
            value = minutes_of(text)
        except ValueError as error:
            raise self.error(column, str(error)) from None
        if after is not None and ":" in text and after - value >= _DAY_MIN / 2:
            value += _DAY_MIN
        return value

    def required_minutes(self, column: str, after: float | None = None) -> float:
        self.required(column)
        value = self.minutes(column, after)
        assert value is not None
        return value

    def choice(self, column: str, choices: Mapping[str, Any], default: str) -> Any:
        text = self.text(column).lower() or default
        if text not in choices:
            raise self.error(column, f"expected {' or '.join(choices)}, came {self.text(column)!r}")
        return choices[text]


def _header(where: str, names: Sequence[str], required: Sequence[str], known: Sequence[str]) -> list[str | None]:
    """Known column name of each header, None for one to drop."""
    columns: list[str | None] = []
    for name in names:
        column = re.sub(r"[\s-]+", "_", name.strip().lower())
        column = _ALIASES.get(column, column)
        columns.append(column if column in known else None)
        if column in known and columns.count(column) > 1:
            raise ValueError(f"{where}: column {column!r} occurs twice. Keep one.")
    for name, given in zip(names, columns, strict=True):
        if given is None:
            missing = [column for column in known if column not in columns]
            near = difflib.get_close_matches(name.strip().lower(), missing, n=1, cutoff=0.8)
            if near:
                raise ValueError(f"{where}: unknown column {name.strip()!r}. Did you mean {near[0]!r}?")
    for column in required:
        if column not in columns:
            raise ValueError(
                f"{where}: column {column!r} is missing; expected at least {', '.join(required)}. Add the column."
            )
    return columns


def _open(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file. Check the path.") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path}: is a folder; expected a file.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not readable as UTF-8 text. Save the file as CSV in UTF-8.") from None


def csv_rows(path: Path, required: Sequence[str], optional: Sequence[str]) -> list[Row]:
    """The rows of a CSV file, known columns only; headers are compared in lower case with ``_`` for blanks."""
    text = _open(path)
    first_line = text.partition("\n")[0]
    delimiter = ";" if ";" in first_line and "," not in first_line else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = next(reader, None)
    if not names:
        raise ValueError(f"{path}: the file is empty; expected a header line with {', '.join(required)}.")
    columns = _header(f"{path}, line 1", names, required, (*required, *optional))
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}, line {reader.line_num}"
        if len(cells) != len(columns):
            raise ValueError(
                f"{where}: expected {len(columns)} cells as in the header, came {len(cells)}. Correct the line."
            )
        rows.append(Row(where, {column: cell for column, cell in zip(columns, cells, strict=True) if column}))
    return rows


def load_yaml(path: Path) -> Any:
    """Plain data of a YAML file."""
    try:
        return yaml.safe_load(_open(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path}{place}: not valid YAML ({getattr(error, 'problem', error)}).") from None


# --- bookings --------------------------------------------------------------------------------------------------------


def read_bookings(path: str | Path) -> list[Booking]:
    """
    Bookings of one day from a CSV file.

    Columns ``id``, ``earliest_pickup_min``, ``latest_pickup_min``, ``pickup_lat``, ``pickup_lon``, ``dropoff_lat``,
    ``dropoff_lon`` [deg] must be there. Optional, with default: ``release_min`` (0: known before the day starts),
    ``priority`` 1-5 (3), ``leg`` outbound or return (outbound), ``mobility`` ambulatory or wheelchair (ambulatory),
    ``pickup_service_min`` and ``dropoff_service_min`` (5), ``appointment_min`` (none).

    Raises
    ------
    ValueError
        Naming file, line, column, what was expected, what came.
    """
    path = Path(path)
    bookings: list[Booking] = []
    lines: dict[str, str] = {}
    for row in csv_rows(path, _BOOKING_REQUIRED, _BOOKING_OPTIONAL):
        earliest = row.required_minutes("earliest_pickup_min")
        booking = Booking(
            id=row.required("id"),
            release_min=row.minutes("release_min") or 0.0,
            earliest_pickup_min=earliest,
            latest_pickup_min=row.required_minutes("latest_pickup_min", after=earliest),
            pickup_lat=row.number("pickup_lat"),
            pickup_lon=row.number("pickup_lon"),
            dropoff_lat=row.number("dropoff_lat"),
            dropoff_lon=row.number("dropoff_lon"),
            priority=row.whole_number("priority", DEFAULT_PRIORITY),
            leg=row.choice("leg", _LEGS, "outbound"),
            is_wheelchair=row.choice("mobility", _MOBILITIES, "ambulatory"),
            pickup_service_min=row.number("pickup_service_min", DEFAULT_SERVICE_MIN),
            dropoff_service_min=row.number("dropoff_service_min", DEFAULT_SERVICE_MIN),
            appointment_min=row.minutes("appointment_min", after=earliest),
        )
        check_booking(f"{row.where}, booking {booking.id!r}", booking)
        _check_new(row, "booking", booking.id, lines)
        bookings.append(booking)
    if not bookings:
        raise ValueError(f"{path}: no bookings below the header. Expected at least one; leave empty days out.")
    return bookings


def _check_new(row: Row, kind: str, member_id: str, lines: dict[str, str]) -> None:
    if member_id in lines:
        raise ValueError(
            f"{row.where}: {kind} id {member_id!r} occurs twice; it stands in {lines[member_id]} already. "
            f"Give every {kind} an id of its own."
        )
    lines[member_id] = row.where.rpartition(", ")[2]


# --- fleet -----------------------------------------------------------------------------------------------------------


def read_fleet(path: str | Path) -> list[Driver]:
    """
    Drivers from a CSV file, or from a YAML list with the same keys (bare or under ``drivers:``).

    Columns ``id``, ``start_lat``, ``start_lon`` [deg], ``shift_start_min``, ``shift_end_min`` must be there. Optional,
    with default: ``kind`` regular or emergency (regular), ``can_wheelchair`` true or false (true), ``break_start_min``
    and ``break_end_min`` (no break).

    Raises
    ------
    ValueError
        Naming file, line, column, what was expected, what came.
    """
    path = Path(path)
    rows = _yaml_rows(path) if path.suffix in (".yml", ".yaml") else csv_rows(path, _DRIVER_REQUIRED, _DRIVER_OPTIONAL)
    drivers: list[Driver] = []
    lines: dict[str, str] = {}
    for row in rows:
        shift_start = row.required_minutes("shift_start_min")
        break_start = row.minutes("break_start_min", after=shift_start)
        driver = Driver(
            id=row.required("id"),
            start_lat=row.number("start_lat"),
            start_lon=row.number("start_lon"),
            shift_start_min=shift_start,
            shift_end_min=row.required_minutes("shift_end_min", after=shift_start),
            is_emergency=row.choice("kind", _KINDS, "regular"),
            can_wheelchair=row.choice("can_wheelchair", _YES_NO, "true"),
            break_start_min=break_start,
            break_end_min=row.minutes("break_end_min", after=break_start),
        )
        check_driver(f"{row.where}, driver {driver.id!r}", driver)
        _check_new(row, "driver", driver.id, lines)
        drivers.append(driver)
    if not drivers:
        raise ValueError(f"{path}: no drivers. Expected at least one.")
    return drivers


def _yaml_rows(path: Path) -> list[Row]:
    content = load_yaml(path)
    if isinstance(content, dict):
        check_names(str(path), content, ("drivers",))
        content = content["drivers"]
    if not isinstance(content, list):
        raise ValueError(
            f"{path}: expected a list of drivers, came {type(content).__name__}. Write one '- id: ...' each."
        )
    rows = []
    for i, entry in enumerate(content):
        where = f"{path}, entry {i + 1}"
        if not isinstance(entry, dict):
            raise ValueError(f"{where}: expected the keys of a driver ({', '.join(_DRIVER_REQUIRED)}), came {entry!r}.")
        names = [str(name) for name in entry]
        columns = _header(where, names, _DRIVER_REQUIRED, (*_DRIVER_REQUIRED, *_DRIVER_OPTIONAL))
        cells = ("" if cell is None else str(cell) for cell in entry.values())
        rows.append(Row(where, {column: cell for column, cell in zip(columns, cells, strict=True) if column}))
    return rows


# --- travel ----------------------------------------------------------------------------------------------------------


def travel_from_dict(where: str, content: Any) -> Travel:
    """The travel model of plain data with the key ``model``: hourly, power_law or matrix."""
    models: dict[str, tuple[type, tuple[str, ...], tuple[str, ...]]] = {
        "hourly": (HourlyTravel, ("speeds_kmh",), ("detour",)),
        "power_law": (PowerLawTravel, ("minutes_per", "exponent"), ()),
        "matrix": (MatrixTravel, ("places", "minutes"), ("km",)),
    }
    if not isinstance(content, Mapping) or "model" not in content:
        raise ValueError(f"{where}: expected the key 'model' ({', '.join(models)}) and its parameters.")
    name = content["model"]
    if name not in models:
        raise ValueError(f"{where}: unknown model {name!r}. {nearest(name, models)}")
    make, required, optional = models[name]
    parameters = {key: value for key, value in content.items() if key != "model"}
    check_names(where, parameters, (*required, *optional))
    for key in required:
        if key not in parameters:
            raise ValueError(f"{where}: key {key!r} of model {name!r} is missing. Add it.")
    if name != "matrix":
        for key, value in parameters.items():
            check_numbers(f"{where}: {key}", value)
    try:
        travel: Travel = make(**parameters)
    except TypeError as error:
        raise ValueError(f"{where}: model {name!r} can't be made of these values ({error}).") from None
    return travel


def read_travel(path: str | Path) -> Travel:
    """The travel model of a YAML file."""
    return travel_from_dict(str(path), load_yaml(Path(path)))


def write_travel(travel: Travel, path: str | Path) -> None:
    """Write a travel model so that ``read_travel`` makes an equal one."""
    Path(path).write_text(yaml.safe_dump(travel.to_dict(), sort_keys=False), encoding="utf-8")


# --- days ------------------------------------------------------------------------------------------------------------


def read_day(
    bookings_path: str | Path,
    fleet_path: str | Path,
    travel: Travel,
    label: str | None = None,
    open_min: float | None = None,
    close_min: float | None = None,
) -> Day:
    """
    A day from its bookings file and its fleet file.

    Parameters
    ----------
    label
        By default the name of the bookings file without ``day-`` and ``-bookings``.
    open_min, close_min
        By default the first start and the last end of a shift.
    """
    drivers = read_fleet(fleet_path)
    return Day(
        label=label if label is not None else _label(Path(bookings_path)),
        bookings=tuple(read_bookings(bookings_path)),
        drivers=tuple(drivers),
        travel=travel,
        open_min=min(driver.shift_start_min for driver in drivers) if open_min is None else open_min,
        close_min=max(driver.shift_end_min for driver in drivers) if close_min is None else close_min,
    )


def _label(bookings_path: Path) -> str:
    return bookings_path.stem.removesuffix("-bookings").removeprefix("day-") or bookings_path.stem


def read_days(folder: str | Path, default_travel: Travel | None = None) -> list[Day]:
    """
    All days of a folder in the order of their names: pairs ``day-060-bookings.csv``, ``day-060-fleet.csv`` (or .yml).

    A bookings file without a fleet file of its own uses ``fleet.csv`` or ``fleet.yml`` of the folder. ``travel.yml`` in
    the folder goes before ``default_travel``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. Expected one with files like day-060-bookings.csv.")
    travel = read_travel(folder / "travel.yml") if (folder / "travel.yml").exists() else default_travel
    if travel is None:
        raise ValueError(
            f"{folder}: no travel.yml, and no travel model given. Add the file or pass a scenario with one."
        )
    days = []
    for bookings_path in sorted(folder.glob("*-bookings.csv")):
        stem = bookings_path.stem.removesuffix("-bookings")
        candidates = [
            folder / f"{name}{suffix}" for name in (f"{stem}-fleet", "fleet") for suffix in (".csv", ".yml", ".yaml")
        ]
        fleet_path = next((path for path in candidates if path.exists()), None)
        if fleet_path is None:
            raise FileNotFoundError(
                f"{bookings_path}: expected its fleet in {candidates[0].name} or fleet.csv beside it; found neither."
            )
        days.append(read_day(bookings_path, fleet_path, travel))
    if not days:
        raise FileNotFoundError(f"{folder}: no days. Expected files like day-060-bookings.csv and day-060-fleet.csv.")
    return days


def write_day(day: Day, bookings_path: str | Path, fleet_path: str | Path) -> None:
    """Write the bookings and the fleet as CSV such that ``read_day`` gives them back exactly."""
    with open(bookings_path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*_BOOKING_REQUIRED, *_BOOKING_OPTIONAL))
        for booking in day.bookings:
            cells = {
                name: getattr(booking, name) for name in (*_BOOKING_REQUIRED, *_BOOKING_OPTIONAL) if name != "mobility"
            }
            cells["leg"] = booking.leg.name.lower()
            cells["mobility"] = "wheelchair" if booking.is_wheelchair else "ambulatory"
            writer.writerow(_cell(cells[name]) for name in (*_BOOKING_REQUIRED, *_BOOKING_OPTIONAL))
    with open(fleet_path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*_DRIVER_REQUIRED, *_DRIVER_OPTIONAL))
        for driver in day.drivers:
            cells = {name: getattr(driver, name) for name in (*_DRIVER_REQUIRED, *_DRIVER_OPTIONAL) if name != "kind"}
            cells["kind"] = "emergency" if driver.is_emergency else "regular"
            cells["can_wheelchair"] = "true" if driver.can_wheelchair else "false"
            writer.writerow(_cell(cells[name]) for name in (*_DRIVER_REQUIRED, *_DRIVER_OPTIONAL))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    # repr of a float is the shortest text that reads back as the same number; 540.0 is shown as 540
    return repr(float(value)).removesuffix(".0") if isinstance(value, float) else str(value)
