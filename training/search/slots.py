"""
Who runs which trial: a study of N trials has N slots, and each slot is filled once.

Optuna numbers trials in the order of their creation and knows nothing of retries, so a count of trials is off as soon
as a worker dies. Here every trial carries the slot that it fills. A slot is filled when one of its trials was finished,
pruned, or failed with a reason; a trial that failed *without* a reason lost its worker, and its slot is given out again
with the same parameters and the same seed. Slots are handed out under the storage's lock, so the total is exact however
many workers there are, wherever they run and whenever they die.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from training.search.storage import LockLost, SharedStorage

# User attributes of a trial.
SLOT, QUEUED_FOR, RETRY_OF, FAILURE, GIVEN_BACK = "slot", "queued_for", "retry_of", "failure", "given_back"
# A slot whose trials took their workers down this often (out of memory, say) is given up.
MAX_LOST = 3
POLL_S = 2.0  # [s] between looks at trials that others still run
FAILED_WITHOUT_REASON = f"its worker died {MAX_LOST} times"


def seed_of(study_seed: int, slot: int) -> int:
    """The seed of a slot's training and sampling: the same in every retry and every repetition of the study."""
    return int(np.random.SeedSequence([study_seed, slot]).generate_state(1)[0] >> 1)


class Slots:
    """
    The slots of a study as its trials fill them.

    Attributes
    ----------
    filled
        Slot to the trial that fills it: finished, pruned, failed with a reason, or given up.
    running
        Slots with a trial that runs now.
    lost
        Slot to its trials that lost their workers, oldest first.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        self.filled: dict[int, FrozenTrial] = {}
        self.running: set[int] = set()
        self.lost: dict[int, list[FrozenTrial]] = {}
        for trial in sorted(trials, key=lambda trial: trial.number):
            slot = trial.user_attrs.get(SLOT)
            if slot is None:
                continue
            if trial.state == TrialState.RUNNING:
                self.running.add(slot)
            elif trial.state.is_finished():
                if trial.state == TrialState.FAIL and FAILURE not in trial.user_attrs:
                    self.lost.setdefault(slot, []).append(trial)
                else:
                    self.filled.setdefault(slot, trial)
        for slot, lost in self.lost.items():
            killed = [trial for trial in lost if GIVEN_BACK not in trial.user_attrs]
            if len(killed) >= MAX_LOST:
                self.filled.setdefault(slot, killed[-1])

    def free(self, total: int) -> list[int]:
        """Slots below ``total`` that nobody fills or has filled."""
        return [slot for slot in range(total) if slot not in self.filled and slot not in self.running]

    def is_full(self, total: int) -> bool:
        return all(slot in self.filled for slot in range(total))

    def trials(self, total: int | None = None) -> list[FrozenTrial]:
        """The trials that count, by slot."""
        return [self.filled[slot] for slot in sorted(self.filled) if total is None or slot < total]


def failure_of(trial: FrozenTrial) -> str:
    """Why a failed trial failed."""
    return trial.user_attrs.get(FAILURE, FAILED_WITHOUT_REASON)


def best_trials(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Completed trials, best first."""
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(completed, key=lambda trial: -float(trial.value or 0.0))


class AllTaken(Exception):
    """Every slot is filled or being filled; ``is_full`` says whether the study is over."""

    def __init__(self, is_full: bool) -> None:
        super().__init__()
        self.is_full = is_full


@dataclass(frozen=True)
class Supply:
    """
    Where trials come from.

    Attributes
    ----------
    total
        Slots of the study.
    distributions
        What is sampled.
    sampler_of
        The sampler of a slot, seeded for it: workers with one seed would sample the same.
    fixed
        Parameters of slots that aren't sampled, or only in part.
    """

    study: optuna.Study
    shared: SharedStorage
    total: int
    distributions: dict[str, BaseDistribution]
    sampler_of: Callable[[int], BaseSampler]
    fixed: Mapping[int, dict[str, Any]]

    @contextmanager
    def next_trial(self) -> Iterator[optuna.Trial]:
        """
        A trial for the first free slot, its parameters sampled; inside, it counts as running.

        Raises
        ------
        AllTaken
            When there is no free slot.
        """
        with ExitStack() as life:
            trial = None
            while trial is None:
                trial = self._take(life)
            yield trial

    def _take(self, life: ExitStack) -> optuna.Trial | None:
        trial: optuna.Trial | None = None
        try:
            with self.shared.exclusive(self.study.study_name):
                self.shared.fail_lost(self.study)
                self._fail_orphans()
                slots = Slots(self.study.get_trials(deepcopy=False))
                free = slots.free(self.total)
                if not free:
                    raise AllTaken(slots.is_full(self.total))
                slot = self._queue(free, slots)
                self.study.sampler = self.sampler_of(slot)
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")  # ours beats
                    trial = self.study.ask(self.distributions)
                life.enter_context(self.shared.sign_of_life(trial))
                trial.set_user_attr(SLOT, slot)
            return trial
        except LockLost:  # somebody else may have taken the same slot: this trial is thrown away
            if trial is not None:
                self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            life.close()
            return None

    def _queue(self, free: list[int], slots: Slots) -> int:
        """Let the next trial have the parameters that its slot prescribes, if any; the slot."""
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if waiting:  # queued by hand, or by a worker that died before it took it
            return waiting[0].user_attrs.get(QUEUED_FOR, free[0])
        slot = free[0]
        lost = slots.lost.get(slot)
        attributes: dict[str, Any] = {QUEUED_FOR: slot, RETRY_OF: lost[-1].number} if lost else {QUEUED_FOR: slot}
        params = lost[-1].params if lost else self.fixed.get(slot)
        if params:
            self.study.enqueue_trial(params, user_attrs=attributes)
        return slot

    def _fail_orphans(self) -> None:
        """A trial gets its slot under the lock, so one that runs without lost its worker in between."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if SLOT not in trial.user_attrs:
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def fill(supply: Supply, objective: Callable[[optuna.Trial], float]) -> None:
    """
    Take trials and run them until every slot is filled.

    A trial that raises has failed, with its reason; it is neither pruned nor repeated. Ctrl-C gives it back.
    """
    begun = time.monotonic()
    while True:
        try:
            with supply.next_trial() as trial:
                _run(supply.study, trial, objective)
        except AllTaken as taken:
            if taken.is_full:
                return
            time.sleep(POLL_S)  # the others' trials may yet be lost
            continue
        _tell_progress(supply, trial.number, time.monotonic() - begun)


def _run(study: optuna.Study, trial: optuna.Trial, objective: Callable[[optuna.Trial], float]) -> None:
    state, value = TrialState.FAIL, None
    try:
        value = objective(trial)
        state = TrialState.COMPLETE
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except optuna.exceptions.UpdateFinishedTrialError:
        return  # given to another worker while this one was not heard of
    except optuna.exceptions.StorageInternalError:
        raise  # not the trial's fault, and nothing can be noted
    except KeyboardInterrupt:
        trial.set_user_attr(GIVEN_BACK, True)
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)  # without a reason: its slot is free again
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        trial.set_user_attr(FAILURE, f"{type(error).__name__} at {where}: {error}"[:1000])
    study.tell(trial, value, state=state, skip_if_finished=True)


def _tell_progress(supply: Supply, number: int, elapsed_s: float) -> None:
    trials = supply.study.get_trials(deepcopy=False)
    trial = trials[number]
    if trial.state == TrialState.FAIL:
        result = f"failed: {trial.user_attrs[FAILURE]}" if FAILURE in trial.user_attrs else "lost to another worker"
    elif trial.state == TrialState.PRUNED:
        result = f"pruned at evaluation {trial.last_step} with {trial.intermediate_values[trial.last_step or 0]:+.1f}"
    else:
        result = f"{trial.value:+.1f}"
    filled = Slots(trials).trials(supply.total)
    best = best_trials(filled)
    counts = {state: sum(one.state == state for one in filled) for state in (TrialState.PRUNED, TrialState.FAIL)}
    print(
        f"trial {number}: {result} | best {f'{best[0].value:+.1f} (trial {best[0].number})' if best else '-'} | "
        f"{len(filled)} of {supply.total} done, {counts[TrialState.PRUNED]} pruned, {counts[TrialState.FAIL]} failed | "
        f"{elapsed_s / 60:.1f} min",
        flush=True,
    )
