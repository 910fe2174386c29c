"""Travel by the hour ends, whatever comes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from envs.world.travel import arrival, departure

SPEEDS = np.array([1.0] * 23 + [2.0])  # work per minute


def test_the_speed_changes_at_the_full_hour():
    # from 22:30: 30 min at speed 1 until 23:00, the other 20 at speed 2 in 10 min
    assert arrival(SPEEDS, 1350.0, 50.0) == pytest.approx(1390.0)
    assert departure(SPEEDS, 1390.0, 50.0) == pytest.approx(1350.0)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e308, -1e308])
@pytest.mark.parametrize("other", [0.0, 600.0, math.inf, math.nan, 1e308])
def test_travel_that_is_not_finite_ends(value, other):
    for travel in (arrival, departure):
        for depart_min, work in ((value, other), (other, value)):
            assert isinstance(travel(SPEEDS, depart_min, work), float)


def test_nobody_arrives_after_an_endless_way_or_from_never():
    assert arrival(SPEEDS, 600.0, math.inf) == math.inf
    assert arrival(SPEEDS, math.inf, 10.0) == math.inf
    assert departure(SPEEDS, 600.0, math.inf) == -math.inf
