"""
Puts the last model of a run among the shipped ones: ``python -m studies.ship RUN NAME``.

``trained-agents/NAME`` then holds the model without the optimizer's memory (half of the file, of no use to anybody who
only dispatches) and the settings that repeat it, without paths of this machine. ``--half`` keeps the weights in half
precision and leaves out the target network, a quarter of what remains: for flat networks, which are large.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from evaluation.players import algo_class
from evaluation.runs import LAST, TRAINED_AGENTS, ModelError, find_run
from studies.jobs import ROOT

KEPT = ("reward", "algo", "env", "block", "seed", "n_timesteps", "env_kwargs", "eval_env_kwargs", "hyperparams")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder, such as logs/v2/maskable_dqn/Dispatch-v0_1")
    parser.add_argument("name", help="such as v2-short-shift-seed1")
    parser.add_argument("--folder", type=Path, default=TRAINED_AGENTS, help="default: trained-agents")
    parser.add_argument("--half", action="store_true", help="half precision, no target network; the model still plays")
    args = parser.parse_args(argv)
    try:
        folder = ship(args.run, args.folder / args.name, args.half)
    except ModelError as error:
        print(f"studies.ship: {error}", file=sys.stderr)
        return 2
    print(f"Shipped: {folder}")
    return 0


def ship(run_folder: Path, target: Path, is_half: bool = False) -> Path:
    """
    Write the last model of ``run_folder`` and its settings into ``target``.

    Weights in half precision become single precision again when the model is loaded, and the target network, of which
    only training has any use, a copy of the other.

    Raises
    ------
    ModelError
        When the folder is not a finished run.
    """
    run = find_run(run_folder, LAST)
    model = algo_class(run.algo).load(run.path, device="cpu", custom_objects={"buffer_size": 1})
    model.policy.optimizer.state.clear()
    if is_half:
        model.policy.q_net_target = model.policy.q_net  # stored once
        model.policy.half()
    env_id = run.settings["env"]
    (target / env_id).mkdir(parents=True, exist_ok=True)
    model.save(target / f"{env_id}.zip")
    settings = without_root({key: run.settings[key] for key in KEPT if key in run.settings})
    settings["command"] = command_of(settings)
    (target / env_id / "resolved.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return target


def without_root(value: Any) -> Any:
    """``value`` with paths into this project made relative to it."""
    if isinstance(value, dict):
        return {key: without_root(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_root(inner) for inner in value]
    return value.removeprefix(f"{ROOT}/") if isinstance(value, str) else value


def command_of(settings: dict[str, Any]) -> str:
    """What trains the same model anew; the settings that are the file's own needn't be named."""
    words = ["python train.py", "--reward", settings["reward"], "--algo", settings["algo"]]
    if settings["env"] != "Dispatch-v0":
        words += ["--env", settings["env"]]
    if settings.get("block") not in (None, settings["env"]):
        words += ["--hyperparams-block", settings["block"]]
    if (settings.get("env_kwargs") or {}).get("scenario") == "paratransit":
        words += ["--days-from", "FOLDERS"]  # of the converted days; `studies.real_days` names them
    return " ".join([*words, "-n", str(settings["n_timesteps"]), "--seed", str(settings["seed"])])


if __name__ == "__main__":
    sys.exit(main())
