"""Tables of results: what a cell shows, pages that follow their JSON, and the table of an evaluation."""

from __future__ import annotations

import json

import pytest

from studies import results
from studies.results import Column, Result, ResultError, interval, of_evaluation, show

POINTS, DIFFERENCE = Column("reward", "reward"), Column("difference", "difference", sign=True)


def table(**changes) -> Result:
    settings = {
        "name": "toy",
        "title": "Toy",
        "columns": (Column("label", "policy"), POINTS, DIFFERENCE),
        "rows": (
            {"policy": "a", "label": "agent", "reward": 12.4, "difference": interval(2.4, -0.3, 5.0), "bold": True},
            {"policy": "r", "label": "rule", "reward": 10, "difference": "best rule"},
        ),
        "days": "3 days, 2000000 to 2000002",
        "date": "2026-01-31",
        "commit": "abcdef1",
    }
    return Result(**(settings | changes))


@pytest.mark.parametrize(
    ("value", "column", "shown"),
    [
        (12.4, POINTS, "12"),
        (12.4, DIFFERENCE, "+12"),
        (-0.2, DIFFERENCE, "0"),  # never -0
        (interval(2.4, -0.3, 5.0), DIFFERENCE, "+2 [0, +5]"),
        ([7.25, None, 1], Column("lost", "lost %", 1), "7.2 /  / 1.0"),
        (None, POINTS, ""),
        ("best rule", POINTS, "best rule"),
        (0.052, Column("ms", "ms", None), "0.052"),
    ],
)
def test_a_cell_shows_numbers_intervals_lists_and_text(value, column, shown):
    assert show(value, column) == shown


def test_a_table_says_where_its_numbers_come_from():
    lines = table().markdown().splitlines()
    assert lines[0] == "| policy | reward | difference |"
    assert lines[2] == "| **agent** | **12** | **+2 [0, +5]** |"
    line = " ".join(lines[4:])
    assert "3 days, 2000000 to 2000002" in line and "measured 2026-01-31 at commit abcdef1" in line
    assert "docs/results/toy.json" in line


def test_a_table_survives_its_file(tmp_path):
    path = table(notes=("a note",)).write(tmp_path)
    assert Result.read(path) == table(notes=("a note",))


def test_a_row_without_a_cell_is_refused(tmp_path):
    path = table(rows=({"label": "rule", "reward": 10},)).write(tmp_path)
    with pytest.raises(ResultError, match=r"toy\.json, row 1: nothing for difference; write null"):
        Result.read(path)


def test_a_row_is_found_by_its_keys():
    assert table().row(policy="r")["reward"] == 10
    with pytest.raises(ResultError, match="expected one row"):
        table().row(policy="nobody")


def test_a_page_that_differs_is_named_and_filled(tmp_path):
    (tmp_path / "docs").mkdir()
    table().write(tmp_path / "docs" / "results")
    (tmp_path / "README.md").write_text("Before.\n\n<!-- table: toy -->\nold\n<!-- end of table -->\n\nAfter.\n")
    assert results.differing(tmp_path) == [tmp_path / "README.md"]
    results.fill(tmp_path)
    assert results.differing(tmp_path) == []
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("Before.\n") and text.endswith("After.\n") and "| rule | 10 | best rule |" in text


def test_the_table_of_an_evaluation_names_agents_after_what_is_shipped(tmp_path):
    kpis = {"service_rate": 0.5, "on_time_share": None, "late_share_5": 0.25, "km_per_served_trip": 12.0}
    usual = {"kpis": kpis, "latency_ms_p50": None, "latency_ms_p99": None}
    models = {f"m{i}": f"trained-agents/v2-short-shift-seed{i}/Dispatch-v0.zip" for i in (1, 2)}
    about = {
        "objective": "reward",
        "hindsight": None,
        "best_rule": "nearest_driver",
        "policies": {
            "two seeds": {"kind": "pool", "members": ["m1", "m2"], "objective_mean": 20.0, **usual},
            "m1": {"kind": "model", "objective_mean": 19.0, **usual},
            "m2": {"kind": "model", "objective_mean": 21.0, **usual},
            "together": {"kind": "model", "objective_mean": 23.0, **usual},
            "nearest_driver": {"kind": "rule", "objective_mean": 10.0, **usual},
        },
        "comparisons": [
            {
                **{"policy": name, "against": "nearest_driver", "metric": "reward"},
                **{"mean_difference": mean, "ci_low": mean - 1.0, "ci_high": mean + 1.0},
            }
            for name, mean in (("two seeds", 10.0), ("together", 13.0))
        ],
        "models": models,
        "days": [2_000_000, 2_000_001],
        "commit": "abcdef1234",
        "command": "evaluate.py --reward v2 --output somewhere --last",
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(about))
    found = of_evaluation(tmp_path, "toy", "Toy", leave_out=["ms"])
    assert [row["label"] for row in found.rows] == [
        "`v2-short-shift`, mean of the networks",
        "`v2-short-shift`, 2 seeds",
        "nearest driver",
    ]
    assert [row["kind"] for row in found.rows] == ["ensemble", "pool", "rule"]
    assert found.rows[0]["difference"] == {"mean": 13.0, "low": 12.0, "high": 14.0}
    assert found.rows[2]["served"] == 50.0 and found.rows[2]["on_time"] is None  # 100 x 0.5
    assert found.commands == ("python evaluate.py --reward v2 --last",)  # where its files went is nobody's business
    assert (found.commit, found.days) == ("abcdef1", "2 days, 2000000 to 2000001")
