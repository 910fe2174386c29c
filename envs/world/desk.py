"""
Compiled promise desk: who calls next, what each window costs the plans now, and what an answer sets going.

A wish is asked about once, at the first tick after its call, in the order of the calls. The options are the wished
window moved by each of ``Desk.shifts``; where the cheapest insertion finds no place for one, it can't be offered. Who
has no option at all gets the place that a search makes at the wished window, or is refused, without a decision.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from envs.world.borrowed import borrow
from envs.world.clock import TICK, forget_touched
from envs.world.compiled import jit
from envs.world.draws import uniform
from envs.world.log import log_told
from envs.world.plans import EPSILON_MIN, best_insertion, index_of_open, insert_trip, remove_open
from envs.world.promises import give_place, look_after_promised, move_window, refuse
from envs.world.records import NEVER, NO_BOOKING, NO_DRIVER, Actor, BookingState, EventKind, Leg, World

DECLINES = 3000  # kind of draw, apart from those of generators, disturbances and converted days

_tick = TICK.call
_BY_DAY, _BY_POLICY, _BY_DESK = int(Actor.DAY), int(Actor.POLICY), int(Actor.DESK)
_EVENT_OFFER, _EVENT_DEPART, _EVENT_ABANDON = int(EventKind.OFFER), int(EventKind.DEPART), int(EventKind.ABANDON)
_OUTBOUND = int(Leg.OUTBOUND)
_PLANNED, _UNDER_WAY = int(BookingState.PLANNED), int(BookingState.UNDER_WAY)
_SERVED, _NO_SHOW = int(BookingState.SERVED), int(BookingState.NO_SHOW)
_EXPIRED, _REFUSED, _BROKEN = int(BookingState.EXPIRED), int(BookingState.REFUSED), int(BookingState.BROKEN)


class Answer(IntEnum):
    """What the last caller was told, and said."""

    NONE = 0
    PROMISED = 1
    DECLINED = 2  # a window was offered, and the caller hung up
    REFUSED = 3


_NONE, _PROMISED, _DECLINED, _TOLD_NO = (
    int(Answer.NONE),
    int(Answer.PROMISED),
    int(Answer.DECLINED),
    int(Answer.REFUSED),
)

OPTION = np.dtype(
    [
        ("is_possible", np.int32),  # 0: only shift_min means something
        ("driver", np.int32),  # where the booking would go
        ("position", np.int32),
        ("shift_min", np.float64),
        ("pickup_min", np.float64),
        ("lateness_min", np.float64),  # of this pickup after the moved window
        ("cost", np.float64),  # of the cheapest insertion: driving minutes + insertion_lateness_weight x lateness
        ("above_cheapest", np.float64),  # cost + discomfort, minus the least of the caller's options
    ],
    align=True,
)

CALL = np.dtype(
    [
        ("day_key", np.uint64),  # names the day's draws
        ("wish", np.int32),  # row of the booking whose caller waits for an answer, or NO_BOOKING
        ("cheapest", np.int32),  # the option with above_cheapest 0
        ("answer", np.int32),  # Answer, of the last step
        ("num_read", np.int32),  # events already looked at for abandoned approaches
        ("abandoned_min", np.float64),  # driven towards patients whose driver dropped out on the way
        ("kept_min", np.float64),  # tick at which promised bookings without a driver were looked after last
        ("cost", np.float64),  # projected cost of the day, without discomfort
        ("discomfort", np.float64),
        ("start_cost", np.float64),  # cost + discomfort when the first caller was asked about
        ("reward", np.float64),  # of the last step: minus the change of cost + discomfort
        ("added_discomfort", np.float64),  # in the last step
    ],
    align=True,
)

DESK_SETTINGS = np.dtype(
    [
        ("discomfort_per_min", np.float64),
        ("decline_per_min", np.float64),
        ("lost_cost", np.float64),  # of a refused or lost booking
        ("broken_cost", np.float64),  # on top, of a promised one
    ],
    align=True,
)


class Desk(NamedTuple):
    """What the desk knows beyond the World: B days side by side, S windows."""

    settings: np.ndarray  # DESK_SETTINGS, shape (1,)
    shifts: np.ndarray  # float64, shape (S,): minutes, rising
    calls: np.ndarray  # CALL, shape (B,)
    options: np.ndarray  # OPTION, shape (B, S)


# --- what could be offered --------------------------------------------------------------------------------------------


@jit
def next_wish(world: World, b):
    """Row of the first open booking nobody has answered, rows being sorted by their calls; NO_BOOKING without one."""
    first = NO_BOOKING
    for index in range(world.clocks[b].num_open):
        k = world.open_rows[b, index]
        if not world.bookings[b, k].is_promised and (first == NO_BOOKING or k < first):
            first = k
    return first


@jit
def may_be_offered(world: World, b, k, shift_min):
    """
    Whether the window of wish ``k`` may be moved so far, whoever drives.

    Not so that a window moved ahead has begun already, nor that one of an outbound leg ends too late for its
    appointment.
    """
    booking = world.bookings[b, k]
    if shift_min < 0.0 and booking.earliest_pickup_min + shift_min < world.clocks[b].now_min - EPSILON_MIN:
        return False
    if shift_min == 0.0 or booking.leg != _OUTBOUND:
        return True
    return booking.latest_pickup_min + shift_min <= booking.keeps_appointment_min + EPSILON_MIN


@jit
def _evaluate(world: World, b, k, option):
    """The cheapest insertion of booking ``k``, as its window stands, over all drivers."""
    best = NEVER
    for n in range(world.clocks[b].num_drivers):
        insertion = best_insertion(world, b, n, k)
        if insertion[0] < best - 1e-9:
            best = insertion[0]
            option.is_possible = 1
            option.driver = n
            option.position = insertion[1]
            option.cost = best
            option.pickup_min = insertion[2]
            option.lateness_min = max(0.0, insertion[2] - world.bookings[b, k].latest_pickup_min)


@jit
def evaluate_options(world: World, desk: Desk, b, k):
    """Write what each window would cost for wish ``k`` into ``Desk.options``; whether there is one."""
    booking = world.bookings[b, k]
    earliest_min, latest_min = booking.earliest_pickup_min, booking.latest_pickup_min
    per_min = desk.settings[0].discomfort_per_min
    least, cheapest = NEVER, -1
    for j in range(len(desk.shifts)):
        option, shift_min = desk.options[b, j], desk.shifts[j]
        option.is_possible = 0
        option.shift_min = shift_min
        if not may_be_offered(world, b, k, shift_min):
            continue
        booking.earliest_pickup_min = earliest_min + shift_min
        booking.latest_pickup_min = latest_min + shift_min
        _evaluate(world, b, k, option)
        booking.earliest_pickup_min, booking.latest_pickup_min = earliest_min, latest_min
        if not option.is_possible:
            continue
        option.above_cheapest = option.cost + per_min * abs(shift_min)
        is_nearer = cheapest >= 0 and abs(shift_min) < abs(desk.shifts[cheapest])
        if option.above_cheapest < least - 1e-9 or (is_nearer and option.above_cheapest < least + 1e-9):
            least, cheapest = option.above_cheapest, j
    for j in range(len(desk.shifts)):
        desk.options[b, j].above_cheapest = max(0.0, desk.options[b, j].above_cheapest - least)
    desk.calls[b].cheapest = cheapest
    return cheapest >= 0


# --- what the day costs -----------------------------------------------------------------------------------------------


@jit
def _note_abandoned(world: World, desk: Desk, b):
    """Add up the minutes driven towards patients by drivers who dropped out on the way; they stand in the log alone."""
    call = desk.calls[b]
    for e in range(call.num_read, world.clocks[b].num_events):
        event = world.events[b, e]
        if event.kind == _EVENT_ABANDON:
            departed = e - 1
            while world.events[b, departed].kind != _EVENT_DEPART or world.events[b, departed].driver != event.driver:
                departed -= 1
            call.abandoned_min += event.time_min - world.events[b, departed].time_min
    call.num_read = world.clocks[b].num_events


@jit
def project_cost(world: World, desk: Desk, b):
    """
    (cost, discomfort) of the day as it is planned and has been driven.

    Minutes without a patient of all trips planned, under way or over, the price of each booking lost, and what the
    shifts of all promised windows cost their patients. At the end of the day that is what the log says.
    """
    settings = desk.settings[0]
    _note_abandoned(world, desk, b)
    cost, shifted_min = desk.calls[b].abandoned_min, 0.0
    for k in range(world.clocks[b].num_bookings):
        booking = world.bookings[b, k]
        state = booking.state
        if state == _PLANNED or state == _UNDER_WAY or state == _SERVED or state == _NO_SHOW:
            cost += booking.pickup_min - booking.depart_min  # of a trip under way approach_min is only what was thought
        elif state == _REFUSED or state == _EXPIRED:
            cost += settings.lost_cost
        elif state == _BROKEN:
            cost += settings.lost_cost + settings.broken_cost
        if booking.is_promised:
            shifted_min += abs(booking.shift_min)
    return cost, settings.discomfort_per_min * shifted_min


@jit
def _settle(world: World, desk: Desk, b):
    """Pay the last step."""
    call = desk.calls[b]
    cost, discomfort = project_cost(world, desk, b)
    call.added_discomfort = discomfort - call.discomfort
    call.reward = -(cost - call.cost) - call.added_discomfort
    call.cost, call.discomfort = cost, discomfort


# --- from one caller to the next --------------------------------------------------------------------------------------


@jit
def _keep_promises(world: World, desk: Desk, b):
    """Promised bookings that have lost their driver go before all who call; once a tick."""
    clock = world.clocks[b]
    if clock.num_open == 0 or desk.calls[b].kept_min == clock.now_min:
        return
    desk.calls[b].kept_min = clock.now_min
    look_after_promised(world, b)


@jit
def to_next_caller(world: World, desk: Desk, b):
    """Move on until somebody calls who can be offered a window, or the day is over."""
    world, desk = borrow(world), borrow(desk)
    clock, call = world.clocks[b], desk.calls[b]
    while not clock.is_done:
        _keep_promises(world, desk, b)
        k = next_wish(world, b)
        while k != NO_BOOKING:
            if evaluate_options(world, desk, b, k):
                call.wish = k
                return
            if not give_place(world, b, k):
                refuse(world, b, k, _BY_DESK)
            k = next_wish(world, b)
        _tick(world, b)
    call.wish = NO_BOOKING
    for j in range(len(desk.shifts)):
        desk.options[b, j].is_possible = 0


@jit
def open_desk(world: World, desk: Desk, rows):
    """Bring rows that were just loaded, their ``day_key`` written, to their first caller."""
    world, desk = borrow(world), borrow(desk)
    for b in rows:
        call = desk.calls[b]
        call.answer = _NONE
        call.num_read = 0
        call.abandoned_min = call.cost = call.discomfort = 0.0
        call.kept_min = -NEVER
        to_next_caller(world, desk, b)
        _settle(world, desk, b)
        call.start_cost = call.cost + call.discomfort
        call.reward = call.added_discomfort = 0.0


@jit
def accepts(world: World, desk: Desk, b, k, shift_min):
    """Whether the caller of booking ``k`` takes a window so far from the wish: drawn with the day."""
    chance = min(1.0, desk.settings[0].decline_per_min * abs(shift_min))
    booking = world.bookings[b, k]
    return not uniform(desk.calls[b].day_key, DECLINES, booking.key, booking.leg) < chance


@jit
def _offer(world: World, desk: Desk, b, k, option):
    booking = world.bookings[b, k]
    begin_min = booking.earliest_pickup_min + option.shift_min
    log_told(world, b, _EVENT_OFFER, NO_DRIVER, k, _BY_POLICY, begin_min, option.shift_min)
    if not accepts(world, desk, b, k, option.shift_min):
        refuse(world, b, k, _BY_DAY)
        return False
    move_window(world, b, k, option.shift_min)
    remove_open(world, b, index_of_open(world, b, k))
    insert_trip(world, b, option.driver, k, option.position)
    booking.is_promised = 1  # told at the end of the tick
    booking.placed_by = _BY_POLICY
    world.clocks[b].plan_news = 1
    return True


@jit
def answer_call(world: World, desk: Desk, b, action):
    """
    Tell the caller of day ``b``: window ``action`` is offered, or, with S, nobody can come. Then on to the next caller.

    A window that can't be offered is counted as infeasible, and the caller's cheapest one offered instead. Nothing
    happens on a day that is over.
    """
    world, desk = borrow(world), borrow(desk)
    clock, call = world.clocks[b], desk.calls[b]
    forget_touched(world, b)
    clock.was_infeasible = clock.was_idle_wait = clock.was_assigned = 0
    clock.elapsed_min = 0.0
    call.reward = call.added_discomfort = 0.0
    call.answer = _NONE
    if clock.is_done:
        return
    before = clock.now_min
    clock.num_decisions += 1
    k = call.wish
    if action >= len(desk.shifts):
        refuse(world, b, k, _BY_POLICY)
        call.answer = _TOLD_NO
    else:
        if not desk.options[b, action].is_possible:
            clock.was_infeasible = 1
            clock.num_infeasible += 1
            action = call.cheapest
        clock.was_assigned = _offer(world, desk, b, k, desk.options[b, action])
        call.answer = _PROMISED if clock.was_assigned else _DECLINED
    to_next_caller(world, desk, b)
    clock.elapsed_min = clock.now_min - before
    _settle(world, desk, b)
