"""Who plays: trained models and ensembles of them, as policies that choose for many days at once."""

from __future__ import annotations

import argparse
import inspect
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces

from agents.ensemble import EnsemblePolicy
from agents.plain_zip import NeedsPickle, plain_objects
from baselines import make_rules, tuned_settings
from baselines.planning.solvers import SolverMissing
from baselines.policy import IntArray, Policy
from baselines.registry import untuned
from envs.days.scenario import Scenario
from evaluation.runs import ModelError, Run
from evaluation.setup import SetupError
from reward import PairPrices, RewardFunction

PAIR_ALGOS = ("branching_dqn", "maskable_dqn")  # those whose pair network serves any fleet


def algo_class(algo: str) -> type[Any]:
    """The class that loads a model of this algorithm."""
    if algo in ("dqn", "ppo", "a2c"):
        import stable_baselines3

        return getattr(stable_baselines3, algo.upper())
    if algo == "qrdqn":
        from sb3_contrib import QRDQN

        return QRDQN
    if algo == "maskable_ppo":
        from agents.maskable_ppo import MaskablePPO

        return MaskablePPO
    if algo == "maskable_dqn":
        from agents.maskable_dqn import MaskableDQN

        return MaskableDQN
    if algo == "branching_dqn":
        from agents.branching_dqn import BranchingDQN

        return BranchingDQN
    from rl_zoo3.utils import ALGOS

    if algo in ALGOS:  # of rl-zoo3, or of a package named with --gym-packages
        return ALGOS[algo]
    raise ModelError(
        f"unknown algorithm '{algo}'. Known: branching_dqn, a2c, dqn, maskable_dqn, maskable_ppo, ppo, qrdqn."
    )


def load_model(run: Run, known_spaces: Mapping[str, spaces.Space[Any]] | None = None) -> Any:
    """
    The model itself, to predict with only: no replay buffer, no rollouts.

    Nothing is unpickled, as that would run what is in the file, unless the run is trusted.

    Raises
    ------
    ModelError
        When it can't be read, or not without unpickling.
    """
    cls = algo_class(run.algo)
    objects = objects_of(run, known_spaces)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cls.load(run.path, device="cpu", custom_objects=objects)
    except Exception as error:
        raise ModelError(f"--model {run.path}: can't be loaded as {run.algo}: {error}") from error


def objects_of(run: Run, known_spaces: Mapping[str, spaces.Space[Any]] | None = None) -> dict[str, Any]:
    """What takes the place of pickled objects when the run's model is loaded; see `agents.plain_zip`."""
    light = {"buffer_size": 1, "lr_schedule": lambda _: 0.0, "exploration_schedule": lambda _: 0.0}
    if run.is_trusted:
        return light
    try:
        return {**plain_objects(run.path, run.packages, known_spaces), **light}
    except NeedsPickle as error:
        raise ModelError(
            f"--model {run.path}: {error}, and unpickling runs whatever is in it. Pass --trust if the file comes from "
            "somebody you trust."
        ) from error
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"--model {run.path}: not a model saved by Stable-Baselines3 ({error}).") from error


def load_policy(run: Run, env: Any) -> ModelPolicy:
    """
    The model of ``run`` as a policy for the sizes of ``env`` (wrapped in its reward).

    Raises
    ------
    ModelError
        When it was trained for other sizes and can't be moved, or on another observation.
    """
    if run.folder is not None and any(run.folder.glob("*/vecnormalize.pkl")) and normalizes_observations(run.settings):
        raise ModelError(
            f"--model {run.path}: trained with normalized observations, which this evaluation does not repeat. Train "
            "with 'normalize: {norm_obs: false}': observations lie in [-1, 1] already."
        )
    model = load_model(run)
    problem = misfit(model.observation_space, model.action_space, env)
    if problem is not None:
        if run.algo not in PAIR_ALGOS:
            raise ModelError(f"--model {run.path}: {problem}")
        from agents.transfer import load_for

        try:
            objects = {key: value for key, value in objects_of(run).items() if key != "buffer_size"}
            model = load_for(run.path, env, type(model), objects, device="cpu", buffer_size=1, verbose=0)
        except ValueError as error:
            raise ModelError(f"--model {run.path}: {problem} ({error})") from error
    return ModelPolicy(run.name, model, own_reward(run, env, getattr(model, "prices", None)))


def normalizes_observations(settings: dict[str, Any]) -> bool:
    """Whether a run with ``normalize`` scaled what the model sees; scaled rewards change nothing after training."""
    normalize = settings.get("hyperparams", {}).get("normalize", True)
    return normalize.get("norm_obs", True) if isinstance(normalize, dict) else bool(normalize)


def own_reward(run: Run, env: Any, prices: Mapping[str, float] | None = None) -> Any:
    """
    The reward function that the model saw in training, when that isn't the one of ``env``; else None.

    What a pair would pay at once, with ``prices`` corrected by them, is part of the model's observation, whatever the
    evaluation pays.
    """
    trained_on = run.settings.get("reward")
    payer = env.payer if hasattr(env, "payer") else None
    if payer is None or (trained_on is None and prices is None):
        return None
    if trained_on is None:
        return RewardFunction(payer.function.weights, None if prices is None else PairPrices(prices))
    try:
        function = RewardFunction.load(trained_on, prices=prices)
    except (ValueError, OSError) as error:
        raise ModelError(f"--model {run.path}: the reward it was trained on can't be read: {error}") from error
    return None if function.shows_as(payer.function) else function


def misfit(observation_space: spaces.Space[Any], action_space: spaces.Space[Any], env: Any) -> str | None:
    """Why a model of these spaces can't play in ``env``; None when it can."""
    if observation_space == env.observation_space and action_space == env.action_space:
        return None
    batch = env.unwrapped.batch
    if not isinstance(observation_space, spaces.Dict):
        return "it was not trained on these environments: its observation is no Dict."
    missing = sorted(set(env.observation_space.spaces) ^ set(observation_space.spaces))
    if missing:
        return (
            f"its observation differs in {', '.join(missing)}. Evaluate with the reward that it was trained on "
            "(--reward), in the environment that it was trained in (--env)."
        )
    num_drivers, max_bookings = observation_space["drivers"].shape[0], observation_space["bookings"].shape[0]  # type: ignore[index]
    if (num_drivers, max_bookings) == (batch.num_drivers, batch.max_bookings):
        return "it was trained on another version of the observation. Train it anew."
    what, here, there = "drivers", batch.num_drivers, num_drivers
    option = "--num-drivers"
    if here == there:
        what, here, there, option = "slots", batch.max_bookings, max_bookings, "--max-bookings"
    return (
        f"the environment has {here} {what} but the model was trained for {there}. Pass {option} {there}, or train a "
        "pair network (--algo branching_dqn), which fits any fleet."
    )


class ModelPolicy(Policy):
    """A Stable-Baselines3 model that chooses without exploring, for all days that are not over."""

    name = "model"  # each one has its own
    description = "A trained model, greedy."
    needs_reward = True
    reads_observation: ClassVar[bool] = True

    def __init__(self, name: str, model: Any, reward_function: Any = None) -> None:
        super().__init__()
        self.name = name
        self.model = model
        self.reward_function = reward_function  # when it isn't the one that pays here
        self._own_payer: Any = None
        self._takes_masks = "action_masks" in inspect.signature(model.predict).parameters

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        actions = np.zeros(batch.batch_size, np.int64)
        rows = np.flatnonzero(~batch.is_done)
        if len(rows) == 0:
            return actions
        # Nothing is copied while no day is over: at 200 x 1000 that would take longer than the choice.
        chosen: Any = slice(None) if len(rows) == batch.batch_size else rows
        observation = {key: array[chosen] for key, array in batch.observation.items()}
        if self.reward_function is not None:
            if self._own_payer is None or self._own_payer.batch is not batch:
                self._own_payer = self.reward_function.attach(batch)
            payer = self._own_payer
            payer.price_pairs()
        if payer is not None:
            observation["pair_reward"] = payer.pair_reward[chosen]
            observation["wait_reward"] = payer.wait_reward[chosen]
        masks = {"action_masks": observation["action_mask"].astype(bool)} if self._takes_masks else {}
        actions[rows] = self.model.predict(observation, deterministic=True, **masks)[0]
        return actions


def load_models(runs: Sequence[Run], env: Any) -> list[ModelPolicy]:
    """The models of these runs as policies, each with a name of its own; they share one thread."""
    if runs:
        torch.set_num_threads(1)
    models = [load_policy(run, env) for run in runs]
    for i, model in enumerate(models):  # two zips may have the same name
        if any(other.name == model.name for other in models[:i]):
            model.name = f"{model.name} #{i + 1}"
    return models


def make_ensembles(
    pools: dict[str, list[str]], runs: Sequence[Run], models: Sequence[ModelPolicy], size: int
) -> tuple[list[ModelPolicy], dict[str, list[str]]]:
    """
    Models of each pool as ensembles of ``size`` (0: one of all), in the order given, those left over in none; and
    where there are several ensembles, them as one method.
    """
    by_name = {model.name: (run, model) for run, model in zip(runs, models, strict=True)}
    ensembles: list[ModelPolicy] = []
    pools_of_ensembles: dict[str, list[str]] = {}
    for pool, members in pools.items():
        found = [by_name[name] for name in members]
        if not all(run.algo in PAIR_ALGOS for run, _ in found):
            continue
        if not 0 <= size <= len(found) or size == 1:
            raise SetupError(f"--also-ensemble {size}: expected 2 to {len(found)} of the models of '{pool}'.")
        size_here = size or len(found)
        groups = [found[i : i + size_here] for i in range(0, len(found) - size_here + 1, size_here)]
        names = []
        for group in groups:
            run, seeds = group[0][0], " ".join(str(run.settings.get("seed")) for run, _ in group)
            taken = [each.name for each in ensembles]
            names.append(unused(f"{run.algo}, mean of seeds {seeds} ({run.checkpoint})", taken))
            ensemble = EnsemblePolicy([model.model for _, model in group])
            ensembles.append(ModelPolicy(names[-1], ensemble, group[0][1].reward_function))
        if len(names) > 1:
            name = f"{found[0][0].algo}, {len(names)} means of {size_here} seeds ({found[0][0].checkpoint})"
            pools_of_ensembles[unused(name, pools_of_ensembles)] = names
    if not ensembles:
        raise SetupError(
            "--also-ensemble: no branching_dqn models that differ in the training seed only. Name two or more."
        )
    return ensembles, pools_of_ensembles


def pool_seeds(runs: Sequence[Run], names: Sequence[str]) -> dict[str, list[str]]:
    """Models with the same settings but other training seeds, as one method each."""
    groups: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(run.group, []).append(i)
    pools: dict[str, list[str]] = {}
    for members in groups.values():
        seeds = {runs[i].settings.get("seed") for i in members}
        if len(members) > 1 and len(seeds) == len(members):
            run = runs[members[0]]
            name = f"{run.algo}, {len(members)} seeds ({run.checkpoint})"
            pools[unused(name, pools)] = [names[i] for i in members]
    return pools


def unused(name: str, taken: Any) -> str:
    """The name, with primes until nothing else has it."""
    while name in taken:
        name += "'"
    return name


def choose_rules(
    args: argparse.Namespace, env_id: str, reward: str | None, scenario: Scenario, objective: str
) -> tuple[list[Policy], list[str], dict[str, Any]]:
    """The rules that play, notes about them, and the settings of those that have any."""
    if args.model and not args.compare_baseline and not args.policies:
        return [], [], {}
    try:
        tuned = tuned_settings(env_id, reward, scenario, objective)
    except (ValueError, OSError) as error:
        raise SetupError(f"--reward {reward}: {error}") from error
    try:
        rules = make_rules(
            args.policies,
            tuned,
            has_reward=reward is not None,
            judged_by=objective,
            replan_ms=args.replan_ms,
            replan_seed=args.replan_seed,
        )
    except (ValueError, SolverMissing) as error:
        raise SetupError(f"--policies: {error}") from error
    notes, plain = [], untuned(rules, tuned)
    if plain:
        notes.append(
            f"not tuned for these settings, so with their defaults: {', '.join(plain)} (python -m studies.tune)."
        )
    return rules, notes, {rule.name: rule.settings() for rule in rules if rule.settings()}
