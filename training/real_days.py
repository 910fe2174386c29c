"""Days read from files, divided into those that are trained on and those that select the best model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from checked import SettingsError
from training.settings import RunSettings

MAX_DAYS = 1_000_000  # of a range
DEFAULT_RANGES = (RunSettings.train_days, RunSettings.eval_days)


def read_day_lists(
    folders: Sequence[str] | None, train_days: str, eval_days: str, columns: str | None = None
) -> tuple[list[Any] | None, list[Any] | None]:
    """
    Training days and selection days of one or several folders of converted day files.

    Several folders hold the same service days with other announce times or fleets; a service day is trained on or
    selected with in all of them, never both.

    Parameters
    ----------
    folders
        None: no days from files; both lists are then None.
    train_days, eval_days
        Service day numbers, such as ``0-44``. Where both are at their defaults and the folders hold other days, the
        first three quarters of those are trained on and the others select.
    columns
        What columns and values are called in the files (`envs.days.files.Names`).

    Raises
    ------
    SettingsError
        When the ranges overlap, or a folder has no day of one of them.
    """
    if not folders:
        return None, None
    from envs.days.files import Names, read_days

    wanted = {"--train-days": parse_day_ranges(train_days), "--eval-days": parse_day_ranges(eval_days)}
    both = sorted(set(wanted["--train-days"]) & set(wanted["--eval-days"]))
    if both:
        raise SettingsError(
            f"--train-days {train_days} and --eval-days {eval_days} share service day {both[0]}. "
            "The days that select a model must not be trained on."
        )
    by_folder: dict[str, dict[int, Any]] = {}
    for folder in folders:
        if not Path(folder).is_dir():
            raise SettingsError(f"--days-from {folder}: there is no such folder.")
        try:
            by_folder[folder] = numbered(read_days(folder, names=None if columns is None else Names.read(columns)))
        except (ValueError, OSError) as error:
            raise SettingsError(f"--days-from {folder}: {error}") from error
    if (train_days, eval_days) == DEFAULT_RANGES and not _holds_all(by_folder, wanted):
        wanted = _divided(by_folder)
    chosen: dict[str, list[tuple[int, Any]]] = {option: [] for option in wanted}
    for folder, days in by_folder.items():
        for option, numbers in wanted.items():
            found = [(number, days[number]) for number in numbers if number in days]
            if not found:
                there = f"service days {min(days)}-{max(days)}" if days else "no days"
                raise SettingsError(
                    f"--days-from {folder}: holds {there}, none of {option} {numbers[0]}-{numbers[-1]}."
                )
            chosen[option].extend(found)
    # Folder by folder within a service day, so that an evaluation of the first few days sees every fleet.
    training, selection = (sorted(found, key=lambda entry: entry[0]) for found in chosen.values())
    return [day for _, day in training], [day for _, day in selection]


def numbered(days: Sequence[Any]) -> dict[int, Any]:
    """Days by the number in their labels; where one has none, or two have the same, by their place in the folder."""
    try:
        by_number = {service_day(day): day for day in days}
    except SettingsError:
        by_number = {}
    return by_number if len(by_number) == len(days) else dict(enumerate(days))


def _holds_all(by_folder: Mapping[str, Mapping[int, Any]], wanted: Mapping[str, Sequence[int]]) -> bool:
    return all(any(number in days for number in numbers) for days in by_folder.values() for numbers in wanted.values())


def _divided(by_folder: Mapping[str, Mapping[int, Any]]) -> dict[str, list[int]]:
    """The first three quarters of the service days to train on, the others to select with."""
    numbers = sorted(set().union(*by_folder.values()))
    if len(numbers) < 2:
        raise SettingsError(
            f"--days-from {' '.join(by_folder)}: holds {len(numbers)} service days; one at least is trained on and "
            "another one selects the best model."
        )
    count = min(max(3 * len(numbers) // 4, 1), len(numbers) - 1)
    return {"--train-days": numbers[:count], "--eval-days": numbers[count:]}


def service_day(day: Any) -> int:
    """The number of the service day in a day's label, such as 17 in ``day_017``."""
    numbers = re.findall(r"\d+", day.label)
    if not numbers:
        raise SettingsError(f"day '{day.label}': its label holds no service day number, such as day_017.")
    return int(numbers[-1])


def parse_day_ranges(text: str) -> list[int]:
    """
    Service day numbers from ``0-44`` or ``0-9,12,20-29``.

    Raises
    ------
    SettingsError
        When the text is something else, or a range runs backwards.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if not match:
            raise SettingsError(f"days '{text}': expected ranges such as 0-44 or 0-9,12; '{part.strip()}' is neither.")
        first, last = int(match[1][:18]), int((match[2] or match[1])[:18])
        if last < first:
            raise SettingsError(f"days '{text}': the range {part.strip()} runs backwards.")
        if last - first >= MAX_DAYS:
            raise SettingsError(f"days '{text}': the range {part.strip()} holds more than {MAX_DAYS} days.")
        numbers.extend(range(first, last + 1))
    return numbers
