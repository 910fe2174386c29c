"""
Settings from outside, checked where they enter.

Knows nothing of dispatch. Every message says where, what was expected, what came and what to do; a name that nobody
knows is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

_NUMBER_AS_TEXT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")  # PyYAML wants a point and a sign in it


class SettingsError(ValueError):
    """A setting that can't be used; the message says where, what was expected, what came and what to do."""


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


def is_number_as_text(value: Any) -> bool:
    """Whether this is a number for people and text for YAML, such as 1e-4."""
    return isinstance(value, str) and _NUMBER_AS_TEXT.fullmatch(value) is not None
