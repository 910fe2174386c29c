"""
How long it takes from place to place: an hourly speed profile, a fitted power law, or a table of minutes.

Every model answers with kilometres and *work*: kilometres under hourly speeds, minutes under the other two, where the
speed is one unit of work per minute all day. Places are (lat, lon) [deg].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from envs.days.bounds import (
    MAX_DETOUR,
    MAX_EXPONENT,
    MAX_LEG_KM,
    MAX_LEG_MIN,
    MAX_MINUTES_PER_KM,
    MAX_SPEED_KMH,
    MIN_EXPONENT,
    MIN_SPEED_KMH,
    check_between,
)
from envs.world.travel import EARTH_RADIUS_KM

FloatArray = npt.NDArray[np.float64]


def unit_vectors(places: FloatArray) -> FloatArray:
    """Points on the unit sphere, shape (..., 3), for places of shape (..., 2) in degrees."""
    lat, lon = np.radians(places[..., 0]), np.radians(places[..., 1])
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def great_circle_km(origins: FloatArray, destinations: FloatArray) -> FloatArray:
    """Great-circle distance [km] between places that broadcast against each other, by the chord."""
    chord = np.linalg.norm(unit_vectors(origins) - unit_vectors(destinations), axis=-1)
    return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1.0, 0.5 * chord))


class Travel(Protocol):
    """What a day asks of its travel model."""

    @property
    def has_matrix(self) -> bool:
        """Kilometres and work come from tables made when the day is loaded, not from the great circle on the fly."""

    @property
    def detour(self) -> float:
        """Kilometres driven per great-circle kilometre."""

    def speeds(self) -> FloatArray:
        """Work done per minute in each hour of the day, shape (24,)."""

    def legs(self, origins: FloatArray, destinations: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Kilometres and work between places that broadcast against each other, shapes (..., 2)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, with the key ``model``, from which ``travel_from_dict`` makes the same model."""


@dataclass(frozen=True, slots=True)
class HourlyTravel:
    """Great circle x detour, driven at a speed that changes at every full hour."""

    speeds_kmh: tuple[float, ...]  # 24 numbers, hour 0 first
    detour: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "speeds_kmh", tuple(float(speed) for speed in self.speeds_kmh))
        if len(self.speeds_kmh) != 24:
            raise ValueError(
                f"travel hourly: speeds_kmh has {len(self.speeds_kmh)} numbers; expected 24, hour 0 first."
            )
        for hour, speed in enumerate(self.speeds_kmh):
            check_between("travel hourly", f"speeds_kmh of hour {hour}", speed, MIN_SPEED_KMH, MAX_SPEED_KMH, "km/h")
        check_between("travel hourly", "detour", self.detour, 0.01, MAX_DETOUR, "km per km")

    @property
    def has_matrix(self) -> bool:
        return False

    def speeds(self) -> FloatArray:
        return np.array(self.speeds_kmh) / 60.0

    def legs(self, origins: FloatArray, destinations: FloatArray) -> tuple[FloatArray, FloatArray]:
        km = great_circle_km(origins, destinations) * self.detour
        return km, km

    def to_dict(self) -> dict[str, Any]:
        return {"model": "hourly", "speeds_kmh": list(self.speeds_kmh), "detour": self.detour}


class _WorkInMinutes:
    """What models have in common that know the minutes of a leg: work is minutes, done at one a minute all day."""

    __slots__ = ()

    @property
    def has_matrix(self) -> bool:
        return True

    @property
    def detour(self) -> float:
        return 1.0

    def speeds(self) -> FloatArray:
        return np.ones(24)


@dataclass(frozen=True, slots=True)
class PowerLawTravel(_WorkInMinutes):
    """Minutes = minutes_per * km ** exponent, km the great circle: short trips are slower per kilometre."""

    minutes_per: float = 2.08  # [min] for the first km; Chattanooga, fitted on road times of 339 places (R2 0.87)
    exponent: float = 0.845  # same fit

    def __post_init__(self) -> None:
        check_between("travel power_law", "minutes_per", self.minutes_per, 0.001, MAX_MINUTES_PER_KM, "minutes")
        check_between("travel power_law", "exponent", self.exponent, MIN_EXPONENT, MAX_EXPONENT, "")

    def legs(self, origins: FloatArray, destinations: FloatArray) -> tuple[FloatArray, FloatArray]:
        km = great_circle_km(origins, destinations)
        return km, self.minutes_per * km**self.exponent

    def to_dict(self) -> dict[str, Any]:
        return {"model": "power_law", "minutes_per": self.minutes_per, "exponent": self.exponent}


@dataclass(frozen=True, eq=False)
class MatrixTravel(_WorkInMinutes):
    """
    Minutes (and kilometres, else the great circle) from each listed place to each other.

    A place of the day is looked up by its coordinates, rounded to 1e-6 deg (0.1 m); so the order is free and places may
    be shared.

    Attributes
    ----------
    places
        (lat, lon) [deg] of every start place, pickup and drop-off of the day.
    minutes, km
        float64, shape (num_places, num_places), row = origin. ``km`` may be None.
    """

    places: Sequence[tuple[float, float]]
    minutes: FloatArray
    km: FloatArray | None = None
    _rows: dict[tuple[float, float], int] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", tuple((float(lat), float(lon)) for lat, lon in self.places))
        if not self.places:
            raise ValueError("travel matrix: places is empty; expected (lat, lon) of every place of the day.")
        shape = (len(self.places), len(self.places))
        for name in ("minutes", "km"):
            table = getattr(self, name)
            if table is None:
                continue
            table = np.array(table, dtype=np.float64)
            table.setflags(write=False)
            if table.shape != shape:
                raise ValueError(f"travel matrix: {name} has shape {table.shape}; expected {shape}, a row per place.")
            if not np.all(np.isfinite(table)) or np.any(table < 0):
                row, column = np.argwhere(~np.isfinite(table) | (table < 0))[0]
                raise ValueError(
                    f"travel matrix: {name} from place {row} to place {column} is {table[row, column]}; "
                    "expected a finite number of at least 0."
                )
            limit = MAX_LEG_MIN if name == "minutes" else MAX_LEG_KM
            if np.any(table > limit):
                row, column = np.argwhere(table > limit)[0]
                raise ValueError(
                    f"travel matrix: {name} from place {row} to place {column} is {table[row, column]:.3g}; expected "
                    f"at most {limit:g}. Minutes or kilometres may have been written as seconds or metres."
                )
            object.__setattr__(self, name, table)
        for row, place in enumerate(self.places):
            self._rows.setdefault(_rounded(*place), row)

    def legs(self, origins: FloatArray, destinations: FloatArray) -> tuple[FloatArray, FloatArray]:
        from_row, to_row = self._lookup(origins), self._lookup(destinations)
        km = great_circle_km(origins, destinations) if self.km is None else self.km[from_row, to_row]
        return km, self.minutes[from_row, to_row]

    def _lookup(self, places: FloatArray) -> npt.NDArray[np.int64]:
        flat = places.reshape(-1, 2)
        rows = np.empty(len(flat), dtype=np.int64)
        for i, (lat, lon) in enumerate(flat):
            row = self._rows.get(_rounded(lat, lon))
            if row is None:
                raise ValueError(
                    f"travel matrix: no place at ({lat:.6f}, {lon:.6f}) among its {len(self.places)} places. "
                    "List every start place, pickup and drop-off of the day."
                )
            rows[i] = row
        return rows.reshape(places.shape[:-1])

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": "matrix",
            "places": [list(place) for place in self.places],
            "minutes": self.minutes.tolist(),
            "km": None if self.km is None else self.km.tolist(),
        }


def _rounded(lat: float, lon: float) -> tuple[float, float]:
    return round(float(lat), 6), round(float(lon), 6)
