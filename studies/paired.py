"""What ``evaluate.py`` left of an evaluation, day by day, and paired differences between any two who played there."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.statistics import Interval, bootstrap_mean, paired_difference

FloatArray = npt.NDArray[np.float64]


def agents_of(policies: dict[str, Any]) -> list[str]:
    """Who in evaluation.json is no rule; single members are left to their pool."""
    members = {name for policy in policies.values() for name in policy.get("members", [])}
    return [name for name, policy in policies.items() if policy["kind"] in ("pool", "model") and name not in members]


@dataclass(frozen=True)
class DayResults:
    """
    Per policy and day, from evaluation.csv and evaluation.json.

    Attributes
    ----------
    about
        evaluation.json as it is.
    columns
        Policy to column (reward or KPI) to float64, shape (num_days,); nan where undefined.
    """

    about: dict[str, Any]
    columns: dict[str, dict[str, FloatArray]]

    @classmethod
    def read(cls, folder: str | Path) -> DayResults:
        folder = Path(folder)
        rows: dict[str, list[dict[str, str]]] = {}
        with (folder / "evaluation.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault(row["policy"], []).append(row)
        columns = {
            policy: {
                name: np.array([float(row[name] or "nan") for row in of_policy])
                for name in of_policy[0]
                if name not in ("policy", "day", "service_day")
            }
            for policy, of_policy in rows.items()
        }
        return cls(json.loads((folder / "evaluation.json").read_text()), columns)

    @property
    def best_rule(self) -> str:
        return str(self.about["best_rule"])

    def model_name(self, model: str | Path) -> str:
        """
        The name under which a model played: the zip ``model``, or the one that lies below that folder.

        Raises
        ------
        ValueError
            When none or several of that folder played.
        """
        model = Path(model).resolve()
        names = [
            name
            for name, path in self.about["models"].items()
            if model in (Path(path).resolve(), *Path(path).resolve().parents)
        ]
        if len(names) != 1:
            raise ValueError(f"{model}: expected one model of it in the evaluation, found {len(names)}.")
        return names[0]

    def values(self, names: Sequence[str], column: str = "reward") -> FloatArray:
        """Shape (num_policies, num_days)."""
        return np.stack([self.columns[name][column] for name in names])

    def mean(self, names: Sequence[str], column: str = "reward") -> float:
        return float(np.nanmean(self.values(names, column)))

    def interval(self, names: Sequence[str], column: str = "reward") -> Interval:
        """Mean over days and training seeds."""
        return bootstrap_mean(self.values(names, column))

    def difference(self, names: Sequence[str], others: Sequence[str], column: str = "reward") -> Interval:
        """
        Paired by day. ``others`` is one policy, or as many as ``names``: then seeds are paired in their order.
        """
        return paired_difference(self.values(names, column), self.values(others, column))
