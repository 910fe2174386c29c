"""From the settings and options of ``train.py`` (or of rl-zoo3's own command) to a search."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna

from checked import SettingsError, nearest
from training.rewards import find_reward, reward_of_wrapper
from training.search import report, spaces
from training.search.options import SearchOptions
from training.search.search import Search
from training.search.storage import open_storage
from training.search.study import PRUNERS, SAMPLERS, run
from training.settings import RunSettings

# A trial is trained for this part of the block's decisions, unless -n says otherwise: 6000 for dqn, 100 000 for
# maskable_dqn, so that 50 trials take a quarter of an hour on two cores.
DEFAULT_PART = {"dqn": 4, "maskable_dqn": 8, "branching_dqn": 8}
DEFAULT_EVALUATIONS = 8


def search_of(settings: RunSettings, options: SearchOptions) -> Search:
    """
    The search that the options ask for.

    Raises
    ------
    SettingsError
        For a choice that doesn't exist, and an algorithm or reward that can't be searched.
    """
    for option, value, known in (("sampler", options.sampler, SAMPLERS), ("pruner", options.pruner, PRUNERS)):
        if value not in known:
            raise SettingsError(f"--{option} {value}: unknown. {nearest(value, known)}")
    block = dict(settings.hyperparams)
    spaces.find_space(settings.algo, block)
    env_wrapper = block.get("env_wrapper")
    name = study_name_of(settings.algo, settings.env, env_wrapper, options)
    folder = folder_of(settings.algo, settings.log_folder, name, options)
    part = int(block["n_timesteps"]) // DEFAULT_PART[settings.algo]
    search = Search(
        algo=settings.algo,
        env_id=settings.env,
        env_wrapper=env_wrapper,
        env_kwargs=dict(settings.env_kwargs),
        eval_env_kwargs=dict(settings.eval_env_kwargs),
        block=block,
        n_timesteps=options.n_timesteps if options.n_timesteps > 0 else part,
        n_evaluations=int(options.n_evaluations or DEFAULT_EVALUATIONS),
        objective_days=options.objective_days,
        seed=settings.seed,
        sampler=options.sampler,
        pruner=options.pruner,
        n_startup_trials=options.n_startup_trials,
        days_from=None if settings.days_from is None else list(settings.days_from),
        train_days=settings.train_days,
        eval_days=settings.eval_days,
        storage=options.storage or str(folder / "study.log"),
        study_name=name,
        n_trials=options.max_total_trials or options.n_trials,
        n_jobs=options.n_jobs if options.n_jobs > 0 else os.cpu_count() or 1,
        top_k=options.top_k,
        retest_seeds=options.retest_seeds,
        folder=str(folder),
        device=settings.device,
        num_threads=max(settings.num_threads, 1),
        gym_packages=tuple(settings.gym_packages),
        columns=settings.columns,
    )
    for key in ("n_timesteps", "n_evaluations", "n_trials", "retest_seeds"):
        if getattr(search, key) < 1:
            raise SettingsError(f"--{key.replace('_', '-')} {getattr(search, key)}: expected at least 1.")
    return search


def study_name_of(algo: str, env_id: str, env_wrapper: Any, options: SearchOptions) -> str:
    """The name asked for, or one that says what is searched; another space is another study."""
    reward = Path(str(reward_of_wrapper(env_wrapper)[0])).stem
    return options.study_name or f"{reward}-{algo}-{env_id}-space{spaces.SPACE_VERSION}"


def folder_of(algo: str, log_folder: str, study_name: str, options: SearchOptions) -> Path:
    """Where the search's results go."""
    return Path(options.optimization_log_path or Path(log_folder) / algo / "search" / study_name)


def run_search(settings: RunSettings, options: SearchOptions) -> int:
    """Search, or report on a study: 0 when there is a result, 130 when it was stopped."""
    search = search_of(settings, options)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with_plots = not options.no_optim_plots
    if options.study_report:
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


def trial_change(options: Mapping[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What puts the settings of trial ``--trial-id`` into a block."""
    asked, algo = SearchOptions.of(options), options["algo"]
    assert asked.trial_id is not None
    number = asked.trial_id

    def change(block: dict[str, Any]) -> dict[str, Any]:
        name = study_name_of(algo, options["env"], block.get("env_wrapper"), asked)
        log_folder = Path(options["log_folder"])
        if options.get("reward"):
            log_folder /= find_reward(options["reward"]).name
        storage = asked.storage or str(folder_of(algo, str(log_folder), name, asked) / "study.log")
        trials = report.load_study(open_storage(storage), name).get_trials(deepcopy=False)
        if not 0 <= number < len(trials):
            raise SettingsError(f"--trial-id {number}: study '{name}' has trials 0 to {len(trials) - 1}.")
        return spaces.merge(block, spaces.to_settings(trials[number].params, spaces.find_space(algo, block)))

    return change
