"""What solvers of routing problems with fixed travel times are told about the bookings that wait for a place."""

from __future__ import annotations

import numpy as np

from baselines.planning.plan import Plan
from baselines.planning.solvers import RoutingProblem
from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.records import NEVER, NO_DRIVER, BookingState
from envs.world.travel import arrival, departure
from reward.terms import booking_terms

_PLANNED = int(BookingState.PLANNED)
NUM_CHOICES = 5  # times by which a booking is picked up that solvers tell apart: promptly, in time, three late ones
_FAR_KM = 1000.0  # an approach that is not short


def make_problem(plan: Plan, is_warm: bool = False) -> RoutingProblem:
    """
    What a routing solver has to know: the plan's bookings without a place, drivers free where it begins.

    With ``is_warm`` travel takes what it takes at the times of the plan's trips, of those that have a place.
    """
    num_drivers, size = len(plan.routes), len(plan.trips)
    minutes, cost = np.zeros((num_drivers + size, size)), np.zeros((num_drivers + size, size))
    service = np.zeros(size)
    ends, worths = (np.zeros((size, NUM_CHOICES)) for _ in range(2))
    earliest = np.maximum(plan.trips["earliest_pickup_min"], plan.clock["now_min"][0])
    is_planned = is_warm & (plan.trips["driver"] != NO_DRIVER)
    pickups = np.where(is_planned, plan.trips["pickup_min"], earliest)
    describe(plan, pickups, minutes, cost, service, ends, worths)
    is_emergency = (plan.routes["is_emergency"] != 0) & bool(plan.objective["pays_reward"][0])
    return RoutingProblem(
        start_min=plan.routes["start_min"].copy(),
        end_min=plan.routes["shift_end_min"].copy(),
        minutes=minutes,
        cost=cost,
        driver_cost=np.where(is_emergency, 0.0 - plan.weights["emergency_trip"][0], 0.0),  # -0.0 has another name
        service_min=service,
        earliest_min=earliest,
        ends_min=ends,
        worths=worths,
        lost_worth=-plan.trips["lost_cost"],
        can_take=(plan.routes["can_wheelchair"] != 0)[:, None] | (plan.trips["is_wheelchair"] == 0)[None, :],
    )


@jit
def describe(plan, pickups, minutes, cost, service, ends, worths):
    """
    What a solver of routing problems with fixed travel times has to know about the bookings of a plan.

    A booking is one place: its service is both stops and the ride, an arc leads from a drop-off to the next pickup.
    Travel takes what it takes when the leg would be driven, as far as that is known: so as to be at the next pickup by
    its earliest time, but not before the end of the trip before.

    Parameters
    ----------
    pickups
        float64, shape (R,): when each booking is picked up [min], or the earliest time at which it can be.
    minutes, cost
        float64, shape (N + R, R): of an arc from the start of a driver or from booking r - N.
    service
        float64, shape (R,).
    ends, worths
        float64, shape (R, NUM_CHOICES): what serving the booking is worth, its approach apart, when it is picked up
        by this time; the last choice is the latest feasible one. nan where there are fewer.
    """
    plan = borrow(plan)
    o, w = plan.objective[0], plan.weights[0]
    speeds = plan.speeds
    num_drivers, size = len(plan.routes), len(plan.trips)
    for r in range(size):
        trip = plan.trips[r]
        reached = arrival(speeds, pickups[r] + trip.pickup_service_min, trip.ride_work)
        service[r] = reached + trip.dropoff_service_min - pickups[r]
        _choices(plan, r, service[r], ends[r], worths[r])
        worths[r] += plan.bonus[r]
    for r in range(size):
        earliest = plan.trips[r].earliest_pickup_min
        for origin in range(num_drivers + size):
            if origin < num_drivers:
                free = plan.routes[origin].start_min
                if free == NEVER:
                    continue
            else:
                i = origin - num_drivers
                free = pickups[i] + service[i]
            work = plan.legs[origin, r]
            reached = arrival(speeds, free, work)
            minutes[origin, r] = reached - free
            if reached < earliest:
                minutes[origin, r] = earliest - departure(speeds, earliest, work)
            cost[origin, r] = o.occupied_min * minutes[origin, r]
            if o.pays_reward:
                cost[origin, r] -= approach_worth(w, plan.kms[origin, r])
            else:
                cost[origin, r] += o.deadhead_min * minutes[origin, r]


@inlined
def approach_worth(w, km):
    """The part of the reward's trip terms that the approach decides."""
    bonus = w.short_approach if km < w.short_approach_km else 0.0
    return (w.deadhead_per_km + w.cost_per_km) * km + bonus


@jit
def _choices(plan, r, service, ends, worths):
    """When the booking can be picked up, in steps of falling worth."""
    o, w, now = plan.objective[0], plan.weights[0], plan.clock[0].now_min
    booking = plan.bookings[plan.rows[r]]
    latest = booking.latest_pickup_min
    last = latest + plan.rules[0].max_lateness_min
    grace = w.lateness_grace_return_min if booking.leg == 1 else w.lateness_grace_outbound_min
    ends[:] = np.nan
    worths[:] = np.nan
    graced = min(last, latest + grace) if o.pays_reward else latest
    count = 0
    for step in range(NUM_CHOICES):
        if step == 0:
            if not o.pays_reward or w.prompt_pickup == 0.0:
                continue
            end = booking.earliest_pickup_min + w.prompt_share * (latest - booking.earliest_pickup_min)
        else:
            end = graced + (last - graced) * (step - 1) / (NUM_CHOICES - 2)
        if o.pays_reward:
            booking_terms(w, booking, _PLANNED, end, _FAR_KM, False, plan.pay)
            worth = plan.pay.sum() - (w.deadhead_per_km + w.cost_per_km) * _FAR_KM
        else:
            worth = -o.late_min * max(0.0, end - latest)
        worth -= o.occupied_min * service + o.delay_min * (end - o.now_min)
        if end < now:
            continue
        if count > 0 and worth >= worths[count - 1] - 1e-9:
            count -= 1  # later, and worth as much
        ends[count] = end
        worths[count] = worth
        count += 1
