"""
Compiled search for a plan of less cost: ruin and recreate with slack induction by string removals.

As Christiaens and Vanden Berghe (2020), for plans that may leave bookings out, under simulated annealing with a number
of iterations, never a time, as its budget. Plan improvement takes out the trips nearest to one instead: it repairs the
next hours of a plan within some ticks, this one builds whole days.
"""

from __future__ import annotations

import numpy as np

from baselines.planning.plan import MOVES, Plan, set_routes
from baselines.planning.worth import whole_cost
from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.plans import EPSILON_MIN
from envs.world.records import NEVER, NO_DRIVER
from envs.world.sketch import search_over

SEARCH = np.dtype(
    [
        ("num_iterations", np.int64),
        ("first_temperature", np.float64),  # in the unit of the objective: minutes, points or francs
        ("last_temperature", np.float64),
        ("mean_removed", np.float64),  # trips per ruin
    ],
    align=True,
)

# As in the paper.
MAX_STRING = 10
BLINK_RATE = 0.01

_take_out, _put_in, _added_cost = MOVES.take_out, MOVES.put_in, MOVES.added_cost


def make_search(
    num_iterations: int, first_temperature: float = 2.0, last_temperature: float = 0.05, mean_removed: float = 8.0
) -> np.ndarray:
    """SEARCH, shape (1,): the budget of the compiled search and how it cools; found on selection days."""
    return np.array([(num_iterations, first_temperature, last_temperature, mean_removed)], SEARCH)


@jit
def _neighbours(plan):
    """For each trip all of them, nearest first: driving between them and the gap between windows."""
    size, num_drivers = len(plan.trips), len(plan.routes)
    near = np.empty((size, size), np.int32)
    distance = np.empty(size)
    for i in range(size):
        for j in range(size):
            work = min(plan.legs[num_drivers + i, j], plan.legs[num_drivers + j, i])
            gap = abs(plan.trips[i].earliest_pickup_min - plan.trips[j].earliest_pickup_min)
            distance[j] = work / plan.speeds[12] + 0.3 * gap
        distance[i] = -1.0
        near[i] = np.argsort(distance)
    return near


@jit
def _remove_strings(plan, near, mean_removed):
    """Strings of trips around one drawn at random leave their routes."""
    planned, used = 0, 0
    for n in range(len(plan.routes)):
        planned += plan.routes[n].num_trips
        used += plan.routes[n].num_trips > 0
    if planned == 0:
        return
    longest = min(float(MAX_STRING), planned / used)
    most_strings = 4.0 * mean_removed / (1.0 + longest) - 1.0
    num_strings = max(1, int(np.random.random() * most_strings + 1.0))
    centre = np.random.randint(len(plan.trips))
    ruined = 0
    for t in near[centre]:
        if ruined >= num_strings:
            return
        n = plan.trips[t].driver
        if n == NO_DRIVER or plan.routes[n].is_changed:
            continue
        size = plan.routes[n].num_trips
        length = int(np.random.random() * min(float(size), longest) + 1.0)
        length = min(length, size)
        place = 0
        while plan.stops[n, place] != t:
            place += 1
        first_lowest = max(0, place - length + 1)
        first_highest = min(place, size - length)
        first = first_lowest + np.random.randint(first_highest - first_lowest + 1)
        _take_out(plan, n, first, length)
        ruined += 1


@jit
def _ruin(plan, own, state, removed):
    """All trips without a place after strings of them were removed, in one of four orders."""
    near, mean_removed = own
    _remove_strings(plan, near, mean_removed)
    missing = np.empty(len(plan.trips), np.int32)
    size = 0
    for t in range(len(plan.trips)):
        if plan.trips[t].driver == NO_DRIVER:
            missing[size] = t
            size += 1
    key = np.empty(size)
    order = np.random.randint(4)
    for i in range(size):
        trip = plan.trips[missing[i]]
        if order == 0:
            key[i] = np.random.random()
        elif order == 1:
            key[i] = trip.latest_pickup_min
        elif order == 2:
            key[i] = -trip.ride_work
        else:
            key[i] = -trip.lost_cost - 0.1 * np.random.random()
    by_key = np.argsort(key)
    for i in range(size):
        removed[i] = missing[by_key[i]]
    return size, state


@inlined
def _draw(state):
    return np.random.random(), state


_search = search_over(MOVES, _ruin, whole_cost, _draw)


@jit
def ruin_and_recreate(plan, search, seed):
    """Leave the best plan found; ``search`` is one record of SEARCH. Returns what it costs."""
    np.random.seed(seed)
    s = search[0]
    for n in range(len(plan.routes)):
        plan.routes[n].is_changed = 0
    best_stops, best_lens = np.empty_like(plan.stops), np.empty(len(plan.routes), np.int32)
    kept = Plan(
        plan.trips.copy(),
        plan.routes.copy(),
        plan.stops.copy(),
        plan.legs,
        plan.speeds,
        plan.terms,
        plan.kms,
        plan.rows,
        plan.bookings,
        plan.bonus,
        plan.objective,
        plan.weights,
        plan.rules,
        plan.clock,
        plan.pay,
    )
    plan.terms[0].blink_rate = BLINK_RATE
    own, state = (_neighbours(plan), s.mean_removed), np.uint64(0)
    first, last = s.first_temperature, s.last_temperature
    cost = _search(plan, kept, own, state, s.num_iterations, first, last, best_stops, best_lens)
    plan.terms[0].blink_rate = 0.0
    set_routes(plan, best_stops, best_lens)
    return cost


@jit
def relocate(plan):
    """
    Move single trips to where the plan costs least as a whole, until none is left that pays; returns its cost.

    Insertions look at the cost of a route: what trips cost together (a day's terms, ticks, waiting) shows only here.
    """
    plan = borrow(plan)
    num_drivers, size = len(plan.routes), len(plan.trips)
    lost = 0.0
    for t in range(size):
        if plan.trips[t].driver == NO_DRIVER:
            lost += plan.trips[t].lost_cost
    cost = whole_cost(plan, lost)
    last_moved, t = size - 1, 0
    while size > 0:
        trip = plan.trips[t]
        driver, position = trip.driver, -1
        without = lost
        if driver != NO_DRIVER:
            position = 0
            while plan.stops[driver, position] != t:
                position += 1
            _take_out(plan, driver, position, 1)
            without += trip.lost_cost
        least, to_driver, to_position = cost - EPSILON_MIN, driver, position
        left_out = whole_cost(plan, without)
        if driver != NO_DRIVER and left_out < least:
            least, to_driver = left_out, NO_DRIVER
        for n in range(num_drivers):
            route = plan.routes[n]
            if route.start_min == NEVER or (trip.is_wheelchair and not route.can_wheelchair):
                continue
            for p in range(route.num_trips + 1):
                if (n == driver and p == position) or _added_cost(plan, n, t, p) == NEVER:
                    continue
                _put_in(plan, n, t, p)
                found = whole_cost(plan, without - trip.lost_cost)
                _take_out(plan, n, p, 1)
                if found < least:
                    least, to_driver, to_position = found, n, p
        lost = without
        if to_driver != NO_DRIVER:
            _put_in(plan, to_driver, t, to_position)
            lost -= trip.lost_cost
        if least < cost - EPSILON_MIN:
            cost, last_moved = least, t
        elif t == last_moved:
            break
        t = (t + 1) % size
    return cost
