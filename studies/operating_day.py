"""
The agent and the rules on the operating day: ``python -m studies.operating_day`` (``make operating-day``).

Trains `branching_dqn` with five seeds on V3 at loads 1.5 to 2.5, fleets of 3 to 6 drivers (``--agent mixed-fleets``: 3
to 20) and plan improvement off, and lets the last models, alone and as one agent, and the strong rules play report days
at load 2: at 4 x 30, the environment's own size, and unchanged at 10 x 30, 20 x 60 and 50 x 200, plan improvement off
and on. The rules, too, are at the large fleets as they were tuned at 4 x 30. Can be stopped at any time: training goes
on where it was. Ends with a table (``studies.results``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from studies.jobs import ROOT, latest_run, run_all, train_job
from studies.paired import agents_of
from studies.results import Column, Result, add_publish, difference_in, hand_over, measured

SEEDS = (1, 2, 3, 4, 5)
TRAIN = ("--reward", "v3", "--env", "DispatchDay-v0", "--eval-freq", "100000", "--no-save-replay-buffer")
AGENTS = {"operating-day": "DispatchDay-v0", "mixed-fleets": "DispatchDay-v0-mixed-fleets"}
"""The block of hyperparameters of each agent."""
LOAD = 2.0
# Those that came first or near it in some world; others take long at 50 x 200.
RULES = (
    "best_immediate_reward",
    "insertion_just_in_time",
    "regret_insertion_just_in_time",
    "matching_with_prices",
    "best_reward_with_prices",
)


class Size(NamedTuple):
    """Drivers, slots, and report days played."""

    drivers: int
    slots: int
    days: int

    @property
    def name(self) -> str:
        return f"{self.drivers}x{self.slots}"


SIZES = (Size(4, 30, 500), Size(10, 30, 200), Size(20, 60, 100), Size(50, 200, 30))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", choices=AGENTS, default="operating-day", help="default: operating-day")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="training seeds; default: 1 to 5")
    parser.add_argument("--models", nargs="+", default=[], help="evaluate these, and train nothing")
    parser.add_argument("--days", type=int, help="report days of every size; default: 500, 200, 100, 30")
    parser.add_argument(
        "--ensemble-size",
        type=int,
        default=0,
        help="seeds that also play as one, by the mean of their Q-values; default: all of them; 1: none do",
    )
    parser.add_argument("--jobs", type=int, help="runs side by side; default: one per core")
    parser.add_argument("--folder", type=Path, help="of the runs; default: logs/AGENT")
    parser.add_argument("--output", type=Path, help="default: results/AGENT")
    add_publish(parser)
    args = parser.parse_args(argv)
    folder, output = args.folder or Path("logs", args.agent), args.output or Path("results", args.agent)

    models = args.models or train(args.agent, args.seeds, folder, args.jobs)
    sizes = SIZES if args.days is None else [size._replace(days=args.days) for size in SIZES]
    for size in sizes:
        for improvement in ("off", "on"):
            command = [sys.executable, "evaluate.py", "--env", "DispatchDay-v0", "--reward", "v3", "--no-latency"]
            command += ["--env-kwargs", f"load:{LOAD}", "--plan-improvement", improvement]
            command += ["--num-drivers", str(size.drivers), "--max-bookings", str(size.slots)]
            command += ["--episodes", str(size.days), "--policies", *RULES, "--last", "--model", *models]
            command += [] if args.ensemble_size == 1 else ["--also-ensemble", str(args.ensemble_size)]
            subprocess.run([*command, "--output", str(output / name_of(size, improvement))], cwd=ROOT, check=True)
    found = result(output, args.agent, sizes)
    print(found.markdown())
    hand_over([found], output, args.publish)
    return 0


def train(agent: str, seeds: list[int], folder: Path, num_jobs: int | None) -> list[str]:
    """Run folders of the trained seeds."""
    jobs = []
    for seed in seeds:
        name = f"branching_dqn-seed{seed}"
        arguments = [*TRAIN, "--hyperparams-block", AGENTS[agent], "--seed", str(seed)]
        jobs.append(train_job(name, folder / name, arguments))
    run_all(jobs, folder, num_jobs)
    runs = [latest_run(folder / f"branching_dqn-seed{seed}") for seed in seeds]
    return [str(run) for run in runs if run is not None]


def name_of(size: Size, improvement: str) -> str:
    return f"{size.name}-improvement-{improvement}"


def result(folder: Path, agent: str, sizes: Sequence[Size] = SIZES) -> Result:
    """A row per size, setting of plan improvement and agent: its margin, the best rule, what each does to service."""
    rows, commit = [], None
    for size in sizes:
        for improvement in ("off", "on"):
            about = json.loads((folder / name_of(size, improvement) / "evaluation.json").read_text())
            commit = about.get("commit")
            world = f"{size.drivers} x {size.slots}, {improvement}"
            rows += [row_of(world, name, about) for name in agents_of(about["policies"])]
    return Result(
        f"v3-{agent}",
        f"Operating day at load {LOAD:g}, V3, agent {agent}",
        (
            *(Column("label", "drivers x slots, plan improvement"), Column("agent", "agent")),
            *(
                Column("margin", "V3 a day, CHF"),
                Column("best_rule", "best rule"),
                Column("rule_margin", "its V3 a day"),
            ),
            Column("difference", "difference, 95 %", sign=True),
            *(Column("lost", "lost %, agent / rule", 2), Column("late", "over 5 min late %, agent / rule", 1)),
            Column("km_per_trip", "km a trip, agent / rule", 2),
        ),
        tuple(rows),
        days=f"{' / '.join(str(size.days) for size in sizes)} report days by size, load {LOAD:g}",
        seeds=f"{len(SEEDS)} training seeds, last models",
        **measured(commit),
        commands=(f"python -m studies.operating_day --agent {agent}",),
    )


def row_of(world: str, agent: str, about: dict[str, Any]) -> dict[str, Any]:
    policies, rule = about["policies"], about["best_rule"]
    both = [policies[name]["kpis"] for name in (agent, rule)]
    return {
        "label": world,
        "agent": agent,
        "margin": policies[agent]["objective_mean"],
        "best_rule": rule,
        "rule_margin": policies[rule]["objective_mean"],
        "difference": difference_in(about, agent),
        "lost": [100.0 * kpis["num_lost"] / kpis["num_bookings"] for kpis in both],
        "late": [100.0 * kpis["late_share_5"] for kpis in both],
        "km_per_trip": [kpis["km_per_served_trip"] for kpis in both],
    }


if __name__ == "__main__":
    sys.exit(main())
