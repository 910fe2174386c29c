"""The study of the operating day: its table from made-up results, and settings that train.py takes."""

from __future__ import annotations

import json
from itertools import pairwise

import custom_envs  # noqa: F401 - registers the algorithms
from agents.branching import BranchSettings
from agents.imitation import TeacherSettings
from studies import operating_day
from studies.jobs import Job
from studies.operating_day import Size, name_of, result
from studies.results import Result
from training.blocks import check_hyperparams, find_config, read_block
from training.teacher import with_rule


def evaluation(rule_margin: float) -> dict:
    """Two seeds of an agent, pooled, and two rules; 100 bookings a day."""

    def policy(kind: str, margin: float, num_lost: float, late: float, km: float, **more) -> dict:
        kpis = {"num_bookings": 100.0, "num_lost": num_lost, "late_share_5": late, "km_per_served_trip": km}
        return {"kind": kind, "objective_mean": margin, "kpis": kpis, **more}

    found = {"metric": "reward", "mean_difference": 40.4, "ci_low": 9.6, "ci_high": 71.0}
    return {
        "objective": "reward",
        "best_rule": "nearest_driver",
        "policies": {
            "agent, 2 seeds": policy("pool", rule_margin + 40.4, 1.25, 0.1234, 11.0, members=["one", "two"]),
            "one": policy("model", rule_margin, 1.0, 0.1, 11.0),
            "two": policy("model", rule_margin, 1.5, 0.1, 11.0),
            "nearest_driver": policy("rule", rule_margin, 2.0, 0.2, 12.5),
            "wait_for_ever": policy("rule", -900.0, 100.0, 0.0, 0.0),
        },
        "comparisons": [
            {"policy": "agent, 2 seeds", "against": "wait_for_ever", **found, "mean_difference": 999.0},
            {"policy": "one", "against": "nearest_driver", **found, "mean_difference": 888.0},
            {"policy": "agent, 2 seeds", "against": "nearest_driver", **found, "metric": "cost"},
            {"policy": "agent, 2 seeds", "against": "nearest_driver", **found},
        ],
    }


def test_table_shows_the_pool_beside_the_best_rule(tmp_path):
    size = Size(4, 30, 500)
    for improvement, margin in (("off", 900.0), ("on", 1000.0)):
        folder = tmp_path / name_of(size, improvement)
        folder.mkdir()
        (folder / "evaluation.json").write_text(json.dumps(evaluation(margin)))
    off, on = result(tmp_path, "operating-day", [size]).rows
    assert (off["label"], on["label"]) == ("4 x 30, off", "4 x 30, on")
    assert (off["agent"], off["best_rule"]) == ("agent, 2 seeds", "nearest_driver")
    assert off["difference"] == {"mean": 40.4, "low": 9.6, "high": 71.0}
    # lost: 1.25 and 2 of 100 bookings; late: 12.34 and 20 %
    assert (off["lost"], off["late"], off["km_per_trip"]) == ([1.25, 2.0], [12.34, 20.0], [11.0, 12.5])
    assert (on["margin"], on["rule_margin"]) == (1040.4, 1000.0)


def test_every_world_is_played_by_the_same_models(tmp_path, monkeypatch):
    commands: list[list[str]] = []
    monkeypatch.setattr(operating_day.subprocess, "run", lambda command, **_: commands.append(command))
    monkeypatch.setattr(operating_day, "result", lambda *_: Result("toy", "Toy", (), (), days="7 days"))
    assert operating_day.main(["--models", "v3-operating-day", "--days", "7", "--output", str(tmp_path)]) == 0
    worlds = {
        (given["--num-drivers"], given["--max-bookings"], given["--plan-improvement"])
        for given in map(dict, map(pairwise, commands))
    }
    sizes = [("4", "30"), ("10", "30"), ("20", "60"), ("50", "200")]
    assert worlds == {(*size, improvement) for size in sizes for improvement in ("off", "on")}
    assert all(command[command.index("--episodes") + 1] == "7" for command in commands)
    assert all(command[command.index("--model") + 1] == "v3-operating-day" for command in commands)


def test_each_agent_is_trained_with_its_block_in_a_folder_of_its_own(tmp_path, monkeypatch):
    jobs: list[Job] = []
    monkeypatch.setattr(operating_day, "run_all", lambda given, *_: jobs.extend(given))
    for agent in operating_day.AGENTS:
        assert operating_day.train(agent, [7], tmp_path / agent, None) == []  # nothing ran, so no run folder
    assert [job.command[job.command.index("--hyperparams-block") + 1] for job in jobs] == [
        "DispatchDay-v0",
        "DispatchDay-v0-mixed-fleets",
    ]
    folders = [job.command[job.command.index("-f") + 1] for job in jobs]
    assert folders == [str(tmp_path / agent / "branching_dqn-seed7") for agent in operating_day.AGENTS]


def test_mixed_fleets_differ_from_the_operating_day_in_the_fleet_alone():
    path = find_config("v3", "branching_dqn")
    small, mixed = (read_block(path, block, fall_back=False)[1] for block in operating_day.AGENTS.values())
    assert mixed.pop("env_kwargs") == {**small.pop("env_kwargs"), "num_drivers": [3, 20], "max_bookings": 60}
    assert mixed == small


def test_settings_of_both_environments_are_known():
    path = find_config("v3", "branching_dqn")
    for wanted in (*operating_day.AGENTS.values(), "Dispatch-v0"):
        name, block = read_block(path, wanted, fall_back=False)
        check_hyperparams(block, "branching_dqn", name)
        BranchSettings.read(block["branching"])
        if "teacher" in block:
            TeacherSettings.read(with_rule(block["teacher"]))
