"""
What the agent sees: float32 features in [-1, 1] of drivers, bookings, pairs and clock, and the action mask.

The names below are the contract; the numbers in the compiled writers follow their order.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.expected import returns_expected
from envs.world.records import NEVER, NO_BOOKING, World

DRIVER_FEATURES = (
    "is_present",
    "east",  # where free next, from the centre, / scale_km
    "north",
    "minutes_until_free",  # / 120
    "minutes_until_plan_ends",  # / 240
    "trips_in_hand",  # trip under way and plan, / max_trips
    "minutes_of_shift_left",  # / 720
    "minutes_until_shift",  # / 120
    "is_emergency",
    "can_wheelchair",
    "feasible_share",  # of the bookings shown
    "minutes_until_departure",  # of the next trip of the plan, from when free, / 120; 1 without one
    "trips_begun",  # / 16
)
BOOKING_FEATURES = (
    "is_present",
    "pickup_east",
    "pickup_north",
    "dropoff_east",
    "dropoff_north",
    "ride_km",  # / 20
    "minutes_until_earliest",  # / 120
    "minutes_until_latest",  # / 120
    "window_min",  # / 60
    "minutes_since_release",  # / 240
    "priority",  # / 5
    "is_return",
    "is_wheelchair",
    "feasible_share",  # of the drivers
    "is_last_call",  # expires unless assigned before the next tick
)
PAIR_FEATURES = (
    "is_feasible",
    "minutes_until_pickup",  # / 120
    "lateness",  # / 30
    "spare_minutes",  # latest pickup - pickup, / 60
    "approach_km",  # / 20
    "added_km",  # / 20
    "added_driving_min",  # / 60
    "added_lateness_min",  # / 30
    "occupied_min",  # / 120
    "regret",  # / 60; 1 without another feasible driver
    "later_than_best_min",  # pickup - pickup by the driver who would be there first, / 60
    "worse_than_best_km",  # added_km - this driver's smallest added_km, / 20
    "is_first_half",  # pickup in the first half of the window
    "position",  # in the plan / max_trips
)
CLOCK_FEATURES = (
    "time",  # / 1440
    "share_of_day",  # elapsed between opening and closing
    "traffic",  # 1 - speed / fastest hour
    "open_bookings",  # / (open + drivers)
    "backlog",  # bookings beyond the slots / (backlog + M)
    "feasible_share",  # feasible pairs / (drivers x bookings shown)
    "drivers",  # present / 20
    "open_per_driver",  # / 10
)
EXPECTED_FEATURES = (  # where returns are expected before they are called: how many, with earliest pickup within
    "first_hour",  # from now, / drivers / 2
    "second_hour",
    "third_hour",
    "fourth_hour",
    "later",
)
NUM_DRIVER_FEATURES = len(DRIVER_FEATURES)
NUM_BOOKING_FEATURES = len(BOOKING_FEATURES)
NUM_PAIR_FEATURES = len(PAIR_FEATURES)
NUM_CLOCK_FEATURES = len(CLOCK_FEATURES)


def observation_space(num_drivers: int, max_bookings: int, expects_returns: bool = False) -> gym.spaces.Dict:
    """
    The Dict space of one environment; shapes as in ``allocate_observation`` without the batch axis.

    ``expected`` is there where the scenario ``expects_returns``.
    """

    def box(*shape: int) -> gym.spaces.Box:
        return gym.spaces.Box(-1.0, 1.0, shape, np.float32)

    expected = {"expected": box(len(EXPECTED_FEATURES))} if expects_returns else {}
    return gym.spaces.Dict(
        {
            "drivers": box(num_drivers, NUM_DRIVER_FEATURES),
            "bookings": box(max_bookings, NUM_BOOKING_FEATURES),
            "pairs": box(num_drivers * max_bookings, NUM_PAIR_FEATURES),
            "clock": box(NUM_CLOCK_FEATURES),
            **expected,
            "action_mask": gym.spaces.MultiBinary(num_drivers * max_bookings + 1),
        }
    )


def allocate_observation(
    batch_size: int, num_drivers: int, max_bookings: int, expects_returns: bool = False
) -> dict[str, np.ndarray]:
    """Zeroed arrays of ``batch_size`` observations: float32 features, int8 mask (row a - 1 of pairs is action a)."""
    space = observation_space(num_drivers, max_bookings, expects_returns)
    return {key: np.zeros((batch_size, *(box.shape or ())), box.dtype) for key, box in space.spaces.items()}


@inlined
def _clip(value):
    return np.float32(min(1.0, max(-1.0, value)))


@inlined
def _write_driver(world: World, b, n, scale_km, num_shown, out):
    clock = world.clocks[b]
    driver = world.drivers[b, n]
    now = clock.now_min
    free = max(driver.free_min, now, driver.shift_start_min)
    plan_end = free
    until_departure = NEVER
    if driver.plan_len > 0:
        plan_end = world.bookings[b, world.plans[b, n, driver.plan_len - 1]].dropoff_min
        until_departure = world.bookings[b, world.plans[b, n, 0]].depart_min - free
    under_way = 1 if driver.under_way != NO_BOOKING else 0
    out[0] = 0.0 if driver.is_out else 1.0
    out[1] = _clip(driver.east_km / scale_km)
    out[2] = _clip(driver.north_km / scale_km)
    out[3] = _clip((free - now) / 120.0)
    out[4] = _clip((plan_end - now) / 240.0)
    out[5] = _clip((driver.plan_len + under_way) / world.rules[0].max_trips)
    out[6] = _clip((driver.shift_end_min - now) / 720.0)
    out[7] = _clip(max(0.0, driver.shift_start_min - now) / 120.0)
    out[8] = driver.is_emergency
    out[9] = driver.can_wheelchair
    out[10] = driver.num_feasible / max(1, num_shown)
    out[11] = _clip(until_departure / 120.0)
    out[12] = _clip(driver.num_trips / 16.0)
    if driver.is_out:
        out[:] = 0.0


@inlined
def _write_booking(world: World, b, slot, scale_km, out):
    clock = world.clocks[b]
    rules = world.rules[0]
    booking = world.bookings[b, world.slots[b, slot]]
    now = clock.now_min
    out[0] = 1.0
    out[1] = _clip(booking.pickup_east_km / scale_km)
    out[2] = _clip(booking.pickup_north_km / scale_km)
    out[3] = _clip(booking.dropoff_east_km / scale_km)
    out[4] = _clip(booking.dropoff_north_km / scale_km)
    out[5] = _clip(booking.ride_km / 20.0)
    out[6] = _clip((booking.earliest_pickup_min - now) / 120.0)
    out[7] = _clip((booking.latest_pickup_min - now) / 120.0)
    out[8] = _clip((booking.latest_pickup_min - booking.earliest_pickup_min) / 60.0)
    out[9] = _clip((now - booking.release_min) / 240.0)
    out[10] = booking.priority / 5.0
    out[11] = booking.leg
    out[12] = booking.is_wheelchair
    out[13] = world.rivalries[b, slot].num_feasible / clock.num_drivers
    deadline = booking.latest_pickup_min + rules.expiry_tolerance_min
    out[14] = 1.0 if deadline < now + rules.tick_min else 0.0


@inlined
def _write_pair(world: World, b, n, slot, out):
    rules = world.rules[0]
    booking = world.bookings[b, world.slots[b, slot]]
    pair = world.pairs[b, n, slot]
    middle = 0.5 * (booking.earliest_pickup_min + booking.latest_pickup_min)
    out[0] = 1.0
    out[1] = _clip((pair.pickup_min - world.clocks[b].now_min) / 120.0)
    out[2] = _clip(pair.lateness_min / 30.0)
    out[3] = _clip((booking.latest_pickup_min - pair.pickup_min) / 60.0)
    out[4] = _clip(pair.approach_km / 20.0)
    out[5] = _clip(pair.added_km / 20.0)
    out[6] = _clip(pair.added_driving_min / 60.0)
    out[7] = _clip(pair.added_lateness_min / 30.0)
    out[8] = _clip(pair.occupied_min / 120.0)
    out[9] = _clip(pair.regret / 60.0)
    out[10] = _clip((pair.pickup_min - world.rivalries[b, slot].first_pickup_min) / 60.0)
    out[11] = _clip((pair.added_km - world.drivers[b, n].least_added_km) / 20.0)
    out[12] = 1.0 if pair.pickup_min <= middle else 0.0
    out[13] = _clip(pair.position / rules.max_trips)


@inlined
def _write_clock(world: World, b, num_shown, out):
    clock = world.clocks[b]
    speeds = world.speeds[b]
    now = clock.now_min
    backlog = clock.num_open - num_shown
    out[0] = _clip(now / 1440.0)
    out[1] = _clip((now - clock.open_min) / (clock.close_min - clock.open_min))
    out[2] = 1.0 - speeds[int(now // 60.0) % 24] / np.max(speeds)
    out[3] = clock.num_open / (clock.num_open + clock.num_drivers)
    out[4] = backlog / (backlog + world.slots.shape[1])
    out[5] = clock.num_feasible / max(1, clock.num_drivers * num_shown)
    out[6] = _clip(clock.num_drivers / 20.0)
    out[7] = _clip(clock.num_open / clock.num_drivers / 10.0)


@jit
def write_observation(world: World, b, scale_km, drivers, bookings, pairs, clock, mask):
    """Write the observation of day ``b`` into row ``b`` of each array; only rows in use or used before are touched."""
    world = borrow(world)
    num_drivers = world.clocks[b].num_drivers
    num_slots = world.slots.shape[1]
    num_shown = world.clocks[b].num_shown
    is_done = world.clocks[b].is_done
    for n in range(world.drivers.shape[1]):
        if n < num_drivers:
            _write_driver(world, b, n, scale_km, num_shown, drivers[b, n])
        elif drivers[b, n, 0] != 0.0:
            drivers[b, n, :] = 0.0
    num_used = num_shown  # slots whose rows are in use now, or were when these arrays were written last
    while num_used < num_slots and bookings[b, num_used, 0] != 0.0:
        num_used += 1
    for slot in range(num_used):
        if slot < num_shown:
            _write_booking(world, b, slot, scale_km, bookings[b, slot])
        else:
            bookings[b, slot, :] = 0.0
    for n in range(world.drivers.shape[1]):
        for slot in range(num_used):
            row = n * num_slots + slot
            if slot < num_shown and n < num_drivers and world.pairs[b, n, slot].is_feasible and not is_done:
                _write_pair(world, b, n, slot, pairs[b, row])
                mask[b, row + 1] = 1
            elif mask[b, row + 1] != 0:
                pairs[b, row, :] = 0.0
                mask[b, row + 1] = 0
    mask[b, 0] = 1
    _write_clock(world, b, num_shown, clock[b])


@jit
def write_expected(world: World, rows, expected):
    """Write EXPECTED_FEATURES of these rows into ``expected``, shape (B, len(EXPECTED_FEATURES))."""
    world = borrow(world)
    for b in rows:
        clock = world.clocks[b]
        for hour in range(len(EXPECTED_FEATURES)):
            start = clock.now_min + 60.0 * hour
            end = start + 60.0 if hour < len(EXPECTED_FEATURES) - 1 else NEVER
            expected[b, hour] = _clip(returns_expected(world, b, start, end) / clock.num_drivers / 2.0)


@jit
def write_observations(world: World, rows, scale_km, drivers, bookings, pairs, clock, mask):
    """``write_observation`` for these rows."""
    world = borrow(world)
    for b in rows:
        write_observation(world, b, scale_km, drivers, bookings, pairs, clock, mask)
