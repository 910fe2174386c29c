"""Where days come from: labels that tell folders apart."""

from __future__ import annotations

import argparse

import pytest

from evaluation.setup import SetupError, resolve_world, short_name


def test_folders_go_by_the_last_parts_of_their_paths_that_differ():
    folders = ["data/drivers-8", "data/drivers-10", "data/draw-1/drivers-8"]
    # drivers-8 ends two of the paths; with the folder above, it ends one
    assert [short_name(folder, folders) for folder in folders] == ["data/drivers-8", "drivers-10", "draw-1/drivers-8"]
    assert short_name("drivers-8", ["drivers-8", "a/drivers-8"]) == "drivers-8"


def test_an_environment_that_pays_by_itself_gets_no_reward():
    given = {name: None for name in ("scenario", "days_from", "num_drivers", "max_bookings", "plan_improvement")}
    args = argparse.Namespace(env="DispatchPromise-v0", reward=None, env_kwargs=[], **given)
    assert resolve_world(args, [])[:2] == ("DispatchPromise-v0", None)
    args.reward = "v3"
    with pytest.raises(SetupError, match="--reward v3: DispatchPromise-v0 pays by itself"):
        resolve_world(args, [])
