"""
The tables on real days: ``python -m studies.real_days TRIPS.csv`` (``make real-days DATA=TRIPS.csv``).

Converts the published paratransit bookings with six draws of when they are announced, trains the agents with five seeds
on service days 0-44, and lets their last models, these together by their mean Q-values, and all rules play days 60-89
under three draws with 8, 10 and 14 drivers, plan improvement off and on. Only aggregates are written. Can be stopped at
any time: the same command goes on where it was.

``--max-lateness-min 30`` makes the second table: pickups may be late, and each minute costs 5. It trains agents of its
own, and the priced rules score pairs by their reward, which knows what lateness costs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from studies.jobs import ROOT, Job, latest_run, run_all, train_job
from studies.results import Column, Result, add_publish, difference_in, hand_over, measured

SEEDS = (1, 2, 3, 4, 5)
FLEETS = (8, 10, 14)
TRAINING_FLEET = 14  # the network of stock DQN is as wide as the fleet; smaller fleets leave rows empty
TRAIN_DAYS, SELECTION_DAYS, REPORT_DAYS = "0-44", "45-59", "60-89"
TRAINING_DRAWS, REPORT_DRAWS = (1, 2, 3, 4, 5), (0, 1, 2)  # of the announce times; the days differ in any case
AGENTS: dict[str, tuple[str, ...]] = {
    "dqn": ("--reward", "v2", "--algo", "dqn", "--hyperparams-block", "paratransit", "--eval-freq", "5000"),
    "branching_dqn": ("--reward", "reward/paratransit.yml", "--algo", "branching_dqn", "--eval-freq", "75000"),
}
LATE_REWARD = "reward/paratransit-late.yml"
LATE_AGENTS: dict[str, tuple[str, ...]] = {
    "branching_dqn": ("--reward", LATE_REWARD, "--algo", "branching_dqn", "--eval-freq", "75000"),
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trips", type=Path, help="CSV of the published bookings (docs/environments/real-days.md)")
    parser.add_argument(
        "--agents", nargs="+", choices=list(AGENTS), help="default: all; with lateness branching_dqn alone"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="training seeds; default: 1 to 5")
    parser.add_argument("--models", nargs="+", default=[], help="evaluate these, and train nothing")
    parser.add_argument(
        "--ensemble-size",
        type=int,
        default=0,
        help="seeds that also play as one, by the mean of their Q-values; default: all of them; 1: none do",
    )
    parser.add_argument(
        "--max-lateness-min", type=float, default=0.0, help="pickups may be so late, at 5 a minute; default: 0"
    )
    parser.add_argument("--jobs", type=int, help="runs side by side; default: one per core")
    parser.add_argument("--folder", type=Path, help="default: logs/real-days, with lateness logs/real-days-late")
    parser.add_argument("--data", type=Path, default=Path("data/paratransit"), help="default: data/paratransit")
    parser.add_argument("--output", type=Path, help="default: results/real-days, with lateness results/real-days-late")
    add_publish(parser)
    args = parser.parse_args(argv)
    lateness_min = args.max_lateness_min
    args.output = args.output or Path("results") / name_of_table(lateness_min)
    args.folder = args.folder or Path("logs") / name_of_table(lateness_min)
    args.agents = args.agents or list(LATE_AGENTS if lateness_min else AGENTS)
    if lateness_min and not set(args.agents) <= set(LATE_AGENTS):
        parser.error(f"--agents: with --max-lateness-min only {', '.join(LATE_AGENTS)} can be trained.")

    for draw in sorted({*REPORT_DRAWS, *(() if args.models else TRAINING_DRAWS)}):
        convert = [sys.executable, "-m", "envs.days.paratransit", str(args.trips), "--announce-seed", str(draw)]
        convert += ["--output", str(days_folder(args.data, draw)), "--drivers", *map(str, FLEETS)]
        subprocess.run(convert, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    models = [Path(model) for model in args.models]
    if not models:
        jobs = training_jobs(args.agents, args.seeds, args.folder, args.data, lateness_min)
        run_all(jobs, args.folder, args.jobs)
        runs = [latest_run(args.folder / f"{agent}-seed{seed}") for agent in args.agents for seed in args.seeds]
        models = [run for run in runs if run is not None]
    for improvement in ("off", "on"):
        for fleet in FLEETS:
            command = [sys.executable, "evaluate.py", "--env", "DispatchDay-v0", "--scenario", "paratransit"]
            folders = [str(days_folder(args.data, draw) / f"drivers-{fleet}") for draw in REPORT_DRAWS]
            command += ["--days-from", *folders]
            command += ["--days", REPORT_DAYS, "--reward", LATE_REWARD if lateness_min else "v2"]
            command += ["--plan-improvement", improvement, *lateness_options(lateness_min)]
            command += ["--compare-baseline", "--no-latency", "--last", "--model", *map(str, models)]
            command += [] if args.ensemble_size == 1 else ["--also-ensemble", str(args.ensemble_size)]
            command += ["--output", str(args.output / name_of(fleet, improvement))]
            subprocess.run(command, cwd=ROOT, check=True)
    found = [result(args.output, improvement, lateness_min) for improvement in ("off", "on")]
    for each in found:
        print(f"{each.title}:\n\n{each.markdown()}")
    hand_over(found, args.output, args.publish)
    return 0


def name_of_table(max_lateness_min: float) -> str:
    """Each of the two tables has folders of its own, so that neither overwrites the other."""
    return "real-days-late" if max_lateness_min else "real-days"


def lateness_options(max_lateness_min: float) -> list[str]:
    return ["--env-kwargs", f"max_lateness_min:{max_lateness_min}"] if max_lateness_min else []


def days_folder(data: Path, draw: int) -> Path:
    """Where the days with the announce times of this draw are; the converter's own default is draw 0."""
    return data / f"draw-{draw}" if draw else data


def training_jobs(
    agents: list[str], seeds: list[int], folder: Path, data: Path, max_lateness_min: float = 0.0
) -> list[Job]:
    """One job per agent and seed, seed by seed."""
    jobs = []
    for seed in seeds:
        for agent in agents:
            # The pair network fits any fleet, so it sees them all.
            fleets = (TRAINING_FLEET,) if agent == "dqn" else FLEETS
            settings = (LATE_AGENTS if max_lateness_min else AGENTS)[agent]
            arguments = [*settings, "--env", "DispatchDay-v0", "--seed", str(seed), "--no-save-replay-buffer"]
            arguments += lateness_options(max_lateness_min)
            arguments += ["--eval-episodes", "15", "--train-days", TRAIN_DAYS, "--eval-days", SELECTION_DAYS]
            arguments += ["--days-from"]
            arguments += [str(days_folder(data, draw) / f"drivers-{n}") for draw in TRAINING_DRAWS for n in fleets]
            jobs.append(train_job(f"{agent}-seed{seed}", folder / f"{agent}-seed{seed}", arguments))
    return jobs


def name_of(fleet: int, improvement: str) -> str:
    return f"drivers-{fleet}-improvement-{improvement}"


def result(folder: Path, improvement: str, max_lateness_min: float = 0.0) -> Result:
    """
    Every policy for 8 / 10 / 14 drivers, cheapest with 8 first, and how its cost differs from that of the best rule.

    Of agents that differ in the training seed the pool is shown, not its members.
    """
    fleets = [json.loads((folder / name_of(fleet, improvement) / "evaluation.json").read_text()) for fleet in FLEETS]
    members = {name for policy in fleets[0]["policies"].values() for name in policy.get("members", [])}
    rows = []
    for name, policy in fleets[0]["policies"].items():
        if name in members:
            continue
        kpis = [about["policies"][name]["kpis"] for about in fleets]
        rows.append(
            {
                "label": name,
                "kind": policy["kind"],
                "bold": policy["kind"] in ("pool", "model"),
                "lost": [100.0 * of["num_lost"] / of["num_bookings"] for of in kpis],
                "late": [100.0 * (of["late_share_5"] or 0.0) for of in kpis],  # None where nobody was served
                "deadhead_h": [of["deadhead_min"] / 60.0 for of in kpis],
                "cost": [of[about["objective"]] for of, about in zip(kpis, fleets, strict=True)],
                "difference": [difference_in(about, name) or "best rule" for about in fleets],
            }
        )
    rows.sort(key=lambda row: row["cost"][0])
    sizes = " / ".join(map(str, FLEETS))
    options = f" --max-lateness-min {max_lateness_min:g}" if max_lateness_min else ""
    return Result(
        f"{name_of_table(max_lateness_min)}-{improvement}",
        f"Real days{', pickups may be late' if max_lateness_min else ''}, plan improvement {improvement}",
        (
            *(Column("label", "policy"), Column("lost", f"lost % ({sizes} drivers)", 1)),
            *(Column("late", "over 5 min late %", 1), Column("deadhead_h", "deadhead h", 1)),
            *(Column("cost", "cost a day"), Column("difference", "against the best rule, 95 %", sign=True)),
        ),
        tuple(rows),
        days=f"{len(fleets[0]['days'])} days: service days {REPORT_DAYS} x {len(REPORT_DRAWS)} announcement draws",
        seeds=f"{len(SEEDS)} training seeds, last models",
        **measured(fleets[0].get("commit"), "service days"),
        commands=(f"python -m studies.real_days trips.csv{options}",),
    )


if __name__ == "__main__":
    sys.exit(main())
