"""
Compiled choices: each kernel looks at all days side by side and writes one action per day.

An action is 0 (wait) or 1 + driver x M + slot. Only feasible pairs are looked at; without one every rule waits.
"""

from __future__ import annotations

import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.draws import mix, uniform
from envs.world.records import NO_BOOKING, World
from reward.prices import slack_left_min

# Which booking comes first, and which driver gets it.
BY_RELEASE, BY_LATEST_PICKUP, BY_REGRET, BY_DRIVER_ALONE = 0, 1, 2, 3
BY_PICKUP_TIME, BY_APPROACH_KM, BY_COST = 0, 1, 2

_KIND_POLICY = 200  # kind of draw: apart from those of the generators and of the disturbances
_MAX_REGRET = 1e6  # [min] a booking with one feasible driver comes before all others


@jit
def _day_key(world: World, b):  # type: ignore[no-untyped-def]
    """Names the day in row ``b``: its number, or for days from files what its first booking looks like."""
    clock = world.clocks[b]
    key = np.uint64(clock.day_number)
    if clock.day_number < 0 and clock.num_bookings > 0:
        first = world.bookings[b, 0]
        place = np.uint64(np.int64(first.pickup_lat * 1e6) * 1_000_003 + np.int64(first.pickup_lon * 1e6))
        key = mix(mix(key ^ first.key) ^ place)
    return key


@jit
def random_actions(world: World, seed, actions):  # type: ignore[no-untyped-def]
    """Uniform over all N x M + 1 actions, feasible or not."""
    num_actions = world.pairs.shape[1] * world.slots.shape[1] + 1
    for b in range(len(actions)):
        draw = uniform(_day_key(world, b), _KIND_POLICY, world.clocks[b].num_decisions, seed)
        actions[b] = int(draw * num_actions)


@jit
def random_pairs(world: World, seed, may_wait, actions):  # type: ignore[no-untyped-def]
    """Uniform over the feasible pairs, and over waiting too when it may wait."""
    world = borrow(world)
    num_slots = world.slots.shape[1]
    for b in range(len(actions)):
        actions[b] = 0
        clock = world.clocks[b]
        count = clock.num_feasible + (1 if may_wait else 0)
        left = int(uniform(_day_key(world, b), _KIND_POLICY, clock.num_decisions, seed) * count)
        if may_wait:
            left -= 1
        if count == 0 or left < 0:
            continue
        for n in range(clock.num_drivers):
            num_feasible = world.drivers[b, n].num_feasible
            if left >= num_feasible:
                left -= num_feasible
                continue
            for m in range(clock.num_shown):
                if world.pairs[b, n, m].is_feasible:
                    if left == 0:
                        actions[b] = 1 + n * num_slots + m
                    left -= 1
            break


@jit
def bookings_in_order(world: World, booking_order, driver_order, horizon_min, actions):  # type: ignore[no-untyped-def]
    """
    The first booking in ``booking_order`` that a driver can take goes to the first driver in ``driver_order``.

    Only bookings whose earliest pickup is at most ``horizon_min`` away. Ties go to the lower booking row, then to the
    lower driver row. With BY_DRIVER_ALONE the bookings have no order: the best pair of all is taken.
    """
    num_slots = world.slots.shape[1]
    for b in range(len(actions)):
        clock = world.clocks[b]
        actions[b] = 0
        best_booking = np.inf
        best_row = -1
        for m in range(num_slots):
            k = world.slots[b, m]
            if k == NO_BOOKING:
                continue
            booking = world.bookings[b, k]
            if booking.earliest_pickup_min - clock.now_min > horizon_min:
                continue
            first_driver = np.inf
            first_n = -1
            regret = 0.0
            for n in range(clock.num_drivers):
                pair = world.pairs[b, n, m]
                if not pair.is_feasible:
                    continue
                if driver_order == BY_PICKUP_TIME:
                    value = pair.pickup_min
                elif driver_order == BY_APPROACH_KM:
                    value = pair.approach_km
                else:
                    value = pair.cost
                if value < first_driver:
                    first_driver = value
                    first_n = n
                    regret = min(pair.regret, _MAX_REGRET)
            if first_n < 0:
                continue
            if booking_order == BY_RELEASE:
                order = booking.release_min
            elif booking_order == BY_LATEST_PICKUP:
                order = booking.latest_pickup_min
            elif booking_order == BY_REGRET:
                order = -regret
            else:
                order = first_driver
            if order < best_booking or (order == best_booking and k < best_row):
                best_booking = order
                best_row = k
                actions[b] = 1 + first_n * num_slots + m


@jit
def best_pairs(world: World, scores, wait_scores, actions):  # type: ignore[no-untyped-def]
    """The feasible pair of the highest score if that is above ``wait_scores``, else wait; ties to the lower action."""
    num_slots = world.slots.shape[1]
    for b in range(len(actions)):
        actions[b] = 0
        best = wait_scores[b]
        for n in range(world.clocks[b].num_drivers):
            for m in range(num_slots):
                if world.slots[b, m] != NO_BOOKING and world.pairs[b, n, m].is_feasible and scores[b, n, m] > best:
                    best = scores[b, n, m]
                    actions[b] = 1 + n * num_slots + m


@jit
def match(gains, num_drivers, num_slots, slot_of):  # type: ignore[no-untyped-def]
    """
    Match drivers and slots one to one for the largest total gain; gains are at least 0, and 0 is as good as unmatched.

    The Hungarian method with potentials, a driver at a time along shortest augmenting paths (Kuhn 1955; Jonker and
    Volgenant 1987). ``slot_of[n]`` becomes the slot of driver ``n`` or -1.
    """
    num_columns = max(num_drivers, num_slots)  # columns beyond the slots are worth nothing
    driver_price = np.zeros(num_drivers + 1)
    column_price = np.zeros(num_columns + 1)
    driver_of = np.zeros(num_columns + 1, np.int64)  # 1-based; column 0 holds the driver being matched
    previous = np.zeros(num_columns + 1, np.int64)
    for n in range(1, num_drivers + 1):
        driver_of[0] = n
        column = 0
        shortest = np.full(num_columns + 1, np.inf)
        is_done = np.zeros(num_columns + 1, np.bool_)
        while True:
            is_done[column] = True
            driver = driver_of[column]
            step, next_column = np.inf, 0
            for other in range(1, num_columns + 1):
                if is_done[other]:
                    continue
                gain = gains[driver - 1, other - 1] if other <= num_slots else 0.0
                length = -gain - driver_price[driver] - column_price[other]
                if length < shortest[other]:
                    shortest[other] = length
                    previous[other] = column
                if shortest[other] < step:
                    step, next_column = shortest[other], other
            for other in range(num_columns + 1):
                if is_done[other]:
                    driver_price[driver_of[other]] += step
                    column_price[other] -= step
                else:
                    shortest[other] -= step
            column = next_column
            if driver_of[column] == 0:
                break
        while column != 0:
            driver_of[column] = driver_of[previous[column]]
            column = previous[column]
    slot_of[:] = -1
    for column in range(1, num_slots + 1):
        n = driver_of[column] - 1
        if n >= 0 and gains[n, column - 1] > 0.0:
            slot_of[n] = column - 1


@jit
def matched_pairs(world: World, scores, wait_scores, order_slack_price, actions):  # type: ignore[no-untyped-def]
    """
    Match drivers and slots for the largest total of what scores exceed ``wait_scores`` by, and take one matched pair:
    the one of the largest gain less ``order_slack_price`` per minute that its booking could still wait.
    """
    num_slots = world.slots.shape[1]
    gains = np.empty(scores.shape[1:])
    slot_of = np.empty(scores.shape[1], np.int64)
    for b in range(len(actions)):
        actions[b] = 0
        clock = world.clocks[b]
        if clock.is_done or clock.num_feasible == 0:
            continue
        num_shown = 0
        while num_shown < num_slots and world.slots[b, num_shown] != NO_BOOKING:
            num_shown += 1
        for n in range(clock.num_drivers):
            for m in range(num_shown):
                is_feasible = world.pairs[b, n, m].is_feasible != 0
                gains[n, m] = max(0.0, scores[b, n, m] - wait_scores[b]) if is_feasible else 0.0
        match(gains, clock.num_drivers, num_shown, slot_of)
        best = -np.inf
        for n in range(clock.num_drivers):
            m = slot_of[n]
            if m >= 0:
                order = gains[n, m] - order_slack_price * slack_left_min(world, b, world.slots[b, m])
                if order > best:
                    best = order
                    actions[b] = 1 + n * num_slots + m
