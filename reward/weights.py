"""
Weights: what a reward version pays for what, read from YAML and checked.

All versions are one family: a version is a set of weights. A weight that a file leaves out pays nothing; a weight that
nobody knows is an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from checked import check_names, check_numbers

VERSIONS = ("v1", "v2", "v3")
_FOLDER = Path(__file__).resolve().parent


class Entry(NamedTuple):
    """One weight: where it pays (``sign`` +1), costs (-1) or only sets a threshold (0), and what it means."""

    sign: int
    default: float
    unit: str
    meaning: str


# The weights of all versions. {unit} is the version's own: points or CHF.
WEIGHTS: dict[str, Entry] = {
    "assigned": Entry(+1, 0.0, "{unit}/trip", "booking has a place in a plan, is carried out or served"),
    "lateness_per_min": Entry(-1, 0.0, "{unit}/min", "pickup after the window, per minute beyond the grace"),
    "lateness_grace_outbound_min": Entry(0, 0.0, "min", "grace on an outbound leg"),
    "lateness_grace_return_min": Entry(0, 0.0, "min", "grace on a return leg"),
    "lateness_worst": Entry(-1, -math.inf, "{unit}/trip", "no pickup pays less than this for its lateness"),
    "expired": Entry(-1, 0.0, "{unit}/booking", "booking expired, times priority/5"),
    "lost_outbound": Entry(-1, 0.0, "{unit}/booking", "outbound booking expired, whatever its priority"),
    "lost_return": Entry(-1, 0.0, "{unit}/booking", "return booking expired, whatever its priority"),
    "broken": Entry(-1, 0.0, "{unit}/booking", "promised at the call and lost, on top of the two above"),
    "late_appointment_per_min": Entry(-1, 0.0, "{unit}/min", "pickup too late for the appointment, beside lateness"),
    "short_approach": Entry(+1, 0.0, "{unit}/trip", "own approach leg is short"),
    "short_approach_km": Entry(0, 5.0, "km", "short means less than this"),
    "deadhead_per_km": Entry(-1, 0.0, "{unit}/km", "approach leg"),
    "priority": Entry(+1, 0.0, "{unit}/trip", "trip of a high priority"),
    "priority_from": Entry(0, 4.0, "priority", "high means this or more"),
    "prompt_pickup": Entry(+1, 0.0, "{unit}/trip", "picked up early in the window"),
    "prompt_share": Entry(0, 0.5, "share", "early means within this share of the window"),
    "fare_per_trip": Entry(+1, 0.0, "{unit}/trip", "fare, base"),
    "fare_per_km": Entry(+1, 0.0, "{unit}/km", "fare, per km of the ride"),
    "cost_per_km": Entry(-1, 0.0, "{unit}/km", "driving, approach and ride"),
    "emergency_trip": Entry(-1, 0.0, "{unit}/trip", "trip by an emergency driver"),
    "idle_wait": Entry(-1, 0.0, "{unit}", "waited while a feasible pair existed"),
    "infeasible": Entry(-1, 0.0, "{unit}", "infeasible action"),
    "completion": Entry(+1, 0.0, "{unit}/day", "end: times served / all bookings of the day"),
    "balance": Entry(+1, 0.0, "{unit}/day", "end: trips per driver are spread evenly"),
    "balance_std": Entry(0, 1.5, "trips", "evenly means a population std below this"),
    "mean_approach": Entry(+1, 0.0, "{unit}/day", "end: approach legs are short on average"),
    "mean_approach_km": Entry(0, 5.0, "km", "short on average means less than this"),
    "late_share": Entry(-1, 0.0, "{unit}/day", "end: too many pickups are late"),
    "late_share_from": Entry(0, 0.2, "share", "too many means a larger share than this"),
    "late_share_min": Entry(0, 5.0, "min", "late means beyond this"),
    "imbalance_per_trip": Entry(-1, 0.0, "{unit}/trip", "end: most minus fewest served trips of a driver"),
}

# What is plausible: scales pair_reward and bounds the check on lost patients; pays nothing.
LIMITS: dict[str, Entry] = {
    "longest_lateness_min": Entry(0, 30.0, "min", "max_lateness_min of the environments"),
    "longest_approach_km": Entry(0, 20.0, "km", "longest plausible approach"),
    "longest_ride_km": Entry(0, 30.0, "km", "longest plausible ride"),
    "longest_plan": Entry(0, 16.0, "trips", "most trips in a plan"),
}

WEIGHTS_DTYPE = np.dtype([(name, np.float64) for name in WEIGHTS])  # what compiled code reads

_SECTIONS = ("name", "unit", "losing_never_pays", "weights", "limits")


@dataclass(frozen=True)
class Weights:
    """The checked weights of one version; every known weight is there, 0 where the version doesn't use it."""

    name: str
    unit: str
    losing_never_pays: bool
    values: Mapping[str, float]
    limits: Mapping[str, float]

    def __getitem__(self, weight: str) -> float:
        return self.values[weight]

    def as_record(self) -> np.ndarray:
        """WEIGHTS_DTYPE, shape (1,)."""
        record = np.zeros(1, WEIGHTS_DTYPE)
        for weight, value in self.values.items():
            record[weight] = value
        return record

    def replaced(self, changes: Mapping[str, Any]) -> Weights:
        """The same version with single weights or limits changed; the name says so."""
        check_names(f"reward {self.name}", changes, (*WEIGHTS, *LIMITS), "weight")
        values = dict(self.values) | {key: value for key, value in changes.items() if key in WEIGHTS}
        limits = dict(self.limits) | {key: value for key, value in changes.items() if key in LIMITS}
        name = self.name if self.name.endswith("*") or not changes else f"{self.name}*"
        return Weights(
            name,
            self.unit,
            self.losing_never_pays,
            _checked(self.name, values, WEIGHTS),
            _checked(self.name, limits, LIMITS),
        )


def version_path(version: str | Path) -> Path:
    """
    The YAML file of "v1", "v2", "v3" (any case), or the path itself.

    A relative path that leads nowhere from the working directory is tried from the project's own folder, so that
    ``reward/paratransit.yml`` in the settings of a shipped model is found from anywhere.
    """
    text = str(version)
    if text.lower() in VERSIONS:
        return _FOLDER / f"{text.lower()}.yml"
    path = Path(version)
    if not path.is_file():
        path = _FOLDER.parent / path
    if not path.is_file():
        known = ", ".join(VERSIONS)
        raise FileNotFoundError(f"reward '{text}': no such version and no such file. Versions are {known}.")
    return path


def load_weights(version: str | Path) -> Weights:
    """
    Read and check the weights of a version.

    Raises
    ------
    ValueError
        On an unknown key, a value that isn't a number, or a bonus written as a penalty.
    """
    path = version_path(version)
    with path.open(encoding="utf-8") as file:
        content = yaml.safe_load(file)
    if not isinstance(content, dict):
        raise ValueError(f"reward file {path.name}: expected the keys {', '.join(_SECTIONS)}, came {content!r:.40}.")
    name = str(content.get("name", path.stem))
    check_names(f"reward {name}", content, _SECTIONS, "key")
    weights, limits = content.get("weights") or {}, content.get("limits") or {}
    for section, given in (("weights", weights), ("limits", limits)):
        if not isinstance(given, dict):
            raise ValueError(f"reward {name}: '{section}' must map names to numbers, came {given!r:.40}.")
    check_names(f"reward {name}", weights, WEIGHTS, "weight")
    check_names(f"reward {name}", limits, LIMITS, "limit")
    never_pays = content.get("losing_never_pays", False)
    if not isinstance(never_pays, bool):
        raise ValueError(f"reward {name}: losing_never_pays must be true or false, came {never_pays!r}.")
    return Weights(
        name,
        str(content.get("unit", "points")),
        never_pays,
        _checked(name, weights, WEIGHTS),
        _checked(name, limits, LIMITS),
    )


def _checked(name: str, given: Mapping[str, Any], entries: Mapping[str, Entry]) -> dict[str, float]:
    values = {}
    for key, entry in entries.items():
        value = given.get(key, entry.default)
        check_numbers(f"reward {name}: weight '{key}'", value)
        if math.isnan(value) or (math.isinf(value) and not (key == "lateness_worst" and value < 0)):
            raise ValueError(f"reward {name}: weight '{key}' must be finite, came {value!r}.")
        if entry.sign < 0 < value:
            raise ValueError(f"reward {name}: weight '{key}' is a cost and is paid as written. Write {-value}.")
        if entry.sign >= 0 > value:
            raise ValueError(f"reward {name}: weight '{key}' must not be negative, came {value}.")
        values[key] = float(value)
    return values
