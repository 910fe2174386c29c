"""Commands side by side, one per core; what was done already is not done again."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DONE_SUFFIX = ".done"


def add_training_options(parser: argparse.ArgumentParser, name: str, seeds: Sequence[int]) -> None:
    """What every study that trains asks: ``--seeds``, ``--jobs``, ``--folder`` of the runs, ``--output``."""
    shown = " ".join(map(str, seeds))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(seeds), help=f"training seeds; default: {shown}")
    parser.add_argument("--jobs", type=int, help="runs side by side; default: one per core")
    for option, folder in (("--folder", Path("logs", name)), ("--output", Path("results", name))):
        parser.add_argument(option, type=Path, default=folder, help=f"default: {folder}")


@dataclass(frozen=True)
class Job:
    """A command, the name that its log and its mark of completion carry, and how to go on when it was cut off."""

    name: str
    command: tuple[str, ...]
    resume_command: tuple[str, ...] | None = None


def train_job(name: str, folder: Path, arguments: Sequence[str]) -> Job:
    """``train.py`` with a log folder of its own, so that a run cut off is found again and resumed."""
    command = (sys.executable, "train.py", "-f", str(folder), *arguments)
    run = latest_run(folder)
    if run is None or not any((run / "checkpoint").glob("*")):  # cut off before its first checkpoint: begins anew
        return Job(name, command)
    return Job(name, command, (sys.executable, "train.py", "--resume", str(run)))


def latest_run(folder: Path) -> Path | None:
    """The newest run folder (``<reward>/<algo>/<env>_<n>``) below ``folder`` that has settings."""
    runs = [path.parent.parent for path in folder.glob("*/*/*/*/resolved.yml")]
    return max(runs, key=lambda run: run.stat().st_mtime, default=None)


def is_done(name: str, folder: Path) -> bool:
    """Whether the job of that name has been finished in ``folder``."""
    return (folder / f"{name}{DONE_SUFFIX}").exists()


def run_all(jobs: Sequence[Job], folder: Path, num_workers: int | None = None) -> None:
    """
    Run the jobs that are not marked as done, ``num_workers`` (default: one per core) at a time.

    Raises
    ------
    SystemExit
        When a job fails; names its log. The others are finished first, and the same command goes on from there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    workers = num_workers or os.cpu_count() or 1
    waiting = [job for job in jobs if not is_done(job.name, folder)]
    print(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs are done; {workers} at a time; logs in {folder}", flush=True)
    running: dict[str, tuple[Job, subprocess.Popen[bytes], float]] = {}
    failed: list[str] = []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    while waiting or running:
        while waiting and len(running) < workers:
            job = waiting.pop(0)
            with (folder / f"{job.name}.log").open("ab") as log:
                process = subprocess.Popen(
                    job.resume_command or job.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment
                )
            running[job.name] = (job, process, time.monotonic())
            print(f"  {'resumed' if job.resume_command else 'started'}: {job.name}", flush=True)
        time.sleep(0.5)
        for name, (_, process, begun) in list(running.items()):
            code = process.poll()
            if code is None:
                continue
            del running[name]
            minutes = (time.monotonic() - begun) / 60.0
            if code == 0:
                (folder / f"{name}{DONE_SUFFIX}").touch()
                print(f"  done in {minutes:.1f} min: {name}", flush=True)
            else:
                failed.append(name)
                print(f"  failed after {minutes:.1f} min (exit {code}): {name}", flush=True)
    if failed:
        raise SystemExit(f"{len(failed)} jobs failed; see {folder}/{failed[0]}.log. Run the same command to go on.")
