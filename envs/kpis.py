"""
The KPIs of a finished day: read from the event log, the given part of the day and the counters, never from the reward.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.records import MOVE_MIN, NO_DRIVER, EventKind, Leg, World

LATE_SHARE_MIN = 5.0  # [min] ``late_share_5`` counts pickups later than this beyond their window (design: rewards)
COST_PER_LOST = 300.0  # [deadhead min] price of a lost booking on real days (design: real days)
COST_PER_BROKEN = 300.0  # [deadhead min] on top, where wishes are answered at the call: dearer than a refusal
SOON_MIN = 30.0  # [min] before the pickup as told: another driver now is a late change
COST_PER_LATE_MIN = 5.0  # [deadhead min per min] price of lateness where windows may be missed (design: real days)
ROUNDING_MIN = 1e-6  # [min] a pickup this close to the end of its window is on time: rounding, not lateness

KPI_NAMES = (
    "num_bookings",
    "num_served",
    "service_rate",  # served / all bookings of the day
    "on_time_share",  # served ones picked up inside their window, and in time for their appointment / served ones
    "on_time_share_outbound",
    "on_time_share_return",
    "late_share_5",  # served ones picked up more than 5 min after their window / served ones
    "lateness_mean_min",  # over the served ones, zero when on time
    "lateness_p95_min",
    "num_lost",  # expired, refused or broken; cancelled and no-show are counted apart
    "num_refused",  # told at the call that nobody can come
    "num_broken",  # promised and lost; where promises aren't given at the call, the first place is one
    "num_given_back",  # times that a booking lost its place
    "promise_wait_min",  # mean from call to promise
    "pickup_off_mean_min",  # pickups, between actual and as told with the promise: mean and 95th percentile
    "pickup_off_p95_min",
    "driver_changes_per_trip",  # per served trip, after its first driver
    "driver_changed_share",  # served trips whose driver changed
    "driver_changed_share_30",  # the same within 30 min of the pickup
    "pickup_moved_share",  # served trips whose pickup, as told, moved by more than 10 min at once
    "appointment_late_share",  # served trips with an appointment that are out of the vehicle after it
    "appointment_late_mean_min",  # over those with an appointment, zero when in time
    "num_lost_priority_1",
    "num_lost_priority_2",
    "num_lost_priority_3",
    "num_lost_priority_4",
    "num_lost_priority_5",
    "num_lost_ambulatory",
    "num_lost_wheelchair",
    "num_unservable",  # among the lost: bookings that no shift of this fleet could have served
    "num_cancelled",
    "num_no_show",
    "deadhead_km",  # approaches, also those that ended at a no-show or were abandoned
    "deadhead_min",  # from departure to pickup
    "loaded_km",
    "deadhead_share",  # deadhead km / all km
    "km_per_served_trip",
    "trips_per_driver_hour",  # served trips / hours on shift within the opening hours, breaks not counted
    "load_gap",  # most minus fewest served trips among the drivers
    "emergency_share",  # served trips by emergency drivers / served trips by any driver
    "num_decisions",
    "num_idle_waits",  # waited though a feasible pair existed
    "num_infeasible",
    "num_unassigned",  # churn
    "num_moved",
    "num_spare",
    "cost",  # deadhead minutes + 300 per lost booking that could have been served, 300 more if promised at the call
    "cost_with_lateness",  # the same + 5 per minute late
)

_TALLY = np.dtype(
    [
        ("served", np.float64),
        ("served_outbound", np.float64),
        ("served_return", np.float64),
        ("on_time_outbound", np.float64),
        ("on_time_return", np.float64),
        ("served_by_driver", np.float64),  # not by a spare vehicle
        ("served_by_emergency", np.float64),
        ("lost", np.float64),
        ("lost_by_priority", np.float64, (5,)),
        ("lost_by_mobility", np.float64, (2,)),
        ("cancelled", np.float64),
        ("no_show", np.float64),
        ("deadhead_km", np.float64),
        ("deadhead_min", np.float64),
        ("loaded_km", np.float64),
        ("driver_hours", np.float64),
        ("load_gap", np.float64),
        ("late_min", np.float64),
        ("late_5", np.float64),
        ("picked_up", np.float64),
        ("picked_up_promised", np.float64),
        ("refused", np.float64),
        ("broken", np.float64),
        ("given_back", np.float64),
        ("promised", np.float64),
        ("promise_wait_min", np.float64),
        ("driver_changes", np.float64),
        ("driver_changed", np.float64),
        ("driver_changed_30", np.float64),
        ("pickup_moved", np.float64),
        ("with_appointment", np.float64),
        ("appointment_late", np.float64),
        ("appointment_late_min", np.float64),
    ],
    align=True,
)

_DEPART = int(EventKind.DEPART)
_PICKUP = int(EventKind.PICKUP)
_DROPOFF = int(EventKind.DROPOFF)
_EXPIRE = int(EventKind.EXPIRE)
_CANCEL = int(EventKind.CANCEL)
_NO_SHOW = int(EventKind.NO_SHOW)
_ABANDON = int(EventKind.ABANDON)
_DROP_OUT = int(EventKind.DROP_OUT)
_PROMISE = int(EventKind.PROMISE)
_REFUSE = int(EventKind.REFUSE)
_ASSIGN = int(EventKind.ASSIGN)
_MOVE = int(EventKind.MOVE)
_GIVE_BACK = int(EventKind.GIVE_BACK)
_BREAK = int(EventKind.BREAK)
_OUTBOUND = int(Leg.OUTBOUND)


_TOLD = np.dtype(
    [
        ("driver", np.int32),
        ("changes", np.int32),
        ("is_changed_soon", np.int32),
        ("is_moved", np.int32),
        ("is_promised", np.int32),
        ("pickup_min", np.float64),
        ("promised_pickup_min", np.float64),
    ],
    align=True,
)


@jit
def _read_told(event, release_min, told, tally):  # type: ignore[no-untyped-def]
    kind = event["kind"]
    if kind == _PROMISE:
        told.is_promised = 1
        told.promised_pickup_min = event["pickup_min"]
        tally["promised"] += 1
        tally["promise_wait_min"] += event["time_min"] - release_min
    elif kind == _ASSIGN or kind == _MOVE:
        _follow(told, event)
    elif kind == _GIVE_BACK:
        tally["given_back"] += 1
    elif kind == _REFUSE:
        tally["refused"] += 1
    elif kind == _BREAK:
        tally["broken"] += 1


@jit
def _note_off(told, pickup_min, tally, off):  # type: ignore[no-untyped-def]
    if told.is_promised:
        off[int(tally["picked_up_promised"])] = abs(pickup_min - told.promised_pickup_min)
        tally["picked_up_promised"] += 1


@jit
def _count_told(told, appointment_late_min, tally):  # type: ignore[no-untyped-def]
    """Add what a served patient was told, and how late the appointment was reached (nan without one)."""
    tally["driver_changes"] += told.changes
    tally["driver_changed"] += told.changes > 0
    tally["driver_changed_30"] += told.is_changed_soon
    tally["pickup_moved"] += told.is_moved
    if appointment_late_min == appointment_late_min:  # not nan
        tally["with_appointment"] += 1
        tally["appointment_late"] += appointment_late_min > ROUNDING_MIN
        tally["appointment_late_min"] += max(0.0, appointment_late_min)


@jit
def _follow(told, event):  # type: ignore[no-untyped-def]
    """Another place in the plans than the one told before is a change of driver, of the pickup or of both."""
    if told.driver != NO_DRIVER:
        if told.driver != event.driver:
            told.changes += 1
            if told.pickup_min - event.time_min <= SOON_MIN:
                told.is_changed_soon = 1
        if abs(event.pickup_min - told.pickup_min) > MOVE_MIN:
            told.is_moved = 1
    told.driver = event.driver
    told.pickup_min = event.pickup_min


@jit
def _read_log(clock, drivers, bookings, events, tally, lateness, off):  # type: ignore[no-untyped-def]
    """
    Fill ``tally`` in one pass over the log, and in the order of the pickups two more, in minutes.

    ``lateness[:picked_up]`` is after the window, ``off[:picked_up_promised]`` between the pickup as it was and as it
    was told with the promise.
    """
    num_drivers = clock["num_drivers"]
    departed_min = np.full(num_drivers, np.nan)
    num_trips = np.zeros(num_drivers)
    is_late = np.zeros(clock["num_bookings"], np.bool_)
    told = np.zeros(clock["num_bookings"], _TOLD)
    for k in range(len(told)):
        told[k].driver = NO_DRIVER
    num_picked_up = 0
    for e in range(clock["num_events"]):
        event = events[e]
        kind, n, k = event["kind"], event["driver"], event["booking"]
        if kind == _DEPART:
            departed_min[n] = event["time_min"]
        elif kind == _PICKUP or kind == _NO_SHOW or kind == _ABANDON:
            tally["deadhead_km"] += event["km"]
            tally["deadhead_min"] += event["time_min"] - departed_min[n]
            if kind == _NO_SHOW:  # logged when the driver has waited in vain for the time a pickup takes
                tally["deadhead_min"] -= bookings[k]["pickup_service_min"]
                tally["no_show"] += 1
            elif kind == _PICKUP:
                late_min = event["time_min"] - bookings[k]["latest_pickup_min"]
                if late_min <= ROUNDING_MIN:
                    late_min = 0.0
                if late_min > LATE_SHARE_MIN + ROUNDING_MIN:
                    tally["late_5"] += 1
                is_late[k] = late_min > 0.0
                tally["late_min"] += late_min
                lateness[num_picked_up] = late_min
                num_picked_up += 1
                _note_off(told[k], event["time_min"], tally, off)
        elif kind == _DROPOFF:
            tally["served"] += 1
            tally["loaded_km"] += event["km"]
            is_late[k] |= event["time_min"] - bookings[k]["appointment_min"] > ROUNDING_MIN  # never where it is nan
            if bookings[k]["leg"] == _OUTBOUND:
                tally["served_outbound"] += 1
                tally["on_time_outbound"] += not is_late[k]
            else:
                tally["served_return"] += 1
                tally["on_time_return"] += not is_late[k]
            _count_told(told[k], event["time_min"] - bookings[k]["appointment_min"], tally)
            if n >= 0 and bookings[k]["by_spare"] == 0:
                num_trips[n] += 1
                tally["served_by_driver"] += 1
                tally["served_by_emergency"] += drivers[n]["is_emergency"] != 0
        elif kind == _EXPIRE or kind == _REFUSE:
            tally["lost"] += 1
            tally["lost_by_priority"][bookings[k]["priority"] - 1] += 1
            tally["lost_by_mobility"][1 if bookings[k]["is_wheelchair"] != 0 else 0] += 1
        elif kind == _CANCEL:
            tally["cancelled"] += 1
        if kind > _DROP_OUT:
            _read_told(event, bookings[k]["release_min"], told[k], tally)
    tally["picked_up"] = num_picked_up
    for n in range(num_drivers):
        driver = drivers[n]
        start_min = max(driver["shift_start_min"], clock["open_min"])
        end_min = min(driver["shift_end_min"], clock["close_min"])
        if end_min > start_min:
            pause_min = min(driver["break_end_min"], end_min) - max(driver["break_start_min"], start_min)
            tally["driver_hours"] += (end_min - start_min - max(pause_min, 0.0)) / 60.0
    if num_drivers > 0:
        tally["load_gap"] = num_trips.max() - num_trips.min()


@jit
def _ratio(part, whole):  # type: ignore[no-untyped-def]
    return part / whole if whole > 0 else np.nan


@jit
def _sorted(values):  # type: ignore[no-untyped-def]
    """
    A sorted copy.

    Not np.sort: Numba names the parts of np.sort and np.argsort alike, and where both are read from files one can be
    taken for the other. The hindsight search uses np.argsort.
    """
    ordered = values.copy()
    for i in range(1, len(ordered)):
        value, p = ordered[i], i
        while p > 0 and ordered[p - 1] > value:
            ordered[p] = ordered[p - 1]
            p -= 1
        ordered[p] = value
    return ordered


@jit
def _percentile(values, share):  # type: ignore[no-untyped-def]
    """As ``np.percentile``: linear between neighbours."""
    if len(values) == 0:
        return np.nan
    ordered = _sorted(values)
    rank = share * (len(ordered) - 1)
    below = int(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (rank - below) * (ordered[above] - ordered[below])


@jit
def _write_kpis(clock, tally, lateness, off, num_unservable, at_call, out):  # type: ignore[no-untyped-def]
    """Write the KPIs into ``out`` in the order of ``KPI_NAMES``."""
    num_bookings = float(clock["num_bookings"])
    served, lost = tally["served"], tally["lost"]
    deadhead_km, loaded_km = tally["deadhead_km"], tally["loaded_km"]
    cost = tally["deadhead_min"] + COST_PER_LOST * (lost - num_unservable)
    if at_call:
        cost += COST_PER_BROKEN * tally["broken"]
    num_picked_up, num_promised = int(tally["picked_up"]), int(tally["picked_up_promised"])
    by_priority, by_mobility = tally["lost_by_priority"], tally["lost_by_mobility"]
    values = (
        num_bookings,
        served,
        _ratio(served, num_bookings),
        _ratio(tally["on_time_outbound"] + tally["on_time_return"], served),
        _ratio(tally["on_time_outbound"], tally["served_outbound"]),
        _ratio(tally["on_time_return"], tally["served_return"]),
        _ratio(tally["late_5"], tally["picked_up"]),
        _ratio(tally["late_min"], tally["picked_up"]),
        _percentile(lateness[:num_picked_up], 0.95),
        lost,
        tally["refused"],
        tally["broken"],
        tally["given_back"],
        _ratio(tally["promise_wait_min"], tally["promised"]),
        _ratio(off[:num_promised].sum(), tally["picked_up_promised"]),
        _percentile(off[:num_promised], 0.95),
        _ratio(tally["driver_changes"], served),
        _ratio(tally["driver_changed"], served),
        _ratio(tally["driver_changed_30"], served),
        _ratio(tally["pickup_moved"], served),
        _ratio(tally["appointment_late"], tally["with_appointment"]),
        _ratio(tally["appointment_late_min"], tally["with_appointment"]),
        by_priority[0],
        by_priority[1],
        by_priority[2],
        by_priority[3],
        by_priority[4],
        by_mobility[0],
        by_mobility[1],
        float(num_unservable),
        tally["cancelled"],
        tally["no_show"],
        deadhead_km,
        tally["deadhead_min"],
        loaded_km,
        _ratio(deadhead_km, deadhead_km + loaded_km),
        _ratio(deadhead_km + loaded_km, served),
        _ratio(served, tally["driver_hours"]),
        tally["load_gap"],
        _ratio(tally["served_by_emergency"], tally["served_by_driver"]),
        float(clock["num_decisions"]),
        float(clock["num_idle_waits"]),
        float(clock["num_infeasible"]),
        float(clock["num_unassigned"]),
        float(clock["num_moved"]),
        float(clock["num_spare"]),
        cost,
        cost + COST_PER_LATE_MIN * tally["late_min"],
    )
    for i in range(len(values)):
        out[i] = values[i]


@jit
def _write_kpi_rows(world, rows, num_unservable, tallies, out):  # type: ignore[no-untyped-def]
    world = borrow(world)
    lateness, off = np.empty(world.bookings.shape[1]), np.empty(world.bookings.shape[1])
    at_call = world.rules[0].promises_at_call != 0
    for i in range(len(rows)):
        b = rows[i]
        clock = world.clocks[b]
        _read_log(clock, world.drivers[b], world.bookings[b], world.events[b], tallies[i], lateness, off)
        _write_kpis(clock, tallies[i], lateness, off, num_unservable[i], at_call, out[i])


def kpi_rows(
    world: World, rows: npt.NDArray[np.int64], num_unservable: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """
    KPIs of the days that these rows have finished.

    Parameters
    ----------
    world, rows
        The batched world and the rows whose day is done.
    num_unservable
        For each row the bookings of its day that no shift of its fleet could have served. They count as lost, but not
        in ``cost``.

    Returns
    -------
    float64, shape (len(rows), len(KPI_NAMES))
        nan where a KPI is not defined (a mean over served bookings when nobody was served, say).
    """
    for b in rows.tolist():
        if world.clocks["num_unlogged"][b]:
            raise ValueError(
                f"row {b}: the event log was full, {world.clocks['num_unlogged'][b]} moves are missing from it, so its "
                "KPIs would be wrong. Some policy moves bookings to and fro: see TOLD_PER_BOOKING in "
                "envs/world/records.py."
            )
    out = np.empty((len(rows), len(KPI_NAMES)))
    _write_kpi_rows(world, rows, num_unservable, np.zeros(len(rows), _TALLY), out)
    return out


def episode_kpis(world: World, b: int, num_unservable: int = 0) -> dict[str, float]:
    """KPIs of the day that row ``b`` has finished, by name; see ``kpi_rows``."""
    values = kpi_rows(world, np.array([b]), np.array([num_unservable]))[0]
    return dict(zip(KPI_NAMES, values.tolist(), strict=True))
