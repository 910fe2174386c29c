"""
The agent without its mask, for the ablation; an algorithm of one's own, named with ``--gym-packages studies.unmasked``.

It goes by another mask than the observation's, in exploration, choice, target, branches and ``predict`` alike. What is
infeasible is then the environment's to punish; it acts as wait.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rl_zoo3.utils import ALGOS

from agents.branching_dqn import BranchingDQN
from agents.masking import MASK_KEY


class PresentPairsDQN(BranchingDQN):
    """May choose every pair of a driver and a booking that are there, and wait."""

    def as_seen(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """``observation`` is a batch, leading axis B."""
        drivers, bookings = (np.asarray(observation[key])[:, :, 0] > 0 for key in ("drivers", "bookings"))
        mask = np.ones_like(np.asarray(observation[MASK_KEY]))
        mask[:, 1:] = (drivers[:, :, None] & bookings[:, None, :]).reshape(len(mask), -1)
        return {**observation, MASK_KEY: mask}


class AllActionsDQN(BranchingDQN):
    """May choose everything, as stock DQN; flat networks only, the pair network has no row for what isn't there."""

    def as_seen(self, observation: dict[str, Any]) -> dict[str, Any]:
        return {**observation, MASK_KEY: np.ones_like(np.asarray(observation[MASK_KEY]))}


ALGOS["present_pairs_dqn"] = PresentPairsDQN
ALGOS["all_actions_dqn"] = AllActionsDQN
