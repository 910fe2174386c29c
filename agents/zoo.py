"""rl-zoo3 learns our algorithms: ``register()`` adds them to its table. What is searched: `training.search.spaces`."""

from __future__ import annotations

from rl_zoo3.utils import ALGOS

from agents.branching_dqn import BranchingDQN
from agents.maskable_dqn import MaskableDQN
from agents.maskable_ppo import MaskablePPO


def register() -> None:
    """Add ``branching_dqn``, ``maskable_dqn`` and ``maskable_ppo``; calling it again changes nothing."""
    ALGOS["branching_dqn"] = BranchingDQN
    ALGOS["maskable_dqn"] = MaskableDQN
    ALGOS["maskable_ppo"] = MaskablePPO
