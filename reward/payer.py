"""
The reward function of a version, and the payer that applies it to a batch of days.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from envs.world.records import World
from reward.limits import check_losing_never_pays, pair_bound
from reward.prices import SCORE_BOUND, PairPrices
from reward.terms import TERM_NAMES, TRIP_TERMS, pay_rows, price_rows
from reward.weights import Weights, load_weights


class HoldsWorld(Protocol):
    """What a payer needs of a batch (``envs.batch.DispatchBatch``): its world, read anew at every call."""

    @property
    def world(self) -> World: ...


# Which weights a term is made of: a version pays the terms of which one weight isn't 0.
_WEIGHTS_OF_TERM = {
    "lateness": ("lateness_per_min",),
    "lost": ("lost_outbound", "lost_return"),
    "appointment": ("late_appointment_per_min",),
    "deadhead": ("deadhead_per_km",),
    "fare": ("fare_per_trip", "fare_per_km"),
    "km_cost": ("cost_per_km",),
    "emergency": ("emergency_trip",),
    "imbalance": ("imbalance_per_trip",),
}


class RewardFunction:
    """
    A reward version: its weights, the terms it pays and its scale.

    Attributes
    ----------
    name, weights
        "V2", "V2*" with single weights changed; the checked weights.
    bound
        What a pair's value is divided by in ``pair_reward`` (see ``limits.pair_bound``; with prices ``SCORE_BOUND``).
    prices
        If given, pairs and waiting are *shown* corrected by these prices (``reward.prices``); what is paid stays.
    term_names
        The terms that this version can pay, in the order of ``TERM_NAMES``.
    """

    def __init__(self, weights: Weights, prices: PairPrices | None = None) -> None:
        check_losing_never_pays(weights)
        self.weights, self.prices = weights, prices
        self.name = weights.name
        self.bound = pair_bound(weights) if prices is None else SCORE_BOUND
        self.term_names = tuple(
            term for term in TERM_NAMES if any(weights[weight] != 0.0 for weight in _WEIGHTS_OF_TERM.get(term, (term,)))
        )

    @classmethod
    def load(
        cls,
        version: str | Path,
        weights: str | Path | Mapping[str, Any] | None = None,
        prices: Mapping[str, float] | None = None,
    ) -> RewardFunction:
        """
        Read a version.

        Parameters
        ----------
        version
            "v1", "v2", "v3", or the path of a YAML file.
        weights
            A YAML file to read instead, or single weights to change, ``{"idle_wait": 0.0}``.
        prices
            Settings of `reward.prices.PairPrices`.

        Raises
        ------
        ValueError
            For an unknown version, weight or price.
        """
        shown = None if prices is None else PairPrices(prices)
        if weights is None:
            return cls(load_weights(version), shown)
        if isinstance(weights, (str, Path)):
            return cls(load_weights(weights), shown)
        return cls(load_weights(version).replaced(weights), shown)

    def shows_as(self, other: RewardFunction) -> bool:
        """Whether an agent would see the same ``pair_reward`` from both."""
        return self.weights == other.weights and self.prices == other.prices

    def attach(self, batch: HoldsWorld) -> Payer:
        """A payer for the days of ``batch``."""
        return Payer(self, batch)

    def __repr__(self) -> str:
        return f"RewardFunction({self.name})"


class Payer:
    """
    Pays the steps of a batch of days.

    Each booking's trip terms are a function of its record; a step pays what they changed by since they were last paid.
    The sum over an episode is therefore what the records say at closing, when everything predicted has become fact.

    Attributes
    ----------
    terms
        float64, shape (B, len(TERM_NAMES)): terms of the last step; each row's sum is its reward.
    rewards
        float64, shape (B,): what ``pay`` returned.
    pair_value, wait_value
        float64, shape (B, N, M) and (B,): what a pair or waiting would pay now, in the version's unit; see
        ``price_pairs``.
    pair_reward, wait_reward
        float32, shape (B, N * M) and (B, 1), in [-1, 1]: the same, corrected by ``function.prices`` if there are any,
        divided by ``function.bound`` and clipped.
    """

    all_term_names = TERM_NAMES  # what the columns of ``terms`` are

    def __init__(self, function: RewardFunction, batch: HoldsWorld) -> None:
        self.function = function
        self.batch = batch
        world = batch.world
        size, num_drivers, num_slots = world.pairs.shape
        self.terms = np.zeros((size, len(TERM_NAMES)))
        self.rewards = np.zeros(size)
        self.pair_value = np.zeros((size, num_drivers, num_slots))
        self.wait_value = np.zeros(size)
        self.pair_reward = np.zeros((size, num_drivers * num_slots), np.float32)
        self.wait_reward = np.zeros((size, 1), np.float32)
        self._weights = function.weights.as_record()
        self._paid = np.zeros((size, world.bookings.shape[1], len(TRIP_TERMS)))
        self._is_fresh = np.ones(size, np.bool_)
        self._is_closed = np.zeros(size, np.bool_)
        self._num_read = np.zeros(size, np.int64)

    def reset(self, rows: int | np.ndarray) -> None:
        """These rows have a new day: nothing of it has been paid."""
        self._follow()
        self._paid[rows] = 0.0
        self._is_fresh[rows] = True
        self._is_closed[rows] = False
        self._num_read[rows] = 0
        self.terms[rows] = 0.0
        self.rewards[rows] = 0.0

    def copy_rows(self, source: Payer, rows: np.ndarray, at: np.ndarray) -> None:
        """Rows ``at`` have been paid what ``rows`` of another payer have; for days copied from its batch."""
        self._follow()
        source._follow()
        self._paid[at, : source._paid.shape[1]] = source._paid[rows]
        for mine, theirs in (
            (self._is_fresh, source._is_fresh),
            (self._is_closed, source._is_closed),
            (self._num_read, source._num_read),
        ):
            mine[at] = theirs[rows]

    def close(self, rows: slice | np.ndarray) -> None:
        """Nothing more will be paid in these rows until ``reset`` or ``reopen``."""
        self._is_closed[rows] = True

    def reopen(self, rows: slice | np.ndarray) -> None:
        """Go on paying these rows, which were closed before their day was over and have stood still since."""
        self._is_closed[rows] = False

    def pay(self) -> np.ndarray:
        """
        Pay the step just made; a row whose day is over and paid gets 0.

        Returns
        -------
        np.ndarray
            float64, shape (B,); overwritten by the next call. ``terms`` says what it is made of.
        """
        self._follow()
        pay_rows(
            self.batch.world,
            self._weights,
            self._paid,
            self._is_fresh,
            self._is_closed,
            self._num_read,
            self.terms,
            self.rewards,
        )
        return self.rewards

    def price_pairs(self) -> None:
        """
        Work out what each feasible pair, and waiting, would pay at once, 0 where infeasible.

        A pair: the change of the trip terms, with ``insert`` also those of the trips behind it. Left out is what the
        clock brings should it move on (others expiring, trips taking longer than predicted, plan improvement), and
        the terms of the whole day. Waiting: the idle term if a feasible pair exists, what expires by the next tick not
        included.
        """
        price_rows(
            self.batch.world,
            self._weights,
            self.function.bound,
            self.pair_value,
            self.wait_value,
            self.pair_reward,
            self.wait_reward,
        )
        prices = self.function.prices
        if prices is not None:
            prices.show(self.batch.world, self.pair_value, self.pair_reward, self.wait_reward)

    def terms_of(self, b: int) -> dict[str, float]:
        """Terms of the last step of row ``b``, those that this version can pay."""
        row = dict(zip(TERM_NAMES, self.terms[b].tolist(), strict=True))
        return {term: row[term] for term in self.function.term_names}

    def _follow(self) -> None:
        """A day with more bookings than any before makes the batch enlarge its arrays."""
        num_rows = self.batch.world.bookings.shape[1]
        if num_rows > self._paid.shape[1]:
            paid = np.zeros((self._paid.shape[0], num_rows, len(TRIP_TERMS)))
            paid[:, : self._paid.shape[1]] = self._paid
            self._paid = paid
