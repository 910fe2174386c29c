"""Kinds and bounds of the settings of algorithms and of ``train.py``'s options, checked before anything is made."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from checked import SettingsError, check_names, is_number_as_text

MANY = 10**12  # decisions; more than any run makes
MAX_ENVS = 10_000
MAX_SEED = 2**32 - 1 - MAX_ENVS  # NumPy's largest, with room for one an environment


@dataclass(frozen=True)
class Number:
    """A number between two bounds; ``above`` leaves out the lower one."""

    low: float = -math.inf
    high: float = math.inf
    is_whole: bool = False
    is_above: bool = False
    also: tuple[Any, ...] = ()  # values besides, such as None

    def fault(self, value: Any) -> str | None:
        """What was expected, when ``value`` isn't it."""
        if any(value is each or (isinstance(each, str) and value == each) for each in self.also):
            return None
        value = value.item() if hasattr(value, "item") and not isinstance(value, (list, tuple)) else value
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and isinstance(value, float) and not math.isfinite(value):
            return self.expected()
        if not is_number or (self.is_whole and value != int(value)):
            return self.expected()
        is_low = value <= self.low if self.is_above else value < self.low
        return self.expected() if is_low or value > self.high else None

    def expected(self) -> str:
        """In words."""
        kind = "a whole number" if self.is_whole else "a number"
        low = "" if self.low == -math.inf else f" {'above' if self.is_above else 'from'} {self.low:g}"
        high = "" if self.high == math.inf else f" to {self.high:g}" if low else f" up to {self.high:g}"
        others = "".join(f", or {'null' if each is None else each}" for each in self.also)
        return f"{kind}{low}{high}{others}"


SHARE = Number(0.0, 1.0)
POSITIVE = Number(0.0, 1e9, is_above=True)
COUNT = Number(1, MANY, is_whole=True)

# Of the algorithms of Stable-Baselines3, sb3-contrib and this project: what a key is in all that have it.
SETTINGS: dict[str, Number] = {
    "n_timesteps": COUNT,
    "n_envs": Number(1, MAX_ENVS, is_whole=True),
    "gamma": SHARE,
    "gae_lambda": SHARE,
    "tau": Number(0.0, 1.0, is_above=True),
    "batch_size": Number(1, 10**7, is_whole=True),
    "buffer_size": Number(1, 10**12, is_whole=True),
    "learning_starts": Number(0, MANY, is_whole=True),
    "gradient_steps": Number(-1, 10**6, is_whole=True),
    "target_update_interval": COUNT,
    "exploration_fraction": Number(0.0, 1.0, is_above=True),
    "exploration_initial_eps": SHARE,
    "exploration_final_eps": SHARE,
    "max_grad_norm": POSITIVE,
    "n_steps": Number(1, 10**7, is_whole=True),
    "n_epochs": Number(1, 10**5, is_whole=True),
    "ent_coef": Number(0.0, 1e6, also=("auto",)),
    "vf_coef": Number(0.0, 1e6),
    "target_kl": Number(0.0, 1e6, is_above=True, also=(None,)),
    "stats_window_size": Number(1, 10**6, is_whole=True),
    "reward_scale": POSITIVE,
    "averaging": Number(0.0, 1.0, also=(None,)),
    "lr_final_fraction": SHARE,
    "n_ticks": Number(0.0, 10**6),
    "sde_sample_freq": Number(-1, 10**6, is_whole=True),
}
FLAGS = ("double_q", "strict_masks", "normalize_advantage", "use_sde", "optimize_memory_usage", "use_rms_prop")
MAPPINGS = ("policy_kwargs", "replay_buffer_kwargs", "monitor_kwargs", "env_kwargs", "branching", "teacher")
TEXTS = ("policy",)
MONITOR_KEYS = ("info_keywords", "reset_keywords", "allow_early_resets")
SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")

OPTIONS: dict[str, Number] = {
    "n_timesteps": Number(1, MANY, is_whole=True),
    "seed": Number(-1, MAX_SEED, is_whole=True),
    "num_drivers": Number(1, 10_000, is_whole=True),
    "max_bookings": Number(1, 10_000, is_whole=True),
    "num_threads": Number(-1, 1024, is_whole=True),
    "eval_freq": Number(-1, MANY, is_whole=True),
    "eval_episodes": Number(1, 10**6, is_whole=True),
    "n_eval_envs": Number(1, 1000, is_whole=True),
    "checkpoint_freq": Number(0, MANY, is_whole=True),
    "save_freq": Number(-1, MANY, is_whole=True),
    "log_interval": Number(-2, MANY, is_whole=True),
    "verbose": Number(0, 10, is_whole=True),
    "n_trials": Number(1, 10**7, is_whole=True),
    "max_total_trials": Number(1, 10**7, is_whole=True),
    "n_jobs": Number(-1, 1024, is_whole=True),
    "n_startup_trials": Number(0, 10**7, is_whole=True),
    "n_evaluations": Number(1, 10**6, is_whole=True),
    "objective_days": Number(1, 10**6, is_whole=True),
    "top_k": Number(0, 1000, is_whole=True),
    "retest_seeds": Number(1, 1000, is_whole=True),
    "trial_id": Number(0, 10**9, is_whole=True),
}


def check_options(given: Mapping[str, Any]) -> None:
    """
    Refuse a number on the command line that can't be; ``given`` are the options that stand there.

    Raises
    ------
    SettingsError
        Naming the option.
    """
    for name, value in given.items():
        if name not in OPTIONS or value is None or (name == "n_timesteps" and value == -1):
            continue
        expected = OPTIONS[name].fault(value)
        if expected is not None:
            also = ", or -1 for the YAML's" if name == "n_timesteps" else ""
            raise SettingsError(f"--{name.replace('_', '-')} {value}: expected {expected}{also}.")


def check_settings(hyperparams: Mapping[str, Any], where: str, only: Collection[str] | None = None) -> None:
    """
    Refuse what no algorithm can use, which it would say late and without the key, or not at all (``gamma: .nan``).

    Parameters
    ----------
    only
        Keys to look at; None: all.

    Raises
    ------
    SettingsError
        Naming place, key and what was expected.
    """
    for key, value in hyperparams.items():
        if only is not None and key not in only:
            continue
        expected = _expected(key, value)
        if expected is not None:
            hint = " YAML 1.1 reads 1e-4 as text: write 1.0e-4." if is_number_as_text(value) else ""
            raise SettingsError(f"{where}: {key}: expected {expected}, came {_shown(value)}.{hint}")
    _check_train_freq(hyperparams, where)
    monitor = hyperparams.get("monitor_kwargs") or {}
    check_names(f"{where}: monitor_kwargs", monitor, MONITOR_KEYS)
    for key in ("info_keywords", "reset_keywords"):
        words = monitor.get(key, ())
        if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
            raise SettingsError(f"{where}: monitor_kwargs: {key}: expected a list of names.")


def _expected(key: str, value: Any) -> str | None:
    if key in SETTINGS:
        return SETTINGS[key].fault(value)
    if key in FLAGS and not isinstance(value, bool):
        return "true or false"
    if key in MAPPINGS and value is not None and not isinstance(value, Mapping):
        return "keys and values"
    if key in TEXTS and not isinstance(value, str):
        return "a name"
    if key == "normalize" and not isinstance(value, (bool, Mapping)):
        return "true, false or keys and values such as {norm_obs: false}"
    if key in SCHEDULED and isinstance(value, (int, float)):
        low, high = (-math.inf if key == "clip_range_vf" else 0.0), (10.0 if key == "learning_rate" else math.inf)
        return Number(low, high).fault(value)
    if key in SCHEDULED and not isinstance(value, str) and not (value is None and key == "clip_range_vf"):
        return "a number, or lin_0.001 for a line down to 0"
    return None


def _check_train_freq(hyperparams: Mapping[str, Any], where: str) -> None:
    if "train_freq" not in hyperparams:
        return
    value = hyperparams["train_freq"]
    number, unit = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, "step")
    if Number(1, 10**9, is_whole=True).fault(number) is not None or unit not in ("step", "episode"):
        raise SettingsError(
            f"{where}: train_freq: expected a whole number from 1, or [number, step] or [number, episode], came "
            f"{_shown(value)}."
        )
    if unit == "episode" and hyperparams.get("n_envs", 1) != 1:
        raise SettingsError(f"{where}: train_freq: counting episodes needs n_envs: 1.")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"
