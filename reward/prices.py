"""
Prices: what an assignment takes away from later bookings, as a few numbers found by tuning.

A pair's score is what it would pay at once, corrected by prices; a threshold says from which score on assigning beats
waiting. Rules choose by scores (``baselines.rules``); an agent may be shown them in the place of the immediate reward,
and then starts as the rule and learns only what the prices get wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.world.compiled import jit
from envs.world.records import NO_BOOKING, World

PRICES = np.dtype(
    [
        ("priority", np.float64),  # reward per step of priority
        ("occupied_min", np.float64),  # reward per minute of driver time, at opening
        ("occupied_end_min", np.float64),  # the same at closing; linear in between
        ("occupied_load_min", np.float64),  # added to both per half hour that the drivers are booked out on average
        ("remote_km", np.float64),  # reward per km from the drop-off to the centre of the area
        ("detour_min", np.float64),  # reward per minute that the best driver would be there earlier
        ("opportunity", np.float64),  # share of what the open booking that needs this driver most would lose
        ("delay_min", np.float64),  # reward per minute from now to the pickup
        ("slack_min", np.float64),  # reward per minute that the booking could still wait, up to 30
        ("last_chance", np.float64),  # reward per step of priority of a booking that is lost at the next tick
        ("free_horizon_min", np.float64),  # only drivers whose trip could begin within this time
        ("horizon_min", np.float64),  # only bookings whose earliest pickup is within this time
        ("threshold", np.float64),  # at opening: waits unless a score is above
        ("threshold_end", np.float64),  # the same at closing; linear in between
        ("order_slack_min", np.float64),  # matching: which matched pair comes first, per minute it could still wait
    ],
    align=True,
)
MAX_SLACK_MIN = 30.0
_LOAD_MIN = 30.0
_MAX_BOOKED_OUT_MIN = 60.0
NO_LIMIT_MIN = 1e9  # [min] a horizon that lets every booking and every driver through
SCORE_BOUND = 300.0  # [reward] what shown scores are divided by; thresholds are searched between -300 and 200


@jit
def _available_min(world: World, b, n):  # type: ignore[no-untyped-def]
    """When driver ``n`` has done everything in its plan."""
    driver = world.drivers[b, n]
    if driver.plan_len > 0:
        return world.bookings[b, world.plans[b, n, driver.plan_len - 1]].dropoff_min
    return max(driver.free_min, world.clocks[b].now_min, driver.shift_start_min)


@jit
def load_half_hours(world: World, b):  # type: ignore[no-untyped-def]
    """Mean time until the drivers are free, in half hours; a driver counts with an hour at most."""
    clock = world.clocks[b]
    total = 0.0
    for n in range(clock.num_drivers):
        total += min(_MAX_BOOKED_OUT_MIN, max(0.0, _available_min(world, b, n) - clock.now_min))
    return total / (_LOAD_MIN * max(1, clock.num_drivers))


@jit
def slack_left_min(world: World, b, k):  # type: ignore[no-untyped-def]
    """Minutes that booking ``k`` could still wait for its assignment, at most 30."""
    left_min = world.bookings[b, k].latest_pickup_min + world.rules[0].expiry_tolerance_min - world.clocks[b].now_min
    return min(MAX_SLACK_MIN, max(0.0, left_min))


@jit
def price_pairs(world: World, pair_value, prices, scores):  # type: ignore[no-untyped-def]
    """
    Fill ``scores`` (B, N, M): what a pair pays, less what it takes away from other bookings; -inf where not allowed.

    ``pair_value`` (B, N, M) is what the reward would pay now. ``prices`` is one record of PRICES.
    """
    num_drivers, num_slots = scores.shape[1], scores.shape[2]
    loss = np.empty((num_drivers, num_slots))
    for b in range(scores.shape[0]):
        clock = world.clocks[b]
        scores[b] = -np.inf
        if clock.is_done or clock.num_feasible == 0:
            continue
        day_left = min(1.0, max(0.0, (clock.close_min - clock.now_min) / (clock.close_min - clock.open_min)))
        occupied_price = prices.occupied_end_min + (prices.occupied_min - prices.occupied_end_min) * day_left
        if prices.occupied_load_min != 0.0:
            occupied_price += prices.occupied_load_min * load_half_hours(world, b)
        for m in range(num_slots):
            k = world.slots[b, m]
            if k == NO_BOOKING:
                continue
            booking = world.bookings[b, k]
            if booking.earliest_pickup_min - clock.now_min > prices.horizon_min:
                continue
            soonest_min = np.inf
            for n in range(clock.num_drivers):
                pair = world.pairs[b, n, m]
                if pair.is_feasible and pair.pickup_min < soonest_min:
                    soonest_min = pair.pickup_min
            if soonest_min == np.inf:
                continue
            slack_min = slack_left_min(world, b, k)
            of_booking = prices.priority * booking.priority - prices.slack_min * slack_min
            if slack_min < world.rules[0].tick_min:
                of_booking += prices.last_chance * booking.priority
            east, north = booking.dropoff_east_km, booking.dropoff_north_km
            of_booking -= prices.remote_km * np.sqrt(east * east + north * north)
            for n in range(clock.num_drivers):
                pair = world.pairs[b, n, m]
                if pair.is_feasible and _available_min(world, b, n) - clock.now_min <= prices.free_horizon_min:
                    scores[b, n, m] = (
                        pair_value[b, n, m]
                        + of_booking
                        - occupied_price * pair.occupied_min
                        - prices.detour_min * (pair.pickup_min - soonest_min)
                        - prices.delay_min * (pair.pickup_min - clock.now_min)
                    )
        if prices.opportunity != 0.0:
            _charge_opportunity(scores[b], loss, prices.opportunity)


@jit
def _charge_opportunity(scores, loss, share):  # type: ignore[no-untyped-def]
    """
    Take from each pair the ``share`` of the largest loss that its driver's absence means to another booking.

    A booking loses what lies between its best driver and its second best (or nothing at all, score 0).
    """
    num_drivers, num_slots = scores.shape
    loss[:] = 0.0
    for m in range(num_slots):
        best, second, best_n = 0.0, 0.0, -1
        for n in range(num_drivers):
            if scores[n, m] > best:
                second = best
                best = scores[n, m]
                best_n = n
            elif scores[n, m] > second:
                second = scores[n, m]
        if best_n >= 0:
            loss[best_n, m] = best - second
    for n in range(num_drivers):
        largest, next_largest, largest_m = 0.0, 0.0, -1
        for m in range(num_slots):
            if loss[n, m] > largest:
                next_largest = largest
                largest = loss[n, m]
                largest_m = m
            elif loss[n, m] > next_largest:
                next_largest = loss[n, m]
        for m in range(num_slots):
            scores[n, m] -= share * (next_largest if m == largest_m else largest)


@jit
def thresholds(world: World, prices, out):  # type: ignore[no-untyped-def]
    """Score below which each day waits: ``threshold`` at opening, ``threshold_end`` at closing, linear in between."""
    for b in range(len(out)):
        clock = world.clocks[b]
        day_left = min(1.0, max(0.0, (clock.close_min - clock.now_min) / (clock.close_min - clock.open_min)))
        out[b] = prices.threshold_end + (prices.threshold - prices.threshold_end) * day_left


class PairPrices:
    """
    Scores the pairs of a batch of days.

    Parameters
    ----------
    settings
        Numbers of PRICES by name; money and time prices may carry the ``price_`` of the rules' settings. What isn't
        named is 0, or no limit where it is a horizon.

    Raises
    ------
    ValueError
        For an unknown name, or for anything but numbers by name.
    """

    def __init__(self, settings: Mapping[str, float]) -> None:
        if not isinstance(settings, Mapping):
            raise ValueError(
                f"prices: expected numbers by name, got {settings!r:.60}. Only train.py turns the name of a tuned rule "
                "into its numbers."
            )
        fields = PRICES.names or ()
        values = {name.removeprefix("price_"): float(value) for name, value in settings.items()}
        for name in values:
            if name not in fields:
                raise ValueError(f"prices: unknown name '{name}'. Known: {', '.join(fields)}.")
        self.settings = dict(settings)
        defaults = {"free_horizon_min": NO_LIMIT_MIN, "horizon_min": NO_LIMIT_MIN}
        self.record = np.array([tuple(values.get(name, defaults.get(name, 0.0)) for name in fields)], PRICES)[0]
        self._scores = np.empty((0, 0, 0))
        self._thresholds = np.empty(0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PairPrices) and bool(self.record == other.record)

    __hash__ = None  # type: ignore[assignment]

    def score(self, world: World, pair_value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Scores, float64 (B, N, M), -inf where not allowed, and the scores from which on assigning beats waiting, (B,).

        Both are overwritten by the next call. ``pair_value`` (B, N, M) is what the pairs would pay at once.
        """
        if self._scores.shape != pair_value.shape:
            self._scores, self._thresholds = np.empty(pair_value.shape), np.empty(len(pair_value))
        price_pairs(world, pair_value, self.record, self._scores)
        thresholds(world, self.record, self._thresholds)
        return self._scores, self._thresholds

    def show(self, world: World, pair_value: np.ndarray, pair_reward: np.ndarray, wait_reward: np.ndarray) -> None:
        """
        Fill ``pair_reward`` (B, N * M) and ``wait_reward`` (B, 1): scores and thresholds / SCORE_BOUND in [-1, 1].

        A feasible pair that isn't allowed is shown as -1, an infeasible one as 0.
        """
        scores, wait_scores = self.score(world, pair_value)
        show_scores(world, scores, wait_scores, pair_reward, wait_reward)


@jit
def show_scores(world: World, scores, wait_scores, pair_reward, wait_reward):  # type: ignore[no-untyped-def]
    """See ``PairPrices.show``."""
    num_slots = scores.shape[2]
    for b in range(len(wait_scores)):
        pair_reward[b, :] = 0.0
        wait_reward[b, 0] = max(-1.0, min(1.0, wait_scores[b] / SCORE_BOUND))
        if world.clocks[b].is_done:
            continue
        for n in range(world.clocks[b].num_drivers):
            for m in range(num_slots):
                if world.slots[b, m] != NO_BOOKING and world.pairs[b, n, m].is_feasible:
                    pair_reward[b, n * num_slots + m] = max(-1.0, min(1.0, scores[b, n, m] / SCORE_BOUND))
