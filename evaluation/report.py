"""What an evaluation says: who is ahead by how much, as a table, a sentence, JSON and CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.gap import Ahead, Reference, gap_percent, share_closed, significant_pairs
from evaluation.page import to_html
from evaluation.runner import MARGIN, Played
from evaluation.statistics import Interval, bootstrap_mean, holm, paired_difference, relative_change

OBJECTIVES = {"reward": 1, "cost": -1, "cost_with_lateness": -1}  # +1: more is better
COMPARED_METRICS = (
    "reward",
    "service_rate",
    "on_time_share",
    "late_share_5",
    "lateness_mean_min",
    "deadhead_km",
    "km_per_served_trip",
    "cost",
    MARGIN,
)
SLOW_TICK_MS = 1.0  # from which on a tick of the world is worth a word
NUM_WORST_DAYS = 5
SIGNIFICANCE = 0.05
TABLE_WIDTH = 120


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
        p_value = self.interval.p_value if math.isnan(self.p_value_holm) else self.p_value_holm
        return self.interval.is_significant and p_value < SIGNIFICANCE


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
        self.ahead: list[Ahead] = significant_pairs(self) if self.compares_all else []

    @property
    def played(self) -> list[Played]:
        return [*self.models, *self.rules]

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
        sign = OBJECTIVES[self.objective]
        means = [(sign * played.mean(self.objective), -i) for i, played in enumerate(candidates)]
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
                Comparison(
                    name,
                    self.best_rule,
                    metric,
                    paired_difference(self.values(name, metric), reference, self.clusters),
                )
                for name in others
            ]
            for row, p_value in zip(rows, holm([row.interval.p_value for row in rows]), strict=True):
                row.p_value_holm = p_value
            comparisons += rows
        return comparisons

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

    @property
    def focus(self) -> str | None:
        """Whom the evaluation is about: the first pool of seeds, else the best model, else nobody."""
        if self.pools:
            return next(iter(self.pools))
        return self._best(self.models)

    # --- words --------------------------------------------------------------------------------------------------------

    def verdict(self) -> str:
        """One sentence: who wins, by how much, and whether that is significant."""
        days = f"{len(set(self.clusters))} days"
        objective = self.objective.replace("_", " ")
        focus = self.focus
        if self.best_rule is None:
            if focus is None:
                return f"No policy has a mean {objective}."
            return (
                f"{focus}: mean {objective} {number(self.mean(focus, self.objective))} on {days}; no rule played, so "
                "nobody is beaten. Pass --compare-baseline."
            )
        sign = OBJECTIVES[self.objective]
        if focus is not None:
            row = self.comparison(focus)
            assert row is not None
            ahead = sign * row.interval.mean
            word = "beats" if ahead > 0 else "loses to" if ahead < 0 else "equals"
            by = self._by(row)
            return f"{focus} {word} the best rule, {self.best_rule}, by {by} in {objective} per day on {days}."
        others = [row for row in self.comparisons if row.metric == self.objective]
        if not others:
            return f"{self.best_rule} has a mean {objective} of {self._mean_of_best()} on {days}; nothing else played."
        second = min(others, key=lambda row: -sign * row.interval.mean)
        # A re-planner is no simple rule, and may be ahead of the best of these.
        place = "beaten by" if sign * second.interval.mean > 0 else "ahead of"
        return (
            f"{self.best_rule} is the best rule with a mean {objective} of {self._mean_of_best()} on {days}, {place} "
            f"{second.policy} by {self._by(second)}."
        )

    def _mean_of_best(self) -> str:
        assert self.best_rule is not None
        return number(self.mean(self.best_rule, self.objective))

    def _by(self, row: Comparison) -> str:
        low, high = row.interval.low, row.interval.high
        if low * high > 0:  # the sentence says who is ahead, so both ends can do without a sign
            low, high = sorted((abs(low), abs(high)))
        interval = f"{number(low)} to {number(high)}"
        share = relative_change(abs(row.interval.mean), self._interval(row.against, row.metric))
        if self.mean(row.policy, row.metric) <= 0:
            share = None
        percent = "" if share is None else f" = {100 * share:.1f} %"
        significance = "significant" if row.is_significant else "not significant"
        return f"{number(abs(row.interval.mean))}{percent} (95 % interval {interval}, {significance})"

    def _interval(self, name: str, metric: str) -> Interval:
        return bootstrap_mean(self.values(name, metric), self.clusters)

    def worst_days(self) -> list[dict[str, Any]]:
        """Where the model loses most to the best rule; without a model, the days that went worst for the best rule."""
        sign = OBJECTIVES[self.objective]
        focus = self.focus
        name = focus or self.best_rule
        if name is None:
            return []
        values = np.atleast_2d(self.values(name, self.objective)).mean(axis=0)
        score = sign * values
        against = None
        if focus is not None and self.best_rule is not None:
            against = self.values(self.best_rule, self.objective)
            score = sign * (values - against)
        order = [int(i) for i in np.argsort(score, kind="stable") if not math.isnan(score[i])][:NUM_WORST_DAYS]
        rows = []
        for i in order:
            row = {"day": self.labels[i], "policy": name, self.objective: float(values[i])}
            if against is not None:
                row["best_rule"] = float(against[i])
                row["difference"] = float(values[i] - against[i])
            for kpi in ("num_bookings", "num_lost", "lateness_p95_min"):
                row[kpi] = float(np.mean(np.atleast_2d(self.values(name, kpi))[:, i]))
            rows.append(row)
        return rows

    def text(self) -> str:
        """The table, notes, worst days and the verdict, for a terminal."""
        parts = [self.headline(), "", *table(self), ""]
        worst = self.worst_days()
        if worst:
            where = "against the best rule" if "difference" in worst[0] else "in themselves"
            parts.append(f"Worst days of {worst[0]['policy']} {where}:")
            for row in worst:
                versus = ""
                if "difference" in row:
                    versus = f" (best rule {number(row['best_rule'])}, {signed(row['difference'])})"
                lost = f"{row['num_lost']:.3g} of {row['num_bookings']:.0f} lost"
                late = f"late p95 {number(row['lateness_p95_min'])} min"
                parts.append(
                    f"  day {row['day']}: {self.objective} {number(row[self.objective])}{versus}, {lost}, {late}"
                )
            parts.append("")
        others = sum(row.metric == self.objective for row in self.comparisons)
        if any(not row.is_significant for row in self.comparisons if row.metric == self.objective):
            parts.append(f"n.s.: not significant at 5 % after Holm's correction for {others} comparisons.")
        if self.reference is not None:
            parts += [f"Note: {note}" for note in self.reference.notes()]
        if self.compares_all:
            parts += ["Significantly better (5 %, Holm's correction for all pairs):", *self.ahead_lines()]
        parts += [f"Note: {note}" for note in [*self.notes, *self.tick_notes()]]
        parts.append(self.verdict())
        return "\n".join(parts)

    def tick_notes(self) -> list[str]:
        """What the world itself takes between two ticks, where that is more than a moment."""
        slowest = max(self.played, key=lambda played: np.nan_to_num(played.tick_ms[1], nan=0.0))
        p50, p99 = slowest.tick_ms
        if not p99 >= SLOW_TICK_MS:
            return []
        return [
            f"a tick of the world itself, plan improvement included, takes {_ms(p50)}/{_ms(p99)} ms (p50/p99) under "
            f"{slowest.policy}."
        ]

    def ahead_lines(self) -> list[str]:
        """Who is significantly better than whom, a line per policy that is."""
        lines = []
        for name in dict.fromkeys(pair.better for pair in self.ahead):
            worse = [pair.worse for pair in self.ahead if pair.better == name]
            lines.append(f"  {name} > {', '.join(worse)}")
        return lines

    def headline(self) -> str:
        """What was played, in a line."""
        days = f"{len(self.labels)} days {self.labels[0]} to {self.labels[-1]}"
        if len(set(self.clusters)) != len(self.labels):
            days = f"{len(self.labels)} rows of {len(set(self.clusters))} service days"
        reward = "no reward" if self.reward is None else f"reward {self.reward}"
        return f"{self.env_id} ({self.scenario}), {reward}, judged by {self.objective}, {days}"

    def _kind(self, name: str) -> str:
        if name in self.pools:
            return "pool"
        if name in self.replanners:
            return "replanner"
        return "model" if any(model.policy == name for model in self.models) else "rule"

    # --- files --------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single days, as plain data."""
        policies: dict[str, dict[str, Any]] = {}
        for name in [*self.pools, *(played.policy for played in self.played)]:
            members = self.of(name)
            objective = self._interval(name, self.objective)
            policies[name] = {
                "kind": self._kind(name),
                "reward_mean": self.mean(name, "reward"),
                "objective_mean": objective.mean,
                "objective_ci_low": objective.low,
                "objective_ci_high": objective.high,
                "kpis": {kpi: self.mean(name, kpi) for kpi in members[0].kpis},
                "reward_terms": {
                    term: float(np.mean([played.terms[term].mean() for played in members])) for term in members[0].terms
                },
                "latency_ms_p50": float(np.mean([p.latency_ms[0] for p in members])),
                "latency_ms_p99": float(np.mean([p.latency_ms[1] for p in members])),
                "tick_ms_p50": float(np.mean([p.tick_ms[0] for p in members])),
                "tick_ms_p99": float(np.mean([p.tick_ms[1] for p in members])),
            }
            if self.reference is not None:
                gap, closed = self.gaps(name)
                policies[name]["gap_percent"], policies[name]["share_closed"] = gap, closed
            if name in self.pools:
                policies[name]["members"] = self.pools[name]
        comparisons = [
            {
                "policy": row.policy,
                "against": row.against,
                "metric": row.metric,
                "mean_difference": row.interval.mean,
                "ci_low": row.interval.low,
                "ci_high": row.interval.high,
                "num_days": row.interval.num_days,
                "p_value": row.interval.p_value,
                "p_value_holm": row.p_value_holm,
                "is_significant": row.is_significant,
            }
            for row in self.comparisons
        ]
        days = [int(label) if label.isdecimal() else label for label in self.labels]
        return _plain(
            {
                "env_id": self.env_id,
                "scenario": self.scenario,
                "reward": self.reward,
                "objective": self.objective,
                "days": days,
                "policies": policies,
                "best_rule": self.best_rule,
                "comparisons": comparisons,
                "worst_days": self.worst_days(),
                "verdict": self.verdict(),
                "notes": self.notes,
                "hindsight": None if self.reference is None else self.reference.to_dict(self.objective),
                "significant_pairs": [vars(pair) for pair in self.ahead],
                **self.about,
            }
        )

    def write(self, folder: str | Path) -> tuple[Path, Path, Path]:
        """
        Write evaluation.json, evaluation.csv (a row per policy and day) and evaluation.html into ``folder``.

        Curves of the training that lie there already (``curves*.png``, see studies.curves) are shown on the page.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        json_path, csv_path, html_path = (folder / f"evaluation.{suffix}" for suffix in ("json", "csv", "html"))
        html_path.write_text(to_html(self, sorted(folder.glob("curves*.png"))))
        json_path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")
        terms, kpis = list(self.played[0].terms), list(self.played[0].kpis)
        with csv_path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["policy", "day", "service_day", "reward", *kpis, *(f"term_{term}" for term in terms)])
            for played in self.played:
                for i, case in enumerate(played.cases):
                    numbers = [played.reward[i], *(played.kpis[kpi][i] for kpi in kpis)]
                    numbers += [played.terms[term][i] for term in terms]
                    cells = ["" if math.isnan(value) else f"{value:.6g}" for value in numbers]
                    writer.writerow([played.policy, case.label, case.cluster, *cells])
        return json_path, csv_path, html_path


def _plain(value: Any) -> Any:
    """JSON knows no nan: null stands for what is not defined."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def number(value: float) -> str:
    """Short enough for a table: no decimals from 1000 on."""
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def signed(value: float) -> str:
    """As ``number``, with its sign."""
    return "-" if math.isnan(value) else ("+" if value >= 0 else "") + number(value)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def table_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """
    Header and cells: policies by their mean objective, the best first.

    KPIs are means over the days; ms is the time per decision, median / 99th percentile. With hindsight, gap% is how
    much worse than it and closed% the share of the way to it from the best simple rule.
    """
    sign = OBJECTIVES[evaluation.objective]
    names = [*evaluation.pools, *(played.policy for played in evaluation.played)]
    names.sort(key=lambda name: -sign * _or(evaluation.mean(name, evaluation.objective), -sign * math.inf))
    last = ("p95late", "km/trip") if evaluation.reference is None else ("gap%", "closed%")
    rows: list[tuple[str, ...]] = [
        (
            *("policy", evaluation.objective[:8], "vs best rule [95 %]"),
            *("served%", "ontime%", *last[:1], "lost", "dead km", *last[1:], "ms p50/p99"),
        )
    ]
    for name in names:
        row = evaluation.comparison(name)
        if name == evaluation.best_rule:
            difference = "best rule"
        elif row is None:
            difference = ""
        else:
            interval = row.interval
            difference = f"{signed(interval.mean)} [{signed(interval.low)}, {signed(interval.high)}]"
            difference += "" if row.is_significant else " n.s."
        p50, p99 = (float(np.mean([p.latency_ms[i] for p in evaluation.of(name)])) for i in (0, 1))
        cells = (number(evaluation.mean(name, "lateness_p95_min")), number(evaluation.mean(name, "km_per_served_trip")))
        if evaluation.reference is not None:
            gap, closed = evaluation.gaps(name)
            cells = (number(gap), number(100.0 * closed))
        rows.append(
            (
                name,
                number(evaluation.mean(name, evaluation.objective)),
                difference,
                _percent(evaluation.mean(name, "service_rate")),
                _percent(evaluation.mean(name, "on_time_share")),
                cells[0],
                number(evaluation.mean(name, "num_lost")),
                number(evaluation.mean(name, "deadhead_km")),
                cells[1],
                "-" if math.isnan(p50) else f"{_ms(p50)}/{_ms(p99)}",
            )
        )
    return rows


def table(evaluation: Evaluation) -> list[str]:
    """``table_rows`` as lines of at most TABLE_WIDTH characters."""
    rows = table_rows(evaluation)
    widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]))]
    # What is too wide is taken from the names.
    widths[0] = max(16, min(widths[0], TABLE_WIDTH - sum(widths[1:]) - (len(widths) - 1)))
    lines = []
    for line in rows:
        name = line[0] if len(line[0]) <= widths[0] else line[0][: widths[0] - 1] + "…"
        cells = [name.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append(" ".join(cells).rstrip())
    lines.insert(1, "-" * min(TABLE_WIDTH, sum(widths) + len(widths) - 1))
    return lines


def _ms(value: float) -> str:
    if value < 0.01:
        return "<.01"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _or(value: float, other: float) -> float:
    return other if math.isnan(value) else value
