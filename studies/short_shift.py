"""
The README's table on the short shift: ``python -m studies.short_shift`` (``make results``).

Trains every agent of the table with five seeds, one run per core, then evaluates all of them and all rules on the 500
report days. Can be stopped at any time: the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from studies.jobs import ROOT, Job, latest_run, run_all, train_job

SEEDS = (1, 2, 3, 4, 5)
AGENTS: dict[str, tuple[str, ...]] = {
    "dqn": ("--algo", "dqn"),
    "maskable_dqn": ("--algo", "maskable_dqn", "--vec-env", "batched"),
}
NUM_REPORT_DAYS = 500


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rewards", nargs="+", default=["v1", "v2"], help="default: v1 v2")
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=list(AGENTS), help="default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="training seeds; default: 1 to 5")
    parser.add_argument("--jobs", type=int, help="runs side by side; default: one per core")
    parser.add_argument("--folder", type=Path, default=Path("logs/short-shift"), help="default: logs/short-shift")
    parser.add_argument("--output", type=Path, default=Path("results/short-shift"), help="default: results/short-shift")
    args = parser.parse_args(argv)

    def run_folder(reward: str, agent: str, seed: int) -> Path:
        return args.folder / f"{reward}-{agent}-seed{seed}"

    jobs: list[Job] = []
    for agent in args.agents:
        for seed in args.seeds:
            for reward in args.rewards:
                folder = run_folder(reward, agent, seed)
                arguments = ("--reward", reward, "--seed", str(seed), *AGENTS[agent])
                jobs.append(train_job(folder.name, folder, arguments))
    run_all(jobs, args.folder, args.jobs)

    for reward in args.rewards:
        models = [latest_run(run_folder(reward, agent, seed)) for agent in args.agents for seed in args.seeds]
        command = [sys.executable, "evaluate.py", "--reward", reward, "--episodes", str(NUM_REPORT_DAYS)]
        command += ["--compare-baseline", "--output", str(args.output / reward), "--best-and-last"]
        command += ["--model", *(str(model) for model in models if model is not None)]
        subprocess.run(command, cwd=ROOT, check=True)
    print(f"Results: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
