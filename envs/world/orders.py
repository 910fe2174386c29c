"""
A world is made, a day in it started, and orders are taken: assign and unassign.

``World`` is the state; ``envs.world.plans`` and ``envs.world.clock`` say what happens.
"""

from __future__ import annotations

import numpy as np

from envs.world.borrowed import borrow
from envs.world.clock import open_day
from envs.world.compiled import jit
from envs.world.disturbances import draw_disturbances
from envs.world.plans import add_open, index_of_open, insert_trip, position_in_plan, remove_open, remove_trip
from envs.world.records import BOOKING, CLOCK, DRIVER, EVENT, NO_BOOKING, PAIR, RIVALRY, RULES, World


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
    """A World of zeroed arrays for ``batch_size`` days of up to N drivers and K bookings; M is ``max_bookings``."""
    matrix = (batch_size, num_drivers + 2 * num_bookings, num_bookings) if has_matrix else (batch_size, 1, 1)
    # Events: depart, pickup, drop-off for a booking; depart, abandon, drop-out for a driver who drops out.
    num_events = 3 * num_bookings + 3 * num_drivers
    return World(
        rules=rules,
        clocks=np.zeros(batch_size, CLOCK),
        drivers=np.zeros((batch_size, num_drivers), DRIVER),
        bookings=np.zeros((batch_size, num_bookings), BOOKING),
        plans=np.full((batch_size, num_drivers, int(rules["max_trips"][0])), NO_BOOKING, np.int32),
        speeds=np.ones((batch_size, 24)),
        km=np.zeros(matrix, np.float32),
        work=np.zeros(matrix, np.float32),
        touched=np.zeros((batch_size, num_bookings), np.int32),
        events=np.zeros((batch_size, num_events), EVENT),
        slots=np.full((batch_size, max_bookings), NO_BOOKING, np.int32),
        rivalries=np.zeros((batch_size, max_bookings), RIVALRY),
        pairs=np.zeros((batch_size, num_drivers, max_bookings), PAIR),
        open_rows=np.full((batch_size, num_bookings), NO_BOOKING, np.int32),
    )


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
