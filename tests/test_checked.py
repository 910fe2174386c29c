"""Settings from outside: what is read, what is refused, and the words."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from checked import SettingsError, check_names, check_numbers, nearest, read_section, without_password


@dataclass(frozen=True)
class Inner:
    share: float = 0.5


@dataclass(frozen=True)
class Section:
    """A section with a field of every kind."""

    opens_min: float
    drivers: tuple[int, int] = (1, 1)
    hours: tuple[float, ...] = ()
    is_on: bool = False
    name: str = ""
    most: int | None = None
    inner: Inner = field(default_factory=Inner)
    numbers: dict[str, float] = field(default_factory=dict)


def test_a_section_becomes_its_dataclass():
    given = {"opens_min": "06:30", "drivers": 4, "hours": [1, 2.5], "is_on": True, "inner": {"share": 1}, "most": None}
    read = read_section(Section, given, "file")
    # 6 x 60 + 30 = 390; one number stands for a range
    assert read == Section(390.0, (4, 4), (1.0, 2.5), True, "", None, Inner(1.0))
    assert isinstance(read.hours[0], float)
    assert read_section(Section, {"opens_min": np.int64(5), "most": np.float32(3)}, "file").most == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"opens_min": 0, "drivrs": 2}, r"file: unknown key 'drivrs'. Did you mean 'drivers'\?"),
        ({"drivers": 2}, "file: key 'opens_min' is missing. Write it"),
        ({"opens_min": "noon"}, "file: opens_min: expected minutes since midnight"),
        (
            {"opens_min": 0, "inner": {"share": "1e-4"}},
            "file: inner: share: expected a number, came 1e-4. YAML",
        ),
        ({"opens_min": 0, "inner": 3}, "file: inner: expected keys and values, came 3"),
        ({"opens_min": 0, "most": 2.5}, "file: most: expected a whole number, came 2.5"),
        ({"opens_min": float("inf")}, "file: opens_min: expected a finite number"),
        ({"opens_min": 0, "is_on": "yes"}, "file: is_on: expected true or false, came 'yes'"),
        ({"opens_min": 0, "drivers": [1, 2, 3]}, r"file: drivers: expected a number or \[low, high\]"),
        ({"opens_min": 0, "numbers": [1]}, r"file: numbers: expected keys and values, came \[1\]"),
        ([1], r"file: expected keys and values, came \[1\]"),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        read_section(Section, given, "file", "Write it.")


def test_names_and_numbers():
    assert nearest("speeds", ["speed", "size"]) == "Did you mean 'speed'?"
    assert nearest("xyz", ["b", "a"]) == "Known: a, b."
    check_names("file", {"a": 1}, ["a", "b"])
    with pytest.raises(SettingsError, match=r"file: unknown weight 'c'. Known: a, b"):
        check_names("file", ["a", "c"], ["a", "b"], "weight")
    check_numbers("file", [1, 2.0])
    with pytest.raises(SettingsError, match="file: expected a number, came True"):
        check_numbers("file", True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "--storage postgresql+psycopg2://me:s3cret@host/base -n 5",
            "--storage postgresql+psycopg2://me:***@host/base -n 5",
        ),
        ("--storage=postgresql://me:a/b@c@host/base", "--storage=postgresql://me:***@host/base"),
        ("postgresql:///base?user=me&password=s3cret&host=h", "postgresql:///base?user=me&password=***&host=h"),
        ("postgresql://me@host/base logs/study.log", "postgresql://me@host/base logs/study.log"),
    ],
)
def test_password_of_a_database_is_not_shown(text, shown):
    assert without_password(text) == shown
