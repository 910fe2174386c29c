"""Tuned values: kept in YAML, checked and found again."""

from __future__ import annotations

import pytest

from baselines.tuned import (
    TUNED_PATH,
    Entry,
    read_tuned,
    shipped_name,
    tuned_settings,
    weights_fingerprint,
    write_tuned,
)
from envs.days.scenario import SCENARIO_DIR, Scenario
from reward.weights import VERSIONS, version_path


def entry(reward: str = "v2", objective: str = "reward", **rules) -> Entry:
    weights = weights_fingerprint(reward)
    return Entry("Dispatch-v0", "short_shift", False, reward, weights, objective, "1000000-1000499", rules)


def found(horizon_min: float) -> dict:
    return {"values": {"horizon_min": horizon_min}, "mean": 1.0}


def test_an_entry_comes_back_and_others_stay(tmp_path):
    path = tmp_path / "tuned.yml"
    write_tuned(entry("v1", insertion_just_in_time=found(10.0)), path)
    write_tuned(entry("v2", insertion_just_in_time=found(20.0)), path)
    write_tuned(entry("v2", regret_insertion_just_in_time=found(30.0)), path)
    assert len(read_tuned(path)) == 2
    where = {"scenario": Scenario.load("short_shift"), "path": path}
    assert tuned_settings("Dispatch-v0", "v1", **where) == {"insertion_just_in_time": {"horizon_min": 10.0}}
    assert tuned_settings("Dispatch-v0", "v2", **where) == {
        "insertion_just_in_time": {"horizon_min": 20.0},
        "regret_insertion_just_in_time": {"horizon_min": 30.0},
    }


def test_values_of_another_world_are_not_taken(tmp_path):
    path = tmp_path / "tuned.yml"
    write_tuned(entry(insertion_just_in_time=found(10.0)), path)
    where = {"scenario": Scenario.load("short_shift"), "path": path}
    assert tuned_settings("Dispatch-v0", "v3", **where) == {}
    assert tuned_settings("DispatchDay-v0", "v2", **where) == {}
    assert (
        tuned_settings(
            "Dispatch-v0", "v2", **{**where, "scenario": Scenario.load("short_shift", plan_improvement=True)}
        )
        == {}
    )
    assert tuned_settings("Dispatch-v0", "v2", objective="cost", **where) == {}


def test_what_was_not_tuned_for_giving_back_plays_with_what_was_found_without(tmp_path):
    path = tmp_path / "tuned.yml"
    on = entry(insertion_just_in_time=found(10.0), regret_insertion_just_in_time=found(30.0))
    on.plan_improvement = True
    gives_back = entry(insertion_just_in_time=found(20.0))
    gives_back.plan_improvement = gives_back.gives_back = True
    write_tuned(on, path)
    write_tuned(gives_back, path)
    on, gives_back = {"plan_improvement": True}, {"improvement_moves": 10, "improvement_lost_min": 300.0}
    where = {"scenario": Scenario.load("short_shift", **on, **gives_back), "path": path}
    assert tuned_settings("Dispatch-v0", "v2", **where) == {
        "insertion_just_in_time": {"horizon_min": 20.0},
        "regret_insertion_just_in_time": {"horizon_min": 30.0},
    }
    where["scenario"] = Scenario.load("short_shift", **on)
    assert tuned_settings("Dispatch-v0", "v2", **where)["insertion_just_in_time"] == {"horizon_min": 10.0}


def test_an_unknown_setting_in_the_file_is_an_error(tmp_path):
    path = tmp_path / "tuned.yml"
    write_tuned(entry(), path)
    path.write_text(path.read_text().replace("rules: {}", "rules: {insertion_just_in_time: {values: {horizn_min: 3}}}"))
    with pytest.raises(ValueError, match=r"Did you mean 'horizon_min'\?"):
        read_tuned(path)


def test_the_shipped_file_can_be_read():
    assert TUNED_PATH.exists()
    for shipped in read_tuned():
        assert all(found["command"].startswith("python -m studies.tune") for found in shipped.rules.values())
        assert not shipped.days.startswith("2")  # never report days


def test_rules_without_a_reward_share_what_was_found_for_the_same_cost(tmp_path):
    path = tmp_path / "tuned.yml"
    write_tuned(entry("v2", "cost_with_lateness", insertion_just_in_time=found(10.0)), path)
    where = {"scenario": Scenario.load("short_shift"), "path": path}
    shared = {"insertion_just_in_time": {"horizon_min": 10.0}}
    assert tuned_settings("Dispatch-v0", "reward/paratransit.yml", objective="cost_with_lateness", **where) == shared
    assert tuned_settings("Dispatch-v0", "reward/paratransit.yml", objective="cost", **where) == {}


def test_a_reward_is_known_by_what_it_pays_and_not_by_its_name(tmp_path):
    text = version_path("v3").read_text()
    copy, changed = tmp_path / "mine.yml", tmp_path / "v3.yml"
    copy.write_text(text)
    changed.write_text(text.replace("fare_per_trip:", "fare_per_trip: 1.0  #"))
    where = ("DispatchDay-v0", Scenario.load("operating_day"))
    tuned = tuned_settings(where[0], "v3", where[1])
    assert tuned["matching_with_prices"]
    assert tuned_settings(where[0], copy, where[1]) == tuned
    assert tuned_settings(where[0], changed, where[1]) == {}  # the name alone is no reward


def test_a_copy_of_a_scenario_is_known_by_its_content(tmp_path):
    copy = tmp_path / "mine.yml"
    copy.write_text((SCENARIO_DIR / "operating_day.yml").read_text())
    assert shipped_name(Scenario.load(copy)) == "operating_day"
    # another fleet, another load and plan improvement off are the same world
    assert shipped_name(Scenario.load(copy, num_drivers=20, load=2.0, plan_improvement=False)) == "operating_day"
    assert shipped_name(Scenario.load(copy, detour=1.5)) == "mine"


def test_a_copy_of_the_smaller_of_two_alike_is_that_one(tmp_path):
    copy = tmp_path / "mine.yml"
    copy.write_text((SCENARIO_DIR / "v1_published.yml").read_text())
    assert shipped_name(Scenario.load(copy)) == "v1_published"


def test_shipped_values_belong_to_the_shipped_rewards():
    for shipped in read_tuned():
        path = shipped.reward if shipped.reward in VERSIONS else f"reward/{shipped.reward}.yml"
        assert shipped.reward_weights == weights_fingerprint(path), "the weights changed: tune anew, or undo the change"
