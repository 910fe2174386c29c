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
    learned_share
        How much of what was learned counts: 1 all of it; 0 nothing, so that pairs are matched by what the pair network
        started from (the immediate reward, or the prices of a rule).
    look_ahead_min
        Bookings that come this much later than the model's ``horizon_min`` take part in the matching too; a driver
        matched to such a booking is kept for it, and it waits to be assigned until it is near.

    Raises
    ------
    ValueError
        For a ``learned_share`` other than 1 and a network that doesn't start from the immediate reward.
    """

    def __init__(
        self,
        model: MaskableDQN | EnsemblePolicy,
        min_advantage: float = 0.0,
        learned_share: float = 1.0,
        look_ahead_min: float = 0.0,
    ) -> None:
        self.model, self.min_advantage = model, min_advantage
        self.learned_share, self.look_ahead_min = learned_share, look_ahead_min
        self._one = model.models[0] if isinstance(model, EnsemblePolicy) else model
        self._net: Any = self._one.policy.q_net
        if learned_share != 1.0 and not getattr(self._net, "use_pair_reward", False):
            raise ValueError(
                f"MatchingPolicy: learned_share {learned_share:g} needs a pair network with use_pair_reward, which "
                "this model's isn't. Leave it at 1."
            )

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
            asked = {key: value[asks] for key, value in batch.items()}
            near, ahead = (
                self._one.as_seen(asked, minutes)["action_mask"].astype(bool) for minutes in (0.0, self.look_ahead_min)
            )
            num_drivers = batch["drivers"].shape[1]
            actions[asks] = [
                best_of_matching(
                    of_pairs[1:].reshape(num_drivers, -1),
                    feasible[1:].reshape(num_drivers, -1),
                    of_pairs[0],
                    self.min_advantage,
                    may_answer[1:].reshape(num_drivers, -1),
                )
                for of_pairs, feasible, may_answer in zip(self._values(asked), ahead, near, strict=True)
            ]
        return (actions if is_batch else actions[0]), state

    def _values(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """Values of all actions, shape (B, N*M + 1): what the network started from and a share of what it learned."""
        values = self.model.q_values(observation, self.look_ahead_min).astype(np.float64)
        if self.learned_share == 1.0:
            return values
        start = np.concatenate(
            [observation["wait_reward"].reshape(len(values), 1), observation["pair_reward"].reshape(len(values), -1)], 1
        )
        start = self._net.pair_reward_scale * start.astype(np.float64)
        return start + self.learned_share * (values - start)


def best_of_matching(
    pair_values: np.ndarray,
    feasible: np.ndarray,
    wait_value: float,
    min_advantage: float = 0.0,
    may_answer: np.ndarray | None = None,
) -> int:
    """
    Action of the best pair of the matching with the largest total advantage; 0 when no pair beats waiting.

    Parameters
    ----------
    pair_values, feasible
        Shape (N, M).
    may_answer
        Shape (N, M): the pairs of the matching that may be the answer; all of them by default.
    """
    advantage = np.where(feasible, pair_values.astype(np.float64) - wait_value, 0.0)
    advantage[advantage <= min_advantage] = 0.0
    rows, columns = np.flatnonzero(advantage.any(axis=1)), np.flatnonzero(advantage.any(axis=0))
    if not len(rows):
        return 0
    small = advantage[np.ix_(rows, columns)]
    chosen_rows, chosen_columns = linear_sum_assignment(small, maximize=True)
    worth = small[chosen_rows, chosen_columns]
    if may_answer is not None:
        worth = np.where(may_answer[np.ix_(rows, columns)][chosen_rows, chosen_columns], worth, 0.0)
    best = int(worth.argmax())
    if worth[best] <= 0.0:
        return 0
    return 1 + int(rows[chosen_rows[best]]) * advantage.shape[1] + int(columns[chosen_columns[best]])
