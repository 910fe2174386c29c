"""``PromiseVecEnv``: Stable-Baselines3's VecEnv on the promise desks of days side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.days.day import Day
from envs.days.scenario import Scenario
from envs.promise_batch import DESK_ARGUMENTS, PromiseBatch
from envs.vec_env import NUM_BUFFERS, DispatchVecEnv


class PromiseVecEnv(DispatchVecEnv):
    """
    B promise desks in one object; each row plays the same days as ``PromiseEnv`` with the same stream.

    As ``DispatchVecEnv``; at the end of a day ``infos[b]`` has ``desk`` besides. A ``reward_function`` pays as in
    ``PromiseBatch``, without prices of pairs in the observation.
    """

    batch: PromiseBatch

    def __init__(
        self,
        num_envs: int,
        scenario: str | Path | Scenario = "operating_day_promises",
        seed: int | None = None,
        days: tuple[int, int] | None = None,
        day_list: Sequence[Day] | None = None,
        in_order: bool = False,
        **settings: Any,
    ) -> None:
        self._desk_settings = {name: settings.pop(name) for name in DESK_ARGUMENTS if name in settings}
        super().__init__(num_envs, scenario, None, seed, days, day_list, in_order, **settings)

    def _make_batch(self, num_envs: int) -> PromiseBatch:
        return PromiseBatch(self.scenario, num_envs, num_buffers=NUM_BUFFERS, **self._desk_settings)

    def _pay(self) -> npt.NDArray[np.float64]:
        return self.batch.rewards.copy()

    def _tell_end(self, ended: npt.NDArray[np.int64], infos: list[dict[str, Any]]) -> None:
        super()._tell_end(ended, infos)
        for b in ended.tolist():
            infos[b]["desk"] = self.batch.desk_kpis(b)
