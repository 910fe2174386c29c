"""Numbers of a comparison, from made-up days."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.comparison import Evaluation
from evaluation.files import to_dict
from evaluation.table import text
from evaluation.words import ahead_lines
from tests.evaluation.made_up import NUM_DAYS, SHORT_SHIFT, evaluation_of, played, with_hindsight


def test_the_best_rule_is_the_one_to_compare_with(days):
    evaluation = evaluation_of(days, 50.0)
    assert evaluation.best_rule == "strong_rule"
    row = evaluation.comparison("weak_rule")
    assert row.interval.mean == pytest.approx(-100.0)
    assert (row.interval.low, row.interval.high) == pytest.approx((-100.0, -100.0))  # the same difference on every day
    assert row.interval.num_days == NUM_DAYS
    assert evaluation.comparison("strong_rule") is None


def test_seeds_of_one_method_are_pooled(days):
    seeds = [played(f"dqn run_{i}", days + gain) for i, gain in enumerate((10.0, 20.0, 60.0))]
    evaluation = Evaluation(
        *SHORT_SHIFT,
        rules=[played("rule", days)],
        models=seeds,
        pools={"dqn, 3 seeds": ["dqn run_0", "dqn run_1", "dqn run_2"]},
    )
    row = evaluation.comparison("dqn, 3 seeds")
    assert row.interval.mean == pytest.approx(30.0)  # (10 + 20 + 60) / 3
    # each seed gains the same on every day, so all of the width comes from the seeds
    assert row.interval.low < 20.0 and row.interval.high > 40.0
    assert evaluation.focus == "dqn, 3 seeds"
    assert to_dict(evaluation)["policies"]["dqn, 3 seeds"]["members"] == ["dqn run_0", "dqn run_1", "dqn run_2"]


def test_the_worst_days_are_those_lost_most_against_the_best_rule(days):
    gains = np.zeros(NUM_DAYS)
    gains[[7, 3, 12]] = [-300.0, -200.0, -100.0]
    evaluation = Evaluation(
        *SHORT_SHIFT,
        rules=[played("rule", days)],
        models=[played("model", days + gains)],
    )
    worst = evaluation.worst_days()
    assert [row["day"] for row in worst[:3]] == ["2000007", "2000003", "2000012"]
    assert worst[0]["difference"] == pytest.approx(-300.0)
    assert "day 2000007" in text(evaluation)


def test_policies_on_different_days_are_not_compared(days):
    with pytest.raises(ValueError, match="'b' played other days than 'a'"):
        Evaluation(*SHORT_SHIFT, rules=[played("a", days), played("b", days[:10])])


def test_the_gap_is_a_share_of_hindsight_and_the_way_there_begins_at_the_best_simple_rule():
    evaluation = with_hindsight()
    mean = float(np.mean(evaluation.values("strong", "reward")))
    gap, closed = evaluation.gaps("replan_search")
    assert gap == pytest.approx(100 * 140 / (mean + 200))
    assert closed == pytest.approx(
        (60 - (evaluation.mean(evaluation.best_rule, "reward") - mean))
        / (mean + 200 - evaluation.mean(evaluation.best_rule, "reward"))
    )
    assert evaluation.gaps(evaluation.best_rule)[1] == pytest.approx(0.0)


def test_a_replanner_is_no_simple_rule():
    evaluation = with_hindsight()
    assert evaluation.best_rule in ("strong", "equal")
    assert to_dict(evaluation)["policies"]["replan_search"]["kind"] == "replanner"


def test_pairs_that_differ_are_named_and_others_are_not():
    evaluation = with_hindsight()
    pairs = {(pair.better, pair.worse) for pair in evaluation.ahead}
    assert {("strong", "weak"), ("equal", "weak"), ("replan_search", "strong"), ("replan_search", "weak")} <= pairs
    assert ("strong", "equal") not in pairs and ("equal", "strong") not in pairs
    assert any(line.startswith("  replan_search > weak") for line in ahead_lines(evaluation))
