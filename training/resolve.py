"""
From options to the settings of a run: defaults < YAML < command line, every name checked, tuned numbers put in.

Nothing is made yet, neither an environment nor a folder, so a setting that can't be used leaves nothing behind.
"""

from __future__ import annotations

import importlib
import inspect
import os
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from rl_zoo3.utils import ALGOS

from agents.maskable_dqn import MaskableDQN
from baselines import tuned_settings
from checked import SettingsError, check_names, nearest
from envs import SELECTION_DAYS, TRAINING_DAYS, DispatchEnv
from envs.days.scenario import Scenario
from evaluation.runs import ModelError, find_run
from evaluation.setup import usual_objective
from training.blocks import (
    check_algo,
    check_hyperparams,
    check_parts,
    example_block,
    find_config,
    known_keys,
    read_block,
)
from training.callables import check_callables
from training.limits import check_options, check_settings
from training.renamed import with_new_names
from training.rewards import find_reward, prices_of_wrapper, reward_of_wrapper, with_prices
from training.run_folder import read_resolved
from training.settings import RESUMABLE, RunSettings, check_resumable

# Options that mean nothing to an environment without dispatch days.
DISPATCH_ONLY = ("reward", "scenario", "num_drivers", "max_bookings", "days_from")
Change = Callable[[dict[str, Any]], dict[str, Any]]


def resolve(options: Mapping[str, Any], given: Collection[str] = (), change_block: Change | None = None) -> RunSettings:
    """
    The settings that the options ask for.

    Parameters
    ----------
    options
        By name, as `training.options` or rl-zoo3's command reads them.
    given
        Names of those that were asked for, where the others are defaults.
    change_block
        Put between the hyperparameter file and the command line: the settings of a trial.

    Raises
    ------
    SettingsError
        For anything that can't be used.
    """
    env_id, algo = options["env"], options["algo"]
    if isinstance(given, Mapping):
        check_options(given)
    if env_id not in gym.registry:
        raise SettingsError(
            f"--env {env_id}: unknown environment. {nearest(env_id, gym.registry)} One of your own: name the package "
            "that registers it with --gym-packages."
        )
    has_days = plays_days(env_id)
    check_algo(algo, has_days)
    if not has_days:
        for name in DISPATCH_ONLY:
            if name in given:
                raise SettingsError(
                    f"--{name.replace('_', '-')} is for dispatch days, and {env_id} has none. Leave it out."
                )
    if options.get("trained_agent"):
        _check_agent(options["trained_agent"], algo)

    reward = find_reward(options["reward"]) if has_days and options.get("reward") else None
    config = options.get("conf_file") or _shipped_config(env_id, algo, has_days, reward.name if reward else "v2")
    block, hyperparams = read_block(
        config, options.get("hyperparams_block") or env_id, fall_back=has_days and not options.get("hyperparams_block")
    )
    where = f"hyperparameter file {config}, block '{block}'"
    if change_block is not None:
        hyperparams = change_block({**hyperparams, **({"env_wrapper": reward.env_wrapper} if reward else {})})
    hyperparams = with_new_names(algo, hyperparams, where)
    check_hyperparams(hyperparams, algo, where)
    check_settings(hyperparams, where)
    named = with_new_names(algo, options.get("hyperparams") or {}, "--hyperparams")
    check_names("--hyperparams", named, known_keys(algo))
    check_settings(named, "--hyperparams")
    hyperparams.update(named)
    check_settings(hyperparams, where, only=())  # what only shows together
    check_callables(hyperparams, options.get("gym_packages") or (), where)
    verbose = options.get("verbose", 1)
    if reward is not None:
        _put_in_reward(hyperparams, reward.env_wrapper, verbose)
    env_kwargs = {**(hyperparams.get("env_kwargs") or {}), **_named_env_kwargs(options)}
    eval_env_kwargs = dict(options.get("eval_env_kwargs") or {})
    if has_days:
        hyperparams["env_kwargs"] = env_kwargs
        _check_days("--env-kwargs", env_kwargs, TRAINING_DAYS)
        _check_days("--eval-env-kwargs", eval_env_kwargs, SELECTION_DAYS)
        if _is_ours(env_id):
            _check_scenario(env_id, env_kwargs)
            _check_scenario(env_id, {**env_kwargs, **eval_env_kwargs})
        _put_in_tuned(hyperparams, env_id, env_kwargs, bool(options.get("days_from")), verbose)
    check_parts(hyperparams, where)
    vec_env = options.get("vec_env") or ("batched" if _wants_batch(algo, env_id) else "dummy")
    if vec_env == "batched":
        _check_batch(env_id, hyperparams)
    if verbose > 0:
        print(f"Settings: {where}")
    seed, log_root, steps = options.get("seed", 0), options.get("log_folder", "logs"), options.get("n_timesteps", -1)
    tensorboard_log = options.get("tensorboard_log") or ""
    values = {each.name: options[each.name] for each in fields(RunSettings) if each.name in options}
    values |= {
        "reward": options.get("reward") if reward else None,
        "hyperparams": hyperparams,
        "block": block,
        "config_file": str(config),
        "seed": seed if seed >= 0 else int(np.random.randint(2**31 - 1)),
        "n_timesteps": steps if steps > 0 else int(hyperparams["n_timesteps"]),
        "env_kwargs": env_kwargs,
        "eval_env_kwargs": eval_env_kwargs,
        "vec_env": vec_env,
        "trained_agent": options.get("trained_agent") or "",
        "log_root": log_root,
        "log_folder": str(Path(log_root) / reward.name) if reward else log_root,
        "tensorboard_log": "" if tensorboard_log == "none" else tensorboard_log,
        "is_tensorboard_on": options.get("is_tensorboard_on", tensorboard_log != "none"),
        "resume": None,
    }
    return RunSettings(**values)


def resumed(run_folder: str, given: Mapping[str, Any]) -> RunSettings:
    """
    The settings of a run that goes on; ``given`` are the options beside ``--resume``.

    Raises
    ------
    SettingsError
        When the folder is no run, or an option would make it another run.
    """
    check_options(given)
    content = read_resolved(run_folder)
    check_callables(
        content["hyperparams"], content["args"].get("gym_packages") or (), f"settings of the run {run_folder}"
    )
    check_resumable(run_folder, given, content["args"])
    changes = {name: given[name] for name in RESUMABLE if name in given}
    return RunSettings.from_resolved(content, **changes, resume=run_folder)


def env_parameters(env_id: str) -> set[str]:
    """Names of the keyword arguments that the environment's constructor spells out."""
    entry_point = _entry_point(env_id)
    return set(inspect.signature(entry_point).parameters) if callable(entry_point) else set()


def plays_days(env_id: str) -> bool:
    """Whether its days are chosen by number or given: ours, and environments that take ``days`` as ours do."""
    return "days" in env_parameters(env_id)


def _entry_point(env_id: str) -> Any:
    entry_point = gym.spec(env_id).entry_point
    if isinstance(entry_point, str):
        module, _, name = entry_point.partition(":")
        entry_point = getattr(importlib.import_module(module), name)
    return entry_point


def _shipped_config(env_id: str, algo: str, has_days: bool, reward_name: str) -> str:
    if not has_days:
        raise SettingsError(f"--env {env_id}: no hyperparameters are shipped for it. {example_block(algo, env_id)}")
    return os.path.relpath(find_config(reward_name, algo))


def _wants_batch(algo: str, env_id: str) -> bool:
    """Ours learn from many days side by side, where the environment is the simulator's own."""
    return issubclass(ALGOS[algo], MaskableDQN) and _is_ours(env_id)


def _is_ours(env_id: str) -> bool:
    return _entry_point(env_id) is DispatchEnv


def _check_batch(env_id: str, hyperparams: Mapping[str, Any]) -> None:
    if not _is_ours(env_id):
        raise SettingsError(
            f"--vec-env batched plays {', '.join(id_ for id_ in gym.registry if id_.startswith('Dispatch'))}; "
            f"{env_id} is a class of its own. Use --vec-env dummy."
        )
    reward_of_wrapper(hyperparams.get("env_wrapper"))


def _named_env_kwargs(options: Mapping[str, Any]) -> dict[str, Any]:
    """The environment's settings of the command line; three have an option of their own."""
    named = {name: options.get(name) for name in ("scenario", "num_drivers", "max_bookings")}
    return {**{name: value for name, value in named.items() if value is not None}, **(options.get("env_kwargs") or {})}


def _put_in_reward(hyperparams: dict[str, Any], wrapper: Any, verbose: int) -> None:
    """The reward of the command line replaces the file's, and keeps its prices."""
    of_file = hyperparams.get("env_wrapper")
    wrapper = with_prices(wrapper, prices_of_wrapper(of_file))
    if verbose > 0 and of_file not in (None, wrapper):
        print(f"--reward replaces the reward of the file: {of_file} -> {wrapper}")
    hyperparams["env_wrapper"] = wrapper


def _put_in_tuned(
    hyperparams: dict[str, Any], env_id: str, env_kwargs: Mapping[str, Any], from_files: bool, verbose: int
) -> None:
    """
    Put in what was tuned for this environment and reward, so that resolved.yml tells it: the settings of a teacher
    that comes without, and prices that are given as the name of a rule.
    """

    def tuned(rule: str) -> dict[str, float]:
        return dict(_tuned(env_id, env_kwargs, hyperparams.get("env_wrapper"), from_files).get(rule, {}))

    teacher, prices = hyperparams.get("teacher"), prices_of_wrapper(hyperparams.get("env_wrapper"))
    if isinstance(prices, str):
        settings = tuned(prices)
        if "threshold" not in settings:
            raise SettingsError(
                f"prices: nothing was tuned for '{prices}' here. Name a priced rule that baselines/tuned.yml holds "
                "for this environment, reward and plan improvement (python -m studies.tune), or give the numbers."
            )
        hyperparams["env_wrapper"] = with_prices(hyperparams["env_wrapper"], settings)
    if isinstance(teacher, dict) and "rule" in teacher and "settings" not in teacher:
        settings = tuned(teacher["rule"])
        if not settings and verbose > 0:
            print(f"teacher: nothing was tuned for {teacher['rule']} here; it decides with its defaults.")
        hyperparams["teacher"] = {**teacher, "settings": settings}


def _tuned(
    env_id: str, env_kwargs: Mapping[str, Any], env_wrapper: Any, from_files: bool
) -> dict[str, dict[str, float]]:
    """Tuned settings by rule for this environment and reward."""
    kwargs = {**gym.spec(env_id).kwargs, **env_kwargs}
    overrides = {key: value for key, value in kwargs.items() if key not in ("scenario", "days", "day_list", "in_order")}
    scenario = Scenario.load(kwargs.get("scenario", "short_shift"), **overrides)
    return tuned_settings(
        env_id,
        str(reward_of_wrapper(env_wrapper)[0]),
        scenario,
        usual_objective(scenario, from_files=from_files),
    )


def _check_days(where: str, env_kwargs: Mapping[str, Any], allowed: range) -> None:
    """Training, selection and report days are kept apart."""
    days = env_kwargs.get("days", (allowed.start, allowed.stop))
    is_pair = isinstance(days, (list, tuple)) and len(days) == 2 and all(type(each) is int for each in days)
    if not is_pair or days[1] <= days[0]:
        raise SettingsError(f"{where}: days: expected two day numbers, [first, last], the last one excluded.")
    first, last = days
    if first < allowed.start or last > allowed.stop:
        raise SettingsError(
            f"{where}: days ({first}, {last}) reach beyond ({allowed.start}, {allowed.stop}). Training, selection "
            "and report days are kept apart: nothing is trained on days that judge it."
        )


def _check_scenario(env_id: str, env_kwargs: Mapping[str, Any]) -> None:
    """Refuse settings of a scenario that it would refuse itself, later."""
    kwargs = {**gym.spec(env_id).kwargs, **env_kwargs}
    for name in ("days", "day_list", "in_order", "render_mode"):
        kwargs.pop(name, None)
    try:
        Scenario.load(kwargs.pop("scenario", "short_shift"), **kwargs)
    except (ValueError, TypeError, OSError, AttributeError) as error:
        raise SettingsError(f"--scenario, --env-kwargs: {error}") from error


# One may go on with the networks of the other.
_FAMILY = {"branching_dqn": "maskable_dqn"}


def _check_agent(path: str, algo: str) -> None:
    """Refuse what is no model, and one of another algorithm."""
    if not Path(path).is_file():
        raise SettingsError(f"--trained-agent {path}: there is no such file.")
    if not zipfile.is_zipfile(path):
        raise SettingsError(f"--trained-agent {path}: is no model (a .zip that Stable-Baselines3 saved).")
    try:
        trained = find_run(path).algo
    except ModelError:  # of an algorithm of somebody's own
        return
    if _FAMILY.get(trained, trained) != _FAMILY.get(algo, algo):
        raise SettingsError(
            f"--trained-agent {path}: a model of {trained}, and {algo} is to be trained. Pass --algo {trained}, or "
            f"the zip of a {algo}."
        )
