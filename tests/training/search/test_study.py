"""A whole search with tiny budgets: seeded trials, honest failures, a re-test, files that train.py takes."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from optuna.trial import TrialState, create_trial

import custom_envs  # noqa: F401 - registers environments and algorithms
import train
from checked import SettingsError
from training.search import report, study, trial
from training.search.search import Search, retest_name
from training.search.slots import FAILURE, SLOT, Slots, failure_of
from training.search.storage import open_storage
from training.search.study import make_pruner

BLOCK: dict[str, Any] = {
    "env_wrapper": "reward.RewardV2",
    "env_kwargs": {"num_drivers": 2, "max_bookings": 3},
    "n_timesteps": 96,
    "n_envs": 2,
    "policy": "PairPolicy",
    "learning_starts": 8,
}


@pytest.fixture(scope="module")
def make_search(tmp_path_factory):
    def make(**changes) -> Search:
        folder = tmp_path_factory.mktemp("search")
        search = Search(
            algo="maskable_dqn",
            env_id="Dispatch-v0",
            env_wrapper=BLOCK["env_wrapper"],
            env_kwargs=BLOCK["env_kwargs"],
            eval_env_kwargs={},
            block=BLOCK,
            n_timesteps=96,
            n_evaluations=2,
            objective_days=12,
            seed=0,
            sampler="random",
            pruner="none",
            n_startup_trials=2,
            days_from=None,
            train_days="",
            eval_days="",
            storage=str(folder / "study.log"),
            study_name="tiny",
            n_trials=3,
            n_jobs=1,
            top_k=0,
            retest_seeds=2,
            folder=str(folder),
            device="cpu",
            num_threads=1,
        )
        return dataclasses.replace(search, **changes)

    return make


def trials_of(search: Search, name: str | None = None):
    study_ = report.load_study(open_storage(search.storage), name or search.study_name)
    return Slots(study_.get_trials()).trials()


@pytest.fixture(scope="module")
def searched(make_search):
    """A search with a re-test, run once for all that look at it."""
    search = make_search(top_k=1)
    return search, study.run(search)


def test_a_search_leaves_a_file_that_trains(searched, tmp_path):
    search, _ = searched
    config = f"{search.folder}/{report.BEST_FILE}"
    assert train.main(["--algo", "maskable_dqn", "-conf", config, "-f", str(tmp_path), "--eval-freq", "-1"]) == 0
    (resolved,) = tmp_path.glob("v2/maskable_dqn/Dispatch-v0_1/*/resolved.yml")
    trained = yaml.safe_load(resolved.read_text())["hyperparams"]
    best = yaml.safe_load((tmp_path.parent / config).read_text())["Dispatch-v0"]
    assert {key: trained[key] for key in best} == best
    assert best["n_timesteps"] == 96 and best["policy"] == "PairPolicy"


def test_the_file_says_how_far_to_trust_it(searched):
    text = open(f"{searched[0].folder}/{report.BEST_FILE}").read()
    assert "# Study: tiny, 3 trials of 96 decisions" in text
    assert "# Re-test: 2 training seeds x 488 other selection days" in text  # 500 - 12
    assert "the default" in text


def test_days_of_the_retest_are_fresh(searched):
    search, _ = searched
    _, objective, retest = search.days()
    assert [case.day for case in objective] == list(range(1_000_000, 1_000_012))
    assert [case.day for case in retest] == list(range(1_000_012, 1_000_500))


def test_the_retest_trains_the_default_and_the_best_with_the_same_seeds(searched):
    search, _ = searched
    trials = trials_of(search, retest_name(search))
    assert [trial_.user_attrs["candidate"] for trial_ in trials] == [0, 1, 0, 1]
    seeds = [trial_.user_attrs["seed"] for trial_ in trials]
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3]
    assert not {trial_.user_attrs["seed"] for trial_ in trials_of(search)} & set(seeds)


def test_the_report_names_what_was_found(searched):
    text = "\n".join(searched[1])
    assert "3 of 3 trials done" in text and "Updates:" in text and "Re-test: 2 seeds x 488 fresh days" in text
    page = open(f"{searched[0].folder}/{report.PAGE_FILE}").read()
    assert page.count("<h2>") == 5 and "http://" not in page.replace("http://www.w3.org", "")


def test_a_study_can_be_reported_on_from_the_command_line(searched, capsys):
    search, _ = searched
    config = f"{search.folder}/block.yml"
    with open(config, "w") as file:
        yaml.safe_dump({"Dispatch-v0": BLOCK}, file)
    options = ["--storage", search.storage, "--study-name", "tiny", "--n-trials", "3", "--optimization-log-path"]
    arguments = ["--algo", "maskable_dqn", "-conf", config, "--study-report", *options, search.folder]
    assert train.main(arguments) == 0
    assert "Study tiny: 3 of 3 trials done" in capsys.readouterr().out


def test_the_same_study_again_gives_the_same_scores(searched, make_search):
    first = trials_of(searched[0])
    again = make_search()
    study.work(again)
    assert [each.value for each in trials_of(again)] == [each.value for each in first]
    assert len({each.value for each in first}) > 1


def test_the_score_is_the_mean_paired_difference_to_the_best_rule(searched):
    search, _ = searched
    attributes = report.load_study(open_storage(search.storage), "tiny").user_attrs
    best = trials_of(search)[0]
    _, objective, _ = search.days()
    judge = trial.Judge(search.scenario(), "v2", objective, attributes["rule_rewards"])
    model = trial.train(search.task(), search.block_of(best.params), best.user_attrs["seed"], 96)
    assert best.value == pytest.approx(float(np.mean(judge.differences(model))))


def test_a_joined_study_must_have_the_same_settings(searched):
    search = dataclasses.replace(searched[0], n_timesteps=192)
    with pytest.raises(SettingsError, match=r"begun with another n_timesteps \(96, not 192\)"):
        study.run(search)


def test_more_trials_can_be_added_to_a_study(make_search):
    search = make_search(n_trials=1)
    study.work(search)
    study.work(dataclasses.replace(search, n_trials=2))
    assert [each.user_attrs[SLOT] for each in trials_of(search)] == [0, 1]


def test_two_workers_share_a_study(make_search):
    search = make_search(n_jobs=2, n_trials=4)
    study.run_workers(search, is_retest=False)
    trials = trials_of(search)
    assert [each.user_attrs[SLOT] for each in trials] == [0, 1, 2, 3]
    assert [failure_of(each) for each in trials if each.state != TrialState.COMPLETE] == []


def test_a_study_whose_trials_all_crash_ends_with_the_reason(make_search, monkeypatch):
    def broken(*args):
        raise ValueError("this setting can't be trained")

    monkeypatch.setattr(study, "train", broken)
    with pytest.raises(SettingsError, match=r"all of 3 failed\. 3 x ValueError at .*: this setting can't be trained"):
        study.run(make_search())


def test_a_study_whose_trials_are_all_pruned_says_so():
    pruned = [create_trial(state=TrialState.PRUNED, user_attrs={SLOT: slot}) for slot in range(3)]
    with pytest.raises(SettingsError, match="all 3 trials of the search were pruned"):
        study.check_success(pruned)


def test_a_pruned_trial_keeps_account_of_what_was_saved(make_search, monkeypatch):
    monkeypatch.setattr(study, "make_pruner", lambda *args: optuna.pruners.ThresholdPruner(lower=1e9))
    search = make_search(n_trials=1)
    study.work(search)
    (pruned,) = trials_of(search)
    assert pruned.state == TrialState.PRUNED and FAILURE not in pruned.user_attrs
    # 2 environments, 1 to 4 updates per step of both, from decision 8 on: (96 - 8) / 2 steps, one more or less
    steps = pruned.user_attrs["updates_if_not_pruned"] / search.block_of(pruned.params)["gradient_steps"]
    assert steps == pytest.approx(44, abs=1)
    assert report.savings([pruned]).share == pytest.approx(0.5, abs=0.1)  # pruned at the first of 2 evaluations


def test_replaying_a_pruner_finds_what_it_would_have_saved_and_lost():
    def trial_of(number, first, last):
        return create_trial(
            value=last, intermediate_values={1: first, 2: last}, user_attrs={"updates_if_not_pruned": 10, SLOT: number}
        )

    trials = [trial_of(0, 5.0, 5.0), trial_of(1, 1.0, 9.0), trial_of(2, 6.0, 6.0)]
    for number, each in enumerate(trials):
        each.number = number
    replay = report.replay(trials, make_pruner("median", 1, 2), top=2)
    # the median of the first evaluations is 5 when trial 1 comes with 1: it is pruned after half of its 10 updates
    assert replay.num_pruned == 1 and replay.lost_of_top == [1]
    assert replay.saved == pytest.approx(5 / 30)


PARENT = """
import multiprocessing, time
from training.search.study import end_with_parent

def work():
    end_with_parent()
    print(multiprocessing.current_process().pid, flush=True)
    time.sleep(60)

if __name__ == "__main__":
    worker = multiprocessing.get_context("spawn").Process(target=work)
    worker.start()
    worker.join()
"""


def test_workers_end_when_the_command_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)  # is there
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        with pytest.raises(ProcessLookupError):
            for _ in range(300):  # 30 s at most; a moment, usually
                os.kill(worker, 0)
                time.sleep(0.1)
