#!/usr/bin/env python
"""
Evaluates trained models and rules on the same days: table, intervals, evaluation.json, .csv and .html.

    python evaluate.py                                            all rules on 100 report days of Dispatch-v0, reward V2
    python evaluate.py --model logs/v2/dqn/Dispatch-v0_1 --compare-baseline
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checked import SettingsError, import_packages
from evaluation.options import build_parser

if TYPE_CHECKING:
    from tqdm import tqdm

    from evaluation.comparison import Evaluation

BAD_SETTING, STOPPED = 2, 130  # exit codes


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code is 0 when it is done, 2 for a setting that can't be used."""
    args = build_parser().parse_args(argv)
    try:
        import_packages(args.gym_packages)
        if args.list_policies:
            from baselines.registry import describe

            print(describe())
            return 0
        if args.output:
            check_output(Path(args.output))
        evaluation, folder = evaluate(args, " ".join(["evaluate.py", *(sys.argv[1:] if argv is None else argv)]))
    except SettingsError as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return BAD_SETTING
    except (Stopped, KeyboardInterrupt):
        print("Stopped before the first of them had played all days; nothing is kept.", file=sys.stderr)
        return STOPPED
    from evaluation.files import write_somewhere
    from evaluation.table import text

    print(text(evaluation), flush=True)
    try:
        (json_path, *others), failure = write_somewhere(evaluation, folder)
    except OSError as error:
        print(f"evaluate.py: the results can't be written anywhere ({error}); the table is all.", file=sys.stderr)
        return BAD_SETTING
    if failure is not None:
        print(f"evaluate.py: {folder} can't be written ({failure.strerror}).", file=sys.stderr)
    print(f"Results: {json_path}, {' and '.join(path.name for path in others)}")
    if failure is not None:
        return BAD_SETTING
    return STOPPED if evaluation.about.get("stopped") else 0


def packages_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Names of the user's own packages."""
    return tuple(package.partition(".")[0] for package in args.gym_packages)


class Stopped(Exception):
    """Ctrl-C before anybody had played all days."""


def check_output(folder: Path) -> None:
    """Refuse a folder that can't be written before hours are spent."""
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise SettingsError(f"--output {folder}: {there} is no folder that can be written. Name another one.")


def play_all(policies: Sequence[Any], play_one: Callable[[Any], Any]) -> tuple[list[Any], str | None]:
    """
    What each policy did; after Ctrl-C what those did that had finished, and a note about it.

    Raises
    ------
    Stopped
        When nobody had finished.
    """
    played: list[Any] = []
    try:
        for policy in policies:
            played.append(play_one(policy))
    except KeyboardInterrupt:
        if not played:
            raise Stopped from None
        missing = ", ".join(policy.name for policy in policies[len(played) :])
        return played, f"stopped by Ctrl-C: {missing} did not play all days and are left out."
    return played, None


def evaluate(args: argparse.Namespace, command: str) -> tuple[Evaluation, Path]:
    """Let everybody play, with a bar that says how far they are; returns the folder for the files too."""
    from evaluation.progress import progress_bar

    with progress_bar("day") as bar:
        return _evaluate(args, command, bar)


def _evaluate(args: argparse.Namespace, command: str, bar: tqdm[Any]) -> tuple[Evaluation, Path]:
    """Resolve the arguments, let everybody play, and return the evaluation and the folder for its files."""
    from baselines.replanners import Replanner
    from evaluation.comparison import Evaluation
    from evaluation.files import commit_and_versions
    from evaluation.foreign import evaluate_foreign
    from evaluation.players import choose_rules, load_models, make_ensembles, pool_seeds
    from evaluation.progress import days_of
    from evaluation.reference import make_reference
    from evaluation.runner import play
    from evaluation.runs import find_runs, folder_for_results
    from evaluation.setup import (
        SCENARIO_OF,
        day_notes,
        make_arena,
        make_cases,
        make_env,
        make_scenario,
        resolve_world,
        usual_objective,
    )

    runs = find_runs(args.model, args.checkpoints or ["best"], args.algo)
    runs = [replace(run, is_trusted=args.trust, packages=packages_of(args)) for run in runs]
    env_id, reward, overrides, scenario_name = resolve_world(args, [run.settings for run in runs])
    folder = Path(args.output) if args.output else folder_for_results(runs)
    if env_id not in SCENARIO_OF:
        kwargs = overrides if scenario_name is None else {**overrides, "scenario": scenario_name}
        evaluation = evaluate_foreign(args, env_id, reward, kwargs, runs, bar)
        evaluation.about["command"] = command
        return evaluation, folder
    scenario = make_scenario(env_id, scenario_name, overrides)
    cases = make_cases(args, scenario)
    objective = args.objective or usual_objective(scenario, from_files=bool(args.days_from) or reward is None)
    rules, notes, settings = choose_rules(args, env_id, reward, scenario, objective)
    arena = make_arena(scenario, reward, cases)
    models = load_models(runs, make_env(env_id, scenario, reward)) if runs else []
    files = {model.name: str(run.path) for model, run in zip(models, runs, strict=True)}
    pools = pool_seeds(runs, [model.name for model in models])
    if args.also_ensemble is not None:
        ensembles, pools_of_ensembles = make_ensembles(pools, runs, models, args.also_ensemble)
        models, pools = [*models, *ensembles], pools | pools_of_ensembles
    bar.reset(total=(len(models) + len(rules) + bool(args.hindsight)) * len(cases))
    players = [*models, *rules]

    def play_one(policy: Any) -> Any:
        return play(
            policy,
            cases,
            scenario,
            reward,
            measure_latency=not args.no_latency,
            arena=arena,
            with_margin=env_id != "Dispatch-v0",  # V3 is made for the operating day
            on_progress=days_of(bar, policy.name),
        )

    played, stopped = play_all(players, play_one)
    finished = {each.name for each in players[: len(played)]}
    pools = {name: members for name, members in pools.items() if finished.issuperset(members)}
    reference = None
    if args.hindsight and not stopped:
        limits, on_progress = (args.hindsight, args.bound), days_of(bar, "hindsight")
        try:
            reference = make_reference(cases, played, scenario, reward, objective, *limits, on_progress=on_progress)
        except KeyboardInterrupt:
            stopped = "stopped by Ctrl-C: there are no plans made with hindsight."
    evaluation = Evaluation(
        env_id=env_id,
        scenario=scenario.name,
        reward=reward,
        objective=objective,
        models=played[: len(models)],
        rules=played[len(models) :],
        pools=pools,
        notes=notes + day_notes(args, cases) + ([stopped] if stopped else []),
        replanners=[rule.name for rule in rules if isinstance(rule, Replanner) and rule.name in finished],
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
            "models": {name: path for name, path in files.items() if name in finished},
            "command": command,
            **({"stopped": True} if stopped else {}),
            **commit_and_versions(),
        },
    )
    return evaluation, folder


if __name__ == "__main__":
    sys.exit(main())
