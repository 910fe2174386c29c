"""rl-zoo3's own commands on our runs and on the shipped agents, as their users type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_sb3 import EnvironmentName
from rl_zoo3.utils import get_model_path, get_saved_hyperparams

from studies import as_run

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    """A shipped agent in rl-zoo3's layout; the folder is what ``-f`` names."""
    folder = tmp_path_factory.mktemp("zoo")
    assert as_run.main(["v2-short-shift-seed1", "-f", str(folder)]) == 0
    return folder / "v2-short-shift"


def zoo(module: str, *options: str) -> str:
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", f"rl_zoo3.{module}", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_shipped_agent_is_found_with_its_settings(shipped):
    settings = yaml.safe_load((ROOT / "trained-agents/v2-short-shift-seed1/Dispatch-v0/resolved.yml").read_text())
    _, path, folder = get_model_path(1, str(shipped), settings["algo"], EnvironmentName("Dispatch-v0"))
    hyperparams, _ = get_saved_hyperparams(f"{folder}/Dispatch-v0")
    assert Path(path).read_bytes() == (ROOT / "trained-agents/v2-short-shift-seed1/Dispatch-v0.zip").read_bytes()
    assert settings["hyperparams"].items() <= hyperparams.items()
    assert hyperparams["env_wrapper"] == "reward.RewardV2"


def test_an_agent_that_is_not_shipped_is_told(capsys):
    assert as_run.main(["v9-short-shift"]) == 2
    assert "There are: real-days, real-days-late, v1-short-shift, v2-short-shift" in capsys.readouterr().err


def test_enjoy_plays_a_shipped_agent(shipped):
    which = ("--algo", "branching_dqn", "--env", "Dispatch-v0", "-f", str(shipped), "--exp-id", "1")
    shown = zoo("enjoy", *which, "-n", "24", "--env-kwargs", "days:(2000000,2000001)")
    assert "08:05" in shown and "carries" in shown  # the text view, tick by tick
    # The best tuned rule earns about 1550 a shift, and a day of nothing but lost patients -900.
    (reward,) = [float(line.split()[-1]) for line in shown.splitlines() if line.startswith("Episode Reward")]
    assert reward > 0.0


def test_record_video_films_a_shipped_agent(shipped, tmp_path):
    which = ("--algo", "branching_dqn", "--env", "Dispatch-v0", "-f", str(shipped), "--exp-id", "1")
    zoo("record_video", *which, "-n", "3", "-o", str(tmp_path))
    (film,) = tmp_path.glob("*.mp4")
    assert film.stat().st_size > 1000


def test_an_agent_comes_back_from_the_hub(shipped, tmp_path, monkeypatch):
    uploaded = shipped / "branching_dqn/Dispatch-v0_1"  # hf upload somebody/ours <this folder>
    monkeypatch.setattr("huggingface_hub.snapshot_download", {"somebody/ours": uploaded}.__getitem__)
    assert as_run.main(["somebody/ours", "-f", str(tmp_path)]) == 0
    runs = str(tmp_path / "somebody/ours")
    _, path, folder = get_model_path(1, runs, "branching_dqn", EnvironmentName("Dispatch-v0"))
    assert Path(path).read_bytes() == (uploaded / "Dispatch-v0.zip").read_bytes()
    assert get_saved_hyperparams(f"{folder}/Dispatch-v0")[0]["env_wrapper"] == "reward.RewardV2"


def made_up_run(folder: Path, algo: str, number: int, first: float) -> None:
    """What a run leaves: rewards that grow by 1 an episode of 24 decisions, and two evaluations of three days."""
    run = folder / algo / f"Dispatch-v0_{number}"
    run.mkdir(parents=True)
    rows = "\n".join(f"{first + i},24,{i + 1}.0" for i in range(120))
    (run / "0.monitor.csv").write_text(
        "#" + json.dumps({"t_start": 0.0, "env_id": "Dispatch-v0"}) + f"\nr,l,t\n{rows}\n"
    )
    results = first + np.arange(6.0).reshape(2, 3)
    np.savez(run / "evaluations.npz", timesteps=[1440, 2880], results=results, ep_lengths=np.full((2, 3), 24))


def test_plots_draw_what_our_runs_leave(tmp_path):
    for algo, first in (("dqn", 100.0), ("branching_dqn", 200.0)):
        made_up_run(tmp_path, algo, 1, first)
        made_up_run(tmp_path, algo, 2, first + 10.0)
    zoo("plots.plot_train", "-a", "dqn", "-e", "Dispatch-v0", "-f", str(tmp_path))
    shown = zoo(
        "plots.all_plots",
        "-a",
        "dqn",
        "branching_dqn",
        "-e",
        "Dispatch-v0",
        "-f",
        str(tmp_path),
        "-o",
        f"{tmp_path}/all",
    )
    # last evaluations of dqn: 100 + (3, 4, 5) and 110 + (3, 4, 5), so 109 on average; of branching_dqn 100 more
    assert "109" in shown and "209" in shown
    zoo("plots.plot_from_file", "-i", f"{tmp_path}/all.pkl", "-l", "stock", "masked")
