"""
What an outside solver still saves on the routes that a rule drove: ``python -m studies.polish``.

The rule plays selection days of the operating day (or days from files) under plan improvement; PyVRP then starts from
its routes, and our own search for a moment too. Drivers, shifts and the bookings driven are the same, and nobody
leaves for a booking before the tick at which it becomes known. Both plans are replayed through the simulator, so what
PyVRP can't know (breaks, how speeds change by the hour) is no gain. What is left to it says how good the planner's
sequences are, apart from what it knew when. Ends with a table (``studies.results``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baselines.planning.hindsight import PYVRP_SCALE, SIGN, Planner
from baselines.planning.plan import Routes
from baselines.planning.solvers import PyVrp, SolverMissing
from baselines.registry import make_rules
from baselines.tuned import tuned_settings
from envs.days.scenario import Scenario
from evaluation.runner import Case, play
from evaluation.setup import SetupError, cases_from_folders, generated_cases, make_scenario, usual_objective
from studies.results import Column, Result, add_publish, current_commit, hand_over, today

FIRST_SELECTION_DAY = 1_000_000
RULE = "insertion_just_in_time"
MOVES = 10_000
SEARCH_ITERATIONS = 20_000  # of our own search from the same routes
SOLVER_SEED = 77  # another than those of hindsight plans


class Polished(NamedTuple):
    """One day: what its routes were worth as driven, and what they are worth polished; never worse than driven."""

    label: str
    driven: float
    by_pyvrp: float
    by_search: float


def main(argv: list[str] | None = None) -> int:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m studies.polish", formatter_class=formatter)
    parser.add_argument("--policy", default=RULE, help="rule whose routes are polished")
    parser.add_argument("--episodes", type=int, default=5, help="selection days")
    parser.add_argument("--load", type=float, default=2.0, help="of the operating day")
    parser.add_argument("--days-from", nargs="+", help="folders of real days instead, judged by their cost")
    parser.add_argument("--days", help="service days of these, such as 45-59")
    parser.add_argument("--moves", type=int, default=MOVES, help="rounds of plan improvement (improvement_moves)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of PyVRP, per day")
    parser.add_argument("--output", type=Path, default=Path("results/polish"), help="folder of the table")
    add_publish(parser)
    args = parser.parse_args(argv)
    try:
        found, objective = measure(args)
    except (SetupError, SolverMissing) as error:
        print(f"studies.polish: {error}", file=sys.stderr)
        return 2
    table = result(found, objective, args.policy, args.moves, args.seconds)
    print(f"\n{table.markdown()}")
    hand_over([table], args.output, args.publish)
    return 0


def measure(args: argparse.Namespace) -> tuple[list[Polished], str]:
    """Play the days, polish each of them; the objective by which they are judged too."""
    overrides = {"improvement_moves": args.moves, **({} if args.days_from else {"load": args.load})}
    scenario = make_scenario("DispatchDay-v0", "paratransit" if args.days_from else None, overrides)
    if args.days_from:
        cases = cases_from_folders(args.days_from, args.days, scenario)
    else:
        cases = generated_cases(FIRST_SELECTION_DAY, args.episodes, scenario)
    objective = usual_objective(scenario, from_files=bool(args.days_from))
    reward = "v2" if args.days_from else "v3"  # what rules with prices are tuned for
    tuned = tuned_settings("DispatchDay-v0", reward, scenario, objective)
    rule = make_rules([args.policy], tuned, judged_by=objective)[0]
    solver = PyVrp(1000.0 * args.seconds, SOLVER_SEED, scale=PYVRP_SCALE)
    played = play(rule, cases, scenario, reward, measure_latency=False)
    found = []
    for case, routes, driven in zip(cases, played.routes, played.values(objective), strict=True):
        found.append(polish(case, routes, float(driven), scenario, reward, objective, solver))
        print("{}: {:.1f} as driven, {:.1f} by PyVRP, {:.1f} by our search".format(*found[-1]), flush=True)
    return found, objective


def polish(
    case: Case, routes: Routes, driven: float, scenario: Scenario, reward: str, objective: str, solver: PyVrp
) -> Polished:
    """The routes of one day as they are, and as both make them."""
    planner = Planner(case.day, scenario, reward, objective, case.num_unservable)
    planner.rows = np.intersect1d(planner.rows, [k for route in routes for k in route]).astype(np.int32)
    as_better = max if SIGN[objective] > 0 else min
    by_pyvrp, _ = planner.replay(planner.polish(routes, solver))
    by_search, _ = planner.replay(planner.search(routes, SEARCH_ITERATIONS, SOLVER_SEED))
    return Polished(case.label, driven, as_better(driven, by_pyvrp), as_better(driven, by_search))


def result(found: Sequence[Polished], objective: str, policy: str, moves: int, seconds: float) -> Result:
    """A row per day and their mean; shares are of what was driven, the mean's of the mean."""
    driven, by_pyvrp, by_search = np.array([day[1:] for day in found], np.float64).mean(axis=0).tolist()
    rows = []
    for day in [*found, Polished("mean", driven, by_pyvrp, by_search)]:
        gains = (SIGN[objective] * (value - day.driven) for value in (day.by_pyvrp, day.by_search))
        saved = [100.0 * gain / abs(day.driven) for gain in gains]
        rows.append({**day._asdict(), "pyvrp_percent": saved[0], "search_percent": saved[1]})
    rows[-1]["bold"] = True
    return Result(
        "polish",
        f"What {seconds:g} s of PyVRP save on the routes of {policy}",
        (
            *(Column("label", "day"), Column("driven", f"{objective} as driven", 1)),
            *(Column("by_pyvrp", "polished by PyVRP", 1), Column("pyvrp_percent", "saved %", 2)),
            *(Column("by_search", "by our search", 1), Column("search_percent", "saved %", 2)),
        ),
        tuple(rows),
        days=f"{len(found)} days, {moves} moves of plan improvement",
        seeds="one solver seed",
        date=today(),
        commit=current_commit(),
        commands=("python -m studies.polish",),
    )


if __name__ == "__main__":
    sys.exit(main())
