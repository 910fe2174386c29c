"""The hindsight plan of each day, and how far from it a policy is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from baselines.planning.bound import upper_bound
from baselines.planning.hindsight import CACHE_DIR, COLUMNS, SIGN, Planner, hindsight, is_from_policy, store
from envs.days.scenario import Scenario
from evaluation.runner import Case, Played


@dataclass(frozen=True)
class Reference:
    """
    The hindsight plan of every case.

    Attributes
    ----------
    values
        float64, one per case: what its replay through the simulator came to.
    bounds
        float64: no plan can be better; nan where none was computed.
    origins
        Where each plan came from.
    num_iterations
        Of each search for it.
    """

    values: np.ndarray
    bounds: np.ndarray
    origins: list[str]
    num_iterations: int

    @property
    def from_policies(self) -> int:
        """On how many days no plan was found that is better than what a policy did."""
        return sum(map(is_from_policy, self.origins))

    def to_dict(self, objective: str) -> dict[str, Any]:
        known = ~np.isnan(self.bounds)
        return {
            "mean": float(self.values.mean()),
            "bound_mean": float(self.bounds.mean()) if known.all() else None,
            "objective": objective,
            "num_iterations": self.num_iterations,
            "days_from_policies": self.from_policies,
            "values": self.values.tolist(),
            "bounds": self.bounds.tolist(),
            "origins": self.origins,
        }


def make_reference(
    cases: Sequence[Case],
    played: Sequence[Played],
    scenario: Scenario,
    reward: str | None,
    objective: str,
    num_iterations: int,
    bound_seconds: float = 0.0,
    cache: Path | None = CACHE_DIR,
    on_progress: Callable[[int], None] | None = None,
) -> Reference:
    """The hindsight plan of each case, started from all that was played on it too, and its bound if asked for."""
    values, bounds, origins = [], [], []
    for i, case in enumerate(cases):
        planner = Planner(case.day, scenario, reward, objective, case.num_unservable)
        online = [(one.policy, float(one.values(objective)[i]), one.routes[i]) for one in played if one.routes]
        found = hindsight(planner, online, num_iterations, cache)
        if bound_seconds > found.bound_seconds:
            bound, routes = upper_bound(planner, found.routes, bound_seconds)
            # For a cost the greater of two bounds says more.
            if found.bound is None or SIGN[objective] * bound < SIGN[objective] * found.bound:
                found.bound = bound
            found.bound_seconds = bound_seconds
            value, driven = planner.replay(routes)
            if SIGN[objective] * value > SIGN[objective] * found.value + 1e-9:
                found.value, found.routes, found.origin = value, driven, COLUMNS
            if cache is not None:
                store(found, cache / f"{planner.digest()}.json")
        values.append(found.value)
        bounds.append(math.nan if found.bound is None else found.bound)
        origins.append(found.origin)
        if on_progress is not None:
            on_progress(i + 1)
    return Reference(np.array(values), np.array(bounds), origins, num_iterations)


def gap_percent(mean: float, best: float, objective: str) -> float:
    """How much worse than the hindsight plan, in per cent of it; nan where that plan is worth nothing or less."""
    if not best > 0:
        return math.nan
    return 100.0 * SIGN[objective] * (best - mean) / best


def share_closed(mean: float, rule: float, best: float) -> float:
    """Which part of the way from the best simple rule to the hindsight plan a policy has come; 1 is all of it."""
    return (mean - rule) / (best - rule) if best != rule else math.nan
