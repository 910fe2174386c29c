"""What settings and algorithms were called before: older files go on working, or end in a message that helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checked import SettingsError

PRIORITIZED = "agents.replay.PrioritizedClockReplayBuffer"
IN_BUFFER = {"priority_alpha": "alpha", "priority_beta": "beta", "tick_min": "tick_min"}
BRANCHING_KEYS = ("branching", "teacher")


def with_new_names(algo: str, hyperparams: Mapping[str, Any], where: str) -> dict[str, Any]:
    """
    ``hyperparams`` of ``maskable_dqn`` or ``branching_dqn`` under today's names; of others, as they are.

    Raises
    ------
    SettingsError
        For what only another algorithm can do, and what is no longer there.
    """
    settings = dict(hyperparams)
    if algo not in ("maskable_dqn", "branching_dqn"):
        return settings
    if algo == "maskable_dqn":
        for key in BRANCHING_KEYS:
            if settings.pop(key, None) is not None:
                raise SettingsError(
                    f"{where}: '{key}' belongs to branching_dqn, which is built on maskable_dqn. "
                    "Pass --algo branching_dqn."
                )
    elif "branching" in settings and settings["branching"] is None:
        raise SettingsError(f"{where}: 'branching: null' is Q-learning alone. Pass --algo maskable_dqn.")
    if settings.pop("masking", "feasible") != "feasible":
        raise SettingsError(f"{where}: 'masking' is gone, the mask always holds. Leave it out.")
    if settings.pop("exploration_decay", None) is not None:
        raise SettingsError(
            f"{where}: 'exploration_decay' is gone. Write callback: "
            "{training.callbacks.EpsilonDecayPerEpisode: {initial: 0.3, final: 0.02, factor: ...}}."
        )
    in_buffer = {new: settings.pop(old) for old, new in IN_BUFFER.items() if old in settings}
    if settings.pop("prioritized", False):
        settings["replay_buffer_class"] = PRIORITIZED
    else:
        in_buffer.pop("alpha", None), in_buffer.pop("beta", None)
    if in_buffer:
        settings["replay_buffer_kwargs"] = {**in_buffer, **(settings.get("replay_buffer_kwargs") or {})}
    return settings


def upgraded(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run (``resolved.yml``) as a run of today keeps them."""
    result = dict(resolved)
    hyperparams = dict(result.get("hyperparams") or {})
    if result.get("algo") == "maskable_dqn" and any(hyperparams.get(key) is not None for key in BRANCHING_KEYS):
        result["algo"] = "branching_dqn"
        if "args" in result:
            result["args"] = {**result["args"], "algo": "branching_dqn"}
        if hyperparams.get("branching") is None:  # a teacher, then Q-learning
            hyperparams["branching"] = {"start": 1.0}
    result["hyperparams"] = with_new_names(str(result.get("algo")), hyperparams, "resolved.yml")
    return result
