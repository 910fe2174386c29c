"""The ablation: what is run, and its table from made-up days."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import custom_envs  # noqa: F401 - registers the algorithms
import studies.unmasked  # noqa: F401 - and two of the ablation's own
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction
from studies.ablation import BLOCK, Q_LEARNING, VARIANTS, WHOLE, result, run_folder, training_jobs
from studies.paired import DayResults
from training.blocks import check_hyperparams, read_block
from training.options import build_parser
from training.settings import REPO_ROOT

COLUMNS = ("reward", "service_rate", "late_share_5", "num_infeasible")


def write_evaluation(folder: Path, rewards: dict[str, list[float]], models: dict[str, str]) -> Path:
    """Files as evaluate.py leaves them; all columns but the reward are constant."""
    folder.mkdir(parents=True, exist_ok=True)
    num_days = len(next(iter(rewards.values())))
    with (folder / "evaluation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["policy", "day", "service_day", *COLUMNS, "lateness_mean_min"])
        for name, of_day in rewards.items():
            for day, reward in enumerate(of_day):
                writer.writerow([name, 2_000_000 + day, 2_000_000 + day, reward, 0.5, 0.1, 2, ""])
    days = [2_000_000 + day for day in range(num_days)]
    about = {"best_rule": "rule", "models": models, "days": days, "commit": "0123456789"}
    (folder / "evaluation.json").write_text(json.dumps(about))
    return folder


def test_every_variant_has_known_settings_and_something_to_differ_from():
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    for variant in VARIANTS:
        assert variant.against in names
        _, block = read_block(REPO_ROOT / variant.config, BLOCK, fall_back=False)
        check_hyperparams({**block, **variant.changes}, variant.algo, variant.name)
        assert all(block.get(key) != value for key, value in variant.changes.items() if key != "policy")


def test_changes_survive_the_command_line(tmp_path):
    jobs = training_jobs(VARIANTS, [1, 2, 3], tmp_path)
    assert len(jobs) == 3 * len(VARIANTS)
    for variant, job in zip(VARIANTS, jobs, strict=False):  # those of the first seed
        args = build_parser().parse_args(list(job.command[2:]))
        assert (args.hyperparams or {}) == variant.changes
        assert (args.algo, args.seed, args.hyperparams_block) == (variant.algo, 1, BLOCK)


def test_another_budget_is_another_run(tmp_path):
    assert run_folder(tmp_path, WHOLE, 1) != run_folder(tmp_path, WHOLE, 1, 6400)
    (job,) = training_jobs(VARIANTS[:1], [1], tmp_path, 6400)
    assert job.command[-2:] == ("-n", "6400")


def test_table_from_paired_days(tmp_path):
    folders = {WHOLE: [tmp_path / "w1", tmp_path / "w2"], Q_LEARNING: [tmp_path / "q1", tmp_path / "q2"]}
    names = {"w #1": "w1/run/m.zip", "w #2": "w2/run/m.zip", "q #1": "q1/run/m.zip", "q #2": "q2/run/m.zip"}
    models = {name: str(tmp_path / path) for name, path in names.items()}
    rewards = {"w #1": [110.0, 210.0], "w #2": [130.0, 230.0], "q #1": [100.0, 200.0], "q #2": [120.0, 220.0]}
    days = DayResults.read(write_evaluation(tmp_path / "all", {**rewards, "rule": [90.0, 190.0]}, models))

    variants = [variant for variant in VARIANTS if variant.name in folders]
    found = result(variants, folders, days)
    whole, q_learning = found.rows
    # whole: seeds (110 + 210) / 2 = 160 and 180, mean 170; the rule's mean is 140: 30 ahead
    assert whole["seeds"] == [160.0, 180.0]
    assert whole["reward"] == pytest.approx(170.0)
    assert whole["difference"]["mean"] == pytest.approx(30.0)
    assert whole["against_base"] is None
    # Q-learning loses 10 on every day with every seed: nothing varies, so the interval is a point
    assert q_learning["against_base"] == {"mean": -10.0, "low": -10.0, "high": -10.0}
    assert "| q-learning | 160 | 150 / 170 | +20 [" in found.markdown()
    assert q_learning["against"] == WHOLE
    assert (found.days, found.commit) == ("2 days, 2000000 to 2000001", "0123456")
    assert found.seeds == "2 training seeds, last models"


def test_model_that_did_not_play_is_named(tmp_path):
    days = DayResults.read(write_evaluation(tmp_path, {"rule": [1.0]}, {}))
    with pytest.raises(ValueError, match=r"nowhere: expected one model"):
        days.model_name(tmp_path / "nowhere")
    assert np.isnan(days.columns["rule"]["lateness_mean_min"]).all()


def test_every_decision_of_the_short_shift_takes_a_tick():
    # so that discounting by the clock and per decision are the same there, as the study says
    env = DispatchVecEnv(4, reward_function=RewardFunction.load("v2"), seed=0)
    env.reset()
    random = np.random.default_rng(0)
    for _ in range(48):  # two days of any actions, most of them infeasible
        *_, infos = env.step(random.integers(0, 76, 4))
        assert {info["elapsed_min"] for info in infos} == {5.0}
