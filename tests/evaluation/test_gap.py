"""Gaps to hindsight and pairs that differ, from made-up days."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.gap import Reference, gap_percent, share_closed
from evaluation.page import to_html
from evaluation.report import TABLE_WIDTH, Evaluation, table
from tests.evaluation.test_report import played

NUM_DAYS = 40


def evaluation_of(objective: str = "reward", **kwargs) -> Evaluation:
    days = np.random.default_rng(0).normal(1000.0, 50.0, NUM_DAYS)
    noise = np.random.default_rng(1).normal(0.0, 40.0, NUM_DAYS)
    rules = [
        played("weak", days - 100, cost=days + 100),
        played("strong", days, cost=days),
        played("equal", days + noise, cost=days + noise),
        played("replan_search", days + 60, cost=days - 60),
    ]
    best = days + 200 if objective == "reward" else days - 200
    reference = Reference(best, np.full(NUM_DAYS, np.nan), ["search"] * NUM_DAYS, 100)
    return Evaluation(
        env_id="Dispatch-v0",
        scenario="short_shift",
        reward="v2",
        objective=objective,
        rules=rules,
        replanners=["replan_search"],
        reference=reference,
        compares_all=True,
        **kwargs,
    )


def test_the_gap_is_a_share_of_hindsight_and_the_way_there_begins_at_the_best_simple_rule():
    evaluation = evaluation_of()
    mean = float(np.mean(evaluation.values("strong", "reward")))
    gap, closed = evaluation.gaps("replan_search")
    assert gap == pytest.approx(100 * 140 / (mean + 200))
    assert closed == pytest.approx(
        (60 - (evaluation.mean(evaluation.best_rule, "reward") - mean))
        / (mean + 200 - evaluation.mean(evaluation.best_rule, "reward"))
    )
    assert evaluation.gaps(evaluation.best_rule)[1] == pytest.approx(0.0)


def test_with_a_cost_the_gap_points_the_other_way():
    assert gap_percent(1200.0, 1000.0, "cost") == pytest.approx(20.0)
    assert gap_percent(900.0, 1000.0, "reward") == pytest.approx(10.0)
    assert math.isnan(gap_percent(900.0, -5.0, "reward"))
    # from 1400 to 1000, at 1300: a quarter of the way
    assert share_closed(1300.0, 1400.0, 1000.0) == pytest.approx(0.25)
    assert evaluation_of("cost").gaps("weak")[1] < 0  # worse than the best simple rule


def test_a_replanner_is_no_simple_rule():
    evaluation = evaluation_of()
    assert evaluation.best_rule in ("strong", "equal")
    assert evaluation.to_dict()["policies"]["replan_search"]["kind"] == "replanner"


def test_pairs_that_differ_are_named_and_others_are_not():
    evaluation = evaluation_of()
    pairs = {(pair.better, pair.worse) for pair in evaluation.ahead}
    assert {("strong", "weak"), ("equal", "weak"), ("replan_search", "strong"), ("replan_search", "weak")} <= pairs
    assert ("strong", "equal") not in pairs and ("equal", "strong") not in pairs
    assert any(line.startswith("  replan_search > weak") for line in evaluation.ahead_lines())


def test_the_table_shows_both_columns_within_its_width():
    evaluation = evaluation_of()
    lines = table(evaluation)
    assert "gap%" in lines[0] and "closed%" in lines[0]
    assert max(map(len, lines)) <= TABLE_WIDTH
    text = evaluation.text()
    assert "hindsight: the whole day known, 100 iterations" in text
    assert "<li>hindsight: the whole day known, 100 iterations" in to_html(evaluation)
    assert evaluation.to_dict()["hindsight"]["mean"] == pytest.approx(float(evaluation.reference.values.mean()))
