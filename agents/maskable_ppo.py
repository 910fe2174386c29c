"""sb3-contrib's MaskablePPO, reading the mask from the observation where nobody passes one."""

from __future__ import annotations

from typing import Any

import numpy as np
from sb3_contrib import MaskablePPO as ContribMaskablePPO

from agents.masking import MASK_KEY


class MaskablePPO(ContribMaskablePPO):
    """
    Only ``predict`` differs: without ``action_masks`` it uses the observation's ``action_mask``.

    So SB3's EvalCallback, ``evaluate_policy`` and rl-zoo3's ``enjoy``, which know nothing of masks, evaluate the policy
    that was trained.
    """

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        if action_masks is None and isinstance(observation, dict) and MASK_KEY in observation:
            action_masks = observation[MASK_KEY]
        return super().predict(observation, state, episode_start, deterministic, action_masks)
