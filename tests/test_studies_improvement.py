"""The table of plan improvement: costs by fleet, and differences to the improvement that the design asks for."""

from __future__ import annotations

import numpy as np

from studies.improvement import Row, markdown


def test_table_by_hand():
    # two fleets, two days each: 8 drivers cost 100 and 200 without moves (150), 90 and 190 with (140); 10 drivers 50
    # and 70 (60), 40 and 60 (50): ten less on every day, so the interval has no width
    base = Row("rule", "0 moves", np.array([100.0, 200.0, 50.0, 70.0]), 5.0)
    moved = Row("rule", "30 moves", base.cost - 10.0, 9.4, 0.25)
    off = Row("other", "off", base.cost, 2.0)
    planned = Row("replan_search", "off", base.cost - np.array([0.0, 0.0, 5.0, 5.0]), 700.0)  # 5 less with 10 drivers
    fleets, clusters = np.array([8, 8, 10, 10]), ["d1", "d2", "d1", "d2"]
    lines = markdown([off, base, moved, planned], fleets, clusters).splitlines()
    assert lines[0].startswith("| policy | plan improvement | cost a day, 8 / 10 drivers |")
    assert lines[2] == "| other | off | 150 / 60 | - | +0 [+0, +0] / +5 [+5, +5] | 0.0 | 2 |"
    assert lines[3] == "| replan_search | off | 150 / 55 | - | - | 0.0 | 700 |"
    assert lines[4] == "| rule | 0 moves | 150 / 60 | - | +0 [+0, +0] / +5 [+5, +5] | 0.0 | 5 |"
    assert lines[5] == "| rule | 30 moves | 140 / 50 | -10 [-10, -10] | -10 [-10, -10] / -5 [-5, -5] | 0.2 | 9 |"
