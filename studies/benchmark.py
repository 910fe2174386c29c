"""
Decisions per second of simulator, environments and training: ``python -m studies.benchmark`` (``make benchmark``).

Every figure is the median of several rounds in one process on one core; the rounds of all measurements take turns, so
that a machine that slows down slows all of them. Quote the ratios; the rates are this machine's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv
from tqdm import tqdm

from agents.maskable_dqn import MaskableDQN
from baselines.kernels import random_pairs
from envs import DispatchBatch, Scenario
from envs.vec_env import DispatchVecEnv
from reward import RewardFunction, RewardV2

BATCH_SIZES = (1, 64, 1024)
SIZES = {"5x15": ("short_shift", {}), "4x30_day": ("operating_day", {"load": 2.0})}
Measure = Callable[[], float]  # decisions per second of one round


def simulator(scenario: str, overrides: dict[str, Any], batch_size: int, num_decisions: int) -> Measure:
    """Random feasible decisions, slots, pairs, observation and mask included; days are loaded anew as they end."""
    batch = DispatchBatch(Scenario.load(scenario, **overrides), batch_size)
    next_day = 0
    for b in range(batch_size):
        batch.load_day(b, next_day)
        next_day += 1
    batch.refresh()
    actions = np.zeros(batch_size, np.int64)

    def measure() -> float:
        nonlocal next_day
        begun = time.perf_counter()
        steps = max(1, num_decisions // batch_size)
        for _ in range(steps):
            random_pairs(batch.world, 0, True, actions)
            batch.step(actions)
            for b in np.flatnonzero(batch.is_done).tolist():
                batch.load_day(b, next_day)
                batch.refresh(b)
                next_day += 1
        return steps * batch_size / (time.perf_counter() - begun)

    return measure


def vec_env(env: Any, num_decisions: int) -> Measure:
    """The same through SB3's VecEnv, reward V2 and reset included."""
    observation = env.reset()

    def measure() -> float:
        nonlocal observation
        random = np.random.default_rng(0)
        begun = time.perf_counter()
        steps = max(1, num_decisions // env.num_envs)
        for _ in range(steps):
            mask = observation["action_mask"]
            observation, _, _, _ = env.step((random.random(mask.shape) * mask).argmax(axis=1))
        return steps * env.num_envs / (time.perf_counter() - begun)

    return measure


def training(model: Any, num_decisions: int) -> Measure:
    """Training as in ``learn``, updates included."""
    model.learn(max(model.learning_starts, 1) + 64)

    def measure() -> float:
        begun = time.perf_counter()
        model.learn(num_decisions, reset_num_timesteps=False)
        return num_decisions / (time.perf_counter() - begun)

    return measure


def single_env() -> Any:
    return RewardV2(gym.make("Dispatch-v0"))


def measurements() -> dict[str, Measure]:
    reward = RewardFunction.load("v2")
    found: dict[str, Measure] = {}
    for size, (scenario, overrides) in SIZES.items():
        for batch_size in BATCH_SIZES:
            # Enough steps for every row to get through the morning, where little is planned and a step is cheap.
            num_decisions = max(40_000 if batch_size > 1 and size == "5x15" else 4_000, 24 * batch_size)
            found[f"simulator_{size}_b{batch_size}"] = simulator(scenario, overrides, batch_size, num_decisions)
    found["vec_env_5x15_b64"] = vec_env(DispatchVecEnv(64, "short_shift", reward, seed=0), 20_000)
    found["dummy_vec_env_5x15_b64"] = vec_env(DummyVecEnv([single_env] * 64), 4_000)
    found["single_env_5x15"] = vec_env(DummyVecEnv([single_env]), 2_000)
    batched = DispatchVecEnv(64, "short_shift", reward, seed=0)
    found["train_maskable_dqn_5x15_b64"] = training(MaskableDQN("PairPolicy", batched, device="cpu"), 6_400)
    published = DQN(
        "MultiInputPolicy",
        DummyVecEnv([single_env]),
        learning_starts=128,
        buffer_size=5_000,
        batch_size=128,
        train_freq=1,
        policy_kwargs={"net_arch": [1024, 256, 256], "optimizer_kwargs": {"fused": True}},
        device="cpu",
    )
    found["train_dqn_published_5x15"] = training(published, 200)
    return found


RATIOS = {
    # name: (numerator, denominator, target)
    "batched_vs_dummy_5x15_b64": ("vec_env_5x15_b64", "dummy_vec_env_5x15_b64", 100.0),
    "simulator_b64_vs_b1_5x15": ("simulator_5x15_b64", "simulator_5x15_b1", None),
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds per measurement (default: 5)")
    parser.add_argument("--output", type=Path, default=Path("results/benchmark"), help="default: results/benchmark")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    print("compiling and warming up ...", flush=True)
    found = measurements()
    for measure in found.values():
        measure()
    rates: dict[str, list[float]] = {name: [] for name in found}
    for _ in tqdm(range(args.rounds), desc="rounds"):
        for name, measure in found.items():
            rates[name].append(measure())
    medians = {name: float(np.median(values)) for name, values in rates.items()}
    rows: list[dict[str, Any]] = [
        {"name": name, "value": round(value, 1), "unit": "decisions/s", "target": None, "met": None}
        for name, value in medians.items()
    ]
    for name, (above, below, target) in RATIOS.items():
        ratio = float(np.median(np.array(rates[above]) / np.array(rates[below])))
        met = None if target is None else ratio >= target
        rows.append({"name": name, "value": round(ratio, 2), "unit": "x", "target": target, "met": met})
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [f"Medians of {args.rounds} rounds that take turns, one thread; {machine}.", ""]
    lines += ["| measurement | value | unit | target | met |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['name']} | {row['value']:,} | {row['unit']} | {row['target'] or ''} | "
        f"{'' if row['met'] is None else 'yes' if row['met'] else 'no'} |"
        for row in rows
    ]
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "benchmarks.json").write_text(json.dumps(rows, indent=1) + "\n")
    (args.output / "benchmarks.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"Results: {args.output}/benchmarks.json and benchmarks.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
