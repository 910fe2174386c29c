"""
Compiled search for a plan of more worth: ruin and recreate with slack induction by string removals.

As Christiaens and Vanden Berghe (2020), for plans that may leave bookings out, under simulated annealing with a number
of iterations, never a time, as its budget.
"""

from __future__ import annotations

import numpy as np

from baselines.planning.plan import NUM_TERMS, best_place, project, put_in
from baselines.planning.worth import plan_worth
from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.records import World
from envs.world.travel import approach

SEARCH = np.dtype(
    [
        ("num_iterations", np.int64),
        ("first_temperature", np.float64),  # in the unit of the objective: minutes, points or francs
        ("last_temperature", np.float64),
        ("mean_removed", np.float64),  # trips per ruin
    ],
    align=True,
)
MAX_STRING = 10
BLINK_RATE = 0.01


def make_search(
    num_iterations: int, first_temperature: float = 2.0, last_temperature: float = 0.05, mean_removed: float = 8.0
) -> np.ndarray:
    """SEARCH, shape (1,): the budget of the compiled search and how it cools; found on selection days."""
    return np.array([(num_iterations, first_temperature, last_temperature, mean_removed)], SEARCH)


@jit
def insert_missing(world: World, b, objective, weights, plan, rows):
    """Put each booking of ``rows`` that the plan lacks where it gains most, by latest pickup; return the worth."""
    world = borrow(world)
    plan = borrow(plan)
    o, w = objective[0], weights[0]
    out = np.empty(NUM_TERMS)
    is_in = np.zeros(world.bookings.shape[1], np.bool_)
    for n in range(world.clocks[b].num_drivers):
        for p in range(plan.lens[n]):
            is_in[plan.trips[n, p]] = True
    latest = np.empty(len(rows))
    for i in range(len(rows)):
        latest[i] = world.bookings[b, rows[i]].latest_pickup_min
    for i in np.argsort(latest):
        k = rows[i]
        if not is_in[k]:
            _, n, position = best_place(world, b, o, w, plan, k, 0.0, out)
            if n >= 0:
                put_in(world, b, o, w, plan, n, k, position, out)
    return plan_worth(world, b, o, w, plan, rows)


@jit
def ruin_and_recreate(world: World, b, objective, weights, plan, spare, best, rows, search, seed):
    """
    Search for a plan of more worth that serves bookings among ``rows``; ``plan`` becomes the best one found.

    ``spare`` and ``best`` are plans of the same sizes that are overwritten; ``search`` is one record of SEARCH. Returns
    the worth.
    """
    world = borrow(world)
    plan = borrow(plan)
    spare = borrow(spare)
    best = borrow(best)
    np.random.seed(seed)
    o, w = objective[0], weights[0]
    num_drivers = world.clocks[b].num_drivers
    out = np.empty(NUM_TERMS)
    current = plan_worth(world, b, o, w, plan, rows)
    best_worth = current
    _copy(plan, best, num_drivers)
    size = len(rows)
    if size == 0:
        return current
    near = _neighbours(world, b, rows)
    driver_of = np.full(world.bookings.shape[1], -1, np.int32)
    place_of = np.zeros(world.bookings.shape[1], np.int32)
    is_changed = np.zeros(num_drivers, np.bool_)
    missing = np.empty(size, np.int32)
    key = np.empty(size)
    s = search[0]
    temperature = s.first_temperature
    cooling = (s.last_temperature / s.first_temperature) ** (1.0 / max(1, s.num_iterations))
    _copy(plan, spare, num_drivers)
    for _ in range(s.num_iterations):
        for k in rows:
            driver_of[k] = -1
        _ruin(world, b, o, w, plan, rows, near, s.mean_removed, driver_of, place_of, is_changed, out)
        num_missing = 0
        for k in rows:
            if driver_of[k] < 0:
                missing[num_missing] = k
                num_missing += 1
        order = np.random.randint(4)
        for i in range(num_missing):
            booking = world.bookings[b, missing[i]]
            if order == 0:
                key[i] = np.random.random()
            elif order == 1:
                key[i] = booking.latest_pickup_min
            elif order == 2:
                key[i] = -booking.ride_work
            else:
                key[i] = plan.lost_worth[missing[i]] - 0.1 * np.random.random()
        for i in np.argsort(key[:num_missing]):
            k = missing[i]
            _, n, position = best_place(world, b, o, w, plan, k, BLINK_RATE, out)
            if n >= 0:
                put_in(world, b, o, w, plan, n, k, position, out)
                is_changed[n] = True
        worth = plan_worth(world, b, o, w, plan, rows)
        if worth > current + temperature * np.log(max(1e-12, np.random.random())):
            current = worth
            for n in range(num_drivers):
                if is_changed[n]:
                    _copy_driver(plan, spare, n)
            if worth > best_worth + 1e-6:
                best_worth = worth
                _copy(plan, best, num_drivers)
        else:
            for n in range(num_drivers):
                if is_changed[n]:
                    _copy_driver(spare, plan, n)
        temperature *= cooling
    _copy(best, plan, num_drivers)
    return best_worth


@jit
def _neighbours(world: World, b, rows):
    """For each of ``rows`` (by index) all of them, nearest first: driving between them and the gap between windows."""
    size = len(rows)
    near = np.empty((size, size), np.int32)
    distance = np.empty(size)
    for i in range(size):
        k = rows[i]
        for j in range(size):
            other = rows[j]
            _, there = approach(world, b, 0, k, other)
            _, back = approach(world, b, 0, other, k)
            gap = abs(world.bookings[b, k].earliest_pickup_min - world.bookings[b, other].earliest_pickup_min)
            distance[j] = min(there, back) / world.speeds[b, 12] + 0.3 * gap
        distance[i] = -1.0
        near[i] = np.argsort(distance)
    return near


@jit
def _ruin(world: World, b, o, w, plan, rows, near, mean_removed, driver_of, place_of, is_ruined, out):
    """Remove strings of trips around a booking drawn at random; the number of drivers that were ruined."""
    num_drivers = world.clocks[b].num_drivers
    planned, used = 0, 0
    for n in range(num_drivers):
        is_ruined[n] = False
        planned += plan.lens[n]
        used += plan.lens[n] > 0
        for p in range(plan.lens[n]):
            driver_of[plan.trips[n, p]] = n
            place_of[plan.trips[n, p]] = p
    if planned == 0:
        return
    longest = min(float(MAX_STRING), planned / used)
    most_strings = 4.0 * mean_removed / (1.0 + longest) - 1.0
    num_strings = max(1, int(np.random.random() * most_strings + 1.0))
    centre = np.random.randint(len(rows))
    ruined = 0
    for i in near[centre]:
        if ruined >= num_strings:
            return
        k = rows[i]
        n = driver_of[k]
        if n < 0 or is_ruined[n]:
            continue
        size = plan.lens[n]
        length = int(np.random.random() * min(float(size), longest) + 1.0)
        length = min(length, size)
        first_lowest = max(0, place_of[k] - length + 1)
        first_highest = min(place_of[k], size - length)
        first = first_lowest + np.random.randint(first_highest - first_lowest + 1)
        for p in range(first, first + length):
            driver_of[plan.trips[n, p]] = -1
        for p in range(first, size - length):
            plan.trips[n, p] = plan.trips[n, p + length]
        plan.lens[n] = size - length
        project(world, b, o, w, plan, n, first, out)
        is_ruined[n] = True
        ruined += 1


@jit
def _copy(source, target, num_drivers):
    for n in range(num_drivers):
        _copy_driver(source, target, n)


@inlined
def _copy_driver(source, target, n):
    size = source.lens[n]
    target.lens[n] = size
    for p in range(size):
        target.trips[n, p] = source.trips[n, p]
        target.depart_min[n, p] = source.depart_min[n, p]
        target.pickup_min[n, p] = source.pickup_min[n, p]
        target.dropoff_min[n, p] = source.dropoff_min[n, p]
        target.approach_km[n, p] = source.approach_km[n, p]
        target.worth[n, p] = source.worth[n, p]
