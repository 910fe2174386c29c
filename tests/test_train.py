"""train.py end to end: a few hundred steps, then the model is used."""

from __future__ import annotations

import shutil
import subprocess
import sys

import gymnasium as gym
import pytest
from stable_baselines3 import DQN

import envs  # noqa: F401
import reward
import train
from checked import SettingsError
from tests.training.tiny import metrics_of, run, write_config
from training.real_days import read_day_lists
from training.settings import REPO_ROOT


def test_trained_model_dispatches_a_day(tmp_path):
    folder = run(tmp_path, "-n", "240", "--eval-freq", "120", "--eval-episodes", "2")
    model = DQN.load(folder / "best_model.zip")
    env = reward.RewardV2(gym.make("Dispatch-v0", num_drivers=2, max_bookings=3))
    observation, _ = env.reset(options={"day": 2_000_000})
    done = False
    while not done:
        action, _ = model.predict(observation, deterministic=True)
        observation, _, done, _, info = env.step(action)
    assert info["kpis"]["num_decisions"] == 24


def test_help_waits_for_no_library():
    code = (
        "import sys, train\n"
        "try: train.main(['--help'])\n"
        "except SystemExit: print({'torch', 'gymnasium', 'numpy', 'numba', 'rl_zoo3', 'yaml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO_ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr


def test_same_seed_same_run(tmp_path):
    first, second = (run(tmp_path, "-n", "96", "--seed", "4") for _ in range(2))
    returns = [[episode["reward"] for episode in metrics_of(folder)["episodes"]] for folder in (first, second)]
    assert returns[0] == returns[1]


def test_last_line_says_where_the_result_is(tmp_path):
    command = [
        sys.executable,
        "train.py",
        "--algo",
        "dqn",
        "-conf",
        str(write_config(tmp_path)),
        "-f",
        str(tmp_path / "logs"),
        "-n",
        "48",
    ]
    done = subprocess.run([*command, "--verbose", "0"], cwd=REPO_ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("logs/v2/dqn/Dispatch-v0_1/best_model.zip")


def test_custom_weights_train_under_their_own_name(tmp_path):
    weights = tmp_path / "gentle.yml"
    weights.write_text((REPO_ROOT / "reward" / "v2.yml").read_text().replace("name: V2", "name: gentle"))
    folder = run(tmp_path, "-n", "48", "--reward", str(weights))
    assert folder.relative_to(tmp_path / "logs").parts[0] == "gentle"


@pytest.fixture
def day_folder(tmp_path):
    """Four small made-up service days as converted files."""
    from envs.days.files import write_day
    from envs.days.scenario import Scenario, generate_day

    folder = tmp_path / "days"
    folder.mkdir()
    scenario = Scenario.load("short_shift", num_drivers=2)
    for number in range(4):
        write_day(
            generate_day(scenario, number),
            folder / f"day-{number:03d}-bookings.csv",
            folder / f"day-{number:03d}-fleet.csv",
        )
    (folder / "travel.yml").write_text("model: power_law\nminutes_per: 2.08\nexponent: 0.845\n")
    return folder


def test_training_on_days_from_files(tmp_path, day_folder):
    options = ["--days-from", str(day_folder), "--train-days", "0-1", "--eval-days", "2-3"]
    folder = run(tmp_path, "-n", "96", *options, "--eval-freq", "48", "--eval-episodes", "4")
    content = metrics_of(folder)
    assert {episode["day"] for episode in content["episodes"]} <= {"000", "001"}
    assert content["seeds"]["training_days"] == "0-1" and content["seeds"]["selection_days"] == "2-3"
    assert len(content["evaluations"]) == 2


def test_several_folders_are_interleaved_by_service_day(tmp_path, day_folder):
    other = shutil.copytree(day_folder, tmp_path / "other")
    training, selection = read_day_lists([str(day_folder), str(other)], "0-1", "2-3")
    assert [day.label for day in training] == ["000", "000", "001", "001"]
    assert [day.label for day in selection] == ["002", "002", "003", "003"]


def test_days_are_not_both_trained_on_and_selected_with(tmp_path, day_folder, capsys):
    options = ["--days-from", str(day_folder), "--train-days", "0-2", "--eval-days", "2-3"]
    assert train.main([*options, "-f", str(tmp_path)]) == 2
    assert "share service day 2" in capsys.readouterr().err


def test_days_that_are_not_there_are_named(tmp_path, day_folder, capsys):
    assert train.main(["--days-from", str(day_folder), "-f", str(tmp_path), "--train-days", "0-1"]) == 2
    assert "holds service days 0-3, none of --eval-days 45-59" in capsys.readouterr().err


def test_other_days_than_the_shipped_ones_are_divided(day_folder):
    # three quarters of four days
    training, selection = read_day_lists([str(day_folder)], "0-44", "45-59")
    assert [[day.label for day in days] for days in (training, selection)] == [["000", "001", "002"], ["003"]]


def test_days_without_numbers_go_by_their_order(day_folder):
    for path in sorted(day_folder.glob("day-*")):
        _, number, kind = path.name.split("-")
        path.rename(path.with_name(f"{('fri', 'mon', 'tue', 'wed')[int(number)]}-{kind}"))
    training, selection = read_day_lists([str(day_folder)], "0-44", "45-59")
    assert [[day.label for day in days] for days in (training, selection)] == [["fri", "mon", "tue"], ["wed"]]


def test_columns_of_other_languages_are_read(tmp_path, day_folder):
    for path in day_folder.glob("*-bookings.csv"):
        path.write_text(path.read_text().replace("earliest_pickup_min", "first_of_all", 1))
    names = tmp_path / "names.yml"
    names.write_text("columns:\n  first_of_all: earliest_pickup_min\n")
    training, _ = read_day_lists([str(day_folder)], "0-44", "45-59", str(names))
    assert len(training) == 3
    with pytest.raises(SettingsError, match="--days-from"):
        read_day_lists([str(day_folder)], "0-44", "45-59")


def test_one_day_is_too_few_to_train_on(day_folder):
    for path in [*day_folder.glob("day-001*"), *day_folder.glob("day-002*"), *day_folder.glob("day-003*")]:
        path.unlink()
    with pytest.raises(SettingsError, match="holds 1 service days"):
        read_day_lists([str(day_folder)], "0-44", "45-59")
