"""
Train an agent to dispatch: ``python train.py --reward v2``.

Flags, run folders and YAML keys are rl-zoo3's. A run goes to ``<log-folder>/<reward>/<algo>/<env>_<n>/``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

DEFAULT_ALGO = "maskable_dqn"
DEFAULT_ENV = "Dispatch-v0"
# Of a resumed run, these may be given anew; everything else is as it was.
RESUMABLE = (
    "n_timesteps",
    "progress",
    "verbose",
    "device",
    "num_threads",
    "checkpoint_freq",
    "save_freq",
    "log_interval",
)


def build_parser() -> argparse.ArgumentParser:
    """The command line; rl-zoo3's names wherever it has one."""
    from rl_zoo3.utils import StoreDict

    class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
        pass

    parser = argparse.ArgumentParser(
        prog="train.py",
        formatter_class=Formatter,
        description="Train an agent to dispatch patient transport.",
        epilog="examples:\n"
        "  python train.py --reward v2 -P\n"
        "  python train.py --reward v1 --algo dqn --hyperparams-block v1-published --seed 3\n"
        "  python train.py --resume logs/v2/maskable_dqn/Dispatch-v0_1\n"
        "  python train.py --reward v2 -optimize --n-jobs 2\n"
        "  tensorboard --logdir logs",
    )
    what = parser.add_argument_group("what is trained")
    what.add_argument(
        "--reward", help="v1, v2, v3 or a YAML file of weights; replaces the file's env_wrapper", default="v2"
    )
    what.add_argument("--algo", help="dqn, qrdqn, ppo, a2c, maskable_dqn, maskable_ppo", default=DEFAULT_ALGO)
    what.add_argument("--env", help="Dispatch-v0 (short shift) or DispatchDay-v0 (operating day)", default=DEFAULT_ENV)
    what.add_argument("--scenario", help="name under envs/scenarios or a YAML file; default: the environment's")
    what.add_argument("--num-drivers", type=int, help="default: the scenario's")
    what.add_argument("--max-bookings", type=int, help="bookings shown at once; default: the scenario's")
    what.add_argument(
        "--days-from", nargs="+", metavar="FOLDER", help="train on days read from files instead of generated ones"
    )
    what.add_argument("--train-days", default="0-44", help="service days of --days-from to train on")
    what.add_argument("--eval-days", default="45-59", help="service days of --days-from that select the best model")

    how = parser.add_argument_group("how")
    how.add_argument("-n", "--n-timesteps", type=int, default=-1, help="number of decisions; -1: as the YAML says")
    how.add_argument("--seed", type=int, default=0, help="of networks, exploration and training days; -1 draws one")
    how.add_argument("-conf", "--conf-file", help="hyperparameter file; default: hyperparams/<reward>/<algo>.yml")
    how.add_argument(
        "--hyperparams-block", metavar="BLOCK", help="block of that file; default: the one named after --env"
    )
    how.add_argument(
        "-params", "--hyperparams", nargs="+", action=StoreDict, help="replace values, e.g. learning_rate:1.0e-4"
    )
    how.add_argument("--env-kwargs", nargs="+", action=StoreDict, help="more settings of the scenario, e.g. load:2.0")
    how.add_argument(
        "--eval-env-kwargs", nargs="+", action=StoreDict, help="the same for the evaluation environment alone"
    )
    how.add_argument(
        "--vec-env",
        choices=["dummy", "subproc", "batched"],
        help="batched: the native batch; default: batched for maskable_dqn, dummy for the others",
    )
    how.add_argument(
        "--num-threads", type=int, default=1, help="PyTorch's threads; the same seed repeats itself with 1 only"
    )
    how.add_argument("--device", default="auto", help="cpu, cuda, ...")
    how.add_argument("-i", "--trained-agent", default="", help="start from the networks of this .zip")

    log = parser.add_argument_group("what is kept")
    log.add_argument("-f", "--log-folder", default="logs")
    log.add_argument(
        "-tb", "--tensorboard-log", default="", help="folder for the curves; default: the run folder; 'none': no curves"
    )
    log.add_argument(
        "--eval-freq", type=int, default=0, help="decisions between evaluations; 0: a twentieth of the run; -1: none"
    )
    log.add_argument(
        "--eval-episodes", type=int, default=20, help="selection days per evaluation, always the same ones"
    )
    log.add_argument("--n-eval-envs", type=int, default=1)
    log.add_argument(
        "--checkpoint-freq", type=int, default=0, help="decisions between checkpoints; 0: a tenth of the run"
    )
    log.add_argument(
        "--save-freq", type=int, default=-1, help="keep a numbered model every so many decisions; -1: none"
    )
    log.add_argument(
        "--save-replay-buffer",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="so that a finished run can go on",
    )
    log.add_argument(
        "--log-interval", type=int, default=-1, help="episodes between points of the curves; -1: 10; -2: none"
    )
    log.add_argument("-P", "--progress", action="store_true", help="show a progress bar")
    log.add_argument("--verbose", type=int, default=1, help="0: only the last line")
    log.add_argument("-uuid", "--uuid", action="store_true", help="give the run folder a unique suffix")
    log.add_argument("--resume", metavar="RUN_FOLDER", help="go on with an interrupted run; -n may raise its total")

    search = parser.add_argument_group("hyperparameter search")
    search.add_argument(
        "-optimize", "--optimize-hyperparameters", action="store_true", help="search; the same command goes on"
    )
    search.add_argument("--n-trials", type=int, default=50, help="trials of the whole study, whoever runs them")
    search.add_argument("--max-total-trials", type=int, help="rl-zoo3's other name for --n-trials")
    search.add_argument("--n-jobs", type=int, default=1, help="worker processes on this machine")
    search.add_argument("--sampler", default="tpe", choices=["tpe", "random", "cmaes"])
    search.add_argument("--pruner", default="median", choices=["median", "halving", "hyperband", "none"])
    search.add_argument("--n-startup-trials", type=int, default=10, help="random ones, before sampler and pruner judge")
    search.add_argument("--n-evaluations", type=int, default=8, help="times a trial is judged on its way")
    search.add_argument(
        "--objective-days", type=int, default=250, help="selection days that judge a trial; the others re-test the best"
    )
    search.add_argument("--top-k", type=int, default=3, help="best trials to re-test beside the default; 0: none")
    search.add_argument("--retest-seeds", type=int, default=3, help="trainings of each of them")
    search.add_argument(
        "--storage", help="journal file (.log) or postgresql+psycopg2://...; default: study.log in the search's folder"
    )
    search.add_argument("--study-name", help="default: <reward>-<algo>-<env>-space<version>")
    search.add_argument("--study-report", action="store_true", help="print what a study found so far, and write it")
    search.add_argument("--trial-id", type=int, help="train with the settings of this trial of the study")
    search.add_argument(
        "--optimization-log-path", help="the search's folder; default: <log-folder>/<reward>/<algo>/search/<study>"
    )
    search.add_argument("--no-optim-plots", action="store_true", help="write no page of plots")
    parser.add_argument(
        "--gym-packages", nargs="+", default=[], help="modules to import first, for environments of your own"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command: 0 when the run was finished, 2 for a setting that can't be used, 130 when it was stopped."""
    parser = build_parser()
    args = parser.parse_args(argv)
    import custom_envs  # noqa: F401 - registers environments and algorithms
    from training.settings import SettingsError

    try:
        manager = make_manager(args, given_options(parser, argv))
        return run(manager, args)
    except SettingsError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2


def given_options(parser: argparse.ArgumentParser, argv: list[str] | None) -> dict[str, Any]:
    """The options that stand on the command line, without defaults."""
    absent = object()
    marked = argparse.Namespace(**{action.dest: absent for action in parser._actions})
    return {name: value for name, value in vars(parser.parse_args(argv, marked)).items() if value is not absent}


def make_manager(args: argparse.Namespace, given: dict[str, Any]) -> Any:
    """Resolve the arguments and make the manager of the run."""
    import importlib
    import uuid

    import gymnasium as gym
    import numpy as np
    import torch as th
    from stable_baselines3.common.utils import set_random_seed

    from training.manager import DispatchManager
    from training.real_days import read_day_lists
    from training.settings import SettingsError, check_algo, find_config, find_reward, nearest

    for module in args.gym_packages:
        importlib.import_module(module)
    check_algo(args.algo)
    if args.resume:
        take_over_settings(args, given)
        args.vec_env = args.vec_env or "dummy"
    else:
        args.vec_env = args.vec_env or ("batched" if args.algo == "maskable_dqn" else "dummy")
        reward = find_reward(args.reward)
        args.env_wrapper, args.log_root = reward.env_wrapper, args.log_folder
        args.conf_file = args.conf_file or os.path.relpath(find_config(reward.name, args.algo))
        args.log_folder = str(Path(args.log_root) / reward.name)
        args.env_kwargs = {**named_env_kwargs(args), **(args.env_kwargs or {})} or None
    if args.env not in gym.registry:
        raise SettingsError(f"--env {args.env}: unknown environment. {nearest(args.env, gym.registry)}")
    args.is_tensorboard_on = args.tensorboard_log != "none"
    if not args.is_tensorboard_on:
        args.tensorboard_log = ""
    if args.seed < 0:
        args.seed = int(np.random.randint(2**31 - 1))
    set_random_seed(args.seed)
    if args.num_threads > 0:
        th.set_num_threads(args.num_threads)
    if args.trained_agent and not Path(args.trained_agent).is_file():
        raise SettingsError(f"--trained-agent {args.trained_agent}: there is no such file.")
    args.training_day_list, args.selection_day_list = read_day_lists(args.days_from, args.train_days, args.eval_days)
    return DispatchManager(
        args,
        args.algo,
        args.env,
        args.log_folder,
        tensorboard_log="",  # the manager puts the curves into the run folder
        n_timesteps=args.n_timesteps,
        eval_freq=args.eval_freq,
        n_eval_episodes=args.eval_episodes,
        save_freq=args.save_freq,
        hyperparams=args.hyperparams,
        env_kwargs=args.env_kwargs,
        eval_env_kwargs=args.eval_env_kwargs,
        trained_agent=args.trained_agent,
        optimize_hyperparameters=args.optimize_hyperparameters,
        storage=args.storage,
        study_name=args.study_name,
        n_trials=args.n_trials,
        max_total_trials=args.max_total_trials,
        n_jobs=args.n_jobs,
        sampler=args.sampler,
        pruner=args.pruner,
        optimization_log_path=args.optimization_log_path,
        n_startup_trials=args.n_startup_trials,
        n_evaluations=args.n_evaluations,
        uuid_str=f"_{uuid.uuid4()}" if args.uuid else "",
        seed=args.seed,
        log_interval=args.log_interval,
        save_replay_buffer=args.save_replay_buffer,
        verbose=args.verbose,
        vec_env_type=args.vec_env,
        n_eval_envs=args.n_eval_envs,
        no_optim_plots=args.no_optim_plots,
        device=args.device,
        config=args.conf_file,
        show_progress=args.progress,
        trial_id=args.trial_id,
    )


def named_env_kwargs(args: argparse.Namespace) -> dict[str, Any]:
    """The environment's settings that have an option of their own."""
    named = {"scenario": args.scenario, "num_drivers": args.num_drivers, "max_bookings": args.max_bookings}
    return {name: value for name, value in named.items() if value is not None}


def take_over_settings(args: argparse.Namespace, given: dict[str, Any]) -> None:
    """Fill ``args`` from the run that is resumed, and refuse what would make it another run."""
    from training.manager import read_resolved
    from training.settings import SettingsError

    resolved = read_resolved(args.resume)
    saved = resolved["args"]
    changed = [name for name in given if name not in (*RESUMABLE, "resume") and given[name] != saved.get(name)]
    if changed:
        option = "--" + changed[0].replace("_", "-")
        allowed = ", ".join("--" + name.replace("_", "-") for name in RESUMABLE)
        raise SettingsError(
            f"--resume {args.resume}: {option} would make it another run. Leave it out, or start anew. "
            f"May change: {allowed}."
        )
    resume = args.resume
    for name, value in saved.items():
        if name not in RESUMABLE or name not in given:
            setattr(args, name, value)
    args.resume = resume
    if "n_timesteps" not in given:
        args.n_timesteps = resolved["n_timesteps"]


def run(manager: Any, args: argparse.Namespace) -> int:
    """Train, or search; the last line says where the result is."""
    if args.optimize_hyperparameters or args.study_report:
        from training.search.command import run_search

        return run_search(manager)
    model, _ = manager.setup_experiment()
    manager.learn(model)
    if manager.is_stopped:
        print(f"Stopped at step {model.num_timesteps}. {manager.advice_after_stop()}")
        return 130
    manager.save_trained_model(model)
    best = Path(manager.save_path) / "best_model.zip"
    print(f"Trained {model.num_timesteps} steps. Result: {best if best.is_file() else manager.save_path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
