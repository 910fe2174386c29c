"""
What a day can hold, and how a value that it can't hold is told without repeating what stands in a cell.

A shifted column puts a passenger's name or telephone number where a time is expected, so messages describe what came
("text of 8 characters", "a number of 10 digits") and repeat only short numbers. A number out of bounds gets the unit
that it looks like: most such files hold seconds, Unix times or a spreadsheet's fractions of a day.
"""

from __future__ import annotations

import math

from checked import SHOWN_DIGITS

DAY_MIN = 1440.0
FIRST_MIN, LAST_MIN = -DAY_MIN, 3 * DAY_MIN  # [min] of pickups: from the evening before to two days after
FIRST_RELEASE_MIN = -400 * DAY_MIN  # [min] booked more than a year ahead
MAX_EXPECTED_STD_MIN = 24 * 60.0  # [min] of when a return will be called
MAX_SERVICE_MIN = 480.0  # [min] at one end of a trip: a working day
MIN_SPEED_KMH, MAX_SPEED_KMH = 1.0, 300.0
MAX_DETOUR = 10.0
MAX_MINUTES_PER_KM = 1000.0  # [min] of the power law's first kilometre
MIN_EXPONENT, MAX_EXPONENT = 0.1, 3.0
MAX_LEG_MIN, MAX_LEG_KM = 2 * DAY_MIN, 3000.0  # of a leg in a travel matrix
MAX_REACH_KM = 1000.0  # from a pickup or drop-off to the nearest start place of the fleet
MAX_BOOKINGS, MAX_DRIVERS = 10_000, 2_000  # of one day: what fits into memory with a good margin


def shown(value: float) -> str:
    """A number for a message: itself where it is short, else how large it is."""
    if not math.isfinite(value):
        return str(value)
    digits = len(f"{abs(value):.0f}")
    return f"{value:g}" if digits <= SHOWN_DIGITS else f"a number of {digits} digits"


def likely_unit(value: float) -> str:
    """A sentence about what a time beyond any day looks like; empty when it looks like nothing known."""
    if 1.0e9 <= abs(value) < 1.0e14:
        return " It looks like a Unix time."
    if 19_000_101 <= value <= 21_001_231:
        return " It looks like a date."
    if LAST_MIN < value <= LAST_MIN * 60.0:
        clock = f"{int(value // 3600):02d}:{int(value % 3600 // 60):02d}"
        return f" It looks like seconds ({value:.0f} s are {clock})."
    return ""


def check_time(where: str, name: str, value: float, first: float = FIRST_MIN, last: float = LAST_MIN) -> None:
    """
    Raise unless ``value`` is a time [min since midnight] that a day can hold.

    Raises
    ------
    ValueError
        Naming the field, what came, and the unit that it looks like.
    """
    if not math.isfinite(value):
        raise ValueError(f"{where}: {name} ({value}) is not a finite number of minutes since midnight.")
    if not first <= value <= last:
        day = f", day {math.floor(value / DAY_MIN) + 1}" if abs(value) < 1.0e5 else ""
        raise ValueError(
            f"{where}: {name} ({shown(value)} min{day}) is outside of what a day can hold, {first:g} to {last:g} min "
            f'since midnight.{likely_unit(value)} Write minutes since midnight or "HH:MM".'
        )


def check_between(where: str, name: str, value: float, low: float, high: float, unit: str) -> None:
    """Raise unless ``value`` is a finite number from ``low`` to ``high``."""
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{where}: {name} ({shown(value)}) must be from {low:g} to {high:g} {unit}.")
