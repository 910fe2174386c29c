"""What solvers of routing problems with fixed travel times are told about the bookings that wait for a place."""

from __future__ import annotations

import numpy as np

from baselines.planning.plan import NUM_TERMS, Plan
from baselines.planning.solvers import RoutingProblem
from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.records import BookingState, World
from envs.world.travel import approach, arrival, departure
from reward.terms import booking_terms

_PLANNED = int(BookingState.PLANNED)
NUM_CHOICES = 5  # times by which a booking is picked up that solvers tell apart: promptly, in time, three late ones
_FAR_KM = 1000.0  # an approach that is not short


def make_problem(
    world: World, b: int, objective: np.ndarray, weights: np.ndarray, plan: Plan, rows: np.ndarray
) -> RoutingProblem:
    """What a routing solver has to know: ``rows`` without a place, drivers free where ``plan`` begins."""
    num_drivers, size = world.drivers.shape[1], len(rows)
    minutes, cost = np.zeros((num_drivers + size, size)), np.zeros((num_drivers + size, size))
    service = np.zeros(size)
    ends, worths = (np.zeros((size, NUM_CHOICES)) for _ in range(2))
    describe(world, b, objective, weights, plan, rows, minutes, cost, service, ends, worths)
    present = np.arange(num_drivers) < int(world.clocks["num_drivers"][b])
    drivers, bookings = world.drivers[b], world.bookings[b, rows]
    is_emergency = (drivers["is_emergency"] != 0) & bool(objective["pays_reward"][0])
    needs_place = bookings["is_wheelchair"] != 0
    return RoutingProblem(
        start_min=np.where(present, plan.start_min, np.inf),
        end_min=np.where(present, drivers["shift_end_min"], 0.0),
        minutes=minutes,
        cost=cost,
        driver_cost=np.where(is_emergency, 0.0 - weights["emergency_trip"][0], 0.0),  # -0.0 has another name
        service_min=service,
        earliest_min=np.maximum(bookings["earliest_pickup_min"], world.clocks["now_min"][b]),
        ends_min=ends,
        worths=worths,
        lost_worth=plan.lost_worth[rows],
        can_take=(drivers["can_wheelchair"] != 0)[:, None] | ~needs_place[None, :],
    )


@jit
def describe(world: World, b, objective, weights, plan, rows, minutes, cost, service, ends, worths):
    """
    What a solver of routing problems with fixed travel times has to know about the bookings ``rows``.

    A booking is one place: its service is both stops and the ride, an arc leads from a drop-off to the next pickup.
    Travel takes what it takes when the leg would be driven, as far as that is known: so as to be at the next pickup by
    its earliest time, but not before the earliest end of the trip before.

    Parameters
    ----------
    minutes, cost
        float64, shape (N + R, R): of an arc from the start of a driver or from booking r - N.
    service
        float64, shape (R,).
    ends, worths
        float64, shape (R, NUM_CHOICES): what serving the booking is worth, its approach apart, when it is picked up
        by this time; the last choice is the latest feasible one. nan where there are fewer.
    """
    world = borrow(world)
    plan = borrow(plan)
    o, w = objective[0], weights[0]
    out = np.empty(NUM_TERMS)
    speeds = world.speeds[b]
    now = world.clocks[b].now_min
    num_drivers = world.clocks[b].num_drivers
    num_rows = world.drivers.shape[1]
    for r in range(len(rows)):
        k = rows[r]
        booking = world.bookings[b, k]
        soonest = max(now, booking.earliest_pickup_min)
        reached = arrival(speeds, soonest + booking.pickup_service_min, booking.ride_work)
        service[r] = reached + booking.dropoff_service_min - soonest
        _choices(world, b, o, w, k, service[r], out, ends[r], worths[r])
        worths[r] += plan.bonus[k]
    for r in range(len(rows)):
        k = rows[r]
        earliest = world.bookings[b, k].earliest_pickup_min
        for origin in range(num_rows + len(rows)):
            if origin < num_rows:
                if origin >= num_drivers or np.isinf(plan.start_min[origin]):
                    continue
                free = plan.start_min[origin]
                previous = plan.start_booking[origin]
                km, work = approach(world, b, origin, previous, k)
            else:
                i = rows[origin - num_rows]
                free = max(now, world.bookings[b, i].earliest_pickup_min) + service[origin - num_rows]
                km, work = approach(world, b, 0, i, k)
            reached = arrival(speeds, free, work)
            minutes[origin, r] = reached - free
            if reached < earliest:
                minutes[origin, r] = earliest - departure(speeds, earliest, work)
            cost[origin, r] = o.occupied_min * minutes[origin, r]
            if o.pays_reward:
                cost[origin, r] -= approach_worth(w, km)
            else:
                cost[origin, r] += o.deadhead_min * minutes[origin, r]


@inlined
def approach_worth(w, km):
    """The part of the reward's trip terms that the approach decides."""
    bonus = w.short_approach if km < w.short_approach_km else 0.0
    return (w.deadhead_per_km + w.cost_per_km) * km + bonus


@jit
def _choices(world: World, b, o, w, k, service, out, ends, worths):
    """When the booking can be picked up, in steps of falling worth."""
    booking = world.bookings[b, k]
    latest = booking.latest_pickup_min
    last = latest + world.rules[0].max_lateness_min
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
            booking_terms(w, booking, _PLANNED, end, _FAR_KM, False, out)
            worth = out.sum() - (w.deadhead_per_km + w.cost_per_km) * _FAR_KM
        else:
            worth = -o.late_min * max(0.0, end - latest)
        worth -= o.occupied_min * service + o.delay_min * (end - o.now_min)
        if end < world.clocks[b].now_min:
            continue
        if count > 0 and worth >= worths[count - 1] - 1e-9:
            count -= 1  # later, and worth as much
        ends[count] = end
        worths[count] = worth
        count += 1
