"""A run that was cut off goes on as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch as th
from rl_zoo3.utils import ALGOS
from stable_baselines3 import DQN

import train
from checked import SettingsError
from tests.training.tiny import metrics_of, monitor_returns, run, write_config
from training import checkpoint
from training.settings import REPO_ROOT

EPSILON = {"training.callbacks.EpsilonDecayPerEpisode": {"initial": 0.9, "final": 0.1, "factor": 0.9}}


def interrupted(tmp_path: Path, crash_at: int, *options: str, algo: str = "dqn", **changes) -> Path:
    """The folder of a run that died at a step."""
    crash = {"tests.training.tiny.CrashAt": {"step": crash_at}}
    config = write_config(tmp_path, callback=[EPSILON, crash], **changes)
    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path, *options, config=config, algo=algo)
    (folder,) = (tmp_path / "logs").glob(f"*/{algo}/*_*")
    resolved = next(folder.glob("*/resolved.yml"))
    # the power is back
    text = resolved.read_text()
    resolved.write_text(text.replace(f"step: {crash_at}", "step: -1"))
    return folder


def resume(folder: Path, *options: str) -> None:
    assert train.main(["--resume", str(folder), "--verbose", "0", *options]) == 0


@pytest.mark.parametrize("changes", [{}, {"n_envs": 2}, {"train_freq": 4, "learning_rate": "lin_0.001"}])
def test_resumed_run_equals_the_uninterrupted_one(tmp_path, changes):
    (tmp_path / "cut").mkdir(), (tmp_path / "straight").mkdir()
    # 400 steps; the checkpoint of step 200 lies in the ninth episode (200 = 8 x 24 + 8)
    options = ["-n", "400", "--checkpoint-freq", "200", "--seed", "3", "--eval-freq", "80", "--eval-episodes", "2"]
    options.append("--save-replay-buffer")
    cut = interrupted(tmp_path / "cut", 250, *options, **changes)
    assert checkpoint.num_timesteps(checkpoint.find(cut)) == 200
    resume(cut)
    straight = run(
        tmp_path / "straight", *options, config=write_config(tmp_path / "straight", callback=[EPSILON], **changes)
    )
    first, second = (DQN.load(folder / "checkpoint/model.zip") for folder in (straight, cut))
    assert second.num_timesteps == first.num_timesteps == 400
    assert second.exploration_rate == first.exploration_rate < 0.5
    assert second._n_updates == first._n_updates
    first.load_replay_buffer(straight / "checkpoint/replay_buffer.pkl")
    second.load_replay_buffer(cut / "checkpoint/replay_buffer.pkl")
    assert second.replay_buffer.pos == first.replay_buffer.pos == 400 // changes.get("n_envs", 1)
    np.testing.assert_array_equal(second.replay_buffer.actions, first.replay_buffer.actions)
    for here, there in zip(first.policy.state_dict().values(), second.policy.state_dict().values(), strict=True):
        assert th.equal(here, there)
    assert monitor_returns(cut) == monitor_returns(straight)
    for key in ("timesteps", "results"):
        np.testing.assert_array_equal(np.load(cut / "evaluations.npz")[key], np.load(straight / "evaluations.npz")[key])


def test_metrics_are_kept_and_not_doubled(tmp_path):
    folder = interrupted(
        tmp_path, 130, "-n", "192", "--checkpoint-freq", "96", "--eval-freq", "48", "--eval-episodes", "1"
    )
    resume(folder)
    content = metrics_of(folder)
    assert [episode["timesteps"] for episode in content["episodes"]] == list(range(24, 193, 24))
    assert [e["timesteps"] for e in content["evaluations"]] == [48, 96, 144, 192]
    assert content["resumed_from"] == [96] and content["started_at"] <= content["resumed_at"][0]
    assert len(monitor_returns(folder)) == 8


@pytest.mark.parametrize("algo", ["maskable_dqn", "ppo"])
def test_other_algorithms_resume(tmp_path, algo):
    changes = {"remove": ("buffer_size", "learning_starts", "train_freq", "target_update_interval"), "n_steps": 24}
    extra = {} if algo == "maskable_dqn" else changes
    options = ("-n", "192", "--checkpoint-freq", "96", "--vec-env", "dummy")  # a native batch starts new days instead
    crash = {"tests.training.tiny.CrashAt": {"step": 130}}
    config = write_config(tmp_path, callback=[crash], **extra)
    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path, *options, config=config, algo=algo)
    (folder,) = (tmp_path / "logs").glob(f"*/{algo}/*_*")
    resolved = next(folder.glob("*/resolved.yml"))
    resolved.write_text(resolved.read_text().replace("step: 130", "step: -1"))
    resume(folder)
    assert metrics_of(folder)["num_timesteps"] == 192
    assert len(monitor_returns(folder)) == 8


BRANCHING = {
    "policy": "PairPolicy",
    "policy_kwargs": {"width": 8},
    "n_envs": 8,
    "n_timesteps": 1600,
    "learning_starts": 0,
    "buffer_size": 2000,
    "train_freq": 1,
    "teacher": {"rule": "best_reward_with_prices", "until": 0.3, "updates": 1, "batch_size": 16, "settings": {}},
    "branching": {
        "start": 0.5,
        "horizon_ticks": 4,
        "states": 4,
        "every": 2,
        "actions": 3,
        "random_actions": 1,
        "rows": 40,
        "states_per_update": 4,
        "batch_size": 16,
        "buffer_states": 400,
    },
}
BATCHED = {key: value for key, value in BRANCHING.items() if key not in ("teacher", "branching")}


def cut_and_straight(tmp_path: Path, cut_at: int, crash_at: int, algo: str, vec_env: str, **changes) -> list[Path]:
    """The folders of a run that died at a step, went on from its checkpoint, and of one that was left alone."""
    folders = []
    total = changes["n_timesteps"]
    for name, step in (("cut", crash_at), ("straight", -1)):
        (tmp_path / name).mkdir()
        crash = {"tests.training.tiny.CrashAt": {"step": step}}
        config = write_config(tmp_path / name, callback=[crash], **changes)
        options = ["-n", str(total), "--checkpoint-freq", str(cut_at), "--seed", "3", "--vec-env", vec_env]
        try:
            run(tmp_path / name, *options, "--save-replay-buffer", config=config, algo=algo)
        except RuntimeError as error:
            assert "power cut" in str(error) and step == crash_at
        (folder,) = (tmp_path / name / "logs").glob(f"*/{algo}/*_*")
        folders.append(folder)
    resolved = next(folders[0].glob("*/resolved.yml"))
    resolved.write_text(resolved.read_text().replace(f"step: {crash_at}", "step: -1"))
    assert checkpoint.num_timesteps(checkpoint.find(folders[0])) == cut_at
    resume(folders[0])
    return folders


def assert_equal_weights(folders: list[Path], algo: str) -> None:
    first, second = (ALGOS[algo].load(folder / "checkpoint/model.zip") for folder in folders)
    assert first.num_timesteps == second.num_timesteps and first._n_updates == second._n_updates > 0
    for here, there in zip(first.policy.state_dict().values(), second.policy.state_dict().values(), strict=True):
        assert th.equal(here, there)


# 8 days of 24 decisions side by side, 1600 decisions: the teacher is asked until 480, Q-learning until 800, then
# branches. Cut while the teacher speaks, while a day is over, in Q-learning, at the first branches and between two
# rounds of them (a look puts 4 x 3 copies into 40 places, so that some wait).
@pytest.mark.parametrize("cut_at", [160, 640, 1096, *(pytest.param(at, marks=pytest.mark.slow) for at in (384, 800))])
def test_branching_run_goes_on_as_if_it_had_not_been_cut(tmp_path, cut_at):
    folders = cut_and_straight(tmp_path, cut_at, cut_at + 64, "branching_dqn", "batched", **BRANCHING)
    assert_equal_weights(folders, "branching_dqn")
    cut, straight = (metrics_of(folder)["episodes"] for folder in folders)
    assert [(e["timesteps"], e["day"], e["reward"]) for e in cut] == [
        (e["timesteps"], e["day"], e["reward"]) for e in straight
    ]
    assert sum(checkpoint.monitor_rows(folders[0]).values()) == len(straight)


@pytest.mark.parametrize(
    ("vec_env", "buffer"), [("batched", "PrioritizedClockReplayBuffer"), ("dummy", "ClockReplayBuffer")]
)
def test_masked_run_goes_on_as_if_it_had_not_been_cut(tmp_path, vec_env, buffer):
    changes = {**BATCHED, "n_timesteps": 800, "replay_buffer_class": f"agents.replay.{buffer}"}
    assert_equal_weights(cut_and_straight(tmp_path, 392, 440, "maskable_dqn", vec_env, **changes), "maskable_dqn")


def test_finished_run_goes_on_only_to_a_larger_total(tmp_path, capsys):
    folder = run(tmp_path, "-n", "48")
    assert train.main(["--resume", str(folder), "--verbose", "0"]) == 2
    assert "pass a larger total, such as -n 96" in capsys.readouterr().err
    resume(folder, "-n", "72")
    assert metrics_of(folder)["num_timesteps"] == 72


def test_finished_run_without_its_buffer_fills_a_new_one_first(tmp_path, capsys):
    folder = run(tmp_path, "-n", "48")
    assert not (folder / "checkpoint/replay_buffer.pkl").exists()
    # 48 decisions, the first 8 (learning_starts) without an update, then one each
    assert DQN.load(folder / "checkpoint/model.zip")._n_updates == 48 - 8
    assert train.main(["--resume", str(folder), "-n", "96", "--verbose", "1"]) == 0
    assert "8 decisions are played before it learns on" in capsys.readouterr().out
    # again 8 of them in the buffer before the first update: decisions 56 to 96 bring one each
    model = DQN.load(folder / "checkpoint/model.zip")
    assert model._n_updates == 40 + 41 and model.gradient_steps == 1


def test_interrupted_run_keeps_its_buffer(tmp_path):
    folder = interrupted(tmp_path, 60, "-n", "96", "--checkpoint-freq", "48")
    assert (folder / "checkpoint/replay_buffer.pkl").is_file()
    resume(folder)
    assert not (folder / "checkpoint/replay_buffer.pkl").exists()


def test_other_settings_can_not_change_on_resume(tmp_path, capsys):
    folder = run(tmp_path, "-n", "48")
    assert train.main(["--resume", str(folder), "--seed", "5"]) == 2
    assert "--seed would make it another run" in capsys.readouterr().err


def test_run_without_checkpoint_says_so(tmp_path, capsys):
    folder = interrupted(tmp_path, 30, "-n", "96", "--checkpoint-freq", "48")
    with pytest.raises(SettingsError, match="before its first checkpoint"):
        checkpoint.find(folder)
    assert train.main(["--resume", str(folder)]) == 2
    assert "Start it again" in capsys.readouterr().err


def test_kill_between_renames_leaves_a_usable_checkpoint(tmp_path):
    folder = run(tmp_path, "-n", "48")
    (folder / "checkpoint").rename(folder / "checkpoint.old")
    half = folder / "checkpoint.new"
    half.mkdir()
    (half / "state.pkl").write_bytes(b"")
    assert checkpoint.find(folder).name == "checkpoint.old"


def test_saved_buffer_holds_only_what_was_filled(tmp_path):
    folder = run(tmp_path, "-n", "48", "--save-replay-buffer", config=write_config(tmp_path, buffer_size=20_000))
    # one observation of 2 x 3 is about 1 kB: 48 x 2 of them, where 20 000 x 2 rows are allocated
    assert (folder / "checkpoint/replay_buffer.pkl").stat().st_size < 1_000_000


def test_sigterm_writes_a_checkpoint_and_stops(tmp_path):
    def finished_episodes() -> int:
        return sum(len(path.read_text().splitlines()) - 2 for path in (tmp_path / "logs").rglob("*.monitor.csv"))

    command = [
        sys.executable,
        "train.py",
        "-conf",
        str(write_config(tmp_path)),
        "-f",
        str(tmp_path / "logs"),
        "-n",
        "1000000",
    ]
    command += ["--eval-freq", "-1"]
    with subprocess.Popen(command, cwd=REPO_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.time() + 240
            while time.time() < deadline and not finished_episodes():
                time.sleep(0.2)
            os.kill(process.pid, signal.SIGTERM)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "with: python train.py --resume" in out.splitlines()[-1]
    (folder,) = (tmp_path / "logs").glob("*/*/*_*")
    assert checkpoint.num_timesteps(checkpoint.find(folder)) > 0


def test_password_of_a_database_reaches_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", "--storage", "postgresql+psycopg2://me:s3cret@h/base"])
    folder = run(tmp_path, "-n", "48")
    assert "me:***@h" in (folder / "Dispatch-v0/command.txt").read_text()
    assert not [path for path in folder.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
