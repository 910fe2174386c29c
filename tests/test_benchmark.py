"""What the benchmark makes of its measurements; nothing here depends on how fast the machine is."""

from __future__ import annotations

import pytest

from baselines.replanners import ReplanSearch
from studies.benchmark import Decisions, Replanning, Target, exponent, latency_rows, result, row


def test_a_target_is_a_lower_or_an_upper_bound():
    assert Target(60).is_met(61) and not Target(60).is_met(59)
    assert Target(0.1, is_upper=True).is_met(0.05) and not Target(0.1, is_upper=True).is_met(0.2)


def test_growth_is_the_exponent_of_the_time():
    # doubling the size takes four times as long
    assert exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2.0)


def test_table_marks_what_was_missed_and_shows_the_run_before():
    rows = [row("fast", 45.217, "x", Target(60)), row("rate", 1234.0, "decisions/s")]
    text = result(rows, {"fast": 40.0}, num_rounds=5).markdown()
    assert "| fast | 45.22 | x | at least 60 | **no** | 40 |" in text
    assert "| rate | 1234 | decisions/s |  |  |  |" in text


def test_latencies_are_told_as_median_and_99th_percentile():
    # of the times 0, 1, ..., 100 ms the 50th percentile is 50 ms, the 99th 99 ms
    p50, p99 = latency_rows("5x15", [float(ms) for ms in range(101)], Target(60, is_upper=True))
    assert (p50["name"], p50["value"], p50["met"]) == ("decision_p50_ms_5x15", 50.0, None)
    assert (p99["name"], p99["value"], p99["met"]) == ("decision_p99_ms_5x15", 99.0, False)


def test_the_agents_exported_twin_and_a_replanner_are_timed_on_the_same_days():
    decisions = Decisions({}, num_decisions=3)
    plans = Replanning({}, ReplanSearch, limit_ms=0.1, num_plans=3)
    assert (decisions.env.batch.day_label(0), len(plans.times_ms)) == (plans.env.batch.day_label(0), 0)
    decisions.rate(), plans.rate()
    assert len(decisions.times_ms) == len(decisions.exported_times_ms) == len(plans.times_ms) == 3
