"""``DispatchEnv``: one day at a time, as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from envs.batch import TRAINING_DAYS, DispatchBatch
from envs.day import Day
from envs.render import render_text
from envs.scenario import Scenario


class DayStream:
    """
    Draws the days that an environment plays: numbers out of a range, or days out of a list.

    Parameters
    ----------
    days
        (first, last) day number, the last one excluded.
    day_list
        Days from files, drawn with equal probability; takes the place of ``days``.
    in_order
        Play them in order, again and again, instead of drawing: for evaluation.
    """

    def __init__(
        self, days: tuple[int, int] | None = None, day_list: Sequence[Day] | None = None, in_order: bool = False
    ) -> None:
        first, last = (TRAINING_DAYS.start, TRAINING_DAYS.stop) if days is None else days
        if day_list is not None and not day_list:
            raise ValueError("day_list: expected at least one day, got none.")
        if first < 0 or last <= first:
            raise ValueError(f"days: expected first >= 0 and last > first, got ({first}, {last}).")
        self._first, self._last = first, last
        self._day_list = list(day_list) if day_list is not None else None
        self._in_order = in_order
        self._position = 0
        self.seed(None)

    def seed(self, seed: int | None, env_index: int = 0) -> None:
        """Restart the stream: environment ``env_index`` of a batch draws from SeedSequence([seed, env_index])."""
        entropy = None if seed is None else [seed, env_index]
        self._random = np.random.default_rng(np.random.SeedSequence(entropy))
        self._position = 0

    def next_day(self) -> int | Day:
        size = self._last - self._first if self._day_list is None else len(self._day_list)
        if self._in_order:
            index = self._position % size
            self._position += 1
        else:
            index = int(self._random.integers(size))
        return self._first + index if self._day_list is None else self._day_list[index]


class DispatchEnv(gym.Env[Any, Any]):
    """
    Who takes which booking, and when to wait.

    Action
        ``Discrete(N * M + 1)``: 0 waits, else driver = (a - 1) // M, booking slot = (a - 1) % M. An infeasible action
        is counted and acts as wait.
    Observation
        Dict of float32 features in [-1, 1] and the ``action_mask``; see ``envs.observation``.
    Reward
        0. What a decision is worth is said by a wrapper: ``reward.RewardV1(env)``, ``RewardV2``, ``RewardV3``.
    End
        At closing time ``terminated`` is true; the day is then driven to its end. Never truncated.

    Parameters
    ----------
    scenario
        Name under ``envs/scenarios``, path of a YAML file, or a Scenario.
    num_drivers, max_bookings
        N and M when they should differ from the scenario's.
    days, day_list, in_order
        Which days ``reset`` plays; see ``DayStream``. By default it draws from the training days.
    render_mode
        ``"human"`` prints a text view after every step, ``"ansi"`` returns it from ``render``.
    **overrides
        Any other setting of the scenario, by name: ``load=2.0``, ``plan_improvement=False``, ...

    ``reset(options={"day": n})`` plays generated day n; a Day instead of n plays that day.
    ``reset(seed=s)`` restarts the stream of days. ``info`` holds ``day`` and, after a step, ``elapsed_min``; at the
    end of a day also ``kpis``.
    """

    metadata = {"render_modes": ["human", "ansi"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own convention

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
        self.batch = DispatchBatch(self.scenario)
        self.stream = DayStream(days, day_list, in_order)
        self.observation_space = self.batch.observation_space
        self.action_space = self.batch.action_space
        self.render_mode = render_mode

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

    def render(self) -> str | None:  # type: ignore[override]
        if self.render_mode is None:
            gym.logger.warn(
                "render() without a render_mode does nothing; make the environment with render_mode='human'."
            )
            return None
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
