"""The command line of ``train.py``: rl-zoo3's names wherever it has one. Importing it loads no library."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from training.search.options import SearchOptions
from training.settings import RunSettings

DEFAULT_ALGO = "branching_dqn"
DEFAULT_ENV = "Dispatch-v0"
DEFAULTS = {
    each.name: each.default for each in (*fields(SearchOptions), *fields(RunSettings)) if each.default is not MISSING
}
YAML_WORDS = {"true": True, "false": False, "null": None}
EPILOG = """\
examples:
  python train.py --reward v2 -P
  python train.py --reward v1 --algo dqn --hyperparams-block v1-published --seed 3
  python train.py --resume logs/v2/branching_dqn/Dispatch-v0_1
  python train.py --reward v2 -optimize --n-jobs 2
  tensorboard --logdir logs"""


class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults beside each option, examples as they are written."""


class StoreDict(argparse.Action):
    """``key:value`` pairs into a dict, each value a literal of Python; rl-zoo3 runs it as code."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        pairs = {}
        for pair in values:
            key, _, text = pair.partition(":")
            try:
                pairs[key] = literal(text)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                raise argparse.ArgumentError(
                    self,
                    f"expected key:value with a number, true, false, a quoted text, a list or a dict, came '{pair}'. "
                    f"Quote text: {key}:\"'...'\"",
                ) from None
        setattr(namespace, self.dest, pairs)


def literal(text: str) -> Any:
    """
    The value of a literal: numbers, texts, lists, dicts (``dict(a=1)`` too), True or true.

    Raises
    ------
    ValueError, SyntaxError
        For anything that would have to be run.
    """
    if text in YAML_WORDS:
        return YAML_WORDS[text]
    tree = ast.parse(text.strip(), mode="eval").body
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "dict" and not tree.args:
        return {str(each.arg): literal(ast.unparse(each.value)) for each in tree.keywords}
    return ast.literal_eval(tree)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="train.py",
        formatter_class=Formatter,
        description="Train an agent to dispatch patient transport.",
        epilog=EPILOG,
    )
    _add_what(parser.add_argument_group("what is trained"))
    _add_how(parser.add_argument_group("how"))
    _add_kept(parser.add_argument_group("what is kept"))
    _add_search(parser.add_argument_group("hyperparameter search"))
    parser.set_defaults(**{action.dest: DEFAULTS[action.dest] for action in parser._actions if action.dest in DEFAULTS})
    parser.set_defaults(n_timesteps=-1, reward="v2", conf_file=None, vec_env=None)
    return parser


def read_options(argv: Sequence[str] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """All options by name, and those among them that stand on the command line."""
    parser = build_parser()
    absent = object()
    marked = argparse.Namespace(**{action.dest: absent for action in parser._actions})
    options = vars(parser.parse_args(argv))
    given = vars(parser.parse_args(argv, marked))
    return options, {name: value for name, value in given.items() if value is not absent}


def _add_what(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--reward", help="v1, v2, v3 or a YAML file of weights; replaces the file's env_wrapper")
    add("--algo", help="branching_dqn, maskable_dqn, dqn, qrdqn, maskable_ppo, ppo", default=DEFAULT_ALGO)
    add("--env", help="Dispatch-v0 (short shift) or DispatchDay-v0 (operating day)", default=DEFAULT_ENV)
    add("--scenario", help="name under envs/scenarios or a YAML file; default: the environment's")
    add("--num-drivers", type=int, help="default: the scenario's")
    add("--max-bookings", type=int, help="bookings shown at once; default: the scenario's")
    add("--days-from", nargs="+", metavar="FOLDER", help="train on days read from files instead of generated ones")
    add("--columns", metavar="NAMES", help="what columns and values are called in them: fr, de, it or a YAML file")
    add("--train-days", help="service days of --days-from to train on")
    add("--eval-days", help="service days of --days-from that select the best model")
    add("--gym-packages", nargs="+", help="modules to import first, for environments and algorithms of your own")


def _add_how(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-n", "--n-timesteps", type=int, help="number of decisions; -1: as the YAML says")
    add("--seed", type=int, help="of networks, exploration and training days; -1 draws one")
    add("-conf", "--conf-file", help="hyperparameter file; default: hyperparams/<reward>/<algo>.yml")
    add("--hyperparams-block", metavar="BLOCK", help="block of that file; default: the one named after --env")
    add("-params", "--hyperparams", nargs="+", action=StoreDict, help="replace values, e.g. learning_rate:1.0e-4")
    add("--env-kwargs", nargs="+", action=StoreDict, help="more settings of the scenario, e.g. load:2.0")
    add("--eval-env-kwargs", nargs="+", action=StoreDict, help="the same for the evaluation environment alone")
    add(
        "--vec-env",
        choices=["dummy", "subproc", "batched"],
        help="batched: the native batch; default: batched for ours, dummy for the others",
    )
    add("--num-threads", type=int, help="PyTorch's threads; the same seed repeats itself with 1 only")
    add("--device", help="cpu, cuda, ...")
    add("-i", "--trained-agent", help="start from the networks of this .zip")


def _add_kept(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-f", "--log-folder")
    add("-tb", "--tensorboard-log", help="folder for the curves; default: the run folder; 'none': no curves")
    add("--eval-freq", type=int, help="decisions between evaluations; 0: a twentieth of the run; -1: none")
    add("--eval-episodes", type=int, help="selection days per evaluation, always the same ones")
    add("--n-eval-envs", type=int)
    add("--checkpoint-freq", type=int, help="decisions between checkpoints; 0: a tenth of the run")
    add("--save-freq", type=int, help="keep a numbered model every so many decisions; -1: none")
    add(
        "--save-replay-buffer",
        action=argparse.BooleanOptionalAction,
        help="keep a finished run's replay buffer (some 100 MB); without it, a run that goes on fills a new one first",
    )
    add("--log-interval", type=int, help="episodes between points of the curves; -1: 10; -2: none")
    add("-P", "--progress", action="store_true", help="show a progress bar")
    add("--verbose", type=int, help="0: only the last line")
    add("-uuid", "--uuid", action="store_true", help="give the run folder a unique suffix")
    add("--track", action="store_true", help="send the curves to Weights & Biases; WANDB_MODE=offline keeps them here")
    add("--wandb-project-name", metavar="NAME")
    add("--wandb-entity", metavar="TEAM")
    add("--wandb-group", metavar="GROUP")
    add("-tags", "--wandb-tags", nargs="+", metavar="TAG")
    add("--resume", metavar="RUN_FOLDER", help="go on with an interrupted run; -n may raise its total")


def _add_search(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-optimize", "--optimize-hyperparameters", action="store_true", help="search; the same command goes on")
    add("--n-trials", type=int, help="trials of the whole study, whoever runs them")
    add("--max-total-trials", type=int, help="rl-zoo3's other name for --n-trials")
    add("--n-jobs", type=int, help="worker processes on this machine")
    add("--sampler", choices=["tpe", "random", "cmaes"])
    add("--pruner", choices=["median", "halving", "hyperband", "none"])
    add("--n-startup-trials", type=int, help="random ones, before sampler and pruner judge")
    add("--n-evaluations", type=int, help="times a trial is judged on its way")
    add("--objective-days", type=int, help="selection days that judge a trial; the others re-test the best")
    add("--top-k", type=int, help="best trials to re-test beside the default; 0: none")
    add("--retest-seeds", type=int, help="trainings of each of them")
    add("--storage", help="journal file (.log) or postgresql+psycopg2://...; default: study.log in the search's folder")
    add("--study-name", help="default: <reward>-<algo>-<env>-space<version>")
    add("--study-report", action="store_true", help="print what a study found so far, and write it")
    add("--trial-id", type=int, help="train with the settings of this trial of the study")
    add(
        "--optimization-log-path",
        help="the search's folder; default: <log-folder>/<reward>/<algo>/search/<study>",
    )
    add("--no-optim-plots", action="store_true", help="write no page of plots")
