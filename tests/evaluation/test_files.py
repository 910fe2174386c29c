"""What an evaluation leaves."""

from __future__ import annotations

import csv
import json

import pytest

import kept
from envs.kpis import KPI_NAMES
from evaluation.comparison import Evaluation
from evaluation.files import to_csv, write, write_somewhere
from evaluation.runner import Case
from tests.evaluation.made_up import NUM_DAYS, SHORT_SHIFT, evaluation_of, played


def test_json_has_the_promised_keys(days, tmp_path):
    json_path, csv_path, html_path = write(
        evaluation_of(days, 50.0, notes=["a note"], about={"commit": "abc"}), tmp_path
    )
    content = json.loads(json_path.read_text())
    assert {"env_id", "reward", "days", "policies", "best_rule", "comparisons"} <= set(content)
    assert content["days"] == list(range(2_000_000, 2_000_000 + NUM_DAYS))
    assert set(content["policies"]["strong_rule"]["kpis"]) == set(KPI_NAMES)
    assert content["policies"]["strong_rule"]["reward_mean"] == pytest.approx(days.mean())
    keys = {"policy", "against", "metric", "mean_difference", "ci_low", "ci_high", "num_days"}
    assert all(keys <= set(row) for row in content["comparisons"])
    assert content["commit"] == "abc"
    page = html_path.read_text()
    assert page.count("<tr") == 2 * (1 + 3)  # what was done and what was told: header, a model and two rules
    assert page.count("<circle") == 2  # everybody but the best rule
    with csv_path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * NUM_DAYS  # a row per policy and day
    assert float(rows[0]["reward"]) - float(rows[0]["term_assigned"]) == pytest.approx(-1.0, abs=0.01)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+41 22 000 00 00", "'+41 22 000 00 00"),
        ("-day", "'-day"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("day-060", "day-060"),
        ("", ""),
    ],
)
def test_text_that_a_spreadsheet_would_run_gets_a_quote(text, cell):
    assert kept.for_spreadsheet(text) == cell


def test_labels_are_quoted_and_numbers_are_not():
    one = played("rule", [-12.5])
    one.cases[0] = Case(0, "=1+1", "=1+1")
    row = next(csv.DictReader(to_csv(Evaluation(*SHORT_SHIFT, rules=[one], models=[])).splitlines()))
    assert (row["day"], row["reward"]) == ("'=1+1", "-12.5")


def test_results_are_kept_elsewhere_when_the_folder_can_not_be_written(days, tmp_path):
    (tmp_path / "file").write_text("")
    (json_path, *_), error = write_somewhere(evaluation_of(days, 50.0), tmp_path / "file")
    assert error is not None and json.loads(json_path.read_text())["env_id"] == "Dispatch-v0"
