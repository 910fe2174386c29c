"""The study of long training: which models are shown, and its table from made-up days."""

from __future__ import annotations

import pytest

from studies.paired import DayResults
from studies.stability import models_of, result, training_jobs
from tests.test_studies_ablation import write_evaluation


def test_models_of_a_run_are_named_after_tenths(tmp_path):
    (tmp_path / "Dispatch-v0").mkdir()
    (tmp_path / "Dispatch-v0" / "resolved.yml").write_text("")
    for name in ("rl_model_100_steps", "rl_model_304_steps", "rl_model_1000_steps", "best_model", "Dispatch-v0"):
        (tmp_path / f"{name}.zip").write_text("")
    models = models_of(tmp_path, 1000)
    # 304 of 1000 decisions is nearest to 0.3; the one at the end is the last model itself
    assert {label: path.stem for label, path in models.items()} == {
        "0.1": "rl_model_100_steps",
        "0.3": "rl_model_304_steps",
        "best": "best_model",
        "last": "Dispatch-v0",
    }


def test_table_says_whether_the_last_is_as_good_as_the_best(tmp_path):
    models = {seed: {label: tmp_path / f"{seed}-{label}.zip" for label in ("0.5", "best", "last")} for seed in (1, 2)}
    rewards = {
        "1-0.5": [100.0, 200.0], "1-best": [110.0, 210.0], "1-last": [107.0, 207.0],
        "2-0.5": [120.0, 220.0], "2-best": [130.0, 230.0], "2-last": [140.0, 220.0],
        "rule": [100.0, 200.0],
    }  # fmt: skip
    paths = {name: str(tmp_path / f"{name}.zip") for name in rewards if name != "rule"}
    found = result(models, DayResults.read(write_evaluation(tmp_path / "out", rewards, paths)))
    # best: (160 + 180) / 2 = 170, rule 150; last: 157 and 180, so 1.5 behind the best on average
    half, best, last = found.rows
    assert best["reward"] == pytest.approx(170.0)
    assert best["difference"]["mean"] == pytest.approx(20.0)
    assert best["last_less_this"]["mean"] == pytest.approx(-1.5)
    assert best["last_less_this_by_seed"] == [
        {"mean": -3.0, "low": -3.0, "high": -3.0},  # on both days
        {"mean": 0.0, "low": -10.0, "high": 10.0},  # +10 and -10
    ]
    assert half["seeds"] == [150.0, 170.0]
    assert last["last_less_this"] is None
    assert "| best | 160 / 180 | 170 | +20.0" in found.markdown()


def test_runs_keep_models_on_the_way(tmp_path):
    (job,) = training_jobs([3], tmp_path, 4_000_000)
    assert job.name == "4000000-seed3"
    assert ("--save-freq", "400000") in list(zip(job.command, job.command[1:], strict=False))
