"""Made-up days of made-up policies: what the tests of comparison, words, table and files start from."""

from __future__ import annotations

import numpy as np

from envs.kpis import KPI_NAMES
from evaluation.comparison import Evaluation
from evaluation.reference import Reference
from evaluation.runner import Case, Played

NUM_DAYS = 40
SHORT_SHIFT = ("Dispatch-v0", "short_shift", "v2", "reward")  # environment, scenario, reward, objective


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


def with_hindsight(objective: str = "reward", **kwargs) -> Evaluation:
    days = np.random.default_rng(0).normal(1000.0, 50.0, NUM_DAYS)
    noise = np.random.default_rng(1).normal(0.0, 40.0, NUM_DAYS)
    rules = [
        played("weak", days - 100, cost=days + 100),
        played("strong", days, cost=days),
        played("equal", days + noise, cost=days + noise),
        played("replan_search", days + 60, cost=days - 60),
    ]
    best = days + 200 if objective == "reward" else days - 200
    reference = Reference(best, np.full(NUM_DAYS, np.nan), ["search"] * NUM_DAYS, 100)
    return Evaluation(
        env_id="Dispatch-v0",
        scenario="short_shift",
        reward="v2",
        objective=objective,
        rules=rules,
        replanners=["replan_search"],
        reference=reference,
        compares_all=True,
        **kwargs,
    )
