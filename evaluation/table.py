"""The table of an evaluation, and the text around it for a terminal."""

from __future__ import annotations

import math
import textwrap

import numpy as np

from evaluation.comparison import Evaluation
from evaluation.words import (
    ahead_lines,
    headline,
    legend,
    milliseconds,
    notes,
    number,
    signed,
    verdict,
    worst_day_lines,
)

TABLE_WIDTH = 120
KPI_COLUMNS = {  # title -> KPI and what it is multiplied by
    "served%": ("service_rate", 100.0),
    "ontime%": ("on_time_share", 100.0),
    "p95late": ("lateness_p95_min", 1.0),
    "lost": ("num_lost", 1.0),
    "dead km": ("deadhead_km", 1.0),
    "km/trip": ("km_per_served_trip", 1.0),
    "length": ("length", 1.0),  # of an episode elsewhere
}
PROMISE_COLUMNS = {
    "refused": ("num_refused", 1.0),
    "broken": ("num_broken", 1.0),
    "given back": ("num_given_back", 1.0),
    "new driver%": ("driver_changed_share", 100.0),
    "<30 min%": ("driver_changed_share_30", 100.0),
    "moved%": ("pickup_moved_share", 100.0),
    "off min": ("pickup_off_mean_min", 1.0),
    "off p95": ("pickup_off_p95_min", 1.0),
    "appt late%": ("appointment_late_share", 100.0),
}
PROMISE_LEGEND = (
    "What people were told, per day and in % of the served trips: wishes refused, promises broken, places given back, "
    "trips whose driver changed (within 30 min of the pickup), pickups moved by more than 10 min, minutes between the "
    "pickup as promised and as it was, appointments missed."
)
GAP_COLUMNS = {"p95late": "gap%", "km/trip": "closed%"}  # with hindsight, the second takes the place of the first


def table_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """
    Header and cells: policies by their mean objective, the best first.

    KPIs are means over the days, those that nobody knows are left out; ms is the time per decision, median / 99th
    percentile. With hindsight, gap% is how much worse than it and closed% the share of the way to it from the best
    simple rule.
    """
    means = {name: evaluation.sign * evaluation.mean(name, evaluation.objective) for name in evaluation.names}
    names = sorted(means, key=lambda name: math.inf if math.isnan(means[name]) else -means[name])
    columns = [title for title, (kpi, _) in KPI_COLUMNS.items() if kpi in evaluation.played[0].kpis]
    shown = columns if evaluation.reference is None else [GAP_COLUMNS.get(title, title) for title in columns]
    rows: list[tuple[str, ...]] = [("policy", evaluation.objective[:8], "vs best rule [95 %]", *shown, "ms p50/p99")]
    for name in names:
        gap, closed = evaluation.gaps(name)
        cells = {"gap%": number(gap), "closed%": number(100.0 * closed)}
        for title in columns:
            kpi, factor = KPI_COLUMNS[title]
            cells[title] = number(factor * evaluation.mean(name, kpi))
        rows.append(
            (
                name,
                number(evaluation.mean(name, evaluation.objective)),
                _difference(evaluation, name),
                *(cells[title] for title in shown),
                _latency(evaluation, name),
            )
        )
    return rows


def promise_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Header and cells, the policies in the order of ``table_rows``; none where nobody was told anything different."""
    kpis = evaluation.played[0].kpis
    columns = {title: column for title, column in PROMISE_COLUMNS.items() if column[0] in kpis}
    means = {
        name: {title: factor * evaluation.mean(name, kpi) for title, (kpi, factor) in columns.items()}
        for name in evaluation.names
    }
    if not any(value > 0.0 for row in means.values() for title, value in row.items() if not title.startswith("off")):
        return []
    names = [row[0] for row in table_rows(evaluation)[1:]]
    return [("policy", *columns), *((name, *map(number, means[name].values())) for name in names)]


def _difference(evaluation: Evaluation, name: str) -> str:
    if name == evaluation.best_rule:
        return "best rule"
    row = evaluation.comparison(name)
    if row is None:
        return ""
    interval = row.interval
    if interval.num_days < 2:
        return signed(interval.mean)
    marks = "" if row.is_significant else " n.s."
    return f"{signed(interval.mean)} [{signed(interval.low)}, {signed(interval.high)}]{marks}"


def _latency(evaluation: Evaluation, name: str) -> str:
    p50, p99 = (float(np.mean([played.latency_ms[i] for played in evaluation.of(name)])) for i in (0, 1))
    return "-" if math.isnan(p50) else f"{milliseconds(p50)}/{milliseconds(p99)}"


def table(evaluation: Evaluation) -> list[str]:
    """``table_rows`` as lines of at most TABLE_WIDTH characters."""
    return _lines(table_rows(evaluation))


def _lines(rows: list[tuple[str, ...]]) -> list[str]:
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


def text(evaluation: Evaluation) -> str:
    """For a terminal: headline, table, worst days, notes and the verdict."""
    parts = [headline(evaluation), "", *table(evaluation), ""]
    worst = worst_day_lines(evaluation)
    parts += [*worst, ""] if worst else []
    if told := promise_rows(evaluation):
        parts += [*textwrap.wrap(PROMISE_LEGEND, TABLE_WIDTH), *_lines(told), ""]
    meaning = legend(evaluation)
    parts += [] if meaning is None else [meaning]
    if evaluation.ahead:
        parts += ["Significantly better (5 %, Holm's correction for all pairs):", *ahead_lines(evaluation)]
    parts += [f"Note: {note}" for note in notes(evaluation)]
    return "\n".join([*parts, verdict(evaluation)])
