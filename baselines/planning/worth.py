"""
What a plan is worth as a whole, and when its trips are assigned.

With one decision per tick the trips of a whole day's plan compete for ticks; the terms of the day count besides.
"""

from __future__ import annotations

import numpy as np

from baselines.planning.plan import NUM_TERMS, trip_worth
from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.plans import EPSILON_MIN, schedule_trip
from envs.world.records import World
from envs.world.travel import approach


@jit
def plan_worth(world: World, b, o, w, plan, rows):
    """Worth of the plan, the bookings among ``rows`` that it leaves out included; and the day's terms if asked for."""
    if o.one_decision_per_tick:
        return _worth_by_ticks(world, b, o, w, plan, rows, np.empty(plan.trips.shape, np.int64))
    total = 0.0
    for k in rows:
        total += plan.lost_worth[k]
    num_drivers = world.clocks[b].num_drivers
    approach_km, num_late = 0.0, 0
    for n in range(num_drivers):
        for p in range(plan.lens[n]):
            k = plan.trips[n, p]
            total += plan.worth[n, p] - plan.lost_worth[k]
            approach_km += plan.approach_km[n, p]
            num_late += plan.pickup_min[n, p] > world.bookings[b, k].latest_pickup_min + w.late_share_min + EPSILON_MIN
    if o.has_end_terms:
        total += _end_worth(w, plan.lens[:num_drivers], approach_km, num_late)
    return total


@jit
def _end_worth(w, num_trips, approach_km, num_late):
    """The reward's terms of the whole day, its completion apart (that belongs into ``bonus``)."""
    served = num_trips.sum()
    if served == 0:
        return 0.0
    size = len(num_trips)
    worth = w.imbalance_per_trip * (num_trips.max() - num_trips.min())
    if size * (num_trips * num_trips).sum() - served**2 < (w.balance_std * size) ** 2:
        worth += w.balance
    if approach_km / served < w.mean_approach_km - EPSILON_MIN:
        worth += w.mean_approach
    if num_late / served > w.late_share_from:
        worth += w.late_share
    return worth


@jit
def decide_ticks(world: World, b, objective, weights, plan, ticks):
    """
    With one decision per tick: when each trip of a whole day's plan is assigned, counted from opening, -1 for never.

    ``ticks`` is int64, shape (N, P). Returns the worth of the day that comes out.
    """
    world = borrow(world)
    plan = borrow(plan)
    return _worth_by_ticks(world, b, objective[0], weights[0], plan, np.empty(0, np.int32), ticks)


@jit
def _worth_by_ticks(world: World, b, o, w, plan, rows, ticks):
    """
    In each tick the most urgent of the trips that come next and are known is assigned, if that is feasible then.

    A trip that finds its tick late begins late, one that finds none is lost.
    """
    clock, rules = world.clocks[b], world.rules[0]
    num_drivers, max_trips = clock.num_drivers, rules.max_trips
    out = np.empty(NUM_TERMS)
    first = np.zeros(plan.trips.shape, np.int64)
    last = np.zeros(plan.trips.shape, np.int64)
    assignment_ticks(world, b, plan, first, last)
    ticks[:, :] = -1
    at = np.zeros(num_drivers, np.int64)
    num_trips = np.zeros(num_drivers, np.int64)
    done = np.zeros(plan.trips.shape)  # drop-offs of the trips assigned so far
    free = plan.start_min[:num_drivers].copy()
    behind = plan.start_booking[:num_drivers].copy()
    total, approach_km, num_late = 0.0, 0.0, 0
    for k in rows:
        total += plan.lost_worth[k]
    num_ticks = np.int64(np.ceil((clock.close_min - clock.open_min) / rules.tick_min - 1e-9))
    for tick in range(num_ticks):
        now = clock.open_min + tick * rules.tick_min
        while True:
            best, best_last = -1, np.int64(1 << 40)
            for n in range(num_drivers):
                p = at[n]
                if p < plan.lens[n] and first[n, p] <= tick and last[n, p] < best_last:
                    if num_trips[n] < max_trips or done[n, num_trips[n] - max_trips] <= now:
                        best, best_last = n, last[n, p]
            if best < 0:
                break
            p = at[best]
            at[best] += 1
            k = plan.trips[best, p]
            latest = world.bookings[b, k].latest_pickup_min
            km, work = approach(world, b, best, behind[best], k)
            depart, pickup, dropoff = schedule_trip(world, b, best, k, max(free[best], now), work)
            if (
                now > latest + rules.expiry_tolerance_min + EPSILON_MIN
                or pickup > latest + rules.max_lateness_min + EPSILON_MIN
                or dropoff > world.drivers[b, best].shift_end_min + EPSILON_MIN
            ):
                continue  # too late: lost, and the tick is still there for another one
            total += trip_worth(world, b, o, w, plan, best, k, depart, pickup, dropoff, km, out) - plan.lost_worth[k]
            approach_km += km
            num_late += pickup > latest + w.late_share_min + EPSILON_MIN
            done[best, num_trips[best]] = dropoff
            num_trips[best] += 1
            free[best], behind[best] = dropoff, k
            ticks[best, p] = tick
            break
    if o.has_end_terms:
        total += _end_worth(w, num_trips, approach_km, num_late)
    return total


@jit
def assignment_ticks(world: World, b, plan, first_tick, last_tick):
    """
    First and last tick in which each trip can be assigned, counted from opening: int64, shapes (N, P).

    The order of a driver's trips is kept: nobody can be assigned before the trip ahead.
    """
    clock, tick_min = world.clocks[b], world.rules[0].tick_min
    final = np.int64(np.ceil((clock.close_min - clock.open_min) / tick_min - 1e-9)) - 1
    for n in range(clock.num_drivers):
        latest = final
        for p in range(plan.lens[n] - 1, -1, -1):
            k = plan.trips[n, p]
            until = min(plan.depart_min[n, p], world.bookings[b, k].latest_pickup_min) + EPSILON_MIN
            until += 0.0 if plan.depart_min[n, p] <= until else world.rules[0].expiry_tolerance_min
            latest = min(latest, np.int64(np.floor((until - clock.open_min) / tick_min)))
            last_tick[n, p] = latest
        earliest = np.int64(0)
        for p in range(plan.lens[n]):
            wait = plan.ready_min[plan.trips[n, p]] - clock.open_min - EPSILON_MIN
            earliest = max(earliest, np.int64(np.ceil(wait / tick_min)))
            first_tick[n, p] = max(0, earliest)
