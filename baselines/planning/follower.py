"""Carrying out a plan made beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.orders import ORDER, Orders
from envs.world.decisions import WAIT
from envs.world.records import BookingState, World


class PlanFollower:
    """
    Orders what a plan made beforehand says, for the day in the only row; each booking is assigned at its tick.

    A trip that is assigned after one that it precedes goes ahead of that one: a booking may have to be given away
    before another becomes known that is driven first.

    Parameters
    ----------
    due
        (tick, driver, booking) of every trip of the plan, a driver's in their order.
    """

    def __init__(self, due: list[tuple[int, int, int]]) -> None:
        self._due = sorted(due, key=lambda trip: trip[0])
        self._rank = {k: rank for rank, (_, _, k) in enumerate(due)}

    def orders(self, batch: Any) -> Orders:
        """All that is due by now; with one decision per tick, the first that the driver can take."""
        world = batch.world
        now, open_min = (float(world.clocks[name][0]) for name in ("now_min", "open_min"))
        tick = round((now - open_min) / float(world.rules["tick_min"][0]))
        beyond, action = [], WAIT
        plans: dict[int, list[int]] = {}
        while self._due and self._due[0][0] <= tick and action == WAIT:
            _, n, k = self._due.pop(0)
            if int(world.rules["decisions_per_tick"][0]) == 1:
                action = action_of(world, 0, n, k)
            elif world.bookings["state"][0, k] == BookingState.OPEN:
                if n not in plans:
                    plans[n] = world.plans[0, n, : int(world.drivers["plan_len"][0, n])].tolist()
                position = sum(self._rank[j] < self._rank[k] for j in plans[n])
                plans[n].insert(position, k)
                beyond.append((0, n, k, position))
        return Orders(np.array([action], np.int64), np.array(beyond, ORDER))


def action_of(world: World, b: int, n: int, k: int) -> int:
    """The action that gives booking ``k`` to driver ``n``; to wait where it isn't shown or isn't feasible."""
    slot = np.flatnonzero(world.slots[b] == k)
    if len(slot) and world.pairs["is_feasible"][b, n, slot[0]]:
        return 1 + n * world.slots.shape[1] + int(slot[0])
    return WAIT
