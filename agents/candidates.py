"""
Which pairs of a large fleet are worth scoring: the few best drivers of each booking.

A decision takes one pair. Where tens of thousands are feasible, nearly all of them are a worse driver for the same
booking, and scoring them costs more than everything else together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.masking import MASK_KEY, as_booleans
from envs.observation import PAIR_FEATURES
from envs.world.compiled import jit

DRIVING = PAIR_FEATURES.index("added_driving_min")


@dataclass(frozen=True)
class Candidates:
    """
    Scores fewer pairs where more than ``above`` are feasible; up to there every pair is scored and nothing changes.

    Kept are the ``per_booking`` drivers of each booking with the largest immediate reward (ties by added driving), and
    as many with the least added driving. What the network reads of the whole (the number of feasible pairs, the rivals
    of a pair) stays that of all pairs, so the scores of candidates are those they have among all. Candidates are
    feasible. That the best pair is one of them is likely, not certain.

    Attributes
    ----------
    above
        Feasible pairs of one observation. The default is beyond 20 drivers x 60 bookings, which have 1200 at the most.
    per_booking
        Drivers kept by each of the two measures.
    """

    above: int = 4_096
    per_booking: int = 4

    def __post_init__(self) -> None:
        if self.per_booking < 1:
            raise ValueError(f"candidates: expected at least one driver per booking, got {self.per_booking}.")

    def places(self, obs: Mapping[str, np.ndarray]) -> np.ndarray:
        """
        Where the candidates of one observation (arrays without a batch axis) are.

        Returns
        -------
        int64, ascending: rows of ``pairs``.
        """
        num_features = obs["pairs"].shape[1]
        if num_features != len(PAIR_FEATURES):
            raise ValueError(
                f"candidates: expected pairs with the {len(PAIR_FEATURES)} features of envs.observation, got "
                f"{num_features}. Set candidates to None to score every pair."
            )
        reward = obs.get("pair_reward", np.zeros(0, np.float32))
        return candidate_pairs(
            as_booleans(obs[MASK_KEY])[1:], obs["pairs"], reward, len(obs["bookings"]), self.per_booking
        )


@jit
def candidate_pairs(feasible, pairs, reward, num_slots, per_booking):  # type: ignore[no-untyped-def]
    """Rows of ``pairs`` that `Candidates` keeps; ``reward`` is empty where the observation has none."""
    by_reward = np.full((num_slots, per_booking), -1, np.int64)
    by_driving = np.full((num_slots, per_booking), -1, np.int64)
    for row in range(len(feasible)):
        if feasible[row]:
            slot = row % num_slots
            _keep(by_driving[slot], row, reward[:0], pairs)
            if len(reward) > 0:
                _keep(by_reward[slot], row, reward, pairs)
    is_kept = np.zeros(len(feasible), np.bool_)
    for slot in range(num_slots):
        for rank in range(per_booking):
            if by_driving[slot, rank] >= 0:
                is_kept[by_driving[slot, rank]] = True
            if by_reward[slot, rank] >= 0:
                is_kept[by_reward[slot, rank]] = True
    return np.flatnonzero(is_kept)


@jit
def _keep(best, row, reward, pairs):  # type: ignore[no-untyped-def]
    """Put ``row`` in its place among the best rows of a booking (best first, -1 where there are fewer)."""
    rank = len(best)
    while rank > 0 and (best[rank - 1] < 0 or _is_better(row, best[rank - 1], reward, pairs)):
        rank -= 1
        if rank + 1 < len(best):
            best[rank + 1] = best[rank]
    if rank < len(best):
        best[rank] = row


@jit
def _is_better(row, other, reward, pairs):  # type: ignore[no-untyped-def]
    if len(reward) > 0 and reward[row] != reward[other]:
        return reward[row] > reward[other]
    return pairs[row, DRIVING] < pairs[other, DRIVING]
