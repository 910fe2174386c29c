"""
The first quarter of an hour: ``make run``, or ``python -m studies.first_run``.

Trains the default agent of the short shift on reward V2 with the settings that a minute of one core is enough for, lets
it play 100 days that nobody has seen beside all rules and the originators' stock DQN, and says who won.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from studies.jobs import ROOT, latest_run

FOLDER = Path("logs/first-run")
STOCK_DQN = "v2-stock-dqn-seed1"
NUM_DAYS = 100
TRAIN = ["train.py", "--reward", "v2", "--hyperparams-block", "Dispatch-v0-minute", "--seed", "1", "--verbose", "0"]
TRAIN += ["--eval-freq", "6000"]  # decisions; the last model plays, so the curves' four points are enough
EVALUATE = ["evaluate.py", "--reward", "v2", "--last", "--compare-baseline", "--no-latency"]
NEXT = """
# the five agents that were trained for longer, as one; and the rules
{python} evaluate.py --model v2-short-shift --also-ensemble --compare-baseline
# one of their shifts as a film
{python} -m studies.as_run v2-short-shift && {python} -m rl_zoo3.record_video --algo branching_dqn \\
  --env Dispatch-v0 -f logs/shipped/v2-short-shift --exp-id 1 -n 24
# the whole training, some minutes of one core
{python} train.py --reward v2 -P
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-f", "--log-folder", type=Path, default=FOLDER, help=f"default: {FOLDER}")
    parser.add_argument("--episodes", type=int, default=NUM_DAYS, help=f"report days; default: {NUM_DAYS}")
    parser.add_argument("-n", "--n-timesteps", type=int, help="decisions of the training; default: as the block says")
    args = parser.parse_args(argv)
    folder = args.log_folder
    say("1/3", "the simulator is compiled, once per installation: about a minute")
    run(["-m", "evaluation.warm", "short_shift"])
    # Whoever plays needs kernels that training doesn't; on a second core they are compiled meanwhile.
    compiling = start([*EVALUATE, "--episodes", "1", "--model", STOCK_DQN, "--output", str(folder / "warm")])
    try:
        say("2/3", "training, a minute or two")
        length = [] if args.n_timesteps is None else ["-n", str(args.n_timesteps)]
        run([*TRAIN, *length, "-P", "-f", str(folder)])
        trained = latest_run(ROOT / folder)
        assert trained is not None
        say("3/3", f"{args.episodes} days that nobody has seen: the agent, stock DQN, all rules; some seconds")
        compiling.wait()
    finally:
        compiling.kill()
    report = folder / "report"
    models = [os.path.relpath(trained, ROOT), STOCK_DQN]
    run([*EVALUATE, "--episodes", str(args.episodes), "--output", str(report), "--model", *models])
    print("\n" + what_next(report))
    return 0


def say(step: str, what: str) -> None:
    print(f"\n[{step}] {what}", flush=True)


def run(arguments: list[str]) -> None:
    """Run a command of this project; what it says is seen."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT)
    if done.returncode != 0:
        raise SystemExit(f"{arguments[0]} stopped with exit code {done.returncode}; its message stands above.")


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """The same, silently and beside this process."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=quiet, stderr=quiet)


def what_next(report: Path) -> str:
    """What to open and what to try next; the evaluation above ends with its verdict."""
    python = os.path.relpath(sys.executable, ROOT)
    python = sys.executable if python.startswith("..") else python
    return f"""Stock DQN is Stable-Baselines3's DQN with the originators' published settings, trained once: {STOCK_DQN}.

Open {report / "evaluation.html"}

Try next
{NEXT.format(python=python)}"""


if __name__ == "__main__":
    sys.exit(main())
