"""
Learned pair values as weights of a matching, on real days: ``python -m studies.matching TRIPS.csv``.

The mean of the shipped networks matches drivers and bookings at every decision. How much of what was learned counts
(``learned_share``; 0: the rule's prices alone) and how far the matching looks ahead of the model's horizon
(``look_ahead_min``) are chosen on selection days, for each setting of plan improvement; what was chosen then plays the
report days beside the plain mean of the networks, the rules and a re-planner. Costs of a day: lower is better.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.ensemble import EnsemblePolicy
from agents.hybrid import MatchingPolicy
from evaluation.players import ModelPolicy, load_policy
from evaluation.runner import Case, play
from evaluation.runs import LAST, ModelError, by_name, find_run
from evaluation.setup import SetupError, cases_from_folders, make_env, make_scenario
from evaluation.statistics import paired_difference
from studies.improvement import LOST_MIN, MOVES, REWARD, YARDSTICK, fleets_of, make_folders, rule_of
from studies.real_days import FLEETS, REPORT_DAYS, SELECTION_DAYS

SHARES = (0.0, 0.5, 0.75, 0.9, 1.0, 1.1)
LOOK_AHEADS_MIN = (0.0, 10.0, 30.0)
SETTINGS: dict[str, dict[str, Any]] = {
    "off": {"plan_improvement": False},
    "on": {"plan_improvement": True},
    "gives back": {"plan_improvement": True, "improvement_moves": MOVES[-1], "improvement_lost_min": LOST_MIN},
}
RULES = ("matching_with_prices", "cheapest_insertion_at_release", "insertion_just_in_time")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trips", type=Path, help="CSV of the published bookings (layout: see README, Real days)")
    parser.add_argument("--model", default="real-days", help="shipped models by name; default: real-days")
    parser.add_argument("--announce-seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument(
        "--settings", nargs="+", choices=list(SETTINGS), default=["on", "gives back"], help="default: the last two"
    )
    parser.add_argument("--days", default=REPORT_DAYS, help=f"report days; default: {REPORT_DAYS}")
    parser.add_argument("--selection-days", default=SELECTION_DAYS, help=f"default: {SELECTION_DAYS}")
    parser.add_argument("--data", type=Path, default=Path("data/improvement"), help="default: data/improvement")
    parser.add_argument("--output", type=Path, default=Path("results/matching"), help="default: results/matching")
    args = parser.parse_args(argv)

    folders = make_folders(args.trips, args.announce_seeds, args.data)
    args.output.mkdir(parents=True, exist_ok=True)
    text = ""
    for name in args.settings:
        try:
            text += study(name, folders, args)
        except (SetupError, ModelError) as error:
            print(f"studies.matching: {error}", file=sys.stderr)
            return 2
        (args.output / "matching.md").write_text(text)
    print(f"\n{text}\nResults: {args.output / 'matching.md'}")
    return 0


def study(name: str, folders: Sequence[str], args: argparse.Namespace) -> str:
    """One setting of plan improvement: the choice on selection days, and the report days."""
    scenario = make_scenario("DispatchDay-v0", "paratransit", SETTINGS[name])
    runs = [find_run(path, LAST) for path in by_name(args.model)]
    env = make_env("DispatchDay-v0", scenario, REWARD)
    models = [load_policy(run, env) for run in runs]
    ensemble = EnsemblePolicy([model.model for model in models])
    reward_function = models[0].reward_function

    def cost(policy: Any, cases: Sequence[Case]) -> npt.NDArray[np.float64]:
        return play(policy, cases, scenario, REWARD, measure_latency=False).kpis["cost"]

    def matching(share: float, look_ahead_min: float) -> ModelPolicy:
        policy = MatchingPolicy(ensemble, learned_share=share, look_ahead_min=look_ahead_min)
        return ModelPolicy("matching", policy, reward_function)

    # The first draw alone: 18 settings have to play
    cases = cases_from_folders(folders[: len(FLEETS)], args.selection_days, scenario)
    means = {}
    for share, look_ahead_min in itertools.product(SHARES, LOOK_AHEADS_MIN):
        means[share, look_ahead_min] = float(cost(matching(share, look_ahead_min), cases).mean())
        print(f"{name}, share {share:g}, look ahead {look_ahead_min:g}: {means[share, look_ahead_min]:.0f}", flush=True)
    chosen = min(means, key=lambda key: means[key])

    cases = cases_from_folders(folders, args.days, scenario)
    rows = {f"matching, share {chosen[0]:g}, look ahead {chosen[1]:g} min": cost(matching(*chosen), cases)}
    rows["mean of the networks"] = cost(ModelPolicy("mean", ensemble, reward_function), cases)
    for rule in (*RULES, YARDSTICK):
        rows[rule] = cost(rule_of(rule, scenario), cases)
    return markdown(name, means, rows, fleets_of(folders, len(cases)), [case.cluster for case in cases])


def markdown(
    name: str,
    means: dict[tuple[float, float], float],
    rows: dict[str, npt.NDArray[np.float64]],
    fleets: npt.NDArray[np.int64],
    clusters: Sequence[str],
) -> str:
    """The selection days as a grid, and the report days with the difference of everybody to the first row."""
    lines = [f"Plan improvement {name}. Cost a day on selection days, all fleets:", ""]
    lines.append(f"| learned share | {' | '.join(f'look ahead {ahead:g} min' for ahead in LOOK_AHEADS_MIN)} |")
    lines.append("|---" * (1 + len(LOOK_AHEADS_MIN)) + "|")
    for share in SHARES:
        lines.append(f"| {share:g} | {' | '.join(f'{means[share, ahead]:.0f}' for ahead in LOOK_AHEADS_MIN)} |")
    sizes = sorted(set(fleets.tolist()))
    lines += ["", "Report days:", ""]
    lines.append(f"| policy | cost a day, {' / '.join(map(str, sizes))} drivers | the matching less it, 95 % |")
    lines.append("|---|---|---|")
    first = next(iter(rows.values()))
    for policy, cost in rows.items():
        costs = " / ".join(f"{cost[fleets == size].mean():.0f}" for size in sizes)
        against = []
        for size in sizes if cost is not first else []:
            which = fleets == size
            inside = [cluster for cluster, is_in in zip(clusters, which, strict=True) if is_in]
            found = paired_difference(first[which], cost[which], inside)
            against.append(f"{found.mean:+.0f} [{found.low:+.0f}, {found.high:+.0f}]")
        lines.append(f"| {policy} | {costs} | {' / '.join(against) or '-'} |")
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    sys.exit(main())
