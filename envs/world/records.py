"""
The records of the batched world: one structured dtype per noun, one array axis per day held side by side.

Compiled code reads and writes these arrays in place; Python reads them through ``array["field"]``. Times are minutes
since midnight, distances kilometres. *Work* is what a vehicle has to get through on a leg: kilometres under an hourly
speed profile, minutes under a fixed matrix; ``World.speeds`` says how much of it a minute gets done.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

NO_BOOKING = -1
NO_DRIVER = -1
NEVER = np.inf


class BookingState(IntEnum):
    """Where a booking stands; the last four are final and exclude each other."""

    UNRELEASED = 0
    OPEN = 1
    PLANNED = 2  # in a driver's plan, trip not begun
    UNDER_WAY = 3  # the driver has left for the pickup
    SERVED = 4
    EXPIRED = 5
    CANCELLED = 6
    NO_SHOW = 7


class EventKind(IntEnum):
    """What the event log records; ``km`` is what was driven since the driver's previous event."""

    DEPART = 0  # km 0
    PICKUP = 1  # km = approach leg (deadhead)
    DROPOFF = 2  # km = ride; time = end of service at the drop-off
    EXPIRE = 3
    CANCEL = 4
    NO_SHOW = 5  # km = approach leg; the driver waited in vain
    ABANDON = 6  # a driver dropped out on the way to the pickup; km = part of the approach already driven
    DROP_OUT = 7


class Leg(IntEnum):
    OUTBOUND = 0
    RETURN = 1


BOOKING = np.dtype(
    [
        # --- given by the day -------------------------------------------------------------------------------------
        ("key", np.uint64),  # stable hash of the booking id: names its random draws
        ("release_min", np.float64),
        ("earliest_pickup_min", np.float64),
        ("latest_pickup_min", np.float64),
        ("pickup_service_min", np.float64),
        ("dropoff_service_min", np.float64),
        ("appointment_min", np.float64),  # nan: none
        ("priority", np.int32),  # 1..5
        ("leg", np.int32),  # Leg
        ("is_wheelchair", np.int32),
        ("pickup_lat", np.float64),
        ("pickup_lon", np.float64),
        ("dropoff_lat", np.float64),
        ("dropoff_lon", np.float64),
        ("ride_km", np.float64),
        # --- derived once, when the day is loaded -----------------------------------------------------------------
        ("pickup_xyz", np.float64, (3,)),  # unit vector on the sphere
        ("dropoff_xyz", np.float64, (3,)),
        ("pickup_east_km", np.float64),  # local plane around the scenario's centre, for observations
        ("pickup_north_km", np.float64),
        ("dropoff_east_km", np.float64),
        ("dropoff_north_km", np.float64),
        ("ride_work", np.float64),
        ("approach_noise", np.float64),  # factor on the work of the approach, 1 without noise
        ("ride_noise", np.float64),
        ("cancel_min", np.float64),  # NEVER unless drawn
        ("is_no_show", np.int32),  # drawn; comes true when the driver arrives
        # --- what has happened, or is predicted while the trip is planned or under way ----------------------------
        ("state", np.int32),  # BookingState
        ("driver", np.int32),  # row of the driver, or NO_DRIVER
        ("depart_min", np.float64),
        ("approach_km", np.float64),
        ("approach_min", np.float64),
        ("pickup_min", np.float64),  # arrival at the pickup, or the earliest pickup when the driver is early
        ("dropoff_min", np.float64),  # end of service at the drop-off: the driver is free
        ("true_pickup_min", np.float64),  # with travel noise: what will happen, hidden until it does
        ("true_dropoff_min", np.float64),
        ("by_spare", np.int32),  # delivered by a spare vehicle after its driver dropped out
        ("is_touched", np.int32),  # already listed in World.touched during this step
    ],
    align=True,
)

DRIVER = np.dtype(
    [
        ("key", np.uint64),
        ("start_lat", np.float64),
        ("start_lon", np.float64),
        ("shift_start_min", np.float64),
        ("shift_end_min", np.float64),
        ("break_start_min", np.float64),  # NEVER: no break
        ("break_end_min", np.float64),
        ("is_emergency", np.int32),
        ("can_wheelchair", np.int32),
        ("drop_out_min", np.float64),  # NEVER unless drawn
        # --- what has happened ------------------------------------------------------------------------------------
        ("xyz", np.float64, (3,)),  # where the driver is free next
        ("east_km", np.float64),
        ("north_km", np.float64),
        ("place", np.int32),  # row of the travel matrix: n start, N + k drop-off of k, N + K + k pickup of k
        ("free_min", np.float64),  # end of the trip under way (predicted), or when the driver became idle
        ("under_way", np.int32),  # row of the booking being carried out, or NO_BOOKING
        ("has_patient", np.int32),  # the patient of the trip under way is aboard
        ("plan_len", np.int32),  # trips not begun
        ("num_trips", np.int32),  # trips begun
        ("is_out", np.int32),  # dropped out
        # --- over this driver's feasible pairs now ----------------------------------------------------------------
        ("num_feasible", np.int32),
        ("least_added_km", np.float64),  # NEVER without one
    ],
    align=True,
)

CLOCK = np.dtype(
    [
        ("day_number", np.int64),  # of a generated day; -1 for a day from files
        ("now_min", np.float64),
        ("open_min", np.float64),
        ("close_min", np.float64),
        ("num_bookings", np.int32),
        ("num_drivers", np.int32),
        ("has_matrix", np.int32),  # travel from World.km and World.work; else great circle x detour
        ("detour", np.float64),
        ("decisions_this_tick", np.int32),
        ("num_open", np.int32),  # released and neither assigned nor lost, the backlog included
        ("num_released", np.int32),  # rows below this one are released; rows are sorted by release time
        ("num_feasible", np.int32),  # feasible pairs among the slots now
        ("num_shown", np.int32),  # slots in use
        ("has_disturbances", np.int32),
        ("is_done", np.int32),
        ("plan_news", np.int32),  # a plan changed since it was last improved
        ("num_touched", np.int32),
        ("num_events", np.int32),
        # --- the last step ----------------------------------------------------------------------------------------
        ("elapsed_min", np.float64),
        ("was_infeasible", np.int32),
        ("was_idle_wait", np.int32),  # waited (or chose an infeasible action) while a feasible pair existed
        ("was_assigned", np.int32),
        # --- counted over the day ---------------------------------------------------------------------------------
        ("num_decisions", np.int32),
        ("num_infeasible", np.int32),
        ("num_idle_waits", np.int32),
        ("num_unassigned", np.int32),  # churn
        ("num_moved", np.int32),  # trips that plan improvement gave to another driver
        ("num_spare", np.int32),
    ],
    align=True,
)

PAIR = np.dtype(
    [
        ("is_feasible", np.int32),
        ("position", np.int32),  # where in the plan of trips not begun the booking would go
        ("pickup_min", np.float64),
        ("lateness_min", np.float64),  # of this booking
        ("approach_km", np.float64),  # of this booking
        ("added_km", np.float64),  # change of deadhead over the driver's plan
        ("added_driving_min", np.float64),  # change of driving minutes over the plan
        ("added_lateness_min", np.float64),  # change of lateness over the plan, this booking's included
        ("occupied_min", np.float64),  # change of the plan's busy minutes: approach, service, ride, service
        ("cost", np.float64),  # added_driving_min + insertion_lateness_weight x added_lateness_min
        ("regret", np.float64),  # best other driver's cost minus cost; NEVER without another feasible driver
    ],
    align=True,
)

RIVALRY = np.dtype(
    [
        # --- over the feasible pairs of one slot ------------------------------------------------------------------
        ("num_feasible", np.int32),
        ("cheapest", np.int32),  # row of the driver with the smallest cost, -1 without one
        ("cost", np.float64),  # the smallest cost and the one after it; NEVER where there is none
        ("next_cost", np.float64),
        ("first_pickup_min", np.float64),  # NEVER without a feasible pair
    ],
    align=True,
)

EVENT = np.dtype(
    [("time_min", np.float64), ("kind", np.int32), ("driver", np.int32), ("booking", np.int32), ("km", np.float64)],
    align=True,
)

RULES = np.dtype(
    [
        ("tick_min", np.float64),
        ("decisions_per_tick", np.int32),  # 0: unlimited
        ("skips_idle_ticks", np.int32),
        ("inserts", np.int32),  # 1: cheapest insertion, 0: append
        ("max_trips", np.int32),  # per driver, the trip under way counted
        ("max_lateness_min", np.float64),
        ("expiry_tolerance_min", np.float64),
        ("insertion_lateness_weight", np.float64),
        ("improves_plans", np.int32),
        ("improvement_moves", np.int32),  # rounds of ruin and recreate besides; 0: none
        ("improvement_lost_min", np.float64),  # what leaving out a booking counts in them; 0: no trip loses its place
    ],
    align=True,
)


class World(NamedTuple):
    """
    Everything that compiled code needs: B days side by side, N drivers, K bookings, M slots, P trips in a plan.

    ``plans[b, n, :plan_len]`` holds booking rows of trips not begun. ``slots[b, m]`` is the booking row shown in slot m
    or NO_BOOKING. ``km`` and ``work`` are (B, N + 2K, K) when a day brings a travel matrix, else (B, 1, 1).
    """

    rules: np.ndarray  # RULES, shape (1,)
    clocks: np.ndarray  # CLOCK, shape (B,)
    drivers: np.ndarray  # DRIVER, shape (B, N)
    bookings: np.ndarray  # BOOKING, shape (B, K)
    plans: np.ndarray  # int32, shape (B, N, P)
    speeds: np.ndarray  # float64, shape (B, 24): work per minute in each hour of the day
    km: np.ndarray  # float32
    work: np.ndarray  # float32
    touched: np.ndarray  # int32, shape (B, K): bookings whose terms may have changed in this step, [:num_touched]
    events: np.ndarray  # EVENT, shape (B, E)
    slots: np.ndarray  # int32, shape (B, M)
    rivalries: np.ndarray  # RIVALRY, shape (B, M); slots in use only
    pairs: np.ndarray  # PAIR, shape (B, N, M); where is_feasible is 0 the other fields mean nothing
    open_rows: (
        np.ndarray
    )  # int32, shape (B, K): open bookings by (latest pickup, row), [:num_open]; slots show the first M


def empty_world(
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
