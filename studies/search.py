"""
Hyperparameter searches of V1 and V2, and what can be said about them: ``python -m studies.search`` (``make search``).

For each reward and study seed: 50 trials, pruned; the best three and the default trained anew with three seeds and
judged on fresh days. ``--pruning-check`` repeats each search without pruning and asks what every pruner would have
saved and lost there. ``--speed-check`` runs the same short search with one worker and with two. Can be stopped at any
time: the same command goes on where it was. Ends with two tables (``studies.results``).
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
from studies.results import Column, Result, add_publish, cell_of, current_commit, hand_over, today
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
    parser.add_argument(
        "--algo",
        default="branching_dqn",
        choices=["dqn", "maskable_dqn", "branching_dqn"],
        help="default: branching_dqn",
    )
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
    add_publish(parser)
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
    tables = results(found, checks)
    for each in tables:
        print(f"\n{each.title}:\n\n{each.markdown()}")
    hand_over(tables, args.output, args.publish)
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


def results(found: Sequence[Found], checks: Sequence[str]) -> tuple[Result, Result]:
    """The searches with the checks as a table, and the settings that they found as another."""
    rows: list[dict[str, Any]] = []
    columns: dict[str, dict[str, Any]] = {}
    for each in found:
        trials, candidates = each.trials, each.candidates
        best = best_trials(trials)
        winner = report.winner_of(candidates)
        over_default = None if winner is None else winner.over_default
        rows.append(
            {
                "label": each.name,
                "trials": len(trials),
                "pruned": sum(trial.state == optuna.trial.TrialState.PRUNED for trial in trials),
                "saved": 100.0 * report.savings(trials).share,
                "minutes": each.minutes,
                "best_trial": best[0].number if best else None,
                "best_value": best[0].value if best else None,
                "default": cell_of(candidates[0].over_rule) if over_default is not None else None,
                "best": cell_of(winner.over_rule) if winner is not None and over_default is not None else None,
                "winner": winner.name if winner is not None and over_default is not None else None,
                "difference": cell_of(over_default) if over_default is not None else None,
            }
        )
        columns.setdefault("default", each.settings(None))
        if best:
            columns[each.name] = each.settings(best[0].number if winner is None else winner.trial)
    paths = dict.fromkeys(path for settings in columns.values() for path in settings)
    about: dict[str, Any] = {
        "days": "selection days: half judge the trials, the others re-test the best",
        "seeds": f"{len(found)} searches",
        "date": today(),
        "commit": current_commit(),
        "commands": ("python -m studies.search --pruning-check --speed-check",),
    }
    studies = Result(
        "search-studies",
        "Searches for better settings",
        (
            *(Column("label", "search"), Column("trials", "trials"), Column("pruned", "pruned")),
            *(Column("saved", "updates saved %"), Column("minutes", "minutes"), Column("best_trial", "best trial")),
            Column("best_value", "on objective days", 1, sign=True),
            *(Column("default", "re-test: default", 1, sign=True), Column("best", "re-test: best", 1, sign=True)),
            *(Column("winner", "best"), Column("difference", "best - default", 1, sign=True)),
        ),
        tuple(rows),
        notes=tuple(check.rstrip(".") for check in checks),
        **about,
    )
    settings = Result(
        "search-settings",
        "What the searches found",
        (Column("label", "setting"), *(Column(name, name) for name in columns)),
        tuple(
            {"label": path, **{name: _text(settings.get(path)) for name, settings in columns.items()}} for path in paths
        ),
        **about,
    )
    return studies, settings


def _text(setting: Any) -> str:
    return "-" if setting is None else str(setting)


if __name__ == "__main__":
    sys.exit(main())
