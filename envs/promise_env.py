"""``PromiseEnv``: the promise desk of one day at a time, as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.days.day import Day
from envs.days.scenario import Scenario
from envs.dispatch_env import DispatchEnv
from envs.promise_batch import DESK_ARGUMENTS, PromiseBatch


class PromiseEnv(DispatchEnv):
    """
    Which window a caller is offered, or that nobody can come; the planner drives and re-plans behind it.

    - **Action.** ``Discrete(S + 1)``: j < S offers the wished window moved by ``shifts_min[j]``, S refuses. Who takes
      an offer is promised it. A window without a place is counted as infeasible, and the caller's cheapest one offered.
    - **Observation.** Dict of float32 features in [-1, 1] and the ``action_mask``; see ``envs.promise_observation``.
    - **Reward.** Minus the change of what the day costs as it is planned: deadhead minutes, 300 per booking refused or
      lost (600 if promised) and ``discomfort_per_min`` for each minute by which promised windows are shifted. Its sum
      is what the day costs by its log, minus what it cost at the start.
    - **End.** At closing time ``terminated`` is true; the day is then driven to its end. Never truncated.
    - **Start.** As of ``DispatchEnv``. Who is refused before the first decision is in the cost at the start.
    - **Info.** ``day`` and, after a step, ``elapsed_min`` and ``answer``; at the end of a day also ``kpis`` and
      ``desk``.

    Parameters
    ----------
    scenario
        Name under ``envs/scenarios``, path of a YAML file, or a Scenario; with promises at the call.
    num_drivers
        N when it should differ from the scenario's.
    days, day_list, in_order, render_mode, overrides
        As for ``DispatchEnv``.
    shifts_min, discomfort_per_min, decline_per_min, forecast, reward_function
        As for ``envs.promise_batch.PromiseBatch``.
    """

    batch: PromiseBatch

    def __init__(
        self,
        scenario: str | Path | Scenario = "operating_day_promises",
        num_drivers: int | None = None,
        days: tuple[int, int] | None = None,
        day_list: Sequence[Day] | None = None,
        in_order: bool = False,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self._desk_settings = {name: settings.pop(name) for name in DESK_ARGUMENTS if name in settings}
        super().__init__(
            scenario,
            num_drivers,
            days=days,
            day_list=day_list,
            in_order=in_order,
            render_mode=render_mode,
            **settings,
        )

    def _make_batch(self) -> PromiseBatch:
        return PromiseBatch(self.scenario, **self._desk_settings)

    def step(self, action: np.int64 | int) -> tuple[dict[str, npt.NDArray[Any]], float, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = super().step(action)
        info["answer"] = self.batch.answer(0)
        if terminated:
            info["desk"] = self.batch.desk_kpis(0)
        return observation, float(self.batch.rewards[0]), terminated, truncated, info
