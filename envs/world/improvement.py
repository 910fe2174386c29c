"""
Compiled plan improvement: the trips not begun are placed anew, largest regret first, then relocated and swapped.

The rebuilt plans replace the old ones only when every trip found a place and the cost (driving minutes +
insertion_lateness_weight x lateness) fell; otherwise the old plans are kept and only relocated and swapped, moves that
are taken one by one when they save. Regret insertion: Potvin and Rousseau (1993); relocate and exchange: Savelsbergh
(1992).

With ``improvement_moves`` that is followed by so many rounds of ruin and recreate (``ruin_recreate``), which also keep
room for bookings to come. With ``improvement_lost_min`` these may bring in open bookings that fit nowhere any more,
and give promised ones back.
"""

from __future__ import annotations

import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.plans import (
    EPSILON_MIN,
    add_open,
    best_insertion,
    cheapest_driver,
    insert_trip,
    note_plans,
    plan_cost,
    project_plan,
    remove_trip,
    restore_plans,
    total_cost,
)
from envs.world.records import NEVER, NO_BOOKING, NO_DRIVER, World
from envs.world.ruin_recreate import SEARCH

MAX_SWEEPS = 10  # of the local search; trials on real days ended after 2 to 4
_search_plans = SEARCH.call


@jit
def _rebuild(world: World, b, trips):
    """Keep the frozen trips of all plans and place ``trips`` anew, largest regret first; False if one has no place."""
    num_drivers = world.clocks[b].num_drivers
    for n in range(num_drivers):
        num_kept = 0
        for position in range(world.drivers[b, n].plan_len):
            k = world.plans[b, n, position]
            if world.bookings[b, k].is_frozen:
                world.plans[b, n, num_kept] = k
                num_kept += 1
        world.drivers[b, n].plan_len = num_kept
        project_plan(world, b, n, 0)
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
            if world.bookings[b, k].is_frozen:
                position += 1
                continue
            before = plan_cost(world, b, n)
            remove_trip(world, b, n, position)
            saved = before - plan_cost(world, b, n)
            cost, driver, place = cheapest_driver(world, b, k)
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
    if world.bookings[b, k].is_frozen or world.bookings[b, j].is_frozen:
        return False
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
def _add_stranded(world: World, b):
    """Ask the search about the open bookings, too, that fit into no plan as the plans stand."""
    clock = world.clocks[b]
    for index in range(clock.num_open):
        k = world.open_rows[b, index]
        if cheapest_driver(world, b, k)[1] < 0:
            world.rows[b, clock.num_rows] = k
            clock.num_rows += 1


@jit
def improve_plans(world: World, b):
    """
    Improve the plans of day ``b`` in place; no trip loses its place and, without ``improvement_moves``, no cost rises.

    With ``improvement_moves`` the cost also counts how late trips end, where the drivers' time is short. With
    ``improvement_lost_min`` a trip may lose its place: the cost then counts those left out. Trips that end up with
    another driver are counted in ``clocks.num_moved``, those that are open again in ``clocks.num_unassigned``.
    """
    world = borrow(world)
    clock, rules = world.clocks[b], world.rules[0]
    num_drivers = clock.num_drivers
    num_trips = 0
    for n in range(num_drivers):
        num_trips += world.drivers[b, n].plan_len
    if num_trips == 0:
        return
    trips, free = np.empty(num_trips, np.int32), np.empty(num_trips, np.int32)
    owners = np.empty(num_trips, np.int32)
    old_plans, old_lens = np.empty_like(world.plans[b]), np.empty(num_drivers, np.int32)
    note_plans(world, b, old_plans, old_lens)
    t, num_free = 0, 0
    for n in range(num_drivers):
        for p in range(old_lens[n]):
            trips[t], owners[t] = old_plans[n, p], n
            if not world.bookings[b, trips[t]].is_frozen:
                free[num_free] = trips[t]
                num_free += 1
            t += 1
    if not (rules.promises_at_call and rules.improvement_moves > 0):  # there the search alone does better in less time
        old_cost = total_cost(world, b)
        if not _rebuild(world, b, free[:num_free]) or total_cost(world, b) > old_cost - EPSILON_MIN:
            restore_plans(world, b, old_plans, old_lens)
        for n in range(num_drivers):
            world.plans[b, n, world.drivers[b, n].plan_len :] = NO_BOOKING
        for _ in range(MAX_SWEEPS):
            if not (_relocate(world, b) | _swap(world, b)):
                break
    if rules.improvement_moves > 0:
        for t in range(num_trips):
            world.rows[b, t] = trips[t]
        clock.num_rows, clock.search_rounds = num_trips, rules.improvement_moves
        clock.search_lost_min = rules.improvement_lost_min
        if rules.improvement_lost_min > 0.0:
            _add_stranded(world, b)
        _search_plans(world, b)
    for t in range(num_trips):
        owner = world.bookings[b, trips[t]].driver
        if owner == NO_DRIVER:
            add_open(world, b, trips[t])
            clock.num_unassigned += 1
        elif owner != owners[t]:
            clock.num_moved += 1
