"""
What a policy answers, and the one place where it is carried out.

A policy only reads the world; whoever runs it gives the orders. So the same policy may be asked about a day that is
played and about a live one, where asking must change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.decisions import refresh
from envs.world.orders import assign, unassign
from envs.world.plans import (
    add_open,
    evaluate_insertion,
    has_room,
    index_of_open,
    note_plans,
    remove_open,
    restore_plans,
)
from envs.world.promises import refuse
from envs.world.records import NO_DRIVER, Actor, BookingState, World

ORDER = np.dtype([("row", np.int32), ("driver", np.int32), ("booking", np.int32), ("position", np.int32)])
LAST = -1  # position: behind all trips of the plan
TO_NOBODY = NO_DRIVER  # driver: the planned booking is given back, open again
REFUSE = -2  # driver: the open wish is told that nobody can come

_PLANNED = int(BookingState.PLANNED)
_HELD = -1  # no state of a booking: planned before and after
_POLICY = int(Actor.POLICY)


def no_orders() -> np.ndarray:
    """ORDER, shape (0,)."""
    return np.zeros(0, ORDER)


@dataclass(frozen=True)
class Orders:
    """
    What is to be done before the clock moves on.

    Attributes
    ----------
    actions
        int64, shape (B,): one order per day out of the action space, 0 waits; carried out last.
    beyond
        ORDER, any number: what the action space can't say, in the order in which it is to be done: a booking of the
        backlog, a position in the plan, a booking given back, a wish refused.
    """

    actions: npt.NDArray[np.int64]
    beyond: np.ndarray = field(default_factory=no_orders)


def carry_out(world: World, beyond: np.ndarray) -> npt.NDArray[np.bool_]:
    """
    Do what the action space can't say, one after the other, and look at the days anew.

    Where wishes are answered at the call, the orders of a day leave every booking that had a place with one, or none of
    them is carried out: so a plan can be exchanged for another one, but no promise broken.

    Returns
    -------
    bool, shape (len(beyond),)
        Which orders were carried out. The others changed nothing: the booking isn't open (or, to be given back, not
        planned or frozen; or, to be refused, promised), or it doesn't fit into the plan at that position.
    """
    is_done = np.zeros(len(beyond), np.bool_)
    if len(beyond):
        _carry_out(world, beyond, is_done)
    return is_done


@jit
def _carry_out(world: World, beyond, is_done):
    world = borrow(world)
    at_call = world.rules[0].promises_at_call
    was_seen = np.zeros(world.clocks.shape[0], np.bool_)
    for first in range(len(beyond)):
        b = beyond[first].row
        if was_seen[b]:
            continue
        was_seen[b] = True
        plans, lens = np.empty_like(world.plans[b]), np.empty(world.clocks[b].num_drivers, np.int32)
        note_plans(world, b, plans, lens)
        num_unassigned = world.clocks[b].num_unassigned
        for i in range(first, len(beyond)):
            if beyond[i].row == b:
                is_done[i] = _carry_out_one(world, beyond[i])
        if at_call and _has_lost_a_place(world, b, plans, lens):
            _put_back(world, b, plans, lens)
            world.clocks[b].num_unassigned = num_unassigned
            for i in range(first, len(beyond)):
                if beyond[i].row == b and beyond[i].driver != REFUSE:
                    is_done[i] = False
        refresh(world, b)


@jit
def _carry_out_one(world: World, order):
    b, n, k = order.row, order.driver, order.booking
    booking = world.bookings[b, k]
    if n == TO_NOBODY:
        if booking.state != _PLANNED or booking.is_frozen:
            return False
        unassign(world, b, k)
        return True
    if index_of_open(world, b, k) < 0:
        return False
    if n == REFUSE:
        if booking.is_promised:
            return False
        refuse(world, b, k, _POLICY)
        return True
    plan_len = world.drivers[b, n].plan_len
    position = plan_len if order.position == LAST else order.position
    if not (has_room(world, b, n, k) and 0 <= position <= plan_len):
        return False
    if not evaluate_insertion(world, b, n, k, position)[0]:
        return False
    assign(world, b, n, k, position)
    return True


@jit
def _has_lost_a_place(world: World, b, plans, lens):
    for n in range(len(lens)):
        for position in range(lens[n]):
            if world.bookings[b, plans[n, position]].state != _PLANNED:
                return True
    return False


@jit
def _put_back(world: World, b, plans, lens):
    """The plans are again what they were; whoever got a place since then is open again."""
    for n in range(len(lens)):
        for position in range(lens[n]):
            k = plans[n, position]
            if world.bookings[b, k].state != _PLANNED:
                remove_open(world, b, index_of_open(world, b, k))
            world.bookings[b, k].state = _HELD
    for n in range(len(lens)):
        for position in range(world.drivers[b, n].plan_len):
            k = world.plans[b, n, position]
            if world.bookings[b, k].state != _HELD:
                add_open(world, b, k)
    for n in range(len(lens)):
        for position in range(lens[n]):
            world.bookings[b, plans[n, position]].state = _PLANNED
    restore_plans(world, b, plans, lens)
