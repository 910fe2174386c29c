"""
A world is made, a day in it started, and orders are taken: assign and unassign.

``World`` is the state; ``envs.world.plans`` and ``envs.world.clock`` say what happens.
"""

from __future__ import annotations

import numpy as np

from envs.world.borrowed import borrow
from envs.world.clock import IMPROVEMENT, TICK, open_day
from envs.world.compiled import jit
from envs.world.decisions import REFRESH, STEP
from envs.world.disturbances import draw_disturbances
from envs.world.plans import add_open, index_of_open, insert_trip, position_in_plan, remove_open, remove_trip
from envs.world.promises import ANSWER
from envs.world.records import RULES, World, empty_world
from envs.world.ruin_recreate import SEARCH


def default_rules() -> np.ndarray:
    """RULES, shape (1,): the operating day's, without plan improvement."""
    rules = np.zeros(1, RULES)
    rules["tick_min"] = 5.0
    rules["skips_idle_ticks"] = 1
    rules["inserts"] = 1
    rules["max_trips"] = 16
    rules["max_lateness_min"] = 30.0
    rules["insertion_lateness_weight"] = 1.0
    return rules


def allocate_world(
    rules: np.ndarray,
    batch_size: int,
    num_drivers: int,
    num_bookings: int,
    max_bookings: int,
    has_matrix: bool = False,
) -> World:
    """As ``envs.world.records.empty_world``; what is called apart is ready then."""
    if rules["improves_plans"][0]:
        IMPROVEMENT.bind()
    if rules["improvement_moves"][0] or rules["promise_moves"][0]:
        SEARCH.bind()
    if rules["promises_at_call"][0]:
        ANSWER.bind()
    for kernel in (TICK, REFRESH, STEP):
        kernel.bind()
    return empty_world(rules, batch_size, num_drivers, num_bookings, max_bookings, has_matrix)


@jit
def start_day(world: World, b, rates, day_key):
    """Draw the disturbances and open the day that was written into row ``b``."""
    world = borrow(world)
    draw_disturbances(world, b, rates[0], day_key)
    open_day(world, b)


@jit
def assign(world: World, b, n, k, position):
    """Put the open booking ``k`` at ``position`` of the plan of driver ``n``; the caller has seen that it fits."""
    world = borrow(world)
    remove_open(world, b, index_of_open(world, b, k))
    insert_trip(world, b, n, k, position)
    world.clocks[b].plan_news = 1


@jit
def unassign(world: World, b, k):
    """Open the planned booking ``k`` again (its trip must not have begun); counted as churn."""
    world = borrow(world)
    n = world.bookings[b, k].driver
    remove_trip(world, b, n, position_in_plan(world, b, n, k))
    add_open(world, b, k)
    world.clocks[b].num_unassigned += 1
    world.clocks[b].plan_news = 1
