"""
A search from its settings to its result.

Workers fill the slots of a study; then the best settings are trained anew and judged on days that nobody chose by.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import torch as th
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from checked import SettingsError, without_password
from evaluation.statistics import bootstrap_mean
from training.registration import register
from training.search import report, spaces
from training.search.search import Search, retest_name
from training.search.slots import SLOT, Slots, Supply, best_trials, failure_of, fill, seed_of
from training.search.storage import LockLost, SharedStorage, open_storage
from training.search.trial import Judge, Task, rewards_of_best_rule, train

SAMPLERS = ("tpe", "random", "cmaes")
PRUNERS = ("median", "halving", "hyperband", "none")
RETEST_SEEDS_FROM = 1_000_000  # slots of a search stay below: a re-test trains with seeds of its own
MAX_RESTARTS = 10  # of worker processes, for each that was asked for


def make_sampler(name: str, seed: int, n_startup_trials: int) -> BaseSampler:
    """Optuna's sampler of that name."""
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "cmaes":
        return optuna.samplers.CmaEsSampler(
            seed=seed, n_startup_trials=n_startup_trials, consider_pruned_trials=True, warn_independent_sampling=False
        )
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=n_startup_trials, multivariate=True)


def make_pruner(name: str, n_startup_trials: int, n_evaluations: int) -> BasePruner:
    """
    Optuna's pruner of that name; its resource is the number of evaluations, 1 to ``n_evaluations``.

    Median and halving spare the first quarter of a training: until then exploration decides, and the order of trials
    says little about their order at the end.
    """
    first = max(n_evaluations // 4, 1)
    if name == "none":
        return optuna.pruners.NopPruner()
    if name == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=2)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=n_evaluations, reduction_factor=2)
    return optuna.pruners.MedianPruner(n_startup_trials=n_startup_trials, n_warmup_steps=first)


# --- the studies ------------------------------------------------------------------------------------------------------


def open_study(
    search: Search, shared: SharedStorage, name: str, describe: Callable[[], dict[str, Any]]
) -> optuna.Study:
    """
    The study of that name, made if there is none; whoever is first also stores what ``describe`` returns.

    Raises
    ------
    SettingsError
        When the study was begun with other settings.
    """
    while True:
        try:
            with shared.exclusive(name):
                study = optuna.create_study(
                    storage=shared.storage,
                    study_name=name,
                    direction="maximize",
                    load_if_exists=True,
                    pruner=make_pruner(search.pruner, search.n_startup_trials, search.n_evaluations),
                )
                if "identity" not in study.user_attrs:
                    for key, value in {**describe(), "identity": search.identity()}.items():
                        study.set_user_attr(key, value)
            break
        except LockLost:
            continue
    known, ours = study.user_attrs["identity"], search.identity()
    changed = [key for key in {**known, **ours} if known.get(key) != ours.get(key)]
    if changed:
        key = changed[0]
        raise SettingsError(
            f"study '{search.study_name}' was begun with another {key} ({known.get(key)}, not {ours.get(key)}). "
            "Scores of different settings are never compared: take the same, or another --study-name."
        )
    return study


def open_search_study(search: Search, shared: SharedStorage) -> optuna.Study:
    def describe() -> dict[str, Any]:
        rule, rewards = rewards_of_best_rule(search.env_id, search.scenario(), search.reward, search.days()[1])
        return {"best_rule": rule, "rule_rewards": rewards}

    return open_study(search, shared, search.study_name, describe)


def open_retest_study(search: Search, shared: SharedStorage, study: optuna.Study) -> optuna.Study:
    """The study whose slots are (seed, candidate): the shipped default and the best trials of the search."""

    def describe() -> dict[str, Any]:
        rule, rewards = rewards_of_best_rule(search.env_id, search.scenario(), search.reward, search.days()[2])
        candidates: list[dict[str, Any]] = [{"trial": None, "block": search.block}]
        default = spaces.default_params(search.algo, search.block, search.space)
        for trial in best_trials(Slots(study.get_trials(deepcopy=False)).trials(search.n_trials)):
            is_default = trial.params == default
            if not is_default and len(candidates) <= search.top_k:
                candidates.append({"trial": trial.number, "block": search.block_of(trial.params)})
        days = [case.cluster for case in search.days()[2]]
        return {"best_rule": rule, "rule_rewards": rewards, "candidates": candidates, "days": days}

    return open_study(search, shared, retest_name(search), describe)


# --- what a worker does -----------------------------------------------------------------------------------------------


def work(search: Search, is_retest: bool = False) -> None:
    """Fill slots until the study is full. Runs in as many processes and on as many machines as wanted."""
    register(search.gym_packages)
    th.set_num_threads(max(search.num_threads, 1))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shared = open_storage(search.storage)
    try:
        _work(search, shared, is_retest)
    finally:
        shared.close()


def _work(search: Search, shared: SharedStorage, is_retest: bool) -> None:
    study = open_search_study(search, shared)
    _, objective, retest = search.days()
    task = search.task()
    if is_retest:
        study = open_retest_study(search, shared, study)
        candidates = study.user_attrs["candidates"]
        judge = Judge(search.scenario(), search.reward, retest, study.user_attrs["rule_rewards"])
        total = len(candidates) * search.retest_seeds
        supply = Supply(study, shared, total, {}, lambda slot: optuna.samplers.RandomSampler(), {})
        fill(supply, lambda trial: run_retest(search, task, judge, candidates, trial))
        return
    judge = Judge(search.scenario(), search.reward, objective, study.user_attrs["rule_rewards"])
    supply = Supply(
        study,
        shared,
        search.n_trials,
        spaces.distributions(search.space),
        lambda slot: make_sampler(search.sampler, seed_of(search.seed, slot), search.n_startup_trials),
        {0: spaces.default_params(search.algo, search.block, search.space)},
    )
    fill(supply, lambda trial: run_trial(search, task, judge, trial))


def run_trial(search: Search, task: Task, judge: Judge, trial: optuna.Trial) -> float:
    """Train with the sampled settings; the mean paired difference to the best rule at the end."""
    seed = seed_of(search.seed, trial.user_attrs[SLOT])
    begun = time.process_time()
    value = float("nan")

    def check(number: int, model: Any) -> None:
        nonlocal value
        differences = judge.differences(model)
        value = float(differences.mean())
        trial.report(value, number)
        is_last = number == search.n_evaluations
        if is_last or trial.should_prune():
            interval = bootstrap_mean(differences, [case.cluster for case in judge.cases])
            _note(trial, search, seed, model, time.process_time() - begun, interval.low, interval.high)
            if not is_last:
                raise optuna.TrialPruned

    train(task, search.block_of(trial.params), seed, search.n_timesteps, search.n_evaluations, check)
    return value


def _note(trial: optuna.Trial, search: Search, seed: int, model: Any, cpu_s: float, low: float, high: float) -> None:
    done = int(model._n_updates)
    # updates per decision, as rl-zoo3 and Stable-Baselines3 count: train_freq in steps of all environments
    rate = model.gradient_steps / (model.train_freq.frequency * model.n_envs)
    left = search.n_timesteps - max(model.num_timesteps, model.learning_starts)
    attributes = {
        "seed": seed,
        "updates": done,
        "updates_if_not_pruned": done + round(max(left, 0) * rate),
        "cpu_s": round(cpu_s, 1),
        "low": round(low, 3),
        "high": round(high, 3),
    }
    for key, value in attributes.items():
        trial.set_user_attr(key, value)


def run_retest(
    search: Search, task: Task, judge: Judge, candidates: list[dict[str, Any]], trial: optuna.Trial
) -> float:
    """Train a candidate as long as its block says, with a seed of the re-test; keeps the difference of each day."""
    round_, candidate = divmod(trial.user_attrs[SLOT], len(candidates))
    block = candidates[candidate]["block"]
    seed = seed_of(search.seed, RETEST_SEEDS_FROM + round_)
    differences = np.zeros(0)

    def check(number: int, model: Any) -> None:
        nonlocal differences
        differences = judge.differences(model)

    train(task, block, seed, int(block["n_timesteps"]), check=check)
    trial.set_user_attr("candidate", candidate)
    trial.set_user_attr("seed", seed)
    trial.set_user_attr("differences", [round(float(value), 4) for value in differences])
    return float(differences.mean())


# --- the whole --------------------------------------------------------------------------------------------------------


def run(search: Search, with_plots: bool = True) -> list[str]:
    """
    Search, re-test the best, write the results into the folder; the lines of the report.

    Raises
    ------
    SettingsError
        When no trial was completed, with the reasons.
    """
    shared = open_storage(search.storage)
    study = open_search_study(search, shared)
    rule = study.user_attrs["best_rule"]
    print(
        f"Study {search.study_name} in {without_password(search.storage)}: {search.n_trials} trials of "
        f"{search.n_timesteps} decisions, {search.n_jobs} at a time. Score: mean reward a day minus that of the best "
        f"rule ({rule}) on {len(search.days()[1])} selection days.",
        flush=True,
    )
    run_workers(search, is_retest=False)
    check_success(filled_slots(study, search.n_trials))
    if search.top_k > 0:
        retest = open_retest_study(search, shared, study)
        total = len(retest.user_attrs["candidates"]) * search.retest_seeds
        print(
            f"Re-test: {len(retest.user_attrs['candidates'])} settings x {search.retest_seeds} seeds on "
            f"{len(search.days()[2])} fresh days, {total} trainings.",
            flush=True,
        )
        run_workers(search, is_retest=True)
        check_success(filled_slots(retest, total))
    return report.write(search, shared, with_plots)


def filled_slots(study: optuna.Study, total: int) -> list[FrozenTrial]:
    """
    The trials of a full study, by slot.

    Raises
    ------
    SettingsError
        When it is not full, because its workers stopped early.
    """
    slots = Slots(study.get_trials(deepcopy=False))
    if not slots.is_full(total):
        raise SettingsError(
            f"study '{study.study_name}': its workers stopped with {len(slots.trials(total))} of {total} trials done, "
            "see above. The same command goes on from there."
        )
    return slots.trials(total)


def check_success(trials: list[FrozenTrial]) -> None:
    """
    Refuse a study without a completed trial.

    Raises
    ------
    SettingsError
        That says whether all failed (and why) or all were pruned.
    """
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        return
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    if not failed:
        raise SettingsError(
            f"all {len(trials)} trials of the search were pruned, so there is no result. Raise --n-startup-trials, or "
            "search with --pruner none."
        )
    reasons: dict[str, int] = {}
    for trial in failed:
        reasons[failure_of(trial)] = reasons.get(failure_of(trial), 0) + 1
    listed = "; ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items(), key=lambda one: -one[1])[:3])
    what = "all" if len(failed) == len(trials) else f"{len(failed)} (the others were pruned)"
    raise SettingsError(f"no trial of the search was completed: {what} of {len(trials)} failed. {listed}")


def run_workers(search: Search, is_retest: bool) -> None:
    """One process per job; one that dies is replaced, and its trial is given out again."""
    if search.n_jobs == 1:
        work(search, is_retest)
        return
    context = multiprocessing.get_context("spawn")

    def start() -> Any:
        process = context.Process(target=_work_quietly, args=(search, is_retest))
        process.start()
        return process

    workers = [start() for _ in range(search.n_jobs)]
    restarts_left = MAX_RESTARTS * search.n_jobs
    try:
        while workers:
            time.sleep(0.2)
            for worker in [worker for worker in workers if not worker.is_alive()]:
                workers.remove(worker)
                if worker.exitcode is not None and worker.exitcode < 0 and restarts_left > 0:
                    restarts_left -= 1
                    print(f"A worker was killed (signal {-worker.exitcode}); another takes its place.", flush=True)
                    workers.append(start())
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work_quietly(search: Search, is_retest: bool) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to stop, it gives its trial back
    end_with_parent()
    try:
        work(search, is_retest)
    except KeyboardInterrupt:
        pass


def end_with_parent() -> None:
    """From now on this process is asked to stop when the one that started it is gone, however that went."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
