"""Small runs for the tests: two drivers, three slots, a network of eight units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from stable_baselines3.common.callbacks import BaseCallback

import train

TINY_DQN: dict[str, Any] = {
    "env_wrapper": "reward.RewardV2",
    "env_kwargs": {"num_drivers": 2, "max_bookings": 3},
    "n_timesteps": 96,
    "policy": "MultiInputPolicy",
    "policy_kwargs": {"net_arch": [8]},
    "learning_rate": 0.001,
    "batch_size": 8,
    "buffer_size": 500,
    "learning_starts": 8,
    "train_freq": 1,
    "target_update_interval": 48,
}
DECISIONS = 24  # of an episode of the short shift


def write_config(folder: Path, block: str = "Dispatch-v0", remove: tuple[str, ...] = (), **changes: Any) -> Path:
    """A hyperparameter file with one block: the tiny one, changed."""
    content = {key: value for key, value in {**TINY_DQN, **changes}.items() if key not in remove}
    path = folder / "tiny.yml"
    path.write_text(yaml.safe_dump({block: content}))
    return path


def run(tmp_path: Path, *options: str, config: Path | None = None, algo: str = "dqn") -> Path:
    """Train through the command line into ``tmp_path/logs``; the run folder."""
    config = config or write_config(tmp_path)
    logs = tmp_path / "logs"
    before = set(logs.glob("*/*/*_*"))
    arguments = ["--algo", algo, "-conf", str(config), "-f", str(logs), "--verbose", "0", "--eval-freq", "-1", *options]
    if "tests.training" in config.read_text():  # a class of ours is named
        arguments += ["--gym-packages", "tests.training.tiny"]
    assert train.main(arguments) == 0
    (made,) = set(logs.glob("*/*/*_*")) - before
    return made


def metrics_of(run_folder: Path) -> dict[str, Any]:
    return json.loads((run_folder / "training_metrics.json").read_text())


def monitor_returns(run_folder: Path, rank: int = 0) -> list[float]:
    rows = (run_folder / f"{rank}.monitor.csv").read_text().splitlines()[2:]
    return [float(row.split(",")[0]) for row in rows]


class CrashAt(BaseCallback):
    """Stands for a power cut: an error in the middle of a rollout, at a given step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def _on_step(self) -> bool:
        if self.num_timesteps == self.step:
            raise RuntimeError("power cut")
        return True
