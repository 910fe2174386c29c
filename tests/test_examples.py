"""What an engineer brings: each example is run as its page says."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from rl_zoo3.utils import ALGOS

import evaluate
import train
from baselines import registry
from envs.days.files import read_days
from reward import RewardFunction

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CONFIG = str(EXAMPLES / "mypkg/hyperparams.yml")


@pytest.fixture
def mypkg(monkeypatch):
    """The package on the path; what it registered is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("mypkg")
    for module in [name for name in sys.modules if name.partition(".")[0] == "mypkg"]:
        sys.modules.pop(module)
    gym.registry.pop("OneVan-v0", None)
    ALGOS.pop("boltzmann_dqn", None)
    registry._of_others.clear()


def trained(tmp_path: Path, *options: str) -> Path:
    """The run folder that train.py leaves."""
    common = ["--gym-packages", "mypkg", "--algo", "boltzmann_dqn", "-conf", CONFIG, "-f", str(tmp_path / "logs")]
    assert train.main([*common, *options, "--eval-freq", "-1", "--verbose", "0"]) == 0
    (settings,) = (tmp_path / "logs").rglob("resolved.yml")
    return settings.parents[1]


def test_the_environment_keeps_gymnasiums_rules(mypkg):
    check_env(gym.make("OneVan-v0").unwrapped, skip_render_check=True)


def test_an_environment_and_an_algorithm_of_ones_own_train_and_are_judged(mypkg, tmp_path):
    run = trained(tmp_path, "--env", "OneVan-v0", "-n", "300")
    model = ALGOS["boltzmann_dqn"].load(run / "OneVan-v0.zip")
    assert model.temperature == 2.0
    observation, _ = gym.make("OneVan-v0").reset(seed=0)
    assert model.predict(observation, deterministic=True)[0] in (0, 1)
    assert evaluate.main(["--gym-packages", "mypkg", "--model", str(run), "--episodes", "3"]) == 0
    policies = json.loads((run / "evaluation.json").read_text())["policies"]
    assert set(policies) == {"boltzmann_dqn OneVan-v0_1 (last)", "random_action"}
    assert policies["random_action"]["kpis"]["length"] == 50.0


def test_an_algorithm_of_ones_own_learns_dispatch_and_is_judged_beside_the_rules(mypkg, tmp_path):
    run = trained(tmp_path, "--env", "Dispatch-v0", "-n", "240")
    options = ["--gym-packages", "mypkg", "--model", str(run), "--policies", "soonest_pickup", "--episodes", "2"]
    assert evaluate.main([*options, "--no-latency"]) == 0
    policies = json.loads((run / "evaluation.json").read_text())["policies"]
    assert set(policies) == {"boltzmann_dqn Dispatch-v0_1 (last)", "soonest_pickup"}


def test_exploration_prefers_what_looks_good(mypkg):
    model = ALGOS["boltzmann_dqn"]("MlpPolicy", gym.make("OneVan-v0"), temperature=1.0, seed=0, buffer_size=10)
    last = list(model.q_net.q_net.children())[-1]
    last.weight.data.zero_()
    last.bias.data[:] = last.bias.data.new_tensor([0.0, np.log(3.0)])
    model.exploration_rate = 1.0
    chosen, _ = model.predict(np.zeros((4000, 3), np.float32))
    # exp(log 3) against exp(0): three quarters; two standard deviations of 4000 draws are 0.014
    assert np.mean(chosen) == pytest.approx(0.75, abs=0.02)


def test_a_rule_of_ones_own_plays_beside_ours(mypkg, tmp_path):
    options = [
        "--gym-packages",
        "mypkg",
        "--policies",
        "soonest_pickup",
        "wait_for_ever",
        "--episodes",
        "3",
        "--no-latency",
    ]
    assert evaluate.main([*options, "--output", str(tmp_path)]) == 0
    kpis = {n: p["kpis"] for n, p in json.loads((tmp_path / "evaluation.json").read_text())["policies"].items()}
    assert kpis["soonest_pickup"]["num_infeasible"] == 0
    assert kpis["soonest_pickup"]["service_rate"] > kpis["wait_for_ever"]["service_rate"] == 0.0


def test_a_rule_takes_the_pair_with_the_soonest_pickup(mypkg):
    env = gym.make("Dispatch-v0")
    env.reset(options={"day": 4})
    batch = env.unwrapped.batch
    (action,) = mypkg.SoonestPickup().act(batch)
    pairs = batch.world.pairs[0]
    driver, slot = divmod(action - 1, batch.max_bookings)
    assert pairs["pickup_min"][driver, slot] == pairs["pickup_min"][pairs["is_feasible"] == 1].min()


def test_a_rule_may_not_take_the_name_of_another(mypkg):
    class Other(mypkg.SoonestPickup):
        name = "nearest_driver"

    with pytest.raises(ValueError, match="a rule is called 'nearest_driver' already"):
        registry.register_rule(Other)


def test_a_reward_of_ones_own_costs_a_lost_patient_five_times_as_much():
    own, v2 = (RewardFunction.load(name).weights for name in (str(EXAMPLES / "mypkg/patients_first.yml"), "v2"))
    assert own["expired"] == 5 * v2["expired"]
    assert own["assigned"] == v2["assigned"]


def test_a_generator_of_ones_own_writes_days_that_are_read_back(mypkg, tmp_path):
    generator = importlib.import_module("mypkg.generator")
    generator.main(tmp_path, num_days=2)
    first, second = read_days(tmp_path)
    assert first.bookings == generator.clinic_day(0).bookings and first.drivers == generator.clinic_day(0).drivers
    assert first.bookings != second.bookings
    options = ["--env", "DispatchDay-v0", "--scenario", "operating_day", "--days-from", str(tmp_path), "--no-latency"]
    assert evaluate.main([*options, "--policies", "nearest_driver", "--output", str(tmp_path / "out")]) == 0
