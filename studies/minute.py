"""
What a minute of one core buys: ``python -m studies.minute`` (part of ``make benchmark``).

Trains the block ``Dispatch-v0-minute`` (24 000 decisions, the originators' budget) with five seeds, one after the
other, and lets the last models play the 500 report days beside the rules. The time is processor time of the whole
command, its start and its evaluations on the way included, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from studies.jobs import ROOT, latest_run
from studies.results import Column, Result, add_publish, current_commit, hand_over, interval, measured

SEEDS = (1, 2, 3, 4, 5)
NUM_REPORT_DAYS = 500


@dataclass(frozen=True)
class Minute:
    """Processor seconds of a training (median over the seeds), and reward a day less that of the best rule."""

    reward: str
    seconds: float
    mean: float
    low: float  # of the 95 % interval
    high: float
    best_rule: str

    def __str__(self) -> str:
        return (
            f"{self.reward.upper()}: {self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}] a day on the best rule "
            f"({self.best_rule}) after {self.seconds:.0f} s"
        )


def processor_seconds() -> float:
    """Of the commands that have run so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(reward: str, folder: Path, seeds: tuple[int, ...] = SEEDS, num_days: int = NUM_REPORT_DAYS) -> Minute:
    """Train anew into ``folder``, evaluate, and read what came out."""
    shutil.rmtree(folder, ignore_errors=True)
    runs, seconds = [], []
    for seed in seeds:
        command = [sys.executable, "train.py", "--reward", reward, "--hyperparams-block", "Dispatch-v0-minute"]
        command += ["--seed", str(seed), "--verbose", "0", "-f", str(folder / f"seed{seed}")]
        before = processor_seconds()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        seconds.append(processor_seconds() - before)
        run = latest_run(folder / f"seed{seed}")
        assert run is not None
        runs.append(str(run))
        print(f"{reward}, seed {seed}: {seconds[-1]:.0f} s", flush=True)
    command = [sys.executable, "evaluate.py", "--reward", reward, "--last", "--episodes", str(num_days)]
    command += ["--compare-baseline", "--no-latency", "--output", str(folder), "--model", *runs]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return read(json.loads((folder / "evaluation.json").read_text()), reward, median(seconds), len(seeds))


def read(evaluation: dict, reward: str, seconds: float, num_seeds: int) -> Minute:
    """The seeds' common row against the best rule in an ``evaluation.json``."""
    best_rule = evaluation["best_rule"]
    pools = [name for name, policy in evaluation["policies"].items() if len(policy.get("members", [])) == num_seeds]
    (found,) = (
        entry
        for entry in evaluation["comparisons"]
        if (entry["against"], entry["metric"]) == (best_rule, "reward") and entry["policy"] in pools
    )
    return Minute(reward, seconds, found["mean_difference"], found["ci_low"], found["ci_high"], best_rule)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rewards", nargs="+", default=["v2", "v1"], help="default: v2 v1")
    parser.add_argument("--folder", type=Path, default=ROOT / "logs/minute", help="default: logs/minute")
    add_publish(parser)
    args = parser.parse_args(argv)
    found = []
    for reward in args.rewards:
        found.append(measure(reward, args.folder / reward))
        print(found[-1])
    hand_over([result(found)], args.folder, args.publish)
    return 0


def result(found: Sequence[Minute]) -> Result:
    """The table of what was learned under each reward."""
    return Result(
        "minute",
        "What a minute of one core learns",
        (
            *(Column("label", "reward"), Column("difference", "against the best rule, 95 %", sign=True)),
            *(Column("best_rule", "best rule"), Column("seconds", "seconds of one core")),
        ),
        tuple(
            {
                "reward": one.reward,
                "label": one.reward.upper(),
                "difference": interval(one.mean, one.low, one.high),
                "best_rule": one.best_rule,
                "seconds": one.seconds,
            }
            for one in found
        ),
        days=f"{NUM_REPORT_DAYS} report days",
        seeds=f"{len(SEEDS)} training seeds, 24 000 decisions each, last models",
        **measured(current_commit()),
        commands=("python -m studies.minute",),
    )


if __name__ == "__main__":
    sys.exit(main())
