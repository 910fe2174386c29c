"""
Compiled sketches: plans of a day in the few fields that a search over them needs, and the search itself.

A round of a search takes some microseconds; the records of the world are several times as large, and predicting them
keeps the books of a whole day. Plan improvement sketches the world's own plans (``ruin_recreate``), re-planners and the
hindsight plan sketch plans that exist beside it (``baselines.planning``). What differs between them is given to
``search_over``: what a trip costs, which trips a round takes out, and what plans cost as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.plans import EPSILON_MIN, fits, schedule_trip, still_fits
from envs.world.records import NEVER, NO_DRIVER, World
from envs.world.travel import approach, arrival

TRIP = np.dtype(
    [
        ("driver", np.int32),  # in whose route it is, or NO_DRIVER
        ("is_wheelchair", np.int32),
        ("is_frozen", np.int32),  # keeps its driver and its order
        ("earliest_pickup_min", np.float64),
        ("latest_pickup_min", np.float64),
        ("last_pickup_min", np.float64),  # of a frozen trip; NEVER: not frozen
        ("pickup_service_min", np.float64),
        ("dropoff_service_min", np.float64),
        ("ride_work", np.float64),
        ("ready_min", np.float64),  # nobody leaves for it before
        ("first_dropoff_min", np.float64),  # nobody can be done with it earlier
        ("lost_cost", np.float64),  # of leaving it out; NEVER: it can't be left out
        # --- in the route as it stands ----------------------------------------------------------------------------
        ("depart_min", np.float64),
        ("pickup_min", np.float64),
        ("dropoff_min", np.float64),
        ("cost", np.float64),
    ],
    align=True,
)

ROUTE = np.dtype(
    [
        ("num_trips", np.int32),
        ("max_trips", np.int32),
        ("can_wheelchair", np.int32),
        ("is_emergency", np.int32),
        ("is_changed", np.int32),  # in this round
        ("start_min", np.float64),  # when the driver is free for the first of these trips; NEVER: not on duty
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
        ("costs_driving", np.int32),  # a trip costs at least the minutes driven for it
        ("is_choosy", np.int32),  # a place must cost less than leaving the trip out
        ("blink_rate", np.float64),  # share of the places that an insertion passes over, where it does
        ("max_lateness_min", np.float64),
        ("lateness_weight", np.float64),
        ("early_weight", np.float64),  # per minute from the earliest pickup to the end of a trip
        ("pace", np.float64),  # minutes per unit of work, where the speed never changes; else 0
        ("mean_pace", np.float64),
    ],
    align=True,
)


class Sketch(NamedTuple):
    """
    Routes of N drivers over T trips; a trip's number is its place in ``trips``.

    A tuple with further fields that has these ones is a sketch too.
    """

    trips: np.ndarray  # TRIP, shape (T,)
    routes: np.ndarray  # ROUTE, shape (N,)
    stops: np.ndarray  # int32, shape (N, P): trips of each route in order, [:num_trips]
    legs: np.ndarray  # float64, shape (N + T, T): work from a driver or from the end of a trip to the pickup of a trip
    speeds: np.ndarray  # float64, shape (24,)
    terms: np.ndarray  # TERMS, shape (1,)


@jit
def sketch_terms(world: World, b, terms):
    """What the rules and the speeds of day ``b`` say."""
    rules, speeds, term = world.rules[0], world.speeds[b], terms[0]
    term.inserts = rules.inserts
    term.costs_driving = term.is_choosy = 0
    term.blink_rate = term.early_weight = 0.0
    term.max_lateness_min = rules.max_lateness_min
    term.lateness_weight = rules.insertion_lateness_weight
    term.mean_pace = 1.0 / speeds.mean()
    term.pace = 1.0 / speeds[0] if speeds.min() == speeds.max() else 0.0


@jit
def sketch_trips(world: World, b, rows, trips):
    """The bookings ``rows`` as trips that are in no route."""
    for t in range(len(rows)):
        trip, booking = trips[t], world.bookings[b, rows[t]]
        trip.driver = NO_DRIVER
        trip.is_wheelchair = booking.is_wheelchair
        trip.earliest_pickup_min = booking.earliest_pickup_min
        trip.latest_pickup_min = booking.latest_pickup_min
        trip.is_frozen = booking.is_frozen
        trip.last_pickup_min = booking.last_pickup_min
        trip.pickup_service_min = booking.pickup_service_min
        trip.dropoff_service_min = booking.dropoff_service_min
        trip.ride_work = booking.ride_work
        aboard_min = trip.earliest_pickup_min + trip.pickup_service_min
        trip.first_dropoff_min = arrival(world.speeds[b], aboard_min, trip.ride_work) + trip.dropoff_service_min


@jit
def sketch_route(world: World, b, n, route):
    """Driver ``n`` without trips, free at no time yet."""
    driver = world.drivers[b, n]
    route.num_trips = route.is_changed = 0
    route.can_wheelchair = driver.can_wheelchair
    route.is_emergency = driver.is_emergency
    route.shift_end_min = driver.shift_end_min
    route.break_start_min = driver.break_start_min
    route.break_end_min = driver.break_end_min
    route.cost = 0.0


@jit
def sketch_legs(world: World, b, rows, starts, kms, works):
    """Kilometres and work of the legs; a driver's first one leads from the drop-off of booking ``starts[n]``."""
    num_drivers = len(starts)
    for t in range(len(rows)):
        for n in range(num_drivers):
            kms[n, t], works[n, t] = approach(world, b, n, starts[n], rows[t])
        for other in range(len(rows)):
            kms[num_drivers + other, t], works[num_drivers + other, t] = approach(world, b, 0, rows[other], rows[t])


@inlined
def before(sketch, n, position):
    """(free from [min], row of ``legs``) of driver ``n`` ahead of ``position``."""
    if position == 0:
        return sketch.routes[n].start_min, n
    previous = sketch.stops[n, position - 1]
    return sketch.trips[previous].dropoff_min, len(sketch.routes) + previous


@inlined
def schedule(sketch, n, t, free_min, place):
    """(depart, pickup, dropoff) [min] of trip ``t`` for driver ``n``, free at ``free_min`` and at ``place``."""
    trip = sketch.trips[t]
    start = max(free_min, trip.ready_min)
    return schedule_trip(trip, sketch.routes[n], sketch.speeds, sketch.terms[0].pace, start, sketch.legs[place, t])


@jit
def note_stops(sketch, stops, lens):
    """Write the routes and their lengths into ``stops`` and ``lens``."""
    stops[:, :] = sketch.stops
    for n in range(len(sketch.routes)):
        lens[n] = sketch.routes[n].num_trips


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


class Moves(NamedTuple):
    """Compiled changes of sketches whose trips cost alike."""

    predict: Any  # (sketch, n, first): times and costs of the trips of a route from a position on
    added_cost: Any  # (sketch, n, t, position) -> what a trip adds there, NEVER where it can't be
    cheapest_place: Any  # (sketch, t) -> (driver, position), NO_DRIVER where it fits nowhere
    take_out: Any  # (sketch, n, first, size): trips in a row leave a route
    put_in: Any  # (sketch, n, t, position)


@inlined
def overlooks_nothing(sketch):
    return False


def moves_at(trip_cost: Callable[..., Any], overlooks: Callable[..., Any] = overlooks_nothing) -> Moves:
    """
    The changes of sketches in which a trip costs ``trip_cost``, compiled into them.

    Parameters
    ----------
    trip_cost
        Compiled (sketch, n, t, place, depart_min, pickup_min, dropoff_min) -> cost of trip ``t`` after the leg from
        row ``place`` of ``legs``.
    overlooks
        Compiled (sketch) -> whether an insertion passes over a place unseen.
    """
    predict, added_cost = _prediction(trip_cost), _insertion_walk(trip_cost)

    @jit
    def take_out(sketch, n, first, size):
        route = sketch.routes[n]
        for position in range(first, first + size):
            sketch.trips[sketch.stops[n, position]].driver = NO_DRIVER
        route.num_trips -= size
        for position in range(first, route.num_trips):
            sketch.stops[n, position] = sketch.stops[n, position + size]
        predict(sketch, n, first)

    @jit
    def put_in(sketch, n, t, position):
        route = sketch.routes[n]
        for later in range(route.num_trips, position, -1):
            sketch.stops[n, later] = sketch.stops[n, later - 1]
        sketch.stops[n, position] = t
        route.num_trips += 1
        predict(sketch, n, position)

    return Moves(predict, added_cost, _cheapest_place(added_cost, overlooks), take_out, put_in)


def _prediction(trip_cost: Callable[..., Any]) -> Any:
    @jit
    def predict(sketch, n, first):
        route, terms = sketch.routes[n], sketch.terms[0]
        free, place = before(sketch, n, first)
        for position in range(first, route.num_trips):
            t = sketch.stops[n, position]
            trip = sketch.trips[t]
            depart, pickup, dropoff = schedule(sketch, n, t, free, place)
            trip.driver = n
            trip.depart_min, trip.pickup_min, trip.dropoff_min = depart, pickup, dropoff
            trip.cost = trip_cost(sketch, n, t, place, depart, pickup, dropoff)
            free, place = dropoff, len(sketch.routes) + t
        cost = 0.0
        for position in range(route.num_trips):
            trip = sketch.trips[sketch.stops[n, position]]
            cost += trip.cost
            cost += terms.early_weight * (trip.dropoff_min - trip.earliest_pickup_min)
        route.cost = cost
        route.is_changed = 1

    return predict


def _insertion_walk(trip_cost: Callable[..., Any]) -> Any:
    @jit
    def added_cost(sketch, n, t, position):
        trip, route, terms = sketch.trips[t], sketch.routes[n], sketch.terms[0]
        free, place = before(sketch, n, position)
        depart, pickup, dropoff = schedule(sketch, n, t, free, place)
        if not fits(trip, route, terms.max_lateness_min, pickup, dropoff):
            return NEVER
        added = trip_cost(sketch, n, t, place, depart, pickup, dropoff)
        free, place = dropoff, len(sketch.routes) + t
        for later in range(position, route.num_trips):
            j = sketch.stops[n, later]
            old = sketch.trips[j]
            depart, pickup, dropoff = schedule(sketch, n, j, free, place)
            if not still_fits(old, route, terms.max_lateness_min, pickup, dropoff):
                return NEVER
            added += trip_cost(sketch, n, j, place, depart, pickup, dropoff) - old.cost
            if dropoff == old.dropoff_min:  # free again at the same time as before: the rest stands
                break
            free, place = dropoff, len(sketch.routes) + j
        return added

    return added_cost


def _cheapest_place(added_cost: Callable[..., Any], overlooks: Callable[..., Any]) -> Any:
    @jit
    def cheapest_place(sketch, t):
        trip, terms = sketch.trips[t], sketch.terms[0]
        num_drivers = len(sketch.routes)
        least, best_driver, best_position = trip.lost_cost if terms.is_choosy else NEVER, NO_DRIVER, -1
        last_pickup = trip.latest_pickup_min + terms.max_lateness_min + EPSILON_MIN
        for n in range(num_drivers):
            route = sketch.routes[n]
            if route.num_trips >= route.max_trips or (trip.is_wheelchair and not route.can_wheelchair):
                continue
            for position in range(0 if terms.inserts else route.num_trips, route.num_trips + 1):
                free, place = before(sketch, n, position)
                if free > last_pickup:  # and later and later along the route
                    break
                if overlooks(sketch):
                    continue
                detour = sketch.legs[place, t] + trip.ride_work
                if position < route.num_trips:
                    j = sketch.stops[n, position]
                    follower = sketch.trips[j]
                    last = max(follower.latest_pickup_min + terms.max_lateness_min, follower.pickup_min)
                    if trip.first_dropoff_min > last + EPSILON_MIN:  # the next trip can't wait that long
                        continue
                    detour += sketch.legs[num_drivers + t, j] - sketch.legs[place, j]
                if terms.costs_driving and terms.pace * detour >= least - 1e-9:  # lateness can only add to that
                    continue
                cost = added_cost(sketch, n, t, position)
                if cost < least - 1e-9:
                    least, best_driver, best_position = cost, n, position
        return best_driver, best_position

    return cheapest_place


@inlined
def routes_and_lost(sketch, lost):
    """What plans cost as a whole where nothing but their routes and the trips left out counts."""
    cost = lost
    for n in range(len(sketch.routes)):
        cost += sketch.routes[n].cost
    return cost


def search_over(
    moves: Moves, ruin: Callable[..., Any], whole_cost: Callable[..., Any], draw: Callable[..., Any]
) -> Any:
    """
    Ruin and recreate (Schrimpf et al. 2000), cooled as simulated annealing, as one compiled function.

    Parameters
    ----------
    ruin
        Compiled (sketch, own, state, removed) -> (size, next state): takes trips out of their routes and writes those
        to be placed into ``removed``, in the order in which they are; ``own`` is what it needs besides.
    whole_cost
        Compiled (sketch, lost) -> cost of the plans; ``lost`` is what the trips cost that they leave out.
    draw
        Compiled (state) -> (uniform on [0, 1), next state).
    """
    cheapest_place, put_in = moves.cheapest_place, moves.put_in

    @jit
    def search(sketch, kept, own, state, num_rounds, first_temperature, last_temperature, best_stops, best_lens):
        """
        Write the best routes found into ``best_*``; returns their cost. ``kept``, a second sketch of the same plans,
        holds what a round goes back to.
        """
        # A function of its own: the caller keeps the arrays alive that are only borrowed here.
        sketch, kept = borrow(sketch), borrow(kept)
        removed = np.empty(len(sketch.trips), np.int32)
        lost = 0.0
        for t in range(len(sketch.trips)):
            if sketch.trips[t].driver == NO_DRIVER:
                lost += sketch.trips[t].lost_cost
        cost = whole_cost(sketch, lost)
        best_cost = cost
        note_stops(kept, best_stops, best_lens)
        temperature = first_temperature
        cooling = (last_temperature / first_temperature) ** (1.0 / max(1, num_rounds))
        for _ in range(num_rounds):
            size, state = ruin(sketch, own, state, removed)
            new_lost = lost
            for i in range(size):
                trip = kept.trips[removed[i]]
                if trip.driver == NO_DRIVER:
                    new_lost -= trip.lost_cost
            for i in range(size):
                t = removed[i]
                driver, position = cheapest_place(sketch, t)
                if driver != NO_DRIVER:
                    put_in(sketch, driver, t, position)
                else:
                    new_lost += sketch.trips[t].lost_cost
                    if new_lost == NEVER:
                        break
            new_cost = whole_cost(sketch, new_lost)
            u, state = draw(state)
            if new_cost < cost - temperature * np.log(max(1e-12, u)):
                cost, lost = new_cost, new_lost
                _copy_changed(sketch, kept, removed, size)
                if cost < best_cost - EPSILON_MIN:
                    best_cost = cost
                    note_stops(kept, best_stops, best_lens)
            else:
                _copy_changed(kept, sketch, removed, size)
            temperature *= cooling
        return best_cost

    return search
