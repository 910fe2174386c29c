"""Where days come from: labels that tell folders apart."""

from __future__ import annotations

from evaluation.setup import short_name


def test_folders_go_by_the_last_parts_of_their_paths_that_differ():
    folders = ["data/drivers-8", "data/drivers-10", "data/draw-1/drivers-8"]
    # drivers-8 ends two of the paths; with the folder above, it ends one
    assert [short_name(folder, folders) for folder in folders] == ["data/drivers-8", "drivers-10", "draw-1/drivers-8"]
    assert short_name("drivers-8", ["drivers-8", "a/drivers-8"]) == "drivers-8"
