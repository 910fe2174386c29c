"""evaluate.py from its arguments to its files, on a few days and untrained models."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch as th
import yaml
from sb3_contrib import QRDQN, MaskablePPO
from stable_baselines3 import A2C, DQN, PPO

import envs  # noqa: F401 - registers the environments
from agents.maskable_dqn import MaskableDQN
from agents.policies import MaskableMlpPolicy, PairPolicy
from baselines import tuned_settings
from baselines.registry import untuned
from baselines.replanners import ReplanSearch, ReplanVroom
from baselines.rules import MatchingWithPrices
from envs.days.scenario import Scenario
from evaluate import Stopped, main, play_all
from evaluation.players import normalizes_observations
from evaluation.runs import TRAINED_AGENTS, by_name, find_run
from reward import RewardV1, RewardV2

ROOT = Path(__file__).resolve().parents[1]


def make_env(**kwargs):
    return RewardV2(gym.make("Dispatch-v0", **kwargs))


def make_dqn(seed: int = 0, **kwargs) -> DQN:
    th.set_num_threads(1)
    return DQN(
        "MultiInputPolicy", make_env(**kwargs), buffer_size=10, seed=seed, policy_kwargs={"net_arch": [8]}, device="cpu"
    )


def make_run(folder: Path, seed: int = 0, **settings) -> Path:
    """A run folder as train.py leaves it."""
    inner = folder / "Dispatch-v0"
    inner.mkdir(parents=True)
    resolved = {"reward": "v2", "algo": "dqn", "env": "Dispatch-v0", "seed": seed, "n_timesteps": 0, **settings}
    (inner / "resolved.yml").write_text(yaml.safe_dump(resolved))
    model = make_dqn(seed, **settings.get("env_kwargs", {}))
    model.save(folder / "best_model.zip")
    model.save(folder / "Dispatch-v0.zip")
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("logs") / "Dispatch-v0_1")


QUICK = ["--episodes", "3", "--no-latency"]


def test_the_rules_alone(tmp_path, capsys):
    assert main([*QUICK, "--reward", "v2", "--output", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["env_id"] == "Dispatch-v0"
    assert content["reward"] == "v2"
    assert content["days"] == [2_000_000, 2_000_001, 2_000_002]
    assert content["best_rule"] in content["policies"]
    assert content["policies"]["wait_for_ever"]["kpis"]["service_rate"] == 0.0
    output = capsys.readouterr().out
    assert output.splitlines()[-1].startswith("Results: ")
    assert max(map(len, output.splitlines()[2:17])) <= 120
    with (tmp_path / "evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * len(content["policies"])


def test_the_sum_of_the_terms_is_the_reward(tmp_path):
    main([*QUICK, "--policies", "nearest_driver", "random_action", "--output", str(tmp_path)])
    with (tmp_path / "evaluation.csv").open() as file:
        for row in csv.DictReader(file):
            terms = [float(value) for key, value in row.items() if key.startswith("term_")]
            assert sum(terms) == pytest.approx(float(row["reward"]), abs=0.05)


def test_a_run_folder_brings_its_settings_and_gets_the_results(run_folder, capsys):
    # A day is won or lost: fewer than a dozen could not tell fifteen players apart.
    assert main(["--model", str(run_folder), "--compare-baseline", "--no-latency", "--episodes", "12"]) == 0
    content = json.loads((run_folder / "evaluation.json").read_text())
    name = "dqn Dispatch-v0_1 (best)"
    assert content["policies"][name]["kind"] == "model"
    assert {row["policy"] for row in content["comparisons"]} >= {name, "wait_for_ever"}
    assert f"{name} loses to the best rule" in capsys.readouterr().out


def test_a_model_plays_as_in_its_own_environment(run_folder, tmp_path):
    main(["--model", str(run_folder), *QUICK, "--output", str(tmp_path)])
    with (tmp_path / "evaluation.csv").open() as file:
        rewards = [float(row["reward"]) for row in csv.DictReader(file)]
    model, env = DQN.load(run_folder / "best_model.zip"), make_env()
    for day, expected in zip((2_000_000, 2_000_001, 2_000_002), rewards, strict=True):
        observation, _ = env.reset(options={"day": day})
        total, done = 0.0, False
        while not done:
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, done, _, _ = env.step(action)
            total += reward
        assert total == pytest.approx(expected, abs=0.01)


def test_without_compare_baseline_a_model_plays_alone(run_folder, tmp_path, capsys):
    assert main(["--model", str(run_folder), *QUICK, "--output", str(tmp_path)]) == 0
    assert "nobody is beaten" in capsys.readouterr().out
    assert json.loads((tmp_path / "evaluation.json").read_text())["comparisons"] == []


def test_seeds_of_the_same_settings_are_pooled(tmp_path):
    folders = [str(make_run(tmp_path / f"Dispatch-v0_{seed}", seed)) for seed in (1, 2)]
    assert main(["--model", *folders, "--policies", "nearest_driver", *QUICK, "--output", str(tmp_path)]) == 0
    policies = json.loads((tmp_path / "evaluation.json").read_text())["policies"]
    pool = policies["dqn, 2 seeds (best)"]
    members = [policies[name]["reward_mean"] for name in pool["members"]]
    assert pool["reward_mean"] == pytest.approx(sum(members) / 2, abs=1e-4)


@pytest.mark.parametrize(
    ("algorithm", "policy", "options", "algo"),
    [
        (DQN, "MultiInputPolicy", {"buffer_size": 10}, "dqn"),
        (QRDQN, "MultiInputPolicy", {"buffer_size": 10}, "qrdqn"),
        (PPO, "MultiInputPolicy", {"n_steps": 8, "batch_size": 8}, "ppo"),
        (A2C, "MultiInputPolicy", {}, "a2c"),
        (MaskablePPO, "MultiInputPolicy", {"n_steps": 8, "batch_size": 8}, "maskable_ppo"),
        (MaskableDQN, MaskableMlpPolicy, {"buffer_size": 100}, "maskable_dqn"),
    ],
)
def test_a_bare_zip_is_recognised(algorithm, policy, options, algo, tmp_path):
    model = algorithm(policy, make_env(), policy_kwargs={"net_arch": [8]}, device="cpu", **options)
    model.save(tmp_path / "mine.zip")
    assert find_run(tmp_path / "mine.zip").algo == algo
    assert main(["--model", str(tmp_path / "mine.zip"), *QUICK, "--output", str(tmp_path)]) == 0
    policies = json.loads((tmp_path / "evaluation.json").read_text())["policies"]
    if algo.startswith("maskable"):
        assert policies["mine"]["kpis"]["num_infeasible"] == 0.0


def test_the_rules_can_be_listed(capsys):
    assert main(["--list-policies"]) == 0
    output = capsys.readouterr().out
    assert "nearest_driver (sees the slots only)" in output
    assert max(map(len, output.splitlines())) <= 120


def test_a_pair_network_plays_any_fleet(tmp_path):
    model = MaskableDQN(PairPolicy, make_env(), buffer_size=100, seed=0, device="cpu")
    model.save(tmp_path / "pair.zip")
    options = ["--model", str(tmp_path / "pair.zip"), "--policies", "random_valid", *QUICK, "--output", str(tmp_path)]
    assert main(options) == 0
    assert main([*options, "--num-drivers", "8", "--max-bookings", "20"]) == 0
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert (content["num_drivers"], content["max_bookings"]) == (8, 20)
    assert content["policies"]["pair"]["kpis"]["num_infeasible"] == 0.0  # it never chooses against the mask


def test_the_sizes_of_a_run_are_taken_over(tmp_path):
    folder = make_run(tmp_path / "Dispatch-v0_1", env_kwargs={"num_drivers": 3, "max_bookings": 8})
    assert main(["--model", str(folder), *QUICK]) == 0
    content = json.loads((folder / "evaluation.json").read_text())
    assert (content["num_drivers"], content["max_bookings"]) == (3, 8)


def test_stderr_says_from_the_start_what_is_going_on(tmp_path, capsys):
    assert main([*QUICK, "--policies", "nearest_driver", "--hindsight", "10", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert -1 < said.index("loading") < said.index("nearest_driver") < said.index("hindsight")


def test_nothing_is_overwritten_without_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        assert main([*QUICK, "--policies", "wait_for_ever"]) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith(f"Results: logs/evaluation_{number}/evaluation.json")


def test_a_run_keeps_its_earlier_evaluations(tmp_path, capsys):
    folder = make_run(tmp_path / "Dispatch-v0_1")
    for place in (folder, folder / "evaluation_2", folder / "evaluation_3"):
        assert main(["--model", str(folder), *QUICK]) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith(f"Results: {place}/evaluation.json")


def test_help_imports_nothing_heavy():
    heavy = "{'torch', 'numba', 'numpy', 'gymnasium'}"
    code = f"import sys, evaluate; evaluate.build_parser(); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"


def refused(capsys, *options: str) -> str:
    """The message of a command that must end with exit code 2."""
    assert main([*QUICK, *options]) == 2
    return capsys.readouterr().err


def test_a_model_of_another_size_is_refused(run_folder, capsys):
    message = refused(capsys, "--model", str(run_folder), "--num-drivers", "8")
    assert "the environment has 8 drivers but the model was trained for 5. Pass --num-drivers 5" in message


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert "not a run folder" in refused(capsys, "--model", str(tmp_path))


def test_only_scaled_observations_matter_after_training():
    assert normalizes_observations({"hyperparams": {"normalize": True}})
    assert normalizes_observations({"hyperparams": {"normalize": {"norm_reward": False}}})
    assert not normalizes_observations({"hyperparams": {"normalize": {"norm_obs": False, "norm_reward": True}}})


def test_a_model_trained_on_normalised_observations_is_refused(tmp_path, capsys):
    folder = make_run(tmp_path / "Dispatch-v0_1")
    (folder / "Dispatch-v0" / "vecnormalize.pkl").write_bytes(b"")
    assert "trained with normalized observations" in refused(capsys, "--model", str(folder))


def test_a_missing_model_is_refused(tmp_path, capsys):
    assert "no such file or folder" in refused(capsys, "--model", str(tmp_path / "nowhere"))


def test_prices_found_for_one_replanner_serve_all():
    search, vroom = ReplanSearch(1.0, 0, "reward"), ReplanVroom.__new__(ReplanVroom)  # no solver is needed to be named
    matching = MatchingWithPrices()
    assert untuned([search, vroom, matching], {"replan_search": {}}) == ["matching_with_prices"]
    assert untuned([search, vroom, matching], {"matching_with_prices": {}}) == ["replan_search", "replan_vroom"]


def test_shipped_models_are_found_by_name(tmp_path):
    for name in ("v2-short-shift-seed1", "v2-short-shift-seed2", "v2-short-shift-large-seed1", "v3-day"):
        (tmp_path / name).mkdir()
    assert by_name("v3-day", tmp_path) == [tmp_path / "v3-day"]
    assert by_name("v2-short-shift-seed2", tmp_path) == [tmp_path / "v2-short-shift-seed2"]
    seeds = [tmp_path / "v2-short-shift-seed1", tmp_path / "v2-short-shift-seed2"]
    assert by_name("v2-short-shift", tmp_path) == seeds  # all its seeds, and no other model's
    assert by_name("nobody", tmp_path) == [Path("nobody")]
    assert by_name(str(tmp_path), tmp_path) == [tmp_path]  # what exists is taken at its word


def test_a_model_sees_the_reward_that_it_was_trained_on(tmp_path):
    """Before training, the pair network chooses the best immediate reward: the one of its own version."""
    settings = {"reward": "v1", "algo": "maskable_dqn", "env": "Dispatch-v0", "seed": 0}
    folder = tmp_path / "Dispatch-v0_1"
    (folder / "Dispatch-v0").mkdir(parents=True)
    (folder / "Dispatch-v0" / "resolved.yml").write_text(yaml.safe_dump(settings))
    env = RewardV1(gym.make("Dispatch-v0"))
    MaskableDQN(PairPolicy, env, buffer_size=10, device="cpu", averaging=None).save(folder / "Dispatch-v0.zip")

    def actions_under(reward: str) -> list[float]:
        options = ["--model", str(folder), "--policies", "best_immediate_reward", "--output", str(tmp_path / reward)]
        assert main([*QUICK, *options, "--reward", reward]) == 0
        content = json.loads((tmp_path / reward / "evaluation.json").read_text())
        model, rule = (content["policies"][name] for name in ("maskable_dqn Dispatch-v0_1 (last)", RULE))
        return [model["kpis"]["km_per_served_trip"], rule["kpis"]["km_per_served_trip"]]

    model_v1, rule_v1 = actions_under("v1")
    model_v2, rule_v2 = actions_under("v2")
    assert model_v1 == pytest.approx(rule_v1)
    assert model_v2 == pytest.approx(rule_v1)  # what is paid has changed, what it chooses by has not
    assert rule_v2 != pytest.approx(rule_v1)


def test_nothing_is_written_among_the_shipped_models(tmp_path, monkeypatch):
    shipped = {path: path.stat().st_mtime_ns for path in TRAINED_AGENTS.rglob("*")}
    monkeypatch.chdir(tmp_path)
    assert main([*QUICK, "--reward", "v2", "--model", "v2-short-shift-seed1"]) == 0
    assert (tmp_path / "logs" / "evaluation_1" / "evaluation.json").is_file()
    assert {path: path.stat().st_mtime_ns for path in TRAINED_AGENTS.rglob("*")} == shipped


RULE = "best_immediate_reward"


@pytest.mark.parametrize("is_in_a_run_folder", [True, False])
def test_a_model_sees_the_prices_that_it_was_trained_with(tmp_path, is_in_a_run_folder):
    """Before training, the pair network chooses as the rule of its prices, whatever the evaluation shows others."""
    tuned = tuned_settings("Dispatch-v0", "v2", Scenario.load("short_shift"))
    path = tmp_path / "Dispatch-v0_1"
    if is_in_a_run_folder:
        (path / "Dispatch-v0").mkdir(parents=True)
        settings = {"reward": "v2", "algo": "maskable_dqn", "env": "Dispatch-v0", "seed": 0}
        (path / "Dispatch-v0" / "resolved.yml").write_text(yaml.safe_dump(settings))
    env = RewardV2(gym.make("Dispatch-v0"), prices=tuned["best_reward_with_prices"])
    model = MaskableDQN(PairPolicy, env, buffer_size=10, device="cpu", averaging=None)
    model.save(path / "Dispatch-v0.zip" if is_in_a_run_folder else tmp_path / "Dispatch-v0_1.zip")
    options = ["--policies", "best_reward_with_prices", "best_immediate_reward", "--output", str(tmp_path / "out")]
    model_path = path if is_in_a_run_folder else tmp_path / "Dispatch-v0_1.zip"
    assert main([*QUICK, *options, "--reward", "v2", "--model", str(model_path)]) == 0
    policies = json.loads((tmp_path / "out" / "evaluation.json").read_text())["policies"]
    rewards = {name: policy["objective_mean"] for name, policy in policies.items()}
    trained = next(name for name, policy in policies.items() if policy["kind"] == "model")
    assert rewards[trained] == pytest.approx(rewards["best_reward_with_prices"])
    assert rewards[trained] != pytest.approx(rewards["best_immediate_reward"])


def make_pair_runs(folder, seeds):
    """Run folders of pair networks, untrained but for the last layer, which is drawn."""
    folders = []
    for seed in seeds:
        run = folder / f"Dispatch-v0_{seed}"
        (run / "Dispatch-v0").mkdir(parents=True)
        settings = {"reward": "v2", "algo": "maskable_dqn", "env": "Dispatch-v0", "seed": seed}
        (run / "Dispatch-v0" / "resolved.yml").write_text(yaml.safe_dump(settings))
        model = MaskableDQN(PairPolicy, make_env(), buffer_size=10, device="cpu", seed=seed, averaging=None)
        th.nn.init.normal_(model.q_net.score_head.weight, std=0.1)
        model.save(run / "Dispatch-v0.zip")
        folders.append(str(run))
    return folders


def test_an_option_that_is_gone_says_where_its_result_stands(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--also-matching"])
    assert "--also-matching is gone, it bought nothing: docs/results/tried-without-gain.md" in capsys.readouterr().err


def test_networks_of_several_seeds_play_as_one(tmp_path):
    folders = make_pair_runs(tmp_path, range(5))
    options = ["--also-ensemble", "2", "--output", str(tmp_path), *QUICK]
    assert main(["--model", *folders, *options]) == 0
    content = json.loads((tmp_path / "evaluation.json").read_text())
    pool = "maskable_dqn, 2 means of 2 seeds (last)"
    # Five networks in twos: seeds 0 and 1, 2 and 3; the fifth is in none.
    names = [f"maskable_dqn, mean of seeds {seeds} (last)" for seeds in ("0 1", "2 3")]
    assert content["policies"][pool]["members"] == names
    means = [content["policies"][name]["reward_mean"] for name in names]
    assert content["policies"][pool]["reward_mean"] == pytest.approx(np.mean(means))
    assert main(["--model", *folders[:2], "--also-ensemble", "--output", str(tmp_path), *QUICK]) == 0
    policies = json.loads((tmp_path / "evaluation.json").read_text())["policies"]
    alone = policies["maskable_dqn, mean of seeds 0 1 (last)"]
    assert alone["reward_mean"] == pytest.approx(means[0])


def test_an_ensemble_needs_networks_of_several_seeds(tmp_path, capsys):
    folders = make_pair_runs(tmp_path, range(2))
    assert "name two or more" in refused(capsys, "--model", folders[0], "--also-ensemble").lower()
    assert "expected 2 to 2 of the models" in refused(capsys, "--model", *folders, "--also-ensemble", "3")


def test_a_file_that_is_no_model_is_refused(tmp_path, capsys):
    (tmp_path / "model.zip").write_text("hello")
    assert "not a model saved by Stable-Baselines3" in refused(capsys, "--model", str(tmp_path / "model.zip"))


def test_models_of_different_rewards_are_not_compared(tmp_path, capsys):
    one = make_run(tmp_path / "a" / "Dispatch-v0_1")
    two = make_run(tmp_path / "b" / "Dispatch-v0_1", reward="v1")
    assert "different settings of reward: v1, v2" in refused(capsys, "--model", str(one), str(two))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--policies", "nearest"], "Did you mean 'nearest_driver'?"),
        (["--env", "Dispatch-v1"], "Did you mean 'Dispatch-v0'?"),
        (["--scenario", "short_shft"], "short_shift"),
        (["--reward", "v9"], "v9"),
        (["--days-from", "nowhere"], "nowhere: there is no such folder"),
        (["--env-kwargs", "load=2"], "expected key:value"),
        (["--env-kwargs", "laod:2"], "laod"),
        (["--env", "DispatchDay-v0", "--scenario", "paratransit"], "Pass --days-from FOLDER"),
        (["--reward", "none", "--policies", "best_immediate_reward"], "Pass --reward v2"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(options, says, capsys):
    assert says in refused(capsys, *options)


def write_days(folder: Path, numbers=(60, 61)) -> None:
    """Two drivers and three bookings a day, as files."""
    folder.mkdir()
    (folder / "travel.yml").write_text("model: power_law\nminutes_per: 2.08\nexponent: 0.845\n")
    for number in numbers:
        (folder / f"day-{number:03d}-bookings.csv").write_text(
            "id,release,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon,earliest_pickup,latest_pickup\n"
            "a,08:00,35.05,-85.27,35.06,-85.25,09:00,09:30\n"
            "b,08:00,35.07,-85.28,35.06,-85.29,10:00,10:30\n"
            "c,08:00,35.07,-85.28,35.06,-85.29,03:00,10:30\n".replace("c,08:00", f"c{number},07:00")
        )
        (folder / f"day-{number:03d}-fleet.csv").write_text(
            "id,start_lat,start_lon,shift_start,shift_end\nd0,35.05,-85.27,08:00,16:00\nd1,35.05,-85.27,08:00,16:00\n"
        )


def test_days_from_files(tmp_path, capsys):
    write_days(tmp_path / "two")
    write_days(tmp_path / "again")
    options = ["--env", "DispatchDay-v0", "--scenario", "paratransit", "--policies", "nearest_driver", "wait_for_ever"]
    options += ["--days", "60-61", "--no-latency", "--output", str(tmp_path)]
    assert main([*options, "--days-from", str(tmp_path / "two"), str(tmp_path / "again")]) == 0
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["objective"] == "cost"
    assert content["policies"]["wait_for_ever"]["kpis"]["cost"] == 900.0  # three bookings lost, at 300
    assert content["comparisons"][0]["num_days"] == 2  # four rows of two service days
    assert main([*options, "--days-from", str(tmp_path / "two"), "--env-kwargs", "max_lateness_min:30"]) == 0
    assert json.loads((tmp_path / "evaluation.json").read_text())["objective"] == "cost_with_lateness"
    assert refused(capsys, "--days-from", str(tmp_path / "two"), "--days", "70-79").count("none of --days 70-79") == 1
    assert "expected ranges" in refused(capsys, "--days-from", str(tmp_path / "two"), "--days", "x")


class Player:
    def __init__(self, name: str) -> None:
        self.name = name


def stopped_at(name: str):
    def play(player: Player) -> str:
        if player.name == name:
            raise KeyboardInterrupt
        return f"what {player.name} did"

    return play


def test_what_was_played_is_kept_on_ctrl_c():
    played, note = play_all([Player("a"), Player("b"), Player("c")], stopped_at("b"))
    assert played == ["what a did"] and note is not None and "b, c did not play all days" in note
    with pytest.raises(Stopped):
        play_all([Player("a")], stopped_at("a"))


def test_ctrl_c_leaves_a_table_and_files_of_those_that_finished(tmp_path, capsys, monkeypatch):
    import evaluation.runner

    play = evaluation.runner.play

    def interrupted(policy, *args, **kwargs):
        if policy.name == "random_valid":
            raise KeyboardInterrupt
        return play(policy, *args, **kwargs)

    monkeypatch.setattr(evaluation.runner, "play", interrupted)
    rules = ["nearest_driver", "wait_for_ever", "random_valid"]
    assert main([*QUICK, "--policies", *rules, "--output", str(tmp_path)]) == 130
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert set(content["policies"]) < set(rules) and content["stopped"]
    assert "stopped by Ctrl-C" in capsys.readouterr().out


def test_table_is_printed_before_anything_is_written(tmp_path, capsys, monkeypatch):
    import evaluation.files

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluation.files, "write_somewhere", full)
    assert main([*QUICK, "--policies", "nearest_driver", "--output", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert "nearest_driver" in out and "No space left on device" in err


def test_folder_that_can_not_be_written_is_refused_before_anybody_plays(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([*QUICK, "--output", str(tmp_path / "file" / "deep")]) == 2
    assert "is no folder that can be written" in capsys.readouterr().err


def test_shipped_agent_of_generated_days_plays_days_from_files(tmp_path):
    options = ["--days-from", "docs/example-days", "--model", "v3-operating-day-seed1", "--no-latency"]
    assert main([*options, "--env", "DispatchDay-v0", "--output", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["scenario"] == "paratransit" and content["plan_improvement"] is False


@pytest.mark.parametrize("value", ["load:[", "load:{a: b", "load:!!python/object:os.system"])
def test_values_that_are_no_plain_data_are_told(value, capsys):
    assert main([*QUICK, "--env-kwargs", value]) == 2
    assert "--env-kwargs" in capsys.readouterr().err
