"""The minute of training: what is read out of an evaluation."""

from __future__ import annotations

import pytest

from studies.minute import Minute, read


def entry(policy: str, against: str, metric: str, mean: float) -> dict:
    return {
        "policy": policy,
        "against": against,
        "metric": metric,
        "mean_difference": mean,
        "ci_low": mean - 5.0,
        "ci_high": mean + 5.0,
    }


EVALUATION = {
    "best_rule": "matching_with_prices",
    "policies": {"branching_dqn, 2 seeds (last)": {"members": ["one", "two"]}, "nearest_driver": {}},
    "comparisons": [
        entry("branching_dqn Dispatch-v0_1 (last)", "matching_with_prices", "reward", 9.0),
        entry("branching_dqn, 2 seeds (last)", "matching_with_prices", "service_rate", 0.1),
        entry("branching_dqn, 2 seeds (last)", "nearest_driver", "reward", 80.0),
        entry("branching_dqn, 2 seeds (last)", "matching_with_prices", "reward", 12.0),
    ],
}


def test_the_common_row_of_the_seeds_against_the_best_rule_is_read():
    found = read(EVALUATION, "v2", 41.6, 2)
    assert found == Minute("v2", 41.6, 12.0, 7.0, 17.0, "matching_with_prices")
    assert str(found) == "V2: +12.0 [+7.0, +17.0] a day on the best rule (matching_with_prices) after 42 s"


def test_seeds_that_were_not_pooled_are_an_error():
    with pytest.raises(ValueError, match="not enough values to unpack"):
        read(EVALUATION, "v2", 41.6, 5)
