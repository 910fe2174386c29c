"""
What the trainer does on fixed days, in numbers small enough to keep: the golden records, and how they are made.

A record changes when behaviour does. The event log is kept as a hash of its fields, rounded far above what another
processor's arithmetic changes; what was served and paid stands beside it, so that a difference can be understood.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium as gym
import numpy as np
import torch

# All that the records need of the project; when a module moves, this is the one place to follow it.
import envs  # noqa: F401 - registers the environments
from baselines import RULE_NAMES, make_rules
from envs.days.paratransit import main as convert_published_trips
from envs.days.scenario import Scenario
from envs.world.records import EventKind
from evaluation.players import ModelPolicy, load_policy
from evaluation.runner import Arena, Case, play
from evaluation.runs import TRAINED_AGENTS, find_run
from evaluation.setup import cases_from_folders, generated_cases
from reward import RewardWrapper
from tests.golden.day_files import write_day_with_matrix, write_published_trips

FOLDER = Path(__file__).parent
FIRST_DAY = 1_000_000  # a selection day, as all days here
GRAIN = 1e-4  # [min, km] to which the event log is rounded: another processor's arithmetic differs by some 1e-12
CLEAR = 1e-3  # [reward / reward_scale] by which the best action must be ahead of the second, else it isn't recorded
UNCLEAR = -1
NUM_ASKED = 24  # states of a day at which a model is asked

Record = dict[str, Any]


@dataclass(frozen=True)
class World:
    """A scenario, what pays in it, and the days that are played; ``files`` names days that are written first."""

    scenario: str
    reward: str
    overrides: dict[str, Any] = field(default_factory=dict)
    files: str | None = None
    num_days: int = 2


_BUSY = {"load": 2.0, "num_drivers": 4}  # a load at which rules differ
_MOVES = {"plan_improvement": True, "improvement_moves": 40}
_TROUBLE = {"travel_noise_std": 0.2, "cancellation_rate": 0.1, "no_show_rate": 0.1, "drop_out_rate": 0.3}
_REAL, _REAL_LATE = "reward/paratransit.yml", "reward/paratransit-late.yml"

WORLDS = {
    "short_shift": World("short_shift", "v2", num_days=3),
    "short_shift_disturbed": World("short_shift", "v2", _TROUBLE),
    "v1_published": World("v1_published", "v1", num_days=3),
    "operating_day": World("operating_day", "v3", {**_BUSY, "plan_improvement": False}),
    "operating_day_improved": World("operating_day", "v3", {**_BUSY, "plan_improvement": True}),
    "operating_day_moves": World("operating_day", "v3", {**_BUSY, **_MOVES}),
    "operating_day_gives_back": World("operating_day", "v3", {**_BUSY, **_MOVES, "improvement_lost_min": 300.0}),
    "operating_day_disturbed": World("operating_day", "v3", {**_BUSY, "plan_improvement": True, **_TROUBLE}),
    "paratransit": World("paratransit", _REAL, {"plan_improvement": False}, "paratransit"),
    "paratransit_late": World("paratransit", _REAL_LATE, {"max_lateness_min": 30.0}, "paratransit"),
    "matrix": World("operating_day", "v3", {"plan_improvement": True}, "matrix"),
}

# Fixed here, so that tuning anew changes no record; every price counts.
_PRICES = {
    "price_priority": 2.5,
    "price_occupied_min": 0.5,
    "price_occupied_end_min": -0.1,
    "price_occupied_load_min": 0.1,
    "price_remote_km": 0.3,
    "price_detour_min": 0.2,
    "price_opportunity": 0.2,
    "price_delay_min": 0.1,
    "price_slack_min": 0.2,
    "price_last_chance": 2.7,
    "free_horizon_min": 600.0,
    "horizon_min": 45.0,
    "threshold": -60.0,
    "threshold_end": -100.0,
}
_SETTINGS = {
    "insertion_just_in_time": {"horizon_min": 45.0},
    "regret_insertion_just_in_time": {"horizon_min": 45.0},
    "matching_with_prices": {**_PRICES, "order_slack_min": 0.5},
    "best_reward_with_prices": _PRICES,
    "replan_search": {},
}
_REPLAN_MS = 2.0  # 60 iterations a decision: enough to see a difference
POLICIES = (*RULE_NAMES, "replan_search")
CASES = [(world, policy) for world in WORLDS for policy in POLICIES]

REWARDS = ("v1", "v2", "v3", _REAL, _REAL_LATE)
PAID_WORLDS = ("short_shift", "operating_day_improved", "paratransit_late")
PAID_POLICIES = ("nearest_driver", "random_valid")


# --- event logs and rewards ------------------------------------------------------------------------------------------


def event_logs(world: str, policy: str) -> Record:
    """What ``policy`` makes of the days of ``world``: per day the hash of the event log, what was served and paid."""
    scenario, cases = scenario_and_cases(world)
    arena = Arena(scenario, WORLDS[world].reward, len(cases))
    played = play(make_policy(policy), cases, scenario, WORLDS[world].reward, measure_latency=False, arena=arena)
    days = range(len(cases))
    return {
        "log": [log_hash(arena.batch.world, b) for b in days],
        "bookings": [int(arena.batch.world.clocks["num_bookings"][b]) for b in days],
        "served": [round(float(played.kpis["num_served"][b])) for b in days],
        "deadhead_km": [round(float(played.kpis["deadhead_km"][b]), 6) for b in days],
        "reward": [round(float(played.reward[b]), 6) for b in days],
    }


def log_hash(world: Any, b: int) -> str:
    """16 hexadecimal digits of what was driven and lost in row ``b``: five fields of each event, in order."""
    events = world.events[b, : world.clocks["num_events"][b]]
    events = events[events["kind"] <= EventKind.DROP_OUT]
    table = [events[name].astype(np.int64) for name in ("kind", "driver", "booking")]
    table += [np.rint(events[name] / GRAIN).astype(np.int64) for name in ("time_min", "km")]
    return hashlib.sha256(np.stack(table).astype("<i8").tobytes()).hexdigest()[:16]


def reward_terms(world: str, policy: str, reward: str) -> Record:
    """Each term of ``reward``, summed over the days of ``world``; those that are 0 are left out."""
    scenario, cases = scenario_and_cases(world)
    played = play(make_policy(policy), cases, scenario, reward, measure_latency=False)
    totals = {name: round(float(values.sum()), 6) for name, values in played.terms.items()}
    return {"sum": round(float(played.reward.sum()), 6), **{name: value for name, value in totals.items() if value}}


# --- observations and choices ----------------------------------------------------------------------------------------


def observations(world: str) -> Record:
    """The mean of each feature over the states of the first day that ``nearest_driver`` meets, as the agent sees it."""
    env, options = environment(world)
    policy = make_policy("nearest_driver").bind(env)
    observation, _ = env.reset(options=options)
    sums = {key: np.zeros(array.shape[1:] if array.ndim == 2 else array.shape) for key, array in observation.items()}
    num_states, done = 0, False
    while not done:
        for key, array in observation.items():
            sums[key] += array.sum(axis=0) if array.ndim == 2 else array
        num_states += 1
        observation, _, done, _, _ = env.step(policy.predict(observation)[0])
    means = {key: total / num_states for key, total in sums.items()}
    means |= {key: means[key].sum(keepdims=True) for key in ("action_mask", "pair_reward")}  # one number will do
    return {"states": num_states, **{key: [round(float(x), 6) for x in mean] for key, mean in means.items()}}


# Where the shipped models of a name play. One of them in a fleet of another size than it was trained for.
MODEL_WORLDS = {
    "v1-short-shift": World("short_shift", "v1", num_days=2),
    "v2-short-shift": World("short_shift", "v2", num_days=2),
    "v2-stock-dqn": World("short_shift", "v2", num_days=2),
    "v3-operating-day": World("operating_day", "v3", {"load": 2.0, "num_drivers": [3, 6], "plan_improvement": False}),
    "v3-mixed-fleets": World(
        "operating_day", "v3", {"load": 2.0, "num_drivers": 9, "max_bookings": 40, "plan_improvement": False}
    ),
    "real-days": World("paratransit", _REAL, {"plan_improvement": False}, "paratransit"),
    "real-days-late": World(
        "paratransit", _REAL_LATE, {"plan_improvement": False, "max_lateness_min": 30.0}, "paratransit"
    ),
}
MODELS = tuple(sorted(path.name for path in TRAINED_AGENTS.iterdir() if path.is_dir()))


def model_world(model: str) -> str:
    """``v1-short-shift`` of ``v1-short-shift-seed1``."""
    return model.rpartition("-seed")[0]


def q_values(model: Any, observation: dict[str, np.ndarray]) -> np.ndarray:
    """Of every action, shape (B, A), of our agents and of stock DQN."""
    if hasattr(model, "q_values"):
        return model.q_values(observation)
    with torch.no_grad():
        return model.q_net(model.policy.obs_to_tensor(observation)[0]).numpy()


def path_of_states(world: str) -> list[list[int]]:
    """
    Actions at every decision, a list per day, that lead to the states in which models are asked.

    Bookings are placed at the last moment, so that models have something to choose.
    """
    arena = loaded_arena(world)
    (policy,) = make_rules(["insertion_just_in_time"], {"insertion_just_in_time": {"horizon_min": 5.0}})
    steps = []
    while not arena.batch.is_done.all():
        steps.append(policy.act(arena.batch))
        arena.batch.step(steps[-1])
    return [[int(actions[b]) for actions in steps] for b in range(arena.batch.batch_size)]


def choices(model: str, path: list[list[int]], *, clear_only: bool = False) -> list[int]:
    """
    What a shipped model chooses in the states that the actions ``path`` lead to, day after day at each state asked.

    With ``clear_only`` a choice of which another processor might think otherwise is ``UNCLEAR``.
    """
    world = model_world(model)
    arena = loaded_arena(world)
    policy = load_policy(find_run(TRAINED_AGENTS / model), environment(world)[0])
    seen: list[dict[str, np.ndarray]] = []
    if clear_only:
        listen(policy, seen)
    chosen: list[int] = []
    num_steps = len(path[0])
    for step in range(num_steps):
        if step % math.ceil(num_steps / NUM_ASKED) == 0:
            plays = ~arena.batch.is_done
            arena.payer.price_pairs()
            actions = policy.act(arena.batch, arena.payer)[plays]
            if clear_only:
                best = np.sort(q_values(policy.model, seen[-1]), axis=1)[:, -2:].astype(np.float64)
                actions = np.where(best[:, 1] - best[:, 0] > CLEAR, actions, UNCLEAR)
            chosen += actions.tolist()
        arena.batch.step([actions[step] for actions in path])
    return chosen


def listen(policy: ModelPolicy, seen: list[dict[str, np.ndarray]]) -> None:
    """From now on keep in ``seen`` what the model of ``policy`` is shown."""
    predict: Callable[..., Any] = policy.model.predict

    def heard(observation: dict[str, np.ndarray], *args: Any, **kwargs: Any) -> Any:
        seen.append(observation)
        return predict(observation, *args, **kwargs)

    policy.model.predict = heard


# --- worlds ----------------------------------------------------------------------------------------------------------


def world_of(name: str) -> World:
    return WORLDS[name] if name in WORLDS else MODEL_WORLDS[name]


@cache
def scenario_and_cases(name: str) -> tuple[Scenario, list[Case]]:
    world = world_of(name)
    scenario = Scenario.load(world.scenario, **world.overrides)
    if world.files is None:
        return scenario, generated_cases(FIRST_DAY, world.num_days, scenario)
    with TemporaryDirectory() as folder:
        days = write_days(world, Path(folder))
        return scenario, cases_from_folders([str(days)], None, scenario)


def write_days(world: World, folder: Path) -> Path:
    """Write the made-up days of ``world`` and return the folder that holds them."""
    if world.files == "matrix":
        write_day_with_matrix(folder)
        return folder
    trips = folder / "trips.csv"
    write_published_trips(trips, world.num_days, num_bookings=90)
    convert_published_trips(
        [str(trips), "--output", str(folder / "days"), "--drivers", "6", "--min-bookings", "1", "--days", "0-9"]
    )
    return folder / "days" / "drivers-6"


def loaded_arena(name: str) -> Arena:
    """The days of a world, before their first decision."""
    scenario, cases = scenario_and_cases(name)
    arena = Arena(scenario, world_of(name).reward, len(cases))
    arena.load(cases)
    return arena


def environment(name: str) -> tuple[Any, dict[str, Any]]:
    """The world as a Gymnasium environment that pays, and the options of ``reset`` that play its first day."""
    scenario, cases = scenario_and_cases(name)
    env_id = "Dispatch-v0" if world_of(name).scenario in ("short_shift", "v1_published") else "DispatchDay-v0"
    is_generated = world_of(name).files is None
    days: dict[str, Any] = {} if is_generated else {"day_list": [case.day for case in cases], "in_order": True}
    env = gym.make(env_id, scenario=scenario, **days)
    return RewardWrapper(env, world_of(name).reward), {"day": FIRST_DAY} if is_generated else {}


def make_policy(name: str) -> Any:
    (policy,) = make_rules([name], {name: _SETTINGS[name]} if name in _SETTINGS else None, replan_ms=_REPLAN_MS)
    return policy


# --- files -----------------------------------------------------------------------------------------------------------


def read(kind: str) -> Record:
    """``events``, ``terms``, ``observations`` or ``choices``."""
    return json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))


def write(kind: str, records: Record) -> None:
    """Groups and, in them, a line for each record."""
    groups = []
    for name, group in records.items():
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in group.items())
        groups.append(f" {json.dumps(name)}: {{\n{lines}\n }}")
    (FOLDER / f"{kind}.json").write_text("{\n" + ",\n".join(groups) + "\n}\n", encoding="utf-8")
