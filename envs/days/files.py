"""
Days from files, and back: a bookings CSV, a fleet CSV or YAML, a travel YAML.

Rules of reading
----------------
- Times are minutes since midnight (``555``) or a clock (``9:15``, ``09:15:30``, ``9h15``, ``9:15 am``), with a date or
  without (``2025-11-28 09:15``, ``28.11.2025 09:15``; the earliest date of the column is the service day). A clock may
  run on past midnight: ``25:10`` is 01:10 of the next day. A latest pickup, appointment or shift end that a clock puts
  12 hours or more *before* its beginning is read as next day's (``23:50`` to ``00:20``), a break that lies within the
  shift only on the next day too; anything less is an error, not a guess.
- A value that no day can hold (seconds, Unix times, a spreadsheet's fractions of a day, places a thousand kilometres
  from the fleet) is an error that says what it looks like; see `envs.days.bounds`.
- Columns may come in any order; the headers' case and blanks don't matter. Other names, in any language, are said in a
  file of names (``Names``).
- A column that nobody asked for (passenger names, addresses, phone numbers) is dropped unread, so it reaches no message
  and no log; unless its header looks like a misspelling of a known column that is missing.
- An empty cell of an optional column means its default.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from checked import check_names, check_numbers, described, nearest
from envs.days import plain_yaml
from envs.days.bounds import DAY_MIN, MAX_BOOKINGS, MAX_DRIVERS, MAX_REACH_KM
from envs.days.day import (
    BOOKING_FLOATS,
    DEFAULT_PRIORITY,
    DEFAULT_SERVICE_MIN,
    DRIVER_FLOATS,
    Booking,
    Day,
    Driver,
    check_booking,
    check_driver,
)
from envs.days.tables import Row, Table, csv_rows, header, plain_name
from envs.days.travel import HourlyTravel, MatrixTravel, PowerLawTravel, Travel, great_circle_km
from envs.world.records import Leg

load_yaml = plain_yaml.load
_NAMES_DIR = Path(__file__).with_name("names")

_BOOKING_OPTIONAL = (
    "release_min",
    "priority",
    "leg",
    "mobility",
    "pickup_service_min",
    "dropoff_service_min",
    "appointment_min",
    "outbound_id",
    "expected_min",
    "expected_std_min",
)
_BOOKING_REQUIRED = ("id", *(name for name in BOOKING_FLOATS if name not in _BOOKING_OPTIONAL))
_DRIVER_REQUIRED = ("id", *DRIVER_FLOATS)
_DRIVER_OPTIONAL = ("kind", "can_wheelchair", "break_start_min", "break_end_min")
_ALIASES = {
    "booking_id": "id",
    "driver_id": "id",
    "release": "release_min",
    "earliest_pickup": "earliest_pickup_min",
    "latest_pickup": "latest_pickup_min",
    "appointment": "appointment_min",
    "expected": "expected_min",
    "expected_std": "expected_std_min",
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


# --- names ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    """
    What columns and values are called in somebody's files.

    Attributes
    ----------
    columns
        Their header, in lower case with ``_`` for blanks, to our column.
    values
        Our column to what its values are called there, in lower case, to ours: ``{"mobility": {"rollstuhl":
        "wheelchair"}}``.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> Names:
        """
        From a YAML file with the keys ``columns`` and ``values``, or by name from ``envs/days/names/``: fr, de, it.

        Raises
        ------
        ValueError
            When the file has other keys, or names a column that there isn't.
        """
        shipped = _NAMES_DIR / f"{path}.yml"
        content = load_yaml(shipped if shipped.is_file() else Path(path))
        if not isinstance(content, Mapping):
            raise ValueError(f"{path}: expected the keys columns and values, came {type(content).__name__}.")
        check_names(str(path), described_keys(content), ("columns", "values"))
        columns, values = content.get("columns") or {}, content.get("values") or {}
        known = (*_BOOKING_REQUIRED, *_BOOKING_OPTIONAL, *_DRIVER_REQUIRED, *_DRIVER_OPTIONAL)
        if not isinstance(columns, Mapping) or not all(isinstance(column, str) for column in columns.values()):
            raise ValueError(f"{path}: columns: expected 'their header: our column' lines.")
        check_names(f"{path}: columns", described_keys(columns.values()), known, "column")
        if not isinstance(values, Mapping) or not all(isinstance(names, Mapping) for names in values.values()):
            raise ValueError(f"{path}: values: expected 'our column: {{their value: our value}}' lines.")
        check_names(f"{path}: values", described_keys(values), known, "column")
        return cls(
            {plain_name(str(theirs)): ours for theirs, ours in columns.items()},
            {
                column: {str(theirs).strip().lower(): str(ours) for theirs, ours in names.items()}
                for column, names in values.items()
            },
        )

    def translate(self, table: Table) -> Table:
        """The table with the values of its cells as this project calls them."""
        for row in table:
            for column, names in self.values.items():
                cell = row.text(column)
                row.cells[column] = names.get(cell.lower(), cell)
        return table


def described_keys(keys: Iterable[object]) -> list[str]:
    """Keys for a message: those that look like ours as they are, of the others what kind of thing they are."""
    return [str(key) if re.fullmatch(r"[a-z][a-z0-9_]{0,40}", str(key)) else described(str(key)) for key in keys]


def _table(path: Path, required: Iterable[str], optional: Iterable[str], names: Names | None, max_rows: int) -> Table:
    names = names or Names()
    table = csv_rows(path, tuple(required), tuple(optional), {**_ALIASES, **names.columns}, max_rows)
    return names.translate(table)


# --- bookings --------------------------------------------------------------------------------------------------------


def read_bookings(path: str | Path, names: Names | None = None) -> list[Booking]:
    """
    Bookings of one day from a CSV file.

    Columns ``id``, ``earliest_pickup_min``, ``latest_pickup_min``, ``pickup_lat``, ``pickup_lon``, ``dropoff_lat``,
    ``dropoff_lon`` [deg] must be there. Optional, with default: ``release_min`` (0: known before the day starts),
    ``priority`` 1-5 (3), ``leg`` outbound or return (outbound), ``mobility`` ambulatory or wheelchair (ambulatory),
    ``pickup_service_min`` and ``dropoff_service_min`` (5), ``appointment_min`` (none).
    A return names its outbound leg in ``outbound_id``; where it is called later than that leg, ``expected_min`` and
    ``expected_std_min`` say when it is expected until then: mean and standard deviation of its earliest pickup.

    Raises
    ------
    ValueError
        Naming file, line, column, what was expected, what came.
    """
    path = Path(path)
    bookings: list[Booking] = []
    lines: dict[str, str] = {}
    table = _table(path, _BOOKING_REQUIRED, _BOOKING_OPTIONAL, names, MAX_BOOKINGS)
    table.count_days_from("earliest_pickup_min")
    for row in table:
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
            outbound_id=row.text("outbound_id") or None,
            expected_min=row.minutes("expected_min"),
            expected_std_min=row.number("expected_std_min") if row.text("expected_std_min") else None,
        )
        check_booking(row.where, booking)
        _check_no_fraction(row, booking.earliest_pickup_min, booking.latest_pickup_min, "pickup window")
        _check_new(row, "booking", booking.id, lines)
        bookings.append(booking)
    if not bookings:
        raise ValueError(f"{path}: no bookings below the header. Expected at least one; leave empty days out.")
    return bookings


def _check_new(row: Row, kind: str, member_id: str, lines: dict[str, str]) -> None:
    if member_id in lines:
        raise ValueError(
            f"{row.where}: the {kind}'s id occurs twice; it stands in {lines[member_id]} already. "
            f"Give every {kind} an id of its own."
        )
    lines[member_id] = row.where.rpartition(", ")[2]


def _check_no_fraction(row: Row, start_min: float, end_min: float, what: str) -> None:
    """A spreadsheet's time is a fraction of a day: 0.3125 is 07:30."""
    if 0.0 <= start_min < 1.0 and 0.0 < end_min <= 1.0 and not (start_min.is_integer() and end_min.is_integer()):
        raise ValueError(
            f"{row.where}: the {what} lies within the first minute of the day ({start_min:g} to {end_min:g}). It looks "
            'like a spreadsheet\'s fraction of a day (0.3125 is 07:30). Write minutes since midnight or "HH:MM".'
        )


# --- fleet -----------------------------------------------------------------------------------------------------------


def read_fleet(path: str | Path, names: Names | None = None) -> list[Driver]:
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
    if path.suffix in (".yml", ".yaml"):
        table = _yaml_table(path, names or Names())
    else:
        table = _table(path, _DRIVER_REQUIRED, _DRIVER_OPTIONAL, names, MAX_DRIVERS)
    table.count_days_from("shift_start_min")
    drivers: list[Driver] = []
    lines: dict[str, str] = {}
    for row in table:
        shift_start = row.required_minutes("shift_start_min")
        shift_end = row.required_minutes("shift_end_min", after=shift_start)
        break_start = _break_start(row, shift_start, shift_end)
        driver = Driver(
            id=row.required("id"),
            start_lat=row.number("start_lat"),
            start_lon=row.number("start_lon"),
            shift_start_min=shift_start,
            shift_end_min=shift_end,
            is_emergency=row.choice("kind", _KINDS, "regular"),
            can_wheelchair=row.choice("can_wheelchair", _YES_NO, "true"),
            break_start_min=break_start,
            break_end_min=row.minutes("break_end_min", after=break_start),
        )
        check_driver(f"{row.where}, driver {driver.id!r}" if _is_plain_id(driver.id) else row.where, driver)
        _check_no_fraction(row, driver.shift_start_min, driver.shift_end_min, "shift")
        _check_new(row, "driver", driver.id, lines)
        drivers.append(driver)
    if not drivers:
        raise ValueError(f"{path}: no drivers. Expected at least one.")
    return drivers


def _break_start(row: Row, shift_start: float, shift_end: float) -> float | None:
    """Start of the break; a clock that lies within the shift only on the next day is next day's."""
    start = row.minutes("break_start_min")
    if start is None or not row.is_clock("break_start_min"):
        return start
    return start + DAY_MIN if start < shift_start and start + DAY_MIN <= shift_end else start


def _is_plain_id(text: str) -> bool:
    """Short and without blanks: an id that a message may show; a name or telephone number is neither."""
    return len(text) <= 6 and text.isascii() and text.isalnum() and any(character.isdigit() for character in text)


def _yaml_table(path: Path, theirs: Names) -> Table:
    content = load_yaml(path)
    if isinstance(content, dict):
        check_names(str(path), described_keys(content), ("drivers",))
        content = content.get("drivers")
    if not isinstance(content, list):
        raise ValueError(
            f"{path}: expected a list of drivers, came {type(content).__name__}. Write one '- id: ...' each."
        )
    if len(content) > MAX_DRIVERS:
        raise ValueError(f"{path}: {len(content)} drivers are no fleet of one day; at most {MAX_DRIVERS}.")
    rows = []
    for i, entry in enumerate(content):
        where = f"{path}, entry {i + 1}"
        if not isinstance(entry, dict):
            raise ValueError(
                f"{where}: expected the keys of a driver ({', '.join(_DRIVER_REQUIRED)}), came {type(entry).__name__}."
            )
        names = [str(name) for name in entry]
        aliases = {**_ALIASES, **theirs.columns}
        columns = header(where, names, _DRIVER_REQUIRED, (*_DRIVER_REQUIRED, *_DRIVER_OPTIONAL), aliases)
        cells = ("" if cell is None else str(cell) for cell in entry.values())
        rows.append(Row(where, {column: cell for column, cell in zip(columns, cells, strict=True) if column}))
    return theirs.translate(Table(rows))


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
    if not isinstance(name, str) or name not in models:
        raise ValueError(f"{where}: unknown model {described(str(name))}. {nearest(name, models)}")
    make, required, optional = models[name]
    parameters = {key: value for key, value in content.items() if key != "model"}
    check_names(where, described_keys(parameters), (*required, *optional))
    for key in required:
        if key not in parameters:
            raise ValueError(f"{where}: key {key!r} of model {name!r} is missing. Add it.")
    if name != "matrix":
        for key, value in parameters.items():
            check_numbers(f"{where}: {key}", value)
    try:
        travel: Travel = make(**parameters)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"{where}: model {name!r} can't be made of these values ({error}).") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
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
    names: Names | None = None,
) -> Day:
    """
    A day from its bookings file and its fleet file.

    Parameters
    ----------
    label
        By default the name of the bookings file without ``day-`` and ``-bookings``.
    open_min, close_min
        By default the first start and the last end of a shift.
    names
        What columns and values are called in these files.
    """
    drivers = read_fleet(fleet_path, names)
    day = Day(
        label=label if label is not None else _label(Path(bookings_path)),
        bookings=tuple(read_bookings(bookings_path, names)),
        drivers=tuple(drivers),
        travel=travel,
        open_min=min(driver.shift_start_min for driver in drivers) if open_min is None else open_min,
        close_min=max(driver.shift_end_min for driver in drivers) if close_min is None else close_min,
    )
    check_reach(day)
    return day


def check_reach(day: Day) -> None:
    """Every pickup and drop-off within MAX_REACH_KM of a start place; says so where swapping lat and lon would help."""
    starts, *ends = day.places()
    for name, places in zip(("pickup", "drop-off"), ends, strict=True):
        km = great_circle_km(places[:, None, :], starts[None, :, :]).min(axis=1)
        far = int(km.argmax())
        if km[far] > MAX_REACH_KM:
            hint = ""
            swapped = places[far, ::-1]
            if abs(swapped[0]) <= 90.0 and great_circle_km(swapped[None, :], starts).min() < MAX_REACH_KM / 2.0:
                hint = " Latitude and longitude look swapped."
            raise ValueError(
                f"day {day.label}: the {name} of booking {far + 1} (in order of release) is {km[far]:.0f} km from the "
                f"nearest start place of the fleet; at most {MAX_REACH_KM:.0f} km are a day's work.{hint}"
            )


def _label(bookings_path: Path) -> str:
    return bookings_path.stem.removesuffix("-bookings").removeprefix("day-") or bookings_path.stem


def read_days(folder: str | Path, default_travel: Travel | None = None, names: Names | None = None) -> list[Day]:
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
            f"{folder}: no travel.yml, so nobody knows how long a drive takes. Add the file: 'model: hourly' with "
            "speeds_kmh (24 numbers) and detour, 'model: power_law' with minutes_per and exponent, or 'model: matrix'."
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
        days.append(read_day(bookings_path, fleet_path, travel, names=names))
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
