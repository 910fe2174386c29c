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
from envs.world.plans import has_room, index_of_open
from envs.world.records import NO_DRIVER, BookingState, World

ORDER = np.dtype([("row", np.int32), ("driver", np.int32), ("booking", np.int32), ("position", np.int32)])
LAST = -1  # position: behind all trips of the plan
TO_NOBODY = NO_DRIVER  # driver: the planned booking is given back, open again

_PLANNED = int(BookingState.PLANNED)


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
        backlog, a position in the plan, a booking given back.
    """

    actions: npt.NDArray[np.int64]
    beyond: np.ndarray = field(default_factory=no_orders)


def carry_out(world: World, beyond: np.ndarray) -> npt.NDArray[np.bool_]:
    """
    Do what the action space can't say, one after the other, and look at the days anew.

    Returns
    -------
    bool, shape (len(beyond),)
        Which orders could be carried out. The others changed nothing: the booking isn't open (or, to be given back,
        not planned), or the driver has no room for it.
    """
    is_done = np.zeros(len(beyond), np.bool_)
    if len(beyond):
        _carry_out(world, beyond, is_done)
    return is_done


@jit
def _carry_out(world: World, beyond, is_done):
    world = borrow(world)
    for i in range(len(beyond)):
        b, n, k = beyond[i].row, beyond[i].driver, beyond[i].booking
        if n == TO_NOBODY:
            is_done[i] = world.bookings[b, k].state == _PLANNED
            if is_done[i]:
                unassign(world, b, k)
        elif index_of_open(world, b, k) >= 0 and has_room(world, b, n, k):
            plan_len = world.drivers[b, n].plan_len
            position = plan_len if beyond[i].position == LAST else beyond[i].position
            is_done[i] = 0 <= position <= plan_len
            if is_done[i]:
                assign(world, b, n, k, position)
    for i in range(len(beyond)):
        if is_done[i]:
            refresh(world, beyond[i].row)
