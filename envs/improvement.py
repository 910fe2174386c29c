"""
Compiled plan improvement: the trips not begun are placed anew, largest regret first, then relocated and swapped.

The rebuilt plans replace the old ones only when every trip found a place and the cost (driving minutes +
insertion_lateness_weight x lateness) fell; otherwise the old plans are kept and only relocated and swapped, moves that
are taken one by one when they save. Regret insertion: Potvin and Rousseau (1993); relocate and exchange: Savelsbergh
(1992).

With ``improvement_moves`` that is followed by so many rounds of ruin and recreate (Schrimpf et al. 2000): trips that
are near each other in time and place leave their plans and are inserted anew, in an order drawn at random, which holds
or-opt, exchanges of several trips between drivers and chains of ejections; a round is kept when it saves and everybody
found a place. The draws are a function of the day and the time, so a budget of moves gives the same plans anywhere.
"""

from __future__ import annotations

import numpy as np

from envs.borrowed import borrow
from envs.compiled import jit
from envs.draws import mix, uniform
from envs.plans import EPSILON_MIN, best_insertion, insert_trip, plan_cost, project_plan, remove_trip
from envs.records import NEVER, NO_BOOKING, World
from envs.travel_kernel import approach

MAX_SWEEPS = 10  # of the local search; trials on real days ended after 2 to 4
MAX_REMOVED = 6  # trips that one round of ruin and recreate takes out at most
MIN_PER_KM = 2.0  # [min/km] at 30 km/h; only says which trips are near each other
_KIND_IMPROVEMENT = 300  # kind of draw: apart from those of generators, disturbances and rules


@jit
def _total_cost(world: World, b):
    cost = 0.0
    for n in range(world.clocks[b].num_drivers):
        cost += plan_cost(world, b, n)
    return cost


@jit
def _cheapest_driver(world: World, b, k):
    """(cost, driver, position) of the cheapest insertion of booking ``k``; cost NEVER when it fits nowhere."""
    best_cost, best_driver, best_position = NEVER, -1, -1
    for n in range(world.clocks[b].num_drivers):
        insertion = best_insertion(world, b, n, k)
        if insertion[0] < best_cost - 1e-9:
            best_cost, best_driver, best_position = insertion[0], n, insertion[1]
    return best_cost, best_driver, best_position


@jit
def _rebuild(world: World, b, trips):
    """Empty all plans and place ``trips`` anew, largest regret first; False when one found no place."""
    num_drivers = world.clocks[b].num_drivers
    for n in range(num_drivers):
        world.drivers[b, n].plan_len = 0
    num_trips = len(trips)
    costs = np.empty((num_trips, num_drivers))
    positions = np.empty((num_trips, num_drivers), np.int32)
    placed = np.zeros(num_trips, np.bool_)
    for t in range(num_trips):
        for n in range(num_drivers):
            insertion = best_insertion(world, b, n, trips[t])
            costs[t, n], positions[t, n] = insertion[0], insertion[1]
    for _ in range(num_trips):
        chosen, chosen_driver, largest_regret, chosen_cost = -1, -1, -1.0, NEVER
        for t in range(num_trips):
            if placed[t]:
                continue
            first, second, driver = NEVER, NEVER, -1
            for n in range(num_drivers):
                cost = costs[t, n]
                if cost < first:
                    first, second, driver = cost, first, n
                elif cost < second:
                    second = cost
            if driver < 0:
                return False
            regret = second - first
            if chosen < 0 or regret > largest_regret or (regret == largest_regret and first < chosen_cost):
                chosen, chosen_driver, largest_regret, chosen_cost = t, driver, regret, first
        insert_trip(world, b, chosen_driver, trips[chosen], positions[chosen, chosen_driver])
        placed[chosen] = True
        for t in range(num_trips):
            if not placed[t]:
                insertion = best_insertion(world, b, chosen_driver, trips[t])
                costs[t, chosen_driver], positions[t, chosen_driver] = insertion[0], insertion[1]
    return True


@jit
def _relocate(world: World, b):
    """Move single trips to their cheapest place while that saves; True when one moved."""
    moved = False
    for n in range(world.clocks[b].num_drivers):
        position = 0
        while position < world.drivers[b, n].plan_len:
            k = world.plans[b, n, position]
            before = plan_cost(world, b, n)
            remove_trip(world, b, n, position)
            saved = before - plan_cost(world, b, n)
            cost, driver, place = _cheapest_driver(world, b, k)
            if cost < saved - EPSILON_MIN:
                insert_trip(world, b, driver, k, place)
                moved = True
            else:
                insert_trip(world, b, n, k, position)
            position += 1
    return moved


@jit
def _swap(world: World, b):
    """Exchange two trips of different drivers, each at its cheapest place, while that saves; True when one did."""
    moved = False
    num_drivers = world.clocks[b].num_drivers
    for n in range(num_drivers):
        for m in range(n + 1, num_drivers):
            p = 0
            while p < world.drivers[b, n].plan_len:
                q = 0
                while q < world.drivers[b, m].plan_len and p < world.drivers[b, n].plan_len:
                    moved |= _try_swap(world, b, n, p, m, q)
                    q += 1
                p += 1
    return moved


@jit
def _try_swap(world: World, b, n, p, m, q):
    k = world.plans[b, n, p]
    j = world.plans[b, m, q]
    before = plan_cost(world, b, n) + plan_cost(world, b, m)
    remove_trip(world, b, n, p)
    remove_trip(world, b, m, q)
    k_to_m = best_insertion(world, b, m, k)
    if k_to_m[0] < NEVER:
        j_to_n = best_insertion(world, b, n, j)
        kept = plan_cost(world, b, n) + plan_cost(world, b, m)
        if j_to_n[0] < NEVER and kept + k_to_m[0] + j_to_n[0] < before - EPSILON_MIN:
            insert_trip(world, b, m, k, k_to_m[1])
            insert_trip(world, b, n, j, j_to_n[1])
            return True
    insert_trip(world, b, n, k, p)
    insert_trip(world, b, m, j, q)
    return False


@jit
def _restore(world: World, b, plans, lens):
    """Put plans back as they were."""
    world.plans[b, :, :] = plans
    for n in range(world.clocks[b].num_drivers):
        world.drivers[b, n].plan_len = lens[n]
        project_plan(world, b, n, 0)


@jit
def _ruin_and_recreate(world: World, b, trips, num_rounds):
    """Rounds of removing trips near each other and inserting them anew; each is kept when it saves."""
    clock = world.clocks[b]
    num_drivers, num_trips = clock.num_drivers, len(trips)
    if num_trips < 2:
        return
    key = mix(np.uint64(world.bookings[b, trips[0]].key) ^ np.uint64(np.int64(clock.now_min * 60.0)))
    lens = np.empty(num_drivers, np.int32)
    distance = np.empty(num_trips)
    removed = np.empty(MAX_REMOVED, np.int32)
    cost = _total_cost(world, b)
    for move in range(num_rounds):
        plans = world.plans[b].copy()
        for n in range(num_drivers):
            lens[n] = world.drivers[b, n].plan_len
        centre = trips[int(uniform(key, _KIND_IMPROVEMENT, move, 0) * num_trips)]
        size = min(num_trips, 2 + int(uniform(key, _KIND_IMPROVEMENT, move, 1) * (MAX_REMOVED - 1)))
        for t in range(num_trips):
            km, _ = approach(world, b, 0, centre, trips[t])
            gap = abs(world.bookings[b, trips[t]].pickup_min - world.bookings[b, centre].pickup_min)
            distance[t] = (MIN_PER_KM * km + gap) * (0.5 + uniform(key, _KIND_IMPROVEMENT, move, 2 + t))
        nearest = np.argsort(distance)
        for i in range(size):
            k = trips[nearest[i]]
            removed[i] = k
            n = world.bookings[b, k].driver
            for position in range(world.drivers[b, n].plan_len):
                if world.plans[b, n, position] == k:
                    remove_trip(world, b, n, position)
                    break
        fits = True
        for i in range(size):
            j = i + int(uniform(key, _KIND_IMPROVEMENT, move, 2 + num_trips + i) * (size - i))
            removed[i], removed[j] = removed[j], removed[i]
            _, driver, place = _cheapest_driver(world, b, removed[i])
            if driver < 0:
                fits = False
                break
            insert_trip(world, b, driver, removed[i], place)
        new_cost = _total_cost(world, b) if fits else NEVER
        if new_cost < cost - EPSILON_MIN:
            cost = new_cost
        else:
            _restore(world, b, plans, lens)


@jit
def improve_plans(world: World, b):
    """
    Improve the plans of day ``b`` in place; no trip loses its place and the total cost never rises.

    Trips that end up with another driver are counted in ``clocks.num_moved``.
    """
    world = borrow(world)
    clock = world.clocks[b]
    num_drivers = clock.num_drivers
    num_trips = 0
    for n in range(num_drivers):
        num_trips += world.drivers[b, n].plan_len
    if num_trips == 0:
        return
    trips = np.empty(num_trips, np.int32)
    owners = np.empty(num_trips, np.int32)
    old_plans = world.plans[b].copy()
    old_lens = np.empty(num_drivers, np.int32)
    t = 0
    for n in range(num_drivers):
        old_lens[n] = world.drivers[b, n].plan_len
        for p in range(old_lens[n]):
            trips[t], owners[t] = old_plans[n, p], n
            t += 1
    old_cost = _total_cost(world, b)
    if not _rebuild(world, b, trips) or _total_cost(world, b) > old_cost - EPSILON_MIN:
        _restore(world, b, old_plans, old_lens)
    for n in range(num_drivers):
        world.plans[b, n, world.drivers[b, n].plan_len :] = NO_BOOKING
    for _ in range(MAX_SWEEPS):
        if not (_relocate(world, b) | _swap(world, b)):
            break
    _ruin_and_recreate(world, b, trips, world.rules[0].improvement_moves)
    for t in range(num_trips):
        if world.bookings[b, trips[t]].driver != owners[t]:
            clock.num_moved += 1
