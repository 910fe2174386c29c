"""The world of patient-transport dispatch; importing it registers ``Dispatch-v0`` and ``DispatchDay-v0``."""

from __future__ import annotations

import gymnasium as gym

from envs.batch import DispatchBatch
from envs.days.day import Booking, Day, Driver
from envs.days.scenario import Scenario
from envs.days.stream import REPORT_DAYS, SELECTION_DAYS, TRAINING_DAYS, DayStream
from envs.dispatch_env import DispatchEnv
from envs.simulator import Simulator

# Gymnasium's checks on every step cost more than the step itself; the tests run check_env instead.
for _id, _scenario in (("Dispatch-v0", "short_shift"), ("DispatchDay-v0", "operating_day")):
    if _id not in gym.registry:
        gym.register(
            _id,
            entry_point="envs.dispatch_env:DispatchEnv",
            kwargs={"scenario": _scenario},
            disable_env_checker=True,
            order_enforce=False,
        )

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
    "Scenario",
    "Simulator",
]
