"""
The terms of a day from its event log: plain Python, apart from the compiled terms, so that each checks the other.

Uses the log, the given part of the day (windows, priorities, legs, kinds of drivers) and the counters of the clock;
never the state of a booking, nor what was predicted for it. Evaluation reads a day's reward here.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from envs.world.records import EventKind, Leg, World
from reward.terms import ROUNDING_KM, ROUNDING_MIN, TERM_NAMES
from reward.weights import Weights


def trip_terms(
    weights: Weights,
    *,
    priority: int,
    leg: int,
    lateness_min: float,
    appointment_missed_min: float = 0.0,
    is_prompt: bool,
    approach_km: float,
    ride_km: float,
    is_emergency: bool,
) -> dict[str, float]:
    """Terms of one served trip; those that it doesn't pay are left out."""
    grace = weights["lateness_grace_return_min"] if leg == Leg.RETURN else weights["lateness_grace_outbound_min"]
    terms = {
        "assigned": weights["assigned"],
        "deadhead": weights["deadhead_per_km"] * approach_km,
        "fare": weights["fare_per_trip"] + weights["fare_per_km"] * ride_km,
        "km_cost": weights["cost_per_km"] * (approach_km + ride_km),
    }
    if lateness_min > grace:
        terms["lateness"] = max(weights["lateness_worst"], weights["lateness_per_min"] * (lateness_min - grace))
    if appointment_missed_min > 0.0:
        terms["appointment"] = weights["late_appointment_per_min"] * appointment_missed_min
    if approach_km < weights["short_approach_km"] - ROUNDING_KM:
        terms["short_approach"] = weights["short_approach"]
    if priority >= weights["priority_from"]:
        terms["priority"] = weights["priority"]
    if is_prompt:
        terms["prompt_pickup"] = weights["prompt_pickup"]
    if is_emergency:
        terms["emergency"] = weights["emergency_trip"]
    return terms


def lost_terms(weights: Weights, *, priority: int, leg: int) -> dict[str, float]:
    """Terms of one booking that expired or was refused."""
    return {
        "expired": weights["expired"] * priority / 5,
        "lost": weights["lost_return"] if leg == Leg.RETURN else weights["lost_outbound"],
    }


def km_terms(weights: Weights, km: float) -> dict[str, float]:
    """Terms of an approach that brought nobody: a no-show, or a driver who dropped out on the way."""
    return {"deadhead": weights["deadhead_per_km"] * km, "km_cost": weights["cost_per_km"] * km}


def episode_terms(world: World, b: int, weights: Weights) -> dict[str, float]:
    """
    Terms of the finished day in row ``b``, keyed by ``TERM_NAMES``; their sum is the episode's reward.

    Raises
    ------
    ValueError
        When the day isn't over: the log of a day under way doesn't say what its reward is.
    """
    clock = world.clocks[b]
    if not clock["is_done"]:
        raise ValueError(f"row {b}: the day is not over (now_min {clock['now_min']:.0f}). Play it to its end first.")
    paid: dict[str, list[float]] = {name: [] for name in TERM_NAMES}

    def pay(terms: Mapping[str, float]) -> None:
        for name, value in terms.items():
            paid[name].append(value)

    num_drivers, num_bookings = int(clock["num_drivers"]), int(clock["num_bookings"])
    trips = [0] * num_drivers
    picked_up: dict[int, tuple[float, float, int]] = {}  # booking -> (time, approach km, driver)
    approaches_km: list[float] = []
    num_late = 0
    for event in world.events[b][: int(clock["num_events"])].tolist():
        time_min, kind, driver, k, _, km, _, _ = event
        if kind == EventKind.PICKUP:
            picked_up[k] = (time_min, km, driver)
        elif kind in (EventKind.NO_SHOW, EventKind.ABANDON):
            pay(km_terms(weights, km))
        elif kind == EventKind.BREAK and world.rules["promises_at_call"][0]:
            pay({"broken": weights["broken"]})
        elif kind in (EventKind.EXPIRE, EventKind.REFUSE):
            booking = world.bookings[b, k]
            pay(lost_terms(weights, priority=int(booking["priority"]), leg=int(booking["leg"])))
        elif kind == EventKind.DROPOFF:
            booking = world.bookings[b, k]
            pickup_min, approach_km, driver = picked_up[k]
            earliest, latest = float(booking["earliest_pickup_min"]), float(booking["latest_pickup_min"])
            lateness_min = max(0.0, pickup_min - latest)
            prompt_until = earliest + weights["prompt_share"] * (latest - earliest)
            pay(
                trip_terms(
                    weights,
                    priority=int(booking["priority"]),
                    leg=int(booking["leg"]),
                    lateness_min=lateness_min,
                    appointment_missed_min=max(0.0, pickup_min - float(booking["keeps_appointment_min"])),
                    is_prompt=pickup_min <= prompt_until + ROUNDING_MIN,
                    approach_km=approach_km,
                    ride_km=km,
                    is_emergency=bool(world.drivers[b, driver]["is_emergency"]),
                )
            )
            approaches_km.append(approach_km)
            num_late += lateness_min > weights["late_share_min"] + ROUNDING_MIN
            if not booking["by_spare"]:
                trips[driver] += 1

    pay({"idle_wait": weights["idle_wait"] * int(clock["num_idle_waits"])})
    pay({"infeasible": weights["infeasible"] * int(clock["num_infeasible"])})
    num_served = len(approaches_km)
    if num_served:
        pay({"completion": weights["completion"] * (num_served / num_bookings)})
        if statistics.pvariance(trips) < weights["balance_std"] ** 2:
            pay({"balance": weights["balance"]})
        if math.fsum(approaches_km) / num_served < weights["mean_approach_km"] - ROUNDING_KM:
            pay({"mean_approach": weights["mean_approach"]})
        if num_late / num_served > weights["late_share_from"]:
            pay({"late_share": weights["late_share"]})
        pay({"imbalance": weights["imbalance_per_trip"] * (max(trips) - min(trips))})
    return {name: math.fsum(values) for name, values in paid.items()}
