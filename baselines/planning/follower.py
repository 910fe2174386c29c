"""Carrying out a plan made beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np

from baselines.policy import IntArray, Policy
from envs.world.compiled import jit
from envs.world.decisions import refresh
from envs.world.plans import has_room, index_of_open, insert_trip, remove_open
from envs.world.records import World


class PlanFollower(Policy):
    """Carries out a plan made beforehand, for the day in the only row; each booking is assigned at its tick."""

    name = "plan_follower"
    description = "Carries out a given plan."

    def __init__(self, due: list[tuple[int, int, int]]) -> None:
        super().__init__()
        self._due = sorted(due)  # (tick, driver, booking)

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        world = batch.world
        actions = np.zeros(1, np.int64)
        now = float(world.clocks["now_min"][0])
        tick = round((now - float(world.clocks["open_min"][0])) / float(world.rules["tick_min"][0]))
        one_per_tick = int(world.rules["decisions_per_tick"][0]) == 1
        while self._due and self._due[0][0] <= tick and not batch.is_done[0]:
            _, n, k = self._due.pop(0)
            slot = np.flatnonzero(world.slots[0] == k)
            if len(slot) and world.pairs["is_feasible"][0, n, slot[0]]:
                if one_per_tick or world.pairs["position"][0, n, slot[0]] == world.drivers["plan_len"][0, n]:
                    actions[0] = 1 + n * batch.max_bookings + int(slot[0])
                    break
            if not one_per_tick:
                assign_last(world, 0, n, k)
        return actions


@jit
def assign_last(world: World, b, n, k):
    """Give open booking ``k`` to driver ``n`` as the last trip of the plan, if there is room, and look again."""
    clock = world.clocks[b]
    index = index_of_open(world, b, k)
    if index >= 0 and has_room(world, b, n, k):
        remove_open(world, b, index)
        insert_trip(world, b, n, k, world.drivers[b, n].plan_len)
        clock.plan_news = 1
        refresh(world, b)
