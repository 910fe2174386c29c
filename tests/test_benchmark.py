"""What the benchmark makes of its measurements; nothing here depends on how fast the machine is."""

from __future__ import annotations

import pytest

from studies.benchmark import Target, exponent, row, table


def test_a_target_is_a_lower_or_an_upper_bound():
    assert Target(60).is_met(61) and not Target(60).is_met(59)
    assert Target(0.1, is_upper=True).is_met(0.05) and not Target(0.1, is_upper=True).is_met(0.2)


def test_growth_is_the_exponent_of_the_time():
    # doubling the size takes four times as long
    assert exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2.0)


def test_table_marks_what_was_missed_and_shows_the_run_before():
    rows = [row("fast", 45.217, "x", Target(60)), row("rate", 1234.0, "decisions/s")]
    text = table(rows, {"fast": 40.0}, num_rounds=5)
    assert "| fast | 45.22 | x | at least 60 | **no** | 40.0 |" in text
    assert "| rate | 1,234.0 | decisions/s |  |  |  |" in text
