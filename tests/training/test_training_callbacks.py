"""Exploration as published, curves, metrics."""

from __future__ import annotations

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train
import training.callbacks
from reward import RewardFunction
from tests.training.tiny import DECISIONS, metrics_of, run, write_config
from training.callbacks import EpsilonDecayPerEpisode
from training.metrics import TrainingMetrics


def curves(run_folder) -> dict[str, list[float]]:
    events = EventAccumulator(str(run_folder))
    events.Reload()
    return {tag: [point.value for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_exploration_is_multiplied_after_each_episode(tmp_path):
    callback = {"training.callbacks.EpsilonDecayPerEpisode": {"initial": 0.8, "final": 0.3, "factor": 0.5}}
    folder = run(tmp_path, "-n", "96", "--log-interval", "1", config=write_config(tmp_path, callback=[callback]))
    # logged when an episode ends, the step that uses the next value: 0.8 x 0.5 = 0.4, then never below 0.3
    assert curves(folder)["rollout/exploration_rate"] == pytest.approx([0.4, 0.3, 0.3, 0.3])


def test_published_exploration_reaches_its_end_where_published():
    v2 = EpsilonDecayPerEpisode(0.850, 0.055, 0.99271)
    # 0.85 x 0.99271^374 = 0.0551, x 0.99271^375 = 0.0547 < 0.055
    assert v2.epsilon(0) == 0.85 and v2.epsilon(374) > 0.055 and v2.epsilon(375) == 0.055


@pytest.mark.parametrize("wrong", [(0.1, 0.5, 0.9), (1.5, 0.1, 0.9), (0.9, 0.1, 1.1), (0.9, 0.1, 0.0)])
def test_impossible_exploration_is_refused(wrong):
    with pytest.raises(ValueError, match="EpsilonDecayPerEpisode: expected"):
        EpsilonDecayPerEpisode(*wrong)


def test_curves_of_terms_kpis_and_q_values(tmp_path):
    folder = run(tmp_path, "-n", "96", "--log-interval", "1", "--eval-freq", "48", "--eval-episodes", "2")
    written = curves(folder)
    for name in RewardFunction.load("v2").term_names:
        assert f"dispatch/reward_terms/{name}" in written
    for kpi in ("service_rate", "num_lost", "num_infeasible"):
        assert f"kpi/{kpi}" in written
        assert len(written[f"eval_kpi/{kpi}"]) == 2
    for name in ("rollout/ep_rew_mean", "eval/mean_reward", "train/loss", "dispatch/q/max_valid", "dispatch/q/max_any"):
        assert name in written
    # the terms of an episode sum to its return, and means over the same episodes do too
    total = sum(values[-1] for name, values in written.items() if name.startswith("dispatch/reward_terms/"))
    assert total == pytest.approx(written["rollout/ep_rew_mean"][-1], abs=0.01)


def test_every_curve_of_ours_is_documented(tmp_path):
    documented = training.callbacks.__doc__ or ""
    folder = run(tmp_path, "-n", "48", "--log-interval", "1", "--eval-freq", "24", "--eval-episodes", "1")
    for name in curves(folder):
        group = name.split("/")[0]
        assert f"`{name}`" in documented or group in {"kpi", "eval_kpi"} or name.startswith("dispatch/reward_terms/"), (
            name
        )


def test_metrics_of_a_run(tmp_path):
    folder = run(tmp_path, "-n", "96", "--eval-freq", "48", "--eval-episodes", "2", "--seed", "7")
    content = metrics_of(folder)
    assert content["seeds"]["seed"] == 7
    assert content["config"]["hyperparams"]["learning_rate"] == 0.001
    assert content["environment"]["scenario_fingerprint"]
    assert content["versions"]["stable_baselines3"]
    assert content["finished_at"] and content["num_timesteps"] == 96
    assert [e["timesteps"] for e in content["episodes"]] == [DECISIONS * n for n in (1, 2, 3, 4)]
    assert [e["steps"] for e in content["episodes"]] == [DECISIONS] * 4
    assert 0.0 <= content["episodes"][0]["kpis"]["service_rate"] <= 1.0
    assert max(content["episodes"], key=lambda e: e["reward"])["reward"] is not None
    assert [e["timesteps"] for e in content["evaluations"]] == [48, 96]


def test_metrics_file_is_valid_json_at_any_time(tmp_path):
    metrics = TrainingMetrics(tmp_path, {"seeds": {"seed": 1}})
    metrics.write()
    assert json.loads(metrics.path.read_text())["episodes"] == []
    metrics.add_episode(timesteps=24, reward=float("nan"), steps=24, kpis={"service_rate": 0.5})
    metrics.write(num_timesteps=24)
    content = json.loads(metrics.path.read_text())
    assert content["episodes"][0]["reward"] is None and content["num_timesteps"] == 24
    assert not list(tmp_path.glob("*.new"))


def test_progress_counts_the_decisions_of_the_whole_run(tmp_path, capsys):
    folder = run(tmp_path, "-n", "48", "-P", "--eval-freq", "24", "--eval-episodes", "1")
    assert "48/48" in capsys.readouterr().err
    assert train.main(["--resume", str(folder), "-n", "96", "-P", "--verbose", "0"]) == 0
    assert "96/96" in capsys.readouterr().err  # and not 48 of them
