"""The front page's table and picture from made-up tables."""

from __future__ import annotations

from typing import Any

from studies.front import SOURCES, draw, front
from studies.results import Column, Result, interval


def made_up(name: str) -> Result:
    """A table with everybody whom the front page asks for."""
    rows: list[dict[str, Any]] = [
        {"policy": "hindsight", "kind": None, "label": "hindsight", "objective": 20.0, "difference": 10.0},
        {"policy": "replan_search", "kind": "replanner", "label": "re-planner", "difference": interval(5, 4, 6)},
        {"policy": "mean", "kind": "ensemble", "label": "agent", "difference": interval(2.4, -1.0, 5.0)},
        {"policy": "best", "kind": "rule", "label": "best", "objective": 10.4, "difference": "best rule"},
        {"policy": "nearest_driver", "kind": "rule", "label": "nearest", "difference": interval(-3, -4, -2)},
        {"policy": "dqn", "kind": "model", "label": "stock DQN", "difference": interval(-8, -9, -7)},
    ]
    improved = {"gives_back": [9, 8, 7], "against_replan_search": [None, interval(-23, -53, 11), None]}
    rows.append({"policy": "insertion_just_in_time", "kind": "rule", "label": "just in time", **improved})
    rows.append({"policy": "maskable_dqn_mean", "kind": None, "label": "agents", "difference": [1, 2, 3]})
    usual: dict[str, Any] = {"objective": None, "difference": None}
    return Result(name, name, (Column("label", "policy"),), tuple(usual | row for row in rows), days="2 days")


def test_the_front_table_is_made_of_the_other_tables():
    names = {cell.result for cells in SOURCES.values() for cell in cells.values()}
    found = front({name: made_up(name) for name in names})
    assert len(found.rows) == 6
    assert found.row(who="agent")["real"] == {"mean": 2.4, "low": -1.0, "high": 5.0}
    assert found.row(who="best_rule")["short"] == "10"  # a level, not a difference
    assert found.row(who="agent")["gives_back"] == 2  # of 8, 10 and 14 drivers the middle one
    assert found.row(who="best_rule")["gives_back"] == "8"
    # the rule less the re-planner is -23 [-53, 11], so the re-planner less the rule is its mirror
    assert found.row(who="replanner")["gives_back"] == {"mean": 23.0, "low": -11.0, "high": 53.0}
    assert found.row(who="stock")["short"]["mean"] == -8.0
    assert found.row(who="stock")["real"] is None  # not measured there
    assert "| **agent, five networks** | **+2 [-1, +5]** |" in found.markdown()


def test_the_same_numbers_draw_the_same_picture(tmp_path):
    result = made_up("toy")
    for name in ("first.svg", "second.svg"):
        draw(result, tmp_path / name)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()
    assert "stock DQN" in (tmp_path / "first.svg").read_text()
