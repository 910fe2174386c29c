"""When losing a patient would pay better than serving late, and the table that says so."""

from __future__ import annotations

import pytest

from envs.world.records import Leg
from reward import RewardFunction, describe, load_weights
from reward.__main__ import main
from reward.limits import PRIORITIES, break_even_lateness_min


@pytest.mark.parametrize("leg", Leg)
def test_v1_loses_priority_1_beyond_23_minutes_and_no_other(leg: Leg) -> None:
    # Serving priority 1 pays 50 - 5 x (L - 5), losing it -200 x 1/5 = -40: 90 < 5 x (L - 5), so L > 23.
    # Priority 2: losing pays -80, serving at the worst 50 - 100 = -50, never.
    v1 = load_weights("v1")
    assert break_even_lateness_min(v1, 1, leg) == pytest.approx(23.0)
    assert [break_even_lateness_min(v1, priority, leg) for priority in (2, 3, 4, 5)] == [None] * 4


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_v2_and_v3_never_pay_for_losing_a_patient(version: str) -> None:
    # V2, priority 1: serving at the worst 100 - 20/20 - 50 = 49, losing -12
    weights = load_weights(version)
    for priority in PRIORITIES:
        for leg in Leg:
            assert break_even_lateness_min(weights, priority, leg) is None


def test_break_even_follows_the_weights() -> None:
    # slope -10: 90 < 10 x (L - 5), so L > 14; the worst at -200 lets priority 2 join: 130 < 10 x (L - 5), L > 18
    weights = RewardFunction.load("v1", {"lateness_per_min": -10.0, "lateness_worst": -200.0}).weights
    assert break_even_lateness_min(weights, 1, Leg.OUTBOUND) == pytest.approx(14.0)
    assert break_even_lateness_min(weights, 2, Leg.OUTBOUND) == pytest.approx(18.0)


def test_describe_shows_weights_units_and_break_even() -> None:
    text = describe("v1")
    assert "Reward V1, in points" in text
    assert "priority 1: beyond 23 min" in text
    assert "priority 2: never" in text
    assert "fare_per_trip" not in text  # not used by V1
    assert "CHF/min" in describe("v3")


def test_command_prints_all_versions_and_names_a_wrong_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"Reward {name}" in printed for name in ("V1", "V2", "V3"))
    assert main(["v7"]) == 2
    assert "Versions are v1, v2, v3" in capsys.readouterr().err
