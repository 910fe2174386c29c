"""
The table of a version's weights, and at which lateness losing a patient would pay better than serving late.
"""

from __future__ import annotations

import math
from pathlib import Path

from envs.world.records import Leg
from reward.limits import PRIORITIES, break_even_lateness_min
from reward.payer import RewardFunction
from reward.weights import WEIGHTS, Entry


def describe(version: str | Path | RewardFunction) -> str:
    """The weights of a version as text, one line each, thresholds beside what they belong to."""
    function = version if isinstance(version, RewardFunction) else RewardFunction.load(version)
    weights = function.weights
    lines = [f"Reward {weights.name}, in {weights.unit}. Paid as written.", ""]
    for name, entry in _shown(function):
        value = weights[name]
        number = f"{value:g}" if entry.sign == 0 else f"{value:+g}"
        lines.append(f"  {name:<28}{number:>8}  {entry.unit.format(unit=weights.unit):<16}{entry.meaning}")
    lines += [
        "",
        f"One trip pays at most {function.bound:g} {weights.unit} either way: the scale of pair_reward.",
        "",
        "Losing a patient pays better than serving them late (up to "
        f"{weights.limits['longest_lateness_min']:g} min, on the worst plausible trip):",
    ]
    for priority in PRIORITIES:
        outbound, back = (_beyond(break_even_lateness_min(weights, priority, leg)) for leg in Leg)
        lines.append(f"  priority {priority}: " + (outbound if outbound == back else f"{outbound}; return {back}"))
    return "\n".join(lines)


def _shown(function: RewardFunction) -> list[tuple[str, Entry]]:
    """The weights that this version uses, each followed by its thresholds."""
    shown, is_used = [], False
    for name, entry in WEIGHTS.items():
        is_threshold = entry.sign == 0 or name == "lateness_worst"
        if math.isinf(function.weights[name]):
            continue
        if not is_threshold:
            is_used = function.weights[name] != 0.0
        if is_used:
            shown.append((name, entry))
    return shown


def _beyond(lateness_min: float | None) -> str:
    return "never" if lateness_min is None else f"beyond {lateness_min:g} min"
