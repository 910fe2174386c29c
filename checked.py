"""
Settings from outside, checked where they enter: YAML sections and options, against the dataclasses that hold them.

Knows nothing of dispatch. Every message says where, what was expected, what came and what to do; a name that nobody
knows is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import importlib
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

_CLOCK = re.compile(r"(\d{1,2})(?::([0-5]\d)(?::([0-5]\d)(?:\.0+)?)?|[hH]([0-5]\d)?)")
_TWELVE = re.compile(r"(\d{1,2})(?::([0-5]\d)(?::([0-5]\d))?)?\s*([aApP])\.?[mM]\.?")
_NUMBER_AS_TEXT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")  # PyYAML wants a point and a sign in it
SHOWN_DIGITS = 5  # of a number in a message; a telephone number has more
T = TypeVar("T")


class SettingsError(ValueError):
    """A setting that can't be used; the message says where, what was expected, what came and what to do."""


# --- names -----------------------------------------------------------------------------------------------------------


def nearest(name: Any, known: Iterable[Any]) -> str:
    """A sentence that helps with a misspelt name: the nearest known one, or all of them."""
    names = sorted(str(each) for each in known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names)}."


def check_names(where: str, given: Iterable[Any], known: Iterable[Any], what: str = "key") -> None:
    """
    Refuse the first name that isn't known.

    Raises
    ------
    SettingsError
        Naming the nearest known one.
    """
    names = set(known)
    for name in given:
        if name not in names:
            raise SettingsError(f"{where}: unknown {what} '{name}'. {nearest(name, names)}")


# --- values ----------------------------------------------------------------------------------------------------------


def import_packages(packages: Iterable[str]) -> None:
    """
    Import packages of others, which register what they bring: environments, algorithms, rules.

    Raises
    ------
    SettingsError
        When one of them can't be imported.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except (Exception, SystemExit) as error:  # whatever the package does when it is imported
            raise SettingsError(
                f"--gym-packages {package}: {error}. Install the package, or put its folder on PYTHONPATH."
            ) from error


def is_number_as_text(value: Any) -> bool:
    """Whether this is a number for people and text for YAML, such as 1e-4."""
    return isinstance(value, str) and _NUMBER_AS_TEXT.fullmatch(value) is not None


def check_numbers(where: str, value: Any) -> None:
    """Refuse what is neither a number nor a list of numbers."""
    for number in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            hint = " YAML reads 1e-4 as text: write 1.0e-4." if is_number_as_text(number) else ""
            raise SettingsError(f"{where}: expected a number, came {_described_value(number)}.{hint}")


def described(text: str) -> str:
    """What kind of thing stands in a cell; short numbers and clock times are repeated, nothing else is."""
    text = text.strip()
    if not text:
        return "an empty cell"
    digits = sum(character.isdigit() for character in text)
    if re.fullmatch(r"[-+]?\d*[.,]?\d*([eE][-+]?\d+)?", text) and digits:
        return text if digits <= SHOWN_DIGITS else f"a number of {digits} digits"
    if re.fullmatch(r"\d{1,2}[:.hH]\d{2}([:.]\d{2})?", text):
        return text
    return f"text of {len(text)} character{'s' if len(text) > 1 else ''}"


def _described_value(value: Any) -> str:
    if isinstance(value, str):
        return described(value)
    return str(value) if value is None or isinstance(value, bool) else f"a {type(value).__name__}"


def without_password(text: str) -> str:
    """An address, or a whole command, with *** where a database's password stands."""
    text = re.sub(r"(\w://[^\s:/@?]*):\S*@", r"\1:***@", text)
    return re.sub(r"(password=)[^\s&]+", r"\1***", text, flags=re.IGNORECASE)


def minutes_of(text: str) -> float:
    """
    Minutes since midnight of ``555``, ``555.5``, ``9:15``, ``09:15:30``, ``9h15``, ``9:15 am`` or ``25:10``.

    Raises
    ------
    SettingsError
        Saying what was expected and what kind of thing came.
    """
    text = text.strip()
    twelve = _TWELVE.fullmatch(text)
    if twelve and 1 <= int(twelve[1]) <= 12:
        hours = int(twelve[1]) % 12 + (12 if twelve[4] in "pP" else 0)
        return hours * 60.0 + int(twelve[2] or 0) + int(twelve[3] or 0) / 60.0
    clock = _CLOCK.fullmatch(text)
    if clock:
        return int(clock[1]) * 60.0 + int(clock[2] or clock[4] or 0) + int(clock[3] or 0) / 60.0
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise SettingsError(f'expected minutes since midnight or "HH:MM", came {described(text)}')
    return value


# --- sections --------------------------------------------------------------------------------------------------------


def read_section(kind: type[T], given: Any, where: str, advice: str = "Add it.") -> T:
    """
    One dataclass from a YAML section: each key known, each value of the annotated type, none missing without a default.

    A clock time is read as minutes where the name ends in ``_min``; one number stands for a range of one.

    Parameters
    ----------
    advice
        What to do about a missing key.

    Raises
    ------
    SettingsError
        Naming the key; whatever the dataclass itself refuses passes through.
    """
    if not isinstance(given, Mapping):
        raise SettingsError(f"{where}: expected keys and values, came {given!r}.")
    items = fields(typing.cast(Any, kind))
    hints = typing.get_type_hints(kind)
    check_names(where, given, [item.name for item in items])
    for item in items:
        if item.name not in given and item.default is MISSING and item.default_factory is MISSING:
            raise SettingsError(f"{where}: key '{item.name}' is missing. {advice}")
    return kind(**{key: _typed(hints[key], key, value, f"{where}: {key}") for key, value in given.items()})


def _typed(hint: Any, name: str, value: Any, where: str) -> Any:
    """``value`` as the type that the annotation names; one that isn't plain data passes through."""
    if isinstance(hint, types.UnionType):
        return None if value is None else _typed(typing.get_args(hint)[0], name, value, where)
    if typing.get_origin(hint) is tuple:
        return _tuple(hint, name, value, where)
    if typing.get_origin(hint) is dict:
        if not isinstance(value, Mapping):
            raise SettingsError(f"{where}: expected keys and values, came {value!r}.")
        return dict(value)
    if is_dataclass(hint):
        of_kind = isinstance(value, typing.cast(type, hint))
        return value if of_kind else read_section(typing.cast(type, hint), value, where)
    if hint is str:
        return str(value)
    if hint not in (bool, int, float):
        return value
    value = value.item() if hasattr(value, "item") else value  # a number of NumPy
    if hint is bool:
        if not isinstance(value, bool):
            raise SettingsError(f"{where}: expected true or false, came {value!r}.")
        return value
    if isinstance(value, str) and name.endswith("_min"):
        try:
            return minutes_of(value)
        except SettingsError as error:
            raise SettingsError(f"{where}: {error}.") from None
    check_numbers(where, value)
    if not math.isfinite(value) or (hint is int and not float(value).is_integer()):
        raise SettingsError(f"{where}: expected a {'whole' if hint is int else 'finite'} number, came {value!r}.")
    return hint(value)


def _tuple(hint: Any, name: str, value: Any, where: str) -> tuple[Any, ...]:
    part, *rest = typing.get_args(hint)
    if rest != [Ellipsis] and not isinstance(value, (list, tuple)):
        value = [value, value]  # one number for a range
    if not isinstance(value, (list, tuple)):
        raise SettingsError(f"{where}: expected a list, came {value!r}.")
    if rest != [Ellipsis] and len(value) != 2:
        raise SettingsError(f"{where}: expected a number or [low, high], came {value!r}.")
    return tuple(_typed(part, name, item, where) for item in value)
