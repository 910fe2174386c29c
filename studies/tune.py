"""
Finds the settings of the tunable rules on selection days and keeps them in ``tuned.yml``.

    python -m studies.tune --env Dispatch-v0 --reward v2
    python -m studies.tune --env DispatchDay-v0 --scenario paratransit --days-from FOLDER --days 45-59
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines import RULES, rule_class
from baselines.policy import TunableRule
from baselines.replanners import Replanner
from baselines.tuned import TUNED_PATH, Entry, read_tuned, shipped_name, weights_fingerprint, write_tuned
from envs.kpis import KPI_NAMES, episode_kpis
from evaluation.comparison import OBJECTIVES
from evaluation.runner import Arena
from evaluation.setup import (
    FIRST_SELECTION_DAY,
    NUM_GENERATED_DAYS,
    SetupError,
    cases_from_folders,
    check_sizes,
    generated_cases,
    make_scenario,
    parse_values,
    usual_objective,
)

NUM_STARTUP_TRIALS = 40  # drawn at random before TPE begins to learn from them
LOCAL_SHARE = 0.4  # of the trials, the last ones: small changes of the best values so far
LOCAL_STD = 0.08  # of a change, as a share of the range
NUM_LOCAL_SETTINGS = 3  # changed at once, on average
MARGIN = 0.1  # a value found this close to the edge of its range, as a share of the range, is reported


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m studies.tune",
        description="Tune the rules on selection days.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--env", default="Dispatch-v0", help="environment id")
    parser.add_argument("--reward", default="v2", help="v1, v2, v3 or a YAML file of weights")
    parser.add_argument("--scenario", help="name or path (default: the environment's)")
    parser.add_argument("--plan-improvement", choices=["on", "off"], help="(default: the scenario's)")
    parser.add_argument("--num-drivers", type=int, help="(default: the scenario's)")
    parser.add_argument("--env-kwargs", nargs="+", default=[], metavar="KEY:VALUE", help="such as load:2.0")
    parser.add_argument("--episodes", type=int, default=500, help="selection days, from number 1000000 on")
    parser.add_argument("--days-from", nargs="+", metavar="FOLDER", help="days from files instead")
    parser.add_argument("--days", metavar="RANGES", help="selection days of --days-from, such as 45-59")
    parser.add_argument(
        "--objective", choices=["reward", "cost", "cost_with_lateness"], help="(default: as evaluate.py)"
    )
    parser.add_argument("--rules", nargs="+", metavar="NAME", help="only these (default: all that can be tuned)")
    parser.add_argument("--trials", type=int, default=300, help="per rule; rules with one setting take a fifth")
    parser.add_argument("--seed", type=int, default=0, help="of the search")
    parser.add_argument("--replan-ms", type=float, default=2.0, help="re-planners: time limit per decision")
    parser.add_argument("--output", default=str(TUNED_PATH), metavar="FILE", help="where the values are kept")
    return parser


def tune_rule(
    rule: type[TunableRule],
    score: Callable[[TunableRule], float],
    num_trials: int,
    *,
    seed: int = 0,
    starts: Sequence[dict[str, float]] = (),
    on_progress: Callable[[int, float], None] | None = None,
) -> tuple[dict[str, float], float, float]:
    """
    Search the rule's space for the highest score.

    First its defaults, its own starts and ``starts``; then random draws, TPE, and small changes of the best.

    Returns
    -------
    values, score with them, score with the defaults
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(
        seed=seed,
        multivariate=True,
        n_startup_trials=min(NUM_STARTUP_TRIALS, num_trials // 3),
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for start in ({}, *rule.starts, *starts):
        study.enqueue_trial({name: start.get(name, default) for name, (_, _, default) in rule.space.items()})

    def objective(trial: optuna.Trial) -> float:
        values = {name: round(trial.suggest_float(name, low, high), 3) for name, (low, high, _) in rule.space.items()}
        result = score(rule(**values))
        if on_progress is not None:
            on_progress(trial.number + 1, max(result, study.best_value if trial.number else result))
        return result

    num_local = int(LOCAL_SHARE * num_trials)
    study.optimize(objective, n_trials=num_trials - num_local)
    random = np.random.default_rng(seed)
    for _ in range(num_local):
        near = dict(study.best_params)
        for name, (low, high, _) in rule.space.items():
            if random.random() < NUM_LOCAL_SETTINGS / len(rule.space):
                near[name] = float(np.clip(near[name] + random.normal(0.0, LOCAL_STD * (high - low)), low, high))
        study.enqueue_trial(near)
        study.optimize(objective, n_trials=1)
    best = {name: round(value, 3) for name, value in study.best_params.items()}
    assert study.best_value is not None
    return best, float(study.best_value), float(study.trials[0].value)  # type: ignore[arg-type]


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code is 0 when it is done, 2 for a setting that can't be used."""
    args = build_parser().parse_args(argv)
    try:
        entry = tune(args, argv)
    except SetupError as error:
        print(f"studies.tune: {error}", file=sys.stderr)
        return 2
    write_tuned(entry, Path(args.output))
    for name, found in entry.rules.items():
        print(f"{name}: {found['mean']:.1f} (untuned {found['untuned_mean']:.1f})")
    print(f"Tuned values: {args.output}")
    return 0


def tune(args: argparse.Namespace, argv: list[str] | None = None) -> Entry:
    """Tune every rule that was asked for, one after the other."""
    overrides = parse_values(args.env_kwargs)
    if args.num_drivers is not None:
        overrides["num_drivers"] = args.num_drivers
    if args.plan_improvement is not None:
        overrides["plan_improvement"] = args.plan_improvement == "on"
    scenario = make_scenario(args.env, args.scenario, overrides)
    if args.days_from:
        cases = cases_from_folders(args.days_from, args.days, scenario)
        days = f"service days {args.days or 'all'} of {len(args.days_from)} folders"
    else:
        count = min(args.episodes, NUM_GENERATED_DAYS)
        cases = generated_cases(FIRST_SELECTION_DAY, count, scenario)
        days = f"{FIRST_SELECTION_DAY}-{FIRST_SELECTION_DAY + count - 1}"
    check_sizes(cases, scenario)
    objective = args.objective or usual_objective(scenario, from_files=bool(args.days_from))
    assert objective in KPI_NAMES or objective == "reward"
    try:
        rules = [rule_class(name) for name in args.rules] if args.rules else list(RULES)
    except ValueError as error:
        raise SetupError(f"--rules: {error}") from error
    arena = Arena(scenario, args.reward, len(cases))
    replay = Replay(arena, cases)
    entry = Entry(
        env_id=args.env,
        scenario=shipped_name(scenario),
        plan_improvement=scenario.rules.plan_improvement,
        gives_back=scenario.rules.gives_back,
        reward=Path(args.reward).stem,
        reward_weights=weights_fingerprint(args.reward),
        objective=objective,
        days=days,
    )
    command = " ".join(["python -m studies.tune", *(sys.argv[1:] if argv is None else argv)])
    known = {old.key: old.rules for old in read_tuned(Path(args.output))}.get(entry.key, {})
    for rule in rules:
        if not issubclass(rule, TunableRule):
            continue
        num_trials = args.trials if len(rule.space) > 1 else max(10, args.trials // 5)
        # What is known already of this rule and of its relatives is where the search begins.
        starts = [found["values"] for found in known.values() if len(set(found["values"]) & set(rule.space)) > 1]
        starts += [known[rule.name]["values"]] if rule.name in known and not starts else []

        def show(number: int, best: float, rule: type[TunableRule] = rule, total: int = num_trials) -> None:
            if sys.stderr.isatty() or number % 50 == 0 or number == total:
                end = "\r" if sys.stderr.isatty() and number < total else "\n"
                print(f"{rule.name}: trial {number} of {total}, best {best:.1f}", end=end, file=sys.stderr, flush=True)

        values, best, untuned = tune_rule(
            rule,
            lambda candidate: (
                OBJECTIVES[objective] * float(np.nanmean(replay.play(candidate, objective, args.replan_ms)))
            ),
            num_trials,
            seed=args.seed,
            starts=starts,
            on_progress=show,
        )
        sign = OBJECTIVES[objective]
        entry.rules[rule.name] = {
            "values": values,
            "mean": round(sign * best, 3),
            "untuned_mean": round(sign * untuned, 3),
            "num_trials": num_trials,
            "command": command,
            "at_the_edge": at_the_edge(rule, values),
        }
        known[rule.name] = entry.rules[rule.name]
    return entry


def at_the_edge(rule: type[TunableRule], values: dict[str, float]) -> list[str]:
    """Settings found so near to the edge of their range that a wider one might be better."""
    edge = []
    for name, (low, high, _) in rule.space.items():
        if min(values[name] - low, high - values[name]) < MARGIN * (high - low):
            edge.append(name)
    return edge


class Replay:
    """The same days again and again: loaded once, restored from a copy."""

    def __init__(self, arena: Arena, cases: Sequence[Any]) -> None:
        self.arena, self.cases = arena, cases
        arena.load(cases)
        self._start = [array.copy() for array in arena.batch.world]

    def play(self, rule: Any, objective: str, replan_ms: float = 0.0) -> np.ndarray:
        """The objective of each day."""
        if isinstance(rule, Replanner):
            rule.judged_by, rule.time_limit_ms = objective, replan_ms
        world = self.arena.batch.world
        for array, start in zip(world, self._start, strict=True):
            array[...] = start
        self.arena.reset_reward()
        total, _ = self.arena.run(rule)
        if objective == "reward":
            return total
        return np.array([episode_kpis(world, b, case.num_unservable)[objective] for b, case in enumerate(self.cases)])


if __name__ == "__main__":
    sys.exit(main())
