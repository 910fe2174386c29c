"""A rule behaves as a Stable-Baselines3 model once it is bound to an environment."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

import envs  # noqa: F401 - registers the environments
from baselines import REPLANNERS, RULE_NAMES, RULES, make_rules, rule_class
from baselines.planning.solvers import is_installed
from envs.days.scenario import Scenario
from envs.orders import carry_out
from envs.vec_env import DispatchVecEnv
from envs.world.records import BookingState
from evaluation.runner import Arena, play
from evaluation.setup import generated_cases
from reward import RewardV2

DAYS = [2_000_000, 2_000_001]
INSTALLED_REPLANNERS = [rule for rule in REPLANNERS if rule.solver_name == "search" or is_installed(rule.solver_name)]


def played_alone(policy, env) -> list[float]:
    """Total reward of each of DAYS, through ``predict`` and the Gymnasium face."""
    policy.bind(env)
    totals = []
    for day in DAYS:
        observation, _ = env.reset(options={"day": day})
        total, is_done = 0.0, False
        while not is_done:
            action, _ = policy.predict(observation)
            assert env.action_space.contains(action)
            observation, reward, is_done, _, _ = env.step(action)
            total += float(reward)
        totals.append(total)
    return totals


@pytest.mark.parametrize("rule", RULES, ids=RULE_NAMES)
@pytest.mark.parametrize("env_id", ["Dispatch-v0", "DispatchDay-v0"])
def test_side_by_side_is_the_same_as_one_by_one(rule, env_id):
    env = RewardV2(gym.make(env_id))
    scenario = env.unwrapped.scenario
    together = play(rule(), generated_cases(DAYS[0], 2, scenario), scenario, "v2", measure_latency=False)
    assert played_alone(rule(), env) == pytest.approx(together.reward.tolist(), abs=1e-6)
    outcomes = ("num_served", "num_lost", "num_cancelled", "num_no_show")
    np.testing.assert_array_equal(sum(together.kpis[name] for name in outcomes), together.kpis["num_bookings"])


@pytest.mark.parametrize("rule", [*RULES, *INSTALLED_REPLANNERS])
@pytest.mark.parametrize("scenario_name", ["short_shift", "operating_day"])
def test_asking_changes_nothing_in_the_world(rule, scenario_name):
    """Through a whole day with more open bookings than slots: only the runner moves bookings, drivers and clocks."""
    scenario = Scenario.load(scenario_name, max_bookings=4, plan_improvement=False)
    arena = Arena(scenario, "v2", 2)
    arena.load(generated_cases(DAYS[0], 2, scenario))
    policy, batch = rule(), arena.batch
    while not batch.is_done.all():
        arena.payer.price_pairs()
        before = [array.tobytes() for array in batch.world]
        orders = policy.orders(batch, arena.payer)
        assert [array.tobytes() for array in batch.world] == before
        carry_out(batch.world, orders.beyond)
        batch.step(orders.actions)
        arena.payer.pay()


def test_the_reward_is_what_the_event_log_pays():
    scenario = Scenario.load("operating_day", load=2.5)
    rule = rule_class("nearest_driver")()
    played = play(rule, generated_cases(DAYS[0], 3, scenario), scenario, "v3", measure_latency=False, with_margin=True)
    np.testing.assert_allclose(played.kpis["margin_chf"], played.reward, atol=1e-6)
    np.testing.assert_allclose(sum(played.terms.values()), played.reward, atol=1e-6)


def test_stable_baselines_evaluates_a_rule_as_a_model():
    env = Monitor(RewardV2(gym.make("Dispatch-v0", days=(2_000_000, 2_000_002), in_order=True)))
    rule = rule_class("nearest_driver")().bind(env)
    mean, _ = evaluate_policy(rule, DummyVecEnv([lambda: env]), n_eval_episodes=2)
    scenario = env.unwrapped.scenario
    played = play(rule, generated_cases(2_000_000, 2, scenario), scenario, "v2", measure_latency=False)
    assert mean == pytest.approx(played.mean("reward"))


def test_a_rule_plays_the_batched_environment():
    env = DispatchVecEnv(3, scenario="short_shift", seed=0)
    rule = rule_class("first_come_first_served")().bind(env)
    observation = env.reset()
    for _ in range(30):  # past the end of the first episodes
        actions, _ = rule.predict(observation)
        assert actions.shape == (3,)
        assert observation["action_mask"][np.arange(3), actions].all()
        observation, *_ = env.step(actions)
    assert (env.batch.world.bookings["state"] == BookingState.PLANNED).any()


def test_a_rule_that_needs_a_reward_says_so():
    with pytest.raises(ValueError, match=r"the environment has no reward. Wrap it first: reward.RewardV2"):
        rule_class("best_immediate_reward")().bind(gym.make("Dispatch-v0"))


def test_a_rule_must_be_bound_before_it_predicts():
    with pytest.raises(RuntimeError, match="not bound to an environment"):
        rule_class("nearest_driver")().predict({})


def test_a_foreign_environment_is_refused():
    with pytest.raises(ValueError, match="needs a DispatchEnv"):
        rule_class("nearest_driver")().bind(gym.make("CartPole-v1"))


def test_random_rules_repeat_themselves_on_the_same_day():
    scenario = Scenario.load("short_shift")
    cases = generated_cases(DAYS[0], 5, scenario)
    (rule,) = make_rules(["random_valid"])
    first, again = (play(rule, cases, scenario, "v2", measure_latency=False).reward for _ in range(2))
    np.testing.assert_array_equal(first, again)
    alone = play(rule, cases[3:4], scenario, "v2", measure_latency=False).reward
    np.testing.assert_array_equal(alone, first[3:4])  # whatever is played beside it
