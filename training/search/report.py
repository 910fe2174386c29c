"""What came out of a search: a summary, ``best_hyperparams.yml``, ``trials.csv`` and a page of plots."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

import kept
from checked import SettingsError
from evaluation.statistics import Interval, bootstrap_mean
from training.search.search import Search, retest_name
from training.search.slots import RETRY_OF, SLOT, Slots, best_trials, failure_of
from training.search.storage import SharedStorage

BEST_FILE, PAGE_FILE, TRIALS_FILE = "best_hyperparams.yml", "report.html", "trials.csv"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Candidate:
    """
    A setting after the re-test.

    Attributes
    ----------
    trial
        Number in the search; None is the shipped default.
    over_rule
        Reward a day minus that of the best rule.
    over_default
        The same minus that of the default; None for the default itself. Its interval is widened so that it holds for
        all candidates together (Bonferroni).
    """

    trial: int | None
    block: dict[str, Any]
    num_seeds: int
    over_rule: Interval
    over_default: Interval | None

    @property
    def name(self) -> str:
        return "default" if self.trial is None else f"trial {self.trial}"


@dataclass(frozen=True)
class Savings:
    """Gradient updates made, and how many there would have been without pruning."""

    done: int
    without_pruning: int

    @property
    def share(self) -> float:
        """Saved share; 0 when nothing was trained."""
        return 1.0 - self.done / self.without_pruning if self.without_pruning else 0.0


def load_study(shared: SharedStorage, name: str) -> optuna.Study:
    """
    A study that is there already.

    Raises
    ------
    SettingsError
        When there is none of that name; names those that there are.
    """
    names = [known for known in optuna.get_all_study_names(shared.storage)]
    if name not in names:
        there = ", ".join(names) if names else "no study"
        raise SettingsError(f"study '{name}': the storage holds {there}. Name one with --study-name.")
    return optuna.load_study(study_name=name, storage=shared.storage)


def savings(trials: Sequence[FrozenTrial]) -> Savings:
    """Updates of trials that ended by themselves or by the pruner."""
    noted = [trial.user_attrs for trial in trials if "updates" in trial.user_attrs]
    return Savings(sum(each["updates"] for each in noted), sum(each["updates_if_not_pruned"] for each in noted))


def importances(study: optuna.Study, trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Share of each setting in what separates good trials from the rest (PED-ANOVA); empty with too few trials."""
    counted = study_of(study, trials)
    if sum(trial.state == TrialState.COMPLETE for trial in trials) < 4:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.importance.get_param_importances(counted)


def study_of(study: optuna.Study, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """A copy in memory that holds the trials that count, and no retries."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    copy = optuna.create_study(direction="maximize", study_name=study.study_name)
    optuna.logging.set_verbosity(verbosity)
    copy.add_trials(list(trials))
    return copy


def retested(study: optuna.Study, num_seeds: int) -> list[Candidate]:
    """The candidates of a re-test with the seeds that all of them finished; the default first."""
    candidates = study.user_attrs["candidates"]
    rounds: dict[int, dict[int, list[float]]] = {}
    for trial in Slots(study.get_trials(deepcopy=False)).trials(len(candidates) * num_seeds):
        if trial.state == TrialState.COMPLETE:
            round_, candidate = divmod(trial.user_attrs[SLOT], len(candidates))
            rounds.setdefault(round_, {})[candidate] = trial.user_attrs["differences"]
    whole = [rounds[round_] for round_ in sorted(rounds) if len(rounds[round_]) == len(candidates)]
    if not whole:
        return []
    days = study.user_attrs["days"]  # a day of several fleets is drawn as one
    table = np.array([[of_round[c] for of_round in whole] for c in range(len(candidates))])  # (candidates, seeds, days)
    confidence = 1.0 - (1.0 - CONFIDENCE) / max(len(candidates) - 1, 1)
    return [
        Candidate(
            entry["trial"],
            entry["block"],
            len(whole),
            bootstrap_mean(table[c], days),
            None if c == 0 else bootstrap_mean(table[c] - table[0], days, confidence=confidence),
        )
        for c, entry in enumerate(candidates)
    ]


def winner_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The best searched setting of the re-test."""
    searched = [each for each in candidates if each.trial is not None]
    return max(searched, key=lambda each: each.over_rule.mean, default=None)


def verdict(winner: Candidate) -> str:
    """The winner against the default, in one sentence."""
    interval = winner.over_default
    assert interval is not None
    numbers = f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}] a day"
    if not interval.is_significant:
        return f"The best setting ({winner.name}) does not differ significantly from the default: {numbers}."
    return (
        f"The best setting ({winner.name}) is {'better' if interval.mean > 0 else 'worse'} than the default: {numbers}."
    )


# --- the summary ------------------------------------------------------------------------------------------------------


def summary(search: Search, study: optuna.Study, retest: optuna.Study | None) -> list[str]:
    """What there is to say, line by line."""
    every = study.get_trials(deepcopy=False)
    slots = Slots(every)
    trials = slots.trials(search.n_trials)
    count = {state: sum(trial.state == state for trial in trials) for state in TrialState}
    retries = sum(RETRY_OF in trial.user_attrs for trial in every)
    saved = savings(trials)
    cpu_min = sum(trial.user_attrs.get("cpu_s", 0.0) for trial in trials) / 60
    lines = [
        f"Study {study.study_name}: {len(trials)} of {search.n_trials} trials done, {len(slots.running)} running; "
        f"{count[TrialState.COMPLETE]} completed, {count[TrialState.PRUNED]} pruned "
        f"({_percent(count[TrialState.PRUNED], len(trials))}), {count[TrialState.FAIL]} failed; "
        f"{retries} repeated because their worker died.",
        f"Updates: {saved.done} of {saved.without_pruning}, pruning saved {saved.share:.0%}. CPU: {cpu_min:.1f} min.",
    ]
    lines += [f"  trial {t.number} failed: {failure_of(t)}" for t in trials if t.state == TrialState.FAIL][:5]
    best = best_trials(trials)
    if best:
        top = best[0]
        lines.append(
            f"Best on the objective days: trial {top.number}, {_score(top)} a day over the best rule "
            f"({study.user_attrs['best_rule']}). The best of many is flattered by luck; the re-test is not."
        )
        settings = search.block_of(top.params)
        lines += [f"  {path}: {_setting(settings, path)}" for path in (each.path for each in search.space)]
    shares = importances(study, trials)
    if shares:
        lines.append("Importance (PED-ANOVA): " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    if retest is not None:
        lines += _retest_lines(search, retest)
    lines.append(
        "The rules were tuned on all selection days, those of the re-test too, so differences to them are rather too "
        "small. Report days have the last word (evaluate.py)."
    )
    return lines


def _retest_lines(search: Search, retest: optuna.Study) -> list[str]:
    candidates = retested(retest, search.retest_seeds)
    winner = winner_of(candidates)
    if winner is None:
        return ["Re-test: not finished."]
    lines = [
        f"Re-test: {winner.num_seeds} seeds x {winner.over_rule.num_days} fresh days, "
        f"{winner.block['n_timesteps']} decisions; mean [95 %] over the best rule ({retest.user_attrs['best_rule']}), "
        "and over the default (interval holds for all settings together):"
    ]
    for each in candidates:
        over = "" if each.over_default is None else f"   {_interval(each.over_default)}"
        lines.append(f"  {each.name:<10} {_interval(each.over_rule)}{over}")
    return [*lines, verdict(winner)]


def _interval(interval: Interval) -> str:
    return f"{interval.mean:+8.1f} [{interval.low:+.1f}, {interval.high:+.1f}]"


def _score(trial: FrozenTrial) -> str:
    low, high = trial.user_attrs.get("low"), trial.user_attrs.get("high")
    return f"{trial.value:+.1f}" + ("" if low is None else f" [{low:+.1f}, {high:+.1f}]")


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _setting(block: dict[str, Any], path: str) -> Any:
    value: Any = block
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


# --- the files --------------------------------------------------------------------------------------------------------


def write(search: Search, shared: SharedStorage, with_plots: bool = True) -> list[str]:
    """
    Write the files of the report into the search's folder; the lines of the summary.

    Works on a study that still runs, too.
    """
    from training.search.page import to_html

    study = load_study(shared, search.study_name)
    names = optuna.get_all_study_names(shared.storage)
    retest = load_study(shared, retest_name(search)) if retest_name(search) in names else None
    lines = summary(search, study, retest)
    trials = Slots(study.get_trials(deepcopy=False)).trials(search.n_trials)
    folder = Path(search.folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_trials(trials, folder / TRIALS_FILE)
    best = best_trials(trials)
    if best:
        candidates = [] if retest is None else retested(retest, search.retest_seeds)
        (folder / BEST_FILE).write_text(best_yaml(search, study, trials, candidates))
        lines.append(f"Best settings: {folder / BEST_FILE}")
    if with_plots:
        (folder / PAGE_FILE).write_text(to_html(study_of(study, trials), lines))
        lines.append(f"Plots: {folder / PAGE_FILE}")
    return lines


def best_yaml(
    search: Search, study: optuna.Study, trials: Sequence[FrozenTrial], candidates: Sequence[Candidate]
) -> str:
    """The best setting as a hyperparameter file for ``train.py -conf``; how far to trust it stands in its comments."""
    winner = winner_of(candidates)
    by_number = {trial.number: trial for trial in trials}
    trial = best_trials(trials)[0] if winner is None or winner.trial is None else by_number[winner.trial]
    objective = search.days()[1]
    count = {state: sum(one.state == state for one in trials) for state in TrialState}
    notes = [
        f"Found by a search. Use: python train.py --algo {search.algo} --reward {search.reward} -conf {BEST_FILE}",
        f"Study: {study.study_name}, {len(trials)} trials of {search.n_timesteps} decisions "
        f"({count[TrialState.PRUNED]} pruned, {count[TrialState.FAIL]} failed); {search.sampler}, {search.pruner}, "
        f"seed {search.seed}.",
        f"Trial {trial.number}: {_score(trial)} a day over {study.user_attrs['best_rule']} on the {len(objective)} "
        "selection days by which it was chosen.",
    ]
    if winner is None or winner.over_default is None:
        notes.append("Not re-tested: the best of many is flattered by luck. Search with --top-k 3.")
    else:
        notes += [
            f"Re-test: {winner.num_seeds} training seeds x {winner.over_rule.num_days} other selection days: "
            f"{_interval(winner.over_rule).strip()} over the best rule.",
            verdict(winner),
        ]
    text = "".join(f"# {line}\n" for line in notes)
    return text + yaml.safe_dump({search.env_id: search.block_of(trial.params)}, sort_keys=False, width=120)


def write_trials(trials: Sequence[FrozenTrial], path: Path) -> None:
    """A row per trial that counts: slot, state, score, what it cost, its parameters, its scores on the way."""
    names = sorted({name for trial in trials for name in trial.params})
    steps = sorted({step for trial in trials for step in trial.intermediate_values})
    noted = ("seed", "low", "high", "updates", "updates_if_not_pruned", "cpu_s", "failure")
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["slot", "trial", "state", "score", *noted, *names, *(f"score_{step}" for step in steps)])
    for trial in trials:
        cells = (
            [trial.user_attrs[SLOT], trial.number, trial.state.name, trial.value]
            + [trial.user_attrs.get(key) for key in noted]
            + [trial.params.get(name) for name in names]
            + [trial.intermediate_values.get(step) for step in steps]
        )
        writer.writerow([kept.for_spreadsheet(cell) if isinstance(cell, str) else cell for cell in cells])
    kept.write_text(path, buffer.getvalue())


# --- what another pruner would have done ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replay:
    """An unpruned study, pruned afterwards: what would have been saved, and which of the best would have been lost."""

    saved: float
    num_pruned: int
    lost_of_top: list[int]  # trial numbers


def replay(trials: Sequence[FrozenTrial], pruner: BasePruner, top: int = 3) -> Replay:
    """
    Let ``pruner`` judge the finished trials of an unpruned study in their order.

    Updates are taken to be spread evenly over the evaluations.
    """
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    study = study_of(optuna.create_study(), [])
    study.pruner = pruner
    done = planned = 0.0
    pruned = []
    for trial in completed:
        last = max(trial.intermediate_values)
        updates = trial.user_attrs.get("updates_if_not_pruned", 1)
        planned += updates
        shadow = study.ask()
        for step in sorted(trial.intermediate_values):
            shadow.report(trial.intermediate_values[step], step)
            if step < last and shadow.should_prune():
                study.tell(shadow, state=TrialState.PRUNED)
                pruned.append(trial.number)
                done += updates * step / last
                break
        else:
            study.tell(shadow, trial.value)
            done += updates
    best = [trial.number for trial in best_trials(completed)[:top]]
    return Replay(1.0 - done / planned if planned else 0.0, len(pruned), [n for n in best if n in pruned])
