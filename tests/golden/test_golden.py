"""
Back test: everything does what it did when the records were made.

A change that is meant is recorded anew with ``python -m tests.golden.record``, and stands in the changelog.
"""

from __future__ import annotations

import pytest

from tests.golden.records import (
    CASES,
    MODELS,
    PAID_POLICIES,
    PAID_WORLDS,
    REWARDS,
    UNCLEAR,
    WORLDS,
    choices,
    event_logs,
    model_world,
    observations,
    read,
    reward_terms,
)

RELATIVE, ABSOLUTE = 1e-6, 1e-5  # sums of an episode, on another processor


def close(value):
    return pytest.approx(value, rel=RELATIVE, abs=ABSOLUTE)


@pytest.mark.parametrize(("world", "policy"), CASES)
def test_days_go_as_recorded(world, policy):
    recorded, found = read("events")[world][policy], event_logs(world, policy)
    for name in ("bookings", "served"):
        assert found[name] == recorded[name], f"{name} per day"
    for name in ("deadhead_km", "reward"):
        assert found[name] == close(recorded[name]), f"{name} per day"
    assert found["log"] == recorded["log"], "the event logs differ, though as many are served at the same price"


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("policy", PAID_POLICIES)
@pytest.mark.parametrize("world", PAID_WORLDS)
def test_every_term_pays_as_recorded(world, policy, reward):
    assert reward_terms(world, policy, reward) == close(read("terms")[f"{world} {policy}"][reward])


@pytest.mark.parametrize("world", WORLDS)
def test_every_feature_is_shown_as_recorded(world):
    recorded, found = read("observations")[world], observations(world)
    assert set(found) == set(recorded)
    for key, means in found.items():
        assert means == close(recorded[key]), f"mean of each feature of {key}"


@pytest.mark.parametrize("model", MODELS)
def test_a_shipped_model_chooses_as_recorded(model):
    records = read("choices")
    recorded = records["model"][model]
    found = choices(model, records["path"][model_world(model)])
    assert [UNCLEAR if was == UNCLEAR else is_now for was, is_now in zip(recorded, found, strict=True)] == recorded


def test_nothing_recorded_is_gone():
    assert {(world, policy) for world, policies in read("events").items() for policy in policies} == set(CASES)
    assert set(read("choices")["model"]) == set(MODELS)


def test_records_tell_worlds_and_policies_apart():
    # what hashes the same in two worlds, or never differs between rules, would catch little
    events = read("events")
    for world, policies in events.items():
        assert len({tuple(record["log"]) for record in policies.values()}) >= 7, world
