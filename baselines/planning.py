"""
Compiled plans of known bookings beside the simulator: when their trips would happen, what they are worth, and a search.

Re-planners and the hindsight plan keep such a plan outside of the world and change nothing in it. Travel, service and
shifts are those of the simulator, hour by hour; what a trip is worth is what the reward or the cost of a day says. The
search is ruin and recreate with slack induction by string removals (Christiaens and Vanden Berghe 2020), for plans that
may leave bookings out, under simulated annealing with a number of iterations, never a time, as its budget.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.plans import EPSILON_MIN, prefix, schedule_trip
from envs.world.records import NO_BOOKING, World
from envs.world.travel import approach, arrival, departure
from reward.terms import TRIP_TERMS, booking_terms

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

SEARCH = np.dtype(
    [
        ("num_iterations", np.int64),
        ("first_temperature", np.float64),  # in the unit of the objective: minutes, points or francs
        ("last_temperature", np.float64),
        ("mean_removed", np.float64),  # trips per ruin
    ],
    align=True,
)

_NUM_TERMS = len(TRIP_TERMS)
_PLANNED = 2  # BookingState
_EXPIRED = 5
NUM_CHOICES = 5  # times by which a booking is picked up that solvers tell apart: promptly, in time, three late ones
_FAR_KM = 1000.0  # an approach that is not short

# The search, as in the paper.
MAX_STRING = 10
BLINK_RATE = 0.01


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


@jit
def begin_plan(world: World, b, objective, weights, plan):
    """Empty ``plan``; where and when each driver is free behind the trip under way and the trips promised."""
    world = borrow(world)
    plan = borrow(plan)
    w, o = weights[0], objective[0]
    out = np.empty(_NUM_TERMS)
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
    out = np.empty(_NUM_TERMS)
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
    out = np.empty(_NUM_TERMS)
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


@jit
def insert_missing(world: World, b, objective, weights, plan, rows):
    """Put each booking of ``rows`` that the plan lacks where it gains most, by latest pickup; return the worth."""
    world = borrow(world)
    plan = borrow(plan)
    o, w = objective[0], weights[0]
    out = np.empty(_NUM_TERMS)
    is_in = np.zeros(world.bookings.shape[1], np.bool_)
    for n in range(world.clocks[b].num_drivers):
        for p in range(plan.lens[n]):
            is_in[plan.trips[n, p]] = True
    latest = np.empty(len(rows))
    for i in range(len(rows)):
        latest[i] = world.bookings[b, rows[i]].latest_pickup_min
    for i in np.argsort(latest):
        k = rows[i]
        if not is_in[k]:
            _, n, position = best_place(world, b, o, w, plan, k, 0.0, out)
            if n >= 0:
                put_in(world, b, o, w, plan, n, k, position, out)
    return plan_worth(world, b, o, w, plan, rows)


@jit
def load_trips(world: World, b, objective, weights, plan, trips, lens):
    """
    Take over somebody's trips, shape (N, any); what is not feasible in the simulator's travel is left out.

    A trip that costs more than leaving its booking out is left out too.
    """
    world = borrow(world)
    plan = borrow(plan)
    o, w = objective[0], weights[0]
    out = np.empty(_NUM_TERMS)
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


@jit
def _copy(source, target, num_drivers):
    for n in range(num_drivers):
        _copy_driver(source, target, n)


@inlined
def _copy_driver(source, target, n):
    size = source.lens[n]
    target.lens[n] = size
    for p in range(size):
        target.trips[n, p] = source.trips[n, p]
        target.depart_min[n, p] = source.depart_min[n, p]
        target.pickup_min[n, p] = source.pickup_min[n, p]
        target.dropoff_min[n, p] = source.dropoff_min[n, p]
        target.approach_km[n, p] = source.approach_km[n, p]
        target.worth[n, p] = source.worth[n, p]


@jit
def _neighbours(world: World, b, rows):
    """For each of ``rows`` (by index) all of them, nearest first: driving between them and the gap between windows."""
    size = len(rows)
    near = np.empty((size, size), np.int32)
    distance = np.empty(size)
    for i in range(size):
        k = rows[i]
        for j in range(size):
            other = rows[j]
            _, there = approach(world, b, 0, k, other)
            _, back = approach(world, b, 0, other, k)
            gap = abs(world.bookings[b, k].earliest_pickup_min - world.bookings[b, other].earliest_pickup_min)
            distance[j] = min(there, back) / world.speeds[b, 12] + 0.3 * gap
        distance[i] = -1.0
        near[i] = np.argsort(distance)
    return near


@jit
def _ruin(world: World, b, o, w, plan, rows, near, mean_removed, driver_of, place_of, is_ruined, out):
    """Remove strings of trips around a booking drawn at random; the number of drivers that were ruined."""
    num_drivers = world.clocks[b].num_drivers
    planned, used = 0, 0
    for n in range(num_drivers):
        is_ruined[n] = False
        planned += plan.lens[n]
        used += plan.lens[n] > 0
        for p in range(plan.lens[n]):
            driver_of[plan.trips[n, p]] = n
            place_of[plan.trips[n, p]] = p
    if planned == 0:
        return
    longest = min(float(MAX_STRING), planned / used)
    most_strings = 4.0 * mean_removed / (1.0 + longest) - 1.0
    num_strings = max(1, int(np.random.random() * most_strings + 1.0))
    centre = np.random.randint(len(rows))
    ruined = 0
    for i in near[centre]:
        if ruined >= num_strings:
            return
        k = rows[i]
        n = driver_of[k]
        if n < 0 or is_ruined[n]:
            continue
        size = plan.lens[n]
        length = int(np.random.random() * min(float(size), longest) + 1.0)
        length = min(length, size)
        first_lowest = max(0, place_of[k] - length + 1)
        first_highest = min(place_of[k], size - length)
        first = first_lowest + np.random.randint(first_highest - first_lowest + 1)
        for p in range(first, first + length):
            driver_of[plan.trips[n, p]] = -1
        for p in range(first, size - length):
            plan.trips[n, p] = plan.trips[n, p + length]
        plan.lens[n] = size - length
        project(world, b, o, w, plan, n, first, out)
        is_ruined[n] = True
        ruined += 1


@jit
def ruin_and_recreate(world: World, b, objective, weights, plan, spare, best, rows, search, seed):
    """
    Search for a plan of more worth that serves bookings among ``rows``; ``plan`` becomes the best one found.

    ``spare`` and ``best`` are plans of the same sizes that are overwritten; ``search`` is one record of SEARCH. Returns
    the worth.
    """
    world = borrow(world)
    plan = borrow(plan)
    spare = borrow(spare)
    best = borrow(best)
    np.random.seed(seed)
    o, w = objective[0], weights[0]
    num_drivers = world.clocks[b].num_drivers
    out = np.empty(_NUM_TERMS)
    current = plan_worth(world, b, o, w, plan, rows)
    best_worth = current
    _copy(plan, best, num_drivers)
    size = len(rows)
    if size == 0:
        return current
    near = _neighbours(world, b, rows)
    driver_of = np.full(world.bookings.shape[1], -1, np.int32)
    place_of = np.zeros(world.bookings.shape[1], np.int32)
    is_changed = np.zeros(num_drivers, np.bool_)
    missing = np.empty(size, np.int32)
    key = np.empty(size)
    s = search[0]
    temperature = s.first_temperature
    cooling = (s.last_temperature / s.first_temperature) ** (1.0 / max(1, s.num_iterations))
    _copy(plan, spare, num_drivers)
    for _ in range(s.num_iterations):
        for k in rows:
            driver_of[k] = -1
        _ruin(world, b, o, w, plan, rows, near, s.mean_removed, driver_of, place_of, is_changed, out)
        num_missing = 0
        for k in rows:
            if driver_of[k] < 0:
                missing[num_missing] = k
                num_missing += 1
        order = np.random.randint(4)
        for i in range(num_missing):
            booking = world.bookings[b, missing[i]]
            if order == 0:
                key[i] = np.random.random()
            elif order == 1:
                key[i] = booking.latest_pickup_min
            elif order == 2:
                key[i] = -booking.ride_work
            else:
                key[i] = plan.lost_worth[missing[i]] - 0.1 * np.random.random()
        for i in np.argsort(key[:num_missing]):
            k = missing[i]
            _, n, position = best_place(world, b, o, w, plan, k, BLINK_RATE, out)
            if n >= 0:
                put_in(world, b, o, w, plan, n, k, position, out)
                is_changed[n] = True
        worth = plan_worth(world, b, o, w, plan, rows)
        if worth > current + temperature * np.log(max(1e-12, np.random.random())):
            current = worth
            for n in range(num_drivers):
                if is_changed[n]:
                    _copy_driver(plan, spare, n)
            if worth > best_worth + 1e-6:
                best_worth = worth
                _copy(plan, best, num_drivers)
        else:
            for n in range(num_drivers):
                if is_changed[n]:
                    _copy_driver(spare, plan, n)
        temperature *= cooling
    _copy(best, plan, num_drivers)
    return best_worth


@jit
def describe(world: World, b, objective, weights, plan, rows, minutes, cost, service, ends, worths):
    """
    What a solver of routing problems with fixed travel times has to know about the bookings ``rows``.

    A booking is one place: its service is both stops and the ride, an arc leads from a drop-off to the next pickup.
    Travel takes what it takes when the leg would be driven, as far as that is known: so as to be at the next pickup by
    its earliest time, but not before the earliest end of the trip before.

    Parameters
    ----------
    minutes, cost
        float64, shape (N + R, R): of an arc from the start of a driver or from booking r - N.
    service
        float64, shape (R,).
    ends, worths
        float64, shape (R, NUM_CHOICES): what serving the booking is worth, its approach apart, when it is picked up
        by this time; the last choice is the latest feasible one. nan where there are fewer.
    """
    world = borrow(world)
    plan = borrow(plan)
    o, w = objective[0], weights[0]
    out = np.empty(_NUM_TERMS)
    speeds = world.speeds[b]
    now = world.clocks[b].now_min
    num_drivers = world.clocks[b].num_drivers
    num_rows = world.drivers.shape[1]
    for r in range(len(rows)):
        k = rows[r]
        booking = world.bookings[b, k]
        soonest = max(now, booking.earliest_pickup_min)
        reached = arrival(speeds, soonest + booking.pickup_service_min, booking.ride_work)
        service[r] = reached + booking.dropoff_service_min - soonest
        _choices(world, b, o, w, k, service[r], out, ends[r], worths[r])
        worths[r] += plan.bonus[k]
    for r in range(len(rows)):
        k = rows[r]
        earliest = world.bookings[b, k].earliest_pickup_min
        for origin in range(num_rows + len(rows)):
            if origin < num_rows:
                if origin >= num_drivers or np.isinf(plan.start_min[origin]):
                    continue
                free = plan.start_min[origin]
                previous = plan.start_booking[origin]
                km, work = approach(world, b, origin, previous, k)
            else:
                i = rows[origin - num_rows]
                free = max(now, world.bookings[b, i].earliest_pickup_min) + service[origin - num_rows]
                km, work = approach(world, b, 0, i, k)
            reached = arrival(speeds, free, work)
            minutes[origin, r] = reached - free
            if reached < earliest:
                minutes[origin, r] = earliest - departure(speeds, earliest, work)
            cost[origin, r] = o.occupied_min * minutes[origin, r]
            if o.pays_reward:
                cost[origin, r] -= approach_worth(w, km)
            else:
                cost[origin, r] += o.deadhead_min * minutes[origin, r]


@inlined
def approach_worth(w, km):
    """The part of the reward's trip terms that the approach decides."""
    bonus = w.short_approach if km < w.short_approach_km else 0.0
    return (w.deadhead_per_km + w.cost_per_km) * km + bonus


@jit
def _choices(world: World, b, o, w, k, service, out, ends, worths):
    """When the booking can be picked up, in steps of falling worth."""
    booking = world.bookings[b, k]
    latest = booking.latest_pickup_min
    last = latest + world.rules[0].max_lateness_min
    grace = w.lateness_grace_return_min if booking.leg == 1 else w.lateness_grace_outbound_min
    ends[:] = np.nan
    worths[:] = np.nan
    graced = min(last, latest + grace) if o.pays_reward else latest
    count = 0
    for step in range(NUM_CHOICES):
        if step == 0:
            if not o.pays_reward or w.prompt_pickup == 0.0:
                continue
            end = booking.earliest_pickup_min + w.prompt_share * (latest - booking.earliest_pickup_min)
        else:
            end = graced + (last - graced) * (step - 1) / (NUM_CHOICES - 2)
        if o.pays_reward:
            booking_terms(w, booking, _PLANNED, end, _FAR_KM, False, out)
            worth = out.sum() - (w.deadhead_per_km + w.cost_per_km) * _FAR_KM
        else:
            worth = -o.late_min * max(0.0, end - latest)
        worth -= o.occupied_min * service + o.delay_min * (end - o.now_min)
        if end < world.clocks[b].now_min:
            continue
        if count > 0 and worth >= worths[count - 1] - 1e-9:
            count -= 1  # later, and worth as much
        ends[count] = end
        worths[count] = worth
        count += 1
