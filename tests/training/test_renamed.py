"""Names of before: they go on working, or end in a message that says what to do."""

from __future__ import annotations

import pytest

from checked import SettingsError
from training.renamed import PRIORITIZED, upgraded, with_new_names


def test_settings_of_before_go_where_they_are_now():
    old = {"prioritized": True, "priority_beta": 0.5, "tick_min": 10.0, "masking": "feasible", "branching": None}
    assert with_new_names("maskable_dqn", old, "block") == {
        "replay_buffer_class": PRIORITIZED,
        "replay_buffer_kwargs": {"beta": 0.5, "tick_min": 10.0},
    }
    assert with_new_names("maskable_dqn", {"prioritized": False, "priority_alpha": 0.7}, "block") == {}
    assert with_new_names("dqn", {"masking": 1}, "block") == {"masking": 1}  # not ours


@pytest.mark.parametrize(
    ("algo", "old", "message"),
    [
        ("maskable_dqn", {"branching": {"start": 0.2}}, r"'branching' belongs to branching_dqn.*--algo branching_dqn"),
        ("maskable_dqn", {"teacher": {"rule": "x"}}, r"'teacher' belongs to branching_dqn.*--algo branching_dqn"),
        ("branching_dqn", {"branching": None}, r"Pass --algo maskable_dqn"),
        ("branching_dqn", {"masking": "present"}, r"'masking' is gone"),
        ("maskable_dqn", {"exploration_decay": 0.99}, r"EpsilonDecayPerEpisode"),
    ],
)
def test_what_cannot_go_on_is_told(algo, old, message):
    with pytest.raises(SettingsError, match=message):
        with_new_names(algo, old, "block")


def test_a_run_that_branched_is_one_of_branching_dqn():
    old = {"algo": "maskable_dqn", "args": {"algo": "maskable_dqn"}, "hyperparams": {"branching": {"start": 0.2}}}
    new = upgraded(old)
    assert (new["algo"], new["args"]["algo"], new["hyperparams"]) == (
        "branching_dqn",
        "branching_dqn",
        {"branching": {"start": 0.2}},
    )
    q_learning = {"algo": "maskable_dqn", "hyperparams": {"branching": None, "gamma": 0.9}}
    assert upgraded(q_learning) == {"algo": "maskable_dqn", "hyperparams": {"gamma": 0.9}}
    taught = {"algo": "maskable_dqn", "hyperparams": {"branching": None, "teacher": {"rule": "nearest_driver"}}}
    assert upgraded(taught)["hyperparams"]["branching"] == {"start": 1.0}
