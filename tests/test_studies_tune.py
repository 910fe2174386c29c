"""Tuning of rules: the search, and the command from its arguments to its file."""

from __future__ import annotations

import pytest

from baselines.rules import InsertionJustInTime
from baselines.tuned import read_tuned
from studies.tune import at_the_edge, main, tune_rule


def test_tuning_finds_the_top_of_a_hill():
    def hill(rule: InsertionJustInTime) -> float:
        return -abs(rule.settings()["horizon_min"] - 123.0)

    values, best, untuned = tune_rule(InsertionJustInTime, hill, 60)
    assert values["horizon_min"] == pytest.approx(123.0, abs=10)
    assert best > untuned == -63.0  # the default is 60


def test_a_value_at_the_edge_of_its_range_is_reported():
    assert at_the_edge(InsertionJustInTime, {"horizon_min": 479.0}) == ["horizon_min"]
    assert at_the_edge(InsertionJustInTime, {"horizon_min": 240.0}) == []


def test_the_command_tunes_on_selection_days_and_writes_the_file(tmp_path, capsys):
    path = tmp_path / "tuned.yml"
    options = ["--episodes", "2", "--trials", "10", "--rules", "insertion_just_in_time", "--output", str(path)]
    assert main(options) == 0
    (written,) = read_tuned(path)
    assert written.days == "1000000-1000001"
    assert written.rules["insertion_just_in_time"]["command"].endswith(" ".join(options))
    assert written.rules["insertion_just_in_time"]["mean"] >= written.rules["insertion_just_in_time"]["untuned_mean"]


def test_the_command_names_the_nearest_rule(capsys):
    assert main(["--rules", "insertion_just_in_tim", "--episodes", "1"]) == 2
    assert "Did you mean 'insertion_just_in_time'?" in capsys.readouterr().err
