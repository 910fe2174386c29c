"""
The README's tables of the hardest opponents: ``python -m studies.opponents`` (``make opponents DATA=TRIPS.csv``).

Rules, re-planners (PyVRP, VROOM, OR-Tools, the project's own search) and trained agents on the same days, with the gap
of each to the hindsight plan and a proven bound. Real days need the published bookings (README, Real days); without
them the two generated environments are played alone. Can be stopped at any time: the same command goes on.

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
from typing import Any

from baselines import REPLANNERS
from baselines.planning.solvers import INSTALL, is_installed
from studies.improvement import LOST_MIN, MOVES
from studies.jobs import ROOT, Job, run_all

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
    table = markdown(parts, args.replan_seeds, args.output, size_of(args))
    (args.output / "table.md").write_text(table)
    print(table)
    print(f"Results: {args.output / 'table.md'}")
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


def markdown(parts: Sequence[Part], seeds: Sequence[int], output: Path, size: str) -> str:
    """A table per part, the best first; re-planners are averaged over the solver seeds."""
    lines = [size, ""]
    for part in parts:
        results = [
            json.loads((folder / "evaluation.json").read_text())
            for folder in sorted(output.glob(f"{part.name}-*ms-seed-*"))
            if int(folder.name.rsplit("-", 1)[1]) in seeds and (folder / "evaluation.json").exists()
        ]
        if results:
            lines += [f"{part.title}:", "", *table_of(results), ""]
    return "\n".join(lines)


def table_of(results: Sequence[dict[str, Any]]) -> list[str]:
    first = results[0]
    objective = first["objective"]
    reference = first["hindsight"]
    bound = reference["bound_mean"]
    lines = [
        f"| policy | {objective} | gap to hindsight % | way there from best rule % | lost % | late % | ms p50 / p99 |",
        "|---|---|---|---|---|---|---|",
        f"| hindsight{'' if bound is None else f' (bound {bound:.0f})'} | {reference['mean']:.0f} | 0 | 100 | | | |",
    ]
    pooled = {name for policy in first["policies"].values() for name in policy.get("members", [])}
    rows = []
    for name, policy in first["policies"].items():
        if name in pooled:
            continue
        same = [result["policies"][name] for result in results if name in result["policies"]]
        kpis = policy["kpis"]
        label = f"**{name}**" if policy["kind"] in ("pool", "model") else name
        label += " (best simple rule)" if name == first["best_rule"] else ""
        lost = mean_of([100.0 * one["kpis"]["num_lost"] / one["kpis"]["num_bookings"] for one in same])
        cells = (
            _cell(mean_of([one["objective_mean"] for one in same]), 0),
            _cell(mean_of([one["gap_percent"] for one in same]), 1),
            _cell(mean_of([one["share_closed"] for one in same]), 0, 100.0),
            _cell(lost, 1),
            _cell(kpis["late_share_5"], 1, 100.0),
            f"{_cell(policy['latency_ms_p50'], 2)} / {_cell(policy['latency_ms_p99'], 2)}",
        )
        rows.append((policy["objective_mean"], f"| {label} | {' | '.join(cells)} |"))
    rows.sort(reverse=objective == "reward")
    return [*lines, *(row for _, row in rows)]


def mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _cell(value: float | None, digits: int, factor: float = 1.0) -> str:
    return "-" if value is None else f"{factor * value:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
