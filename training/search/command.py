"""From the arguments of ``train.py`` (or of rl-zoo3's own command) to a search."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from training.search import spaces
from training.settings import SettingsError, nearest, reward_of_wrapper

if TYPE_CHECKING:
    from training.manager import DispatchManager
    from training.search.study import Search

# A trial is trained for this part of the block's decisions, unless -n says otherwise: 6000 for dqn, 100 000 for
# maskable_dqn, so that 50 trials take a quarter of an hour on two cores.
DEFAULT_PART = {"dqn": 4, "maskable_dqn": 8}
DEFAULT_EVALUATIONS = 8


def search_of(manager: DispatchManager) -> Search:
    """
    The search that the manager's arguments ask for.

    Raises
    ------
    SettingsError
        For a choice that doesn't exist, and an algorithm or reward that can't be searched.
    """
    from training.search.study import PRUNERS, SAMPLERS, Search

    for option, value, known in (("sampler", manager.sampler, SAMPLERS), ("pruner", manager.pruner, PRUNERS)):
        if value not in known:
            raise SettingsError(f"--{option} {value}: unknown. {nearest(str(value), known)}")
    hyperparams, _ = manager.read_hyperparameters()
    block = dict(hyperparams)
    spaces.find_space(manager.algo, block)
    args = manager.args
    name = study_name_of(manager, block)
    folder = folder_of(manager, name)
    part = int(block["n_timesteps"]) // DEFAULT_PART[manager.algo]
    n_timesteps = manager.n_timesteps if manager.n_timesteps > 0 else part
    search = Search(
        algo=manager.algo,
        env_id=manager.env_name.gym_id,
        env_wrapper=block.get("env_wrapper"),
        env_kwargs=dict(manager.env_kwargs),
        eval_env_kwargs=dict(manager._eval_env_kwargs_args or {}),
        block=block,
        n_timesteps=n_timesteps,
        n_evaluations=int(manager.n_evaluations or DEFAULT_EVALUATIONS),
        objective_days=getattr(args, "objective_days", 250),
        seed=manager.seed,
        sampler=manager.sampler,
        pruner=manager.pruner,
        n_startup_trials=manager.n_startup_trials,
        days_from=getattr(args, "days_from", None),
        train_days=getattr(args, "train_days", ""),
        eval_days=getattr(args, "eval_days", ""),
        storage=storage_of(manager, folder),
        study_name=name,
        n_trials=manager.max_total_trials or manager.n_trials,
        n_jobs=manager.n_jobs if manager.n_jobs > 0 else os.cpu_count() or 1,
        top_k=getattr(args, "top_k", 3),
        retest_seeds=getattr(args, "retest_seeds", 3),
        folder=str(folder),
        device=str(manager.device),
        num_threads=max(getattr(args, "num_threads", 1), 1),
    )
    positive = ("n_timesteps", "n_evaluations", "n_trials", "retest_seeds")
    for key in positive:
        if getattr(search, key) < 1:
            raise SettingsError(f"--{key.replace('_', '-')} {getattr(search, key)}: expected at least 1.")
    return search


def study_name_of(manager: DispatchManager, block: dict[str, Any]) -> str:
    """The name asked for, or one that says what is searched; another space is another study."""
    if manager.study_name:
        return manager.study_name
    reward = Path(str(reward_of_wrapper(block.get("env_wrapper"))[0])).stem
    return f"{reward}-{manager.algo}-{manager.env_name.gym_id}-space{spaces.SPACE_VERSION}"


def folder_of(manager: DispatchManager, study_name: str) -> Path:
    return Path(manager.optimization_log_path or Path(manager.log_folder) / manager.algo / "search" / study_name)


def storage_of(manager: DispatchManager, folder: Path) -> str:
    return manager.storage or str(folder / "study.log")


def run_search(manager: DispatchManager) -> int:
    """Search, or report on a study: 0 when there is a result, 130 when it was stopped."""
    from training.search import report
    from training.search.storage import open_storage
    from training.search.study import run

    search = search_of(manager)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with_plots = not manager.no_optim_plots
    if getattr(manager.args, "study_report", False):
        if "://" not in search.storage and not Path(search.storage).is_file():
            raise SettingsError(f"--storage {search.storage}: there is no such journal file.")
        lines = report.write(search, open_storage(search.storage), with_plots)
    else:
        try:
            lines = run(search, with_plots)
        except KeyboardInterrupt:
            print("\nStopped. The same command goes on from here; trials under way were given back.")
            return 130
    print("\n".join(lines))
    return 0


def block_of_trial(manager: DispatchManager, block: dict[str, Any]) -> dict[str, Any]:
    """``block`` with the settings of trial ``--trial-id`` put in."""
    from training.search.report import load_study
    from training.search.storage import open_storage

    name = study_name_of(manager, block)
    study = load_study(open_storage(storage_of(manager, folder_of(manager, name))), name)
    trials = study.get_trials(deepcopy=False)
    if not 0 <= int(manager.trial_id or 0) < len(trials):
        raise SettingsError(f"--trial-id {manager.trial_id}: study '{name}' has trials 0 to {len(trials) - 1}.")
    params = trials[int(manager.trial_id or 0)].params
    return spaces.merge(block, spaces.to_settings(params, spaces.find_space(manager.algo, block)))
