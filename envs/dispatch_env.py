"""``DispatchEnv``: one day at a time, as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from envs.batch import DispatchBatch
from envs.days.day import Day
from envs.days.scenario import Scenario
from envs.days.stream import DayStream
from envs.render import render_map, render_text


class DispatchEnv(gym.Env[Any, Any]):
    """
    Who takes which booking, and when to wait.

    - **Action.** ``Discrete(N * M + 1)``: 0 waits, else driver = (a - 1) // M, booking slot = (a - 1) % M. An
      infeasible action is counted and acts as wait.
    - **Observation.** Dict of float32 features in [-1, 1] and the ``action_mask``; see ``envs.observation``.
    - **Reward.** 0. What a decision is worth is said by a wrapper: ``reward.RewardV1(env)``, ``RewardV2``,
      ``RewardV3``.
    - **End.** At closing time ``terminated`` is true; the day is then driven to its end. Never truncated.
    - **Start.** ``reset(options={"day": n})`` plays generated day n; a Day instead of n plays that day.
      ``reset(seed=s)`` restarts the stream of days.
    - **Info.** ``day`` and, after a step, ``elapsed_min``; at the end of a day also ``kpis``.

    Parameters
    ----------
    scenario
        Name under ``envs/scenarios``, path of a YAML file, or a Scenario.
    num_drivers, max_bookings
        N and M when they should differ from the scenario's.
    days, day_list, in_order
        Which days ``reset`` plays; see ``DayStream``. By default it draws from the training days.
    render_mode
        ``"human"`` prints a text view after every step, ``"ansi"`` returns it from ``render``, ``"rgb_array"`` a map.
    **overrides
        Any other setting of the scenario, by name: ``load=2.0``, ``plan_improvement=False``, ...
    """

    metadata = {"render_modes": ["human", "ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own convention

    def __init__(
        self,
        scenario: str | Path | Scenario = "short_shift",
        num_drivers: int | None = None,
        max_bookings: int | None = None,
        days: tuple[int, int] | None = None,
        day_list: Sequence[Day] | None = None,
        in_order: bool = False,
        render_mode: str | None = None,
        **overrides: Any,
    ) -> None:
        if num_drivers is not None:
            overrides["num_drivers"] = num_drivers
        if max_bookings is not None:
            overrides["max_bookings"] = max_bookings
        self.scenario = Scenario.load(scenario, **overrides)
        self.batch = self._make_batch()
        self.stream = DayStream(days, day_list, in_order)
        self.observation_space = self.batch.observation_space
        self.action_space = self.batch.action_space
        self.render_mode = render_mode

    def _make_batch(self) -> DispatchBatch:
        return DispatchBatch(self.scenario)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.stream.seed(seed)
        day = (options or {}).get("day")
        self.batch.load_day(0, self.stream.next_day() if day is None else day)
        self.batch.refresh()
        self._show()
        return self._observation(), {"day": self.batch.day_label(0)}

    def step(self, action: np.int64 | int) -> tuple[dict[str, npt.NDArray[Any]], float, bool, bool, dict[str, Any]]:
        if self.batch.days[0] is None:
            raise RuntimeError("step was called before reset.")
        self.batch.step(np.array([action]))
        clock = self.batch.world.clocks[0]
        info: dict[str, Any] = {"elapsed_min": float(clock["elapsed_min"]), "day": self.batch.day_label(0)}
        terminated = bool(clock["is_done"])
        if terminated:
            info["kpis"] = self.batch.kpis(0)
        self._show()
        return self._observation(), 0.0, terminated, False, info

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Which actions are feasible, shape (N * M + 1,): sb3-contrib's convention."""
        return self.batch.observation["action_mask"][0].astype(bool)

    def render(self) -> str | npt.NDArray[np.uint8] | None:  # type: ignore[override]
        if self.render_mode is None:
            gym.logger.warn(
                "render() without a render_mode does nothing; make the environment with render_mode='human'."
            )
            return None
        if self.render_mode == "rgb_array":
            return render_map(self.batch.world, 0, self.batch.day_of(0))
        text = render_text(self.batch.world, 0, self.batch.day_of(0))
        if self.render_mode == "human":
            print(text)
            return None
        return text

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()

    def _observation(self) -> dict[str, npt.NDArray[Any]]:
        return {key: array[0].copy() for key, array in self.batch.observation.items()}
