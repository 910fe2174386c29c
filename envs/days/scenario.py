"""
A scenario: rules, sizes, where days come from, travel, disturbances. One YAML file, every key checked.

``Scenario.load("short_shift")`` reads ``envs/scenarios/short_shift.yml``; a path reads that file. A file may start from
another one with ``extends: NAME`` and state only what differs. Keyword overrides come last.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from checked import SettingsError, check_names, nearest, read_section
from envs.days.day import Day
from envs.days.files import load_yaml, read_day, read_days, travel_from_dict
from envs.days.generators import OperatingDay, ShortShift, generator_record, write_generated_day
from envs.days.travel import HourlyTravel, Travel
from envs.world.records import BOOKING, CLOCK, DRIVER, RULES

AT_DISPATCH, AT_CALL = "at_dispatch", "at_call"
_LATER_RULES = (
    *("improvement_moves", "improvement_lost_min", "promises", "promise_moves", "freeze_min", "freeze_slack_min"),
    "expects_returns",
)
SCENARIO_DIR = Path(__file__).resolve().parent.parent / "scenarios"
_GENERATORS: dict[str, type[ShortShift] | type[OperatingDay]] = {
    "short_shift": ShortShift,
    "operating_day": OperatingDay,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """How plans are made and when decisions are asked; the fields of ``records.RULES``."""

    tick_min: float
    decisions_per_tick: int
    skips_idle_ticks: bool
    inserts: bool
    max_lateness_min: float
    plan_improvement: bool
    expiry_tolerance_min: float = 0.0
    insertion_lateness_weight: float = 1.0
    improvement_moves: int = 0  # with plan_improvement: rounds of ruin and recreate per tick with news
    improvement_lost_min: float = 0.0  # [min] a booking left out counts this there, and may be for others; 0: may not
    promises: str = AT_DISPATCH  # when a patient has the company's word: with the first place in a plan, or at the call
    promise_moves: int = 0  # at_call: rounds of search for a place that there isn't, before a refusal
    freeze_min: float = 0.0  # [min] trips that leave within it keep driver and order; 0: none
    expects_returns: bool = False  # returns are known before they are called, see envs.world.expected
    freeze_slack_min: float = 0.0  # [min] by which an insertion may delay a frozen pickup

    @property
    def promises_at_call(self) -> bool:
        """Whether every wish is promised or refused at the tick of its call, and a promise kept."""
        return self.promises == AT_CALL

    @property
    def gives_back(self) -> bool:
        """Whether plan improvement may open bookings again that had a place."""
        return self.plan_improvement and self.improvement_lost_min > 0.0 and not self.promises_at_call

    def __post_init__(self) -> None:
        _at_least("rules", "tick_min", self.tick_min, 0.1)
        for name in (
            *("decisions_per_tick", "max_lateness_min", "expiry_tolerance_min", "insertion_lateness_weight"),
            *("improvement_moves", "improvement_lost_min", "promise_moves", "freeze_min", "freeze_slack_min"),
        ):
            _at_least("rules", name, getattr(self, name), 0)
        if self.promises not in (AT_DISPATCH, AT_CALL):
            raise ValueError(f"rules: promises ({self.promises!r}): expected {AT_DISPATCH!r} or {AT_CALL!r}.")
        for name, needed, is_there in (
            ("promise_moves", f"promises: {AT_CALL}", self.promises_at_call),
            ("freeze_slack_min", "freeze_min", self.freeze_min > 0),
        ):
            if getattr(self, name) and not is_there:
                raise ValueError(
                    f"rules: {name} ({getattr(self, name):g}) does nothing without {needed}. Set that too."
                )
        if self.improvement_lost_min and not self.improvement_moves:
            raise ValueError(
                f"rules: improvement_lost_min ({self.improvement_lost_min:g}) does nothing without improvement_moves. "
                "Set that too, 300 for example."
            )


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many drivers a generated day has, and how many rows, slots and places in a plan the arrays have."""

    num_drivers: tuple[int, int]  # low, high
    max_bookings: int
    max_trips: int
    max_drivers: int | None = None  # rows for drivers; None: as many as num_drivers can be

    def __post_init__(self) -> None:
        low, high = self.num_drivers
        if not 1 <= low <= high:
            raise ValueError(f"sizes: num_drivers ({low} to {high}): expected 1 <= first <= second.")
        _at_least("sizes", "max_bookings", self.max_bookings, 1)
        _at_least("sizes", "max_trips", self.max_trips, 1)
        if self.max_drivers is not None and self.max_drivers < high:
            raise ValueError(
                f"sizes: max_drivers ({self.max_drivers}) is less than num_drivers ({high}). Raise it or leave it out."
            )


@dataclass(frozen=True, slots=True)
class DayFiles:
    """Days read from files: a folder of pairs, or one pair."""

    folder: str | None = None
    bookings: str | None = None
    fleet: str | None = None


@dataclass(frozen=True, slots=True)
class Disturbances:
    """What may go wrong during a day; nothing by default."""

    travel_noise_std: float = 0.0  # of the logarithm of a leg's work
    cancellation_rate: float = 0.0  # share of bookings
    no_show_rate: float = 0.0  # share of bookings
    drop_out_rate: float = 0.0  # share of drivers

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"disturbances: {item.name} ({value:g}): expected a number from 0 to 1.")


@dataclass(frozen=True, slots=True)
class Observation:
    """Centre of the service area, and the kilometres that become 1 in the observation."""

    center_lat: float
    center_lon: float
    scale_km: float

    def __post_init__(self) -> None:
        if not (-90 <= self.center_lat <= 90 and -180 <= self.center_lon <= 180):
            raise ValueError(f"observation: the centre ({self.center_lat}, {self.center_lon}) is off the globe.")
        _at_least("observation", "scale_km", self.scale_km, 0.001)


def _at_least(where: str, name: str, value: float, minimum: float) -> None:
    if not (math.isfinite(value) and value >= minimum):
        raise ValueError(f"{where}: {name} ({value:g}): expected a finite number of at least {minimum:g}.")


@dataclass(frozen=True)
class Scenario:
    """
    Everything that defines an environment apart from its reward.

    ``num_drivers``, ``max_bookings`` and ``max_trips`` are the sizes of the arrays; a generated day has from
    ``drivers_range[0]`` to ``drivers_range[1]`` drivers.
    """

    name: str
    rules: Rules
    sizes: Sizes
    day: ShortShift | OperatingDay | DayFiles
    travel: Travel
    observation: Observation
    disturbances: Disturbances = field(default_factory=Disturbances)

    def __post_init__(self) -> None:
        if self.is_generated and not isinstance(self.travel, HourlyTravel):
            raise ValueError(f"scenario {self.name}: generated days travel by hourly speeds; set model: hourly.")

    # --- making one ---------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, name_or_path: str | Path | Scenario, /, **overrides: Any) -> Scenario:
        """
        The scenario of a shipped name or of a YAML file, with some values replaced.

        Parameters
        ----------
        overrides
            By name of the value (``num_drivers=8``) or with its section (``**{"sizes.num_drivers": 8}``); ``None`` is
            left out.

        Raises
        ------
        ValueError
            For an unknown scenario, key or override, naming the nearest known one, or for a value that can't be.
        """
        if isinstance(name_or_path, Scenario):
            content, name = name_or_path.to_dict(), name_or_path.name
        else:
            path = _path_of(name_or_path)
            content, name = _resolved(path, ()), path.stem
        given = {key: value for key, value in overrides.items() if value is not None}
        return cls.from_dict(_overridden(f"scenario {name}", content, given), name)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], name: str = "scenario") -> Scenario:
        """The scenario of plain data as in YAML; the inverse of ``to_dict``."""
        where = f"scenario {name}"
        content = {key: value for key, value in content.items() if key != "name"}
        sections = ("rules", "sizes", "day", "travel", "disturbances", "observation")
        check_names(where, content, sections, "section")
        for section in ("rules", "sizes", "day", "travel", "observation"):
            if not isinstance(content.get(section), Mapping):
                raise ValueError(f"{where}: section {section!r} is missing. Add it, or start from one with 'extends:'.")
        return cls(
            name=name,
            rules=_section(Rules, content["rules"], f"{where}, rules"),
            sizes=_section(Sizes, content["sizes"], f"{where}, sizes"),
            day=_day_section(content["day"], where),
            travel=travel_from_dict(f"{where}, travel", content["travel"]),
            observation=_section(Observation, content["observation"], f"{where}, observation"),
            disturbances=_section(Disturbances, content.get("disturbances") or {}, f"{where}, disturbances"),
        )

    # --- what it says -------------------------------------------------------------------------------------------------

    @property
    def is_generated(self) -> bool:
        """Days have numbers; otherwise they come from files."""
        return not isinstance(self.day, DayFiles)

    @property
    def num_drivers(self) -> int:
        """Rows for drivers, N."""
        return self.sizes.max_drivers or self.sizes.num_drivers[1]

    @property
    def drivers_range(self) -> tuple[int, int]:
        """Fewest and most drivers of a generated day."""
        return self.sizes.num_drivers

    @property
    def max_bookings(self) -> int:
        """Slots for open bookings, M."""
        return self.sizes.max_bookings

    @property
    def max_trips(self) -> int:
        """Trips per driver, the one under way counted."""
        return self.sizes.max_trips

    def rules_record(self) -> npt.NDArray[Any]:
        """RULES, shape (1,)."""
        record = np.zeros(1, dtype=RULES)
        for item in fields(self.rules):
            if item.name in (RULES.names or ()):
                record[item.name] = getattr(self.rules, item.name)
        record["promises_at_call"] = self.rules.promises_at_call
        record["improves_plans"] = self.rules.plan_improvement
        record["max_trips"] = self.sizes.max_trips
        return record

    def generator_record(self) -> npt.NDArray[Any]:
        """GENERATOR, shape (1,), for ``generators.write_generated_day``."""
        if isinstance(self.day, DayFiles) or not isinstance(self.travel, HourlyTravel):
            raise ValueError(
                f"scenario {self.name}: its days come from files, so a day has no number. Pass Day objects."
            )
        return generator_record(
            self.day,
            self.sizes.num_drivers,
            self.rules.tick_min,
            self.observation.center_lat,
            self.observation.center_lon,
            self.travel,
        )

    def read_days(self) -> list[Day]:
        """The days of the files that the scenario names."""
        if not isinstance(self.day, DayFiles):
            raise ValueError(f"scenario {self.name}: its days are generated. Use generate_day(scenario, number).")
        if self.day.folder is not None:
            return read_days(self.day.folder, default_travel=self.travel)
        if self.day.bookings is not None and self.day.fleet is not None:
            return [read_day(self.day.bookings, self.day.fleet, self.travel)]
        raise ValueError(
            f"scenario {self.name}: no day files. Set folder, or both bookings and fleet, in its section day: files:."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data with every value resolved; ``from_dict`` gives an equal scenario."""
        if isinstance(self.day, DayFiles):
            day: dict[str, Any] = {"files": asdict(self.day)}
        else:
            name = next(name for name, settings in _GENERATORS.items() if isinstance(self.day, settings))
            day = {"generator": name, **_plain(self.day)}
            if not day.get("has_appointments", True):
                del day["has_appointments"]
        rules = _plain(self.rules)
        for item in fields(Rules):  # what came later is left out while off, so that older fingerprints stay valid
            if item.name in _LATER_RULES and rules[item.name] == item.default:
                del rules[item.name]
        return {
            "name": self.name,
            "rules": rules,
            "sizes": _plain(self.sizes),
            "day": day,
            "travel": self.travel.to_dict(),
            "disturbances": _plain(self.disturbances),
            "observation": _plain(self.observation),
        }

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the resolved content; the name doesn't count."""
        content = {key: value for key, value in self.to_dict().items() if key != "name"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


# --- generated days --------------------------------------------------------------------------------------------------


def max_bookings_of_day(scenario: Scenario) -> int:
    """The largest number of bookings that a generated day can have: the rows K that arrays need."""
    if isinstance(scenario.day, DayFiles):
        raise ValueError(f"scenario {scenario.name}: its days come from files. Take the largest day.num_bookings.")
    return scenario.day.max_bookings(scenario.sizes.num_drivers[1], scenario.rules.tick_min)


def generate_day(scenario: Scenario, day_number: int) -> Day:
    """Day ``day_number`` of a scenario with a generator, by the same compiled code that the simulator uses."""
    if day_number < 0:
        raise ValueError(f"scenario {scenario.name}: day number {day_number} is negative. Day numbers start at 0.")
    bookings = np.zeros(max_bookings_of_day(scenario), dtype=BOOKING)
    drivers = np.zeros(scenario.sizes.num_drivers[1], dtype=DRIVER)
    clock = np.zeros(1, dtype=CLOCK)
    write_generated_day(scenario.generator_record(), day_number, bookings, drivers, clock, np.zeros(24))
    return Day.from_records(bookings, drivers, clock, scenario.travel)


# --- reading ---------------------------------------------------------------------------------------------------------


def _path_of(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    shipped = SCENARIO_DIR / f"{name_or_path}.yml"
    if path.suffix in (".yml", ".yaml"):
        if not path.exists():
            raise FileNotFoundError(f"scenario {path}: no such file. Check the path.")
        return path
    if not shipped.exists():
        names = [known.stem for known in SCENARIO_DIR.glob("*.yml")]
        raise ValueError(f"unknown scenario {str(name_or_path)!r}. {nearest(name_or_path, names)}")
    return shipped


def _resolved(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The content of a scenario file on top of the ones that it extends."""
    if path.resolve() in seen:
        raise ValueError(f"scenario {path}: 'extends' leads back to the file itself. Break the circle.")
    content = load_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"scenario {path}: expected sections (rules, sizes, day, ...), came {type(content).__name__}.")
    base_name = content.pop("extends", None)
    if base_name is None:
        return content
    beside = path.parent / str(base_name)
    base = _resolved(beside if beside.is_file() else _path_of(base_name), (*seen, path.resolve()))
    for section, values in content.items():
        known = base.get(section)
        if isinstance(known, dict) and isinstance(values, dict):
            # Another generator or travel model shares no keys with the old one
            kinds = ("generator", "model", "files")
            is_other = any(kind in values and values[kind] != known.get(kind) for kind in kinds)
            values = values if is_other else {**known, **values}
        base[section] = values
    return base


def _overridden(where: str, content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in content.items()}
    day: dict[str, Any] = result.get("day") or {}
    is_files = isinstance(day.get("files"), Mapping)
    if is_files:
        day["files"] = dict(day["files"])
    known = {
        "rules": {item.name for item in fields(Rules)},
        "sizes": {item.name for item in fields(Sizes)},
        "day": {item.name for item in fields(DayFiles)} if is_files else set(day) | {"generator"},
        "travel": set(result.get("travel") or ()),
        "disturbances": {item.name for item in fields(Disturbances)},
        "observation": {item.name for item in fields(Observation)},
    }
    for key, value in overrides.items():
        name = key.rpartition(".")[2]
        sections = [section for section, names in known.items() if key in (name, f"{section}.{name}") and name in names]
        if len(sections) != 1:
            if sections:
                raise SettingsError(f"{where}: '{key}' stands in {' and '.join(sections)}: write section.name.")
            check_names(where, [key], set().union(*known.values()), "override")
        target = result.setdefault(sections[0], {})
        (target["files"] if sections[0] == "day" and is_files else target)[name] = value
    return result


def _day_section(content: Mapping[str, Any], where: str) -> ShortShift | OperatingDay | DayFiles:
    if "files" in content:
        check_names(f"{where}, day", content, ("files",))
        return _section(DayFiles, content["files"] or {}, f"{where}, day files")
    if "generator" not in content:
        raise ValueError(f"{where}, day: expected 'generator' ({', '.join(_GENERATORS)}) or 'files'.")
    name = content["generator"]
    if name not in _GENERATORS:
        raise ValueError(f"{where}, day: unknown generator {name!r}. {nearest(name, _GENERATORS)}")
    values = {key: value for key, value in content.items() if key != "generator"}
    return _section(_GENERATORS[name], values, f"{where}, day {name}")


def _section(kind: type[Any], content: Any, where: str) -> Any:
    """One frozen dataclass from its keys; what it refuses itself is told with the scenario's name."""
    try:
        return read_section(kind, content, where, "Add it, or start from a scenario with 'extends:'.")
    except SettingsError:
        raise
    except ValueError as error:
        scenario = where.split(",")[0]
        raise ValueError(f"{scenario}, {error}") from None


def _plain(section: Any) -> dict[str, Any]:
    """A dataclass as YAML would hold it: lists for tuples."""
    return json.loads(json.dumps(asdict(section)))
