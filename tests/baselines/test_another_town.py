"""Prices are distances from the fleet's own places: the same day in another town is served alike."""

from __future__ import annotations

import numpy as np
import pytest

from baselines import make_rules, tuned_settings
from envs.days.day import Booking, Day, Driver
from envs.days.scenario import Scenario
from envs.days.travel import PowerLawTravel
from evaluation.runner import Case, play

DEPOT = (35.0571, -85.2696)  # [deg] centre of the scenario


def a_day(degrees_east: float) -> Day:
    """24 bookings and 3 drivers around the depot, moved along their parallels: every distance stays the same."""
    draw = np.random.default_rng(5)
    bookings = []
    for k in range(24):
        earliest = float(draw.integers(420, 900))
        lats, lons = DEPOT[0] + draw.normal(0, 0.05, 2), DEPOT[1] + degrees_east + draw.normal(0, 0.06, 2)
        places = (float(lats[0]), float(lons[0]), float(lats[1]), float(lons[1]))
        bookings.append(Booking(f"b{k}", max(360.0, earliest - 120.0), earliest, earliest + 30.0, *places))
    drivers = tuple(Driver(f"v{n}", DEPOT[0], DEPOT[1] + degrees_east, 360.0, 1080.0) for n in range(3))
    return Day("5", tuple(bookings), drivers, PowerLawTravel(), 360.0, 1080.0)


@pytest.mark.parametrize("name", ["best_reward_with_prices", "matching_with_prices"])
def test_priced_rules_serve_the_same_day_alike_in_another_town(name):
    scenario = Scenario.load("paratransit")
    tuned = tuned_settings("DispatchDay-v0", "v2", scenario, objective="cost")
    assert name in tuned  # with a price for places far from the middle
    rule = make_rules([name], tuned, judged_by="cost")[0]
    served = [
        play(rule, [Case(a_day(east), "5", "5")], scenario, "v2", measure_latency=False).kpis["num_served"][0]
        for east in (0.0, 91.4)
    ]
    assert served[0] == served[1] > 0
