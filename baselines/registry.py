"""All policies to beat by their names: the rules, and above them the re-planners."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from baselines.policy import Policy, TunableRule
from baselines.replanners import DEFAULT_LIMIT_MS, REPLANNERS, Replanner
from baselines.rules import RULES
from checked import SettingsError, nearest

RULE_NAMES = tuple(rule.name for rule in RULES)
_of_others: dict[str, type[Policy]] = {}


def register_rule(rule: type[Policy]) -> type[Policy]:
    """
    Let ``--policies`` and ``--compare-baseline`` find a rule of another package (``--gym-packages``).

    Raises
    ------
    ValueError
        When a rule or re-planner of ours has its name.
    """
    if rule.name in {known.name for known in (*RULES, *REPLANNERS)}:
        raise SettingsError(f"a rule is called '{rule.name}' already. Give {rule.__qualname__} another name.")
    _of_others[rule.name] = rule
    return rule


def rules_and_replanners() -> list[type[Policy]]:
    """All that can be named; those of others stand after our rules."""
    return [*RULES, *_of_others.values(), *REPLANNERS]


def rule_class(name: str) -> type[Policy]:
    """
    The rule or re-planner of that name.

    Raises
    ------
    ValueError
        For an unknown name, naming the nearest known one.
    """
    known = {rule.name: rule for rule in rules_and_replanners()}
    if name in known:
        return known[name]
    raise SettingsError(f"unknown policy '{name}'. {nearest(name, known)}")


def make_rules(
    names: Iterable[str] | None = None,
    tuned: dict[str, dict[str, float]] | None = None,
    *,
    has_reward: bool = True,
    judged_by: str = "reward",
    replan_ms: float | None = None,
    replan_seed: int = 0,
) -> list[Policy]:
    """
    The rules (all without names) or re-planners of these names, with ``tuned`` values where there are any.

    Without a reward, the rules that choose by it are left out, unless they were named: then that is an error. All
    re-planners plan by the same model of the day, so one that was not tuned itself takes what was found for another.

    Parameters
    ----------
    judged_by, replan_ms, replan_seed
        Of re-planners: what the day is judged by, time limit per decision and seed of the solver.
    """
    tuned = tuned or {}
    of_replanners = next((tuned[rule.name] for rule in REPLANNERS if rule.name in tuned), {})
    classes = [rule_class(name) for name in names] if names is not None else [*RULES, *_of_others.values()]
    rules: list[Policy] = []
    for rule in classes:
        if rule.needs_reward and not has_reward:
            if names is not None:
                raise ValueError(f"rule '{rule.name}' chooses by what the reward would pay. Pass --reward v2.")
            continue
        if issubclass(rule, Replanner):
            limit_ms = DEFAULT_LIMIT_MS if replan_ms is None else replan_ms
            settings = tuned.get(rule.name, of_replanners)
            rules.append(rule(limit_ms, replan_seed, judged_by, **settings))
        else:
            rules.append(rule(**tuned.get(rule.name, {})) if issubclass(rule, TunableRule) else rule())
    return rules


def describe() -> str:
    """Each rule and re-planner with what it sees and does, within 120 characters a line."""
    lines = []
    for rule in rules_and_replanners():
        sees = "sees the backlog" if rule.sees_backlog else "sees the slots only"
        traits = [sees, *(["needs a reward"] if rule.needs_reward else [])]
        traits += ["tuned"] if issubclass(rule, TunableRule) else []
        lines.append(f"{rule.name} ({', '.join(traits)})")
        lines += textwrap.wrap(rule.description, 116, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def untuned(rules: Iterable[Policy], tuned: dict[str, dict[str, float]]) -> list[str]:
    """Names of the tunable rules that play with their defaults; what was found for one re-planner serves all."""
    is_shared = any(replanner.name in tuned for replanner in REPLANNERS)
    return [
        rule.name
        for rule in rules
        if isinstance(rule, TunableRule) and rule.name not in tuned and not (is_shared and isinstance(rule, Replanner))
    ]
