"""Several trained networks as one agent: greedy over the mean of their Q-values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.maskable_dqn import MaskableDQN
from agents.masking import with_mask


class EnsemblePolicy:
    """
    Choose by the mean of the Q-values of several models.

    What networks of different training seeds disagree on is mostly what the chance of their training days taught them,
    and the mean has less of it (Breiman 1996, "Bagging Predictors"). It costs as many forward passes as there are
    models.

    Parameters
    ----------
    models
        Trained on the same observation and, as what they add up must be one quantity, with the same ``reward_scale``.

    Raises
    ------
    ValueError
        For no model at all, or models whose Q-values or choices aren't of one kind.
    """

    def __init__(self, models: Sequence[MaskableDQN]) -> None:
        if not models:
            raise ValueError("ensemble: expected one model or more, got none.")
        for name in ("reward_scale", "masking", "horizon_min", "prices"):
            values = [getattr(model, name) for model in models]
            if any(value != values[0] for value in values):
                raise ValueError(f"ensemble: the models differ in {name}: {values}. Take models of one setting.")
        self.models = list(models)

    def q_values(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """Mean over the models of `MaskableDQN.q_values`; float64, as sums of the most negative float32 overflow."""
        return np.stack([model.q_values(observation) for model in self.models]).mean(axis=0, dtype=np.float64)

    def predict(
        self,
        observation: dict[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """As a model's ``predict``; ``action_masks`` takes the place of the observation's mask."""
        return self.q_values(with_mask(observation, action_masks)).argmax(axis=-1), state
