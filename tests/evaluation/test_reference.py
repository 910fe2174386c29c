"""Gaps to hindsight."""

from __future__ import annotations

import math

import pytest

from evaluation.reference import gap_percent, share_closed
from tests.evaluation.made_up import with_hindsight


def test_with_a_cost_the_gap_points_the_other_way():
    assert gap_percent(1200.0, 1000.0, "cost") == pytest.approx(20.0)
    assert gap_percent(900.0, 1000.0, "reward") == pytest.approx(10.0)
    assert math.isnan(gap_percent(900.0, -5.0, "reward"))
    # from 1400 to 1000, at 1300: a quarter of the way
    assert share_closed(1300.0, 1400.0, 1000.0) == pytest.approx(0.25)
    assert with_hindsight("cost").gaps("weak")[1] < 0  # worse than the best simple rule
