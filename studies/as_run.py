"""
Lays shipped agents out as rl-zoo3's tools expect a run: ``python -m studies.as_run v2-short-shift``.

Each ``trained-agents/NAME-seed<n>`` becomes ``logs/shipped/NAME/<algo>/<env>_<n>``, so that they are found by

    python -m rl_zoo3.enjoy --algo branching_dqn --env Dispatch-v0 -f logs/shipped/v2-short-shift --exp-id 1
    python -m rl_zoo3.record_video ...  push_to_hub ...

Runs of ``train.py`` are in that layout already: ``-f logs/<reward>``. A name with a slash is a repository at Hugging
Face that holds a run folder, as ``hf upload ORG/NAME logs/v2/dqn/Dispatch-v0_1`` leaves it; rl-zoo3's ``push_to_hub``
and ``load_from_hub`` don't start with the other versions pinned here.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import yaml

from studies.jobs import ROOT

TRAINED_AGENTS = ROOT / "trained-agents"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="v2-short-shift, v2-short-shift-seed1 for one seed, or ORG/REPOSITORY")
    parser.add_argument("-f", "--log-folder", type=Path, default=ROOT / "logs/shipped", help="default: logs/shipped")
    args = parser.parse_args(argv)
    for name in args.names:
        if "/" in name:
            print(from_hub(name, args.log_folder))
            continue
        found = shipped(name)
        if not found:
            known = ", ".join(sorted({path.name.rpartition("-seed")[0] for path in TRAINED_AGENTS.glob("*-seed*")}))
            print(f"studies.as_run: no shipped agent is called '{name}'. There are: {known}.", file=sys.stderr)
            return 2
        for agent in found:
            print(lay_out(agent, args.log_folder))
    return 0


def shipped(name: str) -> list[Path]:
    """The folders of this agent, one for each training seed."""
    alone = [TRAINED_AGENTS / name] if (TRAINED_AGENTS / name).is_dir() else []
    return alone or sorted(TRAINED_AGENTS.glob(f"{name}-seed*"))


def lay_out(agent: Path, log_folder: Path) -> Path:
    """
    Copy the model and write rl-zoo3's ``config.yml`` and ``args.yml`` beside it, from ``resolved.yml``.

    Returns
    -------
    The run folder; the training seed is its number.
    """
    (resolved,) = agent.glob("*/resolved.yml")
    settings = yaml.safe_load(resolved.read_text())
    env, name = resolved.parent.name, agent.name.rpartition("-seed")[0]
    run = log_folder / name / settings["algo"] / f"{env}_{settings['seed']}"
    (run / env).mkdir(parents=True, exist_ok=True)
    shutil.copy(agent / f"{env}.zip", run)
    shutil.copy(resolved, run / env)
    (run / env / "config.yml").write_text(yaml.safe_dump(settings["hyperparams"]))
    args = {key: settings[key] for key in ("algo", "env", "seed", "n_timesteps", "reward")}
    args["env_kwargs"] = settings.get("env_kwargs") or None
    (run / env / "args.yml").write_text(yaml.safe_dump(args))
    return run


def from_hub(repository: str, log_folder: Path) -> Path:
    """Fetch a run folder that was uploaded to Hugging Face, and lay it out alike."""
    from huggingface_hub import snapshot_download

    files = Path(snapshot_download(repository))
    (found,) = files.glob("*/args.yml")
    args = yaml.safe_load(found.read_text())
    run = log_folder / repository / args["algo"] / f"{found.parent.name}_{args['seed']}"
    return Path(shutil.copytree(files, run, dirs_exist_ok=True))


if __name__ == "__main__":
    sys.exit(main())
