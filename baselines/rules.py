"""The rules that companies use, from waiting for ever to priced matching; ``RULES`` lists them from weak to strong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from baselines import kernels
from baselines.policy import IntArray, Policy, TunableRule
from reward.prices import NO_LIMIT_MIN, PairPrices

WHOLE_DAY_MIN = 780.0  # [min] 06:00-19:00: the largest horizon that is searched


def _chosen(kernel: Callable[..., None], batch: Any, *settings: Any) -> IntArray:
    """What a kernel of ``baselines.kernels`` chooses for every day."""
    actions = np.zeros(batch.batch_size, np.int64)
    kernel(batch.world, *settings, actions)
    return actions


class WaitForEver(Policy):
    """The floor: what a day is worth without any dispatcher."""

    name = "wait_for_ever"
    description = (
        "Never assigns anything. Where promises are given at the call that is the planner alone: the desk answers, and "
        "gives places."
    )

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        return np.zeros(batch.batch_size, np.int64)


class _RandomPolicy(Policy):
    """Its draws are functions of (day, decision number, seed), so the same day always gets the same choices."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed


class RandomAction(_RandomPolicy):
    name = "random_action"
    description = "Uniform over all N x M + 1 actions, the infeasible ones included; an infeasible action waits."

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        return _chosen(kernels.random_actions, batch, self.seed)


class RandomValid(_RandomPolicy):
    name = "random_valid"
    description = "Uniform over waiting and the feasible pairs."

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        return _chosen(kernels.random_pairs, batch, self.seed, True)


class RandomFeasiblePair(_RandomPolicy):
    name = "random_feasible_pair"
    description = "Uniform over the feasible pairs; waits only without one."

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        return _chosen(kernels.random_pairs, batch, self.seed, False)


class _InOrder(Policy):
    """Bookings in an order, each to the first driver in another order."""

    booking_order: ClassVar[int]
    driver_order: ClassVar[int]
    horizon_min: float = NO_LIMIT_MIN

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        return _chosen(kernels.bookings_in_order, batch, self.booking_order, self.driver_order, self.horizon_min)


class FirstComeFirstServed(_InOrder):
    name = "first_come_first_served"
    description = (
        "Of the bookings in the slots that some driver can take, the one released first; the driver who is at its "
        "pickup first. Ties: lower booking id, lower driver row. Waits only without a feasible pair."
    )
    booking_order = kernels.BY_RELEASE
    driver_order = kernels.BY_PICKUP_TIME


class NearestDriver(_InOrder):
    name = "nearest_driver"
    description = (
        "Of all feasible pairs, the one with the shortest approach in km. Ties: lower booking id, lower driver row. "
        "Waits only without a feasible pair."
    )
    booking_order = kernels.BY_DRIVER_ALONE
    driver_order = kernels.BY_APPROACH_KM


class MostUrgentBooking(_InOrder):
    name = "most_urgent_booking"
    description = (
        "Of the bookings in the slots that some driver can take, the one whose window ends first; the driver who is at "
        "its pickup first. Ties: lower booking id, lower driver row. Waits only without a feasible pair."
    )
    booking_order = kernels.BY_LATEST_PICKUP
    driver_order = kernels.BY_PICKUP_TIME


class CheapestInsertionAtRelease(_InOrder):
    name = "cheapest_insertion_at_release"
    description = (
        "Places each booking as soon as it is known, in the order of release, with the driver whose plan it lengthens "
        "least (added driving minutes + weight x added lateness). Ties: lower booking id, lower driver row. Waits only "
        "without a feasible pair."
    )
    booking_order = kernels.BY_RELEASE
    driver_order = kernels.BY_COST


class InsertionJustInTime(TunableRule):
    name = "insertion_just_in_time"
    description = (
        "Places a booking only when its earliest pickup is at most horizon_min away; of these the one whose window "
        "ends first, with the driver whose plan it lengthens least. Ties: lower booking id, lower driver row. Waits "
        "while no such booking can be taken."
    )
    space: ClassVar[dict[str, tuple[float, float, float]]] = {"horizon_min": (0.0, 480.0, 60.0)}
    starts: ClassVar[tuple[dict[str, float], ...]] = (
        *({"horizon_min": horizon_min} for horizon_min in (15.0, 30.0, 45.0, 90.0, 180.0)),
        {"horizon_min": 480.0},  # all that is known is placed
    )
    booking_order = kernels.BY_LATEST_PICKUP

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        horizon_min = self._settings["horizon_min"]
        return _chosen(kernels.bookings_in_order, batch, self.booking_order, kernels.BY_COST, horizon_min)


class RegretInsertionJustInTime(InsertionJustInTime):
    name = "regret_insertion_just_in_time"
    description = (
        "As insertion_just_in_time, but of the bookings within horizon_min it first places the one that would lose "
        "most with its second-best driver."
    )
    booking_order = kernels.BY_REGRET


class BestImmediateReward(Policy):
    name = "best_immediate_reward"
    description = (
        "The pair that pays most at once, among all feasible ones in the slots; waits when waiting pays as much. Ties: "
        "lower driver row, lower slot."
    )
    needs_reward = True

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        return _chosen(kernels.best_pairs, batch, payer.pair_value, payer.wait_value)


_FREE = {  # no prices, and no waiting for more
    "price_occupied_min": 0.0,
    "price_occupied_end_min": 0.0,
    "price_detour_min": 0.0,
    "threshold": -100.0,
    "threshold_end": -300.0,
}


class _PricedRule(TunableRule):
    """What a pair pays at once, corrected by prices for what it takes away from later bookings."""

    needs_reward = True
    space: ClassVar[dict[str, tuple[float, float, float]]] = {
        "price_priority": (-10.0, 30.0, 0.0),
        "price_occupied_min": (0.0, 4.0, 1.0),
        "price_occupied_end_min": (-1.0, 4.0, 1.0),
        "price_occupied_load_min": (-1.0, 3.0, 0.0),
        "price_remote_km": (-2.0, 6.0, 0.0),
        "price_detour_min": (-2.0, 4.0, 0.5),
        "price_opportunity": (-1.0, 2.0, 0.0),
        "price_delay_min": (-2.0, 6.0, 0.0),
        "price_slack_min": (-4.0, 4.0, 0.0),
        "price_last_chance": (0.0, 40.0, 0.0),
        "free_horizon_min": (0.0, WHOLE_DAY_MIN, WHOLE_DAY_MIN),
        "horizon_min": (0.0, WHOLE_DAY_MIN, WHOLE_DAY_MIN),
        "threshold": (-100.0, 200.0, 0.0),
        "threshold_end": (-300.0, 150.0, 0.0),
    }
    starts: ClassVar[tuple[dict[str, float], ...]] = (
        {**_FREE},  # close to best_immediate_reward
        {**_FREE, "horizon_min": 60.0},  # the same just in time
        {**_FREE, "horizon_min": 30.0},
        {**_FREE, "horizon_min": 60.0, "price_occupied_min": 1.0, "price_occupied_end_min": 1.0},
        {**_FREE, "horizon_min": 30.0, "price_occupied_min": 0.5, "price_occupied_end_min": 0.5},
    )

    def __init__(self, **settings: float) -> None:
        super().__init__(**settings)
        self._prices = PairPrices(self._settings)


class BestRewardWithPrices(_PricedRule):
    name = "best_reward_with_prices"
    description = (
        "The pair with the highest score = what it pays at once + price_priority x priority - prices for: each minute "
        "of driver time (more the more the drivers are booked out), each km between drop-off and centre, each minute "
        "that the best driver would be there earlier, the largest loss of another open booking whose best driver it "
        "takes (opportunity), each minute until the pickup, each minute the booking could still wait; a booking about "
        "to be lost gains last_chance. Looks at bookings due within horizon_min and drivers free within "
        "free_horizon_min; waits unless a score is above the threshold. Ties: lower driver row, lower slot."
    )

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        scores, thresholds = self._prices.score(batch.world, payer.pair_value)
        return _chosen(kernels.best_pairs, batch, scores, thresholds)


class MatchingWithPrices(_PricedRule):
    name = "matching_with_prices"
    description = (
        "Scores pairs as best_reward_with_prices, matches drivers and bookings one to one for the highest total of "
        "scores above the threshold (Hungarian method), and takes one matched pair: highest score less order_slack_min "
        "per minute that its booking could still wait. Matches anew at each decision; waits when nothing is matched."
    )
    space: ClassVar[dict[str, tuple[float, float, float]]] = {
        **_PricedRule.space,
        "order_slack_min": (0.0, 10.0, 0.0),
    }

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        scores, thresholds = self._prices.score(batch.world, payer.pair_value)
        return _chosen(kernels.matched_pairs, batch, scores, thresholds, self._settings["order_slack_min"])


RULES: tuple[type[Policy], ...] = (
    WaitForEver,
    RandomAction,
    RandomValid,
    RandomFeasiblePair,
    FirstComeFirstServed,
    NearestDriver,
    MostUrgentBooking,
    CheapestInsertionAtRelease,
    InsertionJustInTime,
    RegretInsertionJustInTime,
    BestImmediateReward,
    MatchingWithPrices,
    BestRewardWithPrices,
)
