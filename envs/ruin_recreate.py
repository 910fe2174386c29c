"""
Compiled ruin and recreate over the plans of a day (Schrimpf et al. 2000), cooled as simulated annealing.

A round takes out trips that are near each other in time and place and inserts them anew, in an order drawn at random,
which holds or-opt, exchanges of several trips between drivers and chains of ejections. Plans cost driving minutes +
insertion_lateness_weight x lateness, and ``lost_min`` for each trip left out, where that is allowed. The fuller the
next two hours, the more it also costs to end trips late, so that room is kept for bookings to come. The draws are a
function of the day and the time, so a budget of rounds gives the same plans anywhere.
"""

from __future__ import annotations

import numpy as np

from envs.compiled import jit
from envs.draws import mix, uniform
from envs.plans import (
    EPSILON_MIN,
    cheapest_driver,
    insert_trip,
    note_plans,
    position_in_plan,
    remove_trip,
    restore_plans,
    total_cost,
)
from envs.records import NO_DRIVER, World
from envs.travel_kernel import approach

# The next five were found on selection days of the real bookings.
MAX_REMOVED = 10  # trips that one round takes out at most
FIRST_TEMPERATURE_MIN, LAST_TEMPERATURE_MIN = 15.0, 0.5
FULL_WEIGHT = 1.0  # of a minute from the earliest pickup to the end of a trip, when every driver is busy throughout
FULL_FROM, FULL_HORIZON_MIN = 0.6, 120.0  # share of the drivers' time so far ahead that is taken: no weight up to there
MIN_PER_KM = 2.0  # [min/km] at 30 km/h; only says which trips are near each other
_KIND_IMPROVEMENT = 300  # kind of draw: apart from those of generators, disturbances and rules


@jit
def share_taken(world: World, b):
    """Share of the drivers' time within FULL_HORIZON_MIN, shifts respected, that trips take; 0 without any time."""
    clock = world.clocks[b]
    taken, present = 0.0, 0.0
    for n in range(clock.num_drivers):
        driver = world.drivers[b, n]
        start = max(clock.now_min, driver.shift_start_min)
        end = min(clock.now_min + FULL_HORIZON_MIN, driver.shift_end_min)
        if driver.is_out or end <= start:
            continue
        present += end - start
        taken += max(0.0, min(end, driver.free_min) - start)
        for position in range(driver.plan_len):
            booking = world.bookings[b, world.plans[b, n, position]]
            taken += max(0.0, min(end, booking.dropoff_min) - max(start, booking.depart_min))
    return taken / present if present > 0.0 else 0.0


@jit
def early_weight(world: World, b):
    """What a minute until the end of a trip counts now: the fuller the next two hours, the more."""
    return FULL_WEIGHT * max(0.0, share_taken(world, b) - FULL_FROM) / (1.0 - FULL_FROM)


@jit
def weighted_cost(world: World, b, weight):
    """Cost of all plans, where with ``weight`` it is also worth something to be done with a trip early."""
    cost = total_cost(world, b)
    if weight > 0.0:
        for n in range(world.clocks[b].num_drivers):
            for position in range(world.drivers[b, n].plan_len):
                booking = world.bookings[b, world.plans[b, n, position]]
                cost += weight * (booking.dropoff_min - booking.earliest_pickup_min)
    return cost


@jit
def _draw_removed(world: World, b, trips, key, move, removed):
    """Write trips near one drawn at random into ``removed``, in a random order; returns their number."""
    num_trips = len(trips)
    centre = trips[int(uniform(key, _KIND_IMPROVEMENT, move, 0) * num_trips)]
    size = min(num_trips, 2 + int(uniform(key, _KIND_IMPROVEMENT, move, 1) * (MAX_REMOVED - 1)))
    distance = np.empty(num_trips)
    for t in range(num_trips):
        km, _ = approach(world, b, 0, centre, trips[t])
        gap = abs(world.bookings[b, trips[t]].earliest_pickup_min - world.bookings[b, centre].earliest_pickup_min)
        distance[t] = (MIN_PER_KM * km + gap) * (0.5 + uniform(key, _KIND_IMPROVEMENT, move, 3 + t))
    nearest = np.argsort(distance)
    for i in range(size):
        removed[i] = trips[nearest[i]]
    for i in range(size):
        j = i + int(uniform(key, _KIND_IMPROVEMENT, move, 3 + num_trips + i) * (size - i))
        removed[i], removed[j] = removed[j], removed[i]
    return size


@jit
def ruin_and_recreate(world: World, b, trips, num_rounds, lost_min):
    """
    Leave the best plans found in ``num_rounds``; ``trips`` are booking rows, some of which may stand in no plan.

    Best by ``weighted_cost`` with the ``early_weight`` of the plans as they came: driving alone may rise.

    With ``lost_min`` 0 nobody may be left out; else anybody whose place costs the plans more than that. Only plans and
    the predictions of their trips are kept right: a booking that ends without a place has ``driver`` NO_DRIVER, its
    state is the caller's to set.
    """
    clock = world.clocks[b]
    num_trips = len(trips)
    if num_trips < 2 or num_rounds == 0:
        return
    key = mix(np.uint64(world.bookings[b, trips[0]].key) ^ np.uint64(np.int64(clock.now_min * 60.0)))
    plans, best_plans = np.empty_like(world.plans[b]), np.empty_like(world.plans[b])
    lens, best_lens = np.empty(clock.num_drivers, np.int32), np.empty(clock.num_drivers, np.int32)
    note_plans(world, b, plans, lens)
    note_plans(world, b, best_plans, best_lens)
    removed = np.empty(MAX_REMOVED, np.int32)
    num_out = 0
    for k in trips:
        num_out += world.bookings[b, k].driver == NO_DRIVER
    weight = early_weight(world, b)
    cost = weighted_cost(world, b, weight) + lost_min * num_out
    best_cost = cost
    temperature = FIRST_TEMPERATURE_MIN
    cooling = (LAST_TEMPERATURE_MIN / FIRST_TEMPERATURE_MIN) ** (1.0 / num_rounds)
    for move in range(num_rounds):
        size = _draw_removed(world, b, trips, key, move, removed)
        new_out = num_out
        for i in range(size):
            n = world.bookings[b, removed[i]].driver
            if n == NO_DRIVER:
                new_out -= 1
            else:
                remove_trip(world, b, n, position_in_plan(world, b, n, removed[i]))
        for i in range(size):
            _, driver, place = cheapest_driver(world, b, removed[i])
            if driver >= 0:
                insert_trip(world, b, driver, removed[i], place)
            else:
                new_out += 1
                if lost_min == 0.0:
                    break
        new_cost = weighted_cost(world, b, weight) + lost_min * new_out
        rise = -temperature * np.log(max(1e-12, uniform(key, _KIND_IMPROVEMENT, move, 2)))
        if (lost_min > 0.0 or new_out == 0) and new_cost < cost + rise:
            cost, num_out = new_cost, new_out
            note_plans(world, b, plans, lens)
            if cost < best_cost - EPSILON_MIN:
                best_cost = cost
                note_plans(world, b, best_plans, best_lens)
        else:
            for i in range(size):
                world.bookings[b, removed[i]].driver = NO_DRIVER
            restore_plans(world, b, plans, lens)
        temperature *= cooling
    for k in trips:
        world.bookings[b, k].driver = NO_DRIVER
    restore_plans(world, b, best_plans, best_lens)
