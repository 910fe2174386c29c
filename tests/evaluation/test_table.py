"""The table fits its terminal."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.comparison import Evaluation
from evaluation.files import to_dict
from evaluation.page import to_html
from evaluation.table import PROMISE_COLUMNS, TABLE_WIDTH, promise_rows, table, text
from tests.evaluation.made_up import played, with_hindsight


def test_the_table_fits_a_terminal(days):
    models = [played("a model with a very long name that goes on and on and on (best)", days * 1234.5)]
    evaluation = Evaluation(
        "Dispatch-v0", "short_shift", "v2", "reward", rules=[played("rule", days), played("r", -days)], models=models
    )
    lines = table(evaluation)
    assert max(map(len, lines)) <= TABLE_WIDTH
    assert lines[2].startswith("a model with")  # the best first
    assert "best rule" in lines[3]


def test_what_people_were_told_has_a_table_of_its_own(days):
    rules = [played("kept", days), played("broken", days - 1)]
    for kpis in (rules[0].kpis, rules[1].kpis):
        kpis["num_refused"] = np.full(len(days), 2.0)
        kpis["num_broken"] = np.zeros(len(days))
    rules[1].kpis["num_broken"] += 0.5
    header, first, second = promise_rows(Evaluation("DispatchDay-v1", "x", "v3", "reward", rules=rules, models=[]))
    assert header[:3] == ("policy", "refused", "broken")
    assert (first[:3], second[:3]) == (("kept", "2.0", "0.0"), ("broken", "2.0", "0.5"))
    nothing = {kpi: np.zeros(len(days)) for kpi, _ in PROMISE_COLUMNS.values()}
    silent = played("append", days)
    silent.kpis.update(nothing)
    assert promise_rows(Evaluation("Dispatch-v0", "x", "v2", "reward", rules=[silent], models=[])) == []


def test_the_table_shows_both_columns_within_its_width():
    evaluation = with_hindsight()
    lines = table(evaluation)
    assert "gap%" in lines[0] and "closed%" in lines[0]
    assert max(map(len, lines)) <= TABLE_WIDTH
    assert "hindsight: the whole day known, 100 iterations" in text(evaluation)
    assert "<li>hindsight: the whole day known, 100 iterations" in to_html(evaluation)
    assert to_dict(evaluation)["hindsight"]["mean"] == pytest.approx(float(evaluation.reference.values.mean()))
