"""Jobs of long studies: done once, resumed when cut off, failures named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import yaml
from stable_baselines3 import DQN

import custom_envs  # noqa: F401 - registers the environments and algorithms
from agents.branching_dqn import BranchingDQN
from reward import RewardV2
from studies import opponents, real_days, ship
from studies.jobs import ROOT, Job, latest_run, run_all, train_job
from studies.real_days import FLEETS, name_of, result
from studies.short_shift import AGENTS, PROBLEMS, SEEDS, run_folder, trained_models, training_jobs
from tests.training.tiny import run as train_run
from tests.training.tiny import write_config
from training.blocks import check_hyperparams, find_config, read_block
from training.real_days import parse_day_ranges


def touch(path: Path) -> Job:
    return Job(path.name, (sys.executable, "-c", f"open({str(path)!r}, 'a').write('x')"))


def test_a_job_that_is_done_is_not_done_again(tmp_path):
    job = touch(tmp_path / "out")
    run_all([job], tmp_path / "jobs")
    run_all([job], tmp_path / "jobs")
    assert (tmp_path / "out").read_text() == "x"


def test_a_failing_job_is_named_and_tried_again(tmp_path):
    job = Job("broken", (sys.executable, "-c", "import sys; print('why'); sys.exit(3)"))
    with pytest.raises(SystemExit, match=r"1 jobs failed; see .*broken\.log"):
        run_all([job, touch(tmp_path / "out")], tmp_path / "jobs", num_workers=1)
    assert "why" in (tmp_path / "jobs" / "broken.log").read_text()
    assert (tmp_path / "out").exists()  # the others were finished
    assert not (tmp_path / "jobs" / "broken.done").exists()


def test_a_training_that_was_cut_off_is_resumed(tmp_path):
    assert train_job("a", tmp_path, ["--seed", "1"]).resume_command is None
    run = tmp_path / "v2" / "dqn" / "Dispatch-v0_1"
    (run / "Dispatch-v0").mkdir(parents=True)
    (run / "Dispatch-v0" / "resolved.yml").write_text("")
    assert latest_run(tmp_path) == run
    assert train_job("a", tmp_path, ["--seed", "1"]).resume_command is None  # no checkpoint yet
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "model.zip").write_text("")
    assert train_job("a", tmp_path, ["--seed", "1"]).resume_command == (
        sys.executable,
        "train.py",
        "--resume",
        str(run),
    )


def test_short_shift_trains_each_agent_for_each_problem_seed_by_seed(tmp_path):
    jobs = training_jobs(list(PROBLEMS), list(AGENTS), list(SEEDS), tmp_path)
    # V2 and V1 with four agents, V1 at 6 x 10 with stock DQN: 9 runs a seed
    assert len(jobs) == 9 * len(SEEDS)
    assert [job.name for job in jobs[:9]] == [
        "v2-branching_dqn-seed1",
        "v2-dqn-seed1",
        "v2-maskable_ppo-seed1",
        "v2-qrdqn-seed1",
        "v1-branching_dqn-seed1",
        "v1-dqn-seed1",
        "v1-maskable_ppo-seed1",
        "v1-qrdqn-seed1",
        "v1-published-dqn-seed1",
    ]
    assert all("v1-published" in job.command for job in jobs if job.name.startswith("v1-published"))
    assert len(training_jobs([PROBLEMS[0]], ["dqn"], [2], tmp_path)) == 1


def test_agents_trained_before_stay_in_the_table(tmp_path):
    def train(agent: str, is_done: bool) -> None:
        for seed in (1, 2):
            folder = run_folder(tmp_path, PROBLEMS[0], agent, seed)
            settings = folder / "v2" / agent / "Dispatch-v0_1" / "Dispatch-v0" / "resolved.yml"
            settings.parent.mkdir(parents=True)
            settings.write_text("")
            if is_done:
                (tmp_path / f"{folder.name}.done").touch()

    train("branching_dqn", is_done=True)
    train("dqn", is_done=False)  # cut off, and not asked for
    train("qrdqn", is_done=True)
    models = trained_models(tmp_path, PROBLEMS[0], ["qrdqn"], [1, 2])
    assert list(models) == ["branching_dqn", "qrdqn"]
    assert [run.parts[-4] for run in models["qrdqn"]] == ["v2-qrdqn-seed1", "v2-qrdqn-seed2"]


@pytest.mark.parametrize("agent", list(AGENTS))
def test_every_agent_of_the_table_has_its_settings(agent):
    arguments = dict(zip(AGENTS[agent][::2], AGENTS[agent][1::2], strict=False))
    block = arguments.get("--hyperparams-block", "Dispatch-v0")
    is_named = "--hyperparams-block" in arguments or agent != "qrdqn"  # that has one block for every environment
    for reward in ("v1", "v2"):
        name, settings = read_block(find_config(reward, agent), block, fall_back=not is_named)
        check_hyperparams(settings, agent, name)


def test_table_of_real_days_pools_seeds_and_sorts_by_cost(tmp_path):
    for improvement in ("off", "on"):
        for fleet in FLEETS:
            folder = tmp_path / name_of(fleet, improvement)
            folder.mkdir()
            kpis = {"num_lost": 5.0, "num_bookings": 100.0, "deadhead_min": 600.0, "cost": 2100.0, "late_share_5": 0.12}
            policies = {
                "rule": {"kind": "rule", "kpis": kpis},
                "wait": {"kind": "rule", "kpis": {**kpis, "num_lost": 100.0, "cost": 3e4, "late_share_5": None}},
                "dqn, 2 seeds": {"kind": "pool", "kpis": {**kpis, "cost": 1500.0}, "members": ["dqn #1", "dqn #2"]},
                "dqn #1": {"kind": "model", "kpis": kpis},
                "dqn #2": {"kind": "model", "kpis": kpis},
                "mean of both": {"kind": "model", "kpis": {**kpis, "cost": 1400.0}},
            }
            difference = {"mean_difference": -600.0, "ci_low": -700.0, "ci_high": -400.0, "metric": "cost"}
            comparisons = [
                {**difference, "policy": name, "against": "rule"} for name in ("dqn, 2 seeds", "dqn #1", "mean of both")
            ]
            content = {"policies": policies, "best_rule": "rule", "objective": "cost", "comparisons": comparisons}
            content |= {"days": ["60", "61"]}
            (folder / "evaluation.json").write_text(json.dumps(content))
    mean, pool, rule, wait = result(tmp_path, "off").rows  # cheapest first, members left to their pool
    assert [row["label"] for row in (mean, pool, rule, wait)] == ["mean of both", "dqn, 2 seeds", "rule", "wait"]
    assert pool["difference"] == [{"mean": -600.0, "low": -700.0, "high": -400.0}] * 3
    # 5 of 100 lost, 0.12 = 12 % late, 600 min = 10 h, the same for every fleet
    assert (rule["lost"], rule["late"], rule["deadhead_h"]) == ([5.0] * 3, [12.0] * 3, [10.0] * 3)
    assert rule["difference"] == ["best rule"] * 3
    assert (wait["lost"], wait["late"]) == ([100.0] * 3, [0.0] * 3)


def test_the_two_tables_of_real_days_have_folders_and_agents_of_their_own(tmp_path):
    assert real_days.name_of_table(0.0) != real_days.name_of_table(30.0)
    (job,) = real_days.training_jobs(["branching_dqn"], [3], tmp_path, Path("d"), 30.0)
    options = dict(zip(job.command[3:], job.command[4:], strict=False))
    assert options["--env-kwargs"] == "max_lateness_min:30.0"
    assert options["--reward"] == "reward/paratransit-late.yml"


def test_the_second_table_trains_no_stock_dqn(tmp_path, capsys):
    with pytest.raises(SystemExit):
        real_days.main([str(tmp_path / "trips.csv"), "--max-lateness-min", "30", "--agents", "dqn"])
    assert "only branching_dqn can be trained" in capsys.readouterr().err


def test_gives_back_is_what_the_study_of_plan_improvement_measures():
    told = opponents.IMPROVEMENT["gives-back"]
    assert told == ("--plan-improvement", "on", "--env-kwargs", "improvement_moves:1000", "improvement_lost_min:300.0")


def test_agents_of_the_real_days_train_on_five_draws_and_the_pair_network_on_every_fleet(tmp_path):
    jobs = {
        job.name: job.command for job in real_days.training_jobs(["dqn", "branching_dqn"], [3], tmp_path, Path("d"))
    }
    assert list(jobs) == ["dqn-seed3", "branching_dqn-seed3"]
    folders = {name: command[command.index("--days-from") + 1 :] for name, command in jobs.items()}
    assert folders["dqn-seed3"] == tuple(f"d/draw-{draw}/drivers-14" for draw in (1, 2, 3, 4, 5))
    assert len(folders["branching_dqn-seed3"]) == 5 * 3
    assert not set(parse_day_ranges(real_days.TRAIN_DAYS)) & set(parse_day_ranges(real_days.REPORT_DAYS))


def opponents_result(cost: float) -> dict:
    def policy(mean: float, kind: str) -> dict:
        kpis = {"num_lost": 2.0, "num_bookings": 50.0, "late_share_5": 0.1}
        return {
            "kind": kind,
            "kpis": kpis,
            "objective_mean": mean,
            "gap_percent": mean - 100.0,
            "share_closed": 0.5,
            "latency_ms_p50": 1.0,
            "latency_ms_p99": None,
        }

    return {
        "objective": "cost",
        "best_rule": "rule",
        "days": [2_000_000],
        "command": "evaluate.py",
        "hindsight": {"mean": 100.0, "bound_mean": 98.0},
        "policies": {"rule": policy(150.0, "rule"), "replan_pyvrp": policy(cost, "replanner")},
    }


def test_the_table_of_opponents_averages_over_solver_seeds(tmp_path):
    part = opponents.Part("real-8", "Real days, 8 drivers", (), ())
    for seed, cost in ((0, 110.0), (1, 120.0)):
        folder = tmp_path / opponents.folder_name(part, seed, 50.0)
        folder.mkdir()
        (folder / "evaluation.json").write_text(json.dumps(opponents_result(cost)))
    found = opponents.result(part, [0, 1], tmp_path, "small")
    hindsight, planner, rule = found.rows  # cheapest first
    assert (hindsight["objective"], rule["objective"]) == (100.0, 150.0)
    # (110 + 120) / 2 = 115; 2 of 50 lost = 4 %
    assert (planner["label"], planner["objective"], planner["gap"], planner["lost"]) == (
        "replan_pyvrp",
        115.0,
        15.0,
        4.0,
    )
    assert "nothing can be better than 98" in found.notes and "small" in found.notes


def test_the_study_of_opponents_runs_anew_when_its_size_changes():
    args = opponents.build_parser().parse_args([])
    (short, day) = opponents.generated_parts(args)
    assert opponents.real_parts(args) == []  # no bookings, no real days
    names = {opponents.job_of(short, seed, ["replan_search"], args).name for seed in (0, 1)}
    args.replan_ms = 100.0
    names.add(opponents.job_of(short, 0, ["replan_search"], args).name)
    names.add(opponents.job_of(day, 0, ["replan_search"], args).name)
    assert len(names) == 4
    assert "Full size" in opponents.size_of(args)


def test_shipped_model_chooses_as_the_run_and_is_smaller(tmp_path):
    config = tmp_path / "pair.yml"
    block = {
        "policy": "PairPolicy",
        "policy_kwargs": {"width": 16},
        "n_envs": 2,
        "learning_starts": 16,
        "batch_size": 8,
    }
    config.write_text(yaml.safe_dump({"Dispatch-v0": {**block, "buffer_size": 500, "n_timesteps": 96}}))
    run = train_run(tmp_path, "--vec-env", "batched", "--seed", "7", config=config, algo="branching_dqn")
    assert ship.main([str(run), "tiny-seed7", "--folder", str(tmp_path / "shipped")]) == 0
    shipped = tmp_path / "shipped" / "tiny-seed7"
    assert (shipped / "Dispatch-v0.zip").stat().st_size < 0.8 * (run / "Dispatch-v0.zip").stat().st_size
    settings = yaml.safe_load((shipped / "Dispatch-v0" / "resolved.yml").read_text())
    assert settings["command"] == "python train.py --reward v2 --algo branching_dqn -n 96 --seed 7"
    assert str(tmp_path) not in (shipped / "Dispatch-v0" / "resolved.yml").read_text()
    models = [BranchingDQN.load(folder / "Dispatch-v0.zip", device="cpu") for folder in (run, shipped)]
    env = RewardV2(gym.make("Dispatch-v0"))
    observation, _ = env.reset(options={"day": 5})
    q_values = [model.q_values(observation) for model in models]
    assert np.array_equal(*q_values)


def test_a_model_in_half_precision_is_small_and_worth_the_same(tmp_path):
    run = train_run(tmp_path, config=write_config(tmp_path, policy_kwargs={"net_arch": [1024]}))
    half = ship.ship(run, tmp_path / "half", is_half=True)
    # A weight of the run: in two networks and two moments of Adam, 4 bytes each; here once, 2 bytes: an eighth.
    assert (half / "Dispatch-v0.zip").stat().st_size < 0.3 * (run / "Dispatch-v0.zip").stat().st_size
    exact, rounded = (DQN.load(folder / "Dispatch-v0.zip", device="cpu") for folder in (run, half))
    env = RewardV2(gym.make("Dispatch-v0", num_drivers=2, max_bookings=3))
    observation, _ = env.reset(options={"day": 5})
    q_values = [model.q_net(model.policy.obs_to_tensor(observation)[0]).detach().numpy() for model in (exact, rounded)]
    # 11 significant bits of each weight
    assert q_values[1] == pytest.approx(q_values[0], abs=0.01 * float(np.abs(q_values[0]).max()))


def test_shipped_settings_hold_no_path_of_a_machine():
    settings = {
        "env_wrapper": {"reward.RewardWrapper": {"version": f"{ROOT}/reward/paratransit.yml"}},
        "days": [f"{ROOT}/a", 3],
    }
    expected = {"env_wrapper": {"reward.RewardWrapper": {"version": "reward/paratransit.yml"}}, "days": ["a", 3]}
    assert ship.without_root(settings) == expected


def test_a_folder_that_is_no_run_is_not_shipped(tmp_path, capsys):
    assert ship.main([str(tmp_path), "nothing", "--folder", str(tmp_path)]) == 2
    assert "not a run folder" in capsys.readouterr().err
