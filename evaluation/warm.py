"""
Compile what nearly every command needs, in two processes side by side: ``python -m evaluation.warm``.

The first command after an installation or an edit would compile it anyway, but in one process, and two that start
together would compile the same twice. Where all of it is there already, this takes about a second.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numba
import numpy as np
from tqdm import tqdm

from envs.world.compiled import cache_folders, sources_of

MODULES = (
    "evaluation.warm",
    "envs.world.clock",
    "envs.world.decisions",
    "envs.batch",
    "reward.payer",
    "baselines.rules",
)


def _tick() -> None:
    from envs.world.clock import TICK

    TICK.bind()


def _decisions() -> None:
    from envs.world.decisions import REFRESH, STEP

    REFRESH.bind()
    STEP.bind()


def _improvement() -> None:
    from envs.world.clock import IMPROVEMENT

    IMPROVEMENT.bind()


def _play(scenario: str, reward: str) -> None:
    """A decision, which meets every kernel on its way."""
    from baselines import make_rules
    from envs.days.scenario import Scenario
    from evaluation.runner import Arena
    from evaluation.setup import generated_cases

    loaded = Scenario.load(scenario)
    arena = Arena(loaded, reward, 1)
    arena.load(generated_cases(0, 1, loaded))
    (rule,) = make_rules(["nearest_driver"])
    arena.batch.step(rule.act(arena.batch, arena.payer))
    arena.payer.pay()
    arena.payer.price_pairs()
    arena.batch.kpis(0)


# Scenario to the reward that is played with it.
REWARDS = {"short_shift": "v2", "operating_day": "v3"}


def stages(scenarios: Sequence[str]) -> list[list[Callable[[], None]]]:
    """What stands in one list knows nothing of each other; later lists build on earlier ones. The longest go first."""
    apart = [_decisions, _tick]
    if "operating_day" in scenarios:
        apart.insert(0, _improvement)
    plays: list[list[Callable[[], None]]] = [[partial(_play, name, REWARDS[name])] for name in scenarios]
    return [apart, *plays]


def mark(scenarios: Sequence[str]) -> Path:
    """The file that says that everything is there, named after the sources."""
    root = Path(__file__).resolve().parents[1]
    sources = [sources_of(name, str(root.joinpath(*name.split(".")).with_suffix(".py"))) for name in MODULES]
    versions = (sys.version, numba.__version__, np.__version__, platform.processor(), platform.machine())
    digest = hashlib.sha256(repr((sources, versions, sorted(scenarios))).encode()).hexdigest()[:32]
    return cache_folders()[-1] / f"all-{digest}.kernels"


def compile_all(scenarios: Sequence[str]) -> None:
    """Compile for these scenarios, unless that was done before."""
    done = mark(scenarios)
    if done.exists():
        return
    to_do = stages(scenarios)
    with (
        ProcessPoolExecutor(2, get_context("spawn")) as pool,
        tqdm(total=sum(map(len, to_do)), desc="Compiling kernels, once per installation", unit="part") as progress,
    ):
        for stage in to_do:
            for finished in as_completed([pool.submit(job) for job in stage]):
                finished.result()
                progress.update()
    done.touch()


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile ahead what commands and tests need.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(REWARDS)} (default: all)")
    scenarios = parser.parse_args().scenarios or list(REWARDS)
    unknown = [name for name in scenarios if name not in REWARDS]
    if unknown:
        parser.error(f"scenario '{unknown[0]}': expected one of {', '.join(REWARDS)}.")
    compile_all(scenarios)


if __name__ == "__main__":
    main()
