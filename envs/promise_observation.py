"""
What the agent at the promise desk sees: each window that could be offered, the caller and the fleet, and the mask.

As in ``envs.observation`` the names are the contract, float32 in [-1, 1], in the order of the columns.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.desk import Desk
from envs.world.records import NO_BOOKING, World
from envs.world.ruin_recreate import minutes_taken, share_taken
from envs.world.travel import arrival

OPTION_FEATURES = (  # a window; a row of zeros where it can't be offered
    "cost",  # of the cheapest insertion: added driving + weighted lateness, min / 120; refusal: of a lost booking
    "above_cheapest",  # cost + discomfort, minus the least of the caller's options, min / 60
    "shift",  # min / 60
    "shift_size",  # its absolute value
    "lateness",  # of the pickup after the window, min / 30
    "taken_before",  # share of the drivers' time that trips take in the hour before the window; 1: nobody on duty
    "taken_within",  # in the window, 30 min of it at least
    "taken_after",  # in the hour after that
    "gap_share",  # drivers who could begin 40 min without a trip in the window / drivers
    "expected",  # bookings still to be announced, from 30 min before to 30 min after it, per driver on duty, / 2
    "excess",  # max(0, taken_within + 0.5 x expected - 0.8)
    "ride",  # min / 60
    "is_refusal",  # the last row
)
CALLER_FEATURES = (
    "is_return",
    "is_wheelchair",
    "priority",  # / 5
    "minutes_until_wish",  # until its window begins, / 240
    "window_min",  # / 60
    "ride",  # min / 60
    "has_appointment",
)
FLEET_FEATURES = (
    "time",  # / 1440
    "share_of_day",  # elapsed between opening and closing
    "drivers",  # present / 20
    "share_taken",  # of the drivers' time in the next two hours
    "open",  # callers not answered yet / (the same + drivers)
)
GAP_MIN = 40.0  # [min] without a trip that count as room for one; about a trip with its way there
LEAST_WINDOW_MIN = 30.0  # [min] a window bound by an appointment may be as short as a moment
HOUR_MIN, AROUND_MIN = 60.0, 30.0
FULL_SHARE, MINUTES_PER_BOOKING = 0.8, 0.5  # excess: the share of an hour that a booking to come takes, from trials


def promise_space(num_shifts: int) -> gym.spaces.Dict:
    """The Dict space of one environment; row j of ``options`` is action j, the last one refuses."""

    def box(*shape: int) -> gym.spaces.Box:
        return gym.spaces.Box(-1.0, 1.0, shape, np.float32)

    return gym.spaces.Dict(
        {
            "options": box(num_shifts + 1, len(OPTION_FEATURES)),
            "caller": box(len(CALLER_FEATURES)),
            "fleet": box(len(FLEET_FEATURES)),
            "action_mask": gym.spaces.MultiBinary(num_shifts + 1),
        }
    )


def allocate_promise_observation(batch_size: int, num_shifts: int) -> dict[str, np.ndarray]:
    """Zeroed arrays of ``batch_size`` observations: float32 features, int8 mask."""
    space = promise_space(num_shifts)
    return {key: np.zeros((batch_size, *(box.shape or ())), box.dtype) for key, box in space.spaces.items()}


@inlined
def _clip(value):
    return np.float32(min(1.0, max(-1.0, value)))


@jit
def time_taken(world: World, b, start_min, end_min):
    """
    (share of the drivers' time that trips take, drivers on duty on average) between two times, now or later.

    As ``share_taken``, for any stretch: shifts are respected, breaks aren't looked at, and expected returns count. With
    nobody on duty the share is 1.
    """
    clock = world.clocks[b]
    start_min = max(start_min, clock.now_min)
    if end_min <= start_min:
        return 1.0, 0.0
    taken, present = minutes_taken(world, b, start_min, end_min)
    if present == 0.0:
        return 1.0, 0.0
    return taken / present, present / (end_min - start_min)


@jit
def has_gap(world: World, b, n, start_min, end_min):
    """Whether driver ``n`` could begin GAP_MIN without a trip between these two times."""
    driver = world.drivers[b, n]
    if driver.is_out:
        return False
    free_min = max(driver.free_min, world.clocks[b].now_min, driver.shift_start_min)
    for position in range(driver.plan_len + 1):
        until_min = driver.shift_end_min
        if position < driver.plan_len:
            until_min = min(until_min, world.bookings[b, world.plans[b, n, position]].depart_min)
        begin_min = max(free_min, start_min)
        if begin_min > end_min:
            return False
        if until_min - begin_min >= GAP_MIN:
            return True
        if position < driver.plan_len:
            free_min = world.bookings[b, world.plans[b, n, position]].dropoff_min
    return False


@jit
def bookings_to_come(forecast, now_min, start_min, end_min):
    """
    Bookings with the earliest pickup in [start, end) that are still to be announced, expected.

    Parameters
    ----------
    forecast
        float64, shape (T, T): of a day in T equal parts, entry (i, j) says how many bookings with the earliest pickup
        in part j aren't announced yet when part i begins. Straight lines between these moments, evenly in a part.
    """
    size = len(forecast)
    width_min = 1440.0 / size
    at = min(max(now_min / width_min, 0.0), size - 1.0)
    row = int(at)
    following, share = min(row + 1, size - 1), at - row
    start_min = max(start_min, now_min)
    expected = 0.0
    for column in range(max(0, int(start_min // width_min)), size):
        overlap_min = min(end_min, (column + 1) * width_min) - max(start_min, column * width_min)
        if overlap_min <= 0.0:
            break
        number = (1.0 - share) * forecast[row, column] + share * forecast[following, column]
        expected += overlap_min / width_min * number
    return expected


@jit
def _write_option(world: World, desk: Desk, b, j, forecast, out):
    clock = world.clocks[b]
    option = desk.options[b, j]
    booking = world.bookings[b, desk.calls[b].wish]
    begin_min = booking.earliest_pickup_min + option.shift_min
    end_min = max(booking.latest_pickup_min + option.shift_min, begin_min + LEAST_WINDOW_MIN)
    before, _ = time_taken(world, b, begin_min - HOUR_MIN, begin_min)
    within, on_duty = time_taken(world, b, begin_min, end_min)
    after, _ = time_taken(world, b, end_min, end_min + HOUR_MIN)
    if begin_min <= clock.now_min:  # there is no hour before
        before = within
    num_gaps = 0
    for n in range(clock.num_drivers):
        num_gaps += has_gap(world, b, n, begin_min, end_min)
    to_come = bookings_to_come(forecast, clock.now_min, begin_min - AROUND_MIN, end_min + AROUND_MIN)
    expected = to_come / max(1.0, on_duty)
    leaves_min = option.pickup_min + booking.pickup_service_min
    out[0] = _clip(option.cost / 120.0)
    out[1] = _clip(option.above_cheapest / 60.0)
    out[2] = _clip(option.shift_min / 60.0)
    out[3] = _clip(abs(option.shift_min) / 60.0)
    out[4] = _clip(option.lateness_min / 30.0)
    out[5] = _clip(before)
    out[6] = _clip(within)
    out[7] = _clip(after)
    out[8] = num_gaps / clock.num_drivers
    out[9] = _clip(expected / 2.0)
    out[10] = _clip(max(0.0, within + MINUTES_PER_BOOKING * expected - FULL_SHARE))
    out[11] = _clip((arrival(world.speeds[b], leaves_min, booking.ride_work) - leaves_min) / 60.0)
    out[12] = 0.0


@jit
def _write_refusal(desk: Desk, b, ride, out):
    settings, call = desk.settings[0], desk.calls[b]
    cheapest = desk.options[b, call.cheapest]
    least = cheapest.cost + settings.discomfort_per_min * abs(cheapest.shift_min)
    out[:] = 0.0
    out[0] = _clip(settings.lost_cost / 120.0)
    out[1] = _clip((settings.lost_cost - least) / 60.0)
    out[11] = ride
    out[12] = 1.0


@jit
def _write_caller(world: World, b, k, ride, out):
    booking = world.bookings[b, k]
    out[0] = booking.leg
    out[1] = booking.is_wheelchair
    out[2] = booking.priority / 5.0
    out[3] = _clip((booking.earliest_pickup_min - world.clocks[b].now_min) / 240.0)
    out[4] = _clip((booking.latest_pickup_min - booking.earliest_pickup_min) / 60.0)
    out[5] = ride
    out[6] = 1.0 if booking.appointment_min == booking.appointment_min else 0.0  # nan: none


@jit
def _write_fleet(world: World, b, out):
    clock = world.clocks[b]
    num_wishes, num_present = 0, 0
    for index in range(clock.num_open):
        num_wishes += 1 - world.bookings[b, world.open_rows[b, index]].is_promised
    for n in range(clock.num_drivers):
        num_present += 1 - world.drivers[b, n].is_out
    out[0] = _clip(clock.now_min / 1440.0)
    out[1] = _clip((clock.now_min - clock.open_min) / (clock.close_min - clock.open_min))
    out[2] = _clip(num_present / 20.0)
    out[3] = _clip(share_taken(world, b))
    out[4] = num_wishes / (num_wishes + clock.num_drivers)


@jit
def write_promise_observation(world: World, desk: Desk, b, forecast, options, caller, fleet, mask):
    """Write the observation of day ``b`` into row ``b`` of each array; of a day that is over the fleet alone."""
    world, desk = borrow(world), borrow(desk)
    num_shifts = len(desk.shifts)
    k = desk.calls[b].wish
    mask[b, num_shifts] = 1
    _write_fleet(world, b, fleet[b])
    if k == NO_BOOKING:
        options[b, :, :] = 0.0
        caller[b, :] = 0.0
        mask[b, :num_shifts] = 0
        return
    booking = world.bookings[b, k]
    leaves_min = booking.earliest_pickup_min + booking.pickup_service_min
    ride = _clip((arrival(world.speeds[b], leaves_min, booking.ride_work) - leaves_min) / 60.0)
    for j in range(num_shifts):
        mask[b, j] = desk.options[b, j].is_possible
        if mask[b, j]:
            _write_option(world, desk, b, j, forecast, options[b, j])
        else:
            options[b, j, :] = 0.0
    _write_refusal(desk, b, ride, options[b, num_shifts])
    _write_caller(world, b, k, ride, caller[b])


@jit
def write_promise_observations(world: World, desk: Desk, rows, forecast, options, caller, fleet, mask):
    """``write_promise_observation`` for these rows."""
    world, desk = borrow(world), borrow(desk)
    for b in rows:
        write_promise_observation(world, desk, b, forecast, options, caller, fleet, mask)
