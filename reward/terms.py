"""
Compiled terms: what one booking pays in the state that its record shows, what a step and the end of a day pay.

``TERM_NAMES`` is the same for all versions; a term that a version doesn't use is 0.
"""

from __future__ import annotations

import numpy as np

from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.plans import project_insertion
from envs.world.records import NO_BOOKING, BookingState, EventKind, Leg

TRIP_TERMS = (
    "assigned",
    "lateness",
    "expired",
    "lost",
    "broken",
    "appointment",
    "short_approach",
    "deadhead",
    "priority",
    "prompt_pickup",
    "fare",
    "km_cost",
    "emergency",
)
STEP_TERMS = ("idle_wait", "infeasible")
END_TERMS = ("completion", "balance", "mean_approach", "late_share", "imbalance")
TERM_NAMES = TRIP_TERMS + STEP_TERMS + END_TERMS

ROUNDING_MIN = 1e-6  # [min] a time this close to a threshold is at the threshold: rounding, not lateness
ROUNDING_KM = 1e-6  # [km] likewise: 5 km computed as 4.999999999 is not under 5 km

_NUM_TRIP_TERMS = len(TRIP_TERMS)
_ASSIGNED = TERM_NAMES.index("assigned")
_LATENESS = TERM_NAMES.index("lateness")
_EXPIRED = TERM_NAMES.index("expired")
_LOST = TERM_NAMES.index("lost")
_BROKEN = TERM_NAMES.index("broken")
_APPOINTMENT = TERM_NAMES.index("appointment")
_SHORT_APPROACH = TERM_NAMES.index("short_approach")
_DEADHEAD = TERM_NAMES.index("deadhead")
_PRIORITY = TERM_NAMES.index("priority")
_PROMPT_PICKUP = TERM_NAMES.index("prompt_pickup")
_FARE = TERM_NAMES.index("fare")
_KM_COST = TERM_NAMES.index("km_cost")
_EMERGENCY = TERM_NAMES.index("emergency")
_IDLE_WAIT = TERM_NAMES.index("idle_wait")
_INFEASIBLE = TERM_NAMES.index("infeasible")
_COMPLETION = TERM_NAMES.index("completion")
_BALANCE = TERM_NAMES.index("balance")
_MEAN_APPROACH = TERM_NAMES.index("mean_approach")
_LATE_SHARE = TERM_NAMES.index("late_share")
_IMBALANCE = TERM_NAMES.index("imbalance")

_STATE_PLANNED = int(BookingState.PLANNED)
_STATE_UNDER_WAY = int(BookingState.UNDER_WAY)
_STATE_SERVED = int(BookingState.SERVED)
_STATE_EXPIRED = int(BookingState.EXPIRED)
_STATE_REFUSED = int(BookingState.REFUSED)
_STATE_BROKEN = int(BookingState.BROKEN)
_STATE_NO_SHOW = int(BookingState.NO_SHOW)
_EVENT_ABANDON = int(EventKind.ABANDON)
_RETURN = int(Leg.RETURN)


@jit
def booking_terms(w, booking, state, pickup_min, approach_km, is_emergency, out):
    """
    Write the trip terms of one booking into ``out`` (float64, shape (len(TRIP_TERMS),)).

    A trip planned, under way or served pays its trip terms, on the predicted or the actual pickup. A booking that
    expired or was refused pays what losing it costs, and more if that broke a promise. A no-show pays for the
    kilometres of the vain approach. Any other booking pays nothing.
    """
    out[:] = 0.0
    if state == _STATE_EXPIRED or state == _STATE_REFUSED or state == _STATE_BROKEN:
        out[_EXPIRED] = w.expired * booking.priority / 5.0
        out[_LOST] = w.lost_return if booking.leg == _RETURN else w.lost_outbound
        if state == _STATE_BROKEN:
            out[_BROKEN] = w.broken
    elif state == _STATE_NO_SHOW:
        out[_DEADHEAD] = w.deadhead_per_km * approach_km
        out[_KM_COST] = w.cost_per_km * approach_km
    elif state == _STATE_PLANNED or state == _STATE_UNDER_WAY or state == _STATE_SERVED:
        out[_ASSIGNED] = w.assigned
        grace_min = w.lateness_grace_return_min if booking.leg == _RETURN else w.lateness_grace_outbound_min
        late_min = pickup_min - booking.latest_pickup_min - grace_min
        if late_min > 0.0:
            out[_LATENESS] = max(w.lateness_worst, w.lateness_per_min * late_min)
        if pickup_min > booking.keeps_appointment_min:
            out[_APPOINTMENT] = w.late_appointment_per_min * (pickup_min - booking.keeps_appointment_min)
        if approach_km < w.short_approach_km - ROUNDING_KM:
            out[_SHORT_APPROACH] = w.short_approach
        out[_DEADHEAD] = w.deadhead_per_km * approach_km
        if booking.priority >= w.priority_from:
            out[_PRIORITY] = w.priority
        window_min = booking.latest_pickup_min - booking.earliest_pickup_min
        if pickup_min <= booking.earliest_pickup_min + w.prompt_share * window_min + ROUNDING_MIN:
            out[_PROMPT_PICKUP] = w.prompt_pickup
        out[_FARE] = w.fare_per_trip + w.fare_per_km * booking.ride_km
        out[_KM_COST] = w.cost_per_km * (approach_km + booking.ride_km)
        if is_emergency:
            out[_EMERGENCY] = w.emergency_trip


@inlined
def _trip_value(w, booking, pickup_min, approach_km, is_emergency, out):
    booking_terms(w, booking, _STATE_PLANNED, pickup_min, approach_km, is_emergency, out)
    return out.sum()


@inlined
def _is_emergency(drivers, n):
    return n >= 0 and drivers[n].is_emergency != 0


@jit
def _end_terms(w, clock, drivers, bookings, out):
    num_drivers = clock.num_drivers
    trips = np.zeros(num_drivers)
    num_served = 0
    num_late = 0
    approach_km = 0.0
    for k in range(clock.num_bookings):
        booking = bookings[k]
        if booking.state == _STATE_SERVED:
            num_served += 1
            approach_km += booking.approach_km
            if booking.pickup_min - booking.latest_pickup_min > w.late_share_min + ROUNDING_MIN:
                num_late += 1
            if booking.by_spare == 0 and booking.driver >= 0:
                trips[booking.driver] += 1.0
    if num_served == 0:
        return
    out[_COMPLETION] += w.completion * num_served / clock.num_bookings
    # std < s means n x sum of squares - square of the sum < (s x n)^2: whole numbers, so no rounding decides a tie.
    spread = num_drivers * (trips * trips).sum() - trips.sum() ** 2
    if spread < (w.balance_std * num_drivers) ** 2:
        out[_BALANCE] += w.balance
    if approach_km / num_served < w.mean_approach_km - ROUNDING_KM:
        out[_MEAN_APPROACH] += w.mean_approach
    if num_late / num_served > w.late_share_from:
        out[_LATE_SHARE] += w.late_share
    if num_drivers > 0:
        out[_IMBALANCE] += w.imbalance_per_trip * (trips.max() - trips.min())


@inlined
def _settle(w, drivers, booking, paid, new, terms):
    """Pay the difference between what a booking's terms are now and what was paid for it."""
    booking_terms(
        w, booking, booking.state, booking.pickup_min, booking.approach_km, _is_emergency(drivers, booking.driver), new
    )
    for t in range(_NUM_TRIP_TERMS):
        terms[t] += new[t] - paid[t]
        paid[t] = new[t]


@jit
def pay_rows(world, weights, paid, is_fresh, is_closed, num_read, terms, rewards):
    """
    Pay the last step of every row: what its bookings' terms changed by, the decision itself, the end of the day.

    Parameters
    ----------
    paid
        float64, shape (B, K, len(TRIP_TERMS)): what each booking has been paid so far.
    is_fresh, is_closed
        bool, shape (B,): the day has just been loaded (all its bookings are looked at); its end has been paid.
    num_read
        int64, shape (B,): events already looked at; an abandoned approach stands in the log alone.
    terms, rewards
        float64, shape (B, len(TERM_NAMES)) and (B,): the result.
    """
    world = borrow(world)
    w = weights[0]
    new = np.empty(_NUM_TRIP_TERMS)
    for b in range(world.clocks.shape[0]):
        terms[b, :] = 0.0
        rewards[b] = 0.0
        if is_closed[b]:
            continue
        clock = world.clocks[b]
        drivers = world.drivers[b]
        if is_fresh[b]:  # what expired while the day was opened is in no list
            is_fresh[b] = False
            for k in range(clock.num_bookings):
                _settle(w, drivers, world.bookings[b, k], paid[b, k], new, terms[b])
        else:
            for t in range(clock.num_touched):
                k = world.touched[b, t]
                _settle(w, drivers, world.bookings[b, k], paid[b, k], new, terms[b])
        for e in range(num_read[b], clock.num_events):
            event = world.events[b, e]
            if event.kind == _EVENT_ABANDON:  # these kilometres were driven, but the booking is open again
                terms[b, _DEADHEAD] += w.deadhead_per_km * event.km
                terms[b, _KM_COST] += w.cost_per_km * event.km
        num_read[b] = clock.num_events
        terms[b, _IDLE_WAIT] += w.idle_wait * clock.was_idle_wait
        terms[b, _INFEASIBLE] += w.infeasible * clock.was_infeasible
        if clock.is_done:
            _end_terms(w, clock, drivers, world.bookings[b], terms[b])
            is_closed[b] = True
        rewards[b] = terms[b].sum()


@jit
def price_rows(world, weights, bound, pair_value, wait_value, pair_reward, wait_reward):
    """
    What each feasible pair, and waiting, would pay now, as ``Payer.price_pairs`` says.

    Parameters
    ----------
    pair_value, wait_value
        float64, shape (B, N, M) and (B,): in the version's unit, 0 where infeasible.
    pair_reward, wait_reward
        float32, shape (B, N * M) and (B, 1): the same divided by ``bound``, clipped to [-1, 1].
    """
    world = borrow(world)
    w = weights[0]
    inserts = world.rules[0].inserts != 0
    num_batch, _, num_slots = world.pairs.shape
    new = np.empty(_NUM_TRIP_TERMS)
    old_value = np.empty(world.plans.shape[2] + 1)
    pickup_min = np.empty(world.plans.shape[2] + 1)
    approach_km = np.empty(world.plans.shape[2] + 1)
    for b in range(num_batch):
        clock = world.clocks[b]
        pair_value[b, :, :] = 0.0
        pair_reward[b, :] = 0.0
        wait_value[b] = 0.0
        if not clock.is_done and clock.num_feasible > 0:
            wait_value[b] = w.idle_wait
        wait_reward[b, 0] = max(-1.0, min(1.0, wait_value[b] / bound))
        if clock.is_done:
            continue
        for n in range(clock.num_drivers):
            driver = world.drivers[b, n]
            is_emergency = driver.is_emergency != 0
            is_valued = False
            for m in range(num_slots):
                pair = world.pairs[b, n, m]
                k = world.slots[b, m]
                if k == NO_BOOKING or not pair.is_feasible:
                    continue
                value = _trip_value(w, world.bookings[b, k], pair.pickup_min, pair.approach_km, is_emergency, new)
                if inserts and pair.position < driver.plan_len:
                    if not is_valued:
                        is_valued = True
                        for p in range(driver.plan_len):
                            old = world.bookings[b, world.plans[b, n, p]]
                            old_value[p] = _trip_value(w, old, old.pickup_min, old.approach_km, is_emergency, new)
                    num_trips = project_insertion(world, b, n, k, pair.position, pickup_min, approach_km)
                    for p in range(pair.position + 1, num_trips):  # the trip before was at p - 1
                        later = world.bookings[b, world.plans[b, n, p - 1]]
                        value += _trip_value(w, later, pickup_min[p], approach_km[p], is_emergency, new)
                        value -= old_value[p - 1]
                pair_value[b, n, m] = value
                pair_reward[b, n * num_slots + m] = max(-1.0, min(1.0, value / bound))
