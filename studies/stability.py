"""
Does training go on well, or collapse? ``python -m studies.stability`` (``make stability``).

Trains the default agent of the short shift, V2, two seeds five times longer than usual, keeps a model every tenth of
the run, and lets all of them, the best and the last play the 500 report days beside the rules. "Best" is what the
training chose on selection days. Can be stopped at any time: the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.curves import CurvesError, draw
from studies.jobs import ROOT, Job, add_training_options, latest_run, run_all, train_job
from studies.paired import DayResults
from studies.results import Column, Result, add_publish, cell_of, hand_over, measured, numbered_days

SEEDS = (1, 2)
NUM_TIMESTEPS = 4_000_000  # 5 x the 800 000 decisions of hyperparams/v2/branching_dqn.yml
NUM_MODELS = 10  # kept on the way
NUM_REPORT_DAYS = 500
BEST, LAST = "best", "last"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_training_options(parser, "stability", SEEDS)
    parser.add_argument("-n", "--n-timesteps", type=int, default=NUM_TIMESTEPS, help="decisions; default: 4000000")
    parser.add_argument("--episodes", type=int, default=NUM_REPORT_DAYS, help="report days; default: 500")
    add_publish(parser)
    args = parser.parse_args(argv)

    run_all(training_jobs(args.seeds, args.folder, args.n_timesteps), args.folder, args.jobs)
    runs = {}
    for seed in args.seeds:
        run = latest_run(run_folder(args.folder, seed, args.n_timesteps))
        if run is not None:
            runs[seed] = run
    models = {seed: models_of(run, args.n_timesteps) for seed, run in runs.items()}
    try:
        draw(list(runs.values()), args.output / "curves.png")
    except CurvesError as error:
        print(f"No curves.png: {error}", file=sys.stderr)
    command = [sys.executable, "evaluate.py", "--reward", "v2", "--episodes", str(args.episodes), "--no-latency"]
    command += ["--compare-baseline", "--output", str(args.output), "--model"]
    command += [str(path) for of_seed in models.values() for path in of_seed.values()]
    subprocess.run(command, cwd=ROOT, check=True)
    found = result(models, DayResults.read(args.output))
    print(found.markdown())
    hand_over([found], args.output, args.publish)
    return 0


def run_folder(folder: Path, seed: int, n_timesteps: int) -> Path:
    return folder / f"{n_timesteps}-seed{seed}"


def training_jobs(seeds: Sequence[int], folder: Path, n_timesteps: int) -> list[Job]:
    jobs = []
    for seed in seeds:
        run = run_folder(folder, seed, n_timesteps)
        arguments = ["--reward", "v2", "--algo", "branching_dqn", "--seed", str(seed), "-n", str(n_timesteps)]
        arguments += ["--save-freq", str(n_timesteps // NUM_MODELS), "--eval-freq", str(n_timesteps // 50)]
        jobs.append(train_job(run.name, run, [*arguments, "--no-save-replay-buffer"]))
    return jobs


def models_of(run: Path, n_timesteps: int) -> dict[str, Path]:
    """
    Label to the zip of a model of the run: tenths of it (``0.1`` ...), ``best`` and ``last``.

    A run that was resumed keeps its models a little beside the round numbers, so they are named after the nearest
    tenth; of two the later one counts.
    """
    numbered = {}
    for path in run.glob("rl_model_*_steps.zip"):
        match = re.fullmatch(r"rl_model_(\d+)_steps", path.stem)
        if match:
            numbered[int(match[1])] = path
    models = {
        f"{round(NUM_MODELS * step / n_timesteps) / NUM_MODELS:g}": path for step, path in sorted(numbered.items())
    }
    models.pop("1", None)  # the last model itself
    models.pop("0", None)
    env_ids = [path.parent.name for path in run.glob("*/resolved.yml")]
    for label, path in ((BEST, run / "best_model.zip"), *((LAST, run / f"{env_id}.zip") for env_id in env_ids)):
        if path.is_file():
            models[label] = path
    return models


def result(models: dict[int, dict[str, Path]], days: DayResults) -> Result:
    """Per model of a run: the reward of each seed, and what it is worth beside the best rule and the last model."""
    names = {seed: {label: days.model_name(path) for label, path in of.items()} for seed, of in models.items()}
    labels = [label for label in next(iter(names.values())) if all(label in of for of in names.values())]
    rule = days.best_rule
    rows = []
    for label in labels:
        played = [of_seed[label] for of_seed in names.values()]
        last = [of_seed[LAST] for of_seed in names.values()] if LAST in labels and label != LAST else None
        rows.append(
            {
                "label": label,
                "seeds": [days.mean([name]) for name in played],
                "reward": days.mean(played),
                "difference": cell_of(days.difference(played, [rule])),
                "last_less_this": None if last is None else cell_of(days.difference(last, played)),
                "last_less_this_by_seed": None
                if last is None
                else [cell_of(days.difference([one], [other])) for one, other in zip(last, played, strict=True)],
            }
        )
    seeds = " / ".join(str(seed) for seed in names)
    return Result(
        "stability",
        "Trained five times longer, short shift, V2",
        (
            *(Column("label", "share of the run"), Column("seeds", f"seed {seeds}"), Column("reward", "mean")),
            Column("difference", "against the best rule, 95 %", 1, sign=True),
            Column("last_less_this", "last less this, 95 %", 1, sign=True),
            Column("last_less_this_by_seed", f"the same, seed {seeds}", 1, sign=True),
        ),
        tuple(rows),
        days=numbered_days(days.about["days"]),
        seeds=f"{len(names)} training seeds",
        **measured(days.about.get("commit")),
        commands=("python -m studies.stability",),
        notes=(f"best rule: {rule}, {days.mean([rule]):.0f}",),
    )


if __name__ == "__main__":
    sys.exit(main())
