"""
Tables as people send them: CSV out of a spreadsheet, or a YAML list; cells with the place where they stand.

What spreadsheets write is read: commas, semicolons or tabs, decimal commas where the cells are parted by something
else, UTF-8 or UTF-16 with a byte order mark, Windows-1252, quoted cells with line breaks. What can't be read is refused
with the line. A message never repeats what stands in a cell (`checked.described`).
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from checked import described, minutes_of
from envs.days.bounds import DAY_MIN

MAX_BYTES = 64_000_000
MAX_CELL = 100_000  # characters
_DATES = (
    (re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})[T ]+(.+)"), (1, 2, 3)),
    (re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4}),?\s+(.+)"), (3, 2, 1)),
)


class Table:
    """The rows of a file, and the date that its times are counted from."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def count_days_from(self, column: str) -> None:
        """Times with a date are minutes since midnight of the earliest date in ``column``."""
        dates = [day for row in self.rows if (day := split_date(row.text(column))[0]) is not None]
        for row in self.rows:
            row.first_date = min(dates, default=None)


def split_date(text: str) -> tuple[date | None, str]:
    """(date, rest) of ``2025-11-28 09:15`` or ``28.11.2025 09:15``; (None, text) without a date."""
    for pattern, (year, month, day) in _DATES:
        match = pattern.fullmatch(text.strip())
        if match:
            try:
                return date(int(match[year]), int(match[month]), int(match[day])), match[4]
            except ValueError:
                break
    return None, text


class Row:
    """One row of a file: its cells as text, and where they stand for messages."""

    def __init__(self, where: str, cells: dict[str, str], has_decimal_commas: bool = False) -> None:
        self.where = where
        self.cells = cells
        self.first_date: date | None = None
        self._has_decimal_commas = has_decimal_commas

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
        plain = text.replace(",", ".") if self._has_decimal_commas and text.count(",") == 1 else text
        try:
            if "_" in plain:
                raise ValueError
            return float(plain)
        except ValueError:
            raise self.error(column, f"expected a number, came {described(text)}") from None

    def whole_number(self, column: str, default: int) -> int:
        value = self.number(column, float(default))
        if not value.is_integer():
            raise self.error(column, f"expected a whole number, came {described(self.text(column))}")
        return int(value)

    def minutes(self, column: str, after: float | None = None) -> float | None:
        """
        Minutes, or None for an empty cell.

        A clock without a date that is 12 hours or more before ``after`` is next day's.
        """
        text = self.text(column)
        if not text:
            return None
        day, clock = split_date(text)
        if self._has_decimal_commas and clock.count(",") == 1:
            clock = clock.replace(",", ".")
        try:
            value = minutes_of(clock)
        except ValueError as error:
            raise self.error(column, str(error)) from None
        if day is not None:
            if self.first_date is None:
                raise self.error(column, "came a time with a date, where the other times have none")
            return value + DAY_MIN * (day - self.first_date).days
        if after is not None and self.is_clock(column) and after - value >= DAY_MIN / 2:
            value += DAY_MIN
        return value

    def is_clock(self, column: str) -> bool:
        """Whether the time is written as a clock, not as a number of minutes."""
        return re.fullmatch(r"[-+\d.,eE]*", self.text(column)) is None

    def required_minutes(self, column: str, after: float | None = None) -> float:
        self.required(column)
        value = self.minutes(column, after)
        assert value is not None
        return value

    def choice(self, column: str, choices: Mapping[str, Any], default: str) -> Any:
        text = self.text(column).lower() or default
        if text not in choices:
            raise self.error(column, f"expected {' or '.join(choices)}, came {described(self.text(column))}")
        return choices[text]


def header(
    where: str,
    names: Sequence[str],
    required: Sequence[str],
    known: Sequence[str],
    aliases: Mapping[str, str],
) -> list[str | None]:
    """Known column name of each header, None for one to drop; ``aliases`` hold other names in lower case."""
    columns: list[str | None] = []
    for name in names:
        column = plain_name(name)
        column = aliases.get(column, column)
        columns.append(column if column in known else None)
        if column in known and columns.count(column) > 1:
            raise ValueError(f"{where}: column {column!r} occurs twice. Keep one.")
    for name, given in zip(names, columns, strict=True):
        if given is None and len(name) < 60:
            missing = [column for column in known if column not in columns]
            near = difflib.get_close_matches(name.strip().lower(), missing, n=1, cutoff=0.8)
            if near:
                raise ValueError(f"{where}: unknown column {name.strip()!r}. Did you mean {near[0]!r}?")
    for column in required:
        if column not in columns:
            raise ValueError(
                f"{where}: column {column!r} is missing; expected at least {', '.join(required)}. Add the column, or "
                "say with --columns what it is called here."
            )
    return columns


def plain_name(name: str) -> str:
    """A header in lower case with ``_`` for blanks and hyphens."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, in UTF-16 with a byte order mark, or in Windows-1252, as spreadsheets save it."""
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path}: {path.stat().st_size / 1e6:.0f} MB are too many for the bookings of a day.")
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file. Check the path.") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path}: is a folder; expected a file.") from None
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(f"{path}: not readable as text. Save the file as CSV in UTF-8.")


def csv_rows(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str],
    aliases: Mapping[str, str] | None = None,
    max_rows: int | None = None,
) -> Table:
    """
    The rows of a CSV file, known columns only; headers are compared in lower case with ``_`` for blanks.

    Raises
    ------
    ValueError
        Naming file and line: a missing column, another number of cells than in the header, a quote that is never
        closed (or closed so late that it swallows whole rows), more than ``max_rows`` rows.
    """
    text = read_text(path)
    delimiter = _delimiter(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    records = _records(path, reader, delimiter)
    line, names = next(records, (1, []))
    if not any(name.strip() for name in names):
        raise ValueError(f"{path}: the file is empty; expected a header line with {', '.join(required)}.")
    columns = header(f"{path}, line {line}", names, required, (*required, *optional), aliases or {})
    rows: list[Row] = []
    for line, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}, line {line}"
        if len(cells) != len(columns):
            raise ValueError(
                f"{where}: expected {len(columns)} cells as in the header, came {len(cells)}. Correct the line."
            )
        if max_rows is not None and len(rows) >= max_rows:
            raise ValueError(f"{where}: more than {max_rows} rows are no single day. Give each day a file of its own.")
        given = {column: cell for column, cell in zip(columns, cells, strict=True) if column}
        rows.append(Row(where, given, has_decimal_commas=delimiter != ","))
    return Table(rows)


def _delimiter(first_line: str) -> str:
    """What parts the cells of the header; a comma unless it has more of another one."""
    return max((",", ";", "\t"), key=first_line.count)


def _records(path: Path, reader: Any, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, cells) of each record; a quoted cell may hold line breaks, but no rows."""
    line, width = 1, 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = "a cell is too long" if "field larger" in str(error) else "it can't be read as CSV"
            raise ValueError(f"{path}, line {line}: {problem}. Look for a quote that is never closed.") from None
        width = width or len(cells)
        for cell in cells:
            if len(cell) > MAX_CELL:
                raise ValueError(f"{path}, line {line}: a cell of {len(cell)} characters. Correct the line.")
            swallowed = cell.splitlines()[1:]
            if width > 1 and any(part.count(delimiter) >= width - 1 for part in swallowed):
                raise ValueError(
                    f"{path}, line {line}: a quote is opened and not closed on this line, so that the rows after it "
                    "count as one cell. Close or remove the quote."
                )
        yield line, cells
        line = reader.line_num + 1
