"""The runner: waves, made-up days from files, what can't be played."""

from __future__ import annotations

import numpy as np
import pytest

from baselines import make_rules
from envs.days.scenario import Scenario
from evaluation.runner import MAX_ROWS, Arena, num_rows_for, play
from evaluation.setup import (
    SetupError,
    generated_cases,
    make_scenario,
    parse_days,
    parse_values,
    service_day,
)


@pytest.fixture(scope="module")
def scenario():
    return Scenario.load("short_shift")


def test_waves_of_any_size_give_the_same_days(scenario):
    cases = generated_cases(2_000_000, 7, scenario)
    (rule,) = make_rules(["best_immediate_reward"])
    at_once = play(rule, cases, scenario, "v2", measure_latency=False)
    in_waves = play(rule, cases, scenario, "v2", measure_latency=False, arena=Arena(scenario, "v2", 3))
    np.testing.assert_allclose(at_once.reward, in_waves.reward)
    for name, values in at_once.kpis.items():
        np.testing.assert_allclose(values, in_waves.kpis[name], err_msg=name)


def test_days_are_spread_evenly_over_the_waves(scenario):
    assert num_rows_for(generated_cases(0, 500, scenario)) == 250  # two waves, not 256 and 244
    assert num_rows_for(generated_cases(0, MAX_ROWS, scenario)) == MAX_ROWS


def test_an_arena_can_be_used_again(scenario):
    arena = Arena(scenario, "v2", 4)
    cases = generated_cases(2_000_000, 4, scenario)
    first, again = (
        play(rule, cases, scenario, "v2", measure_latency=False, arena=arena).reward
        for rule in make_rules(["nearest_driver", "nearest_driver"])
    )
    np.testing.assert_array_equal(first, again)


def test_without_a_reward_kpis_remain(scenario):
    (rule,) = make_rules(["nearest_driver"], has_reward=False)
    played = play(rule, generated_cases(2_000_000, 2, scenario), scenario, None, measure_latency=False)
    assert np.isnan(played.reward).all()
    assert (played.kpis["num_served"] > 0).all()


def test_decisions_are_timed_one_day_at_a_time(scenario):
    (rule,) = make_rules(["nearest_driver"])
    played = play(rule, generated_cases(2_000_000, 2, scenario), scenario, None)
    p50, p99 = played.latency_ms
    assert 0 < p50 <= p99
    p50, p99 = played.tick_ms
    assert 0 < p50 <= p99


def test_plan_improvement_counts_as_time_of_the_tick():
    # 20 000 rounds of ruin and recreate a tick take milliseconds, none take microseconds
    tick_ms = []
    for moves in (0, 20_000):
        improved = make_scenario("DispatchDay-v0", None, {"plan_improvement": True, "improvement_moves": moves})
        (rule,) = make_rules(["cheapest_insertion_at_release"])
        tick_ms.append(play(rule, generated_cases(2_000_000, 1, improved), improved, "v3").tick_ms[0])
    assert tick_ms[1] > 3.0 * tick_ms[0]


def test_on_progress_counts_the_days(scenario):
    counts: list[int] = []
    (rule,) = make_rules(["wait_for_ever"])
    arena = Arena(scenario, None, 2)
    cases = generated_cases(2_000_000, 5, scenario)
    play(rule, cases, scenario, None, measure_latency=False, arena=arena, on_progress=counts.append)
    assert counts == [2, 4, 5]


def test_ranges_of_days():
    assert parse_days("60-62,70") == [60, 61, 62, 70]
    with pytest.raises(SetupError, match="expected ranges"):
        parse_days("62-60")
    assert service_day("day-060") == 60
    assert service_day("monday") is None


def test_values_are_plain_data():
    assert parse_values(["load:2.0", "plan_improvement:false", "num_drivers:[3, 5]"]) == {
        "load": 2.0,
        "plan_improvement": False,
        "num_drivers": [3, 5],
    }


def test_an_unknown_environment_names_the_nearest():
    with pytest.raises(SetupError, match=r"Did you mean 'DispatchDay-v0'\?"):
        make_scenario("DispachDay-v0", None, {})
