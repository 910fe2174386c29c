"""What everything that only decides shares: ``predict`` as Stable-Baselines3 calls it. Nothing here needs PyTorch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from agents.masking import MASK_KEY, with_mask


class GreedyPolicy(ABC):
    """Chooses as it was trained to and never explores."""

    @abstractmethod
    def choose(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """One feasible action for each of a batch of observations: int64, shape (B,)."""

    def predict(
        self,
        observation: dict[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """
        The greedy actions, for one observation or a batch; ``action_masks`` takes the place of the observation's mask.

        Raises
        ------
        ValueError
            When asked to explore.
        """
        if not deterministic:
            raise ValueError(f"{type(self).__name__} knows the greedy choice only. Pass deterministic=True.")
        observation = with_mask(observation, action_masks)
        if np.ndim(observation[MASK_KEY]) == 1:
            return self.choose({key: np.asarray(value)[None] for key, value in observation.items()})[0], state
        return self.choose(observation), state
