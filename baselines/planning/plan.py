"""
Compiled plans of known bookings beside the simulator: when their trips would happen and what each of them is worth.

Re-planners and the hindsight plan keep such a plan outside of the world and change nothing in it. Travel, service and
shifts are those of the simulator, hour by hour; what a trip is worth is what the reward or the cost of a day says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.plans import EPSILON_MIN, prefix, schedule_trip
from envs.world.records import NO_BOOKING, BookingState, EventKind, World
from envs.world.travel import approach
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
    ],
    align=True,
)
_COSTS = {"cost": (1.0, 0.0, 300.0), "cost_with_lateness": (1.0, 5.0, 300.0)}  # per deadhead min, late min, lost
NUM_TERMS = len(TRIP_TERMS)
_PLANNED = int(BookingState.PLANNED)
_EXPIRED = int(BookingState.EXPIRED)


class Plan(NamedTuple):
    """
    Trips to come of N drivers, up to P each, behind what the world has begun or promised already.

    ``trips[n, :lens[n]]`` are booking rows; the float arrays (N, P) say what the schedule makes of them.
    """

    trips: np.ndarray  # int32, shape (N, P)
    lens: np.ndarray  # int32, shape (N,)
    depart_min: np.ndarray
    pickup_min: np.ndarray
    dropoff_min: np.ndarray
    approach_km: np.ndarray
    worth: np.ndarray  # of the trip, beside what losing it would cost
    start_min: np.ndarray  # float64, shape (N,): when the driver is free for the first of these trips
    start_booking: np.ndarray  # int32, shape (N,): the trip before, or NO_BOOKING
    ready_min: np.ndarray  # float64, shape (K,): nobody leaves for a booking before
    lost_worth: np.ndarray  # float64, shape (K,): what leaving a booking out is worth (negative)
    bonus: np.ndarray  # float64, shape (K,): what serving it is worth beyond the reward or cost of the trip


def empty_plan(num_drivers: int, num_bookings: int, num_places: int) -> Plan:
    """A plan without trips; ``begin_plan`` puts the drivers where the world has them."""
    shape = (num_drivers, num_places)
    return Plan(
        trips=np.full(shape, NO_BOOKING, np.int32),
        lens=np.zeros(num_drivers, np.int32),
        depart_min=np.zeros(shape),
        pickup_min=np.zeros(shape),
        dropoff_min=np.zeros(shape),
        approach_km=np.zeros(shape),
        worth=np.zeros(shape),
        start_min=np.zeros(num_drivers),
        start_booking=np.full(num_drivers, NO_BOOKING, np.int32),
        ready_min=np.zeros(num_bookings),
        lost_worth=np.zeros(num_bookings),
        bonus=np.zeros(num_bookings),
    )


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


@jit
def begin_plan(world: World, b, objective, weights, plan):
    """Empty ``plan``; where and when each driver is free behind the trip under way and the trips promised."""
    world = borrow(world)
    plan = borrow(plan)
    w, o = weights[0], objective[0]
    out = np.empty(NUM_TERMS)
    plan.lens[:] = 0
    for n in range(world.clocks[b].num_drivers):
        driver = world.drivers[b, n]
        plan.start_min[n], plan.start_booking[n] = prefix(world, b, n, driver.plan_len)
        if driver.is_out:
            plan.start_min[n] = np.inf
    for k in range(world.clocks[b].num_bookings):
        if o.pays_reward:
            booking_terms(w, world.bookings[b, k], _EXPIRED, 0.0, 0.0, False, out)
            plan.lost_worth[k] = out.sum()
        else:
            plan.lost_worth[k] = -o.lost


@inlined
def trip_worth(world: World, b, o, w, plan, n, k, depart, pickup, dropoff, km, out):
    """Worth of a trip: the reward's trip terms or minus the cost, its bonus, less the prices of time."""
    if o.pays_reward:
        booking_terms(w, world.bookings[b, k], _PLANNED, pickup, km, world.drivers[b, n].is_emergency != 0, out)
        worth = out.sum()
    else:
        late_min = max(0.0, pickup - world.bookings[b, k].latest_pickup_min)
        worth = -o.deadhead_min * (pickup - depart) - o.late_min * late_min
    worth += plan.bonus[k] - o.delay_min * (pickup - o.now_min)
    return worth - o.occupied_min * (dropoff - depart)


@inlined
def _before(plan, n, position):
    """(free [min], booking row before) of driver ``n`` at ``position``."""
    if position == 0:
        return plan.start_min[n], plan.start_booking[n]
    return plan.dropoff_min[n, position - 1], plan.trips[n, position - 1]


@jit
def project(world: World, b, o, w, plan, n, first, out):
    """Schedule the trips of driver ``n`` from position ``first`` on; False when one is too late or past the shift."""
    available, previous = _before(plan, n, first)
    shift_end = world.drivers[b, n].shift_end_min + EPSILON_MIN
    fits = True
    for p in range(first, plan.lens[n]):
        k = plan.trips[n, p]
        km, work = approach(world, b, n, previous, k)
        depart, pickup, dropoff = schedule_trip(world, b, n, k, max(available, plan.ready_min[k]), work)
        latest = world.bookings[b, k].latest_pickup_min + world.rules[0].max_lateness_min
        if pickup > latest + EPSILON_MIN or dropoff > shift_end:
            fits = False
        plan.depart_min[n, p] = depart
        plan.pickup_min[n, p] = pickup
        plan.dropoff_min[n, p] = dropoff
        plan.approach_km[n, p] = km
        plan.worth[n, p] = trip_worth(world, b, o, w, plan, n, k, depart, pickup, dropoff, km, out)
        available, previous = dropoff, k
    return fits


@jit
def project_all(world: World, b, objective, weights, plan):
    """Schedule all trips of ``plan`` as they stand, feasible or not."""
    world = borrow(world)
    plan = borrow(plan)
    out = np.empty(NUM_TERMS)
    for n in range(world.clocks[b].num_drivers):
        project(world, b, objective[0], weights[0], plan, n, 0, out)


@jit
def insertion_gain(world: World, b, o, w, plan, n, k, position, out):
    """What booking ``k`` at ``position`` of driver ``n`` would add to the worth of the plan; -inf when infeasible."""
    max_lateness = world.rules[0].max_lateness_min + EPSILON_MIN
    shift_end = world.drivers[b, n].shift_end_min + EPSILON_MIN
    available, previous = _before(plan, n, position)
    km, work = approach(world, b, n, previous, k)
    depart, pickup, dropoff = schedule_trip(world, b, n, k, max(available, plan.ready_min[k]), work)
    if pickup > world.bookings[b, k].latest_pickup_min + max_lateness or dropoff > shift_end:
        return -np.inf
    gain = trip_worth(world, b, o, w, plan, n, k, depart, pickup, dropoff, km, out) - plan.lost_worth[k]
    available, previous = dropoff, k
    for p in range(position, plan.lens[n]):
        j = plan.trips[n, p]
        latest = world.bookings[b, j].latest_pickup_min + max_lateness
        if available > latest:
            return -np.inf
        km, work = approach(world, b, n, previous, j)
        depart, pickup, dropoff = schedule_trip(world, b, n, j, max(available, plan.ready_min[j]), work)
        if pickup > latest or dropoff > shift_end:
            return -np.inf
        gain += trip_worth(world, b, o, w, plan, n, j, depart, pickup, dropoff, km, out) - plan.worth[n, p]
        if dropoff == plan.dropoff_min[n, p]:
            break
        available, previous = dropoff, j
    return gain


@jit
def put_in(world: World, b, o, w, plan, n, k, position, out):
    """Booking ``k`` joins the plan of driver ``n`` at ``position``."""
    for p in range(plan.lens[n], position, -1):
        plan.trips[n, p] = plan.trips[n, p - 1]
    plan.trips[n, position] = k
    plan.lens[n] += 1
    project(world, b, o, w, plan, n, position, out)


@jit
def take_out(world: World, b, o, w, plan, n, position, out):
    """The trip at ``position`` leaves the plan of driver ``n``."""
    plan.lens[n] -= 1
    for p in range(position, plan.lens[n]):
        plan.trips[n, p] = plan.trips[n, p + 1]
    project(world, b, o, w, plan, n, position, out)


@jit
def best_place(world: World, b, o, w, plan, k, blink_rate, out):
    """(gain, driver, position) of the best place of booking ``k``; a place is overlooked with ``blink_rate``."""
    best, best_n, best_position = 0.0, -1, -1
    last_pickup = world.bookings[b, k].latest_pickup_min + world.rules[0].max_lateness_min + EPSILON_MIN
    is_wheelchair = world.bookings[b, k].is_wheelchair
    for n in range(world.clocks[b].num_drivers):
        if is_wheelchair and not world.drivers[b, n].can_wheelchair:
            continue
        if plan.lens[n] >= plan.trips.shape[1]:
            continue
        for position in range(plan.lens[n] + 1):
            available, _ = _before(plan, n, position)
            if available > last_pickup:
                break
            if blink_rate > 0.0 and np.random.random() < blink_rate:
                continue
            gain = insertion_gain(world, b, o, w, plan, n, k, position, out)
            if gain > best + 1e-9:
                best, best_n, best_position = gain, n, position
    return best, best_n, best_position


@jit
def load_trips(world: World, b, objective, weights, plan, trips, lens):
    """
    Take over somebody's trips, shape (N, any); what is not feasible in the simulator's travel is left out.

    A trip that costs more than leaving its booking out is left out too.
    """
    world = borrow(world)
    plan = borrow(plan)
    o, w = objective[0], weights[0]
    out = np.empty(NUM_TERMS)
    for n in range(world.clocks[b].num_drivers):
        plan.lens[n] = 0
        for p in range(lens[n]):
            k = trips[n, p]
            if world.bookings[b, k].is_wheelchair and not world.drivers[b, n].can_wheelchair:
                continue
            if plan.lens[n] < plan.trips.shape[1]:
                if insertion_gain(world, b, o, w, plan, n, k, plan.lens[n], out) > -np.inf:
                    put_in(world, b, o, w, plan, n, k, plan.lens[n], out)
        position = 0
        while position < plan.lens[n]:
            k = plan.trips[n, position]
            before = plan.worth[n, : plan.lens[n]].sum() - plan.lost_worth[k]
            take_out(world, b, o, w, plan, n, position, out)
            if before < plan.worth[n, : plan.lens[n]].sum():
                continue
            put_in(world, b, o, w, plan, n, k, position, out)
            position += 1


def load(world: World, b: int, objective: np.ndarray, weights: np.ndarray, plan: Plan, trips: list[list[int]]) -> None:
    """Put trips (booking rows per driver) into an empty plan; see ``load_trips``."""
    lens = np.array([len(route) for route in trips], np.int32)
    table = np.zeros((len(trips), max(1, int(lens.max(initial=0)))), np.int32)
    for n, route in enumerate(trips):
        table[n, : len(route)] = route
    load_trips(world, b, objective, weights, plan, table, lens)


def routes_of(plan: Plan) -> Routes:
    return [plan.trips[n, : plan.lens[n]].tolist() for n in range(len(plan.lens))]


def routes_driven(world: World, b: int) -> Routes:
    """Who drove which bookings in which order, from the event log of row ``b``."""
    routes: Routes = [[] for _ in range(world.drivers.shape[1])]
    events = world.events[b, : int(world.clocks["num_events"][b])]
    for event in events[events["kind"] == EventKind.DEPART]:
        routes[int(event["driver"])].append(int(event["booking"]))
    return routes
