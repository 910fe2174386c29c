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
    """Where a booking stands; those from SERVED on are final and exclude each other."""

    UNRELEASED = 0
    OPEN = 1
    PLANNED = 2  # in a driver's plan, trip not begun
    UNDER_WAY = 3  # the driver has left for the pickup
    SERVED = 4
    EXPIRED = 5
    CANCELLED = 6
    NO_SHOW = 7
    REFUSED = 8  # told at the call that nobody can come, or hung up
    BROKEN = 9  # where wishes are answered at the call: promised and lost. Elsewhere that is EXPIRED


class EventKind(IntEnum):
    """
    What the event log records; ``km`` is what was driven since the driver's previous event.

    From RELEASE on the log says what people were told, none of which drives anybody anywhere. ``pickup_min`` is then
    the pickup that the booking's patient expects after the event, ``moved_min`` by how much it moved.
    """

    DEPART = 0  # km 0
    PICKUP = 1  # km = approach leg (deadhead)
    DROPOFF = 2  # km = ride; time = end of service at the drop-off
    EXPIRE = 3
    CANCEL = 4
    NO_SHOW = 5  # km = approach leg; the driver waited in vain
    ABANDON = 6  # a driver dropped out on the way to the pickup; km = part of the approach already driven
    DROP_OUT = 7
    RELEASE = 8  # the call: pickup_min = begin of the window wished
    OFFER = 9  # a window is offered: pickup_min = its begin, moved_min = its distance from the wish
    PROMISE = 10  # the patient's: pickup_min as planned, moved_min = the window's distance from the wish
    REFUSE = 11  # told that nobody can come
    ASSIGN = 12  # a place in the plan of a driver
    MOVE = 13  # another driver, or a pickup more than MOVE_MIN away from the one told
    GIVE_BACK = 14  # the place is lost, the booking open again
    FREEZE = 15  # the driver's promise: driver and order stay from here on
    BREAK = 16  # a promised booking is lost: stands before its EXPIRE


class Actor(IntEnum):
    """Who did what the log records."""

    DAY = 0  # nobody: it happened
    POLICY = 1  # the agent, rule or dispatcher who gave the order
    PLANNER = 2  # plan improvement
    DESK = 3  # the answer that the world gives to wishes which the policy left unanswered


TOLD_PER_BOOKING = 40  # events from RELEASE on that the log has room for, on average; the days measured have about 8
MOVE_MIN = 10.0  # [min] a pickup that comes to lie further from the one told is a move that the patient hears of


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
        ("outbound", np.int32),  # of a return: row of its outbound leg, or NO_BOOKING
        ("expected_min", np.float64),  # of a return: when it is expected before it is called, mean and std of
        ("expected_std_min", np.float64),  # the earliest pickup; nan: nobody knows of it before the call
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
        ("keeps_appointment_min", np.float64),  # last pickup that does, whoever comes; NEVER without an appointment
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
        # --- what people were told --------------------------------------------------------------------------------
        ("is_promised", np.int32),
        ("placed_by", np.int32),  # Actor who found its place, if not the policy
        ("promised_min", np.float64),  # when it was told; NEVER: not yet
        ("shift_min", np.float64),  # the window promised (earliest and latest above) minus the one wished
        ("is_frozen", np.int32),  # keeps its driver and its place behind other frozen trips
        ("last_pickup_min", np.float64),  # of a frozen trip: no order may delay it beyond; NEVER: not frozen
        ("told_driver", np.int32),  # as logged last, NO_DRIVER without a place
        ("told_pickup_min", np.float64),
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
        ("num_rows", np.int32),  # in World.rows, for a search
        ("search_rounds", np.int32),
        ("search_lost_min", np.float64),  # what leaving out a booking costs it; 0: none may be left out
        ("num_events", np.int32),
        ("num_unlogged", np.int32),  # events that found the log full; what drives always finds room
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
    [
        ("time_min", np.float64),
        ("kind", np.int32),  # EventKind
        ("driver", np.int32),
        ("booking", np.int32),
        ("by", np.int32),  # Actor
        ("km", np.float64),
        ("pickup_min", np.float64),
        ("moved_min", np.float64),
    ],
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
        ("promises_at_call", np.int32),  # 1: every wish is answered at the tick of its call; 0: promised when assigned
        ("promise_moves", np.int32),  # rounds of search for a wish that finds no place as the plans stand
        ("expects_returns", np.int32),  # 1: returns not called yet are known, and room is kept for them
        ("freeze_min", np.float64),  # trips that leave within it keep driver and order; 0: none
        ("freeze_slack_min", np.float64),  # by which an insertion may delay a frozen pickup
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
    rows: np.ndarray  # int32, shape (B, K): bookings that a search is asked about, [:num_rows]
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
    # Depart, pickup, drop-off, release, offer, promise, refuse or expire, break of a booking; depart, abandon, drop-out
    # of a driver who drops out; and whatever people are told besides (see log_told).
    num_events = (8 + TOLD_PER_BOOKING) * num_bookings + 3 * num_drivers
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
        rows=np.zeros((batch_size, num_bookings), np.int32),
        events=np.zeros((batch_size, num_events), EVENT),
        slots=np.full((batch_size, max_bookings), NO_BOOKING, np.int32),
        rivalries=np.zeros((batch_size, max_bookings), RIVALRY),
        pairs=np.zeros((batch_size, num_drivers, max_bookings), PAIR),
        open_rows=np.full((batch_size, num_bookings), NO_BOOKING, np.int32),
    )
