"""Compiled event log: what drove, what people were told, and who did it."""

from __future__ import annotations

from envs.world.compiled import jit
from envs.world.records import NEVER, NO_DRIVER, Actor, EventKind, World

_DAY = int(Actor.DAY)
_MOVE = int(EventKind.MOVE)
_ASSIGN = int(EventKind.ASSIGN)
_GIVE_BACK = int(EventKind.GIVE_BACK)
_FREEZE = int(EventKind.FREEZE)
_PROMISE = int(EventKind.PROMISE)


@jit
def log_event(world: World, b, time_min, kind, n, k, km):
    """What drives, or what happens by itself; there is always room for it."""
    _write(world, b, time_min, kind, n, k, km, _DAY, 0.0, 0.0)


@jit
def log_told(world: World, b, kind, n, k, by, pickup_min, moved_min):
    """
    What somebody was told now, see EventKind.

    A place, a move, its loss and a freeze may come any number of times: where the log is full of them they are counted
    in ``clocks.num_unlogged`` instead.
    """
    clock = world.clocks[b]
    if kind == _ASSIGN or kind == _MOVE or kind == _GIVE_BACK or kind == _FREEZE:
        room_kept = 8 * clock.num_bookings + 3 * clock.num_drivers
        if clock.num_events + room_kept >= world.events.shape[1]:
            clock.num_unlogged += 1
            return
    _write(world, b, clock.now_min, kind, n, k, 0.0, by, pickup_min, moved_min)


@jit
def _write(world: World, b, time_min, kind, n, k, km, by, pickup_min, moved_min):
    clock = world.clocks[b]
    event = world.events[b, clock.num_events]
    event.time_min = time_min
    event.kind = kind
    event.driver = n
    event.booking = k
    event.by = by
    event.km = km
    event.pickup_min = pickup_min
    event.moved_min = moved_min
    clock.num_events += 1


@jit
def tell_promise(world: World, b, k):
    """Log that booking ``k``, planned, is promised, unless the patient has been told."""
    booking = world.bookings[b, k]
    if booking.promised_min == NEVER:
        booking.is_promised = 1
        booking.promised_min = world.clocks[b].now_min
        log_told(world, b, _PROMISE, booking.driver, k, booking.placed_by, booking.pickup_min, booking.shift_min)


@jit
def tell_no_place(world: World, b, k, by):
    """Log that booking ``k``, open again, has lost its place."""
    booking = world.bookings[b, k]
    if booking.told_driver != NO_DRIVER:
        log_told(world, b, _GIVE_BACK, booking.told_driver, k, by, booking.told_pickup_min, 0.0)
        booking.told_driver = NO_DRIVER
