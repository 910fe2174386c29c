"""What all generators share: how settings become the record that compiled code reads, and checks of settings."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import numpy as np

SHORT_SHIFT = 0
OPERATING_DAY = 1
MAX_PERIODS = 8  # periods or peaks that fit the record
Column = tuple[Any, ...]  # of a NumPy record: name, type and, for an array, shape
_NUMBERS: dict[Any, type] = {float: np.float64, int: np.int32, bool: np.int32}


def columns_of(settings_type: type) -> list[Column]:
    """
    What compiled code reads of a generator's settings.

    A number is a column of its name and a pair of numbers one of two entries. A tuple of parts (peaks, periods) is
    ``num_<name>`` and, for each field of a part, ``<name>_<field>`` with ``MAX_PERIODS`` entries.
    """
    found: list[Column] = []
    for name, hint in get_type_hints(settings_type).items():
        kinds = get_args(hint)
        if not kinds:
            found.append((name, _NUMBERS[hint]))
        elif is_dataclass(kinds[0]):
            found.append((f"num_{name}", np.int32))
            parts = get_type_hints(kinds[0]).items()
            found += [(f"{name}_{part}", _NUMBERS[of_part], (MAX_PERIODS,)) for part, of_part in parts]
        else:
            found.append((name, _NUMBERS[kinds[0]], (2,)))
    return found


def write_settings(record: Any, settings: Any) -> None:
    """Write all `columns_of` settings into one record that has them."""
    for item in fields(settings):
        value = getattr(settings, item.name)
        if item.name in record.dtype.names:
            record[item.name] = value
            continue
        record[f"num_{item.name}"] = len(value)
        for i, part in enumerate(value):
            for of_part in fields(part):
                record[f"{item.name}_{of_part.name}"][i] = getattr(part, of_part.name)


def expect(where: str, is_right: bool, expected: str) -> None:
    if not is_right:
        raise ValueError(f"{where}: expected {expected}.")


def expect_range(where: str, name: str, low_high: tuple[float, float], at_least: float) -> None:
    low, high = low_high
    expect(f"{where}: {name} ({low:g} to {high:g})", at_least <= low <= high, f"{at_least:g} <= first <= second")


def expect_share(where: str, name: str, value: float) -> None:
    expect(f"{where}: {name} ({value:g})", 0.0 <= value <= 1.0, "a share from 0 to 1")


def expect_length(where: str, name: str, values: tuple[Any, ...]) -> None:
    expect(f"{where}: {name} has {len(values)} entries", len(values) <= MAX_PERIODS, f"at most {MAX_PERIODS}")


def check_hours(where: str, settings: Any) -> None:
    expect(
        f"{where}: close_min ({settings.close_min:g})",
        settings.open_min < settings.close_min,
        f"a time after open_min ({settings.open_min:g})",
    )
    expect(
        f"{where}: shift_end_min ({settings.shift_end_min:g})",
        settings.shift_start_min < settings.shift_end_min,
        f"a time after shift_start_min ({settings.shift_start_min:g})",
    )
    expect(f"{where}: service_min ({settings.service_min:g})", settings.service_min >= 0, "at least 0")


def num_ticks(open_min: float, close_min: float, tick_min: float) -> int:
    return math.ceil((close_min - open_min) / tick_min)
