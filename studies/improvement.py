"""
What plan improvement is worth on real days: ``python -m studies.improvement TRIPS.csv``.

Every rule plays the report days of the published paratransit bookings without plan improvement, with the design's
(trips placed anew by regret, relocated and swapped), and with more and more rounds of ruin and recreate on top
(``improvement_moves``), which in the end may also give bookings back (``improvement_lost_min``); ``replan_search``
stands beside them. Differences are to the design's improvement and, fleet by fleet, to ``replan_search``, paired by
day; fleets and announcement draws of a service day are one cluster. Ends with a table (``studies.results``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from baselines import make_rules, tuned_settings
from envs.days.scenario import Scenario
from evaluation.runner import Case, play
from evaluation.setup import SetupError, cases_from_folders, make_scenario
from evaluation.statistics import paired_difference
from studies.jobs import ROOT
from studies.real_days import FLEETS, REPORT_DAYS
from studies.results import Column, Result, add_publish, cell_of, current_commit, hand_over, today

RULES = (
    "cheapest_insertion_at_release",
    "insertion_just_in_time",
    "regret_insertion_just_in_time",
    "matching_with_prices",
    "best_reward_with_prices",
)
YARDSTICK, YARDSTICK_MS = "replan_search", 10.0
MOVES = (0, 1000)
LOST_MIN = 300.0  # a booking given back counts as much there as one lost does in the cost of a day
REWARD = "v2"  # the rules that price a reward were tuned on it, for the cost of a day


class Row(NamedTuple):
    """One policy in one setting; ``cost`` has an entry per case; means: bookings given back, processor time."""

    policy: str
    setting: str
    cost: npt.NDArray[np.float64]
    ms: float  # per day
    given_back: float = 0.0  # per day


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trips", type=Path, help="CSV of the published bookings (docs/environments/real-days.md)")
    parser.add_argument("--announce-seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--days", default=REPORT_DAYS, help=f"service days; default: {REPORT_DAYS}")
    parser.add_argument("--moves", nargs="+", type=int, default=list(MOVES), help="default: 0 1000")
    parser.add_argument("--data", type=Path, default=Path("data/improvement"), help="default: data/improvement")
    parser.add_argument("--output", type=Path, default=Path("results/improvement"), help="default: results/improvement")
    add_publish(parser)
    args = parser.parse_args(argv)

    folders = make_folders(args.trips, args.announce_seeds, args.data)
    try:
        rows, cases = measure(folders, args.days, args.moves)
    except SetupError as error:
        print(f"studies.improvement: {error}", file=sys.stderr)
        return 2
    found = result(rows, fleets_of(folders, len(cases)), [case.cluster for case in cases])
    print(f"\n{found.markdown()}")
    hand_over([found], args.output, args.publish)
    return 0


def make_folders(trips: Path, announce_seeds: Sequence[int], data: Path) -> list[str]:
    """Day files of every announcement seed and fleet, the fleets of a seed side by side; their folders."""
    folders = []
    for seed in announce_seeds:
        folder = data / f"seed{seed}"
        convert = [sys.executable, "-m", "envs.days.paratransit", str(trips), "--output", str(folder)]
        subprocess.run([*convert, "--announce-seed", str(seed), "--drivers", *map(str, FLEETS)], cwd=ROOT, check=True)
        folders += [str(ROOT / folder / f"drivers-{fleet}") for fleet in FLEETS]
    return folders


def fleets_of(folders: Sequence[str], num_cases: int) -> npt.NDArray[np.int64]:
    """Drivers per case, the cases folder by folder."""
    return np.repeat([int(folder.rpartition("-")[2]) for folder in folders], num_cases // len(folders))


def rule_of(policy: str, scenario: Scenario) -> Any:
    """The rule or re-planner of that name, with what was tuned for the cost of real days."""
    tuned = tuned_settings("DispatchDay-v0", REWARD, scenario, "cost")
    return make_rules([policy], tuned, judged_by="cost", replan_ms=YARDSTICK_MS)[0]


def measure(folders: Sequence[str], days: str, moves: Sequence[int]) -> tuple[list[Row], list[Case]]:
    """Let everybody play everything; the days are dealt with folder by folder."""
    settings: list[tuple[str, dict[str, Any]]] = [("off", {"plan_improvement": False})]
    settings += [(f"{count} moves", {"plan_improvement": True, "improvement_moves": count}) for count in moves]
    settings += [
        (
            f"{count} moves, gives back",
            {"plan_improvement": True, "improvement_moves": count, "improvement_lost_min": LOST_MIN},
        )
        for count in moves
        if count
    ]
    rows: list[Row] = []
    cases: list[Case] = []
    for name, overrides in settings:
        scenario = make_scenario("DispatchDay-v0", "paratransit", overrides)
        cases = cases_from_folders(folders, days, scenario)
        policies = [*RULES, YARDSTICK] if name == "off" else RULES
        rows += [played(policy, name, scenario, cases) for policy in policies]
    return rows, cases


def played(policy: str, setting: str, scenario: Scenario, cases: Sequence[Case]) -> Row:
    """One policy on all cases."""
    rule = rule_of(policy, scenario)
    play(rule, cases[:1], scenario, REWARD, measure_latency=False)  # compiles
    begun = time.process_time()
    kpis = play(rule, cases, scenario, REWARD, measure_latency=False).kpis
    ms = 1e3 * (time.process_time() - begun) / len(cases)
    row = Row(policy, setting, kpis["cost"], ms, float(kpis["num_unassigned"].mean()))
    print(f"{policy}, {setting}: {row.cost.mean():.0f} a day, {row.ms:.0f} ms", flush=True)
    return row


def result(rows: Sequence[Row], fleets: npt.NDArray[np.int64], clusters: Sequence[str]) -> Result:
    """Cost a day per fleet, the difference to the design's improvement over all of them, and to the yardstick."""
    sizes = sorted(set(fleets.tolist()))
    reference = {row.policy: row.cost for row in rows if row.setting == "0 moves"}
    yardstick = next((row.cost for row in rows if row.policy == YARDSTICK), None)
    everywhere = np.ones(len(fleets), np.bool_)
    lines = []
    for row in sorted(rows, key=lambda row: (row.policy, rows.index(row))):
        base = None if row.setting == "0 moves" else reference.get(row.policy)
        other = None if row.policy == YARDSTICK else yardstick
        lines.append(
            {
                "label": row.policy,
                "setting": row.setting,
                "cost": [float(row.cost[fleets == size].mean()) for size in sizes],
                "difference": None if base is None else _difference(row.cost, base, clusters, everywhere),
                "to_yardstick": None
                if other is None
                else [_difference(row.cost, other, clusters, fleets == size) for size in sizes],
                "given_back": row.given_back,
                "ms": row.ms,
            }
        )
    return Result(
        "plan-improvement",
        "What plan improvement is worth on real days",
        (
            *(Column("label", "policy"), Column("setting", "plan improvement")),
            Column("cost", f"cost a day, {' / '.join(map(str, sizes))} drivers"),
            Column("difference", "to 0 moves, 95 %", sign=True),
            Column("to_yardstick", f"to {YARDSTICK}, 95 %", sign=True),
            *(Column("given_back", "given back a day", 1), Column("ms", "ms a day")),
        ),
        tuple(lines),
        days=f"{len(fleets)} days, {len(set(clusters))} service days",
        seeds="one solver seed",
        interval="95 %, bootstrap over service days, paired by day",
        date=today(),
        commit=current_commit(),
        commands=("python -m studies.improvement trips.csv",),
    )


def _difference(
    cost: npt.NDArray[np.float64],
    base: npt.NDArray[np.float64],
    clusters: Sequence[str],
    which: npt.NDArray[np.bool_],
) -> dict[str, float]:
    found = paired_difference(
        cost[which], base[which], [cluster for cluster, is_in in zip(clusters, which, strict=True) if is_in]
    )
    return cell_of(found)


if __name__ == "__main__":
    sys.exit(main())
