"""
What the weights imply: the scale of a pair's reward, and when losing a patient would pay better than serving late.
"""

from __future__ import annotations

from itertools import product

from envs.world.records import Leg
from reward.log_terms import lost_terms, trip_terms
from reward.weights import Weights

PRIORITIES = (1, 2, 3, 4, 5)


def pair_bound(weights: Weights) -> float:
    """
    Largest absolute value that one plausible trip pays: ``pair_reward`` is the value of a pair divided by it.

    Over all priorities, legs and kinds of driver, from the ideal pickup to ``longest_lateness_min``, approach and ride
    from 0 to their longest. What an insertion does to other trips comes on top and is clipped; the bound depends on the
    weights alone, so that one version means one scale, whatever the fleet.
    """
    limits = weights.limits
    pickups = ((0.0, True), (0.0, False), (limits["longest_lateness_min"], False))
    approaches, rides = (0.0, limits["longest_approach_km"]), (0.0, limits["longest_ride_km"])
    values = (
        abs(_served(weights, priority, leg, lateness_min, approach_km, ride_km, is_emergency, is_prompt))
        for priority, leg, (lateness_min, is_prompt), approach_km, ride_km, is_emergency in product(
            PRIORITIES, Leg, pickups, approaches, rides, (False, True)
        )
    )
    return max(values) or 1.0


def break_even_lateness_min(weights: Weights, priority: int, leg: Leg) -> float | None:
    """
    Lateness [min] beyond which losing a patient pays better than serving them late; None when there is none.

    Searched up to ``longest_lateness_min`` on the worst plausible trip: longest approach, shortest or longest ride,
    any driver, no bonus for a short approach or a prompt pickup. Terms of the whole day are left out.
    """
    lost = sum(lost_terms(weights, priority=priority, leg=leg).values())

    def pays_to_lose(lateness_min: float) -> bool:
        return _worst_served(weights, priority, leg, lateness_min) < lost

    low, high = 0.0, weights.limits["longest_lateness_min"]
    if not pays_to_lose(high):
        return None
    for _ in range(60):  # serving pays less the later it is, so halving finds the border
        middle = (low + high) / 2
        if pays_to_lose(middle):
            high = middle
        else:
            low = middle
    return round(high, 6)


def largest_saving(weights: Weights, leg: Leg, priority: int) -> float:
    """
    Most that losing one patient could save: the worst plausible trip at ``longest_lateness_min``, every other trip of a
    full plan as late because of it, the next approach made as long as possible, and one trip more between most and
    fewest. Negative when serving pays even then.
    """
    limits = weights.limits
    latest = limits["longest_lateness_min"]
    own = _worst_served(weights, priority, leg, latest)
    other = min(
        max(weights["lateness_worst"], weights["lateness_per_min"] * max(0.0, latest - grace))
        + weights["late_appointment_per_min"] * latest
        for grace in (weights["lateness_grace_outbound_min"], weights["lateness_grace_return_min"])
    )
    approach = (weights["deadhead_per_km"] + weights["cost_per_km"]) * limits["longest_approach_km"]
    return -(own + (limits["longest_plan"] - 1) * other + approach + weights["imbalance_per_trip"])


def check_losing_never_pays(weights: Weights) -> None:
    """
    Refuse weights that promise ``losing_never_pays`` and don't keep it.

    Raises
    ------
    ValueError
        Naming the priority, the leg, and the weight to change.
    """
    if not weights.losing_never_pays:
        return
    for priority, leg in product(PRIORITIES, Leg):
        weight = "lost_return" if leg == Leg.RETURN else "lost_outbound"
        whom = f"reward {weights.name}: losing a {leg.name.lower()} patient of priority {priority} pays better than"
        lateness_min = break_even_lateness_min(weights, priority, leg)
        if lateness_min is not None:
            raise ValueError(
                f"{whom} serving them more than {lateness_min:.0f} min late, but losing_never_pays is set. "
                f"Lower '{weight}' or write a milder 'lateness_per_min'."
            )
        lost = -sum(lost_terms(weights, priority=priority, leg=leg).values())
        saving = largest_saving(weights, leg, priority)
        if saving >= lost:
            raise ValueError(
                f"{whom} the delays that serving them may bring to others (saves up to {saving:.0f} {weights.unit}, "
                f"costs {lost:.0f}), but losing_never_pays is set. Lower '{weight}' below {-saving:.0f}."
            )


def _worst_served(weights: Weights, priority: int, leg: Leg, lateness_min: float) -> float:
    approach_km = weights.limits["longest_approach_km"]
    return min(
        _served(weights, priority, leg, lateness_min, approach_km, ride_km, is_emergency, False, lateness_min)
        for ride_km in (0.0, weights.limits["longest_ride_km"])
        for is_emergency in (False, True)
    )


def _served(
    weights: Weights,
    priority: int,
    leg: Leg,
    lateness_min: float,
    approach_km: float,
    ride_km: float,
    is_emergency: bool,
    is_prompt: bool,
    appointment_missed_min: float = 0.0,
) -> float:
    terms = trip_terms(
        weights,
        priority=priority,
        leg=leg,
        lateness_min=lateness_min,
        appointment_missed_min=appointment_missed_min if leg == Leg.OUTBOUND else 0.0,
        is_prompt=is_prompt,
        approach_km=approach_km,
        ride_km=ride_km,
        is_emergency=is_emergency,
    )
    return sum(terms.values())
