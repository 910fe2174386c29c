"""Environments of others, judged by what an episode pays."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest
import yaml
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from evaluate import main
from reward import RewardV2

QUICK = ["--env", "CartPole-v1", "--episodes", "12"]


def result(folder):
    return json.loads((folder / "evaluation.json").read_text())


def save_ppo(path, seed=0):
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, seed=seed, device="cpu").save(path)


def test_models_are_paired_by_seed_with_each_other_and_with_random_actions(tmp_path, capsys):
    save_ppo(tmp_path / "one.zip")
    A2C("MlpPolicy", "CartPole-v1", seed=1, device="cpu").save(tmp_path / "two.zip")
    models = [str(tmp_path / "one.zip"), str(tmp_path / "two.zip")]
    assert main(["--model", *models, *QUICK, "--output", str(tmp_path)]) == 0
    content = result(tmp_path)
    assert content["days"] == list(range(2_000_000, 2_000_012))
    assert set(content["policies"]) == {"one", "two", "random_action"}
    assert content["best_rule"] == "random_action"
    for policy in content["policies"].values():  # CartPole pays 1 a step
        assert policy["reward_mean"] == pytest.approx(policy["kpis"]["length"])
    (row,) = [row for row in content["comparisons"] if (row["policy"], row["metric"]) == ("one", "reward")]
    means = [content["policies"][name]["reward_mean"] for name in ("one", "random_action")]
    assert row["mean_difference"] == pytest.approx(means[0] - means[1], abs=1e-5)
    assert row["num_days"] == 12
    output = capsys.readouterr().out
    assert "CartPole-v1, reward of the environment, judged by reward, 12 episodes 2000000 to 2000011" in output
    assert "the best rule, random_action" in output


def test_a_model_plays_as_in_its_own_environment(tmp_path):
    save_ppo(tmp_path / "one.zip")
    assert main(["--model", str(tmp_path / "one.zip"), *QUICK, "--output", str(tmp_path)]) == 0
    model, env = PPO.load(tmp_path / "one.zip"), gym.make("CartPole-v1")
    totals = []
    for seed in range(2_000_000, 2_000_012):
        observation, _ = env.reset(seed=seed)
        total, is_over = 0.0, False
        while not is_over:
            observation, paid, terminated, truncated, _ = env.step(model.predict(observation, deterministic=True)[0])
            total, is_over = total + paid, terminated or truncated
        totals.append(total)
    assert result(tmp_path)["policies"]["one"]["reward_mean"] == pytest.approx(np.mean(totals))


def test_a_run_brings_its_environment_and_how_it_scaled_observations(tmp_path):
    folder = tmp_path / "CartPole-v1_1"
    (folder / "CartPole-v1").mkdir(parents=True)
    settings = {"env": "CartPole-v1", "algo": "ppo", "hyperparams": {"normalize": True}}
    (folder / "CartPole-v1" / "resolved.yml").write_text(yaml.safe_dump(settings))
    scaled = VecNormalize(DummyVecEnv([lambda: gym.make("CartPole-v1")]))
    scaled.obs_rms.mean[:], scaled.obs_rms.var[:] = 100.0, 1.0  # all observations are clipped to -10
    scaled.save(str(folder / "CartPole-v1" / "vecnormalize.pkl"))
    save_ppo(folder / "CartPole-v1.zip")
    assert main(["--model", str(folder), "--episodes", "4"]) == 2  # the averages are pickled
    assert main(["--model", str(folder), "--episodes", "4", "--trust"]) == 0
    policies = result(folder)["policies"]
    # One observation for ever, one action for ever: the pole falls within 11 steps.
    assert policies["ppo CartPole-v1_1 (last)"]["kpis"]["length"] <= 11


class Counting(gym.Env):
    """Three steps a episode; what it counts goes into the KPIs. The action is what it pays."""

    observation_space = gym.spaces.Discrete(4)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.step_number = 0
        return 0, {}

    def step(self, action):
        self.step_number += 1
        info = {"kpis": {"num_steps": self.step_number}}
        return self.step_number, float(action[0]), self.step_number == 3, False, info


@pytest.fixture
def counting():
    gym.register("Counting-v0", entry_point=Counting)
    yield "Counting-v0"
    gym.registry.pop("Counting-v0")


def test_kpis_come_from_info_and_any_space_will_do(counting, tmp_path):
    PPO("MlpPolicy", gym.make(counting), n_steps=8, batch_size=8, device="cpu").save(tmp_path / "mine.zip")
    options = ["--model", str(tmp_path / "mine.zip"), "--env", counting, "--episodes", "3", "--output", str(tmp_path)]
    assert main(options) == 0
    policies = result(tmp_path)["policies"]
    assert policies["mine"]["kpis"] == {"length": 3.0, "num_steps": 3.0}
    assert abs(policies["random_action"]["reward_mean"]) <= 3.0


def test_a_dispatch_environment_of_ones_own_plays_report_days_and_is_paid(tmp_path):
    gym.register("MyDispatch-v0", entry_point="envs.dispatch_env:DispatchEnv")
    try:
        env = RewardV2(gym.make("MyDispatch-v0"))
        DQN("MultiInputPolicy", env, buffer_size=10, policy_kwargs={"net_arch": [8]}, device="cpu").save(tmp_path / "m")
        rewards, kpis = [], []
        for env_id in ("MyDispatch-v0", "Dispatch-v0"):
            options = ["--env", env_id, "--reward", "v2", "--episodes", "2", "--no-latency", "--output", str(tmp_path)]
            assert main(["--model", str(tmp_path / "m.zip"), *options]) == 0
            rewards.append(result(tmp_path)["policies"]["m"]["reward_mean"])
            kpis.append(result(tmp_path)["policies"]["m"]["kpis"]["num_served"])
        assert rewards[0] == pytest.approx(rewards[1])
        assert kpis[0] == kpis[1]
    finally:
        gym.registry.pop("MyDispatch-v0")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--env", "CartPole-v9"], "unknown environment"),
        ([*QUICK, "--env-kwargs", "no_such_thing:1"], "no_such_thing"),
        ([*QUICK, "--policies", "nearest_driver"], "--policies: CartPole-v1 is no environment of this project"),
        ([*QUICK, "--objective", "cost"], "CartPole-v1 knows its reward only"),
        (["--gym-packages", "no_such_package"], "--gym-packages no_such_package: No module named"),
    ],
)
def test_what_cannot_be_done_is_refused(options, says, capsys):
    assert main(options) == 2
    assert says in capsys.readouterr().err


def test_a_model_of_another_environment_is_refused(tmp_path, capsys):
    save_ppo(tmp_path / "one.zip")
    assert main(["--model", str(tmp_path / "one.zip"), "--env", "Acrobot-v1", "--episodes", "1"]) == 2
    assert "Name the model's own (--env, --env-kwargs)" in capsys.readouterr().err
