"""
Compiled plans of known bookings beside the simulator: when their trips would happen and what each of them is worth.

Re-planners and the hindsight plan keep such a plan outside of the world and change nothing in it. It is a sketch
(``envs.world.sketch``) with the simulator's travel, service, breaks and shifts; a trip costs what the reward or the
cost of a day says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.plans import prefix
from envs.world.promises import LOST_PROMISE_MIN, LOST_WISH_MIN
from envs.world.records import NEVER, NO_DRIVER, BookingState, EventKind, World
from envs.world.sketch import ROUTE, TERMS, TRIP, moves_at, sketch_legs, sketch_route, sketch_terms, sketch_trips
from reward.terms import TRIP_TERMS, booking_terms

Routes = list[list[int]]  # per driver row: bookings in the order of their pickups

OBJECTIVE = np.dtype(
    [
        ("pays_reward", np.int32),  # worth by the reward's trip terms, else by the three costs below
        ("deadhead_min", np.float64),  # cost per minute of approach
        ("late_min", np.float64),  # cost per minute late
        ("lost", np.float64),  # cost of a booking left out
        ("occupied_min", np.float64),  # price per minute of driver time: approach, service and ride
        ("delay_min", np.float64),  # price per minute from now to the pickup
        ("now_min", np.float64),
        ("has_end_terms", np.int32),  # the plan is the whole day, so the reward's terms of the day count
        ("one_decision_per_tick", np.int32),  # the whole day again: each trip needs a tick of its own to be assigned in
        ("may_wait", np.int32),  # and again: drivers leave later than they could where that costs less
    ],
    align=True,
)
_COSTS = {"cost": (1.0, 0.0, 300.0), "cost_with_lateness": (1.0, 5.0, 300.0)}  # per deadhead min, late min, lost
NUM_TERMS = len(TRIP_TERMS)
_PLANNED = int(BookingState.PLANNED)
_EXPIRED = int(BookingState.EXPIRED)
_UNRELEASED = int(BookingState.UNRELEASED)


class Plan(NamedTuple):
    """
    Trips to come of N drivers behind what the world has begun or promised already: a sketch of R bookings.

    Routes have room for all of them.
    """

    trips: np.ndarray  # TRIP, shape (R,)
    routes: np.ndarray  # ROUTE, shape (N,)
    stops: np.ndarray  # int32, shape (N, max(1, R))
    legs: np.ndarray  # float64, shape (N + R, R)
    speeds: np.ndarray
    terms: np.ndarray
    kms: np.ndarray  # float64, shape (N + R, R): as ``legs``, in km
    rows: np.ndarray  # int32, shape (R,): the bookings
    bookings: np.ndarray  # BOOKING, shape (K,): of the day
    bonus: np.ndarray  # float64, shape (R,): what serving a booking is worth beyond the reward or cost of the trip
    objective: np.ndarray  # OBJECTIVE, shape (1,)
    weights: np.ndarray  # WEIGHTS_DTYPE, shape (1,)
    rules: np.ndarray  # RULES, shape (1,)
    clock: np.ndarray  # CLOCK, shape (1,)
    pay: np.ndarray  # float64, shape (NUM_TERMS,): work space


def make_objective(judged_by: str, weights: np.ndarray | None) -> np.ndarray:
    """
    OBJECTIVE, shape (1,): what plans are judged by, the same as the day.

    Parameters
    ----------
    judged_by
        ``reward``, then ``weights`` (WEIGHTS_DTYPE) are needed, ``cost`` or ``cost_with_lateness`` (``envs.kpis``).
    """
    objective = np.zeros(1, OBJECTIVE)
    if judged_by == "reward":
        if weights is None:
            raise ValueError("a re-planner judged by the reward needs one. Pass --reward v2, or --objective cost.")
        objective["pays_reward"] = 1
    else:
        objective["deadhead_min"], objective["late_min"], objective["lost"] = _COSTS[judged_by]
    return objective


def make_plan(
    world: World,
    b: int,
    objective: np.ndarray,
    weights: np.ndarray,
    rows: np.ndarray,
    ready_min: np.ndarray | float,
    bonus: np.ndarray | float = 0.0,
) -> Plan:
    """
    A plan without trips, of the bookings ``rows``; drivers are where the world has them when they have done their part.

    Parameters
    ----------
    ready_min
        Minutes since midnight, one or shape (R,): nobody leaves for a booking before.
    bonus
        See ``Plan``.
    """
    num_drivers, size = int(world.clocks["num_drivers"][b]), len(rows)
    legs = np.zeros((num_drivers + size, size))
    plan = Plan(
        trips=np.zeros(size, TRIP),
        routes=np.zeros(num_drivers, ROUTE),
        stops=np.zeros((num_drivers, max(1, size)), np.int32),
        legs=legs,
        speeds=world.speeds[b],
        terms=np.zeros(1, TERMS),
        kms=np.zeros_like(legs),
        rows=np.ascontiguousarray(rows, np.int32),
        bookings=world.bookings[b],
        bonus=np.broadcast_to(np.asarray(bonus, np.float64), size).copy(),
        objective=objective,
        weights=weights,
        rules=world.rules,
        clock=world.clocks[b : b + 1],
        pay=np.zeros(NUM_TERMS),
    )
    _begin(world, b, plan)
    plan.trips["ready_min"] = ready_min
    return plan


@jit
def num_fixed(world: World, b, n):
    """
    How many trips at the head of the plan of driver ``n`` are no longer anybody's to plan.

    All of them where a place is a promise; where promises are given at the call, those up to the last frozen one.
    """
    plan_len = world.drivers[b, n].plan_len
    if not world.rules[0].promises_at_call:
        return plan_len
    fixed = 0
    for position in range(plan_len):
        if world.bookings[b, world.plans[b, n, position]].is_frozen:
            fixed = position + 1
    return fixed


@jit
def _begin(world: World, b, plan):
    world = borrow(world)
    plan = borrow(plan)
    num_drivers = len(plan.routes)
    sketch_terms(world, b, plan.terms)
    plan.terms[0].inserts = plan.terms[0].is_choosy = 1
    sketch_trips(world, b, plan.rows, plan.trips)
    starts = np.empty(num_drivers, np.int32)
    for n in range(num_drivers):
        route, driver = plan.routes[n], world.drivers[b, n]
        sketch_route(world, b, n, route)
        route.max_trips = len(plan.rows)
        route.start_min, starts[n] = prefix(world, b, n, num_fixed(world, b, n))
        if driver.is_out:
            route.start_min = NEVER
    sketch_legs(world, b, plan.rows, starts, plan.kms, plan.legs)
    for t in range(len(plan.rows)):
        plan.trips[t].lost_cost = lost_cost(plan, plan.rows[t])


@jit
def lost_cost(plan, k):
    """What leaving out booking ``k`` of the day costs; a wish or a promise at the call more than any detour."""
    o, w = plan.objective[0], plan.weights[0]
    if plan.rules[0].promises_at_call and plan.bookings[k].state != _UNRELEASED:
        return LOST_PROMISE_MIN if plan.bookings[k].is_promised else LOST_WISH_MIN
    if not o.pays_reward:
        return o.lost
    booking_terms(w, plan.bookings[k], _EXPIRED, 0.0, 0.0, False, plan.pay)
    return -plan.pay.sum()


@inlined
def trip_cost(plan, n, t, place, depart_min, pickup_min, dropoff_min):
    """Minus the reward's trip terms, or the cost; less the trip's bonus, and the prices of time."""
    o, w = plan.objective[0], plan.weights[0]
    if o.pays_reward:
        booking, is_emergency = plan.bookings[plan.rows[t]], plan.routes[n].is_emergency != 0
        booking_terms(w, booking, _PLANNED, pickup_min, plan.kms[place, t], is_emergency, plan.pay)
        cost = -plan.pay.sum()
    else:
        late_min = max(0.0, pickup_min - plan.trips[t].latest_pickup_min)
        cost = o.deadhead_min * (pickup_min - depart_min) + o.late_min * late_min
    cost += o.delay_min * (pickup_min - o.now_min) - plan.bonus[t]
    return cost + o.occupied_min * (dropoff_min - depart_min)


@inlined
def waiting_saves(plan):
    """
    Whether leaving later may cost less: where minutes of approach count and the speed changes by the hour.

    Everything else that a trip costs can only grow with its pickup (``reward.weights`` sees to that).
    """
    o = plan.objective[0]
    return plan.terms[0].pace == 0.0 and not o.pays_reward and o.deadhead_min > 0.0


@inlined
def blinks(plan):
    return plan.terms[0].blink_rate > 0.0 and np.random.random() < plan.terms[0].blink_rate


MOVES = moves_at(trip_cost, blinks)
_predict, _take_out, _put_in = MOVES.predict, MOVES.take_out, MOVES.put_in
_added_cost, _cheapest_place = MOVES.added_cost, MOVES.cheapest_place


@jit
def set_routes(plan, stops, lens):
    """Take over routes as they stand, feasible or not."""
    plan = borrow(plan)
    for t in range(len(plan.trips)):
        plan.trips[t].driver = NO_DRIVER
    for n in range(len(plan.routes)):
        plan.routes[n].num_trips = lens[n]
        plan.stops[n, : lens[n]] = stops[n, : lens[n]]
        _predict(plan, n, 0)


@jit
def _load(plan, stops, lens, drops_costly):
    plan = borrow(plan)
    for t in range(len(plan.trips)):
        plan.trips[t].driver = NO_DRIVER
    for n in range(len(plan.routes)):
        route = plan.routes[n]
        route.num_trips = 0
        route.cost = 0.0
        if route.start_min == NEVER:  # dropped out
            continue
        for p in range(lens[n]):
            t = stops[n, p]
            if plan.trips[t].is_wheelchair and not route.can_wheelchair:
                continue
            if plan.trips[t].driver == NO_DRIVER and _added_cost(plan, n, t, route.num_trips) < NEVER:
                _put_in(plan, n, t, route.num_trips)
        position = 0
        while drops_costly and position < route.num_trips:
            t = plan.stops[n, position]
            saved = route.cost
            _take_out(plan, n, position, 1)
            saved -= route.cost
            if saved <= plan.trips[t].lost_cost:
                _put_in(plan, n, t, position)
                position += 1


def load(plan: Plan, routes: Routes, drops_costly: bool = True) -> None:
    """
    Make these the trips (booking rows per driver); what is not feasible or not among the bookings is left out.

    With ``drops_costly`` a trip that costs more than leaving its booking out is left out too.
    """
    _load(plan, *as_stops(plan, routes), drops_costly)


def as_stops(plan: Plan, routes: Routes) -> tuple[np.ndarray, np.ndarray]:
    """Routes of booking rows as stops and lengths of ``plan``, without the bookings that it doesn't know."""
    index = {int(k): t for t, k in enumerate(plan.rows)}
    known = [[index[k] for k in route if k in index] for route in routes]
    stops, lens = np.zeros_like(plan.stops), np.zeros(len(plan.routes), np.int32)
    for n, route in enumerate(known[: len(lens)]):
        stops[n, : len(route)] = route
        lens[n] = len(route)
    return stops, lens


@jit
def insert_missing(plan):
    """Put each booking that the plan lacks where it costs least, by latest pickup."""
    plan = borrow(plan)
    latest = np.empty(len(plan.trips))
    for t in range(len(latest)):
        latest[t] = plan.trips[t].latest_pickup_min
    for t in np.argsort(latest):
        if plan.trips[t].driver == NO_DRIVER:
            n, position = _cheapest_place(plan, t)
            if n != NO_DRIVER:
                _put_in(plan, n, t, position)


def routes_of(plan: Plan) -> Routes:
    """Booking rows per driver."""
    return [plan.rows[stops[:size]].tolist() for stops, size in zip(plan.stops, plan.routes["num_trips"], strict=True)]


def routes_driven(world: World, b: int) -> Routes:
    """Who drove which bookings in which order, from the event log of row ``b``."""
    routes: Routes = [[] for _ in range(world.drivers.shape[1])]
    events = world.events[b, : int(world.clocks["num_events"][b])]
    for event in events[events["kind"] == EventKind.DEPART]:
        routes[int(event["driver"])].append(int(event["booking"]))
    return routes
