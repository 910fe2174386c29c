"""Tuned values: kept in YAML, checked and found again."""

from __future__ import annotations

import pytest

from baselines.tuned import TUNED_PATH, Entry, read_tuned, tuned_settings, write_tuned


def entry(reward: str = "v2", objective: str = "reward", **rules) -> Entry:
    return Entry("Dispatch-v0", "short_shift", False, reward, objective, "1000000-1000499", rules)


def found(horizon_min: float) -> dict:
    return {"values": {"horizon_min": horizon_min}, "mean": 1.0}


def test_an_entry_comes_back_and_others_stay(tmp_path):
    path = tmp_path / "tuned.yml"
    write_tuned(entry("v1", insertion_just_in_time=found(10.0)), path)
    write_tuned(entry("v2", insertion_just_in_time=found(20.0)), path)
    write_tuned(entry("v2", regret_insertion_just_in_time=found(30.0)), path)
    assert len(read_tuned(path)) == 2
    where = {"scenario": "short_shift", "plan_improvement": False, "path": path}
    assert tuned_settings("Dispatch-v0", "v1", **where) == {"insertion_just_in_time": {"horizon_min": 10.0}}
    assert tuned_settings("Dispatch-v0", "v2", **where) == {
        "insertion_just_in_time": {"horizon_min": 20.0},
        "regret_insertion_just_in_time": {"horizon_min": 30.0},
    }


def test_values_of_another_world_are_not_taken(tmp_path):
    path = tmp_path / "tuned.yml"
    write_tuned(entry(insertion_just_in_time=found(10.0)), path)
    where = {"scenario": "short_shift", "plan_improvement": False, "path": path}
    assert tuned_settings("Dispatch-v0", "v3", **where) == {}
    assert tuned_settings("DispatchDay-v0", "v2", **where) == {}
    assert tuned_settings("Dispatch-v0", "v2", **{**where, "plan_improvement": True}) == {}
    assert tuned_settings("Dispatch-v0", "v2", objective="cost", **where) == {}


def test_what_was_not_tuned_for_giving_back_plays_with_what_was_found_without(tmp_path):
    path = tmp_path / "tuned.yml"
    on = entry(insertion_just_in_time=found(10.0), regret_insertion_just_in_time=found(30.0))
    on.plan_improvement = True
    gives_back = entry(insertion_just_in_time=found(20.0))
    gives_back.plan_improvement = gives_back.gives_back = True
    write_tuned(on, path)
    write_tuned(gives_back, path)
    where = {"scenario": "short_shift", "plan_improvement": True, "path": path}
    assert tuned_settings("Dispatch-v0", "v2", gives_back=True, **where) == {
        "insertion_just_in_time": {"horizon_min": 20.0},
        "regret_insertion_just_in_time": {"horizon_min": 30.0},
    }
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
    where = {"scenario": "short_shift", "plan_improvement": False, "path": path}
    shared = {"insertion_just_in_time": {"horizon_min": 10.0}}
    assert tuned_settings("Dispatch-v0", "other.yml", objective="cost_with_lateness", **where) == shared
    assert tuned_settings("Dispatch-v0", "other.yml", objective="cost", **where) == {}
