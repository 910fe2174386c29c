"""An environment: any of Gymnasium's kind will do."""

from typing import Any

import gymnasium as gym
import numpy as np


class OneVan(gym.Env[Any, Any]):
    """
    One van goes between two villages; patients come to either at random, and the van takes all who wait where it is.

    Observation: patients waiting in each village, tenths, and where the van is. Action: 0 stay, 1 drive to the other.
    Reward: -1 for each patient who still waits.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (3,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.waiting, self.village = np.zeros(2, np.int64), 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.village = (self.village + int(action)) % 2
        self.waiting = np.minimum(self.waiting + self.np_random.binomial(1, [0.5, 0.2]), 10)
        self.waiting[self.village] = 0
        return self._observation(), -float(self.waiting.sum()), False, False, {}

    def _observation(self) -> np.ndarray:
        return np.array([*self.waiting / 10, self.village], np.float32)
