"""The picture of the training curves, from made-up event files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from torch.utils.tensorboard import SummaryWriter

from studies.curves import Curve, CurvesError, draw, find, main, mean_of, read_events, scale_of

PNG = b"\x89PNG"


def make_run(folder: Path, seed: int, purge_step: int | None = None) -> Path:
    """A run that logged ten points of a straight line."""
    (folder / "Dispatch-v0").mkdir(parents=True, exist_ok=True)
    settings = {"algo": "dqn", "env": "Dispatch-v0", "reward": "v2", "seed": seed}
    (folder / "Dispatch-v0" / "resolved.yml").write_text(yaml.safe_dump(settings))
    with SummaryWriter(str(folder), purge_step=purge_step) as writer:
        for step in range(purge_step or 0, 100, 10):
            writer.add_scalar("rollout/ep_rew_mean", seed * step, step)
            writer.add_scalar("time/fps", 1.0, step)
    return folder


def test_events_are_read_and_others_left_out(tmp_path):
    series = read_events(make_run(tmp_path, seed=2))
    assert list(series) == ["rollout/ep_rew_mean"]
    steps, values = series["rollout/ep_rew_mean"]
    assert steps.tolist() == list(range(0, 100, 10))
    assert values.tolist() == [2 * step for step in range(0, 100, 10)]


def test_what_was_logged_after_the_last_checkpoint_is_left_out(tmp_path):
    make_run(tmp_path, seed=1)
    steps, values = read_events(make_run(tmp_path, seed=3, purge_step=50))["rollout/ep_rew_mean"]
    # the first five points of the first session, then the resumed one
    assert steps.tolist() == list(range(0, 100, 10))
    assert values.tolist() == [0, 10, 20, 30, 40, 150, 180, 210, 240, 270]


def test_mean_covers_what_all_seeds_cover():
    # 0, 10, 20 at steps 0, 10, 20 and 30, 40 at steps 10, 20: over 10-20 the means are 20 to 30
    grid, values = mean_of([
        (np.array([0.0, 10.0, 20.0]), np.array([0.0, 10.0, 20.0])),
        (np.array([10.0, 20.0]), np.array([30.0, 40.0])),
    ])  # fmt: skip
    assert (grid[0], grid[-1]) == (10.0, 20.0)
    assert (values[0], values[-1]) == (20.0, 30.0)
    grid, _ = mean_of([(np.array([0.0]), np.array([1.0])), (np.array([5.0]), np.array([1.0]))])
    assert len(grid) == 0


def test_a_loss_below_zero_is_not_drawn_on_a_logarithmic_scale():
    loss = Curve("train/loss", "Loss", "loss", "log")
    assert scale_of(loss, [np.array([0.1, 0.2]), np.array([3.0])]) == "log"
    assert scale_of(loss, [np.array([0.1, 0.2]), np.array([-3.0])]) == "linear"


def test_picture_of_two_seeds(tmp_path, capsys):
    runs = [str(make_run(tmp_path / f"run_{seed}", seed)) for seed in (1, 2)]
    picture = tmp_path / "report" / "curves.png"
    assert main([*runs, "-o", str(picture)]) == 0
    assert picture.read_bytes().startswith(PNG)
    assert capsys.readouterr().out == f"Curves: {picture}\n"


def test_folder_of_a_study_stands_for_the_run_below(tmp_path):
    run = make_run(tmp_path / "seed1" / "v2" / "dqn" / "Dispatch-v0_1", 1)
    assert find(tmp_path / "seed1") == run


def test_folders_that_hold_no_curves_are_named(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "not a run folder" in capsys.readouterr().err
    run = make_run(tmp_path / "run", 1)
    for file in run.glob("events.*"):
        file.unlink()
    with pytest.raises(CurvesError, match="no event files"):
        draw([run], tmp_path / "curves.png")
