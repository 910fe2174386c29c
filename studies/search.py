"""
Hyperparameter searches of V1 and V2, and what can be said about them: ``python -m studies.search`` (``make search``).

For each reward and study seed: 50 trials, pruned; the best three and the default trained anew with three seeds and
judged on fresh days. ``--pruning-check`` repeats each search without pruning and asks what every pruner would have
saved and lost there. ``--speed-check`` runs the same short search with one worker and with two. Can be stopped at any
time: the same command goes on where it was. Ends with a table, ``search.md``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from studies.jobs import ROOT
from training.search import report, spaces
from training.search.search import RETEST_SUFFIX
from training.search.slots import Slots, best_trials
from training.search.storage import open_storage
from training.search.study import PRUNERS, make_pruner

SPEED_TRIALS, SPEED_DECISIONS = 8, 20_000  # of the speed check: random and unpruned, so both runs do the same work


@dataclass(frozen=True)
class Found:
    """A finished search, read from its storage."""

    name: str
    study: optuna.Study
    retest: optuna.Study | None

    @property
    def trials(self) -> list[FrozenTrial]:
        return Slots(self.study.get_trials(deepcopy=False)).trials()

    @property
    def minutes(self) -> float:
        """From the start of the first trial to the end of the last; a pause in between counts."""
        starts = [trial.datetime_start for trial in self.trials if trial.datetime_start is not None]
        ends = [trial.datetime_complete for trial in self.trials if trial.datetime_complete is not None]
        return (max(ends) - min(starts)).total_seconds() / 60

    @property
    def candidates(self) -> list[report.Candidate]:
        return [] if self.retest is None else report.retested(self.retest, len(self.retest.get_trials(deepcopy=False)))

    def settings(self, number: int | None) -> dict[str, Any]:
        """Path to setting of a trial; None: of the default."""
        identity = self.study.user_attrs["identity"]
        block, algo = identity["block"], identity["algo"]
        space = spaces.find_space(algo, block)
        if number is None:
            params = spaces.default_params(algo, block, space)
        else:
            params = next(trial.params for trial in self.trials if trial.number == number)
        return spaces.to_settings(params, space)


def read(folder: Path, name: str) -> Found:
    """The search that ``train.py`` left in ``folder``."""
    storage = open_storage(str(folder / "study.log")).storage
    retests = [known for known in optuna.get_all_study_names(storage) if known.startswith(name + RETEST_SUFFIX)]
    retest = optuna.load_study(study_name=retests[-1], storage=storage) if retests else None
    return Found(name, optuna.load_study(study_name=name, storage=storage), retest)


def search(args: argparse.Namespace, reward: str, name: str, *options: str) -> Found:
    """Run or go on with a search in a process of its own."""
    folder = args.folder / name
    command = [sys.executable, "train.py", "-optimize", "--reward", reward, "--algo", args.algo, "--study-name", name]
    command += ["--optimization-log-path", str(folder), *options]
    print(f"\n== {name}", flush=True)
    subprocess.run(command, cwd=ROOT, check=True)
    return read(folder, name)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rewards", nargs="+", default=["v1", "v2"], help="default: v1 v2")
    parser.add_argument("--algo", default="maskable_dqn", choices=["dqn", "maskable_dqn"], help="default: maskable_dqn")
    parser.add_argument("--trials", type=int, default=50, help="default: 50")
    parser.add_argument("--jobs", type=int, default=2, help="workers; default: 2")
    parser.add_argument("--study-seeds", nargs="+", type=int, default=[0], help="repeated studies; default: 0")
    parser.add_argument("--top-k", type=int, default=3, help="settings to re-test; default: 3")
    parser.add_argument("--retest-seeds", type=int, default=3, help="trainings of each; default: 3")
    parser.add_argument("--pruner", default="median", choices=PRUNERS, help="default: median")
    parser.add_argument("-n", "--n-timesteps", type=int, default=-1, help="decisions of a trial; default: train.py's")
    parser.add_argument("--pruning-check", action="store_true", help="repeat each search without pruning")
    parser.add_argument("--speed-check", action="store_true", help="one worker against two")
    parser.add_argument("--folder", type=Path, default=Path("logs/search"), help="default: logs/search")
    parser.add_argument("--output", type=Path, default=Path("results/search"), help="default: results/search")
    args = parser.parse_args(argv)

    common = ["-n", str(args.n_timesteps), "--n-trials", str(args.trials), "--n-jobs", str(args.jobs)]
    found, checks = [], []
    for seed in args.study_seeds:
        for reward in args.rewards:
            name = f"{reward}-{args.algo}-seed{seed}"
            retest = ["--top-k", str(args.top_k), "--retest-seeds", str(args.retest_seeds)]
            options = [*common, "--seed", str(seed)]
            found.append(search(args, reward, name, *options, *retest, "--pruner", args.pruner))
            if args.pruning_check:
                unpruned = search(args, reward, f"{name}-unpruned", *options, "--top-k", "0", "--pruner", "none")
                checks += [pruning_line(unpruned, pruner) for pruner in PRUNERS if pruner != "none"]
    if args.speed_check:
        options = ["-n", str(SPEED_DECISIONS), "--n-trials", str(SPEED_TRIALS), "--sampler", "random"]
        options += ["--pruner", "none", "--top-k", "0"]
        one, two = (
            search(args, args.rewards[-1], f"speed-{args.algo}-{jobs}", *options, "--n-jobs", str(jobs))
            for jobs in (1, 2)
        )
        checks.append(
            f"Two workers: {one.minutes:.1f} min with one, {two.minutes:.1f} min with two, "
            f"{one.minutes / two.minutes:.2f} times as fast."
        )
    args.output.mkdir(parents=True, exist_ok=True)
    text = markdown(found, checks)
    (args.output / "search.md").write_text(text)
    print(f"\n{text}\nResults: {args.output / 'search.md'}")
    return 0


def pruning_line(unpruned: Found, pruner: str) -> str:
    """What a pruner does to the trials of a search that ran without one."""
    identity = unpruned.study.user_attrs["identity"]
    judged = make_pruner(pruner, identity["n_startup_trials"], identity["n_evaluations"])
    replay = report.replay(unpruned.trials, judged)
    lost = f"trials {', '.join(map(str, replay.lost_of_top))} of the top 3 lost" if replay.lost_of_top else "top 3 kept"
    return (
        f"{unpruned.name}: {pruner} would have pruned {replay.num_pruned} of {len(unpruned.trials)} trials and saved "
        f"{replay.saved:.0%} of the updates; {lost}."
    )


def markdown(found: Sequence[Found], checks: Sequence[str]) -> str:
    """The searches as a table, the settings that they found as another, and the checks."""
    lines = [
        "| search | trials | pruned | updates saved | minutes | best on objective days | re-test: default | "
        "re-test: best | best - default |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    columns: dict[str, dict[str, Any]] = {}
    for each in found:
        trials, candidates = each.trials, each.candidates
        best = best_trials(trials)
        pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in trials)
        winner = report.winner_of(candidates)
        cells = [each.name, str(len(trials)), str(pruned), f"{report.savings(trials).share:.0%}", f"{each.minutes:.0f}"]
        cells.append(f"{best[0].value:+.1f} (trial {best[0].number})" if best else "-")
        if winner is None or winner.over_default is None:
            cells += ["-", "-", "-"]
        else:
            cells += [_cell(candidates[0].over_rule), f"{_cell(winner.over_rule)} ({winner.name})"]
            cells.append(_cell(winner.over_default))
        lines.append("| " + " | ".join(cells) + " |")
        columns.setdefault("default", each.settings(None))
        if best:
            columns[each.name] = each.settings(best[0].number if winner is None else winner.trial)
    lines += ["", "| setting | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    paths = dict.fromkeys(path for settings in columns.values() for path in settings)
    for path in paths:
        lines.append(f"| {path} | " + " | ".join(str(settings.get(path, "-")) for settings in columns.values()) + " |")
    return "\n".join([*lines, "", *(f"- {check}" for check in checks)]) + "\n"


def _cell(interval: Any) -> str:
    return f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]"


if __name__ == "__main__":
    sys.exit(main())
