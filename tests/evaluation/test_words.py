"""What an evaluation says in sentences, from made-up days."""

from __future__ import annotations

from html import unescape

import numpy as np
import pytest

from evaluation.comparison import Evaluation
from evaluation.files import to_dict
from evaluation.page import to_html
from evaluation.table import text
from evaluation.words import headline, number, signed, verdict
from tests.evaluation.made_up import NUM_DAYS, evaluation_of, played


def test_with_a_cost_less_is_better(days):
    evaluation = Evaluation(
        "DispatchDay-v0",
        "paratransit",
        None,
        "cost",
        rules=[
            played("dear", np.full(NUM_DAYS, np.nan), cost=days + 50),
            played("cheap", np.full(NUM_DAYS, np.nan), cost=days),
        ],
    )
    assert evaluation.best_rule == "cheap"
    assert "cheap is the best rule" in verdict(evaluation)
    assert to_dict(evaluation)["policies"]["cheap"]["reward_mean"] is None  # JSON knows no nan


@pytest.mark.parametrize(
    ("gain", "says"),
    [
        (50.0, "dqn run_1 (best) beats the best rule, strong_rule, by"),
        (-50.0, "dqn run_1 (best) loses to the best rule, strong_rule, by"),
    ],
)
def test_one_sentence_says_who_wins_and_whether_that_is_significant(days, gain, says):
    sentence = verdict(evaluation_of(days, gain))
    assert sentence.startswith(says)
    assert "95 % interval" in sentence
    assert ", significant)" in sentence


@pytest.mark.parametrize(("gain", "says"), [(30.0, "beaten by replan_search"), (-30.0, "ahead of replan_search")])
def test_a_replanner_may_be_ahead_of_the_best_rule(days, gain, says):
    rules = [played("weak_rule", days - 100), played("nearest_driver", days), played("replan_search", days + gain)]
    evaluation = Evaluation(
        env_id="Dispatch-v0",
        scenario="short_shift",
        reward="v2",
        objective="reward",
        rules=rules,
        models=[],
        replanners=["replan_search"],
    )
    # the best simple rule is what everybody is compared with; whoever is first otherwise stands at +30 or -30
    assert evaluation.best_rule == "nearest_driver"
    assert f"{says} by 30.0 = 3." in verdict(evaluation)


def test_a_difference_within_the_noise_is_no_win_and_no_loss(days):
    evaluation = evaluation_of(days, 0.0)
    interval = evaluation.comparison("dqn run_1 (best)").interval
    assert interval.low < 0 < interval.high
    for said in (verdict(evaluation), text(evaluation), to_html(evaluation), to_dict(evaluation)["verdict"]):
        said = unescape(said)
        assert "dqn run_1 (best) can't be told from the best rule, strong_rule: " in said
        assert "beats" not in said and "loses to" not in said


def test_rules_that_differ_within_the_noise_are_not_ranked(days):
    noise = np.random.default_rng(1).normal(0.0, 10.0, NUM_DAYS)
    rules = [played("a", days), played("b", days - 0.1 + noise - noise.mean())]
    evaluation = Evaluation("Dispatch-v0", "short_shift", "v2", "reward", rules=rules)
    assert "which can't be told from that of b: -0.1 (95 % interval" in verdict(evaluation)


@pytest.mark.parametrize("is_cluster", [False, True])
def test_one_day_has_no_interval_and_nothing_is_significant(is_cluster):
    # one day, or four rows of one service day: 50 ahead on it, and nobody knows how far on the next
    reward = np.full(4 if is_cluster else 1, 1000.0)
    clusters = ["monday"] * len(reward)
    evaluation = Evaluation(
        *("Dispatch-v0", "short_shift", "v2", "reward"),
        rules=[played("rule", reward, clusters)],
        models=[played("model", reward + 50.0, clusters)],
        compares_all=True,
    )
    assert "model is 50.0 ahead of the best rule, rule, in reward on 1 day; one day says nothing" in verdict(evaluation)
    for said in (text(evaluation), to_html(evaluation)):
        assert "ignificant" not in said and "n.s." not in said
        assert "One day has no interval." in said
    (row,) = [row for row in to_dict(evaluation)["comparisons"] if row["metric"] == "reward"]
    assert row["mean_difference"] == 50.0
    assert (row["ci_low"], row["ci_high"], row["p_value"], row["p_value_holm"]) == (None, None, None, None)
    assert not row["is_significant"] and not evaluation.ahead


def test_no_percentage_of_a_total_near_zero(days):
    assert " %, " not in verdict(evaluation_of(days, 50.0))
    assert "= 5." in verdict(evaluation_of(days, 50.0))  # 50 of 1000
    near_zero = evaluation_of(days - 1000.0, 50.0)
    assert "=" not in verdict(near_zero)


def test_rows_of_a_service_day_count_as_one_day(days):
    clusters = [str(i // 4) for i in range(NUM_DAYS)]
    evaluation = Evaluation(
        "DispatchDay-v0",
        "paratransit",
        "v2",
        "reward",
        rules=[played("a", days, clusters), played("b", days - 1, clusters)],
    )
    assert evaluation.comparison("b").interval.num_days == 10
    assert "10 service days" in headline(evaluation)


def test_numbers_are_short():
    assert number(1234.56) == "1235"
    assert number(12.345) == "12.3"
    assert number(float("nan")) == "-"
    assert signed(3.0) == "+3.0"
    assert signed(-3.0) == "-3.0"
