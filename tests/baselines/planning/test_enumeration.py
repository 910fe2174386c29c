"""Small random days, compared with the best that trying everything finds."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.planning.bound import upper_bound
from baselines.planning.hindsight import SIGN, Planner, hindsight
from tests.baselines.planning.enumeration import KINDS, SCENARIO, Enumeration, random_day

SEEDS = range(6)
OBJECTIVES = ("cost", "cost_with_lateness", "reward")


def planner_of(kind: str, seed: int, objective: str) -> Planner:
    return Planner(random_day(kind, seed), SCENARIO, "v3" if objective == "reward" else None, objective)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", KINDS)
def test_hindsight_is_the_best_there_is_and_the_bound_on_its_right_side(kind, objective):
    for seed in SEEDS:
        planner = planner_of(kind, seed, objective)
        found = hindsight(planner, num_iterations=500, cache=None)
        bound, _ = upper_bound(planner, found.routes, seconds=2.0)
        # As costs: less is better
        value, bound = (-SIGN[objective] * x for x in (found.value, bound))
        best = Enumeration(planner.day, objective).best()
        assert value >= best - 1e-6, (kind, objective, seed)
        # An imbalance of one trip costs 5 francs: the day's terms are none of an insertion's
        assert value <= best + (5.0 if objective == "reward" else 1e-3), (kind, objective, seed)
        assert bound <= best + 1e-6, (kind, objective, seed)


@pytest.mark.parametrize("kind", ["hourly", "breaks", "night"])
def test_nobody_is_beyond_the_bound_who_leaves_between_ticks(kind):
    gaps = []
    for seed in SEEDS:
        planner = planner_of(kind, seed, "cost_with_lateness")
        bound, _ = upper_bound(planner, [[] for _ in planner.day.drivers], seconds=2.0)
        best = Enumeration(planner.day, "cost_with_lateness", step_min=1.0).best()
        assert bound <= best + 1e-6, (kind, seed)
        gaps.append(best - bound)
    # The relaxation is exact on most days
    assert np.median(gaps) < 1.0
