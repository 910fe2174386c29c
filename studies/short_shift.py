"""
The tables on the short shift: ``python -m studies.short_shift`` (``make results``).

Trains every agent of the table with five seeds, one run per core, then evaluates all of them and all rules on the 500
report days, under V1 and V2, and draws the curves of their training. An agent left out of ``--agents`` stays in the
table where all its seeds are trained. Can be stopped at any time: the same command goes on where it was. The
originators' V1 fleet, 6 drivers x 10 slots, is another problem and another table: ``--problems v1-published``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from studies.curves import CurvesError, draw
from studies.jobs import ROOT, Job, add_training_options, is_done, latest_run, run_all, train_job
from studies.results import Result, add_publish, hand_over, of_evaluation

SEEDS = (1, 2, 3, 4, 5)
NUM_REPORT_DAYS = 500
AGENTS: dict[str, tuple[str, ...]] = {
    "dqn": ("--algo", "dqn"),
    "branching_dqn": ("--algo", "branching_dqn", "--eval-freq", "80000", "--no-save-replay-buffer"),
    # Both take about the time that branching_dqn takes, 6 min of a core; their files say how many decisions that is.
    "maskable_ppo": ("--algo", "maskable_ppo", "--hyperparams-block", "Dispatch-v0-table", "--vec-env", "batched"),
    "qrdqn": ("--algo", "qrdqn", "--no-save-replay-buffer"),
}


@dataclass(frozen=True)
class Problem:
    """One table: a reward and a fleet, with the agents that are trained for it."""

    name: str
    reward: str
    agents: tuple[str, ...]
    train: tuple[str, ...] = ()
    evaluate: tuple[str, ...] = ()


PROBLEMS = (
    Problem("v2", "v2", ("branching_dqn", "dqn", "maskable_ppo", "qrdqn")),
    Problem("v1", "v1", ("branching_dqn", "dqn", "maskable_ppo", "qrdqn")),
    Problem(
        "v1-published",
        "v1",
        ("dqn",),
        train=("--hyperparams-block", "v1-published"),
        evaluate=("--scenario", "v1_published"),
    ),
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [problem.name for problem in PROBLEMS]
    parser.add_argument("--problems", nargs="+", default=["v2", "v1"], choices=names, help="default: v2 v1")
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=list(AGENTS), help="default: all")
    add_training_options(parser, "short-shift", SEEDS)
    add_publish(parser)
    args = parser.parse_args(argv)

    problems = [problem for problem in PROBLEMS if problem.name in args.problems]
    run_all(training_jobs(problems, args.agents, args.seeds, args.folder), args.folder, args.jobs)
    for problem in problems:
        command = [sys.executable, "evaluate.py", "--reward", problem.reward, "--episodes", str(NUM_REPORT_DAYS)]
        command += [*problem.evaluate, "--compare-baseline", "--output", str(args.output / problem.name)]
        models = trained_models(args.folder, problem, args.agents, args.seeds)
        for i, (agent, runs) in enumerate(models.items()):
            name = "curves.png" if i == 0 else f"curves-{agent}.png"
            try:
                draw(runs, args.output / problem.name / name)
            except CurvesError as error:
                print(f"No {name}: {error}", file=sys.stderr)
        if models:
            command += ["--best-and-last", "--model", *(str(run) for runs in models.values() for run in runs)]
        if len(models.get("branching_dqn", [])) > 1:
            command += ["--also-ensemble"]
        subprocess.run(command, cwd=ROOT, check=True)
    found = [table_of(problem, args.output / problem.name) for problem in problems]
    hand_over(found, args.output, args.publish)
    print(f"Results: {args.output}")
    return 0


def table_of(problem: Problem, folder: Path) -> Result:
    title = f"Short shift, {problem.name.upper()}, every agent"
    return of_evaluation(folder, f"short-shift-{problem.name}", title, f"{problem.reward.upper()} reward")


def run_folder(folder: Path, problem: Problem, agent: str, seed: int) -> Path:
    return folder / f"{problem.name}-{agent}-seed{seed}"


def trained_models(folder: Path, problem: Problem, agents: list[str], seeds: list[int]) -> dict[str, list[Path]]:
    """Agent to its run folders: those asked for, and those whose seeds have all been trained before."""
    models: dict[str, list[Path]] = {}
    for agent in problem.agents:
        folders = [run_folder(folder, problem, agent, seed) for seed in seeds]
        if agent in agents or all(is_done(of_seed.name, folder) for of_seed in folders):
            runs = [run for run in map(latest_run, folders) if run is not None]
            if runs:
                models[agent] = runs
    return models


def training_jobs(problems: list[Problem], agents: list[str], seeds: list[int], folder: Path) -> list[Job]:
    """One job per problem, agent and seed; seed by seed, so that a study cut short has a bit of everything."""
    jobs: list[Job] = []
    for seed in seeds:
        for problem in problems:
            for agent in problem.agents:
                if agent in agents:
                    run = run_folder(folder, problem, agent, seed)
                    arguments = ("--reward", problem.reward, "--seed", str(seed), *problem.train, *AGENTS[agent])
                    jobs.append(train_job(run.name, run, arguments))
    return jobs


if __name__ == "__main__":
    sys.exit(main())
