"""
Compiled promises: what is told to patients and drivers, and kept from then on.

A *wish* is an open booking that nobody has answered. Where wishes are answered at the call (``promises_at_call``), the
desk does so at the end of the tick: what the policy has placed is promised; what it has left open gets the cheapest
place, or one that a search makes without taking anybody else's, or is refused. A promised booking keeps a place,
whatever the planner does. Elsewhere a booking is promised when it gets its first place, and may lose it again.

A trip that leaves within ``freeze_min`` is *frozen*: it keeps its driver and its order behind other frozen trips, and
no insertion delays its pickup by more than ``freeze_slack_min``. Locking a trip by hand is the same.
"""

from __future__ import annotations

from envs.world.apart import Apart
from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.log import log_event, log_told, tell_no_place, tell_promise
from envs.world.plans import (
    EPSILON_MIN,
    add_open,
    cheapest_driver,
    index_of_open,
    insert_trip,
    remove_open,
)
from envs.world.records import MOVE_MIN, NO_DRIVER, Actor, BookingState, EventKind, World
from envs.world.ruin_recreate import SEARCH

LOST_WISH_MIN = 1e5  # [min] what a search for a place takes a wish to be worth: more than any detour
LOST_PROMISE_MIN = 1e6  # the same for a promised booking that has lost its driver

_search_plans = SEARCH.call
_DAY, _DESK = int(Actor.DAY), int(Actor.DESK)
_EXPIRED = int(BookingState.EXPIRED)
_REFUSED, _BROKEN = int(BookingState.REFUSED), int(BookingState.BROKEN)
_EVENT_ASSIGN, _EVENT_MOVE = int(EventKind.ASSIGN), int(EventKind.MOVE)
_EVENT_REFUSE, _EVENT_BREAK, _EVENT_EXPIRE = int(EventKind.REFUSE), int(EventKind.BREAK), int(EventKind.EXPIRE)
_EVENT_FREEZE = int(EventKind.FREEZE)


@jit
def log_changes(world: World, b, by):
    """
    Log what differs from what was told: a place, another driver or a pickup moved by more than MOVE_MIN, a place lost.

    ``by`` changed what had been told; who gave a first place stands in the booking.
    """
    clock = world.clocks[b]
    for n in range(clock.num_drivers):
        for position in range(world.drivers[b, n].plan_len):
            k = world.plans[b, n, position]
            booking = world.bookings[b, k]
            moved = booking.pickup_min - booking.told_pickup_min
            if booking.told_driver == NO_DRIVER:
                tell_promise(world, b, k)
                log_told(world, b, _EVENT_ASSIGN, n, k, booking.placed_by, booking.pickup_min, 0.0)
            elif booking.told_driver != n or abs(moved) > MOVE_MIN:
                log_told(world, b, _EVENT_MOVE, n, k, by, booking.pickup_min, moved)
            else:
                continue
            booking.told_driver = n
            booking.told_pickup_min = booking.pickup_min
    for index in range(clock.num_open):
        tell_no_place(world, b, world.open_rows[b, index], by)


@jit
def lose(world: World, b, k, time_min):
    """Booking ``k``, in no list any more, is lost: a wish that nobody answered is refused, a promise broken."""
    booking = world.bookings[b, k]
    at_call = world.rules[0].promises_at_call
    if at_call and not booking.is_promised:
        booking.state = _REFUSED
        log_event(world, b, time_min, _EVENT_REFUSE, NO_DRIVER, k, 0.0)
        return
    if booking.is_promised:
        log_event(world, b, time_min, _EVENT_BREAK, NO_DRIVER, k, 0.0)
    booking.state = _BROKEN if at_call else _EXPIRED
    log_event(world, b, time_min, _EVENT_EXPIRE, NO_DRIVER, k, 0.0)


@jit
def refuse(world: World, b, k, by):
    """The open wish ``k`` is told that nobody can come."""
    remove_open(world, b, index_of_open(world, b, k))
    world.bookings[b, k].state = _REFUSED
    log_told(world, b, _EVENT_REFUSE, NO_DRIVER, k, by, 0.0, 0.0)


@jit
def move_window(world: World, b, k, shift_min):
    """The window of the open wish ``k`` becomes the one wished, moved by ``shift_min``."""
    booking = world.bookings[b, k]
    remove_open(world, b, index_of_open(world, b, k))
    booking.earliest_pickup_min += shift_min - booking.shift_min
    booking.latest_pickup_min += shift_min - booking.shift_min
    booking.shift_min = shift_min
    add_open(world, b, k)


@jit
def give_place(world: World, b, k):
    """
    The desk promises the open booking ``k`` the place where it costs least or, when it fits nowhere, one that a search
    makes; whether there is one.
    """
    booking = world.bookings[b, k]
    _, n, position = cheapest_driver(world, b, k)
    if n >= 0:
        remove_open(world, b, index_of_open(world, b, k))
        insert_trip(world, b, n, k, position)
    elif world.rules[0].promise_moves > 0:
        _search_for_place(world, b, k)
    if booking.driver == NO_DRIVER:
        return False
    booking.is_promised = 1
    booking.placed_by = _DESK
    world.clocks[b].plan_news = 1
    return True


@jit
def _search_for_place(world: World, b, k):
    clock = world.clocks[b]
    num_rows = 0
    for n in range(clock.num_drivers):
        for position in range(world.drivers[b, n].plan_len):
            world.rows[b, num_rows] = world.plans[b, n, position]
            num_rows += 1
    world.rows[b, num_rows] = k
    clock.num_rows, clock.search_rounds = num_rows + 1, world.rules[0].promise_moves
    clock.search_lost_min = LOST_PROMISE_MIN if world.bookings[b, k].is_promised else LOST_WISH_MIN
    _search_plans(world, b)


@jit
def look_after_promised(world: World, b):
    """Promised bookings that have lost their driver get a place, if there is one."""
    rows = world.open_rows[b, : world.clocks[b].num_open].copy()
    for k in rows:
        if world.bookings[b, k].is_promised and index_of_open(world, b, k) >= 0:
            give_place(world, b, k)


@jit
def answer_wishes(world: World, b):
    """Every wish is promised or refused; a promised booking that has lost its driver is looked after first."""
    world = borrow(world)
    clock = world.clocks[b]
    for n in range(clock.num_drivers):
        for position in range(world.drivers[b, n].plan_len):
            world.bookings[b, world.plans[b, n, position]].is_promised = 1  # told at the end of the tick
    look_after_promised(world, b)
    rows = world.open_rows[b, : clock.num_open].copy()
    for k in rows:
        if not world.bookings[b, k].is_promised and not give_place(world, b, k):
            refuse(world, b, k, _DESK)


ANSWER = Apart(answer_wishes)


@jit
def freeze(world: World, b, k, by):
    """From now on booking ``k`` keeps its driver and its order; also what a dispatcher's lock does."""
    booking = world.bookings[b, k]
    if not booking.is_frozen:
        booking.is_frozen = 1
        booking.last_pickup_min = booking.pickup_min + world.rules[0].freeze_slack_min
        log_told(world, b, _EVENT_FREEZE, booking.driver, k, by, booking.pickup_min, 0.0)


@jit
def freeze_trips(world: World, b):
    """Freeze what leaves within ``freeze_min``."""
    until = world.clocks[b].now_min + world.rules[0].freeze_min + EPSILON_MIN
    for n in range(world.clocks[b].num_drivers):
        for position in range(world.drivers[b, n].plan_len):
            k = world.plans[b, n, position]
            if world.bookings[b, k].depart_min > until:
                break
            freeze(world, b, k, _DAY)
