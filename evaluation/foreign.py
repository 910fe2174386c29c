"""
Environments of others: models are judged by what an episode pays, on the same seeds, beside random actions.

Any environment of Gymnasium will do, with any model that ``players.load_model`` knows. What an episode's last ``info``
holds as ``kpis`` joins the table of numbers.
"""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from tqdm import tqdm

from checked import nearest
from envs.dispatch_env import DispatchEnv
from evaluation.comparison import Evaluation
from evaluation.files import commit_and_versions
from evaluation.players import load_model, normalizes_observations, pool_seeds
from evaluation.progress import days_of
from evaluation.runner import Case, Played, percentiles_ms
from evaluation.runs import ModelError, Run
from evaluation.setup import SCENARIO_OF, SetupError
from reward import RewardWrapper

RANDOM = "random_action"
MAX_STEPS = 100_000  # of an episode
OF_DISPATCH = ("policies", "hindsight", "also_ensemble", "days_from", "days", "plan_improvement")  # options

Chooser = Callable[[Any, bool], Any]  # (observation, whether the episode begins) -> action


def evaluate_foreign(
    args: argparse.Namespace,
    env_id: str,
    reward: str | None,
    env_kwargs: dict[str, Any],
    runs: Sequence[Run],
    bar: tqdm[Any],
) -> Evaluation:
    """
    Let every model, and random actions, play the same episodes.

    Raises
    ------
    SetupError, ModelError
        For an environment that can't be made, options that belong to dispatch, or a model that doesn't fit.
    """
    for name in OF_DISPATCH:
        if getattr(args, name) is not None:
            option = name.replace("_", "-")
            raise SetupError(
                f"--{option}: {env_id} is no environment of this project, so it can't be used. Leave it out."
            )
    if args.objective not in (None, "reward"):
        raise SetupError(f"--objective {args.objective}: {env_id} knows its reward only. Leave it out.")
    env = make_foreign(env_id, reward, env_kwargs)
    cases = [Case(seed, str(seed), str(seed)) for seed in range(args.seed, args.seed + args.episodes)]
    names = [
        run.name if run.name not in [r.name for r in runs[:i]] else f"{run.name} #{i + 1}" for i, run in enumerate(runs)
    ]
    choosers: dict[str, Chooser] = {name: _model(run, env) for name, run in zip(names, runs, strict=True)}
    choosers[RANDOM] = _random(env, args.seed)
    bar.unit = "episode"
    bar.reset(total=len(choosers) * len(cases))
    played = [_play(name, chooser, env, cases, days_of(bar, name)) for name, chooser in choosers.items()]
    return Evaluation(
        env_id=env_id,
        scenario="",
        reward=reward if env.has_wrapper_attr("payer") else "of the environment",
        objective="reward",
        models=played[:-1],
        rules=played[-1:],
        pools=pool_seeds(runs, names),
        compares_all=args.all_pairs,
        unit="episode",
        about={
            "env_kwargs": env_kwargs,
            "models": {name: str(run.path) for name, run in zip(names, runs, strict=True)},
            **commit_and_versions(),
        },
    )


def make_foreign(env_id: str, reward: str | None, env_kwargs: dict[str, Any]) -> gym.Env[Any, Any]:
    """The environment; a class of one's own on top of ``DispatchEnv`` pays nothing itself, so it gets the reward."""
    try:
        spec = gym.spec(env_id)
    except gym.error.Error as error:
        hint = nearest(env_id, SCENARIO_OF)
        raise SetupError(
            f"--env {env_id}: unknown environment. {hint} For one of your own, name the package that registers it: "
            "--gym-packages."
        ) from error
    try:
        env = gym.make(spec, **env_kwargs)
    except (TypeError, ValueError) as error:
        raise SetupError(f"--env {env_id}, --env-kwargs {env_kwargs}: {error}") from error
    return RewardWrapper(env, reward) if isinstance(env.unwrapped, DispatchEnv) and reward is not None else env


def _masks(env: gym.Env[Any, Any]) -> Any:
    """Which actions are allowed, where the environment says so (sb3-contrib's convention); else None."""
    return env.get_wrapper_attr("action_masks")() if env.has_wrapper_attr("action_masks") else None


def _random(env: gym.Env[Any, Any], seed: int) -> Chooser:
    env.action_space.seed(seed)
    return lambda observation, begins: env.action_space.sample()


def _model(run: Run, env: gym.Env[Any, Any]) -> Chooser:
    """The model without exploration, shown observations as in training."""
    known = {"observation_space": env.observation_space, "action_space": env.action_space}
    misfit = (
        f"Name the model's own (--env, --env-kwargs); this environment has {env.observation_space} and "
        f"{env.action_space}."
    )
    try:
        model = load_model(run, known)
    except ModelError as error:
        raise ModelError(f"{error} {misfit}") from error
    if (model.observation_space, model.action_space) != (env.observation_space, env.action_space):
        raise ModelError(f"--model {run.path}: trained on {model.observation_space} and {model.action_space}. {misfit}")
    files = [] if run.folder is None else sorted(run.folder.glob("*/vecnormalize.pkl"))
    scale = None
    if files and normalizes_observations(run.settings) and not run.is_trusted:
        raise ModelError(
            f"--model {run.path}: its running averages ({files[0].name}) are a pickled object, and unpickling runs "
            "whatever is in it. Pass --trust if the run is yours or comes from somebody you trust."
        )
    if files and normalizes_observations(run.settings):
        scale = VecNormalize.load(str(files[0]), DummyVecEnv([lambda: env]))
        scale.training = False
    takes_masks = "action_masks" in inspect.signature(model.predict).parameters
    state: Any = None

    def choose(observation: Any, begins: bool) -> Any:
        nonlocal state
        state = None if begins else state  # of a recurrent network
        shown = observation if scale is None else scale.normalize_obs(observation)
        masks = {"action_masks": _masks(env)} if takes_masks else {}
        action, state = model.predict(shown, state=state, episode_start=np.array([begins]), deterministic=True, **masks)
        return action

    return choose


def _play(
    name: str, choose: Chooser, env: gym.Env[Any, Any], cases: Sequence[Case], on_progress: Callable[[int], None]
) -> Played:
    """Play the episodes of these seeds; of a dispatch day, the day of that number."""
    plays_days = isinstance(env.unwrapped, DispatchEnv)
    rewards: list[float] = []
    kpis: list[dict[str, float]] = []
    seconds: list[float] = []
    for case in cases:
        observation, info = env.reset(seed=int(case.label), options={"day": case.day} if plays_days else None)
        total, length, is_over = 0.0, 0, False
        while not is_over:
            start = time.perf_counter()
            action = choose(observation, length == 0)
            seconds.append(time.perf_counter() - start)
            observation, paid, terminated, truncated, info = env.step(action)
            total, length, is_over = total + float(paid), length + 1, terminated or truncated
            if length == MAX_STEPS:
                raise SetupError(
                    f"the episode of seed {case.label} isn't over after {MAX_STEPS} steps under {name}. Register the "
                    "environment with max_episode_steps."
                )
        rewards.append(total)
        kpis.append({"length": float(length), **info.get("kpis", {})})
        on_progress(len(rewards))
    names = dict.fromkeys(key for row in kpis for key in row)
    table = {key: np.array([row.get(key, np.nan) for row in kpis], np.float64) for key in names}
    return Played(name, list(cases), table, np.array(rewards), {}, percentiles_ms(seconds))
