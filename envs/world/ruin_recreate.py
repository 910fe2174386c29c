"""
Compiled ruin and recreate over the plans of a day (Schrimpf et al. 2000), cooled as simulated annealing.

A round takes out trips that are near each other in time and place and inserts them anew, in an order drawn at random,
which holds or-opt, exchanges of several trips between drivers and chains of ejections. Plans cost driving minutes +
insertion_lateness_weight x lateness, and ``lost_min`` for each trip left out, where that is allowed. The fuller the
next two hours, the more it also costs to end trips late, so that room is kept for bookings to come. The draws are a
function of the day and the time, so a budget of rounds gives the same plans anywhere.

The search works on a small copy of what it needs, ``Sketch``, because a round takes some microseconds: the records of
the world are several times as large, and predicting them keeps the books of a whole day.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.draws import mix
from envs.world.plans import EPSILON_MIN, restore_plans
from envs.world.records import NEVER, NO_BOOKING, NO_DRIVER, World
from envs.world.travel import approach, arrival, departure

# The next five were found on selection days of the real bookings.
MAX_REMOVED = 10  # trips that one round takes out at most
FIRST_TEMPERATURE_MIN, LAST_TEMPERATURE_MIN = 15.0, 0.5
FULL_WEIGHT = 1.0  # of a minute from the earliest pickup to the end of a trip, when every driver is busy throughout
FULL_FROM, FULL_HORIZON_MIN = 0.6, 120.0  # share of the drivers' time so far ahead that is taken: no weight up to there
_STEP = np.uint64(0x9E3779B97F4A7C15)  # of the generator's state: SplitMix64 (Steele, Lea and Flood 2014)

TRIP = np.dtype(
    [
        ("driver", np.int32),  # in whose route it is, or NO_DRIVER
        ("is_wheelchair", np.int32),
        ("earliest_min", np.float64),
        ("latest_min", np.float64),
        ("pickup_service_min", np.float64),
        ("dropoff_service_min", np.float64),
        ("ride_work", np.float64),
        ("first_dropoff_min", np.float64),  # nobody can be done with it earlier
        # --- in the route as it stands ----------------------------------------------------------------------------
        ("driving_min", np.float64),
        ("pickup_min", np.float64),
        ("dropoff_min", np.float64),
    ],
    align=True,
)

ROUTE = np.dtype(
    [
        ("num_trips", np.int32),
        ("max_trips", np.int32),
        ("can_wheelchair", np.int32),
        ("is_changed", np.int32),  # in this round
        ("start_min", np.float64),
        ("shift_end_min", np.float64),
        ("break_start_min", np.float64),
        ("break_end_min", np.float64),
        ("cost", np.float64),
    ],
    align=True,
)

TERMS = np.dtype(
    [
        ("inserts", np.int32),
        ("max_lateness_min", np.float64),
        ("lateness_weight", np.float64),
        ("early_weight", np.float64),
        ("pace", np.float64),  # minutes per unit of work, where the speed never changes; else 0
        ("mean_pace", np.float64),
    ],
    align=True,
)


class Sketch(NamedTuple):
    """What a search over T trips and N drivers needs of the world; a trip's number is its place in ``trips``."""

    trips: np.ndarray  # TRIP, shape (T,)
    routes: np.ndarray  # ROUTE, shape (N,)
    stops: np.ndarray  # int32, shape (N, P): trips of each route in order, [:num_trips]
    legs: np.ndarray  # float64, shape (N + T, T): work from a driver or from the end of a trip to the pickup of a trip
    speeds: np.ndarray  # float64, shape (24,)
    terms: np.ndarray  # TERMS, shape (1,)


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


@inlined
def _arrival(sketch, depart_min, work):
    pace = sketch.terms[0].pace
    return depart_min + pace * work if pace > 0.0 else arrival(sketch.speeds, depart_min, work)


@inlined
def _schedule(sketch, n, t, start_min, work):
    """(depart, pickup, dropoff) [min] of trip ``t``, as ``envs.world.plans.schedule_trip``."""
    trip, route = sketch.trips[t], sketch.routes[n]
    pace = sketch.terms[0].pace
    start = start_min
    while True:
        depart = start
        pickup = _arrival(sketch, start, work)
        if pickup < trip.earliest_min:
            pickup = trip.earliest_min
            leaves = pickup - pace * work if pace > 0.0 else departure(sketch.speeds, pickup, work)
            depart = max(start, leaves)
        dropoff = _arrival(sketch, pickup + trip.pickup_service_min, trip.ride_work) + trip.dropoff_service_min
        if dropoff > route.break_start_min and depart < route.break_end_min:
            start = route.break_end_min
            continue
        return depart, pickup, dropoff


@inlined
def _before(sketch, n, position):
    """(free from [min], row of ``legs``) of driver ``n`` ahead of ``position``."""
    if position == 0:
        return sketch.routes[n].start_min, n
    previous = sketch.stops[n, position - 1]
    return sketch.trips[previous].dropoff_min, len(sketch.routes) + previous


@inlined
def _driving(trip, depart_min, pickup_min, dropoff_min):
    return (pickup_min - depart_min) + (dropoff_min - pickup_min - trip.pickup_service_min - trip.dropoff_service_min)


@jit
def _predict(sketch, n, first):
    """Predict the trips of route ``n`` from position ``first`` on, and what the route costs."""
    route, terms = sketch.routes[n], sketch.terms[0]
    free, place = _before(sketch, n, first)
    for position in range(first, route.num_trips):
        t = sketch.stops[n, position]
        trip = sketch.trips[t]
        depart, pickup, dropoff = _schedule(sketch, n, t, free, sketch.legs[place, t])
        trip.driver = n
        trip.driving_min, trip.pickup_min, trip.dropoff_min = _driving(trip, depart, pickup, dropoff), pickup, dropoff
        free, place = dropoff, len(sketch.routes) + t
    cost = 0.0
    for position in range(route.num_trips):
        trip = sketch.trips[sketch.stops[n, position]]
        cost += trip.driving_min + terms.lateness_weight * max(0.0, trip.pickup_min - trip.latest_min)
        cost += terms.early_weight * (trip.dropoff_min - trip.earliest_min)
    route.cost = cost
    route.is_changed = 1


@jit
def sketch_of(world: World, b, rows, weight):
    """The plans of day ``b`` as they stand; ``rows`` are the bookings that are planned and any others that may be."""
    num_drivers, num_trips = world.clocks[b].num_drivers, len(rows)
    rules = world.rules[0]
    speeds = world.speeds[b]
    sketch = Sketch(
        np.empty(num_trips, TRIP),
        np.empty(num_drivers, ROUTE),
        np.empty((num_drivers, world.plans.shape[2]), np.int32),
        np.empty((num_drivers + num_trips, num_trips)),
        speeds,
        np.empty(1, TERMS),
    )
    terms = sketch.terms[0]
    terms.inserts = rules.inserts
    terms.max_lateness_min = rules.max_lateness_min
    terms.lateness_weight = rules.insertion_lateness_weight
    terms.early_weight = weight
    terms.mean_pace = 1.0 / speeds.mean()
    terms.pace = 1.0 / speeds[0] if speeds.min() == speeds.max() else 0.0
    for t in range(num_trips):
        trip, booking = sketch.trips[t], world.bookings[b, rows[t]]
        trip.driver = NO_DRIVER
        trip.is_wheelchair = booking.is_wheelchair
        trip.earliest_min = booking.earliest_pickup_min
        trip.latest_min = booking.latest_pickup_min
        trip.pickup_service_min = booking.pickup_service_min
        trip.dropoff_service_min = booking.dropoff_service_min
        trip.ride_work = booking.ride_work
        aboard_min = trip.earliest_min + trip.pickup_service_min
        trip.first_dropoff_min = arrival(speeds, aboard_min, trip.ride_work) + trip.dropoff_service_min
        for n in range(num_drivers):
            sketch.legs[n, t] = approach(world, b, n, NO_BOOKING, rows[t])[1]
        for other in range(num_trips):
            sketch.legs[num_drivers + other, t] = approach(world, b, 0, rows[other], rows[t])[1]
    for n in range(num_drivers):
        route, driver = sketch.routes[n], world.drivers[b, n]
        under_way = 1 if driver.under_way != NO_BOOKING else 0
        route.max_trips = 0 if driver.is_out else rules.max_trips - under_way
        route.can_wheelchair = driver.can_wheelchair
        route.start_min = max(driver.free_min, world.clocks[b].now_min, driver.shift_start_min)
        route.shift_end_min = driver.shift_end_min
        route.break_start_min = driver.break_start_min
        route.break_end_min = driver.break_end_min
        route.num_trips = driver.plan_len
        for position in range(driver.plan_len):
            for t in range(num_trips):
                if rows[t] == world.plans[b, n, position]:
                    sketch.stops[n, position] = t
        _predict(sketch, n, 0)
        route.is_changed = 0
    return sketch


@jit
def _added_cost(sketch, n, t, position):
    """What trip ``t`` at ``position`` of route ``n`` adds, as in ``envs.world.plans``; NEVER where it can't be."""
    trip, route, terms = sketch.trips[t], sketch.routes[n], sketch.terms[0]
    free, place = _before(sketch, n, position)
    depart, pickup, dropoff = _schedule(sketch, n, t, free, sketch.legs[place, t])
    late = max(0.0, pickup - trip.latest_min)
    if late > terms.max_lateness_min + EPSILON_MIN or dropoff > route.shift_end_min + EPSILON_MIN:
        return NEVER
    added = _driving(trip, depart, pickup, dropoff) + terms.lateness_weight * late
    free, place = dropoff, len(sketch.routes) + t
    for later in range(position, route.num_trips):
        j = sketch.stops[n, later]
        old = sketch.trips[j]
        depart, pickup, dropoff = _schedule(sketch, n, j, free, sketch.legs[place, j])
        late = pickup - old.latest_min
        # A trip that is too late already may stay so, but not get worse.
        if late > terms.max_lateness_min + EPSILON_MIN and pickup > old.pickup_min + EPSILON_MIN:
            return NEVER
        if dropoff > route.shift_end_min + EPSILON_MIN and dropoff > old.dropoff_min + EPSILON_MIN:
            return NEVER
        added += _driving(old, depart, pickup, dropoff) - old.driving_min
        added += terms.lateness_weight * (max(0.0, late) - max(0.0, old.pickup_min - old.latest_min))
        if dropoff == old.dropoff_min:  # free again at the same time as before: the rest stands
            break
        free, place = dropoff, len(sketch.routes) + j
    return added


@jit
def _cheapest_place(sketch, t):
    """(driver, position) where trip ``t`` adds least; NO_DRIVER when it fits nowhere."""
    trip, terms = sketch.trips[t], sketch.terms[0]
    num_drivers = len(sketch.routes)
    least, best_driver, best_position = NEVER, NO_DRIVER, -1
    last_pickup = trip.latest_min + terms.max_lateness_min + EPSILON_MIN
    for n in range(num_drivers):
        route = sketch.routes[n]
        if route.num_trips >= route.max_trips or (trip.is_wheelchair and not route.can_wheelchair):
            continue
        for position in range(0 if terms.inserts else route.num_trips, route.num_trips + 1):
            free, place = _before(sketch, n, position)
            if free > last_pickup:  # and later and later along the route
                break
            detour = sketch.legs[place, t] + trip.ride_work
            if position < route.num_trips:
                j = sketch.stops[n, position]
                follower = sketch.trips[j]
                last = max(follower.latest_min + terms.max_lateness_min, follower.pickup_min)
                if trip.first_dropoff_min > last + EPSILON_MIN:  # the next trip can't wait that long
                    continue
                detour += sketch.legs[num_drivers + t, j] - sketch.legs[place, j]
            if terms.pace * detour >= least - 1e-9:  # lateness can only add to that
                continue
            cost = _added_cost(sketch, n, t, position)
            if cost < least - 1e-9:
                least, best_driver, best_position = cost, n, position
    return best_driver, best_position


@jit
def _take_out(sketch, t):
    n = sketch.trips[t].driver
    route = sketch.routes[n]
    position = 0
    while sketch.stops[n, position] != t:
        position += 1
    route.num_trips -= 1
    for later in range(position, route.num_trips):
        sketch.stops[n, later] = sketch.stops[n, later + 1]
    sketch.trips[t].driver = NO_DRIVER
    _predict(sketch, n, position)


@jit
def _put_in(sketch, n, t, position):
    route = sketch.routes[n]
    for later in range(route.num_trips, position, -1):
        sketch.stops[n, later] = sketch.stops[n, later - 1]
    sketch.stops[n, position] = t
    route.num_trips += 1
    _predict(sketch, n, position)


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
    at_min = sketch.trips[centre].earliest_min
    legs = sketch.legs[len(sketch.routes) + centre]
    pace = sketch.terms[0].mean_pace
    nearest = np.empty(MAX_REMOVED)
    num_found = 0
    for t in range(num_trips):
        u, state = _draw(state)
        distance = (pace * legs[t] + abs(sketch.trips[t].earliest_min - at_min)) * (0.5 + u)
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
    for i in range(size):
        u, state = _draw(state)
        j = i + int(u * (size - i))
        removed[i], removed[j] = removed[j], removed[i]
    return size, state


@inlined
def _copy_changed(source, target, removed, size):
    """Make the routes and trips that a round changed in either sketch in ``target`` as they are in ``source``."""
    for i in range(size):
        target.trips[removed[i]] = source.trips[removed[i]]
    for n in range(len(source.routes)):
        if source.routes[n].is_changed or target.routes[n].is_changed:
            target.routes[n] = source.routes[n]
            for position in range(source.routes[n].num_trips):
                t = source.stops[n, position]
                target.stops[n, position] = t
                target.trips[t] = source.trips[t]
            source.routes[n].is_changed = target.routes[n].is_changed = 0


@jit
def _search(sketch, kept, state, num_rounds, lost_min, best_stops, best_lens):
    """
    Write the best routes found into ``best_*``; returns their cost. ``kept``, a second sketch of the same plans, holds
    what a round goes back to.
    """
    # A function of its own: the caller keeps the arrays alive that are only borrowed here.
    sketch, kept = borrow(sketch), borrow(kept)
    num_drivers = len(sketch.routes)
    removed = np.empty(MAX_REMOVED, np.int32)
    num_out = 0
    for t in range(len(sketch.trips)):
        num_out += sketch.trips[t].driver == NO_DRIVER
    cost = lost_min * num_out
    for n in range(num_drivers):
        cost += sketch.routes[n].cost
    best_cost = cost
    _note_stops(kept, best_stops, best_lens)
    temperature = FIRST_TEMPERATURE_MIN
    cooling = (LAST_TEMPERATURE_MIN / FIRST_TEMPERATURE_MIN) ** (1.0 / num_rounds)
    for _ in range(num_rounds):
        size, state = _draw_removed(sketch, state, removed)
        new_out = num_out
        for i in range(size):
            if sketch.trips[removed[i]].driver == NO_DRIVER:
                new_out -= 1
            else:
                _take_out(sketch, removed[i])
        for i in range(size):
            driver, position = _cheapest_place(sketch, removed[i])
            if driver != NO_DRIVER:
                _put_in(sketch, driver, removed[i], position)
            else:
                new_out += 1
                if lost_min == 0.0:
                    break
        new_cost = lost_min * new_out
        for n in range(num_drivers):
            new_cost += sketch.routes[n].cost
        u, state = _draw(state)
        rise = -temperature * np.log(max(1e-12, u))
        if (lost_min > 0.0 or new_out == 0) and new_cost < cost + rise:
            cost, num_out = new_cost, new_out
            _copy_changed(sketch, kept, removed, size)
            if cost < best_cost - EPSILON_MIN:
                best_cost = cost
                _note_stops(kept, best_stops, best_lens)
        else:
            _copy_changed(kept, sketch, removed, size)
        temperature *= cooling
    return best_cost


@jit
def _note_stops(sketch, stops, lens):
    stops[:, :] = sketch.stops
    for n in range(len(sketch.routes)):
        lens[n] = sketch.routes[n].num_trips


@jit
def ruin_and_recreate(world: World, b, rows, num_rounds, lost_min):
    """
    Leave the best plans found in ``num_rounds``; ``rows`` are the bookings that are planned and any that may be.

    Best by driving, lateness and, with the ``early_weight`` of the plans as they came, minutes until trips end: driving
    alone may rise. With ``lost_min`` 0 nobody may be left out; else anybody whose place costs the plans more than that.
    Only plans and the predictions of their trips are kept right: a booking that ends without a place has ``driver``
    NO_DRIVER, its state is the caller's to set.

    Returns
    -------
    What these plans cost, ``lost_min`` for each booking left out included; 0 where there was nothing to do.
    """
    clock = world.clocks[b]
    if len(rows) < 2 or num_rounds == 0:
        return 0.0
    weight = early_weight(world, b)
    sketch = sketch_of(world, b, rows, weight)
    trips, routes, stops = sketch.trips.copy(), sketch.routes.copy(), sketch.stops.copy()
    kept = Sketch(trips, routes, stops, sketch.legs, sketch.speeds, sketch.terms)
    best_stops, best_lens = np.empty_like(stops), np.empty(clock.num_drivers, np.int32)
    state = mix(np.uint64(world.bookings[b, rows[0]].key) ^ np.uint64(np.int64(clock.now_min * 60.0)))
    cost = _search(sketch, kept, state, num_rounds, lost_min, best_stops, best_lens)
    for k in rows:
        world.bookings[b, k].driver = NO_DRIVER
    for n in range(clock.num_drivers):
        for position in range(best_lens[n]):
            best_stops[n, position] = rows[best_stops[n, position]]
        best_stops[n, best_lens[n] :] = NO_BOOKING
    restore_plans(world, b, best_stops, best_lens)
    return cost
