"""Reads and writes ``tuned.yml``: the settings found for the tunable rules, with the command that found them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from baselines.policy import TunableRule
from baselines.registry import rule_class
from checked import read_section

TUNED_PATH = Path(__file__).with_name("tuned.yml")
_HEADER = """\
# Settings of the tunable rules, found on selection days only (never on report days). Written by
# `python -m studies.tune`; each rule keeps the command that found it. Units stand in the names; prices are in the
# units of the reward. mean: objective on the selection days with these values, untuned_mean: with the rule's own
# defaults, at_the_edge: values near the end of the range that was searched. A search also starts from what the file
# holds already, so tuning anew can only find the same or better.
"""


@dataclass
class Entry:
    """What was found for one world and one objective."""

    env_id: str
    scenario: str
    plan_improvement: bool
    reward: str
    objective: str  # reward or cost
    days: str
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> values, mean, untuned_mean, command, ...
    gives_back: bool = False  # plan improvement that may give promised bookings back

    @property
    def key(self) -> tuple[str, str, bool, bool, str, str]:
        return self.env_id, self.scenario, self.plan_improvement, self.gives_back, self.reward, self.objective


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
    for key in sorted(entries):
        plain = asdict(entries[key])
        ordered.append({**{name: value for name, value in plain.items() if name != "rules"}, "rules": plain["rules"]})
    path.write_text(_HEADER + yaml.safe_dump(ordered, sort_keys=False, width=120))


def tuned_settings(
    env_id: str,
    reward: str | None,
    *,
    scenario: str,
    plan_improvement: bool,
    gives_back: bool = False,
    objective: str = "reward",
    path: Path = TUNED_PATH,
) -> dict[str, dict[str, float]]:
    """
    Tuned values per rule name for this world and objective; empty when nothing was tuned for them.

    Rules that choose without a reward share what was found under any reward with the same cost as the objective. A file
    of weights goes by its name without folder and ending, as in hyperparams/. What was not tuned for plan improvement
    that gives back plays with what was found without.
    """
    reward = None if reward is None else Path(reward).stem
    found: dict[str, dict[str, float]] = {}
    where = (env_id, scenario, plan_improvement, objective)
    entries = [
        entry
        for entry in read_tuned(path)
        if (entry.env_id, entry.scenario, entry.plan_improvement, entry.objective) == where
        and entry.gives_back <= gives_back
    ]
    for entry in sorted(entries, key=lambda entry: (not entry.gives_back, entry.reward != reward)):
        for name, values in entry.rules.items():
            if entry.reward == reward or (objective != "reward" and not rule_class(name).needs_reward):
                found.setdefault(name, values["values"])
    return found
