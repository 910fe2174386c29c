"""Learned pair values inside a matching of drivers and bookings."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from agents.ensemble import EnsemblePolicy
from agents.maskable_dqn import MaskableDQN
from agents.masking import with_mask


class MatchingPolicy:
    """
    Assign the set of pairs with the largest total advantage over waiting, one pair at a time.

    The advantage of a pair is Q(pair) - Q(wait). Each ``predict`` solves the assignment problem (each driver and each
    booking at most once) over the feasible pairs with a positive advantage and answers the best pair of the matching,
    or wait where there is none. The next decision matches anew, with what is then known.

    Compared with the greedy choice of the network it gives a driver to the second-best booking when another driver
    would miss the best one less. The network's values assume its own greedy choices afterwards, so this is a rule on
    top of learned values, not a policy that was trained.

    Parameters
    ----------
    model
        A trained `MaskableDQN` of any policy, or an ensemble of them.
    min_advantage
        Pairs must beat waiting by more than this, in the model's units (reward / ``reward_scale``).
    """

    def __init__(self, model: MaskableDQN | EnsemblePolicy, min_advantage: float = 0.0) -> None:
        self.model, self.min_advantage = model, min_advantage

    def predict(
        self,
        observation: dict[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """As a model's ``predict``; ``action_masks`` takes the place of the observation's mask."""
        observation = with_mask(observation, action_masks)
        is_batch = np.ndim(observation["action_mask"]) == 2
        mask = np.atleast_2d(np.asarray(observation["action_mask"]).astype(bool))
        actions = np.zeros(len(mask), dtype=np.int64)
        asks = np.flatnonzero(mask[:, 1:].any(axis=1))
        if len(asks):
            batch = {
                key: np.asarray(value) if is_batch else np.asarray(value)[None] for key, value in observation.items()
            }
            values = self.model.q_values({key: value[asks] for key, value in batch.items()})
            num_drivers = batch["drivers"].shape[1]
            actions[asks] = [
                best_of_matching(
                    q[1:].reshape(num_drivers, -1), feasible[1:].reshape(num_drivers, -1), q[0], self.min_advantage
                )
                for q, feasible in zip(values, mask[asks], strict=True)
            ]
        return (actions if is_batch else actions[0]), state


def best_of_matching(
    pair_values: np.ndarray, feasible: np.ndarray, wait_value: float, min_advantage: float = 0.0
) -> int:
    """
    Action of the best pair of the matching with the largest total advantage; 0 when no pair beats waiting.

    Parameters
    ----------
    pair_values, feasible
        Shape (N, M).
    """
    advantage = np.where(feasible, pair_values.astype(np.float64) - wait_value, 0.0)
    advantage[advantage <= min_advantage] = 0.0
    rows, columns = np.flatnonzero(advantage.any(axis=1)), np.flatnonzero(advantage.any(axis=0))
    if not len(rows):
        return 0
    small = advantage[np.ix_(rows, columns)]
    chosen_rows, chosen_columns = linear_sum_assignment(small, maximize=True)
    best = int(small[chosen_rows, chosen_columns].argmax())
    return 1 + int(rows[chosen_rows[best]]) * advantage.shape[1] + int(columns[chosen_columns[best]])
