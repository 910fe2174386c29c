"""From the name of a rule in a YAML file to the rule."""

from __future__ import annotations

import pytest

from baselines import rule_class
from training.teacher import with_rule


def test_name_and_settings_become_the_rule():
    made = with_rule({"rule": "insertion_just_in_time", "settings": {"horizon_min": 45.0}, "until": 0.2})
    assert set(made) == {"rule", "until"}
    assert isinstance(made["rule"], rule_class("insertion_just_in_time"))
    assert made["rule"].settings()["horizon_min"] == 45.0
    assert with_rule(made) == made  # a rule is left as it is


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rule": "nearest_drivr"}, r"unknown policy 'nearest_drivr'. Did you mean 'nearest_driver'"),
        ({"rule": "replan_search"}, r"'replan_search' is a re-planner"),
        ({"rule": "nearest_driver", "settings": {"horizon_min": 5.0}}, r"'nearest_driver' has no settings"),
    ],
)
def test_what_cannot_teach_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        with_rule(given)
