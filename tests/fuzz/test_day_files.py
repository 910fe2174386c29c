"""
Damaged day files: whatever stands in them, the reader ends in seconds, in a day or a message that repeats no cell.

``make fuzz`` reads 10 000; FUZZ_CASES says how many, and each case is a function of its number.
"""

from __future__ import annotations

import os
import random
import signal
import time
import warnings
from pathlib import Path

import pytest

from envs.days.bounds import LAST_MIN
from envs.days.files import read_days

pytestmark = pytest.mark.slow
NUM_CASES = int(os.environ.get("FUZZ_CASES", "1000"))
NUM_PARTS = 10
LIMIT_S = 5.0  # of processor time, so that a busy machine is no hang
PLANTED = ("Jane Roe", "Jean-Pierre Exemple", "+41 79 555 01 02", "0795550102", "022 555 01 03")
ABSURD = (
    *("", " ", "nan", "inf", "-inf", "1e308", "-1e308", "1e-308", "1e9", "20251128", "1764316800", "33300", "0.3125"),
    *("045", "0x1F", "1_000", "1,5", "9h30", "25:61", "12:00 pm", "2025-11-28 09:15", "28.11.2025 9:15", "=1+1", "@x"),
    *('"', '""', "'", ";", ",", "\t", "\n", "\r", "\0", "é", "\ufeff", "\u202e", "x" * 200_000, "9" * 5000, "-", "--"),
    *("[" * 3000, "{}", "[]", "!!python/object:os.system", "&a [*a]", "true", "null", "~", "<<: *x", "<script>"),
)

COLUMNS = (
    "id",
    "release",
    "earliest_pickup",
    "latest_pickup",
    "pickup_lat",
    "pickup_lon",
    "dropoff_lat",
    "dropoff_lon",
)
BOOKINGS = (
    ",".join((*COLUMNS, "priority", "leg", "mobility", "note"))
    + """
b1,07:00,08:00,08:30,46.20,6.14,46.21,6.15,3,outbound,ambulatory,
b2,07:30,08:10,08:40,46.21,6.13,46.22,6.16,1,outbound,wheelchair,"walker, folded"
b3,07:40,12:30,13:00,46.22,6.16,46.21,6.13,1,return,wheelchair,
b4,420,555,585,46.19,6.12,46.20,6.17,5,outbound,ambulatory,
"""
)
FLEET = """id,start_lat,start_lon,shift_start_min,shift_end_min,kind,can_wheelchair,break_start_min,break_end_min
v1,46.20,6.14,07:00,16:00,regular,true,11:30,12:00
v2,46.21,6.15,22:00,06:00,emergency,false,,
"""
FLEET_YAML = """drivers:
  - {id: v1, start_lat: 46.20, start_lon: 6.14, shift_start_min: "07:00", shift_end_min: 16:00:00}
  - {id: v2, start_lat: 46.21, start_lon: 6.15, shift_start_min: 480, shift_end_min: 1080, can_wheelchair: no}
"""
TRAVEL = "model: power_law\nminutes_per: 2.08\nexponent: 0.845\n"
HOURLY = "model: hourly\nspeeds_kmh: [" + ", ".join(["30"] * 24) + "]\ndetour: 1.3\n"


def _mutated(text: str, draw: random.Random) -> str:
    """One to three mutations: of a cell, of a character, of a line."""
    for _ in range(draw.randint(1, 3)):
        kind = draw.randrange(8)
        lines = text.split("\n")
        at = draw.randrange(len(lines))
        if kind <= 2:  # another cell
            parts = lines[at].split(",")
            parts[draw.randrange(len(parts))] = draw.choice((*ABSURD, *PLANTED))
            lines[at] = ",".join(parts)
        elif kind == 3:  # shifted columns
            parts = lines[at].split(",")
            parts.insert(draw.randrange(len(parts) + 1), draw.choice(PLANTED))
            lines[at] = ",".join(parts[: len(parts) - draw.randrange(2)])
        elif kind == 4:
            lines.insert(at, draw.choice(lines))
        elif kind == 5:
            del lines[at]
        elif kind == 6:
            position = draw.randrange(len(text) + 1)
            lines = (text[:position] + draw.choice(ABSURD) + text[position:]).split("\n")
        else:
            position = draw.randrange(len(text) + 1)
            lines = (text[:position] + text[position + draw.randrange(1, 40) :]).split("\n")
        text = "\n".join(lines)
    return text


def _write_case(folder: Path, number: int) -> None:
    draw = random.Random(number)
    fleet = draw.choice(((FLEET, "fleet.csv"), (FLEET_YAML, "fleet.yml")))
    files = {
        "day-001-bookings.csv": BOOKINGS.replace(",", ";") if draw.random() < 0.1 else BOOKINGS,
        fleet[1]: fleet[0],
        "travel.yml": draw.choice((TRAVEL, HOURLY)),
    }
    for name in draw.choices(list(files), weights=(5, 3, 2), k=draw.randint(1, 2)):
        files[name] = _mutated(files[name], draw)
    encoding = draw.choice(("utf-8", "utf-8", "utf-8", "utf-16", "cp1252", "latin-1"))
    for name, text in files.items():
        (folder / name).write_bytes(text.encode(encoding, errors="replace"))


def _hangs(*_: object) -> None:
    raise TimeoutError(f"reading took over {LIMIT_S:g} s")


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_damaged_files_end_in_a_day_or_in_a_message(tmp_path, part):
    accepted = 0
    previous = signal.signal(signal.SIGPROF, _hangs)
    try:
        for number in range(part, NUM_CASES, NUM_PARTS):
            folder = tmp_path / "case"
            folder.mkdir()
            _write_case(folder, number)
            start = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, 4 * LIMIT_S)  # ends what would never end
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    days = read_days(folder)
                said = " ".join(str(warning.message) for warning in caught)
                accepted += 1
            except (ValueError, OSError) as error:
                said, days = str(error), []
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0.0)
            assert time.process_time() - start < LIMIT_S, f"case {number} took too long"
            shown = said.replace(str(folder), "")
            assert not any(name in shown for name in PLANTED), f"case {number} repeats a cell: {shown[:200]}"
            for day in days:  # nothing that no day can hold
                assert all(0 <= booking.latest_pickup_min <= LAST_MIN for booking in day.bookings), number
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    finally:
        signal.signal(signal.SIGPROF, previous)
    assert accepted > 0  # mutations that change nothing of weight are read
