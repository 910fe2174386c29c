"""Every slot of a study is filled once, whatever happens to those who fill it."""

from __future__ import annotations

import contextlib

import optuna
import pytest
from optuna.trial import TrialState

from tests.training.search.toy_worker import DISTRIBUTIONS
from training.search import slots
from training.search.slots import FAILURE, SLOT, AllTaken, Slots, Supply, failure_of, fill, seed_of
from training.search.storage import LockLost, SharedStorage


class InMemory(SharedStorage):
    """One process; which trials lost their worker is said by the test, and how often the lock breaks."""

    def __init__(self) -> None:
        self.storage = optuna.storages.InMemoryStorage()
        self.lost: set[int] = set()
        self.locks_to_break = 0

    @contextlib.contextmanager
    def exclusive(self, study_name):
        yield
        if self.locks_to_break > 0:
            self.locks_to_break -= 1
            raise LockLost

    def sign_of_life(self, trial):
        return contextlib.nullcontext()

    def fail_lost(self, study):
        for number in self.lost:
            study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def close(self):
        pass


@pytest.fixture
def supply():
    shared = InMemory()
    study = optuna.create_study(storage=shared.storage, study_name="toy", direction="maximize")
    return Supply(
        study, shared, 4, DISTRIBUTIONS, lambda slot: optuna.samplers.RandomSampler(seed_of(0, slot)), {0: {"x": 0.25}}
    )


def states(supply):
    return [trial.state.name for trial in Slots(supply.study.trials).trials()]


def test_a_study_has_exactly_as_many_trials_as_it_has_slots(supply):
    fill(supply, lambda trial: trial.params["x"])
    assert [trial.user_attrs[SLOT] for trial in supply.study.trials] == [0, 1, 2, 3]
    fill(supply, lambda trial: trial.params["x"])  # a worker that comes late finds nothing to do
    assert len(supply.study.trials) == 4


def test_prescribed_parameters_are_taken(supply):
    fill(supply, lambda trial: trial.params["x"])
    assert supply.study.trials[0].params == {"x": 0.25}


def test_a_repeated_study_samples_the_same(supply):
    fill(supply, lambda trial: trial.params["x"])
    again = InMemory()
    study = optuna.create_study(storage=again.storage, direction="maximize")
    fill(Supply(study, again, 4, DISTRIBUTIONS, supply.sampler_of, supply.fixed), lambda trial: trial.params["x"])
    assert [trial.params for trial in study.trials] == [trial.params for trial in supply.study.trials]


def test_seeds_differ_between_slots_and_studies():
    assert len({seed_of(study, slot) for study in range(3) for slot in range(50)}) == 150


def test_a_crash_is_a_failure_with_its_reason_and_is_not_repeated(supply):
    def objective(trial):
        if trial.user_attrs[SLOT] == 1:
            raise ValueError("no luck")
        return 0.0

    fill(supply, objective)
    assert states(supply) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert failure_of(supply.study.trials[1]).startswith("ValueError at test_slots.py:")
    assert failure_of(supply.study.trials[1]).endswith("no luck")


def test_an_assertion_in_a_trial_is_no_pruning(supply):
    def objective(trial):
        raise AssertionError("broken")

    fill(supply, objective)
    assert states(supply) == ["FAIL"] * 4


def test_the_trial_of_a_lost_worker_is_given_out_again_with_its_parameters(supply):
    with supply.next_trial() as first, supply.next_trial() as second:
        assert (first.user_attrs[SLOT], second.user_attrs[SLOT]) == (0, 1)
        supply.study.tell(first, 0.0)
    supply.shared.lost = {second.number}
    fill(supply, lambda trial: trial.params["x"])
    # 4 slots, one of them taken twice
    trials = Slots(supply.study.trials)
    assert trials.is_full(4) and len(supply.study.trials) == 5
    retry = trials.filled[1]
    assert retry.user_attrs[slots.RETRY_OF] == second.number
    assert retry.params == second.params


def test_what_a_worker_reports_after_it_was_given_up_is_not_counted(supply):
    def objective(trial):
        if trial.number == 1:
            supply.study.tell(trial.number, state=TrialState.FAIL)  # another worker gives it up
            trial.report(9.0, 1)
        return trial.params["x"]

    fill(supply, objective)
    trials = Slots(supply.study.trials)
    assert trials.is_full(4) and trials.filled[1].number == 2
    assert all(trial.value != 9.0 for trial in trials.trials())


def test_a_slot_that_kills_its_workers_is_given_up(supply):
    for _ in range(slots.MAX_LOST):
        with supply.next_trial() as trial:
            assert trial.user_attrs[SLOT] == 0
        supply.shared.lost.add(trial.number)
    with supply.next_trial() as trial:
        assert trial.user_attrs[SLOT] == 1
    assert failure_of(Slots(supply.study.trials).filled[0]) == "its worker died 3 times"


def test_a_stopped_worker_gives_its_trial_back_as_often_as_it_likes(supply):
    def objective(trial):
        raise KeyboardInterrupt

    for _ in range(slots.MAX_LOST + 1):
        with pytest.raises(KeyboardInterrupt):
            fill(supply, objective)
    assert Slots(supply.study.trials).free(4) == [0, 1, 2, 3]


def test_a_trial_taken_while_the_lock_broke_is_thrown_away(supply):
    supply.shared.locks_to_break = 1
    fill(supply, lambda trial: trial.params["x"])
    assert Slots(supply.study.trials).is_full(4)
    assert sum(trial.state == TrialState.COMPLETE for trial in supply.study.trials) == 4


def test_a_trial_without_a_slot_is_an_orphan(supply):
    orphan = supply.study.ask(DISTRIBUTIONS)  # its worker died before it could write the slot
    fill(supply, lambda trial: trial.params["x"])
    assert supply.study.trials[orphan.number].state == TrialState.FAIL
    assert states(supply) == ["COMPLETE"] * 4


def test_a_worker_waits_for_the_trials_of_others(supply, monkeypatch):
    monkeypatch.setattr(slots, "POLL_S", 0.0)
    with supply.next_trial() as taken:
        fill_others = Supply(supply.study, supply.shared, 1, DISTRIBUTIONS, supply.sampler_of, {})
        with pytest.raises(AllTaken) as taken_by_others, fill_others.next_trial():
            pass
        assert not taken_by_others.value.is_full
        supply.study.tell(taken, 0.0)
    fill(fill_others, lambda trial: 0.0)
    assert FAILURE not in supply.study.trials[0].user_attrs
