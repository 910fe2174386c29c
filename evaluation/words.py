"""What an evaluation says in sentences: headline, verdict, notes."""

from __future__ import annotations

import math

import numpy as np

from evaluation.comparison import Comparison, Evaluation

SLOW_TICK_MS = 1.0  # from which on a tick of the world is worth a word


def number(value: float) -> str:
    """Short enough for a table: no decimals from 1000 on."""
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def signed(value: float) -> str:
    """As ``number``, with its sign."""
    return "-" if math.isnan(value) else ("+" if value >= 0 else "") + number(value)


def milliseconds(value: float) -> str:
    """Two decimals below 10, none above."""
    if value < 0.01:
        return "<.01"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def count(number_of: int, what: str) -> str:
    """``1 day``, ``2 days``."""
    return f"{number_of} {what}" + ("" if number_of == 1 else "s")


def headline(evaluation: Evaluation) -> str:
    """What was played, in a line."""
    labels, num_days = evaluation.labels, evaluation.num_days
    days = f"{count(len(labels), evaluation.unit)} {labels[0]}" + (f" to {labels[-1]}" if len(labels) > 1 else "")
    if num_days != len(labels):
        days = f"{len(labels)} rows of {count(num_days, 'service day')}"
    reward = "no reward" if evaluation.reward is None else f"reward {evaluation.reward}"
    scenario = f" ({evaluation.scenario})" if evaluation.scenario else ""
    return f"{evaluation.env_id}{scenario}, {reward}, judged by {evaluation.objective}, {days}"


def verdict(evaluation: Evaluation) -> str:
    """
    One sentence: who wins and by how much, or that nobody can tell.

    A difference that isn't significant is no win and no loss; and one day says nothing about others.
    """
    days = count(evaluation.num_days, evaluation.unit)
    objective = evaluation.objective.replace("_", " ")
    focus, best = evaluation.focus, evaluation.best_rule
    if best is None:
        if focus is None:
            return f"No policy has a mean {objective}."
        return (
            f"{focus}: mean {objective} {number(evaluation.mean(focus, evaluation.objective))} on {days}; no rule "
            "played, so nobody is beaten. Pass --compare-baseline."
        )
    one_day = f"one {evaluation.unit} says nothing about others (--episodes)"
    if focus is not None:
        row = evaluation.comparison(focus)
        assert row is not None
        ahead = evaluation.sign * row.interval.mean > 0
        if row.interval.num_days < 2:
            by = f"{_size(evaluation, row)} {'ahead of' if ahead else 'behind'}"
            return f"{focus} is {by} the best rule, {best}, in {objective} on {days}; {one_day}."
        where = f"in {objective} per {evaluation.unit} on {days}"
        if not row.is_significant:
            return f"{focus} can't be told from the best rule, {best}: {_undecided(row)} {where}."
        verb = "beats" if ahead else "loses to"
        return f"{focus} {verb} the best rule, {best}, by {_decided(evaluation, row)} {where}."
    mean = number(evaluation.mean(best, evaluation.objective))
    place = f"{best} is the best rule with a mean {objective} of {mean} on {days}"
    others = [row for row in evaluation.comparisons if row.metric == evaluation.objective]
    if not others:
        return f"{place}; nothing else played."
    row = min(others, key=lambda row: -evaluation.sign * row.interval.mean)
    # A re-planner is no simple rule, and may be ahead of the best of these.
    ahead_of = "beaten by" if evaluation.sign * row.interval.mean > 0 else "ahead of"
    if row.interval.num_days < 2:
        return f"{place}, {ahead_of} {row.policy} by {_size(evaluation, row)}; {one_day}."
    if not row.is_significant:
        return f"{place}, which can't be told from that of {row.policy}: {_undecided(row)}."
    return f"{place}, {ahead_of} {row.policy} by {_decided(evaluation, row)}."


def _size(evaluation: Evaluation, row: Comparison) -> str:
    """``50.0 = 5.0 %``; no per cent of a number near zero."""
    share = evaluation.share(row)
    return number(abs(row.interval.mean)) + ("" if share is None else f" = {100 * share:.1f} %")


def _decided(evaluation: Evaluation, row: Comparison) -> str:
    """How much, where the sentence says who is ahead: both ends of the interval can do without a sign."""
    low, high = sorted((abs(row.interval.low), abs(row.interval.high)))
    return f"{_size(evaluation, row)} (95 % interval {number(low)} to {number(high)}, significant)"


def _undecided(row: Comparison) -> str:
    interval = row.interval
    return f"{signed(interval.mean)} (95 % interval {signed(interval.low)} to {signed(interval.high)})"


def notes(evaluation: Evaluation) -> list[str]:
    """What the reader has to know, one sentence each."""
    return [*_hindsight_notes(evaluation), *evaluation.notes, *_tick_notes(evaluation)]


def _hindsight_notes(evaluation: Evaluation) -> list[str]:
    """What the hindsight plans are, and how good."""
    reference = evaluation.reference
    if reference is None:
        return []
    said = [
        f"hindsight: the whole day known, {reference.num_iterations} iterations of each search; mean "
        f"{reference.values.mean():.1f}."
    ]
    if not np.isnan(reference.bounds).any():
        said.append(f"no plan at all can do better than {reference.bounds.mean():.1f} on average (bound).")
    if reference.from_policies:
        said.append(
            f"on {reference.from_policies} of {len(reference.values)} days the best plan known is what a policy did: "
            "search longer (--hindsight)."
        )
    return said


def _tick_notes(evaluation: Evaluation) -> list[str]:
    """What the world itself takes between two ticks, where that is more than a moment."""
    slowest = max(evaluation.played, key=lambda played: np.nan_to_num(played.tick_ms[1], nan=0.0))
    p50, p99 = slowest.tick_ms
    if not p99 >= SLOW_TICK_MS:
        return []
    return [
        f"a tick of the world itself, plan improvement included, takes {milliseconds(p50)}/{milliseconds(p99)} ms "
        f"(p50/p99) under {slowest.policy}."
    ]


def ahead_lines(evaluation: Evaluation) -> list[str]:
    """Who is significantly better than whom, a line per policy that is."""
    lines = []
    for name in dict.fromkeys(pair.better for pair in evaluation.ahead):
        worse = [pair.worse for pair in evaluation.ahead if pair.better == name]
        lines.append(f"  {name} > {', '.join(worse)}")
    return lines


def worst_day_lines(evaluation: Evaluation) -> list[str]:
    """The days that went worst, a line each under a line that says for whom."""
    worst = evaluation.worst_days()
    if not worst:
        return []
    where = "against the best rule" if "difference" in worst[0] else "in themselves"
    lines = [f"Worst {evaluation.unit}s of {worst[0]['policy']} {where}:"]
    for row in worst:
        parts = [f"{evaluation.objective} {number(row[evaluation.objective])}"]
        if "difference" in row:
            parts[0] += f" (best rule {number(row['best_rule'])}, {signed(row['difference'])})"
        if "num_lost" in row:
            parts.append(f"{row['num_lost']:.3g} of {row['num_bookings']:.0f} lost")
            parts.append(f"late p95 {number(row['lateness_p95_min'])} min")
        lines.append(f"  {evaluation.unit} {row['day']}: {', '.join(parts)}")
    return lines


def legend(evaluation: Evaluation) -> str | None:
    """What n.s. in the table means, where it stands there."""
    rows = [row for row in evaluation.comparisons if row.metric == evaluation.objective]
    if all(row.is_significant for row in rows):
        return None
    if evaluation.num_days < 2:
        return f"One {evaluation.unit} has no interval."
    compared = count(len(rows), "comparison")
    return f"n.s.: can't be told from the best rule at 5 %, after Holm's correction for {compared}."
