"""
Compiled plans: when the trips of a plan happen, what one more trip would change, and the change itself.

A plan is the trips not begun, in order; the trip under way stands before it and is fixed. A driver leaves for a pickup
so as to arrive at its earliest time, or at once when that is past.
"""

from __future__ import annotations

from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.records import NEVER, NO_BOOKING, NO_DRIVER, Actor, BookingState, World
from envs.world.travel import approach, arrival, departure

EPSILON_MIN = 1e-6  # [min] slack for rounding when a time is compared with a limit

_POLICY = int(Actor.POLICY)
_OPEN = int(BookingState.OPEN)
_PLANNED = int(BookingState.PLANNED)


@inlined
def touch(world: World, b, k):
    """List booking ``k`` as one whose reward terms may have changed in this step."""
    booking = world.bookings[b, k]
    if booking.is_touched == 0:
        booking.is_touched = 1
        clock = world.clocks[b]
        world.touched[b, clock.num_touched] = k
        clock.num_touched += 1


@inlined
def _arrival(speeds, pace, depart_min, work):
    return depart_min + pace * work if pace > 0.0 else arrival(speeds, depart_min, work)


@inlined
def schedule_trip(trip, driver, speeds, pace, free_min, work):
    """
    (depart, pickup, dropoff) [min] of ``trip`` for ``driver``, free at ``free_min``, ``work`` away from it.

    A trip that would overlap the driver's break starts after it. ``trip`` and ``driver`` are records of bookings and
    drivers, or others with the same fields. ``pace`` [min per unit of work] is a short cut for where the speed never
    changes; 0: by ``speeds``.
    """
    start = free_min
    while True:
        depart = start
        pickup = _arrival(speeds, pace, start, work)
        if pickup < trip.earliest_pickup_min:
            pickup = trip.earliest_pickup_min
            leaves = pickup - pace * work if pace > 0.0 else departure(speeds, pickup, work)
            depart = max(start, leaves)
        dropoff = _arrival(speeds, pace, pickup + trip.pickup_service_min, trip.ride_work) + trip.dropoff_service_min
        if dropoff > driver.break_start_min and depart < driver.break_end_min:
            start = driver.break_end_min
            continue
        return depart, pickup, dropoff


@inlined
def fits(trip, driver, max_lateness_min, pickup_min, dropoff_min):
    """Whether a new trip with these times is in time and within the shift."""
    is_in_time = pickup_min - trip.latest_pickup_min <= max_lateness_min + EPSILON_MIN
    return is_in_time and dropoff_min <= driver.shift_end_min + EPSILON_MIN


@inlined
def still_fits(trip, driver, max_lateness_min, pickup_min, dropoff_min):
    """Whether a planned trip may get these times: one that is too late already may stay so, but not get worse."""
    last = min(trip.latest_pickup_min + max_lateness_min, trip.last_pickup_min)
    if pickup_min - last > EPSILON_MIN and pickup_min > trip.pickup_min + EPSILON_MIN:
        return False
    return not (dropoff_min > driver.shift_end_min + EPSILON_MIN and dropoff_min > trip.dropoff_min + EPSILON_MIN)


@inlined
def _schedule(world: World, b, n, k, free_min, work):
    return schedule_trip(world.bookings[b, k], world.drivers[b, n], world.speeds[b], 0.0, free_min, work)


@inlined
def prefix(world: World, b, n, position):
    """(available [min], booking row before) of the plan of driver ``n`` at ``position``."""
    if position == 0:
        driver = world.drivers[b, n]
        return max(driver.free_min, world.clocks[b].now_min, driver.shift_start_min), NO_BOOKING
    previous = world.plans[b, n, position - 1]
    return world.bookings[b, previous].dropoff_min, previous


@jit
def project_plan(world: World, b, n, first):
    """Predict the trips of the plan of driver ``n`` from position ``first`` on and write them into the bookings."""
    available, previous = prefix(world, b, n, first)
    for position in range(first, world.drivers[b, n].plan_len):
        k = world.plans[b, n, position]
        booking = world.bookings[b, k]
        km, work = approach(world, b, n, previous, k)
        depart, pickup, dropoff = _schedule(world, b, n, k, available, work)
        booking.depart_min = depart
        booking.approach_km = km
        booking.approach_min = pickup - depart
        booking.pickup_min = pickup
        booking.dropoff_min = dropoff
        booking.driver = n
        touch(world, b, k)
        available = dropoff
        previous = k


@inlined
def trip_minutes(world: World, b, k):
    """Driving minutes of a planned trip: approach and ride, without service."""
    booking = world.bookings[b, k]
    ride_min = booking.dropoff_min - booking.dropoff_service_min - booking.pickup_min - booking.pickup_service_min
    return booking.approach_min + ride_min


@jit
def plan_cost(world: World, b, n):
    """Driving minutes + insertion_lateness_weight x lateness of the trips not begun of driver ``n``."""
    world = borrow(world)
    weight = world.rules[0].insertion_lateness_weight
    cost = 0.0
    for position in range(world.drivers[b, n].plan_len):
        k = world.plans[b, n, position]
        booking = world.bookings[b, k]
        cost += trip_minutes(world, b, k) + weight * max(0.0, booking.pickup_min - booking.latest_pickup_min)
    return cost


@jit
def total_cost(world: World, b):
    """Cost of the plans of all drivers, see ``plan_cost``."""
    cost = 0.0
    for n in range(world.clocks[b].num_drivers):
        cost += plan_cost(world, b, n)
    return cost


@inlined
def has_room(world: World, b, n, k):
    """Whether driver ``n`` could take booking ``k`` at all: still driving, room in the plan, wheelchair fit."""
    world = borrow(world)
    driver = world.drivers[b, n]
    under_way = 1 if driver.under_way != NO_BOOKING else 0
    if driver.is_out or driver.plan_len + under_way >= world.rules[0].max_trips:
        return False
    return driver.can_wheelchair or not world.bookings[b, k].is_wheelchair


@inlined
def evaluate_insertion(world: World, b, n, k, position):
    """
    What booking ``k`` at ``position`` of the plan of driver ``n`` would do.

    Returns
    -------
    (is_feasible, pickup_min, approach_km, added_km, added_driving_min, added_lateness_min, occupied_min)
        Times and distances as in PAIR. The walk along the later trips ends where nothing changes any more.
    """
    world = borrow(world)
    rules = world.rules[0]
    driver = world.drivers[b, n]
    booking = world.bookings[b, k]
    available, previous = prefix(world, b, n, position)
    km, work = approach(world, b, n, previous, k)
    depart, pickup, dropoff = _schedule(world, b, n, k, available, work)
    if not fits(booking, driver, rules.max_lateness_min, pickup, dropoff):
        return False, pickup, km, 0.0, 0.0, 0.0, 0.0
    service = booking.pickup_service_min + booking.dropoff_service_min
    added_km = km
    added_driving = (pickup - depart) + (dropoff - pickup - service)
    added_lateness = max(0.0, pickup - booking.latest_pickup_min)
    occupied = dropoff - depart
    available = dropoff
    previous = k
    for later in range(position, driver.plan_len):
        j = world.plans[b, n, later]
        old = world.bookings[b, j]
        j_km, j_work = approach(world, b, n, previous, j)
        j_depart, j_pickup, j_dropoff = _schedule(world, b, n, j, available, j_work)
        if not still_fits(old, driver, rules.max_lateness_min, j_pickup, j_dropoff):
            return False, pickup, km, 0.0, 0.0, 0.0, 0.0
        added_km += j_km - old.approach_km
        added_driving += (j_pickup - j_depart - old.approach_min) + (
            (j_dropoff - j_pickup) - (old.dropoff_min - old.pickup_min)
        )
        added_lateness += max(0.0, j_pickup - old.latest_pickup_min) - max(0.0, old.pickup_min - old.latest_pickup_min)
        occupied += (j_dropoff - j_depart) - (old.dropoff_min - old.depart_min)
        if j_dropoff == old.dropoff_min:  # free again at the same time as before: the rest of the plan stands
            break
        available = j_dropoff
        previous = j
    return True, pickup, km, added_km, added_driving, added_lateness, occupied


@inlined
def best_insertion_inlined(world: World, b, n, k):
    """
    Cheapest feasible position of booking ``k`` in the plan of driver ``n``; ties go to the earliest position.

    Returns
    -------
    (cost, position, pickup_min, approach_km, added_km, added_driving_min, added_lateness_min, occupied_min)
        ``cost`` is NEVER when no position is feasible.
    """
    rules = world.rules[0]
    best = (NEVER, -1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if not has_room(world, b, n, k):
        return best
    plan_len = world.drivers[b, n].plan_len
    booking = world.bookings[b, k]
    last_pickup = booking.latest_pickup_min + rules.max_lateness_min + EPSILON_MIN
    aboard_min = booking.earliest_pickup_min + booking.pickup_service_min
    first_dropoff = arrival(world.speeds[b], aboard_min, booking.ride_work) + booking.dropoff_service_min
    for position in range(0 if rules.inserts else plan_len, plan_len + 1):
        available, _ = prefix(world, b, n, position)
        if available > last_pickup:  # the driver is free later and later along the plan
            break
        if position < plan_len:  # the trip that would follow can't wait that long, wherever it is
            follower = world.bookings[b, world.plans[b, n, position]]
            last_follower = max(follower.latest_pickup_min + rules.max_lateness_min, follower.pickup_min) + EPSILON_MIN
            if first_dropoff > last_follower:
                continue
        feasible, pickup, km, added_km, driving, lateness, occupied = evaluate_insertion(world, b, n, k, position)
        if feasible:
            cost = driving + rules.insertion_lateness_weight * lateness
            if cost < best[0] - 1e-9:
                best = (cost, position, pickup, km, added_km, driving, lateness, occupied)
    return best


@jit
def best_insertion(world: World, b, n, k):
    """As ``best_insertion_inlined``, compiled once, for callers outside of the loop over all pairs."""
    world = borrow(world)
    return best_insertion_inlined(world, b, n, k)


@jit
def cheapest_driver(world: World, b, k):
    """(cost, driver, position) of the cheapest insertion of booking ``k``; cost NEVER when it fits nowhere."""
    best_cost, best_driver, best_position = NEVER, -1, -1
    for n in range(world.clocks[b].num_drivers):
        insertion = best_insertion(world, b, n, k)
        if insertion[0] < best_cost - 1e-9:
            best_cost, best_driver, best_position = insertion[0], n, insertion[1]
    return best_cost, best_driver, best_position


@jit
def project_insertion(world: World, b, n, k, position, out_pickup_min, out_approach_km):
    """
    Write pickup times and approach legs of the plan of driver ``n`` as they would be with ``k`` at ``position``.

    ``out_*`` hold plan_len + 1 entries, the new trip's at ``position``. Returns their number.
    """
    world = borrow(world)
    plan_len = world.drivers[b, n].plan_len
    for p in range(position):
        j = world.plans[b, n, p]
        out_pickup_min[p] = world.bookings[b, j].pickup_min
        out_approach_km[p] = world.bookings[b, j].approach_km
    available, previous = prefix(world, b, n, position)
    for p in range(position, plan_len + 1):
        j = k if p == position else world.plans[b, n, p - 1]
        km, work = approach(world, b, n, previous, j)
        _, pickup, dropoff = _schedule(world, b, n, j, available, work)
        out_pickup_min[p] = pickup
        out_approach_km[p] = km
        available = dropoff
        previous = j
    return plan_len + 1


@jit
def insert_trip(world: World, b, n, k, position):
    """Put booking ``k`` at ``position`` of the plan of driver ``n`` and predict the trips from there on."""
    driver = world.drivers[b, n]
    plan = world.plans[b, n]
    for p in range(driver.plan_len, position, -1):
        plan[p] = plan[p - 1]
    plan[position] = k
    driver.plan_len += 1
    world.bookings[b, k].state = _PLANNED
    project_plan(world, b, n, position)


@jit
def remove_trip(world: World, b, n, position):
    """Take the trip at ``position`` out of the plan of driver ``n``; the booking belongs to nobody afterwards."""
    driver = world.drivers[b, n]
    plan = world.plans[b, n]
    booking = world.bookings[b, plan[position]]
    booking.driver = NO_DRIVER
    touch(world, b, plan[position])
    driver.plan_len -= 1
    for p in range(position, driver.plan_len):
        plan[p] = plan[p + 1]
    plan[driver.plan_len] = NO_BOOKING
    project_plan(world, b, n, position)


@jit
def position_in_plan(world: World, b, n, k):
    """Where booking ``k`` stands in the plan of driver ``n``; -1 when it doesn't."""
    for position in range(world.drivers[b, n].plan_len):
        if world.plans[b, n, position] == k:
            return position
    return -1


@jit
def index_of_open(world: World, b, k):
    """Where booking ``k`` stands in the list of open bookings; -1 when it doesn't."""
    for index in range(world.clocks[b].num_open):
        if world.open_rows[b, index] == k:
            return index
    return -1


@jit
def note_plans(world: World, b, plans, lens):
    """Write the plans of all drivers and their lengths into ``plans`` and ``lens``."""
    plans[:, :] = world.plans[b]
    for n in range(world.clocks[b].num_drivers):
        lens[n] = world.drivers[b, n].plan_len


@jit
def restore_plans(world: World, b, plans, lens):
    """Put plans back as ``note_plans`` found them; what is at its place already is not predicted anew."""
    for n in range(world.clocks[b].num_drivers):
        driver = world.drivers[b, n]
        same = 0
        while same < min(driver.plan_len, lens[n]) and world.plans[b, n, same] == plans[n, same]:
            world.bookings[b, plans[n, same]].driver = n
            same += 1
        world.plans[b, n, same:] = plans[n, same:]
        driver.plan_len = lens[n]
        project_plan(world, b, n, same)


@jit
def add_open(world: World, b, k):
    """Booking ``k`` becomes open: it joins the list that is sorted by (latest pickup, row)."""
    clock = world.clocks[b]
    rows = world.open_rows[b]
    latest = world.bookings[b, k].latest_pickup_min
    p = clock.num_open
    while p > 0:
        other = rows[p - 1]
        other_latest = world.bookings[b, other].latest_pickup_min
        if other_latest < latest or (other_latest == latest and other < k):
            break
        rows[p] = other
        p -= 1
    rows[p] = k
    clock.num_open += 1
    booking = world.bookings[b, k]
    booking.state = _OPEN
    booking.driver = NO_DRIVER
    booking.placed_by = _POLICY
    booking.is_frozen = 0
    booking.last_pickup_min = NEVER
    touch(world, b, k)


@jit
def remove_open(world: World, b, index):
    """Take the booking at ``index`` out of the list of open bookings and return its row."""
    clock = world.clocks[b]
    rows = world.open_rows[b]
    k = rows[index]
    clock.num_open -= 1
    for p in range(index, clock.num_open):
        rows[p] = rows[p + 1]
    rows[clock.num_open] = NO_BOOKING
    touch(world, b, k)
    return k
