"""
What a plan costs as a whole, and when its trips are assigned.

With one decision per tick the trips of a whole day's plan compete for ticks; the terms of the day count besides.
"""

from __future__ import annotations

import numpy as np

from baselines.planning.plan import MOVES, Plan, trip_cost, waiting_saves
from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.plans import EPSILON_MIN, schedule_trip
from envs.world.records import NEVER, NO_DRIVER
from envs.world.sketch import before, routes_and_lost

_predict = MOVES.predict


@jit
def whole_cost(plan, lost):
    """Cost of the routes and of the trips left out (``lost``), and minus the day's terms if there are any."""
    o, w = plan.objective[0], plan.weights[0]
    if o.one_decision_per_tick:
        return _cost_by_ticks(plan, np.empty(plan.stops.shape, np.int64))
    if o.may_wait and waiting_saves(plan):
        cost = lost
        for n in range(len(plan.routes)):
            cost += _wait_on_route(plan, n, False)
        return cost
    cost = routes_and_lost(plan, lost)
    if o.has_end_terms:
        num_trips = np.empty(len(plan.routes), np.int64)
        approach_km, num_late = 0.0, 0
        for n in range(len(num_trips)):
            num_trips[n] = plan.routes[n].num_trips
            for p in range(num_trips[n]):
                t = plan.stops[n, p]
                approach_km += plan.kms[before(plan, n, p)[1], t]
                num_late += plan.trips[t].pickup_min > _late_from(plan, w, t)
        cost -= _end_worth(w, num_trips, approach_km, num_late)
    return cost


@jit
def _cost_of(plan):
    plan = borrow(plan)
    lost = 0.0
    for t in range(len(plan.trips)):
        if plan.trips[t].driver == NO_DRIVER:
            lost += plan.trips[t].lost_cost
    return whole_cost(plan, lost)


def worth_of(plan: Plan) -> float:
    """Worth of the plan, the bookings that it leaves out included; and the day's terms if asked for."""
    return -float(_cost_of(plan))


@jit
def _late_from(plan, w, t):
    """From when on [min] a pickup counts in the share of late ones."""
    return plan.trips[t].latest_pickup_min + w.late_share_min + EPSILON_MIN


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
def decide_ticks(plan, ticks):
    """
    With one decision per tick: when each trip of a whole day's plan is assigned, counted from opening, -1 for never.

    ``ticks`` is int64, shape (N, P). Returns the cost of the day that comes out.
    """
    plan = borrow(plan)
    return _cost_by_ticks(plan, ticks)


@jit
def _cost_by_ticks(plan, ticks):
    """
    In each tick the most urgent of the trips that come next and are known is assigned, if that is feasible then.

    A trip that finds its tick late begins late, one that finds none is lost.
    """
    o, w = plan.objective[0], plan.weights[0]
    clock, rules = plan.clock[0], plan.rules[0]
    num_drivers, max_trips = len(plan.routes), rules.max_trips
    first = np.zeros(plan.stops.shape, np.int64)
    last = np.zeros(plan.stops.shape, np.int64)
    assignment_ticks(plan, first, last)
    ticks[:, :] = -1
    at = np.zeros(num_drivers, np.int64)
    num_trips = np.zeros(num_drivers, np.int64)
    done = np.zeros(plan.stops.shape)  # drop-offs of the trips assigned so far
    free = np.empty(num_drivers)
    place = np.empty(num_drivers, np.int64)
    for n in range(num_drivers):
        free[n], place[n] = plan.routes[n].start_min, n
    total, approach_km, num_late = 0.0, 0.0, 0
    for t in range(len(plan.trips)):
        total += plan.trips[t].lost_cost
    num_ticks = np.int64(np.ceil((clock.close_min - clock.open_min) / rules.tick_min - 1e-9))
    for tick in range(num_ticks):
        now = clock.open_min + tick * rules.tick_min
        while True:
            best, best_last = -1, np.int64(1 << 40)
            for n in range(num_drivers):
                p = at[n]
                if p < plan.routes[n].num_trips and first[n, p] <= tick and last[n, p] < best_last:
                    if num_trips[n] < max_trips or done[n, num_trips[n] - max_trips] <= now:
                        best, best_last = n, last[n, p]
            if best < 0:
                break
            p = at[best]
            at[best] += 1
            t = plan.stops[best, p]
            trip, route = plan.trips[t], plan.routes[best]
            start, work = max(free[best], now), plan.legs[place[best], t]
            depart, pickup, dropoff = schedule_trip(trip, route, plan.speeds, plan.terms[0].pace, start, work)
            if (
                now > trip.latest_pickup_min + rules.expiry_tolerance_min + EPSILON_MIN
                or pickup > trip.latest_pickup_min + rules.max_lateness_min + EPSILON_MIN
                or dropoff > route.shift_end_min + EPSILON_MIN
            ):
                continue  # too late: lost, and the tick is still there for another one
            total += trip_cost(plan, best, t, place[best], depart, pickup, dropoff) - trip.lost_cost
            approach_km += plan.kms[place[best], t]
            num_late += pickup > _late_from(plan, w, t)
            done[best, num_trips[best]] = dropoff
            num_trips[best] += 1
            free[best], place[best] = dropoff, num_drivers + t
            ticks[best, p] = tick
            break
    if o.has_end_terms:
        total -= _end_worth(w, num_trips, approach_km, num_late)
    return total


@jit
def assignment_ticks(plan, first_tick, last_tick):
    """
    First and last tick in which each trip can be assigned, counted from opening: int64, shapes (N, P).

    The order of a driver's trips is kept: nobody can be assigned before the trip ahead.
    """
    plan = borrow(plan)
    clock, rules = plan.clock[0], plan.rules[0]
    tick_min = rules.tick_min
    final = np.int64(np.ceil((clock.close_min - clock.open_min) / tick_min - 1e-9)) - 1
    for n in range(len(plan.routes)):
        latest = final
        for p in range(plan.routes[n].num_trips - 1, -1, -1):
            trip = plan.trips[plan.stops[n, p]]
            until = min(trip.depart_min, trip.latest_pickup_min + rules.expiry_tolerance_min) + EPSILON_MIN
            latest = min(latest, np.int64(np.floor((until - clock.open_min) / tick_min)))
            last_tick[n, p] = latest
        earliest = np.int64(0)
        for p in range(plan.routes[n].num_trips):
            wait = plan.trips[plan.stops[n, p]].ready_min - clock.open_min - EPSILON_MIN
            earliest = max(earliest, np.int64(np.ceil(wait / tick_min)))
            first_tick[n, p] = max(0, earliest)


@jit
def wait_where_it_pays(plan):
    """Let trips of a whole day's plan wait at the place before for a later tick where that costs less."""
    plan = borrow(plan)
    if not waiting_saves(plan):
        return
    for n in range(len(plan.routes)):
        _wait_on_route(plan, n, True)


@jit
def _wait_on_route(plan, n, is_settled):
    """
    The least cost of a route in its order, over the ticks at which its trips may begin.

    All departures that are worth telling apart (none of them both later free and dearer than another) are carried along
    it. With ``is_settled`` the best ones become the times from which its trips are ready.
    """
    clock, rules, route, num_drivers = plan.clock[0], plan.rules[0], plan.routes[n], len(plan.routes)
    # Choices (free, cost, choice before, leaves from), those of a position in a row
    choices = [(route.start_min, 0.0, -1, 0.0)]
    begin, place = 0, n
    for p in range(route.num_trips):
        t = plan.stops[n, p]
        trip, end = plan.trips[t], len(choices)
        last_pickup = trip.latest_pickup_min + rules.max_lateness_min + EPSILON_MIN
        last_tick = min(trip.latest_pickup_min + rules.expiry_tolerance_min, clock.close_min - EPSILON_MIN)
        kept = [(0.0, 0.0, -1, 0.0) for _ in range(0)]
        for i in range(begin, end):
            free, so_far = choices[i][0], choices[i][1]
            ready = trip.ready_min
            while True:
                start, work = max(free, ready), plan.legs[place, t]
                depart, pickup, dropoff = schedule_trip(trip, route, plan.speeds, plan.terms[0].pace, start, work)
                if pickup > last_pickup or dropoff > route.shift_end_min + EPSILON_MIN:
                    break
                cost = so_far + trip_cost(plan, n, t, place, depart, pickup, dropoff)
                is_worse = False
                for other in kept:
                    is_worse |= other[0] <= dropoff and other[1] <= cost + EPSILON_MIN
                if not is_worse:
                    kept = [other for other in kept if other[0] < dropoff or other[1] < cost]
                    kept.append((dropoff, cost, i, ready))
                tick = np.floor((depart - clock.open_min + EPSILON_MIN) / rules.tick_min) + 1.0
                ready = clock.open_min + tick * rules.tick_min
                if ready > last_tick:
                    break
        if len(kept) == 0:
            return route.cost  # can't be driven as it stands
        begin, place = end, num_drivers + t
        for one in kept:
            choices.append(one)
    best, least = -1, NEVER
    for i in range(begin, len(choices)):
        if choices[i][1] < least:
            best, least = i, choices[i][1]
    if not is_settled:
        return least
    for p in range(route.num_trips - 1, -1, -1):
        plan.trips[plan.stops[n, p]].ready_min = choices[best][3]
        best = choices[best][2]
    _predict(plan, n, 0)
    return least
