"""What an evaluation says, from made-up days."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from envs.kpis import KPI_NAMES
from evaluation.page import to_html
from evaluation.report import TABLE_WIDTH, Evaluation, number, signed, table
from evaluation.runner import Case, Played

NUM_DAYS = 40


def played(policy: str, reward, clusters=None, **kpis) -> Played:
    """Made-up days: the same service on every one, unless said otherwise."""
    reward = np.asarray(reward, np.float64)
    labels = [str(2_000_000 + i) for i in range(len(reward))]
    clusters = labels if clusters is None else clusters
    values = {name: np.full(len(reward), 10.0) for name in KPI_NAMES}
    values["service_rate"] = values["on_time_share"] = np.full(len(reward), 0.5)
    values.update({name: np.asarray(value, np.float64) for name, value in kpis.items()})
    cases = [Case(int(label), label, cluster) for label, cluster in zip(labels, clusters, strict=True)]
    return Played(policy, cases, values, reward, {"assigned": reward + 1.0}, (0.5, 2.0))


@pytest.fixture
def days():
    """Rewards of a day, the same noise for all policies."""
    return np.random.default_rng(0).normal(1000.0, 200.0, NUM_DAYS)


def evaluation_of(days, model_gain: float, **kwargs) -> Evaluation:
    noise = np.random.default_rng(1).normal(0.0, 10.0, NUM_DAYS)
    return Evaluation(
        env_id="Dispatch-v0",
        scenario="short_shift",
        reward="v2",
        objective=kwargs.pop("objective", "reward"),
        rules=[played("weak_rule", days - 100), played("strong_rule", days)],
        models=[played("dqn run_1 (best)", days + model_gain + noise)],
        **kwargs,
    )


def test_the_best_rule_is_the_one_to_compare_with(days):
    evaluation = evaluation_of(days, 50.0)
    assert evaluation.best_rule == "strong_rule"
    row = evaluation.comparison("weak_rule")
    assert row.interval.mean == pytest.approx(-100.0)
    assert (row.interval.low, row.interval.high) == pytest.approx((-100.0, -100.0))  # the same difference on every day
    assert row.interval.num_days == NUM_DAYS
    assert evaluation.comparison("strong_rule") is None


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
    assert "cheap is the best rule" in evaluation.verdict()
    assert evaluation.to_dict()["policies"]["cheap"]["reward_mean"] is None  # JSON knows no nan


@pytest.mark.parametrize(
    ("gain", "says"),
    [
        (50.0, "dqn run_1 (best) beats the best rule, strong_rule, by"),
        (-50.0, "dqn run_1 (best) loses to the best rule, strong_rule, by"),
    ],
)
def test_one_sentence_says_who_wins_and_whether_that_is_significant(days, gain, says):
    verdict = evaluation_of(days, gain).verdict()
    assert verdict.startswith(says)
    assert "95 % interval" in verdict
    assert ", significant)" in verdict


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
    assert f"{says} by 30.0 = 3." in evaluation.verdict()


def test_a_difference_within_the_noise_is_not_called_significant(days):
    assert "not significant" in evaluation_of(days, 0.0).verdict()


def test_no_percentage_of_a_total_near_zero(days):
    assert " %, " not in evaluation_of(days, 50.0).verdict()
    assert "= 5." in evaluation_of(days, 50.0).verdict()  # 50 of 1000
    near_zero = evaluation_of(days - 1000.0, 50.0)
    assert "=" not in near_zero.verdict()


def test_seeds_of_one_method_are_pooled(days):
    seeds = [played(f"dqn run_{i}", days + gain) for i, gain in enumerate((10.0, 20.0, 60.0))]
    evaluation = Evaluation(
        "Dispatch-v0",
        "short_shift",
        "v2",
        "reward",
        rules=[played("rule", days)],
        models=seeds,
        pools={"dqn, 3 seeds": ["dqn run_0", "dqn run_1", "dqn run_2"]},
    )
    row = evaluation.comparison("dqn, 3 seeds")
    assert row.interval.mean == pytest.approx(30.0)  # (10 + 20 + 60) / 3
    # each seed gains the same on every day, so all of the width comes from the seeds
    assert row.interval.low < 20.0 and row.interval.high > 40.0
    assert evaluation.focus == "dqn, 3 seeds"
    assert evaluation.to_dict()["policies"]["dqn, 3 seeds"]["members"] == ["dqn run_0", "dqn run_1", "dqn run_2"]


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
    assert "10 service days" in evaluation.headline()


def test_the_worst_days_are_those_lost_most_against_the_best_rule(days):
    gains = np.zeros(NUM_DAYS)
    gains[[7, 3, 12]] = [-300.0, -200.0, -100.0]
    evaluation = Evaluation(
        "Dispatch-v0",
        "short_shift",
        "v2",
        "reward",
        rules=[played("rule", days)],
        models=[played("model", days + gains)],
    )
    worst = evaluation.worst_days()
    assert [row["day"] for row in worst[:3]] == ["2000007", "2000003", "2000012"]
    assert worst[0]["difference"] == pytest.approx(-300.0)
    assert "day 2000007" in evaluation.text()


def test_policies_on_different_days_are_not_compared(days):
    with pytest.raises(ValueError, match="'b' played other days than 'a'"):
        Evaluation("Dispatch-v0", "short_shift", "v2", "reward", rules=[played("a", days), played("b", days[:10])])


def test_the_table_fits_a_terminal(days):
    models = [played("a model with a very long name that goes on and on and on (best)", days * 1234.5)]
    evaluation = Evaluation(
        "Dispatch-v0", "short_shift", "v2", "reward", rules=[played("rule", days), played("r", -days)], models=models
    )
    lines = table(evaluation)
    assert max(map(len, lines)) <= TABLE_WIDTH
    assert lines[2].startswith("a model with")  # the best first
    assert "best rule" in lines[3]


def test_json_has_the_promised_keys(days, tmp_path):
    json_path, csv_path, html_path = evaluation_of(days, 50.0, notes=["a note"], about={"commit": "abc"}).write(
        tmp_path
    )
    content = json.loads(json_path.read_text())
    assert {"env_id", "reward", "days", "policies", "best_rule", "comparisons"} <= set(content)
    assert content["days"] == list(range(2_000_000, 2_000_000 + NUM_DAYS))
    assert set(content["policies"]["strong_rule"]["kpis"]) == set(KPI_NAMES)
    assert content["policies"]["strong_rule"]["reward_mean"] == pytest.approx(days.mean())
    keys = {"policy", "against", "metric", "mean_difference", "ci_low", "ci_high", "num_days"}
    assert all(keys <= set(row) for row in content["comparisons"])
    assert content["commit"] == "abc"
    page = html_path.read_text()
    assert page.count("<tr") == 1 + 3  # header, a model and two rules
    assert page.count("<circle") == 2  # everybody but the best rule
    with csv_path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * NUM_DAYS  # a row per policy and day
    assert float(rows[0]["reward"]) - float(rows[0]["term_assigned"]) == pytest.approx(-1.0, abs=0.01)


def test_who_is_far_off_is_named_and_not_drawn(days):
    # Differences to the best rule: -10, -20, -300. Median 20; 300 is more than 10 x 20 = 200.
    others = [played(f"less {loss}", days - loss) for loss in (10.0, 20.0, 300.0)]
    page = to_html(Evaluation("Dispatch-v0", "short_shift", "v2", "reward", rules=[played("best", days), *others]))
    assert page.count("<circle") == 2
    assert "Too far off to be drawn: less 300.0 (-300)." in page


def test_the_page_shows_the_curves_that_lie_beside_it(days, tmp_path):
    (tmp_path / "curves.png").write_bytes(b"picture")
    *_, html_path = evaluation_of(days, 50.0).write(tmp_path)
    # base64 of "picture"
    assert "data:image/png;base64,cGljdHVyZQ==" in html_path.read_text()


def test_numbers_are_short():
    assert number(1234.56) == "1235"
    assert number(12.345) == "12.3"
    assert number(float("nan")) == "-"
    assert signed(3.0) == "+3.0"
    assert signed(-3.0) == "-3.0"
