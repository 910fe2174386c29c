"""The teacher of ``branching_dqn``: from the name in a YAML file to the rule itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baselines import RULE_NAMES, rule_class


def with_rule(teacher: Mapping[str, Any]) -> dict[str, Any]:
    """
    The YAML value of ``teacher`` with the rule in the place of its name and ``settings``.

    Raises
    ------
    ValueError
        For an unknown rule, a re-planner (it gives orders past the action, so it can't be asked only) or settings that
        the rule doesn't have.
    """
    if not isinstance(teacher.get("rule"), str):
        return dict(teacher)
    name, numbers = teacher["rule"], teacher.get("settings") or {}
    rule = rule_class(name)
    if name not in RULE_NAMES:
        raise ValueError(f"teacher: '{name}' is a re-planner. Choose a rule: {', '.join(RULE_NAMES)}.")
    if numbers and not hasattr(rule, "space"):
        raise ValueError(f"teacher: rule '{name}' has no settings. Leave settings out.")
    return {**{key: value for key, value in teacher.items() if key != "settings"}, "rule": rule(**numbers)}
