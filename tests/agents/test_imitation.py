"""A warm start from a rule: the loss by hand, who leads which row, and that the pupil comes to choose as the rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch as th

from agents.branching import Branching
from agents.branching_dqn import BranchingDQN
from agents.imitation import TEMPERATURE, Imitation, TeacherSettings, imitation_loss
from agents.masking import INFEASIBLE
from baselines import rule_class
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction
from tests.agents.toy import ToyDispatch

NEAREST = {"rule": rule_class("nearest_driver")(), "until": 0.5, "updates": 3, "batch_size": 64}


def batch_env(num_envs: int = 16) -> DispatchVecEnv:
    return DispatchVecEnv(num_envs, reward_function=RewardFunction.load("v2"), seed=0)


def make_model(env, **kwargs) -> BranchingDQN:
    return BranchingDQN(
        "PairPolicy",
        env,
        buffer_size=1_000,
        learning_starts=0,
        policy_kwargs={"width": 32},
        seed=0,
        device="cpu",
        **kwargs,
    )


def agreement(model: BranchingDQN, num_steps: int = 40) -> float:
    """Share of the states with a choice in which the model chooses as the rule, on days led by the rule."""
    env, rule = DispatchVecEnv(16, reward_function=RewardFunction.load("v2"), seed=9), rule_class("nearest_driver")()
    obs: Any = env.reset()
    same: list[bool] = []
    for _ in range(num_steps):
        ruled = rule.act(env.batch, env.payer)
        has_choice = obs["action_mask"].sum(axis=1) > 1
        same += (model.predict(obs, deterministic=True)[0] == ruled)[has_choice].tolist()
        obs, *_ = env.step(ruled)
    return float(np.mean(same))


def test_loss_by_hand():
    # Q / T = 1, 3 and one infeasible; the teacher takes the first: -log(e^1 / (e^1 + e^3)) = log(1 + e^2); times T
    q = TEMPERATURE * th.tensor([[1.0, 3.0, 0.0]])
    q[0, 2] = INFEASIBLE
    assert imitation_loss(q, th.tensor([0])).item() == pytest.approx(TEMPERATURE * math.log(1 + math.e**2), rel=1e-5)


def test_infeasible_actions_get_no_gradient():
    q = th.tensor([[0.2, 0.5, INFEASIBLE]], requires_grad=True)
    imitation_loss(q, th.tensor([1])).backward()
    assert q.grad is not None and q.grad[0, 2] == 0.0 and q.grad[0, 1] < 0.0


def test_teacher_is_asked_and_leads_every_second_row():
    env = batch_env(4)
    obs = env.reset()
    imitation = Imitation(TeacherSettings(rule=rule_class("nearest_driver")()), env, device="cpu", packed=True)
    imitation.ask(obs)
    expected = rule_class("nearest_driver")().act(env.batch, env.payer)
    assert imitation.taught.tolist() == expected.tolist()
    pupil = np.full(4, 99)
    assert imitation.lead(pupil).tolist() == [expected[0], 99, expected[2], 99]
    assert imitation.num_states == 4


def test_what_the_pupil_may_not_do_yet_is_taught_as_waiting():
    env = batch_env(2)
    obs = env.reset()
    imitation = Imitation(TeacherSettings(rule=rule_class("nearest_driver")()), env, device="cpu", packed=True)
    imitation.ask(obs)
    assert (imitation.taught > 0).all()
    mask = obs["action_mask"].copy()
    mask[0, imitation.taught[0]] = 0
    kept = imitation.taught[1]
    imitation.ask({**obs, "action_mask": mask})
    assert imitation.taught.tolist() == [0, kept]


def test_pupil_comes_to_choose_as_the_rule():
    model = make_model(batch_env(), teacher=NEAREST, branching={"start": 1.0})
    before = agreement(model)
    model.learn(16 * 120, log_interval=None)  # 60 vectorized steps of imitation, 3 updates each, then Q-learning
    assert model._imitation is None  # let go once the imitation is over
    imitated = make_model(batch_env(), teacher={**NEAREST, "until": 1.0}, branching={"start": 1.0})
    imitated.learn(16 * 200, log_interval=None)
    # before: the greedy choice over the immediate reward; the rule takes the shortest approach
    assert agreement(imitated) > before + 0.1


@pytest.mark.parametrize("ticks", [{"horizon_ticks": 0}, {"horizon_ticks": 2, "led_ticks": 3}])
def test_branches_may_follow_without_values(ticks):
    branching = {
        "start": 0.5,
        **ticks,
        "states": 4,
        "actions": 3,
        "random_actions": 1,
        "rows": 24,
        "every": 1,
    }
    model = make_model(batch_env(), teacher=NEAREST, branching={**branching, "batch_size": 16, "states_per_update": 8})
    model.learn(16 * 40, log_interval=None)
    assert model._branching is not None and model._branching.num_states > 0


def test_branches_are_led_on_by_the_teacher():
    model = make_model(batch_env(), branching={"start": 0.0, "horizon_ticks": 2.0, "led_ticks": 3.0}, teacher=NEAREST)
    settings = model._branch_settings
    assert settings is not None
    with pytest.raises(ValueError, match=r"led_ticks needs a rule that leads"):
        Branching(settings, batch_env(), 5.0, 1.0, device="cpu")
    with pytest.raises(ValueError, match=r"led_ticks needs a rule that leads"):
        make_model(batch_env(), branching=model.branching)
    with pytest.raises(ValueError, match=r"horizon_ticks > 0, got led_ticks=3.0, horizon_ticks=0.0"):
        make_model(batch_env(), branching={"horizon_ticks": 0.0, "led_ticks": 3.0}, teacher=NEAREST)


def test_needs_the_native_batch():
    model = BranchingDQN(
        "PairPolicy", ToyDispatch(), learning_starts=0, buffer_size=100, teacher=NEAREST, policy_kwargs={"width": 8}
    )
    with pytest.raises(ValueError, match=r"imitation looks into the days in play; train on the native batch"):
        model.learn(20)


def test_teacher_is_not_saved_and_given_anew(tmp_path):
    leads = {"start": 0.0, "horizon_ticks": 2.0, "led_ticks": 3.0}
    model = make_model(batch_env(), branching=leads, teacher=NEAREST)
    model.save(tmp_path / "model.zip")
    alone = BranchingDQN.load(tmp_path / "model.zip", env=batch_env(), device="cpu")
    assert alone.teacher is None and alone.branching == leads
    with pytest.raises(ValueError, match=r"led_ticks needs a rule that leads"):
        alone.learn(16)
    again = BranchingDQN.load(tmp_path / "model.zip", env=batch_env(), device="cpu", teacher=NEAREST)
    assert again._teacher_settings.rule is NEAREST["rule"]
    again.learn(16)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({**NEAREST, "untl": 0.5}, r"teacher: unknown key 'untl'. Did you mean 'until'"),
        ({"until": 0.5}, r"teacher: key 'rule' is missing. Name the rule to imitate"),
        ({"rule": "nearest_driver"}, r"expected a rule that answers act\(batch, payer\), got 'nearest_driver'"),
        ({**NEAREST, "until": 1.5}, r"until is a share of the training in \[0, 1\], got 1.5"),
    ],
)
def test_settings_are_checked(given, message):
    with pytest.raises(ValueError, match=message):
        make_model(batch_env(), teacher=given)
