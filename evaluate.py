#!/usr/bin/env python
"""
Evaluates trained models and rules on the same days: table, intervals, evaluation.json and evaluation.csv.

    python evaluate.py                                            all rules on 100 report days of Dispatch-v0, reward V2
    python evaluate.py --model logs/v2/dqn/Dispatch-v0_1 --compare-baseline
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

BAD_SETTING = 2  # exit code


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
    who.add_argument("--algo", help="algorithm of a zip without its run folder (default: recognised)")
    which = who.add_mutually_exclusive_group()
    which.add_argument("--load-best", dest="checkpoints", action="store_const", const=["best"], help="best model")
    which.add_argument("--last", dest="checkpoints", action="store_const", const=["last"], help="last model")
    which.add_argument(
        "--best-and-last", dest="checkpoints", action="store_const", const=["best", "last"], help="both, side by side"
    )
    who.add_argument(
        "--also-matching",
        action="store_true",
        help="let each maskable_dqn play a second time, its pair values inside a matching of drivers and bookings",
    )
    who.add_argument(
        "--also-ensemble",
        type=int,
        nargs="?",
        const=0,
        metavar="SIZE",
        help="let maskable_dqn models that differ in the training seed only also play as one, by their mean Q-values; "
        "SIZE: in groups of so many",
    )
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
        help="for the files (default: the run folder of a model of yours, else logs/evaluation)",
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


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code is 0 when it is done, 2 for a setting that can't be used."""
    args = build_parser().parse_args(argv)
    if args.list_policies:
        print(describe_rules())
        return 0
    from evaluation.models import ModelError
    from evaluation.setup import SetupError

    try:
        evaluation, folder = evaluate(args, argv)
    except (SetupError, ModelError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return BAD_SETTING
    json_path, *others = evaluation.write(folder)
    print(evaluation.text())
    print(f"Results: {json_path}, {' and '.join(path.name for path in others)}")
    return 0


def evaluate(args: argparse.Namespace, argv: list[str] | None = None) -> tuple[Any, Path]:
    """Resolve the arguments, let everybody play, and return the Evaluation and the folder for its files."""
    from baselines.replanners import Replanner
    from evaluation.models import TRAINED_AGENTS, by_name, find_run, load_policy
    from evaluation.report import Evaluation
    from evaluation.runner import num_rows_for, play
    from evaluation.setup import cases_from_folders, check_sizes, generated_cases, make_scenario, usual_objective

    if args.model:
        import torch

        torch.set_num_threads(1)
    paths = [path for given in args.model for path in by_name(given)]
    runs = [find_run(path, which, args.algo) for path in paths for which in args.checkpoints or ["best"]]
    env_id, reward, overrides, scenario_name = resolve_world(args, [run.settings for run in runs])
    scenario = make_scenario(env_id, scenario_name, overrides)
    if args.days_from:
        cases = cases_from_folders(args.days_from, args.days, scenario)
    else:
        cases = generated_cases(args.seed, args.episodes, scenario)
    check_sizes(cases, scenario)
    objective = args.objective or usual_objective(scenario, from_files=bool(args.days_from) or reward is None)
    rules, notes, settings = choose_rules(args, env_id, reward, scenario, objective)
    notes += day_notes(args, cases)
    arena = make_arena(scenario, reward, num_rows_for(cases))
    models = []
    if runs:
        env = make_env(env_id, scenario, reward)
        models = [load_policy(run, env) for run in runs]
        for i, model in enumerate(models):  # two zips may have the same name
            if any(other.name == model.name for other in models[:i]):
                model.name = f"{model.name} #{i + 1}"
    pools = pool_seeds(runs, [model.name for model in models])
    files = {model.name: str(run.path) for model, run in zip(models, runs, strict=True)}
    ensembles: list[Any] = []
    if args.also_ensemble is not None:
        ensembles, pools_of_ensembles = make_ensembles(pools, runs, models, args.also_ensemble)
        pools |= pools_of_ensembles
    if args.also_matching:
        matched = [(run, with_matching(model)) for run, model in zip(runs, models, strict=True) if can_match(run)]
        pools |= pool_seeds([run for run, _ in matched], [model.name for _, model in matched], ", matching")
        files |= {model.name: str(run.path) for run, model in matched}
        models += [model for _, model in matched]
    models += ensembles
    progress = Progress(len(models) + len(rules) + bool(args.hindsight), len(cases))
    played = []
    for policy in [*models, *rules]:
        played.append(
            play(
                policy,
                cases,
                scenario,
                reward,
                measure_latency=not args.no_latency,
                arena=arena,
                with_margin=env_id != "Dispatch-v0",  # V3 is made for the operating day
                on_progress=progress.of(policy.name),
            )
        )
    reference = None
    if args.hindsight:
        from evaluation.gap import make_reference

        reference = make_reference(
            cases, played, scenario, reward, objective, args.hindsight, args.bound, on_progress=progress.of("hindsight")
        )
    progress.finish()
    evaluation = Evaluation(
        env_id=env_id,
        scenario=scenario.name,
        reward=reward,
        objective=objective,
        models=played[: len(models)],
        rules=played[len(models) :],
        pools=pools,
        notes=notes,
        replanners=[rule.name for rule in rules if isinstance(rule, Replanner)],
        reference=reference,
        compares_all=args.all_pairs,
        about={
            "scenario_fingerprint": scenario.fingerprint(),
            "num_drivers": scenario.num_drivers,
            "max_bookings": scenario.max_bookings,
            "plan_improvement": scenario.rules.plan_improvement,
            "max_lateness_min": scenario.rules.max_lateness_min,
            "rule_settings": settings,
            "replan_ms": args.replan_ms,
            "replan_seed": args.replan_seed,
            "models": files,
            "command": " ".join(["evaluate.py", *(sys.argv[1:] if argv is None else argv)]),
            **commit_and_versions(),
        },
    )
    # Shipped models are part of the project: nothing is written among them.
    own = (run.folder for run in runs if run.folder is not None and TRAINED_AGENTS not in run.folder.resolve().parents)
    default = next(own, None) or Path("logs/evaluation")
    return evaluation, Path(args.output) if args.output else default


def describe_rules() -> str:
    """Each rule with what it sees and does."""
    import textwrap

    from baselines import REPLANNERS, RULES
    from baselines.rules import TunableRule

    lines = []
    for rule in (*RULES, *REPLANNERS):
        sees = "sees the backlog" if rule.sees_backlog else "sees the slots only"
        traits = [sees, *(["needs a reward"] if rule.needs_reward else [])]
        traits += ["tuned"] if issubclass(rule, TunableRule) else []
        lines.append(f"{rule.name} ({', '.join(traits)})")
        lines += textwrap.wrap(rule.description, 116, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def resolve_world(
    args: argparse.Namespace, settings: list[dict[str, Any]]
) -> tuple[str, str | None, dict[str, Any], str | None]:
    """Environment id, reward, overrides and scenario: the command line goes before the models' run folders."""
    from evaluation.setup import SetupError, parse_values

    known = [given for given in settings if given]
    for key in ("env", "reward"):
        values = sorted({str(given.get(key)) for given in known})
        if len(values) > 1 and getattr(args, key) is None:
            raise SetupError(
                f"the models were trained with different settings of {key}: {', '.join(values)}. Evaluate them apart, "
                f"or say with --{key} which one to use."
            )
    of_model = known[0] if known else {}
    env_id = args.env or of_model.get("env") or ("DispatchDay-v0" if args.days_from else "Dispatch-v0")
    reward = args.reward or of_model.get("reward") or "v2"
    overrides = dict(of_model.get("env_kwargs") or {}) if env_id == of_model.get("env") else {}
    for key in ("days", "day_list", "in_order", "render_mode"):
        overrides.pop(key, None)
    scenario = overrides.pop("scenario", None)
    if scenario is None and args.days_from and env_id == "DispatchDay-v0":
        scenario = "paratransit"  # the shipped scenario whose days come from files
    if args.scenario is not None:
        scenario, overrides = args.scenario, {}
    overrides.update(parse_values(args.env_kwargs))
    scenario = overrides.pop("scenario", scenario)
    for key in ("num_drivers", "max_bookings"):
        if getattr(args, key) is not None:
            overrides[key] = getattr(args, key)
    if args.plan_improvement is not None:
        overrides["plan_improvement"] = args.plan_improvement == "on"
    return env_id, None if reward == "none" else reward, overrides, scenario


def choose_rules(
    args: argparse.Namespace, env_id: str, reward: str | None, scenario: Any, objective: str
) -> tuple[list[Any], list[str], dict[str, Any]]:
    """The rules that play, notes about them, and the settings of those that have any."""
    from baselines import make_rules, tuned_settings
    from baselines.planning.solvers import SolverMissing
    from evaluation.setup import SetupError

    if args.model and not args.compare_baseline and not args.policies:
        return [], [], {}
    tuned = tuned_settings(
        env_id,
        reward,
        scenario=scenario.name,
        plan_improvement=scenario.rules.plan_improvement,
        gives_back=scenario.rules.gives_back,
        objective=objective,
    )
    try:
        rules = make_rules(
            args.policies,
            tuned,
            has_reward=reward is not None,
            judged_by=objective,
            replan_ms=args.replan_ms,
            replan_seed=args.replan_seed,
        )
    except (ValueError, SolverMissing) as error:
        raise SetupError(f"--policies: {error}") from error
    untuned = untuned_rules(rules, tuned)
    notes = []
    if untuned:
        notes.append(
            f"not tuned for these settings, so with their defaults: {', '.join(untuned)} (python -m baselines.tune)."
        )
    return rules, notes, {rule.name: rule.settings() for rule in rules if rule.settings()}


def untuned_rules(rules: list[Any], tuned: dict[str, Any]) -> list[str]:
    """Names of the tunable rules that play with their defaults; what was found for one re-planner serves all."""
    from baselines import REPLANNERS
    from baselines.rules import TunableRule

    is_shared = any(replanner.name in tuned for replanner in REPLANNERS)
    return [
        rule.name
        for rule in rules
        if isinstance(rule, TunableRule) and rule.name not in tuned and not (is_shared and isinstance(rule, REPLANNERS))
    ]


def day_notes(args: argparse.Namespace, cases: list[Any]) -> list[str]:
    """What the reader must know about the days."""
    unservable = sum(case.num_unservable for case in cases)
    notes = []
    if unservable:
        notes.append(f"{unservable} bookings could not be served by any shift: they count as lost, not in the cost.")
    if not args.days_from and args.seed < 2_000_000:
        notes.append(f"days from {args.seed} on are training or selection days; show results on days from 2000000 on.")
    return notes


def make_arena(scenario: Any, reward: str | None, num_rows: int) -> Any:
    from evaluation.runner import Arena
    from evaluation.setup import SetupError

    try:
        return Arena(scenario, reward, num_rows)
    except (ValueError, OSError) as error:
        raise SetupError(f"--reward {reward}: {error}") from error


def make_env(env_id: str, scenario: Any, reward: str | None) -> Any:
    """The environment that models were made for, wrapped in its reward."""
    import gymnasium as gym

    import envs  # noqa: F401 - registers the ids
    from reward import RewardWrapper

    env = gym.make(env_id, scenario=scenario)
    return env if reward is None else RewardWrapper(env, reward)


def can_match(run: Any) -> bool:
    return run.algo == "maskable_dqn"


def with_matching(policy: Any) -> Any:
    """The same model with its pair values inside a matching of drivers and bookings."""
    from agents.hybrid import MatchingPolicy
    from evaluation.models import ModelPolicy

    return ModelPolicy(f"{policy.name}, matching", MatchingPolicy(policy.model), policy.reward_function)


def make_ensembles(
    pools: dict[str, list[str]], runs: list[Any], models: list[Any], size: int
) -> tuple[list[Any], dict[str, list[str]]]:
    """
    Models of each pool as ensembles of ``size`` (0: one of all), in the order given, those left over in none; and
    where there are several ensembles, them as one method.
    """
    from agents.ensemble import EnsemblePolicy
    from evaluation.models import ModelPolicy
    from evaluation.setup import SetupError

    by_name = {model.name: (run, model) for run, model in zip(runs, models, strict=True)}
    ensembles: list[Any] = []
    pools_of_ensembles: dict[str, list[str]] = {}
    for pool, members in pools.items():
        found = [by_name[name] for name in members]
        if not all(can_match(run) for run, _ in found):
            continue
        if not 0 <= size <= len(found) or size == 1:
            raise SetupError(f"--also-ensemble {size}: expected 2 to {len(found)} of the models of '{pool}'.")
        size_here = size or len(found)
        groups = [found[i : i + size_here] for i in range(0, len(found) - size_here + 1, size_here)]
        names = []
        for group in groups:
            run, seeds = group[0][0], " ".join(str(run.settings.get("seed")) for run, _ in group)
            taken = [each.name for each in ensembles]
            names.append(unused(f"{run.algo}, mean of seeds {seeds} ({run.checkpoint})", taken))
            ensemble = EnsemblePolicy([model.model for _, model in group])
            ensembles.append(ModelPolicy(names[-1], ensemble, group[0][1].reward_function))
        if len(names) > 1:
            name = f"{found[0][0].algo}, {len(names)} means of {size_here} seeds ({found[0][0].checkpoint})"
            pools_of_ensembles[unused(name, pools_of_ensembles)] = names
    if not ensembles:
        raise SetupError(
            "--also-ensemble: no maskable_dqn models that differ in the training seed only. Name two or more."
        )
    return ensembles, pools_of_ensembles


def pool_seeds(runs: list[Any], names: list[str], suffix: str = "") -> dict[str, list[str]]:
    """Models with the same settings but other training seeds, as one method each."""
    groups: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(run.group, []).append(i)
    pools: dict[str, list[str]] = {}
    for members in groups.values():
        seeds = {runs[i].settings.get("seed") for i in members}
        if len(members) > 1 and len(seeds) == len(members):
            run = runs[members[0]]
            name = f"{run.algo}, {len(members)} seeds ({run.checkpoint}){suffix}"
            pools[unused(name, pools)] = [names[i] for i in members]
    return pools


def unused(name: str, taken: Any) -> str:
    """The name, with primes until nothing else has it."""
    while name in taken:
        name += "'"
    return name


def commit_and_versions() -> dict[str, Any]:
    """The commit of this checkout and the versions that decide what comes out; null outside a git checkout."""
    import importlib.metadata
    import platform
    import subprocess

    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).resolve().parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        commit = done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = None
    packages = ("numpy", "numba", "stable_baselines3", "torch")
    versions = {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}
    return {"commit": commit, "versions": versions}


class Progress:
    """A line on stderr that says who plays and how far they are."""

    def __init__(self, num_policies: int, num_days: int) -> None:
        self.num_policies, self.num_days = num_policies, num_days
        self.index = 0
        self.is_terminal = sys.stderr.isatty()
        self.start = time.monotonic()

    def of(self, name: str) -> Any:
        """Callback for the days of the next policy."""
        self.index += 1
        index = self.index

        def show(done: int) -> None:
            line = f"[{index}/{self.num_policies}] {name}: {done} of {self.num_days} days"
            if self.is_terminal:
                print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
            elif done == self.num_days:
                print(f"{line}, {time.monotonic() - self.start:.0f} s", file=sys.stderr, flush=True)

        return show

    def finish(self) -> None:
        if self.is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
