"""
What promises cost: ``python -m studies.promises [TRIPS.csv]`` (``make promises DATA=TRIPS.csv``).

Every wish is answered at the call, a yes is kept, and what leaves within ``freeze_min`` keeps driver and order. On real
days (with the published bookings, see docs/environments/real-days.md) and on the operating day, rules with plan
improvement of more and more moves play beside re-planners that keep the same promises; then ``freeze_min`` is swept,
and one row is played without promises: it may give back, so it is another problem and only says what promises cost.

Can be stopped at any time: each cell (a policy in a setting in a world) is kept, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines import make_rules, tuned_settings
from baselines.planning.solvers import is_installed
from envs.days.scenario import Scenario
from evaluation.runner import Case, play
from evaluation.setup import cases_from_folders, generated_cases
from evaluation.statistics import paired_difference
from studies.improvement import make_folders
from studies.jobs import ROOT, Job, is_done, run_all
from studies.results import Column, Result, add_publish, cell_of, current_commit, hand_over, today

ENV_ID = "DispatchDay-v1"
FLEETS = (8, 10, 14)
FREEZES = (0, 10, 30, 60, 120)  # [min]; 30 is the scenarios'
FREEZE = 30
MOVES = (0, 1000, 10_000)
REPLAN_MS = 100.0
RULES = ("cheapest_insertion_at_release", "insertion_just_in_time", "nearest_driver")
REPLANNERS = {"replan_search": "pyvrp", "replan_pyvrp": "pyvrp"}  # and the package of its solver
# Found on service days 45-59, 8 and 10 drivers, among 0, 0.2, 0.5, 1: without it a re-planner keeps no room.
DELAY = {"price_delay_min": 0.5}
SWEPT = "cheapest_insertion_at_release"  # the planner alone: whoever calls is placed where it costs least
FIRST_REPORT_DAY = 2_000_000
# Drivers and slots, load, report days: the real company's load, and twice it in fleets of all sizes.
SIZES = {
    "4x30-load-1": (4, 30, 1.0, 100),
    "4x30": (4, 30, 2.0, 100),
    "20x60": (20, 60, 2.0, 30),
    "50x200": (50, 200, 2.0, 10),
}
KPIS = (
    *("num_bookings", "num_refused", "num_broken", "num_given_back", "num_lost", "deadhead_min", "late_share_5"),
    *("driver_changed_share", "driver_changed_share_30", "pickup_moved_share", "pickup_off_mean_min"),
    *("pickup_off_p95_min", "appointment_late_share"),
)
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One policy in one setting in one world."""

    world: str  # real-8, ..., or a key of SIZES
    policy: str
    setting: str
    overrides: dict[str, Any] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.world}-{self.policy}-{self.setting}".replace(" ", "-")

    @property
    def is_real(self) -> bool:
        return self.world.startswith("real-")


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.cell:
        return play_cell(args)
    cells = [cell for world in worlds_of(args) for cell in cells_of(world)]
    if args.trips is not None:
        for draw in args.announce_seeds:
            if not all((args.data / f"seed{draw}" / f"drivers-{fleet}").is_dir() for fleet in FLEETS):
                make_folders(args.trips, [draw], args.data)
    run_all([job_of(cell, args) for cell in cells], args.folder, args.jobs)
    found = results(cells, args)
    for each in found:
        print(f"\n{each.title}:\n\n{each.markdown()}")
    hand_over(found, args.output, args.publish)
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trips", type=Path, nargs="?", help="CSV of the published bookings; without it no real days")
    parser.add_argument("--days", default="60-89", help="service days of the real days; default: 60-89")
    parser.add_argument("--announce-seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="default: 0 1 2 3 4")
    parser.add_argument("--sizes", nargs="*", choices=list(SIZES), default=list(SIZES), help="default: all")
    parser.add_argument("--jobs", type=int, help="cells side by side; default: one per core")
    parser.add_argument("--data", type=Path, default=Path("data/improvement"), help="default: data/improvement")
    parser.add_argument("--folder", type=Path, default=Path("logs/promises"), help="cells; default: logs/promises")
    parser.add_argument("--output", type=Path, default=Path("results/promises"), help="default: results/promises")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    add_publish(parser)
    return parser


# --- cells ------------------------------------------------------------------------------------------------------------


def worlds_of(args: argparse.Namespace) -> list[str]:
    return [*([f"real-{fleet}" for fleet in FLEETS] if args.trips is not None else []), *args.sizes]


def cells_of(world: str) -> list[Cell]:
    """What is played in a world; the largest leaves out what takes too long there."""
    moves = [count for count in MOVES if count <= 1000 or world != "50x200"]
    policies = RULES if world.startswith("real-") else (*RULES, "best_immediate_reward")
    cells = [Cell(world, policy, f"{count} moves", improved(count)) for policy in policies for count in moves[:2]]
    cells += [Cell(world, SWEPT, f"{count} moves", improved(count)) for count in moves[2:]]
    if world != "50x200":
        cells += [Cell(world, policy, "re-planner") for policy, package in REPLANNERS.items() if is_installed(package)]
    if world.startswith("real-"):
        cells.append(Cell(world, "replan_search", "re-planner, delay priced", prices=DELAY))
    cells += [
        Cell(world, SWEPT, f"freeze {minutes}", improved(MOVES[1]) | frozen(minutes))
        for minutes in FREEZES
        if minutes != FREEZE
    ]
    without = {"promises": "at_dispatch", "promise_moves": 0, "improvement_lost_min": 300.0, **frozen(0)}
    cells.append(Cell(world, "insertion_just_in_time", "no promises", improved(MOVES[1]) | without))
    return cells


def improved(moves: int) -> dict[str, Any]:
    return {"plan_improvement": True, "improvement_moves": moves}


def frozen(minutes: int) -> dict[str, Any]:
    return {"freeze_min": float(minutes), **({} if minutes else {"freeze_slack_min": 0.0})}


def job_of(cell: Cell, args: argparse.Namespace) -> Job:
    command = [sys.executable, "-m", "studies.promises", "--cell", cell.name, "--days", args.days]
    command += [str(args.trips)] if args.trips is not None else []
    command += ["--announce-seeds", *map(str, args.announce_seeds), "--data", str(args.data)]
    command += ["--folder", str(args.folder), "--sizes", *args.sizes]
    return Job(cell.name, tuple(command))


def world_of(cell: Cell, args: argparse.Namespace) -> tuple[Scenario, list[Case], str | None, str]:
    """Scenario, days, reward and what is judged."""
    if cell.is_real:
        scenario = Scenario.load("paratransit_promises", **cell.overrides)
        fleet = cell.world.removeprefix("real-")
        folders = [str(ROOT / args.data / f"seed{draw}" / f"drivers-{fleet}") for draw in args.announce_seeds]
        return scenario, cases_from_folders(folders, args.days, scenario), None, "cost"
    num_drivers, max_bookings, load, num_days = SIZES[cell.world]
    sizes = {"num_drivers": num_drivers, "max_bookings": max_bookings, "load": load}
    scenario = Scenario.load("operating_day_promises", **sizes, **cell.overrides)
    return scenario, generated_cases(FIRST_REPORT_DAY, num_days, scenario), "v3", "reward"


def play_cell(args: argparse.Namespace) -> int:
    """Play one cell and keep what each day came to."""
    (cell,) = (cell for world in worlds_of(args) for cell in cells_of(world) if cell.name == args.cell)
    scenario, cases, reward, objective = world_of(cell, args)
    tuned = tuned_settings(ENV_ID, reward, scenario, objective)
    tuned |= {cell.policy: tuned.get(cell.policy, {}) | cell.prices}
    (policy,) = make_rules([cell.policy], tuned, judged_by=objective, replan_ms=REPLAN_MS)
    played = play(policy, cases, scenario, reward, measure_latency=True)
    # Of a re-planner the decision is what takes time, else the tick of the world, with plan improvement in it.
    p50, p99 = played.latency_ms if np.isnan(played.tick_ms[1]) else played.tick_ms
    kept: dict[str, Any] = {name: played.kpis[name] for name in KPIS}
    kept |= {"judged": played.values(objective), "clusters": np.array([case.cluster for case in cases])}
    np.savez(args.folder / f"{cell.name}.npz", ms=np.array([p50, p99]), **kept)
    print(json.dumps({"cell": cell.name, "mean": float(played.values(objective).mean()), "ms": [p50, p99]}), flush=True)
    return 0


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A policy in a setting, in several worlds side by side."""

    policy: str
    setting: str
    found: tuple[Any, ...]  # NpzFile per world, or None

    def means(self, name: str, factor: float = 1.0) -> list[float | None]:
        return [None if each is None else factor * float(np.nanmean(each[name])) for each in self.found]


def results(cells: Sequence[Cell], args: argparse.Namespace) -> list[Result]:
    """A table for the real days and one for the operating day, each with the sweep of ``freeze_min``."""
    groups = {
        "promises-real-days": ([world for world in worlds_of(args) if world.startswith("real-")], -1.0),
        "promises-operating-day": ([world for world in worlds_of(args) if not world.startswith("real-")], 1.0),
    }
    return [table(name, cells, worlds, sign, args) for name, (worlds, sign) in groups.items() if worlds]


def table(name: str, cells: Sequence[Cell], worlds: Sequence[str], sign: float, args: argparse.Namespace) -> Result:
    """
    Policies that keep promises, those with the same promises side by side; differences are to the best re-planner.

    ``sign`` +1: more is better.
    """
    keys = list(dict.fromkeys((cell.policy, cell.setting) for cell in cells if cell.world in worlds))
    rows = [Row(policy, setting, tuple(load(args.folder, worlds, policy, setting))) for policy, setting in keys]
    rivals = [
        best_of([row for row in rows if row.setting.startswith("re-planner")], i, sign) for i in range(len(worlds))
    ]
    lines = []
    for row in rows:
        differences = [
            None
            if each is None or rival is None or row.setting == "no promises"
            else cell_of(paired_difference(each["judged"], rival["judged"], each["clusters"].tolist()))
            for each, rival in zip(row.found, rivals, strict=True)
        ]
        usual = Row(row.policy, "", tuple(load(args.folder, worlds, row.policy, f"{MOVES[1]} moves")))
        prices = [
            None
            if each is None or base is None or not row.setting.startswith(("freeze", "no promises"))
            else cell_of(paired_difference(each["judged"], base["judged"], each["clusters"].tolist()))
            for each, base in zip(row.found, usual.found, strict=True)
        ]
        lost = [
            None if each is None else 100.0 * each["num_lost"].sum() / each["num_bookings"].sum() for each in row.found
        ]
        lines.append(
            {
                "label": row.policy,
                "setting": row.setting,
                "judged": row.means("judged"),
                "difference": differences,
                "price": prices,
                "refused": row.means("num_refused"),
                "broken": row.means("num_broken"),
                "lost": lost,
                "changed": row.means("driver_changed_share", 100.0),
                "changed_30": row.means("driver_changed_share_30", 100.0),
                "moved": row.means("pickup_moved_share", 100.0),
                "off_p95": row.means("pickup_off_p95_min"),
                "ms": [None if each is None else float(each["ms"][1]) for each in row.found],
            }
        )
    is_real = sign < 0
    sizes = " / ".join(world.removeprefix("real-") for world in worlds)
    return Result(
        name,
        f"{'Real days' if is_real else 'Operating day, V3'} with promises",
        (
            *(Column("label", "policy"), Column("setting", "planner")),
            Column("judged", f"{'cost' if is_real else 'francs'} a day ({sizes}{' drivers' if is_real else ''})"),
            Column("difference", "to the best re-planner, 95 %", sign=True),
            Column("price", f"to freeze {FREEZE}, same rule, {MOVES[1]} moves, 95 %", sign=True),
            *(Column("refused", "refused a day", 1), Column("broken", "broken a day", 1), Column("lost", "lost %", 1)),
            *(Column("changed", "driver changed %"), Column("changed_30", "within 30 min %")),
            *(Column("moved", "moved > 10 min %"), Column("off_p95", "off promise p95 min"), Column("ms", "ms p99", 1)),
        ),
        tuple(lines),
        days=(
            f"service days {args.days} x {len(args.announce_seeds)} announcement draws"
            if is_real
            else f"report days: {', '.join(f'{SIZES[world][3]} at {world}' for world in worlds)}"
        ),
        seeds="one solver seed",
        interval="95 %, bootstrap over service days, paired by day" if is_real else "95 %, bootstrap, paired by day",
        date=today(),
        commit=current_commit(),
        commands=(command_of(args, is_real),),
        notes=("the row without promises is another problem: what it gives back, a company had promised",),
    )


def command_of(args: argparse.Namespace, is_real: bool) -> str:
    if not is_real:
        return f"python -m studies.promises --sizes {' '.join(args.sizes)}"
    draws = " ".join(map(str, args.announce_seeds))
    return f"python -m studies.promises trips.csv --days {args.days} --announce-seeds {draws} --sizes"


def load(folder: Path, worlds: Sequence[str], policy: str, setting: str) -> list[Any]:
    names = [Cell(world, policy, setting).name for world in worlds]
    return [np.load(folder / f"{name}.npz") if is_done(name, folder) else None for name in names]


def best_of(rows: Sequence[Row], i: int, sign: float) -> Any:
    there = [row.found[i] for row in rows if row.found[i] is not None]
    return max(there, key=lambda each: sign * float(each["judged"].mean()), default=None)


if __name__ == "__main__":
    sys.exit(main())
