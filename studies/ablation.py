"""
What each part of the agent buys: ``python -m studies.ablation`` (``make ablation``).

Trains BranchingDQN on the short shift, V2, with one part taken away (or one option added) at a time, three seeds each,
at a reduced budget: block ``Dispatch-v0-ablation`` of ``hyperparams/v2/branching_dqn.yml``; without its branches it is
MaskableDQN, and the block of the same name in ``maskable_dqn.yml``. Then all and the rules
play the 500 report days; differences are paired by day. Can be stopped at any time: the same command goes on where it
was. The full agent is trained longer, so its figures are higher in the table of the short shift.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studies.jobs import ROOT, Job, add_training_options, latest_run, run_all, train_job
from studies.paired import DayResults
from studies.results import Column, Result, add_publish, cell_of, hand_over, measured, numbered_days

SEEDS = (1, 2, 3)
NUM_REPORT_DAYS = 500
BLOCK = "Dispatch-v0-ablation"
WHOLE, Q_LEARNING = "whole", "q-learning"

PAIR = {"pair_mixing": True}  # policy_kwargs of the whole agent; --hyperparams replaces them as one
FLAT: dict[str, Any] = {"policy": "MaskableMlpPolicy", "policy_kwargs": {"net_arch": [256, 256]}}
ALL_PAIRS: dict[str, Any] = {"replay_buffer_kwargs": {"pair_fill": 1.0}}  # room for rows of infeasible pairs too
OWN_ALGOS = ("--gym-packages", "studies.unmasked")
PRIORITIZED = {"replay_buffer_class": "agents.replay.PrioritizedClockReplayBuffer"}


@dataclass(frozen=True)
class Variant:
    """
    The agent with something changed.

    Attributes
    ----------
    changes
        Keys of the hyperparameter block with other values.
    against
        The variant that differs in nothing else.
    """

    name: str
    meaning: str
    changes: dict[str, Any] = field(default_factory=dict)
    against: str = WHOLE
    algo: str = "branching_dqn"

    @property
    def config(self) -> str:
        """Its hyperparameter file."""
        return f"hyperparams/v2/{'maskable' if self.algo == 'maskable_dqn' else 'branching'}_dqn.yml"


VARIANTS = (
    Variant(WHOLE, "all parts: mask, pair network with mixing, start from the immediate reward, double Q, branches"),
    Variant(
        "no-mask",
        "may choose any pair of a driver and a booking that are there, in exploration, choice, target, branches and "
        "evaluation; an infeasible one costs 5 points and acts as wait (is_feasible stays among the pair's features)",
        ALL_PAIRS,
        algo="present_pairs_dqn",
    ),
    Variant(
        "flat",
        "fully connected network (256, 256) on the flattened observation, masked; reads the immediate reward as an "
        "input but doesn't start from it",
        FLAT,
    ),
    Variant(
        "flat-no-mask",
        "the flat network, all 76 actions open as to stock DQN",
        {**FLAT, **ALL_PAIRS},
        against="flat",
        algo="all_actions_dqn",
    ),
    Variant("no-pair-mixing", "pairs don't learn of their rivals", {"policy_kwargs": {"pair_mixing": False}}),
    Variant(
        "no-immediate-reward",
        "neither starts from the immediate reward of a pair nor sees it",
        {"policy_kwargs": {**PAIR, "use_pair_reward": False}},
    ),
    Variant("no-double", "the target network both chooses and values the next action", {"double_q": False}),
    Variant("one-step", "returns over 1 tick instead of 8", {"n_ticks": 1.0}),
    Variant("no-averaging", "the last weights choose, not their running average", {"averaging": None}),
    Variant(
        "dueling",
        "option added: the mean advantage over feasible actions is taken off",
        {"policy_kwargs": {**PAIR, "dueling": True}},
    ),
    Variant("prioritized", "option added: prioritized replay in the Q-learning part", PRIORITIZED),
    Variant(Q_LEARNING, "no branches: Q-learning for the whole run, as many decisions", algo="maskable_dqn"),
    Variant(
        "q-learning-no-double",
        "Q-learning alone without double Q",
        {"double_q": False},
        against=Q_LEARNING,
        algo="maskable_dqn",
    ),
    Variant(
        "q-learning-one-step",
        "Q-learning alone, returns over 1 tick",
        {"n_ticks": 1.0},
        against=Q_LEARNING,
        algo="maskable_dqn",
    ),
    Variant(
        "q-learning-dueling",
        "Q-learning alone, dueling added",
        {"policy_kwargs": {**PAIR, "dueling": True}},
        against=Q_LEARNING,
        algo="maskable_dqn",
    ),
    Variant(
        "q-learning-prioritized",
        "Q-learning alone, prioritized replay added",
        PRIORITIZED,
        against=Q_LEARNING,
        algo="maskable_dqn",
    ),
)
CLOCK_NOTE = (
    "discount by the clock against a discount per decision: not run, because on the short shift every decision takes "
    "one tick of 5 min, so gamma ** (elapsed / tick) is gamma"
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--variants", nargs="+", default=names, choices=names, metavar="NAME", help=f"default: {names}")
    add_training_options(parser, "ablation", SEEDS)
    parser.add_argument("-n", "--n-timesteps", type=int, help="decisions of a run; default: as the YAML says")
    parser.add_argument("--episodes", type=int, default=NUM_REPORT_DAYS, help="report days; default: 500")
    add_publish(parser)
    args = parser.parse_args(argv)

    variants = [variant for variant in VARIANTS if variant.name in args.variants]
    run_all(training_jobs(variants, args.seeds, args.folder, args.n_timesteps), args.folder, args.jobs)
    folders = {
        variant.name: [run_folder(args.folder, variant.name, seed, args.n_timesteps) for seed in args.seeds]
        for variant in variants
    }
    days = ["--episodes", str(args.episodes), "--no-latency"]
    everybody = [run for name in folders for run in models_of(folders[name])]
    evaluate([*days, "--compare-baseline", "--model", *everybody], args.output)
    found = result(variants, folders, DayResults.read(args.output))
    print(found.markdown())
    hand_over([found], args.output, args.publish)
    return 0


def run_folder(folder: Path, name: str, seed: int, n_timesteps: int | None = None) -> Path:
    """Holds what decides the run, so that another budget is another run."""
    return folder / (f"{name}-seed{seed}" if n_timesteps is None else f"{name}-{n_timesteps}-seed{seed}")


def training_jobs(
    variants: Sequence[Variant], seeds: Sequence[int], folder: Path, n_timesteps: int | None = None
) -> list[Job]:
    """One job per seed and variant; seed by seed, so that a study cut short has a bit of everything."""
    jobs = []
    for seed in seeds:
        for variant in variants:
            run = run_folder(folder, variant.name, seed, n_timesteps)
            arguments = ["--reward", "v2", "--algo", variant.algo, "-conf", variant.config, *OWN_ALGOS]
            arguments += ["--hyperparams-block", BLOCK, "--seed", str(seed)]
            arguments += ["--eval-freq", "-1", "--no-save-replay-buffer"]  # the last model counts
            if n_timesteps is not None:
                arguments += ["-n", str(n_timesteps)]
            if variant.changes:
                arguments += ["--hyperparams", *(f"{key}:{value!r}" for key, value in variant.changes.items())]
            jobs.append(train_job(run.name, run, arguments))
    return jobs


def models_of(folders: Sequence[Path]) -> list[str]:
    return [str(run) for run in map(latest_run, folders) if run is not None]


def evaluate(arguments: Sequence[str], output: Path) -> None:
    options = ["--reward", "v2", "--last", *OWN_ALGOS, *arguments, "--output", str(output)]
    subprocess.run([sys.executable, "evaluate.py", *options], cwd=ROOT, check=True)


def result(variants: Sequence[Variant], folders: dict[str, list[Path]], days: DayResults) -> Result:
    """The table."""
    played = {name: [days.model_name(folder) for folder in of] for name, of in folders.items()}
    rule = days.best_rule
    rows = []
    for variant in variants:
        names = played[variant.name]
        row = row_of(variant.name, variant.meaning, names, days, rule)
        base = variant.against
        if base != variant.name and base in played:
            row |= {"against": base, "against_base": cell_of(days.difference(names, played[base]))}
        rows.append(row)
    return Result(
        "ablation",
        "What each part of the agent buys, short shift, V2",
        (
            *(Column("label", "variant"), Column("reward", "V2 reward"), Column("seeds", "each seed")),
            Column("difference", "against the best rule, 95 %", sign=True),
            *(Column("against", "changes"), Column("against_base", "against what it changes, 95 %", sign=True)),
            *(Column("served", "served %", 1), Column("late", "over 5 min late %", 1)),
            *(Column("infeasible", "infeasible", 2), Column("meaning", "what it is")),
        ),
        tuple(rows),
        days=numbered_days(days.about["days"]),
        seeds=f"{max(len(of) for of in folders.values())} training seeds, last models",
        **measured(days.about.get("commit")),
        commands=("python -m studies.ablation",),
        notes=(f"best rule: {rule}, {days.mean([rule]):.0f}", CLOCK_NOTE),
    )


def row_of(name: str, meaning: str, names: list[str], days: DayResults, rule: str) -> dict[str, Any]:
    return {
        "label": name,
        "bold": name == WHOLE,
        "meaning": meaning,
        "reward": days.mean(names),
        "seeds": days.values(names).mean(axis=1).tolist(),
        "difference": cell_of(days.difference(names, [rule])),
        "against": None,
        "against_base": None,
        "served": 100 * days.mean(names, "service_rate"),
        "late": 100 * days.mean(names, "late_share_5"),
        "infeasible": days.mean(names, "num_infeasible"),
    }


if __name__ == "__main__":
    sys.exit(main())
