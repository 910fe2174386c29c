"""The table of searches says what the storages hold."""

from __future__ import annotations

from datetime import datetime

import optuna
from optuna.trial import TrialState, create_trial

import custom_envs  # noqa: F401 - registers environments and algorithms
from studies.search import Found, pruning_line, results
from training.search import spaces
from training.search.slots import SLOT

BLOCK = {"policy": "PairPolicy", "n_timesteps": 100, "learning_rate": 0.001}
SPACE = spaces.find_space("branching_dqn", BLOCK)


def finished_search() -> Found:
    default = spaces.default_params("branching_dqn", BLOCK, SPACE)
    study = optuna.create_study(study_name="v2", direction="maximize")
    study.set_user_attr(
        "identity", {"block": BLOCK, "algo": "branching_dqn", "n_startup_trials": 1, "n_evaluations": 4}
    )
    curves = [[-9.0, -8.0, -7.0, -6.0], [-20.0, -15.0, -2.0, 4.0], [-30.0]]
    for slot, curve in enumerate(curves):
        is_whole = len(curve) == 4
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if is_whole else TrialState.PRUNED,
                value=curve[-1] if is_whole else None,
                params={**default, "learning_rate": 0.001 * (slot + 1)},
                distributions=spaces.distributions(SPACE),
                user_attrs={SLOT: slot, "updates": 10 * len(curve), "updates_if_not_pruned": 40},
                intermediate_values=dict(enumerate(curve, start=1)),
            )
        )
    for trial in study.get_trials(deepcopy=False):
        trial.datetime_start, trial.datetime_complete = datetime(2026, 1, 1, 8, 0), datetime(2026, 1, 1, 8, 12)
    retest = optuna.create_study(study_name="v2-retest", direction="maximize")
    retest.set_user_attr("candidates", [{"trial": None, "block": BLOCK}, {"trial": 1, "block": BLOCK}])
    retest.set_user_attr("days", ["a", "b"])
    # differences to the best rule by (seed, candidate): the default at -1 and +1, trial 1 at 2 above it on every day
    for slot, differences in enumerate([[-1.0, -1.0], [1.0, 1.0], [1.0, 1.0], [3.0, 3.0]]):
        retest.add_trial(create_trial(value=0.0, user_attrs={SLOT: slot, "differences": differences}))
    return Found("v2", study, retest)


def test_the_table_has_the_search_its_retest_and_its_settings():
    studies, settings = results([finished_search()], ["a check."])
    (row,) = studies.rows
    # 4 + 4 + 1 of 12 evaluations were trained: 25 % saved
    assert (row["label"], row["trials"], row["pruned"], row["saved"]) == ("v2", 3, 1, 25.0)
    assert (row["best_trial"], row["best_value"]) == (1, 4.0)
    assert row["default"]["mean"] == 0.0
    assert row["difference"] == {"mean": 2.0, "low": 2.0, "high": 2.0}
    assert "| learning_rate | 0.001 | 0.002 |" in settings.markdown()
    assert studies.notes == ("a check",)


def test_the_pruning_check_names_what_would_have_been_lost():
    # only the two unpruned trials are judged; trial 1 is below the median (-9) at its first evaluation: 3 of 4 saved
    assert pruning_line(finished_search(), "median") == (
        "v2: median would have pruned 1 of 3 trials and saved 38% of the updates; trials 1 of the top 3 lost."
    )
