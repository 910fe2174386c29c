"""What follows from policies that played the same days, in numbers: means, paired differences, gaps, worst days."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evaluation.reference import Reference, gap_percent, share_closed
from evaluation.runner import MARGIN, Played
from evaluation.statistics import Interval, bootstrap_mean, holm, paired_difference, relative_change

OBJECTIVES = {"reward": 1, "cost": -1, "cost_with_lateness": -1}  # +1: more is better
COMPARED_METRICS = (
    "reward",
    "service_rate",
    "num_refused",
    "num_broken",
    "on_time_share",
    "late_share_5",
    "lateness_mean_min",
    "deadhead_km",
    "km_per_served_trip",
    "cost",
    MARGIN,
)
NUM_WORST_DAYS = 5
DAY_KPIS = {"num_bookings", "num_lost", "lateness_p95_min"}  # shown beside each of them
SIGNIFICANCE = 0.05


@dataclass
class Comparison:
    """The paired difference of one metric between two policies on the same days."""

    policy: str
    against: str
    metric: str
    interval: Interval
    p_value_holm: float = float("nan")  # corrected for all policies compared on this metric

    @property
    def is_significant(self) -> bool:
        """Whether the two can be told from each other at 5 %, after the correction; never on one day."""
        p_value = self.interval.p_value if math.isnan(self.p_value_holm) else self.p_value_holm
        return self.interval.is_significant and p_value < SIGNIFICANCE


@dataclass(frozen=True)
class Ahead:
    """``better`` beats ``worse`` on the objective, after the correction for all pairs."""

    better: str
    worse: str
    mean_difference: float
    p_value_holm: float


@dataclass
class Evaluation:
    """
    Policies that played the same days, and what follows from it.

    Parameters
    ----------
    env_id, scenario, reward, objective
        What was played and by what it is judged; ``objective`` is a key of OBJECTIVES.
    rules, models
        What each policy did on the same cases.
    pools
        Name to the names of models that differ in the training seed only: they stand for one method.
    notes
        What the reader has to know, one sentence each.
    about
        Further facts for the JSON (commit, versions, command, settings of the rules).
    replanners
        Names of those among ``rules`` that are re-planners: they are no candidates for the best simple rule.
    reference
        The hindsight plans of the days; then the table says how far from them everybody is.
    compares_all
        Also say who is significantly better than whom.
    unit
        What is played again and again, in a word.
    """

    env_id: str
    scenario: str
    reward: str | None
    objective: str
    rules: list[Played]
    models: list[Played] = field(default_factory=list)
    pools: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    replanners: list[str] = field(default_factory=list)
    reference: Reference | None = None
    compares_all: bool = False
    unit: str = "day"

    def __post_init__(self) -> None:
        played = self.played
        if not played:
            raise ValueError("evaluation: expected at least one policy, got none.")
        labels = [case.label for case in played[0].cases]
        for other in played[1:]:
            if [case.label for case in other.cases] != labels:
                raise ValueError(f"evaluation: '{other.policy}' played other days than '{played[0].policy}'.")
        self.labels = labels
        self.clusters = [case.cluster for case in played[0].cases]
        simple = [rule for rule in self.rules if rule.policy not in self.replanners]
        self.best_rule = self._best(simple or self.rules)
        self.comparisons = self._compare() if self.best_rule is not None else []
        self.ahead: list[Ahead] = self._significant_pairs() if self.compares_all else []

    @property
    def played(self) -> list[Played]:
        return [*self.models, *self.rules]

    @property
    def names(self) -> list[str]:
        """All that can be looked at: pools, models, rules."""
        return [*self.pools, *(played.policy for played in self.played)]

    @property
    def sign(self) -> int:
        """+1 where more of the objective is better, -1 where less is."""
        return OBJECTIVES[self.objective]

    @property
    def num_days(self) -> int:
        """Service days: rows of one day (fleets, announcement seeds) count once."""
        return len(set(self.clusters))

    def of(self, name: str) -> list[Played]:
        """The policy of that name, or the members of a pool."""
        members = self.pools.get(name, [name])
        return [played for played in self.played if played.policy in members]

    def values(self, name: str, metric: str) -> np.ndarray:
        """Per day: shape (num_days,), or (num_seeds, num_days) for a pool."""
        rows = [played.values(metric) for played in self.of(name)]
        return rows[0] if len(rows) == 1 else np.stack(rows)

    def mean(self, name: str, metric: str) -> float:
        """Mean over days on which the metric is defined, and over the seeds of a pool."""
        return float(np.mean([played.mean(metric) for played in self.of(name)]))

    def _best(self, candidates: Sequence[Played]) -> str | None:
        """The candidate with the best mean of the objective; the earlier one of equals."""
        means = [(self.sign * played.mean(self.objective), -i) for i, played in enumerate(candidates)]
        known = [mean for mean in means if not math.isnan(mean[0])]
        return candidates[-max(known)[1]].policy if known else None

    def _compare(self) -> list[Comparison]:
        assert self.best_rule is not None
        others = [*self.pools, *(played.policy for played in self.played if played.policy != self.best_rule)]
        metrics = list(dict.fromkeys((self.objective, *COMPARED_METRICS)))
        comparisons = []
        for metric in metrics:
            if metric != "reward" and metric not in self.rules[0].kpis:
                continue
            reference = self.values(self.best_rule, metric)
            if np.isnan(reference).all():
                continue
            rows = [
                Comparison(name, self.best_rule, metric, self._difference(name, metric, reference)) for name in others
            ]
            for row, p_value in zip(rows, holm([row.interval.p_value for row in rows]), strict=True):
                row.p_value_holm = p_value
            comparisons += rows
        return comparisons

    def _difference(self, name: str, metric: str, reference: np.ndarray) -> Interval:
        return paired_difference(self.values(name, metric), reference, self.clusters)

    def comparison(self, name: str, metric: str | None = None) -> Comparison | None:
        """``name`` against the best rule; None for the best rule itself."""
        metric = metric or self.objective
        return next((row for row in self.comparisons if (row.policy, row.metric) == (name, metric)), None)

    def gaps(self, name: str) -> tuple[float, float]:
        """
        Per cent by which a policy is worse than hindsight, and the share of the way there from the best simple rule.
        """
        if self.reference is None:
            return math.nan, math.nan
        best, mean = float(self.reference.values.mean()), self.mean(name, self.objective)
        rule = math.nan if self.best_rule is None else self.mean(self.best_rule, self.objective)
        return gap_percent(mean, best, self.objective), share_closed(mean, rule, best)

    def _significant_pairs(self) -> list[Ahead]:
        """All pairs of policies (pools for their members) that differ significantly, paired by day, Holm-corrected."""
        pooled = {name for members in self.pools.values() for name in members}
        names = [*self.pools, *(one.policy for one in self.played if one.policy not in pooled)]
        pairs = list(itertools.combinations(names, 2))
        intervals = []
        for pair in pairs:
            one, other = (np.atleast_2d(self.values(name, self.objective)) for name in pair)
            # A pool keeps its seeds against a single policy; two pools are compared by their means.
            if len(one) > 1 and len(other) > 1:
                one, other = one.mean(axis=0, keepdims=True), other.mean(axis=0, keepdims=True)
            intervals.append(paired_difference(one, other, self.clusters))
        ahead = []
        for (a, b), interval, p_value in zip(pairs, intervals, holm([x.p_value for x in intervals]), strict=True):
            if interval.is_significant and p_value < SIGNIFICANCE:
                better, worse = (a, b) if self.sign * interval.mean > 0 else (b, a)
                ahead.append(Ahead(better, worse, abs(interval.mean), p_value))
        return ahead

    @property
    def focus(self) -> str | None:
        """Whom the evaluation is about: the first pool of seeds, else the best model, else nobody."""
        if self.pools:
            return next(iter(self.pools))
        return self._best(self.models)

    def kind(self, name: str) -> str:
        if name in self.pools:
            return "pool"
        if name in self.replanners:
            return "replanner"
        return "model" if any(model.policy == name for model in self.models) else "rule"

    def interval(self, name: str) -> Interval:
        """Mean objective of a policy or pool, with its interval over days."""
        return bootstrap_mean(self.values(name, self.objective), self.clusters)

    def share(self, row: Comparison) -> float | None:
        """A difference as a share of what the other has; None where a share says nothing."""
        if self.mean(row.policy, row.metric) <= 0:
            return None
        reference = bootstrap_mean(self.values(row.against, row.metric), self.clusters)
        return relative_change(abs(row.interval.mean), reference)

    def worst_days(self) -> list[dict[str, Any]]:
        """Where the model loses most to the best rule; without a model, the days that went worst for the best rule."""
        focus = self.focus
        name = focus or self.best_rule
        if name is None:
            return []
        values = np.atleast_2d(self.values(name, self.objective)).mean(axis=0)
        score = self.sign * values
        against = None
        if focus is not None and self.best_rule is not None:
            against = self.values(self.best_rule, self.objective)
            score = self.sign * (values - against)
        order = [int(i) for i in np.argsort(score, kind="stable") if not math.isnan(score[i])][:NUM_WORST_DAYS]
        rows = []
        for i in order:
            row = {"day": self.labels[i], "policy": name, self.objective: float(values[i])}
            if against is not None:
                row["best_rule"] = float(against[i])
                row["difference"] = float(values[i] - against[i])
            for kpi in DAY_KPIS & self.played[0].kpis.keys():
                row[kpi] = float(np.mean(np.atleast_2d(self.values(name, kpi))[:, i]))
            rows.append(row)
        return rows
