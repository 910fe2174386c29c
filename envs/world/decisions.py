"""
Compiled decisions: which bookings are shown, what each pair would do, and what an action sets going.

Action 0 waits; action a > 0 gives the booking in slot (a - 1) % M to driver (a - 1) // M.
"""

from __future__ import annotations

from envs.world.apart import Apart
from envs.world.borrowed import borrow
from envs.world.clock import TICK, forget_touched
from envs.world.compiled import inlined, jit
from envs.world.plans import best_insertion_inlined, insert_trip, remove_open
from envs.world.records import NEVER, NO_BOOKING, World

WAIT = 0

_tick = TICK.call


@inlined
def _evaluate_pair(world: World, b, n, slot):
    pair = world.pairs[b, n, slot]
    k = world.slots[b, slot]
    cost, position, pickup, approach_km, added_km, driving, lateness, occupied = best_insertion_inlined(world, b, n, k)
    if cost == NEVER:
        pair.is_feasible = 0
        return
    pair.is_feasible = 1
    pair.position = position
    pair.pickup_min = pickup
    pair.lateness_min = max(0.0, pickup - world.bookings[b, k].latest_pickup_min)
    pair.approach_km = approach_km
    pair.added_km = added_km
    pair.added_driving_min = driving
    pair.added_lateness_min = lateness
    pair.occupied_min = occupied
    pair.cost = cost


@jit
def _compare(world: World, b):
    """What the feasible pairs of a slot and of a driver have in common, regrets, and the number of feasible pairs."""
    clock = world.clocks[b]
    num_shown = clock.num_shown
    for slot in range(num_shown):
        rivalry = world.rivalries[b, slot]
        rivalry.num_feasible = 0
        rivalry.cheapest = -1
        rivalry.cost = NEVER
        rivalry.next_cost = NEVER
        rivalry.first_pickup_min = NEVER
    clock.num_feasible = 0
    for n in range(clock.num_drivers):
        driver = world.drivers[b, n]
        driver.num_feasible = 0
        driver.least_added_km = NEVER
        for slot in range(num_shown):
            pair = world.pairs[b, n, slot]
            if not pair.is_feasible:
                continue
            driver.num_feasible += 1
            driver.least_added_km = min(driver.least_added_km, pair.added_km)
            rivalry = world.rivalries[b, slot]
            rivalry.num_feasible += 1
            rivalry.first_pickup_min = min(rivalry.first_pickup_min, pair.pickup_min)
            if pair.cost < rivalry.cost:
                rivalry.next_cost = rivalry.cost
                rivalry.cost = pair.cost
                rivalry.cheapest = n
            elif pair.cost < rivalry.next_cost:
                rivalry.next_cost = pair.cost
        clock.num_feasible += driver.num_feasible
    for n in range(clock.num_drivers):
        if world.drivers[b, n].num_feasible > 0:
            for slot in range(num_shown):
                pair = world.pairs[b, n, slot]
                if pair.is_feasible:
                    rivalry = world.rivalries[b, slot]
                    pair.regret = (rivalry.next_cost if n == rivalry.cheapest else rivalry.cost) - pair.cost


@inlined
def _show_slots(world: World, b):
    """The slots show the first M open bookings by (latest pickup, row). Returns how many showed one before."""
    clock = world.clocks[b]
    num_before = clock.num_shown
    clock.num_shown = min(clock.num_open, world.slots.shape[1])
    for slot in range(clock.num_shown):
        world.slots[b, slot] = world.open_rows[b, slot]
    for slot in range(clock.num_shown, num_before):
        world.slots[b, slot] = NO_BOOKING
    return num_before


@inlined
def _clear_pairs(world: World, b, num_before):
    """The pairs of slots that show no booking any more."""
    for n in range(world.clocks[b].num_drivers):
        for slot in range(world.clocks[b].num_shown, num_before):
            world.pairs[b, n, slot].is_feasible = 0


@jit
def _refresh(world: World, b):
    num_before = _show_slots(world, b)
    for n in range(world.clocks[b].num_drivers):
        for slot in range(world.clocks[b].num_shown):
            _evaluate_pair(world, b, n, slot)
    _clear_pairs(world, b, num_before)
    _compare(world, b)


REFRESH = Apart(_refresh)
_refresh_apart = REFRESH.call


@jit
def refresh(world: World, b):
    """Show the slots and evaluate every pair of day ``b`` anew."""
    _refresh_apart(borrow(world), b)


@jit
def _refresh_after_assignment(world: World, b, changed, emptied):
    """
    As ``refresh``, when the clock stood still: only driver ``changed`` has another plan and slot ``emptied`` closed up.

    The pairs of the other drivers move one slot down with their bookings.
    """
    num_before = _show_slots(world, b)
    clock = world.clocks[b]
    for n in range(clock.num_drivers):
        if n == changed:
            for slot in range(clock.num_shown):
                _evaluate_pair(world, b, n, slot)
        else:
            for slot in range(emptied, num_before - 1):
                world.pairs[b, n, slot] = world.pairs[b, n, slot + 1]
            if clock.num_shown == num_before:  # a booking of the backlog has moved up
                _evaluate_pair(world, b, n, clock.num_shown - 1)
    _clear_pairs(world, b, num_before)
    _compare(world, b)


@jit
def to_next_decision(world: World, b):
    """Where idle ticks are skipped, move on until a pair is feasible or the day is over."""
    world = borrow(world)
    clock = world.clocks[b]
    refresh(world, b)
    if not world.rules[0].skips_idle_ticks:
        return
    while clock.num_feasible == 0 and not clock.is_done:
        _tick(world, b)
        refresh(world, b)


@jit
def to_next_decisions(world: World, rows):
    """``to_next_decision`` for these rows."""
    world = borrow(world)
    for b in rows:
        to_next_decision(world, b)


@jit
def _step_day(world: World, b, action):
    clock = world.clocks[b]
    forget_touched(world, b)
    clock.was_infeasible = 0
    clock.was_idle_wait = 0
    clock.was_assigned = 0
    clock.elapsed_min = 0.0
    if clock.is_done:
        return
    rules = world.rules[0]
    before = clock.now_min
    num_slots = world.slots.shape[1]
    clock.num_decisions += 1
    clock.decisions_this_tick += 1
    n = (action - 1) // num_slots
    slot = (action - 1) % num_slots
    if action != WAIT and world.pairs[b, n, slot].is_feasible:
        position = world.pairs[b, n, slot].position
        k = remove_open(world, b, slot)
        insert_trip(world, b, n, k, position)
        clock.plan_news = 1
        clock.was_assigned = 1
        if rules.decisions_per_tick == 0 or clock.decisions_this_tick < rules.decisions_per_tick:
            _refresh_after_assignment(world, b, n, slot)
            if clock.num_feasible > 0 or not rules.skips_idle_ticks:
                return
    else:
        if action != WAIT:
            clock.was_infeasible = 1
            clock.num_infeasible += 1
        if clock.num_feasible > 0:
            clock.was_idle_wait = 1
            clock.num_idle_waits += 1
    _tick(world, b)
    to_next_decision(world, b)
    clock.elapsed_min = clock.now_min - before


STEP = Apart(_step_day, num_numbers=1)
_step_day_apart = STEP.call


@jit
def step_day(world: World, b, action):
    """
    One decision of day ``b``. An infeasible action is counted and acts as wait.

    Nothing happens on a day that is over.
    """
    _step_day_apart(borrow(world), b, action)


@jit
def step_days(world: World, actions):
    """``step_day`` for every day side by side."""
    world = borrow(world)
    for b in range(world.clocks.shape[0]):
        step_day(world, b, actions[b])
