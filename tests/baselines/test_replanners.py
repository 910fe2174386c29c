"""Re-planners keep their plan to themselves, assign late, and never do without a plan."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import envs  # noqa: F401 - registers the environments
from baselines import REPLANNERS, make_rules, rule_class
from baselines.planning import solvers
from baselines.planning.plan import make_objective
from baselines.replanners import Replanner, ReplanSearch
from envs.days.scenario import Scenario
from envs.orders import LAST, carry_out
from envs.world.records import BookingState
from evaluation.runner import Arena, Case, play
from evaluation.setup import generated_cases
from reward import RewardV2
from tests.envs.line import booking, driver, line_day

OPERATING_DAY = Scenario.load("operating_day", plan_improvement=False)
INSTALLED = [
    pytest.param(
        rule,
        marks=pytest.mark.skipif(
            rule.solver_name != "search" and not solvers.is_installed(rule.solver_name),
            reason=f"needs {rule.solver_name}: {solvers.INSTALL}",
        ),
    )
    for rule in REPLANNERS
]


def give(policy, batch) -> None:
    """Carry out what the policy orders now."""
    orders = policy.orders(batch)
    carry_out(batch.world, orders.beyond)
    batch.step(orders.actions)


def cost_of(policy, day) -> float:
    played = play(policy, [Case(day, "line", "line")], OPERATING_DAY, None, measure_latency=False)
    return float(played.kpis["cost"][0])


@pytest.mark.parametrize("rule", INSTALLED)
def test_both_bookings_are_served_where_greedy_loses_one(rule):
    # d0 at km 0, known at 08:00: b0 at km 2 from 08:04 to 09:30, b1 at km 12 from 08:20 to 08:25 and on to km 2.
    # b0 first (4 min, to km 20 at 08:46) would miss b1; b1 first (24 min, back at km 2 at 08:50), then b0: 0 min more.
    bookings = [booking("b0", (2, 20), (484, 570)), booking("b1", (12, 2), (500, 505))]
    day = line_day(bookings, [driver("d0", 0)])
    assert cost_of(rule(50.0, judged_by="cost"), day) == pytest.approx(24.0)


def test_plan_improvement_leaves_a_plan_of_its_own_alone():
    searches = {"plan_improvement": True, "improvement_moves": 100, "improvement_lost_min": 300.0}
    rewards = []
    for overrides in ({"plan_improvement": False}, searches):
        scenario = Scenario.load("operating_day", load=2.0, num_drivers=4, **overrides)
        cases = generated_cases(1_000_000, 3, scenario)
        played = play(ReplanSearch(1.0), cases, scenario, "v3", measure_latency=False)
        rewards.append(played.reward)
        assert not played.kpis["num_unassigned"].any()
    np.testing.assert_array_equal(*rewards)


def test_a_booking_is_assigned_when_its_driver_must_leave():
    # known at 08:00, pickup from 09:00 on at km 10, 20 min away: leave at 08:40
    day = line_day([booking("b0", (10, 11), (540, 570))], [driver("d0", 0)])
    arena = Arena(OPERATING_DAY, None, 1)
    arena.load([Case(day, "line", "line")])
    policy = ReplanSearch(5.0, judged_by="cost")
    batch = arena.batch
    while batch.world.bookings["state"][0, 0] == BookingState.OPEN:
        now = float(batch.world.clocks["now_min"][0])
        give(policy, batch)
    # leaving at 08:40 is beginning with the tick of 08:40, not before: asked there, it assigns
    assert now == pytest.approx(520.0)


def test_it_assigns_early_when_told_so():
    day = line_day([booking("b0", (10, 11), (540, 570))], [driver("d0", 0)])
    arena = Arena(OPERATING_DAY, None, 1)
    arena.load([Case(day, "line", "line")])
    policy = ReplanSearch(5.0, judged_by="cost", early_min=15.0)
    while arena.batch.world.bookings["state"][0, 0] == BookingState.OPEN:
        now = float(arena.batch.world.clocks["now_min"][0])
        give(policy, arena.batch)
    assert now == pytest.approx(505.0)


class _Silent(Replanner):
    """Its solver never finds anything."""

    name = "silent"
    solver_name = "none"

    def make_solver(self):
        class Solver:
            name = "none"

            def solve(self, problem, warm, pickups):
                return [[] for _ in warm]

        return Solver()


def test_without_a_plan_in_time_the_greedy_one_stands():
    bookings = [booking("b0", (2, 3), (500, 520)), booking("b1", (12, 13), (540, 570))]
    # approach 4 min, then from km 3 to km 12: 18 min; nobody is lost
    assert cost_of(_Silent(1.0, judged_by="cost"), line_day(bookings, [driver("d0", 0)])) == pytest.approx(22.0)


def test_side_by_side_is_the_same_as_one_by_one():
    env = RewardV2(gym.make("Dispatch-v0"))
    scenario = env.unwrapped.scenario
    cases = generated_cases(2_000_000, 2, scenario)
    together = play(ReplanSearch(1.0), cases, scenario, "v2", measure_latency=False)
    policy = ReplanSearch(1.0).bind(env)
    for i in range(2):
        observation, _ = env.reset(options={"day": 2_000_000 + i})
        total, is_done = 0.0, False
        while not is_done:
            observation, reward, is_done, _, _ = env.step(policy.predict(observation)[0])
            total += float(reward)
        assert total == pytest.approx(together.reward[i], abs=1e-6)


def test_a_day_played_again_is_begun_afresh():
    scenario = Scenario.load("short_shift")
    policy = ReplanSearch(1.0)
    first, again = (
        play(policy, generated_cases(2_000_000, 2, scenario), scenario, "v2", measure_latency=False).reward
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    # A decision per tick and day, each timed.
    assert len(policy.decision_seconds) == 2 * 2 * 24


def test_the_prices_tuned_for_one_serve_all():
    tuned = {"replan_search": {"price_occupied_min": 1.5}}
    (rule,) = make_rules(["replan_search"], tuned, judged_by="cost", replan_ms=7.0, replan_seed=3)
    assert (rule.settings()["price_occupied_min"], rule.judged_by, rule.time_limit_ms, rule.seed) == (
        1.5,
        "cost",
        7.0,
        3,
    )
    assert rule_class("replan_pyvrp") in REPLANNERS
    with pytest.raises(ValueError, match="Did you mean 'price_occupied_min'"):
        ReplanSearch(1.0, price_ocupied_min=1.0)


def test_what_no_action_can_say_is_an_order():
    # known at 08:00, pickup at 08:05 at km 2: 4 min away, it is due at once, at the end of the empty plan
    arena = Arena(OPERATING_DAY, None, 1)
    arena.load([Case(line_day([booking("b0", (2, 3), (485, 500))], [driver("d0", 0)]), "line", "line")])
    policy = ReplanSearch(5.0, judged_by="cost")
    (order,) = policy.orders(arena.batch).beyond
    assert order.tolist() == (0, 0, 0, LAST)
    with pytest.raises(ValueError, match=r"replan_search: no action can say what it plans.*Ask for its orders"):
        policy.act(arena.batch)


def test_judged_by_a_reward_it_needs_one():
    with pytest.raises(ValueError, match="Pass --reward v2, or --objective cost"):
        make_objective("reward", None)
