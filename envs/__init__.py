"""
The world of patient-transport dispatch. Importing it registers its environments with Gymnasium.

Also as Gymnasium writes it for packages of others: ``import envs; gym.register_envs(envs)``. The names below are
imported when they are first asked for, so that ``import envs`` needs Gymnasium alone; Numba, which is most of the
rest, comes with the first environment.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

import gymnasium as gym

if TYPE_CHECKING:
    from envs.batch import DispatchBatch
    from envs.days.day import Booking, Day, Driver
    from envs.days.scenario import Scenario
    from envs.days.stream import REPORT_DAYS, SELECTION_DAYS, TRAINING_DAYS, DayStream
    from envs.dispatch_env import DispatchEnv
    from envs.promise_env import PromiseEnv
    from envs.simulator import Simulator

_HOME = {
    "DispatchBatch": "envs.batch",
    "Booking": "envs.days.day",
    "Day": "envs.days.day",
    "Driver": "envs.days.day",
    "Scenario": "envs.days.scenario",
    "REPORT_DAYS": "envs.days.stream",
    "SELECTION_DAYS": "envs.days.stream",
    "TRAINING_DAYS": "envs.days.stream",
    "DayStream": "envs.days.stream",
    "DispatchEnv": "envs.dispatch_env",
    "PromiseEnv": "envs.promise_env",
    "Simulator": "envs.simulator",
}
SCENARIO_OF = {
    "Dispatch-v0": "short_shift",
    "DispatchDay-v0": "operating_day",
    "DispatchDay-v1": "operating_day_promises",
}
DESK_SCENARIO_OF = {"DispatchPromise-v0": "operating_day_promises"}  # the promise desk: other actions, other agents

__all__ = [
    "REPORT_DAYS",
    "SELECTION_DAYS",
    "TRAINING_DAYS",
    "Booking",
    "Day",
    "DayStream",
    "DispatchBatch",
    "DispatchEnv",
    "Driver",
    "PromiseEnv",
    "Scenario",
    "Simulator",
    "register_envs",
]


def register_envs() -> None:
    """Register the environments with Gymnasium; those already registered, by whomever, stay as they are."""
    # To Gymnasium a lower version is an outdated one. Here it is another problem, and both are kept.
    warnings.filterwarnings("ignore", r".*The environment DispatchDay-v0 is out of date", DeprecationWarning)
    for env_id, scenario in (SCENARIO_OF | DESK_SCENARIO_OF).items():
        entry_point = "envs.promise_env:PromiseEnv" if env_id in DESK_SCENARIO_OF else "envs.dispatch_env:DispatchEnv"
        if env_id not in gym.registry:
            gym.register(
                env_id,
                entry_point=entry_point,
                kwargs={"scenario": scenario},
                # Gymnasium's checks on every step cost more than the step itself; the tests run check_env instead.
                disable_env_checker=True,
                order_enforce=False,
            )


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'envs' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


register_envs()
