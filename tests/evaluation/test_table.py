"""The table fits its terminal."""

from __future__ import annotations

import pytest

from evaluation.comparison import Evaluation
from evaluation.files import to_dict
from evaluation.page import to_html
from evaluation.table import TABLE_WIDTH, table, text
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


def test_the_table_shows_both_columns_within_its_width():
    evaluation = with_hindsight()
    lines = table(evaluation)
    assert "gap%" in lines[0] and "closed%" in lines[0]
    assert max(map(len, lines)) <= TABLE_WIDTH
    assert "hindsight: the whole day known, 100 iterations" in text(evaluation)
    assert "<li>hindsight: the whole day known, 100 iterations" in to_html(evaluation)
    assert to_dict(evaluation)["hindsight"]["mean"] == pytest.approx(float(evaluation.reference.values.mean()))
