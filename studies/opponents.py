"""
The tables of the hardest opponents: ``python -m studies.opponents`` (``make opponents DATA=TRIPS.csv``).

Rules, re-planners (PyVRP, VROOM, OR-Tools, the project's own search) and trained agents on the same days, with the gap
of each to the hindsight plan and a proven bound. Real days need the published bookings (see
docs/environments/real-days.md); without them the two generated environments are played alone. Can be stopped at any
time: the same command goes on.

The defaults are a reduced size, and the table says so: re-planners cost (days x ticks x limit). The full size is
``--days 60-89 --announce-seeds 0 1 2 3 4 --replan-seeds 0 1 --replan-ms 100 --short-days 500 --operating-days 100``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines import REPLANNERS
from baselines.planning.solvers import INSTALL, is_installed
from studies.improvement import LOST_MIN, MOVES
from studies.jobs import ROOT, Job, run_all
from studies.results import Column, Result, add_publish, days_of, hand_over, short, today

FLEETS = (8, 10, 14)
# Simple rules that stand for the rest: the best tuned ones, just-in-time insertion and the immediate reward.
RULES = (
    "cheapest_insertion_at_release",
    "insertion_just_in_time",
    "regret_insertion_just_in_time",
    "best_immediate_reward",
    "best_reward_with_prices",
    "matching_with_prices",
)
# Of plans, on real days: what evaluate.py is told.
IMPROVEMENT: dict[str, tuple[str, ...]] = {
    "off": ("--plan-improvement", "off"),
    "on": ("--plan-improvement", "on"),
    "gives-back": (
        *("--plan-improvement", "on"),
        *("--env-kwargs", f"improvement_moves:{MOVES[-1]}", f"improvement_lost_min:{LOST_MIN}"),
    ),
}
PACKAGES = {"replan_pyvrp": "pyvrp", "replan_vroom": "vroom", "replan_ortools": "ortools"}


@dataclass(frozen=True)
class Part:
    """One table: its title, the arguments of evaluate.py that say what is played, and the agents that play."""

    name: str
    title: str
    arguments: tuple[str, ...]
    models: tuple[str, ...]


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    parts = [*generated_parts(args), *real_parts(args)]
    missing = [name for name, package in PACKAGES.items() if not is_installed(package)]
    if missing:
        print(f"Left out, not installed: {', '.join(missing)}. Run: {INSTALL}", flush=True)
    policies = [*RULES, *(rule.name for rule in REPLANNERS if rule.name not in missing)]
    jobs = []
    for part in parts:
        for seed in args.replan_seeds:
            jobs.append(job_of(part, seed, policies, args))
    # One at a time: the time per decision is measured, and a solver's limit is a time on the clock.
    run_all(jobs, args.folder, num_workers=1)
    found = [result(part, args.replan_seeds, args.output, size_of(args)) for part in parts]
    for each in found:
        print(f"{each.title}:\n\n{each.markdown()}")
    hand_over(found, args.output, args.publish)
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trips", type=Path, nargs="?", help="CSV of the published bookings; without it no real days")
    parser.add_argument("--days", default="60-69", help="service days of the real days; default: 60-69, all: 60-89")
    parser.add_argument("--fleets", nargs="+", type=int, default=list(FLEETS), help="default: 8 10 14")
    parser.add_argument("--announce-seeds", nargs="+", type=int, default=[0], help="default: 0")
    parser.add_argument("--replan-seeds", nargs="+", type=int, default=[0], help="of the solvers; default: 0")
    parser.add_argument("--replan-ms", type=float, default=50.0, help="limit per decision; default: 50")
    parser.add_argument("--short-days", type=int, default=50, help="report days of Dispatch-v0; 0: none; default: 50")
    parser.add_argument("--operating-days", type=int, default=10, help="of DispatchDay-v0 at load 2; default: 10")
    parser.add_argument("--hindsight", type=int, default=5_000, help="iterations of each search; default: 5000")
    parser.add_argument("--bound", type=float, default=10.0, help="seconds a day for the bound; 0: none; default: 10")
    parser.add_argument("--improvement", nargs="+", choices=list(IMPROVEMENT), default=["on"], help="default: on")
    parser.add_argument("--models-short", nargs="+", default=[], metavar="RUN", help="agents of Dispatch-v0, V2")
    parser.add_argument("--models-day", nargs="+", default=[], metavar="RUN", help="agents of DispatchDay-v0, V3")
    parser.add_argument("--models-real", nargs="+", default=[], metavar="RUN", help="agents of the real days")
    parser.add_argument(
        "--also-ensemble", action="store_true", help="models of several training seeds also play as one agent"
    )
    parser.add_argument("--data", type=Path, default=Path("data/opponents"), help="default: data/opponents")
    parser.add_argument("--folder", type=Path, default=Path("logs/opponents"), help="logs; default: logs/opponents")
    parser.add_argument("--output", type=Path, default=Path("results/opponents"), help="default: results/opponents")
    add_publish(parser)
    return parser


def generated_parts(args: argparse.Namespace) -> list[Part]:
    parts = []
    if args.short_days:
        arguments: tuple[str, ...] = ("--env", "Dispatch-v0", "--reward", "v2", "--episodes", str(args.short_days))
        title = f"Short shift, V2, {args.short_days} report days"
        parts.append(Part(f"short-{args.short_days}", title, arguments, tuple(args.models_short)))
    if args.operating_days:
        arguments = ("--env", "DispatchDay-v0", "--reward", "v3", "--env-kwargs", "load:2.0")
        arguments += ("--episodes", str(args.operating_days))
        title = f"Operating day at load 2, V3, {args.operating_days} report days"
        parts.append(Part(f"day-{args.operating_days}", title, arguments, tuple(args.models_day)))
    return parts


def real_parts(args: argparse.Namespace) -> list[Part]:
    """A table per fleet and setting of plan improvement; the folders of all announcement seeds in each."""
    if args.trips is None:
        return []
    for seed in args.announce_seeds:
        folder = args.data / f"announced-{seed}"
        if not all((folder / f"drivers-{fleet}").is_dir() for fleet in args.fleets):
            convert = [sys.executable, "-m", "envs.days.paratransit", str(args.trips), "--output", str(folder)]
            convert += ["--announce-seed", str(seed), "--drivers", *map(str, args.fleets)]
            subprocess.run(convert, cwd=ROOT, check=True)
    parts = []
    seeds = "-".join(map(str, args.announce_seeds))
    for improvement in args.improvement:
        for fleet in args.fleets:
            folders = [str(args.data / f"announced-{seed}" / f"drivers-{fleet}") for seed in args.announce_seeds]
            arguments = ("--env", "DispatchDay-v0", "--scenario", "paratransit", "--days-from", *folders)
            arguments += ("--days", args.days, *IMPROVEMENT[improvement], "--reward", "v2")
            name = f"real-{fleet}-improvement-{improvement}-days-{args.days}-announced-{seeds}"
            title = f"Real days, {fleet} drivers, plan improvement {improvement}, cost a day"
            parts.append(Part(name, title, arguments, tuple(args.models_real)))
    return parts


def job_of(part: Part, seed: int, policies: Sequence[str], args: argparse.Namespace) -> Job:
    """evaluate.py for one table and solver seed; the name holds what decides the numbers, so a change runs anew."""
    command = [sys.executable, "evaluate.py", *part.arguments, "--policies", *policies, "--all-pairs"]
    command += ["--replan-ms", f"{args.replan_ms:g}", "--replan-seed", str(seed)]
    command += ["--hindsight", str(args.hindsight), "--bound", f"{args.bound:g}"]
    command += ["--output", str(args.output / folder_name(part, seed, args.replan_ms))]
    if part.models:
        command += ["--model", *part.models, "--last", *(["--also-ensemble"] if args.also_ensemble else [])]
    name = f"{folder_name(part, seed, args.replan_ms)}-hindsight-{args.hindsight}-{len(part.models)}-models"
    return Job(name, tuple(command))


def folder_name(part: Part, seed: int, replan_ms: float) -> str:
    return f"{part.name}-{replan_ms:g}ms-seed-{seed}"


def size_of(args: argparse.Namespace) -> str:
    """What the reader must know about the size of the study."""
    real = "no real days" if args.trips is None else f"real days {args.days}"
    return (
        f"Size: {args.replan_ms:g} ms per decision, {len(args.replan_seeds)} solver seed(s), "
        f"{len(args.announce_seeds)} announcement seed(s), {real}; hindsight with {args.hindsight} iterations of each "
        f"search, bound within {args.bound:g} s a day. Full size: --days 60-89 --announce-seeds 0 1 2 3 4 "
        "--replan-seeds 0 1 --replan-ms 100 --short-days 500 --operating-days 100."
    )


def result(part: Part, seeds: Sequence[int], output: Path, size: str) -> Result:
    """The table of a part, the best first; re-planners are averaged over the solver seeds."""
    results = [
        json.loads((folder / "evaluation.json").read_text())
        for folder in sorted(output.glob(f"{part.name}-*ms-seed-*"))
        if int(folder.name.rsplit("-", 1)[1]) in seeds and (folder / "evaluation.json").exists()
    ]
    first = results[0]
    objective, reference = first["objective"], first["hindsight"]
    pooled = {name for policy in first["policies"].values() for name in policy.get("members", [])}
    rows = []
    for name, policy in first["policies"].items():
        if name in pooled:
            continue
        same = [found["policies"][name] for found in results if name in found["policies"]]
        closed = mean_of([one["share_closed"] for one in same])
        rows.append(
            {
                "label": name,
                "kind": policy["kind"],
                "bold": policy["kind"] in ("pool", "model"),
                "objective": mean_of([one["objective_mean"] for one in same]),
                "gap": mean_of([one["gap_percent"] for one in same]),
                "closed": None if closed is None else 100.0 * closed,
                "lost": mean_of([100.0 * one["kpis"]["num_lost"] / one["kpis"]["num_bookings"] for one in same]),
                "late": mean_of([100.0 * (one["kpis"]["late_share_5"] or 0.0) for one in same]),
                "ms": [policy["latency_ms_p50"], policy["latency_ms_p99"]],
            }
        )
    rows.sort(key=lambda row: (-1 if objective == "reward" else 1) * row["objective"])
    columns = (
        *(Column("label", "policy"), Column("objective", objective.replace("_", " "))),
        *(Column("gap", "gap to hindsight %", 1), Column("closed", "way there from the best rule %")),
        *(
            Column("lost", "lost %", 1),
            Column("late", "over 5 min late %", 1),
            Column("ms", "ms a decision, p50 / p99", 2),
        ),
    )
    hindsight = {column.key: None for column in columns} | {"label": "hindsight", "objective": reference["mean"]}
    bound = [] if reference["bound_mean"] is None else [f"nothing can be better than {reference['bound_mean']:.0f}"]
    return Result(
        f"opponents-{part.name}",
        part.title,
        columns,
        (hindsight, *rows),
        days=days_of(first),
        seeds=f"{len(results)} solver seeds",
        date=today(),
        commit=short(first.get("commit")),
        commands=(first["command"],),
        notes=(f"best rule: {first['best_rule']}", *bound, size),
    )


def mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


if __name__ == "__main__":
    sys.exit(main())
