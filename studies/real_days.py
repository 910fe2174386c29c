"""
The README's table on real days: ``python -m studies.real_days TRIPS.csv`` (``make real-days DATA=TRIPS.csv``).

Converts the published paratransit bookings, trains stock DQN with five seeds on service days 0-44 (selected on
45-59), and lets it and all rules play days 60-89 with 8, 10 and 14 drivers, plan improvement off and on. Only
aggregates are written. Can be stopped at any time: the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from studies.jobs import ROOT, latest_run, run_all, train_job

SEEDS = (1, 2, 3, 4, 5)
FLEETS = (8, 10, 14)
TRAINING_FLEET = 14  # the network of stock DQN is as wide as the fleet; smaller fleets leave rows empty
TRAIN_DAYS, SELECTION_DAYS, REPORT_DAYS = "0-44", "45-59", "60-89"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trips", type=Path, help="CSV of the published bookings (layout: see README, Real days)")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="training seeds; default: 1 to 5")
    parser.add_argument("--jobs", type=int, help="runs side by side; default: one per core")
    parser.add_argument("--folder", type=Path, default=Path("logs/real-days"), help="default: logs/real-days")
    parser.add_argument("--data", type=Path, default=Path("data/paratransit"), help="default: data/paratransit")
    parser.add_argument("--output", type=Path, default=Path("results/real-days"), help="default: results/real-days")
    args = parser.parse_args(argv)

    convert = [sys.executable, "-m", "envs.paratransit", str(args.trips), "--output", str(args.data)]
    subprocess.run([*convert, "--drivers", *map(str, FLEETS)], cwd=ROOT, check=True)

    jobs = []
    for seed in args.seeds:
        arguments = ["--reward", "v2", "--algo", "dqn", "--env", "DispatchDay-v0", "--seed", str(seed)]
        arguments += ["--hyperparams-block", "paratransit", "--eval-freq", "5000", "--eval-episodes", "7"]
        arguments += ["--days-from", str(args.data / f"drivers-{TRAINING_FLEET}"), "--no-save-replay-buffer"]
        arguments += ["--train-days", TRAIN_DAYS, "--eval-days", SELECTION_DAYS]
        jobs.append(train_job(f"dqn-seed{seed}", args.folder / f"dqn-seed{seed}", arguments))
    run_all(jobs, args.folder, args.jobs)

    models = [latest_run(args.folder / f"dqn-seed{seed}") for seed in args.seeds]
    for improvement in ("off", "on"):
        for fleet in FLEETS:
            command = [sys.executable, "evaluate.py", "--env", "DispatchDay-v0", "--scenario", "paratransit"]
            command += ["--days-from", str(args.data / f"drivers-{fleet}"), "--days", REPORT_DAYS]
            command += ["--plan-improvement", improvement, "--compare-baseline", "--no-latency"]
            command += ["--output", str(args.output / name_of(fleet, improvement))]
            command += ["--model", *(str(model) for model in models if model is not None)]
            subprocess.run(command, cwd=ROOT, check=True)
    table = markdown(args.output)
    (args.output / "table.md").write_text(table)
    print(table)
    print(f"Results: {args.output / 'table.md'}")
    return 0


def name_of(fleet: int, improvement: str) -> str:
    return f"drivers-{fleet}-improvement-{improvement}"


def markdown(folder: Path) -> str:
    """Lost per cent, deadhead hours and cost a day of every policy for 8 / 10 / 14 drivers, cheapest first."""
    lines = []
    for improvement in ("off", "on"):
        results = [read_results(folder / name_of(fleet, improvement)) for fleet in FLEETS]
        lines += [
            f"Plan improvement {improvement}:",
            "",
            f"| policy | lost % ({'/'.join(map(str, FLEETS))} drivers) | deadhead h | cost a day |",
            "|---|---|---|---|",
        ]
        names = sorted(results[0], key=lambda name: results[0][name]["cost"])
        for name in names:
            cells = [
                " / ".join(f"{result[name][key]:{form}}" for result in results)
                for key, form in (("lost", ".1f"), ("deadhead_h", ".1f"), ("cost", ".0f"))
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def read_results(folder: Path) -> dict[str, dict[str, float]]:
    """Per policy the means that the table shows; single training seeds are left to their pool."""
    content: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    pooled = {name for policy in content["policies"].values() for name in policy.get("members", [])}
    rows = {}
    for name, policy in content["policies"].items():
        if name in pooled:
            continue
        kpis = policy["kpis"]
        rows[name] = {
            "lost": 100.0 * kpis["num_lost"] / kpis["num_bookings"],
            "deadhead_h": kpis["deadhead_min"] / 60.0,
            "cost": kpis["cost"],
        }
    return rows


if __name__ == "__main__":
    sys.exit(main())
