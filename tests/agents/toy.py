"""A dispatch problem small enough to know the answer, with the observation that every real environment has."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces

TICK_MIN = 5.0
BOUND = 10.0  # raw rewards are at most this


class ToyBooking(NamedTuple):
    """Times in ticks."""

    release: int
    expire: int  # last tick at which it can be assigned
    reward: float
    duration: int  # how long it occupies a driver


class ToyDispatch(gym.Env):
    """
    Drivers carry out bookings one at a time; a booking pays when it is assigned.

    Every decision costs a tick; with ``free_decisions`` an assignment costs none and only wait moves the clock. Without
    ``bookings`` they are drawn at reset.
    """

    observation_space: spaces.Dict
    action_space: spaces.Discrete
    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        num_drivers: int = 5,
        max_bookings: int = 15,
        num_ticks: int = 12,
        bookings: list[ToyBooking] | None = None,
        free_decisions: bool = False,
        driver_dim: int = 4,
        booking_dim: int = 6,
        pair_dim: int = 5,
        clock_dim: int = 3,
        present_drivers: int | None = None,
        draws: int = 12,
    ) -> None:
        self.n, self.m, self.num_ticks = num_drivers, max_bookings, num_ticks
        self.fixed, self.free, self.draws = bookings, free_decisions, draws
        self.present = num_drivers if present_drivers is None else present_drivers
        pairs = num_drivers * max_bookings

        def box(*shape: int) -> spaces.Box:
            return spaces.Box(-1.0, 1.0, shape, dtype=np.float32)

        self.observation_space = spaces.Dict(
            {
                "drivers": box(num_drivers, driver_dim),
                "bookings": box(max_bookings, booking_dim),
                "pairs": box(pairs, pair_dim),
                "clock": box(clock_dim),
                "action_mask": spaces.MultiBinary(pairs + 1),
                "pair_reward": box(pairs),
                "wait_reward": box(1),
            }
        )
        self.action_space = spaces.Discrete(pairs + 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.tick, self.num_infeasible = 0, 0
        self.free_at = np.zeros(self.present, dtype=int)
        if self.fixed is not None:
            self.day = list(self.fixed)
        else:
            rng = self.np_random
            releases = rng.integers(0, self.num_ticks - 2, self.draws)
            self.day = [
                ToyBooking(int(t), int(t + rng.integers(1, 5)), float(rng.integers(1, 10)), int(rng.integers(1, 6)))
                for t in sorted(releases)
            ]
        self.is_open = [True] * len(self.day)
        return self._observe(), {}

    def _shown(self) -> list[int]:
        shown = [k for k, b in enumerate(self.day) if self.is_open[k] and b.release <= self.tick <= b.expire]
        return shown[: self.m]

    def _observe(self) -> dict[str, np.ndarray]:
        obs = {key: np.zeros(space.shape or (), space.dtype) for key, space in self.observation_space.spaces.items()}
        obs["clock"][0] = self.tick * TICK_MIN / 1440
        obs["clock"][1] = self.tick / self.num_ticks
        obs["action_mask"][0] = 1
        for i in range(self.present):
            obs["drivers"][i, :2] = 1.0, max(self.free_at[i] - self.tick, 0) / self.num_ticks
        for j, k in enumerate(self._shown()):
            booking = self.day[k]
            left = (booking.expire - self.tick) / self.num_ticks
            obs["bookings"][j, :4] = 1.0, booking.reward / BOUND, booking.duration / self.num_ticks, left
            for i in range(self.present):
                if self.free_at[i] <= self.tick:
                    pair = i * self.m + j
                    obs["pairs"][pair, :3] = 1.0, booking.reward / BOUND, booking.duration / self.num_ticks
                    obs["pair_reward"][pair] = booking.reward / BOUND
                    obs["action_mask"][pair + 1] = 1
        self.mask = obs["action_mask"].copy()
        return obs

    def action_masks(self) -> np.ndarray:
        return self.mask.astype(bool)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        action, reward, elapsed = int(action), 0.0, TICK_MIN
        if not self.mask[action]:
            self.num_infeasible += 1
            action = 0
        if action > 0:
            driver, slot = divmod(action - 1, self.m)
            k = self._shown()[slot]
            reward = self.day[k].reward
            self.free_at[driver] = self.tick + self.day[k].duration
            self.is_open[k] = False
            elapsed = 0.0 if self.free else TICK_MIN
        if elapsed:
            self.tick += 1
        return self._observe(), reward, self.tick >= self.num_ticks, False, {"elapsed_min": elapsed}


# One driver. At tick 0 a booking worth 2 that would occupy the driver for 3 ticks, at ticks 1-2 one worth 9 (2 ticks).
# Greedy takes the first at once and earns 2; waiting one tick, serving the second, then the first (open until 3): 9 +
# 2.
PATIENCE_DAY = [ToyBooking(0, 3, 2.0, 3), ToyBooking(1, 2, 9.0, 2)]
PATIENCE_GREEDY, PATIENCE_BEST = 2.0, 11.0


def patience_env(**kwargs: Any) -> ToyDispatch:
    return ToyDispatch(num_drivers=1, max_bookings=3, num_ticks=6, bookings=PATIENCE_DAY, **kwargs)
