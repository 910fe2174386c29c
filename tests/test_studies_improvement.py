"""The table of plan improvement: costs by fleet, and differences to the improvement that the design asks for."""

from __future__ import annotations

import numpy as np

from studies.improvement import Row, result


def test_table_by_hand():
    # two fleets, two days each: 8 drivers cost 100 and 200 without moves (150), 90 and 190 with (140); 10 drivers 50
    # and 70 (60), 40 and 60 (50): ten less on every day, so the interval has no width
    base = Row("rule", "0 moves", np.array([100.0, 200.0, 50.0, 70.0]), 5.0)
    moved = Row("rule", "30 moves", base.cost - 10.0, 9.4, 0.25)
    off = Row("other", "off", base.cost, 2.0)
    planned = Row("replan_search", "off", base.cost - np.array([0.0, 0.0, 5.0, 5.0]), 700.0)  # 5 less with 10 drivers
    fleets, clusters = np.array([8, 8, 10, 10]), ["d1", "d2", "d1", "d2"]
    other, yardstick, none, some = result([off, base, moved, planned], fleets, clusters).rows
    nothing, ten_less = {"mean": 0.0, "low": 0.0, "high": 0.0}, {"mean": -10.0, "low": -10.0, "high": -10.0}
    five_more, five_less = ({"mean": five, "low": five, "high": five} for five in (5.0, -5.0))
    assert (other["label"], other["cost"]) == ("other", [150.0, 60.0])
    assert other["to_yardstick"] == [nothing, five_more]
    assert (yardstick["cost"], yardstick["difference"], yardstick["to_yardstick"]) == ([150.0, 55.0], None, None)
    assert (none["setting"], none["difference"]) == ("0 moves", None)
    assert (some["cost"], some["difference"]) == ([140.0, 50.0], ten_less)
    assert some["to_yardstick"] == [ten_less, five_less]
    assert (some["given_back"], some["ms"]) == (0.25, 9.4)
