"""
How fast everything is, as ratios measured side by side: ``python -m studies.benchmark`` (``make benchmark``).

One process, one thread. The rounds of all measurements take turns, so that a machine that slows down slows all of
them, and every figure is the median over the rounds. Quote the ratios; the rates are this machine's. Writes
``benchmark.json`` (see ``studies.results``), beside the values of the run published before, and keeps a dated copy of
each run in ``results/benchmark``.

- *Simulator*: random feasible decisions with observation and mask, days loaded anew as they end. Larger fleets play
  the short shift with as many more bookings.
- *Plain Python*: the same rules in dictionaries and loops (`studies.plain_dispatch`), days made beforehand.
- *VecEnvs*: through SB3's interface, reward V2 included. ``SubprocVecEnv`` may use all cores.
- *Training*: ``learn`` as it is, updates included. The floor of an update is its matrix products' operations (counted
  by PyTorch) at the rate of a product of 1024 x 1024 matrices on the same core.
- *Decisions*: one observation to one action, simulator not included; ``exported`` is the same agent from a file
  (`agents.export`), ``replan_SOLVER_10ms`` a re-planner with that limit per plan, timed where it plans (at the other
  decisions of a tick it hands out what it has planned).
- *Growth*: exponent of the time of a decision, fitted over four sizes that double.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from agents import export
from agents.maskable_dqn import MaskableDQN
from agents.replay import ClockReplayBuffer
from agents.transfer import load_for
from baselines import REPLANNERS
from baselines.kernels import random_pairs
from baselines.planning.solvers import is_installed
from baselines.replanners import Replanner
from envs import DispatchBatch, Scenario
from envs.days.scenario import generate_day
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction, RewardV2
from studies import minute, results
from studies.plain_dispatch import PlainDispatch
from studies.results import ROOT, Column, Result

RESULT = "benchmark"  # the table's name in docs/results

SIZES: dict[str, dict[str, Any]] = {
    "5x15": {},
    "20x60": {"num_drivers": 20, "max_bookings": 60, "num_initial": [12, 28], "num_more": [4, 12]},
    "50x200": {"num_drivers": 50, "max_bookings": 200, "num_initial": [30, 70], "num_more": [10, 30]},
}
BATCH_SIZES = (1, 64, 1024)
NET_ARCH = [1024, 256, 256]
Measure = Callable[[], float]


class Target(NamedTuple):
    """A bound that a value is to reach: at least, or at most."""

    bound: float
    is_upper: bool = False

    def is_met(self, value: float) -> bool:
        return value <= self.bound if self.is_upper else value >= self.bound

    def __str__(self) -> str:
        return f"{'at most' if self.is_upper else 'at least'} {self.bound:g}"


# --- rates: decisions per second of one round -----------------------------------------------------------------------
def simulator(overrides: dict[str, Any], batch_size: int, num_days: int) -> Measure:
    """Plays ``num_days`` whole days."""
    batch = DispatchBatch(Scenario.load("short_shift", **overrides), batch_size)
    rows, actions = np.arange(batch_size), np.zeros(batch_size, np.int64)
    next_day = 0

    def load(ended: np.ndarray) -> None:
        nonlocal next_day
        batch.load_generated_days(ended, next_day + np.arange(len(ended)))
        batch.refresh(ended)
        next_day += len(ended)

    load(rows)

    def measure() -> float:
        begun, num_ended, num_decisions = time.perf_counter(), 0, 0
        while num_ended < max(num_days, batch_size):
            random_pairs(batch.world, 0, True, actions)
            batch.step(actions)
            num_decisions += batch_size
            ended = np.flatnonzero(batch.is_done)
            num_ended += len(ended)
            if len(ended):
                load(ended)
        return num_decisions / (time.perf_counter() - begun)

    return measure


def plain_python(overrides: dict[str, Any], num_days: int) -> Measure:
    scenario = Scenario.load("short_shift", **overrides)
    env = PlainDispatch(scenario)
    days = [generate_day(scenario, number) for number in range(num_days)]
    random = np.random.default_rng(0)

    def measure() -> float:
        begun, num_decisions = time.perf_counter(), 0
        for day in days:
            observation, is_done = env.reset(day), False
            while not is_done:
                observation, is_done = env.step(int(random.choice(np.flatnonzero(observation["action_mask"]))))
                num_decisions += 1
        return num_decisions / (time.perf_counter() - begun)

    return measure


def vec_env(env: Any, num_decisions: int) -> Measure:
    observation = env.reset()
    random = np.random.default_rng(0)

    def measure() -> float:
        nonlocal observation
        steps = max(24, num_decisions // env.num_envs)  # 24 make a day
        in_env = 0.0
        for _ in range(steps):
            mask = observation["action_mask"]
            actions = (random.random(mask.shape, np.float32) * mask).argmax(axis=1)
            begun = time.perf_counter()
            observation, _, _, _ = env.step(actions)
            in_env += time.perf_counter() - begun
        return steps * env.num_envs / in_env

    return measure


def single_env(overrides: dict[str, Any]) -> Callable[[], gym.Env]:
    return lambda: RewardV2(gym.make("Dispatch-v0", **overrides))


# --- training -------------------------------------------------------------------------------------------------------
class Training:
    """``learn`` in slices; ``rate`` measures decisions per second, and notes updates per second and the env's share."""

    def __init__(self, model: Any, num_decisions: int) -> None:
        self.model, self.num_decisions = model, num_decisions
        self.updates_per_s: list[float] = []
        self.env_shares: list[float] = []
        self._in_env = 0.0
        step_wait = model.env.step_wait

        def timed_step_wait() -> Any:
            begun = time.perf_counter()
            result = step_wait()
            self._in_env += time.perf_counter() - begun
            return result

        model.env.step_wait = timed_step_wait
        model.learn(model.learning_starts + 64)

    def rate(self) -> float:
        updates, self._in_env = self.model._n_updates, 0.0
        begun = time.perf_counter()
        self.model.learn(self.num_decisions, reset_num_timesteps=False)
        took = time.perf_counter() - begun
        self.updates_per_s.append((self.model._n_updates - updates) / took)
        self.env_shares.append(self._in_env / took)
        return self.num_decisions / took

    def flop_per_update(self) -> float:
        with FlopCounterMode(display=False) as counter:
            self.model.train(1, self.model.batch_size)
        return float(counter.get_total_flops())


def trainings() -> dict[str, Training]:
    """The default agent, the masked MLP, stock DQN on the same MLP; two updates of 256 per 64 decisions each."""

    def env() -> DispatchVecEnv:
        return DispatchVecEnv(64, "short_shift", RewardFunction.load("v2"), seed=0)

    pair: dict[str, Any] = {"policy_kwargs": {"pair_mixing": False}}  # as in every benchmark before
    mlp: dict[str, Any] = {"policy_kwargs": {"net_arch": NET_ARCH}, "device": "cpu", "learning_starts": 2_000}
    stock: dict[str, Any] = {"train_freq": 1, "gradient_steps": 2, "batch_size": 256, "buffer_size": 20_000}
    return {
        "pair": Training(MaskableDQN("PairPolicy", env(), device="cpu", buffer_size=20_000, **pair), 3_200),
        "mlp": Training(MaskableDQN("MaskableMlpPolicy", env(), buffer_size=20_000, **mlp), 1_280),
        "stock_mlp": Training(DQN("MultiInputPolicy", env(), **stock, **mlp), 1_280),
    }


def matmul_gflops() -> float:
    """Rate of a large matrix product [GFLOP/s]: what the floor of an update is worked out with."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    begun = time.perf_counter()
    for _ in range(10):
        a @ b
    return 10 * 2 * 1024**3 / (time.perf_counter() - begun) / 1e9


# --- decisions ------------------------------------------------------------------------------------------------------
LATENCY_SIZES: dict[str, tuple[dict[str, Any], int, Target]] = {
    # size: days with so many bookings at once that the slots are full, decisions per round, bound on p99 [ms]
    "5x15": ({"num_initial": [15, 15]}, 240, Target(1, True)),
    "50x200": ({"num_drivers": 50, "max_bookings": 200, "num_initial": [200, 200]}, 48, Target(10, True)),
    "200x1000": ({"num_drivers": 200, "max_bookings": 1000, "num_initial": [1000, 1000]}, 8, Target(50, True)),
}

# size: limits per plan [ms], plans per round
REPLAN_SIZES: dict[str, tuple[tuple[float, ...], int]] = {"5x15": ((10.0, 100.0), 12), "50x200": ((10.0, 100.0), 6)}


class Decisions:
    """Times of single decisions of a shipped agent [ms], in a fleet of any size."""

    def __init__(self, overrides: dict[str, Any], num_decisions: int) -> None:
        self.env = DispatchVecEnv(1, "short_shift", RewardFunction.load("v2"), seed=0, **overrides)
        self.model = load_for(SHIPPED, self.env, device="cpu", buffer_size=2)
        with tempfile.TemporaryDirectory() as folder:
            self.exported = export.load(export.export(self.model, Path(folder) / "model.npz"))
        self.num_decisions = num_decisions
        self.times_ms: list[float] = []
        self.exported_times_ms: list[float] = []
        self.env.seed(0)  # loading has given it the seed that the agent was trained with
        self.observation: Any = self.env.reset()

    def rate(self) -> float:
        """Decisions per second of one round; where one action is feasible the network isn't asked, nor counted."""
        times: list[float] = []
        while len(times) < self.num_decisions:
            begun = time.perf_counter()
            actions, _ = self.model.predict(self.observation, deterministic=True)
            ended = time.perf_counter()
            if self.observation["action_mask"].sum() > 1:
                times.append(1e3 * (ended - begun))
                begun = time.perf_counter()
                self.exported.predict(self.observation)
                self.exported_times_ms.append(1e3 * (time.perf_counter() - begun))
            self.observation, _, _, _ = self.env.step(actions)
        self.times_ms += times
        return 1e3 / float(np.mean(times))


class Replanning:
    """Times of a re-planner's plans [ms], on the same days as the agent's decisions."""

    def __init__(self, overrides: dict[str, Any], rule: type[Replanner], limit_ms: float, num_plans: int) -> None:
        self.env = DispatchVecEnv(1, "short_shift", RewardFunction.load("v2"), seed=0, **overrides)
        self.policy = rule(time_limit_ms=limit_ms)
        self.num_plans = num_plans
        self.times_ms: list[float] = []
        self.env.reset()

    def rate(self) -> float:
        """Plans per second of one round; ticks without an open booking have nothing to plan and aren't counted."""
        times: list[float] = []
        while len(times) < self.num_plans:
            begun = time.perf_counter()
            actions = self.policy.act(self.env.batch, self.env.payer)
            ended = time.perf_counter()
            if self.env.batch.world.clocks["num_open"][0] > 0:  # the short shift has one decision per tick
                times.append(1e3 * (ended - begun))
            self.env.step(actions)
        self.times_ms += times
        return 1e3 / float(np.mean(times))


def replannings() -> dict[str, Replanning]:
    """Every re-planner whose solver is installed, at the sizes and with the limits of ``REPLAN_SIZES``."""
    found: dict[str, Replanning] = {}
    for rule in REPLANNERS:
        package = rule.solver_name  # the project's own search needs none
        if package != "search" and not is_installed(package):
            continue
        for size, (limits, num_plans) in REPLAN_SIZES.items():
            for limit_ms in limits:
                name = f"{size}_{rule.name}_{limit_ms:g}ms"
                found[name] = Replanning(LATENCY_SIZES[size][0], rule, limit_ms, num_plans)
    return found


SHIPPED = ROOT / "trained-agents/v2-short-shift-seed1/Dispatch-v0.zip"


def large_day(num_drivers: int, num_bookings: int, num_slots: int) -> tuple[float, dict[str, float]]:
    """
    Processor seconds for one operating day with a shipped agent, simulator included, plan improvement off; and the
    day's KPIs.
    """
    legs_per_driver = 4.75  # at load 1, see the scenario
    overrides: dict[str, Any] = {"num_drivers": num_drivers, "max_bookings": num_slots, "plan_improvement": False}
    load = num_bookings / num_drivers / legs_per_driver
    # trained on V2: what a pair pays at once is part of the agent's observation
    env = DispatchVecEnv(1, "operating_day", RewardFunction.load("v2"), seed=0, load=load, **overrides)
    model = load_for(SHIPPED, env, device="cpu", buffer_size=1)
    observation: Any = env.reset()
    infos: Any = None
    begun, is_done = time.process_time(), False
    while not is_done:
        actions, _ = model.predict(observation, deterministic=True)
        observation, _, dones, infos = env.step(actions)
        is_done = bool(dones[0])
    return time.process_time() - begun, infos[0]["kpis"]


# --- growth ---------------------------------------------------------------------------------------------------------
def growth() -> dict[str, list[tuple[float, Measure]]]:
    """For each dimension, sizes and what measures decisions per second there."""

    def bookings(scale: float) -> dict[str, Any]:
        return {"num_initial": [int(3 * scale), int(7 * scale)], "num_more": [int(scale), int(3 * scale)]}

    def series(settings: list[tuple[float, dict[str, Any]]]) -> list[tuple[float, Measure]]:
        return [(size, simulator(overrides, 16, 16)) for size, overrides in settings]

    return {
        "drivers": series([(n, {"num_drivers": n, "max_bookings": 60, **bookings(4)}) for n in (10, 20, 40, 80)]),
        "slots": series([(m, {"num_drivers": 20, "max_bookings": m, **bookings(16)}) for m in (15, 30, 60, 120)]),
        "bookings": series([(s, {"num_drivers": 20, "max_bookings": 240, **bookings(s)}) for s in (2, 4, 8, 16)]),
    }


def exponent(sizes: list[float], seconds: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


# --- the run --------------------------------------------------------------------------------------------------------
def replay_bytes(size: str) -> float:
    env = DispatchVecEnv(1, "short_shift", RewardFunction.load("v2"), **SIZES[size])
    return ClockReplayBuffer(10_000, env.observation_space, env.action_space, "cpu").bytes_per_transition  # type: ignore[arg-type]


def rates() -> dict[str, Measure]:
    reward = RewardFunction.load("v2")
    found: dict[str, Measure] = {}
    num_days = {"5x15": (128, 1024), "20x60": (32, 128), "50x200": (2, 64)}
    for size, overrides in SIZES.items():
        few, many = num_days[size]
        for batch_size in BATCH_SIZES:
            if (size, batch_size) != ("50x200", 1024):  # 3 GB of pairs, and one round would take minutes
                days = many if batch_size > 1 else few
                found[f"simulator_{size}_b{batch_size}"] = simulator(overrides, batch_size, days)
        found[f"plain_python_{size}"] = plain_python(overrides, {"5x15": 64, "20x60": 4, "50x200": 1}[size])
        found[f"vec_env_{size}_b64"] = vec_env(DispatchVecEnv(64, "short_shift", reward, seed=0, **overrides), 20_000)
        num_envs = 8 if size == "50x200" else 64
        found[f"dummy_vec_env_{size}"] = vec_env(DummyVecEnv([single_env(overrides)] * num_envs), 2_000)
    found["subproc_vec_env_5x15"] = vec_env(SubprocVecEnv([single_env({})] * 8, start_method="fork"), 4_000)
    return found


RATIOS: dict[str, tuple[str, str, Target | None]] = {
    "batched_vs_dummy_5x15_b64": ("vec_env_5x15_b64", "dummy_vec_env_5x15", Target(100)),
    "batched_vs_dummy_20x60_b64": ("vec_env_20x60_b64", "dummy_vec_env_20x60", None),
    "batched_vs_dummy_50x200_b64": ("vec_env_50x200_b64", "dummy_vec_env_50x200", None),
    "batched_vs_subproc_5x15_b64": ("vec_env_5x15_b64", "subproc_vec_env_5x15", None),
    "batched_vs_python_5x15_b64": ("simulator_5x15_b64", "plain_python_5x15", Target(60)),
    "batched_vs_python_20x60_b64": ("simulator_20x60_b64", "plain_python_20x60", None),
    "batched_vs_python_50x200_b64": ("simulator_50x200_b64", "plain_python_50x200", Target(30)),
    "single_vs_python_5x15": ("simulator_5x15_b1", "plain_python_5x15", Target(4)),
    "updates_mlp_vs_stock_dqn": ("updates_mlp", "updates_stock_mlp", None),
}


def row(name: str, value: float, unit: str, target: Target | None = None) -> dict[str, Any]:
    rounded = float(f"{value:.4g}")
    met = None if target is None else target.is_met(rounded)
    return {"name": name, "value": rounded, "unit": unit, "target": None if target is None else str(target), "met": met}


def latency_rows(name: str, times_ms: list[float], bound: Target | None = None) -> list[dict[str, Any]]:
    p50, p99 = np.percentile(times_ms, [50, 99]).tolist()
    return [row(f"decision_p50_ms_{name}", p50, "ms"), row(f"decision_p99_ms_{name}", p99, "ms", bound)]


def measured(num_rounds: int) -> list[dict[str, Any]]:
    """All rows of the table."""
    print("compiling and warming up ...", flush=True)
    measures, agents, series = rates(), trainings(), growth()
    deciders = {size: Decisions(overrides, count) for size, (overrides, count, _) in LATENCY_SIZES.items()}
    planners = replannings()
    measures |= {f"decision_{size}": decider.rate for size, decider in deciders.items()}
    measures |= {f"decision_{name}": planner.rate for name, planner in planners.items()}
    measures |= {f"transitions_{name}": agent.rate for name, agent in agents.items()}
    measures["matmul"] = matmul_gflops
    for name, points in series.items():
        measures |= {f"growth_{name}_{size:g}": measure for size, measure in points}
    for measure in measures.values():
        measure()
    for agent in agents.values():
        agent.updates_per_s.clear()
        agent.env_shares.clear()
    for decider in deciders.values():
        decider.times_ms.clear()
        decider.exported_times_ms.clear()
    for planner in planners.values():
        planner.times_ms.clear()
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in tqdm(range(num_rounds), desc="rounds"):
        for name, measure in measures.items():
            values[name].append(measure())
    values |= {f"updates_{name}": agent.updates_per_s for name, agent in agents.items()}
    medians = {name: float(np.median(found)) for name, found in values.items()}

    rows = []
    for name, (above, below, target) in RATIOS.items():
        rows.append(row(name, float(np.median(np.array(values[above]) / np.array(values[below]))), "x", target))
    rows.append(row("env_share_of_training", float(np.median(agents["pair"].env_shares)), "share", Target(0.1, True)))
    for name, label, bound in (("pair", "pair_network", 0.3), ("mlp", "mlp", 0.5), ("stock_mlp", "stock_dqn", None)):
        flop = agents[name].flop_per_update()
        shares = np.array(values[f"updates_{name}"]) * flop / (np.array(values["matmul"]) * 1e9)
        target = None if bound is None else Target(bound)
        rows.append(row(f"training_share_of_flop_floor_{label}", float(np.median(shares)), "share", target))
    for size, decider in deciders.items():
        rows += latency_rows(size, decider.times_ms, LATENCY_SIZES[size][2])
        rows += latency_rows(f"{size}_exported", decider.exported_times_ms)
    for name, planner in planners.items():
        rows += latency_rows(name, planner.times_ms)
    rows.append(row("replay_bytes_5x15", replay_bytes("5x15"), "B/transition", Target(2_000, True)))
    rows.append(row("replay_bytes_20x60", replay_bytes("20x60"), "B/transition", Target(20_000, True)))
    for name, points in series.items():
        seconds = [1.0 / medians[f"growth_{name}_{size:g}"] for size, _ in points]
        rows.append(row(f"growth_in_{name}", exponent([size for size, _ in points], seconds), "exponent"))
    for name, median in medians.items():
        if name.startswith("growth"):
            continue
        unit = "GFLOP/s" if name == "matmul" else "updates/s" if name.startswith("updates") else "decisions/s"
        rows.append(row(name, median, unit))
    return rows


def result(rows: list[dict[str, Any]], before: dict[str, float], num_rounds: int) -> Result:
    """The table of this run, with what ``before`` says of an earlier one."""
    machine = f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, PyTorch {torch.__version__}"
    met = {None: None, True: "yes", False: "**no**"}
    return Result(
        RESULT,
        "Speed",
        (
            *(Column("name", "measurement"), Column("value", "value", None), Column("unit", "unit")),
            *(Column("target", "target"), Column("met", "met"), Column("before", "run before", None)),
        ),
        tuple({**entry, "met": met[entry["met"]], "before": before.get(entry["name"])} for entry in rows),
        days=f"medians of {num_rounds} rounds that take turns, one thread",
        notes=(machine, "quote ratios: the rates are this machine's"),
        date=results.today(),
        commit=results.current_commit(),
        commands=("make benchmark",),
    )


def processor() -> str:
    """Name of the processor where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds per measurement (default: 5)")
    parser.add_argument(
        "--large-day", action="store_true", help="also dispatch a day of 500 drivers and 5000 bookings (processor time)"
    )
    parser.add_argument(
        "--learning", action="store_true", help="also train for a minute, five seeds of V1 and V2 (studies.minute)"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "results/benchmark", help="default: results/benchmark")
    results.add_publish(parser)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    latest = ROOT / results.FOLDER / f"{RESULT}.json"
    before = {row["name"]: row["value"] for row in Result.read(latest).rows} if latest.exists() else {}
    rows = measured(args.rounds)
    if args.large_day:
        seconds, kpis = large_day(500, 5000, 60)
        rows.append(row("day_500x5000_min", seconds / 60.0, "min", Target(5, True)))
        rows.append(row("day_500x5000_service_rate", kpis["service_rate"], "share"))
    for reward in ("v2", "v1") if args.learning else ():
        learned = minute.measure(reward, args.output / f"minute-{reward}")
        rows.append(row(f"published_budget_{reward}_s", learned.seconds, "s", Target(60, True)))
        rows.append(row(f"published_budget_{reward}_over_best_rule", learned.mean, "points"))
        rows.append(row(f"published_budget_{reward}_over_best_rule_low", learned.low, "points", Target(0)))
    found = result(rows, before, args.rounds)
    print(found.markdown())
    args.output.mkdir(parents=True, exist_ok=True)
    history = args.output / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
    history.write_text(found.json())
    results.hand_over([found], args.output, args.publish)
    return 0


if __name__ == "__main__":
    sys.exit(main())
