"""What a polish saves: shares of what was driven, by cost and by reward, and never less than nothing."""

from __future__ import annotations

import json

import pytest

from baselines.planning.solvers import PyVrp
from envs.days.scenario import Scenario
from evaluation.runner import Case
from studies.polish import Polished, main, polish, result
from tests.envs.line import booking, driver, line_day

SCENARIO = Scenario.load("operating_day", plan_improvement=False)


def crossed() -> Case:
    # Each driver stands at one pickup; both windows are open all the time
    bookings = [booking("b0", (0, 1), (490, 560)), booking("b1", (10, 11), (490, 560))]
    return Case(line_day(bookings, [driver("d0", 0), driver("d1", 10)]), "line", "line")


def test_drivers_who_cross_are_sent_where_they_stand():
    pytest.importorskip("pyvrp")
    # Crossed, each of them drives 10 km = 20 min to a pickup; else nobody drives: all 40 are saved
    solver = PyVrp(0.0, 0, 200)
    found = polish(crossed(), [[1], [0]], 40.0, SCENARIO, "v3", "cost", solver)
    assert found == ("line", 40.0, pytest.approx(0.0), pytest.approx(0.0))
    # What was driven already is never made worse
    assert polish(crossed(), [[0], [1]], -1.0, SCENARIO, "v3", "cost", solver)[1:] == (-1.0, -1.0, -1.0)


def test_shares_by_hand():
    # By cost less is better: 100 to 90 is 10 %, 300 to 300 nothing; the means 200 to 195: 2.5 %
    days = [Polished("a", 100.0, 90.0, 100.0), Polished("b", 300.0, 300.0, 270.0)]
    first, second, mean = result(days, "cost", "rule", 10, 1.0).rows
    assert (first["pyvrp_percent"], first["search_percent"]) == (10.0, 0.0)
    assert (second["pyvrp_percent"], second["search_percent"]) == (0.0, 10.0)
    assert (mean["label"], mean["by_pyvrp"], mean["pyvrp_percent"]) == ("mean", 195.0, 2.5)
    # By reward more is; a day worth -100 that becomes -90 gained 10 % too
    assert result([Polished("a", -100.0, -90.0, -100.0)], "reward", "rule", 10, 1.0).rows[0]["pyvrp_percent"] == 10.0


def test_the_command_ends_in_a_table(tmp_path, capsys):
    pytest.importorskip("pyvrp")
    small = ["--episodes", "1", "--moves", "10", "--seconds", "0.2", "--load", "0.5", "--output", str(tmp_path)]
    assert main(small) == 0
    rows = json.loads((tmp_path / "polish.json").read_text())["rows"]
    assert [row["label"] for row in rows] == ["1000000", "mean"]
    assert rows[0]["by_pyvrp"] >= rows[0]["driven"]
    assert "saved %" in capsys.readouterr().out
    assert main([*small, "--days-from", str(tmp_path / "nowhere")]) == 2
