"""Which world and which days: shared by ``evaluate.py`` and ``studies.tune``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import yaml

from checked import SettingsError, nearest
from envs import DESK_SCENARIO_OF, SCENARIO_OF
from envs.days import plain_yaml
from envs.days.files import Names, read_days
from envs.days.scenario import Scenario
from evaluation.runner import Arena, Case, num_rows_for
from reward import RewardWrapper

SCENARIOS_OF_FILES = {"DispatchDay-v0": "paratransit", "DispatchDay-v1": "paratransit_promises"}
NUM_GENERATED_DAYS = 500  # of the selection days and of the report days
FIRST_SELECTION_DAY = 1_000_000
FIRST_REPORT_DAY = 2_000_000


class SetupError(SettingsError):
    """An evaluation that can't be set up; the message says where, what was expected, what came and what to do."""


def make_scenario(env_id: str, scenario: str | None, overrides: dict[str, Any]) -> Scenario:
    """
    The scenario of an environment, or the one named, with some values replaced.

    Raises
    ------
    SetupError
        For an unknown environment or scenario, or a value that can't be.
    """
    if env_id not in SCENARIO_OF:
        raise SetupError(f"--env {env_id}: unknown environment. {nearest(env_id, SCENARIO_OF)}")
    try:
        return Scenario.load(scenario or SCENARIO_OF[env_id], **overrides)
    except (ValueError, FileNotFoundError) as error:
        raise SetupError(str(error)) from error


def resolve_world(
    args: argparse.Namespace, settings: list[dict[str, Any]]
) -> tuple[str, str | None, dict[str, Any], str | None]:
    """Environment id, reward, overrides and scenario: the command line goes before the models' run folders."""
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
    if env_id in DESK_SCENARIO_OF:  # pays by itself
        if args.reward not in (None, "none"):
            raise SetupError(f"--reward {args.reward}: {env_id} pays by itself. Leave --reward out.")
        reward = "none"
    overrides = dict(of_model.get("env_kwargs") or {}) if env_id == of_model.get("env") else {}
    for key in ("days", "day_list", "in_order", "render_mode"):
        overrides.pop(key, None)
    scenario = overrides.pop("scenario", None)
    if scenario is None and args.days_from and env_id in SCENARIOS_OF_FILES:
        scenario = SCENARIOS_OF_FILES[env_id]
        # what the model's days were generated with says nothing of days from files
        overrides = {key: value for key, value in overrides.items() if _is_of_files(scenario, key, value)}
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


def _is_of_files(scenario: str, key: str, value: Any) -> bool:
    """Whether days from files have this setting, too; a range of sizes is one of generated fleets."""
    try:
        Scenario.load(scenario, **{key: value})
    except ValueError:
        return False
    return not (key in ("num_drivers", "max_bookings") and isinstance(value, (list, tuple)))


def make_env(env_id: str, scenario: Scenario, reward: str | None) -> Any:
    """The environment that models were made for, wrapped in its reward."""
    env = gym.make(env_id, scenario=scenario)
    return env if reward is None else RewardWrapper(env, reward)


def make_arena(scenario: Scenario, reward: str | None, cases: Sequence[Case]) -> Arena:
    """Room for the cases, with the reward that is paid there."""
    try:
        return Arena(scenario, reward, num_rows_for(cases))
    except (ValueError, OSError) as error:
        raise SetupError(f"--reward {reward}: {error}") from error


def usual_objective(scenario: Scenario, *, from_files: bool) -> str:
    """What decides unless told otherwise: the reward; on days from files the cost, with lateness where it may be."""
    if not from_files:
        return "reward"
    return "cost_with_lateness" if float(scenario.rules_record()["max_lateness_min"][0]) > 0.0 else "cost"


def parse_values(pairs: Sequence[str]) -> dict[str, Any]:
    """``["load:2.0", "plan_improvement:false"]`` as plain values; nothing is evaluated as Python."""
    values = {}
    for pair in pairs:
        key, colon, text = pair.partition(":")
        if not colon or not key or not text:
            raise SetupError(f"--env-kwargs {pair}: expected key:value, such as load:2.0.")
        try:
            values[key] = plain_yaml.parse(text)
        except yaml.YAMLError:
            raise SetupError(f"--env-kwargs {pair}: the value is no number, text, list or mapping.") from None
    return values


def parse_days(text: str) -> list[int]:
    """Service day numbers from ``60-89`` or ``0-9,12``."""
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise SetupError(f"--days {text}: expected ranges such as 60-89 or 0-9,12; '{part.strip()}' is neither.")
        numbers.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return numbers


def service_day(label: str) -> int | None:
    """The number at the end of a day's label, such as 60 in ``day-060``; None without one."""
    numbers = re.findall(r"\d+", label)
    return int(numbers[-1]) if numbers else None


def make_cases(args: argparse.Namespace, scenario: Scenario) -> list[Case]:
    """The days that the command line names."""
    if args.days_from:
        cases = cases_from_folders(args.days_from, args.days, scenario, args.columns)
    else:
        cases = generated_cases(args.seed, args.episodes, scenario)
    check_sizes(cases, scenario)
    return cases


def generated_cases(first: int, count: int, scenario: Scenario) -> list[Case]:
    """``count`` generated days from number ``first`` on."""
    if not scenario.is_generated:
        raise SetupError(
            f"scenario {scenario.name}: its days come from files. Pass --days-from FOLDER (and --days, such as 60-89)."
        )
    if count < 1 or first < 0:
        raise SetupError(f"days: expected at least one day from number 0 on, came {count} from {first}.")
    return [Case(day, str(day), str(day)) for day in range(first, first + count)]


def cases_from_folders(
    folders: Sequence[str], days: str | None, scenario: Scenario, columns: str | None = None
) -> list[Case]:
    """
    The days of folders with pairs of bookings and fleet files.

    Several folders hold the same service days with other fleets or announcement times: these are one cluster.
    ``columns`` names what columns and values are called in them (`envs.days.files.Names`).

    Raises
    ------
    SetupError
        When a folder does not exist, can't be read, or has none of the days.
    """
    wanted = None if days is None else set(parse_days(days))
    max_lateness_min = float(scenario.rules_record()["max_lateness_min"][0])
    cases = []
    for folder in folders:
        if not Path(folder).is_dir():
            raise SetupError(f"--days-from {folder}: there is no such folder.")
        try:
            found = read_days(folder, names=None if columns is None else Names.read(columns))
        except (ValueError, OSError) as error:
            raise SetupError(f"--days-from {folder}: {error}") from error
        numbered = [(service_day(day.label), day) for day in found]
        chosen = [(number, day) for number, day in numbered if wanted is None or number in wanted]
        if not chosen:
            there = sorted(number for number, _ in numbered if number is not None)
            holds = f"service days {there[0]} to {there[-1]}" if there else "no day with a number"
            raise SetupError(f"--days-from {folder}: it holds {holds}, none of --days {days}.")
        for number, day in chosen:
            label = day.label if len(folders) == 1 else f"{short_name(folder, folders)}/{day.label}"
            cluster = day.label if number is None else str(number)
            cases.append(Case(day, label, cluster, len(day.unservable(max_lateness_min))))
    return cases


def short_name(folder: str, folders: Sequence[str]) -> str:
    """As many of the last parts of the path as tell ``folder`` from the others of ``folders``."""
    parts = Path(folder).parts
    for count in range(1, len(parts)):
        if sum(Path(other).parts[-count:] == parts[-count:] for other in folders) == 1:
            return "/".join(parts[-count:])
    return str(folder)


def check_sizes(cases: Sequence[Case], scenario: Scenario) -> None:
    """Refuse days with more drivers than the environment has rows."""
    for case in cases:
        if not isinstance(case.day, int) and case.day.num_drivers > scenario.num_drivers:
            raise SetupError(
                f"the day {case.label} has {case.day.num_drivers} drivers but the environment was made for "
                f"{scenario.num_drivers}. Pass --num-drivers {case.day.num_drivers} (the pair network needs no "
                "retraining)."
            )


def day_notes(args: argparse.Namespace, cases: Sequence[Case]) -> list[str]:
    """What the reader must know about the days."""
    unservable = sum(case.num_unservable for case in cases)
    notes = []
    if unservable:
        notes.append(f"{unservable} bookings could not be served by any shift: they count as lost, not in the cost.")
    if not args.days_from and args.seed < 2_000_000:
        notes.append(f"days from {args.seed} on are training or selection days; show results on days from 2000000 on.")
    return notes
