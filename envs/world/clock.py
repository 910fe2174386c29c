"""
Compiled clock: what happens between one tick and the next.

Trips begin, patients are picked up and dropped off, bookings are released, cancelled and expire, drivers drop out.
A trip that would begin exactly at the next tick has not begun there: it can still be re-sequenced, unless it is frozen.
"""

from __future__ import annotations

from envs.world.apart import Apart
from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.improvement import improve_plans
from envs.world.log import log_event, log_told, tell_no_place
from envs.world.plans import EPSILON_MIN, add_open, project_plan, remove_open, remove_trip, touch
from envs.world.promises import ANSWER, freeze_trips, log_changes, lose
from envs.world.records import NEVER, NO_BOOKING, NO_DRIVER, Actor, BookingState, EventKind, World
from envs.world.travel import approach, arrival

_UNDER_WAY = int(BookingState.UNDER_WAY)
_SERVED = int(BookingState.SERVED)
_CANCELLED = int(BookingState.CANCELLED)
_NO_SHOW = int(BookingState.NO_SHOW)

_EVENT_DEPART = int(EventKind.DEPART)
_EVENT_PICKUP = int(EventKind.PICKUP)
_EVENT_DROPOFF = int(EventKind.DROPOFF)
_EVENT_CANCEL = int(EventKind.CANCEL)
_EVENT_NO_SHOW = int(EventKind.NO_SHOW)
_EVENT_ABANDON = int(EventKind.ABANDON)
_EVENT_DROP_OUT = int(EventKind.DROP_OUT)
_EVENT_RELEASE = int(EventKind.RELEASE)
_BY_DAY, _BY_POLICY, _BY_PLANNER = int(Actor.DAY), int(Actor.POLICY), int(Actor.PLANNER)


@jit
def open_day(world: World, b):
    """Set the dynamic part of the clock and release what is known at opening; the day's given part is in place."""
    clock = world.clocks[b]
    clock.now_min = clock.open_min
    clock.decisions_this_tick = 0
    clock.num_open = 0
    clock.num_released = 0
    clock.num_feasible = 0
    clock.is_done = 0
    clock.plan_news = 0
    clock.num_touched = 0
    clock.num_events = 0
    clock.num_unlogged = 0
    clock.elapsed_min = 0.0
    clock.was_infeasible = 0
    clock.was_idle_wait = 0
    clock.was_assigned = 0
    clock.num_decisions = 0
    clock.num_infeasible = 0
    clock.num_idle_waits = 0
    clock.num_unassigned = 0
    clock.num_moved = 0
    clock.num_spare = 0
    world.plans[b, :, :] = NO_BOOKING
    clock.num_shown = 0
    world.slots[b, :] = NO_BOOKING
    for n in range(world.pairs.shape[1]):
        for slot in range(world.pairs.shape[2]):
            world.pairs[b, n, slot].is_feasible = 0
    world.open_rows[b, :] = NO_BOOKING
    _release(world, b, clock.open_min)
    _expire(world, b, clock.open_min)
    forget_touched(world, b)


@jit
def forget_touched(world: World, b):
    world = borrow(world)
    clock = world.clocks[b]
    for t in range(clock.num_touched):
        world.bookings[b, world.touched[b, t]].is_touched = 0
    clock.num_touched = 0


@jit
def _release(world: World, b, until):
    clock = world.clocks[b]
    while clock.num_released < clock.num_bookings:
        k = clock.num_released
        if world.bookings[b, k].release_min > until:
            break
        clock.num_released += 1
        add_open(world, b, k)
        booking = world.bookings[b, k]
        log_told(world, b, _EVENT_RELEASE, NO_DRIVER, k, _BY_DAY, booking.earliest_pickup_min, 0.0)


@jit
def _expire(world: World, b, until):
    """Open bookings past their latest pickup + tolerance are lost; one that is due exactly now can still be assigned"""
    clock = world.clocks[b]
    tolerance = world.rules[0].expiry_tolerance_min
    while clock.num_open > 0:
        deadline = world.bookings[b, world.open_rows[b, 0]].latest_pickup_min + tolerance
        if deadline >= until:
            break
        lose(world, b, remove_open(world, b, 0), deadline)


@jit
def _begin_trip(world: World, b, n):
    driver = world.drivers[b, n]
    k = world.plans[b, n, 0]
    booking = world.bookings[b, k]
    _, work = approach(world, b, n, NO_BOOKING, k)
    speeds = world.speeds[b]
    if booking.approach_noise == 1.0 and booking.ride_noise == 1.0:
        booking.true_pickup_min = booking.pickup_min
        booking.true_dropoff_min = booking.dropoff_min
    else:
        reached = arrival(speeds, booking.depart_min, work * booking.approach_noise)
        booking.true_pickup_min = max(booking.earliest_pickup_min, reached)
        booking.true_dropoff_min = (
            arrival(
                speeds, booking.true_pickup_min + booking.pickup_service_min, booking.ride_work * booking.ride_noise
            )
            + booking.dropoff_service_min
        )
    booking.state = _UNDER_WAY
    touch(world, b, k)
    log_event(world, b, booking.depart_min, _EVENT_DEPART, n, k, 0.0)
    driver.under_way = k
    driver.has_patient = 0
    driver.free_min = booking.dropoff_min
    driver.xyz[:] = booking.dropoff_xyz
    driver.east_km = booking.dropoff_east_km
    driver.north_km = booking.dropoff_north_km
    driver.place = world.drivers.shape[1] + k
    driver.num_trips += 1
    driver.plan_len -= 1
    plan = world.plans[b, n]
    for p in range(driver.plan_len):
        plan[p] = plan[p + 1]
    plan[driver.plan_len] = NO_BOOKING


@jit
def _expect(world: World, b, n, pickup_min, dropoff_min):
    """Correct the prediction of the trip under way; the plan behind it moves along."""
    driver = world.drivers[b, n]
    booking = world.bookings[b, driver.under_way]
    booking.pickup_min = pickup_min
    booking.dropoff_min = dropoff_min
    touch(world, b, driver.under_way)
    if driver.free_min != dropoff_min:
        driver.free_min = dropoff_min
        project_plan(world, b, n, 0)


@jit
def _dropoff_after(world: World, b, k, pickup_min):
    booking = world.bookings[b, k]
    left = pickup_min + booking.pickup_service_min
    return arrival(world.speeds[b], left, booking.ride_work) + booking.dropoff_service_min


@jit
def _carry_on(world: World, b, n, until):
    """Carry the trip under way of driver ``n`` on to ``until``; True when it has ended by then."""
    driver = world.drivers[b, n]
    k = driver.under_way
    booking = world.bookings[b, k]
    if not driver.has_patient:
        if booking.true_pickup_min > until:
            if booking.pickup_min < until:  # overdue: expected any moment
                _expect(world, b, n, until, _dropoff_after(world, b, k, until))
            return False
        if booking.is_no_show:
            waited = booking.true_pickup_min + booking.pickup_service_min
            log_event(world, b, waited, _EVENT_NO_SHOW, n, k, booking.approach_km)
            booking.state = _NO_SHOW
            driver.xyz[:] = booking.pickup_xyz
            driver.east_km = booking.pickup_east_km
            driver.north_km = booking.pickup_north_km
            driver.place = world.drivers.shape[1] + world.bookings.shape[1] + k
            _expect(world, b, n, booking.true_pickup_min, waited)
            driver.under_way = NO_BOOKING
            project_plan(world, b, n, 0)
            return True
        driver.has_patient = 1
        log_event(world, b, booking.true_pickup_min, _EVENT_PICKUP, n, k, booking.approach_km)
        if booking.pickup_min != booking.true_pickup_min:
            _expect(world, b, n, booking.true_pickup_min, _dropoff_after(world, b, k, booking.true_pickup_min))
    if booking.true_dropoff_min > until:
        if booking.dropoff_min < until:
            _expect(world, b, n, booking.pickup_min, until)
        return False
    if booking.dropoff_min != booking.true_dropoff_min:
        _expect(world, b, n, booking.pickup_min, booking.true_dropoff_min)
    booking.state = _SERVED
    touch(world, b, k)
    log_event(world, b, booking.dropoff_min, _EVENT_DROPOFF, n, k, booking.ride_km)
    driver.under_way = NO_BOOKING
    driver.has_patient = 0
    return True


@jit
def _drive(world: World, b, n, until):
    """Carry out the plan of driver ``n`` up to ``until``."""
    driver = world.drivers[b, n]
    while True:
        if driver.under_way != NO_BOOKING:
            if not _carry_on(world, b, n, until):
                return
        if driver.plan_len == 0 or world.bookings[b, world.plans[b, n, 0]].depart_min >= until:
            return
        _begin_trip(world, b, n)


@jit
def _cancel(world: World, b, until):
    """Cancellations reach the dispatcher at the tick; a trip begun by then is carried out."""
    clock = world.clocks[b]
    index = 0
    while index < clock.num_open:
        k = world.open_rows[b, index]
        if world.bookings[b, k].cancel_min <= until:
            remove_open(world, b, index)
            world.bookings[b, k].state = _CANCELLED
            log_event(world, b, until, _EVENT_CANCEL, NO_DRIVER, k, 0.0)
        else:
            index += 1
    for n in range(clock.num_drivers):
        position = 0
        while position < world.drivers[b, n].plan_len:
            k = world.plans[b, n, position]
            if world.bookings[b, k].cancel_min <= until:
                remove_trip(world, b, n, position)
                world.bookings[b, k].state = _CANCELLED
                log_event(world, b, until, _EVENT_CANCEL, n, k, 0.0)
                clock.plan_news = 1
            else:
                position += 1


@jit
def _drop_out(world: World, b, n, until):
    """Driver ``n`` is gone: trips not begun are open again, a patient aboard is delivered by a spare vehicle."""
    clock = world.clocks[b]
    driver = world.drivers[b, n]
    driver.is_out = 1
    log_event(world, b, until, _EVENT_DROP_OUT, n, NO_BOOKING, 0.0)
    while driver.plan_len > 0:
        k = world.plans[b, n, driver.plan_len - 1]
        remove_trip(world, b, n, driver.plan_len - 1)
        add_open(world, b, k)
        tell_no_place(world, b, k, _BY_DAY)
    k = driver.under_way
    if k == NO_BOOKING:
        return
    booking = world.bookings[b, k]
    if driver.has_patient:
        booking.by_spare = 1
        clock.num_spare += 1
        return
    driven = booking.approach_km
    if booking.true_pickup_min > booking.depart_min:
        driven *= min(1.0, (until - booking.depart_min) / (booking.true_pickup_min - booking.depart_min))
    log_event(world, b, until, _EVENT_ABANDON, n, k, driven)
    driver.under_way = NO_BOOKING
    driver.num_trips -= 1
    driver.free_min = until
    add_open(world, b, k)
    tell_no_place(world, b, k, _BY_DAY)


@jit
def advance(world: World, b, until):
    """Move the clock of day ``b`` to ``until`` [min], one tick ahead; at closing the day is driven to its end."""
    clock = world.clocks[b]
    for n in range(clock.num_drivers):
        _drive(world, b, n, until)
    clock.now_min = until
    _release(world, b, until)
    if clock.has_disturbances:
        _cancel(world, b, until)
        for n in range(clock.num_drivers):
            if not world.drivers[b, n].is_out and world.drivers[b, n].drop_out_min <= until:
                _drop_out(world, b, n, until)
    _expire(world, b, until)


@jit
def close_day(world: World, b):
    """What is still open or unreleased is lost; assigned trips are driven to the end."""
    clock = world.clocks[b]
    while clock.num_open > 0:
        lose(world, b, remove_open(world, b, 0), clock.now_min)
    for k in range(clock.num_released, clock.num_bookings):
        touch(world, b, k)
        lose(world, b, k, clock.now_min)
    for n in range(clock.num_drivers):
        _drive(world, b, n, NEVER)
    clock.is_done = 1


_answer_wishes = ANSWER.call
IMPROVEMENT = Apart(improve_plans)
_improve_plans = IMPROVEMENT.call


@jit
def _improve(world: World, b):
    """Improve the plans where there is something new in them, or somebody open who may be brought in."""
    clock = world.clocks[b]
    rules = world.rules[0]
    may_bring_in = rules.improvement_lost_min > 0.0 and clock.num_open > 0
    if rules.improves_plans and (clock.plan_news or may_bring_in):
        _improve_plans(world, b)
        clock.plan_news = 0


@jit
def tick(world: World, b):
    """Move the clock by one tick; at closing the day ends."""
    world = borrow(world)
    clock = world.clocks[b]
    rules = world.rules[0]
    until = min(clock.now_min + rules.tick_min, clock.close_min)
    if rules.promises_at_call:
        _answer_wishes(world, b)
    improves_first = rules.improvement_moves > 0 or rules.promises_at_call
    if improves_first:  # before anyone leaves or is told, so that what was placed at this tick is placed well
        _improve(world, b)
    log_changes(world, b, _BY_PLANNER if improves_first and rules.improves_plans else _BY_POLICY)
    if rules.freeze_min > 0.0:
        freeze_trips(world, b)
    advance(world, b, until)
    if clock.has_disturbances:
        log_changes(world, b, _BY_DAY)
    if not improves_first and rules.improves_plans:
        _improve(world, b)
        log_changes(world, b, _BY_PLANNER)
    clock.decisions_this_tick = 0
    if until >= clock.close_min - EPSILON_MIN:
        close_day(world, b)


TICK = Apart(tick)
_tick = TICK.call


@jit
def move_on(world: World, b):
    """``tick`` for callers in Python."""
    _tick(borrow(world), b)
