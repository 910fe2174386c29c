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

from envs.world.apart import Apart
from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.draws import mix
from envs.world.expected import minutes_expected
from envs.world.plans import index_of_open, prefix, remove_open, restore_plans
from envs.world.records import NEVER, NO_BOOKING, NO_DRIVER, Actor, BookingState, World
from envs.world.sketch import (
    ROUTE,
    TERMS,
    TRIP,
    Sketch,
    moves_at,
    routes_and_lost,
    search_over,
    sketch_legs,
    sketch_route,
    sketch_terms,
    sketch_trips,
)

# The next five were found on selection days of the real bookings.
MAX_REMOVED = 10  # trips that one round takes out at most
FIRST_TEMPERATURE_MIN, LAST_TEMPERATURE_MIN = 15.0, 0.5
FULL_WEIGHT = 1.0  # of a minute from the earliest pickup to the end of a trip, when every driver is busy throughout
FULL_FROM, FULL_HORIZON_MIN = 0.6, 120.0  # share of the drivers' time so far ahead that is taken: no weight up to there
_OPEN, _PLANNED = int(BookingState.OPEN), int(BookingState.PLANNED)
_PLANNER = int(Actor.PLANNER)
_STEP = np.uint64(0x9E3779B97F4A7C15)  # of the generator's state: SplitMix64 (Steele, Lea and Flood 2014)


@jit
def share_taken(world: World, b):
    """
    Share of the drivers' time within FULL_HORIZON_MIN, shifts respected, that trips take; 0 without any time.

    Where returns are expected before they are called, theirs count too.
    """
    now_min = world.clocks[b].now_min
    taken, present = minutes_taken(world, b, now_min, now_min + FULL_HORIZON_MIN)
    return taken / present if present > 0.0 else 0.0


@jit
def minutes_taken(world: World, b, start_min, end_min):
    """Minutes of the drivers between these times, now or later, that trips and expected returns take, and of all."""
    taken, present = 0.0, 0.0
    for n in range(world.clocks[b].num_drivers):
        driver = world.drivers[b, n]
        start, end = max(start_min, driver.shift_start_min), min(end_min, driver.shift_end_min)
        if driver.is_out or end <= start:
            continue
        present += end - start
        taken += max(0.0, min(end, driver.free_min) - start)
        for position in range(driver.plan_len):
            booking = world.bookings[b, world.plans[b, n, position]]
            taken += max(0.0, min(end, booking.dropoff_min) - max(start, booking.depart_min))
    if world.rules[0].expects_returns:
        taken += minutes_expected(world, b, start_min, end_min)
    return taken, present


@jit
def early_weight(world: World, b):
    """What a minute until the end of a trip counts now: the fuller the next two hours, the more."""
    return FULL_WEIGHT * max(0.0, share_taken(world, b) - FULL_FROM) / (1.0 - FULL_FROM)


@inlined
def _driving_and_lateness(sketch, n, t, place, depart_min, pickup_min, dropoff_min):
    trip = sketch.trips[t]
    ride_min = dropoff_min - pickup_min - trip.pickup_service_min - trip.dropoff_service_min
    late_min = max(0.0, pickup_min - trip.latest_pickup_min)
    return (pickup_min - depart_min) + ride_min + sketch.terms[0].lateness_weight * late_min


_MOVES = moves_at(_driving_and_lateness)
_predict, _take_out = _MOVES.predict, _MOVES.take_out


@jit
def sketch_of(world: World, b, rows, weight, lost_min):
    """
    The plans of day ``b`` as they stand; ``rows`` are the bookings that are planned and any others that may be.

    With ``lost_min`` 0 nobody may be left out.
    """
    num_drivers, num_trips = world.clocks[b].num_drivers, len(rows)
    sketch = Sketch(
        np.empty(num_trips, TRIP),
        np.empty(num_drivers, ROUTE),
        np.empty((num_drivers, world.plans.shape[2]), np.int32),
        np.empty((num_drivers + num_trips, num_trips)),
        world.speeds[b],
        np.empty(1, TERMS),
    )
    sketch_terms(world, b, sketch.terms)
    sketch.terms[0].costs_driving = 1
    sketch.terms[0].early_weight = weight
    sketch_trips(world, b, rows, sketch.trips)
    sketch_legs(world, b, rows, np.full(num_drivers, NO_BOOKING, np.int32), np.empty_like(sketch.legs), sketch.legs)
    at_call = world.rules[0].promises_at_call
    for t in range(num_trips):
        booking = world.bookings[b, rows[t]]
        keeps_place = at_call and booking.is_promised and booking.state == _PLANNED
        sketch.trips[t].ready_min = -NEVER
        sketch.trips[t].lost_cost = lost_min if lost_min > 0.0 and not keeps_place else NEVER
    for n in range(num_drivers):
        route, driver = sketch.routes[n], world.drivers[b, n]
        sketch_route(world, b, n, route)
        under_way = 1 if driver.under_way != NO_BOOKING else 0
        route.max_trips = 0 if driver.is_out else world.rules[0].max_trips - under_way
        route.start_min = prefix(world, b, n, 0)[0]
        route.num_trips = driver.plan_len
        for position in range(driver.plan_len):
            for t in range(num_trips):
                if rows[t] == world.plans[b, n, position]:
                    sketch.stops[n, position] = t
        _predict(sketch, n, 0)
        route.is_changed = 0
    return sketch


@inlined
def _draw(state):
    """(uniform on [0, 1), next state)."""
    following = state + _STEP
    return float(mix(following) >> np.uint64(11)) * 2.0**-53, following


@jit
def _draw_removed(sketch, state, removed):
    """Write trips near one drawn at random into ``removed``, in a random order; returns (their number, next state)."""
    num_trips = len(sketch.trips)
    u, state = _draw(state)
    centre = int(u * num_trips)
    u, state = _draw(state)
    size = min(num_trips, 2 + int(u * (MAX_REMOVED - 1)))
    at_min = sketch.trips[centre].earliest_pickup_min
    legs = sketch.legs[len(sketch.routes) + centre]
    pace = sketch.terms[0].mean_pace
    nearest = np.empty(MAX_REMOVED)
    num_found = 0
    for t in range(num_trips):
        u, state = _draw(state)
        if sketch.trips[t].is_frozen:
            continue
        distance = (pace * legs[t] + abs(sketch.trips[t].earliest_pickup_min - at_min)) * (0.5 + u)
        if num_found == size and distance >= nearest[size - 1]:
            continue
        place = num_found if num_found < size else size - 1
        while place > 0 and nearest[place - 1] > distance:
            nearest[place] = nearest[place - 1]
            removed[place] = removed[place - 1]
            place -= 1
        nearest[place] = distance
        removed[place] = t
        num_found = min(size, num_found + 1)
    size = num_found
    for i in range(size):
        u, state = _draw(state)
        j = i + int(u * (size - i))
        removed[i], removed[j] = removed[j], removed[i]
    return size, state


@jit
def _ruin(sketch, own, state, removed):
    """Trips near one drawn at random leave their routes; those left out may be among them."""
    size, state = _draw_removed(sketch, state, removed)
    for i in range(size):
        n = sketch.trips[removed[i]].driver
        if n != NO_DRIVER:
            position = 0
            while sketch.stops[n, position] != removed[i]:
                position += 1
            _take_out(sketch, n, position, 1)
    return size, state


_search = search_over(_MOVES, _ruin, routes_and_lost, _draw)


@jit
def ruin_and_recreate(world: World, b, rows, num_rounds, lost_min):
    """
    Leave the best plans found in ``num_rounds``; ``rows`` are the bookings that are planned and any that may be.

    Best by driving, lateness and, with the ``early_weight`` of the plans as they came, minutes until trips end: driving
    alone may rise. With ``lost_min`` 0 nobody may be left out; else anybody whose place costs the plans more than that.
    Only plans and the predictions of their trips are kept right: a booking that ends without a place has ``driver``
    NO_DRIVER, its state is the caller's to set. Frozen trips stay where they are, and where wishes are answered at the
    call no promised trip is left out.

    Returns
    -------
    What these plans cost, ``lost_min`` for each booking left out included; 0 where there was nothing to do.
    """
    clock = world.clocks[b]
    if len(rows) < 2 or num_rounds == 0:
        return 0.0
    weight = early_weight(world, b)
    sketch = sketch_of(world, b, rows, weight, lost_min)
    trips, routes, stops = sketch.trips.copy(), sketch.routes.copy(), sketch.stops.copy()
    kept = Sketch(trips, routes, stops, sketch.legs, sketch.speeds, sketch.terms)
    best_stops, best_lens = np.empty_like(stops), np.empty(clock.num_drivers, np.int32)
    state = mix(np.uint64(world.bookings[b, rows[0]].key) ^ np.uint64(np.int64(clock.now_min * 60.0)))
    first, last = FIRST_TEMPERATURE_MIN, LAST_TEMPERATURE_MIN
    cost = _search(sketch, kept, 0, state, num_rounds, first, last, best_stops, best_lens)
    for k in rows:
        world.bookings[b, k].driver = NO_DRIVER
    for n in range(clock.num_drivers):
        for position in range(best_lens[n]):
            best_stops[n, position] = rows[best_stops[n, position]]
        best_stops[n, best_lens[n] :] = NO_BOOKING
    restore_plans(world, b, best_stops, best_lens)
    return cost


@jit
def search_plans(world: World, b):
    """
    Ruin and recreate over the bookings ``World.rows[b, :num_rows]``, as the clock says for how long and at what price.

    These are all that are planned, and open ones that may get a place by it. A booking that loses its place is left to
    the caller, see ``ruin_and_recreate``.
    """
    world = borrow(world)
    clock = world.clocks[b]
    rows = world.rows[b, : clock.num_rows].copy()
    ruin_and_recreate(world, b, rows, clock.search_rounds, clock.search_lost_min)
    for k in rows:
        booking = world.bookings[b, k]
        if booking.state == _OPEN and booking.driver != NO_DRIVER:
            remove_open(world, b, index_of_open(world, b, k))
            booking.state = _PLANNED
            booking.placed_by = _PLANNER


SEARCH = Apart(search_plans)
