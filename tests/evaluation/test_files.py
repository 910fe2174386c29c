"""What an evaluation leaves."""

from __future__ import annotations

import csv
import json

import pytest

from envs.kpis import KPI_NAMES
from evaluation.files import write
from tests.evaluation.made_up import NUM_DAYS, evaluation_of


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
    assert page.count("<tr") == 1 + 3  # header, a model and two rules
    assert page.count("<circle") == 2  # everybody but the best rule
    with csv_path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * NUM_DAYS  # a row per policy and day
    assert float(rows[0]["reward"]) - float(rows[0]["term_assigned"]) == pytest.approx(-1.0, abs=0.01)
