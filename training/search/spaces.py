"""
What is searched for each algorithm, and how a sample becomes the YAML block of a run.

To search another setting, add a `Dimension` to a tuple below; the round-trip test then asks where the model keeps it.
The problem is never searched: fleet, demand and reward stay as the YAML file and the command line say.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from rl_zoo3.utils import ALGOS

from checked import SettingsError, nearest

# Part of a study's name: Optuna can't go on with a study whose space has changed.
SPACE_VERSION = 1
# What the problem is made of. reward_scale only changes units, but what is learned from would no longer be the same.
PROBLEM_KEYS = ("env_kwargs", "env_wrapper", "vec_env_wrapper", "normalize", "n_timesteps", "reward_scale", "policy")
EXPLORATION_CALLBACK = "training.callbacks.EpsilonDecayPerEpisode"


@dataclass(frozen=True)
class Dimension:
    """
    One searched setting.

    Attributes
    ----------
    name
        In the study; the setting's own name unless it is searched on another scale.
    path
        Key in the YAML block, with a dot below ``policy_kwargs``.
    distribution
        Range and scale.
    why
        What it does and where the range comes from.
    to_setting, to_sample
        From what was sampled to what the YAML holds, and back.
    """

    name: str
    path: str
    distribution: BaseDistribution
    why: str
    to_setting: Callable[[Any], Any] = lambda sample: sample
    to_sample: Callable[[Any], Any] = lambda setting: setting

    def __post_init__(self) -> None:
        if self.path.split(".")[0] in PROBLEM_KEYS:
            raise ValueError(
                f"search space: '{self.path}' is part of the problem and is never searched, or scores of different "
                "problems would be compared."
            )


def _plain(path: str, distribution: BaseDistribution, why: str) -> Dimension:
    return Dimension(path, path, distribution, why)


def _one_minus_gamma(low: float, high: float, why: str) -> Dimension:
    return Dimension(
        "one_minus_gamma",
        "gamma",
        FloatDistribution(low, high, log=True),
        why,
        to_setting=lambda sample: 1.0 - sample,
        to_sample=lambda gamma: 1.0 - gamma,
    )


def _batch_size(low_log2: int, high_log2: int, why: str) -> Dimension:
    return Dimension(
        "batch_size_log2",
        "batch_size",
        IntDistribution(low_log2, high_log2),
        why,
        to_setting=lambda sample: 2**sample,
        to_sample=lambda size: int(size).bit_length() - 1,
    )


def _net_arch(shapes: tuple[str, ...], why: str) -> Dimension:
    return Dimension(
        "net_arch",
        "policy_kwargs.net_arch",
        CategoricalDistribution(shapes),
        why,
        to_setting=lambda sample: [int(width) for width in sample.split("-")],
        to_sample=lambda widths: "-".join(str(width) for width in widths),
    )


_YES_NO = CategoricalDistribution((False, True))

# Stock DQN. n-step returns, double Q, dueling and prioritized replay aren't in Stable-Baselines3's DQN for Dict
# observations; ours have them.
DQN = (
    _plain("learning_rate", FloatDistribution(1e-5, 1e-3, log=True), "Adam's step; the published optima are 8-9e-5"),
    _one_minus_gamma(0.005, 0.2, "discount per decision; published 0.951 and 0.981"),
    _batch_size(5, 8, "transitions per update"),
    _plain("buffer_size", IntDistribution(2_000, 50_000, log=True), "transitions kept; a small one forgets early play"),
    _plain("target_update_interval", IntDistribution(100, 3_000, log=True), "decisions between copies of the target"),
    _plain("train_freq", CategoricalDistribution((1, 2, 4, 8)), "decisions per update"),
    _plain("exploration_initial_eps", FloatDistribution(0.3, 1.0), "share of random actions at the start"),
    _plain("exploration_final_eps", FloatDistribution(0.01, 0.1, log=True), "and at the end"),
    _plain("exploration_fraction", FloatDistribution(0.1, 0.8), "share of the run over which it falls"),
    _net_arch(("64-64", "256-256", "512-256", "1024-256-256", "1024-512-64"), "hidden layers; the last two published"),
)

# Of branching_dqn too: what is below its own keys stays as the block says.
MASKABLE_DQN = (
    _plain("learning_rate", FloatDistribution(1e-4, 4e-3, log=True), "Adam's step at the start; the default is 1e-3"),
    _one_minus_gamma(0.003, 0.1, "discount per tick of the clock; 0.99 looks about a shift ahead"),
    _plain("n_ticks", IntDistribution(1, 24, log=True), "length of a return in ticks; 24 is the whole short shift"),
    _batch_size(6, 9, "transitions per update"),
    _plain("buffer_size", IntDistribution(10_000, 160_000, log=True), "transitions kept"),
    _plain("tau", FloatDistribution(0.001, 0.05, log=True), "share by which the target follows after each update"),
    _plain("gradient_steps", IntDistribution(1, 4), "updates per step of all environments (64 transitions)"),
    _plain("exploration_initial_eps", FloatDistribution(0.05, 1.0, log=True), "share of random actions at the start"),
    _plain("exploration_final_eps", FloatDistribution(0.005, 0.1, log=True), "and at the end"),
    _plain("exploration_fraction", FloatDistribution(0.1, 0.9), "share of the run over which it falls"),
    _plain("double_q", _YES_NO, "the online network chooses the action whose target value counts"),
    Dimension(
        "prioritized",
        "replay_buffer_class",
        _YES_NO,
        "surprising transitions are replayed more often",
        to_setting=lambda sample: f"agents.replay.{'Prioritized' if sample else ''}ClockReplayBuffer",
        to_sample=lambda name: "Prioritized" in name,
    ),
    _plain("policy_kwargs.dueling", _YES_NO, "value and advantage apart"),
)
# Networks of both, by the policy that the YAML file names.
NETWORKS = {
    "PairPolicy": (
        _plain("policy_kwargs.width", IntDistribution(32, 128, step=32), "size of every embedding"),
        _plain("policy_kwargs.mixing_layers", IntDistribution(0, 2), "how often the whole flows back into its parts"),
        _plain("policy_kwargs.pair_mixing", _YES_NO, "pairs learn of their rivals"),
    ),
    "MaskableMlpPolicy": (_net_arch(("64-64", "256-256", "512-256", "1024-256-256"), "hidden layers"),),
}
NETWORKS["MultiInputPolicy"] = NETWORKS["MaskableMlpPolicy"]


def find_space(algo: str, block: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """
    What is searched for ``algo`` with the policy that ``block`` names.

    Raises
    ------
    SettingsError
        When no space was written for the algorithm or the policy.
    """
    if algo == "dqn":
        return DQN
    if algo not in ("maskable_dqn", "branching_dqn"):
        raise SettingsError(
            f"--algo {algo}: no search space is written for it. Search dqn, maskable_dqn or branching_dqn, or write "
            "one in training/search/spaces.py."
        )
    policy = str(block.get("policy", "")).rpartition(".")[2]
    if policy not in NETWORKS:
        raise SettingsError(
            f"search: no network of policy '{policy}' is described in training/search/spaces.py. "
            f"{nearest(policy, NETWORKS)}"
        )
    return MASKABLE_DQN + NETWORKS[policy]


def distributions(space: tuple[Dimension, ...]) -> dict[str, BaseDistribution]:
    """What Optuna samples from, by name."""
    return {each.name: each.distribution for each in space}


def to_settings(params: Mapping[str, Any], space: tuple[Dimension, ...]) -> dict[str, Any]:
    """
    The settings, by path, behind a trial's raw parameters.

    Rounded to four digits, so that the YAML file that is written at the end holds what was trained, and reads well.
    """
    return {each.path: _rounded(each.to_setting(params[each.name])) for each in space if each.name in params}


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def merge(block: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    ``block`` with the settings put in; what isn't searched stays, inside ``policy_kwargs`` too.

    The file's own decay of exploration is taken out when exploration is searched: it would overrule what was sampled.
    """
    merged = copy.deepcopy(dict(block))
    for path, value in settings.items():
        *parents, key = path.split(".")
        target = merged
        for parent in parents:
            target[parent] = dict(target.get(parent) or {})
            target = target[parent]
        target[key] = value
    if any(path.startswith("exploration_") for path in settings):
        _drop_exploration_callback(merged)
    return merged


def _drop_exploration_callback(block: dict[str, Any]) -> None:
    kept = [entry for entry in _callbacks(block) if EXPLORATION_CALLBACK not in _names(entry)]
    block.pop("callback", None)
    if kept:
        block["callback"] = kept


def _callbacks(block: Mapping[str, Any]) -> list[Any]:
    entries = block.get("callback") or []
    return list(entries) if isinstance(entries, list) else [entries]


def _names(entry: Any) -> list[str]:
    """The class that an entry of ``callback`` names: it stands alone, or as the key of its arguments."""
    return list(entry) if isinstance(entry, dict) else [entry]


def default_params(algo: str, block: Mapping[str, Any], space: tuple[Dimension, ...]) -> dict[str, Any]:
    """
    The block's own settings as parameters of a trial, so that a search begins with what is known to work.

    What the block leaves out is read from the constructors; what the space can't express is left to the sampler, such
    as a decay of exploration per episode.
    """
    params = {}
    decays = any(EXPLORATION_CALLBACK in _names(entry) for entry in _callbacks(block))
    for each in space:
        *parents, key = each.path.split(".")
        inside: Any = block
        for parent in parents:
            inside = inside.get(parent) or {}
        setting = inside.get(key, _constructor_default(algo, block, each.path))
        if setting is None or (decays and key.startswith("exploration_")):
            continue
        value = each.to_sample(setting)
        if isinstance(each.distribution, IntDistribution) and value == int(value):
            value = int(value)  # 8.0 ticks
        if _holds(each.distribution, value) and each.to_setting(value) == setting:
            params[each.name] = value
    return params


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    on_grid = not distribution.step or (value - distribution.low) % distribution.step == 0
    return bool(distribution.low <= value <= distribution.high and on_grid)


def _constructor_default(algo: str, block: Mapping[str, Any], path: str) -> Any:
    parent, _, key = path.rpartition(".")
    owner: Any = ALGOS[algo]
    if parent:
        owner = owner.policy_aliases.get(str(block.get("policy", "")).rpartition(".")[2])
    if owner is None:
        return None
    # What a constructor forwards as **kwargs is its base's or, of a policy, its network's.
    for cls in (*owner.__mro__, *getattr(owner, "network_class", object).__mro__):
        parameter = inspect.signature(cls.__init__).parameters.get(key)
        if parameter is not None:
            default = parameter.default
            break
    else:
        return None
    if isinstance(default, type):
        return f"{default.__module__}.{default.__qualname__}"  # as a YAML file names it
    return None if default is inspect.Parameter.empty else default
