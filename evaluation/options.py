"""What ``evaluate.py`` can be told. Imports nothing heavy, so that --help answers at once."""

from __future__ import annotations

import argparse
from typing import Any


class Gone(argparse.Action):
    """An option of before; whoever still gives it is told where its result stands."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.error(
            f"{self.option_strings[0]} is gone, it bought nothing: docs/results/tried-without-gain.md. Leave it out."
        )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Evaluate trained models and rules on the same days.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    who = parser.add_argument_group("who plays")
    who.add_argument(
        "--model",
        nargs="+",
        default=[],
        metavar="PATH",
        help="zips, run folders or names of shipped models; none: the rules alone",
    )
    who.add_argument(
        "--trust", action="store_true", help="load what is pickled in the models' files, too, which runs what is in it"
    )
    who.add_argument("--algo", help="algorithm of a zip without its run folder (default: recognised)")
    which = who.add_mutually_exclusive_group()
    which.add_argument("--load-best", dest="checkpoints", action="store_const", const=["best"], help="best model")
    which.add_argument("--last", dest="checkpoints", action="store_const", const=["last"], help="last model")
    which.add_argument(
        "--best-and-last", dest="checkpoints", action="store_const", const=["best", "last"], help="both, side by side"
    )
    who.add_argument(
        "--also-ensemble",
        type=int,
        nargs="?",
        const=0,
        metavar="SIZE",
        help="let branching_dqn models that differ in the training seed only also play as one, by their mean Q-values; "
        "SIZE: in groups of so many",
    )
    who.add_argument("--also-matching", nargs=0, action=Gone, help=argparse.SUPPRESS)
    who.add_argument("--compare-baseline", action="store_true", help="let the rules play beside the models")
    who.add_argument(
        "--policies", nargs="+", metavar="NAME", help="only these rules or re-planners (default: all rules)"
    )
    who.add_argument(
        "--replan-ms", type=float, default=100.0, help="re-planners: time limit of the solver per decision"
    )
    who.add_argument("--replan-seed", type=int, default=0, help="re-planners: seed of the solver")
    where = parser.add_argument_group("what is played")
    where.add_argument("--env", help="id (default: the model's, else Dispatch-v0, with --days-from DispatchDay-v0)")
    where.add_argument(
        "--gym-packages", nargs="+", default=[], metavar="PACKAGE", help="import these first: they register your own"
    )
    where.add_argument("--scenario", help="name or path (default: the model's or the environment's)")
    where.add_argument("--reward", help="v1, v2, v3, a YAML file of weights or none (default: the model's, else v2)")
    where.add_argument("--num-drivers", type=int, help="drivers N (default: the model's, else the scenario's)")
    where.add_argument("--max-bookings", type=int, help="slots M (default: the model's, else the scenario's)")
    where.add_argument("--plan-improvement", choices=["on", "off"], help="(default: the scenario's)")
    where.add_argument(
        "--env-kwargs", nargs="+", default=[], metavar="KEY:VALUE", help="further settings, such as max_lateness_min:30"
    )
    who.add_argument("--list-policies", action="store_true", help="say what each rule does, and end")
    days = parser.add_argument_group("on which days")
    days.add_argument("--episodes", type=int, default=100, help="generated days")
    days.add_argument("--seed", type=int, default=2_000_000, help="number of the first day")
    days.add_argument("--days-from", nargs="+", metavar="FOLDER", help="days from files instead")
    days.add_argument("--days", metavar="RANGES", help="service days of --days-from, such as 60-89 (default: all)")
    days.add_argument(
        "--columns",
        metavar="NAMES",
        help="what columns and values are called in the files of --days-from: fr, de, it or a YAML file",
    )
    out = parser.add_argument_group("how it is judged")
    out.add_argument(
        "--objective",
        choices=["reward", "cost", "cost_with_lateness"],
        help="what decides; cost: deadhead minutes + 300 per lost booking (default: reward, with --days-from cost, "
        "or cost_with_lateness where pickups may be late)",
    )
    out.add_argument(
        "--output",
        metavar="DIR",
        help="for the files (default: the run folder of a model of yours, evaluation_2, _3, ... in it when it has "
        "some, else logs/evaluation_1, _2, ...)",
    )
    out.add_argument(
        "--hindsight",
        type=int,
        nargs="?",
        const=10_000,
        metavar="ITERATIONS",
        help="also plan each day with hindsight, with so many iterations (10000), and show the gap to it; kept in "
        "logs/hindsight",
    )
    out.add_argument("--bound", type=float, default=0.0, metavar="SECONDS", help="and prove a bound, so long a day")
    out.add_argument("--all-pairs", action="store_true", help="say who is significantly better than whom")
    out.add_argument("--no-latency", action="store_true", help="don't measure the time per decision")
    return parser
