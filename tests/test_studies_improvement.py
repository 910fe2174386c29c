"""The table of plan improvement: costs by fleet, and differences to the improvement that the design asks for."""

from __future__ import annotations

import numpy as np

from studies.improvement import Row, markdown


def test_table_by_hand():
    # two fleets, two days each: 8 drivers cost 100 and 200 without moves (150), 90 and 190 with (140); 10 drivers 50
    # and 70 (60), 40 and 60 (50): ten less on every day, so the interval has no width
    base = Row("rule", "0 moves", np.array([100.0, 200.0, 50.0, 70.0]), 5.0)
    moved = Row("rule", "30 moves", base.cost - 10.0, 9.4)
    off = Row("other", "off", base.cost, 2.0)
    lines = markdown([off, base, moved], np.array([8, 8, 10, 10]), ["d1", "d2", "d1", "d2"]).splitlines()
    assert lines[0].startswith("| policy | plan improvement | cost a day, 8 / 10 drivers |")
    assert lines[2] == "| other | off | 150 / 60 | - | 2 |"
    assert lines[3] == "| rule | 0 moves | 150 / 60 | - | 5 |"
    assert lines[4] == "| rule | 30 moves | 140 / 50 | -10 [-10, -10] | 9 |"
