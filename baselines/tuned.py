"""Reads and writes ``tuned.yml``: the settings found for the tunable rules, with the command that found them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from baselines.policy import TunableRule
from baselines.registry import rule_class
from checked import read_section
from envs.days.scenario import SCENARIO_DIR, Scenario
from reward.weights import WEIGHTS, load_weights

TUNED_PATH = Path(__file__).with_name("tuned.yml")
_HEADER = """\
# Settings of the tunable rules, found on selection days only (never on report days). Written by
# `python -m studies.tune`; each rule keeps the command that found it. Units stand in the names; prices are in the
# units of the reward. reward_weights: what the reward pays, by which it is looked up whatever its file is called.
# mean: objective on the selection days with these values, untuned_mean: with the rule's own defaults, at_the_edge:
# values near the end of the range that was searched. A search also starts from what the file holds already, so tuning
# anew can only find the same or better.
"""


@dataclass
class Entry:
    """What was found for one world and one objective."""

    env_id: str
    scenario: str
    plan_improvement: bool
    reward: str  # its name, for people
    reward_weights: str  # ``weights_fingerprint``: the reward is looked up by what it pays
    objective: str  # reward or cost
    days: str
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> values, mean, untuned_mean, command, ...
    gives_back: bool = False  # plan improvement that may give promised bookings back

    @property
    def key(self) -> tuple[str, str, bool, bool, str, str]:
        return self.env_id, self.scenario, self.plan_improvement, self.gives_back, self.reward_weights, self.objective


def read_tuned(path: Path = TUNED_PATH) -> list[Entry]:
    """
    All entries of the file; none when there is no file.

    Raises
    ------
    ValueError
        For an unknown key, rule or setting.
    """
    if not path.exists():
        return []
    entries = []
    for number, raw in enumerate(yaml.safe_load(path.read_text()) or []):
        entry = read_section(Entry, raw, f"{path.name}, entry {number}")
        for name, found in entry.rules.items():
            rule = rule_class(name)
            if not issubclass(rule, TunableRule):
                raise ValueError(f"{path.name}, entry {number}: rule '{name}' has nothing to tune.")
            rule(**found["values"])  # refuses unknown settings
        entries.append(entry)
    return entries


def write_tuned(entry: Entry, path: Path = TUNED_PATH) -> None:
    """Put ``entry`` into the file; rules of the same key that were not tuned anew stay, and so do all other entries."""
    entries = {old.key: old for old in read_tuned(path)}
    if entry.key in entries:
        entry.rules = {**entries[entry.key].rules, **entry.rules}
    entries[entry.key] = entry
    ordered = []
    for found in sorted(entries.values(), key=lambda found: (*found.key[:4], found.reward, found.objective)):
        plain = asdict(found)
        ordered.append({**{name: value for name, value in plain.items() if name != "rules"}, "rules": plain["rules"]})
    path.write_text(_HEADER + yaml.safe_dump(ordered, sort_keys=False, width=120))


def tuned_settings(
    env_id: str, reward: str | Path | None, scenario: Scenario, objective: str = "reward", path: Path = TUNED_PATH
) -> dict[str, dict[str, float]]:
    """
    Tuned values per rule name for this world and objective; empty when nothing was tuned for them.

    A reward goes by what it pays, not by the name of its file, and so does a scenario that is no shipped one. Rules
    that choose without a reward share what was found under any reward with the same cost as the objective. What was
    not tuned for plan improvement that gives back plays with what was found without.

    Raises
    ------
    ValueError, FileNotFoundError
        For a reward that can't be read.
    """
    weights = None if reward is None else weights_fingerprint(reward)
    rules, found = scenario.rules, dict[str, dict[str, float]]()
    where = (env_id, shipped_name(scenario), rules.plan_improvement, objective)
    entries = [
        entry
        for entry in read_tuned(path)
        if (entry.env_id, entry.scenario, entry.plan_improvement, entry.objective) == where
        and entry.gives_back <= rules.gives_back
    ]
    for entry in sorted(entries, key=lambda entry: (not entry.gives_back, entry.reward_weights != weights)):
        for name, values in entry.rules.items():
            if entry.reward_weights == weights or (objective != "reward" and not rule_class(name).needs_reward):
                found.setdefault(name, values["values"])
    return found


def weights_fingerprint(reward: str | Path) -> str:
    """16 hexadecimal digits of what a reward pays: its weights that aren't at their defaults, whatever its name."""
    weights = load_weights(reward).values
    paid = {name: float(value) for name, value in weights.items() if value != WEIGHTS[name].default}
    return hashlib.sha256(json.dumps(paid, sort_keys=True).encode()).hexdigest()[:16]


def shipped_name(scenario: Scenario) -> str:
    """
    The name of the shipped scenario that this one is, or is a copy of; else its own.

    Fleet, slots, load and plan improvement may differ: tuned values carry over to them, or are kept apart by the entry.
    """
    shipped = {path.stem: Scenario.load(path.stem) for path in sorted(SCENARIO_DIR.glob("*.yml"))}
    if scenario.name in shipped:
        return scenario.name
    exact = (name for name, other in shipped.items() if other.fingerprint() == scenario.fingerprint())
    alike = (name for name, other in shipped.items() if _world(other) == _world(scenario))
    return next(exact, None) or next(alike, None) or scenario.name


def _world(scenario: Scenario) -> dict[str, Any]:
    """Content of a scenario without what may differ where the same tuned values hold."""
    content = scenario.to_dict()
    content = {name: dict(content[name]) if name in ("rules", "day") else content[name] for name in content}
    for name in ("plan_improvement", "improvement_moves", "improvement_lost_min"):
        content["rules"].pop(name, None)
    content["day"].pop("load", None)
    return {name: section for name, section in content.items() if name not in ("name", "sizes")}
