"""What a kill, a full disk or a second training may leave behind, and how a run goes on from it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN

import kept
import train
from checked import SettingsError
from tests.training.tiny import metrics_of, run, write_config
from training import checkpoint
from training.run_folder import Occupied

CRASH = "tests.training.tiny.CrashAt"


@pytest.fixture(scope="module")
def cut_run(tmp_path_factory) -> Path:
    """A run that died at step 130 of 192, with checkpoints of steps 96 (the last) and 48, and evaluations."""
    tmp_path = tmp_path_factory.mktemp("cut")
    config = write_config(tmp_path, callback=[{CRASH: {"step": 130}}])
    options = ["-n", "192", "--checkpoint-freq", "48", "--eval-freq", "48", "--eval-episodes", "1", "-tb", "none"]
    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path, *options, config=config)
    (folder,) = (tmp_path / "logs").glob("*/dqn/*_*")
    resolved = next(folder.glob("*/resolved.yml"))
    resolved.write_text(resolved.read_text().replace("step: 130", "step: -1"))
    return folder


@pytest.fixture
def cut(cut_run, tmp_path) -> Path:
    return Path(shutil.copytree(cut_run, tmp_path / cut_run.name))


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if how == "cut" else b"")


def test_the_last_two_checkpoints_are_kept(cut):
    assert checkpoint.num_timesteps(cut / "checkpoint") == 96
    assert checkpoint.num_timesteps(cut / "checkpoint.old") == 48


@pytest.mark.parametrize("how", ["cut", "empty", "missing"])
@pytest.mark.parametrize("name", ["model.zip", "replay_buffer.pkl", "state.pkl", "manifest.json"])
def test_damaged_checkpoint_gives_way_to_the_one_before(cut, name, how):
    damage(cut / "checkpoint" / name, how)
    if (name, how) == ("manifest.json", "missing"):  # as one of a version without manifests: it is whole
        assert checkpoint.num_timesteps(checkpoint.settle(cut)[0]) == 96
        return
    found, (fault,) = checkpoint.settle(cut)
    assert checkpoint.num_timesteps(found) == 48 and name in fault
    assert found == cut / "checkpoint"  # the next one is written beside it


def test_run_goes_on_from_the_checkpoint_before_and_says_so(cut, capsys):
    damage(cut / "checkpoint/model.zip", "cut")
    assert train.main(["--resume", str(cut)]) == 0
    out = capsys.readouterr().out
    assert "model.zip has" in out and "goes on from the one before, of step 48" in out
    assert metrics_of(cut)["num_timesteps"] == 192 and metrics_of(cut)["resumed_from"] == [48]


def test_two_damaged_checkpoints_are_told(cut, capsys):
    damage(cut / "checkpoint/model.zip", "cut")
    damage(cut / "checkpoint.old/replay_buffer.pkl", "empty")
    assert train.main(["--resume", str(cut)]) == 2
    err = capsys.readouterr().err
    assert "no checkpoint can be used" in err and "replay_buffer.pkl has 0 bytes" in err


def test_checkpoint_without_manifest_is_judged_by_its_files(cut):
    for folder in ("checkpoint", "checkpoint.old"):
        (cut / folder / "manifest.json").unlink()
    damage(cut / "checkpoint/state.pkl", "cut")
    assert checkpoint.find(cut).name == "checkpoint.old"


@pytest.mark.parametrize("how", ["cut", "empty"])
@pytest.mark.parametrize("name", ["evaluations.npz", "training_metrics.json"])
def test_run_with_a_damaged_record_goes_on(cut, capsys, name, how):
    damage(cut / name, how)
    assert train.main(["--resume", str(cut), "--verbose", "0"]) == 0
    assert f"{name} is damaged" in capsys.readouterr().out
    # what was evaluated after the checkpoint of step 96 is there
    assert np.load(cut / "evaluations.npz")["timesteps"].tolist()[-2:] == [144, 192]


def test_curves_stay_off_when_the_run_goes_on(cut):
    assert train.main(["--resume", str(cut), "--verbose", "0"]) == 0
    assert not list(cut.glob("events.out.tfevents.*"))


def test_larger_total_is_told(cut, capsys):
    assert train.main(["--resume", str(cut), "-n", "240", "--verbose", "1"]) == 0
    # 96 of 192 are half of the run, of 240 two fifths
    assert "The total was 192 and is 240 now" in (out := capsys.readouterr().out) and "from 40 % instead of 50 %" in out


def test_second_training_in_a_folder_is_refused(cut, capsys):
    first = Occupied(cut)
    assert train.main(["--resume", str(cut)]) == 2
    assert "another training (process" in capsys.readouterr().err
    first.release()
    assert train.main(["--resume", str(cut), "--verbose", "0"]) == 0


def test_last_model_that_was_lost_is_written_from_the_checkpoint(tmp_path, capsys):
    folder = run(tmp_path, "-n", "48")
    damage(folder / "Dispatch-v0.zip", "cut")  # killed while it was written
    assert train.main(["--resume", str(folder)]) == 2  # all steps are made
    assert "written anew from the checkpoint" in capsys.readouterr().out
    assert DQN.load(folder / "Dispatch-v0.zip").num_timesteps == 48


class FullDisk:
    """A disk on which nothing can be made safe while ``is_full``."""

    def __init__(self, monkeypatch: Any) -> None:
        self.is_full = False
        self._sync = kept.sync
        monkeypatch.setattr(kept, "sync", self.sync)

    def sync(self, path: Path) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._sync(path)


def test_full_disk_ends_no_training(tmp_path, monkeypatch, capsys):
    disk = FullDisk(monkeypatch)
    begun = checkpoint.save

    def save(model: Any, *args: Any, **named: Any) -> Path:
        disk.is_full = model.num_timesteps == 96  # full from the second checkpoint to the third
        return begun(model, *args, **named)

    monkeypatch.setattr(checkpoint, "save", save)
    options = ["-n", "192", "--checkpoint-freq", "48", "--eval-freq", "24", "--eval-episodes", "1"]
    folder = run(tmp_path, *options)
    err = capsys.readouterr().err
    assert "a checkpoint can't be written (No space left on device)" in err
    assert "a checkpoint could be written again" in err
    assert metrics_of(folder)["num_timesteps"] == 192
    assert np.load(folder / "evaluations.npz")["timesteps"].tolist() == list(range(24, 193, 24))
    DQN.load(folder / "best_model.zip")
    assert not [path.name for path in folder.rglob("*.new*")]


def test_file_stays_what_it_was_when_the_new_one_fails(tmp_path, monkeypatch):
    path = tmp_path / "best_model.zip"
    kept.write_bytes(path, b"good")
    disk = FullDisk(monkeypatch)
    disk.is_full = True
    with pytest.raises(OSError, match="No space"):
        kept.write_bytes(path, b"half")
    assert path.read_bytes() == b"good" and [each.name for each in tmp_path.iterdir()] == ["best_model.zip"]


def test_folder_that_can_not_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path)
    assert train.main(["--algo", "dqn", "-conf", str(config), "-f", str(tmp_path / "file")]) == 2


def test_damaged_settings_of_a_run_are_told(cut):
    damage(next(cut.glob("*/resolved.yml")), "empty")
    with pytest.raises(SettingsError, match="damaged"):
        from training.run_folder import read_resolved

        read_resolved(cut)
