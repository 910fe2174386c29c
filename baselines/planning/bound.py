"""
A true bound: no plan of a day, not even one made with hindsight, can be worth more.

The day as set packing: choose a route for each driver so that no booking is served twice. Its linear relaxation is
solved by column generation: HiGHS (through scipy) for the master, and an exact elementary labelling of routes in the
simulator's own travel for the pricing (Desrochers, Desrosiers and Solomon 1992; Feillet et al. 2004). Every round also
gives a bound (Lagrange's: the master's duals and the best reduced cost of each kind of driver), so what is returned is
true even when the budget ends before the last column is found.

What makes it a bound on every policy: a driver leaves for a booking from its tick of release on, waits as long as he
likes, and is late by no more than allowed; where there is one decision per tick, bookings that can only be assigned
within few ticks compete for these. Left out, which can only raise the bound: limits on trips per plan, waiting that
costs. The terms of the whole day count with the most that they can pay.

Nothing pays more for being later, so leaving at once is best, but where minutes of approach count and the speed changes
by the hour: there, whoever waits for a faster hour drives for fewer minutes. Routes then branch by the time of leaving:
every ``WAIT_STEP_MIN`` one that is free again as if it left at the beginning of that step and drives as little as
anywhere within it. No real departure is better than its step's, however finely it is chosen.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from baselines.planning.hindsight import SIGN, Planner
from baselines.planning.plan import Routes, lost_cost, trip_cost, waiting_saves
from envs.world.borrowed import borrow
from envs.world.compiled import inlined, jit
from envs.world.plans import EPSILON_MIN, schedule_trip
from envs.world.records import NEVER
from envs.world.travel import HOUR_MIN, arrival, departure

MAX_LABELS = 400_000  # of one pricing; beyond it the round's bound is void
MAX_COLUMNS_A_ROUND = 60  # per kind of driver
COLUMNS_A_BOOKING = 8  # kept in the master
MANY_BOOKINGS = 64  # from which on duals are first found without the master
PATIENCE = 15  # rounds without a better bound before the steps are halved
TOLERANCE = 1e-6
WAIT_STEP_MIN = 2.5  # [min] between departures told apart where waiting makes the way shorter
_LEAST_STEP_MIN = 1e-6  # [min] so that rounding at a full hour doesn't stop the clock
_WORDS = 8  # 64 bookings each

LABEL = np.dtype(
    [
        ("booking", np.int32),  # by index
        ("parent", np.int32),
        ("free_min", np.float64),
        ("worth", np.float64),  # reduced: less the duals of the bookings served
        ("real_worth", np.float64),
        ("next_in_bucket", np.int32),
        ("next_at_booking", np.int32),
        ("is_dominated", np.int32),
        ("closed", np.uint64, (_WORDS,)),  # served already, or too late to be served after this
    ],
    align=True,
)


class TooManyLabelsError(Exception):
    """A pricing found more routes than there is room for: its round proves nothing."""


@jit
def _dominates(a, b):
    """Whether label ``a`` can do everything that ``b`` can, for as much."""
    if a.free_min > b.free_min or a.worth < b.worth:
        return False
    for word in range(_WORDS):
        if a.closed[word] & ~b.closed[word]:
            return False
    return True


@jit
def price_routes(plan, limits, n, duals, labels, heads, at_booking):
    """
    All undominated routes of driver ``n``; returns their number, or -1 when there is no room for more.

    Parameters
    ----------
    plan
        Without trips; its bookings in the order of the last time [min] at which each can be picked up.
    limits
        float64, shape (R,): these times.
    duals
        float64, shape (R,): price of serving each booking.
    heads, at_booking
        int32, work space: first label of each minute, shape (minutes,), and of each booking, shape (R,).
    """
    plan = borrow(plan)
    route, pace, num_drivers, size = plan.routes[n], plan.terms[0].pace, len(plan.routes), len(plan.trips)
    shift_end, free = route.shift_end_min + EPSILON_MIN, route.start_min
    waits = waiting_saves(plan)
    heads[:] = -1
    at_booking[:] = -1
    origin = int(free)
    label = labels[0]
    label.booking, label.parent = -1, -1
    label.free_min, label.worth, label.real_worth = free, 0.0, 0.0
    label.closed[:] = 0
    label.next_in_bucket, label.next_at_booking, label.is_dominated = -1, -1, 0
    count = 1
    heads[0] = 0
    for minute in range(len(heads)):
        while heads[minute] >= 0:
            current = heads[minute]
            heads[minute] = labels[current].next_in_bucket
            if labels[current].is_dominated:
                continue
            parent = labels[current]
            first = np.searchsorted(limits, parent.free_min)
            for r in range(first, size):
                if parent.closed[r >> 6] >> np.uint64(r & 63) & np.uint64(1):
                    continue
                trip = plan.trips[r]
                if trip.is_wheelchair and not route.can_wheelchair:
                    continue
                place = n if parent.booking < 0 else num_drivers + parent.booking
                leave, work = max(parent.free_min, trip.ready_min), plan.legs[place, r]
                least = NEVER
                while True:
                    depart, pickup, dropoff = schedule_trip(trip, route, plan.speeds, pace, leave, work)
                    if pickup > limits[r] or dropoff > shift_end:
                        break
                    cost = trip_cost(plan, n, r, place, depart, pickup, dropoff)
                    if waits:
                        leave, saved_min = _wait(plan.speeds, depart, pickup, work)
                        cost -= plan.objective[0].deadhead_min * saved_min
                    if cost < least - 1e-9:
                        least = cost
                        if count >= len(labels):
                            return -1
                        new = labels[count]
                        gain = trip.lost_cost - cost
                        new.booking, new.parent = r, current
                        new.free_min = dropoff
                        new.real_worth = parent.real_worth + gain
                        new.worth = parent.worth + gain - duals[r]
                        new.is_dominated = 0
                        new.closed[:] = parent.closed
                        new.closed[r >> 6] |= np.uint64(1) << np.uint64(r & 63)
                        _close(new, limits)
                        if _enters(labels, count, at_booking):
                            bucket = max(minute, int(dropoff) - origin)
                            if bucket >= len(heads):
                                return -1
                            new.next_in_bucket = heads[bucket]
                            heads[bucket] = count
                            count += 1
                    if not waits:
                        break
    return count


@jit
def _enters(labels, new, at_booking):
    """Put label ``new`` among those that end at the same booking, unless one of them dominates it."""
    r = labels[new].booking
    before, other = -1, at_booking[r]
    while other >= 0:
        following = labels[other].next_at_booking
        if _dominates(labels[other], labels[new]):
            return False
        if _dominates(labels[new], labels[other]):
            labels[other].is_dominated = 1
            if before < 0:
                at_booking[r] = following
            else:
                labels[before].next_at_booking = following
        else:
            before = other
        other = following
    labels[new].next_at_booking = at_booking[r]
    at_booking[r] = new
    return True


@inlined
def _wait(speeds, depart, reached, work):
    """
    (next departure [min] to be looked at, minutes by which the way gets shorter at most until then).

    Until the driver would leave or arrive in another hour, each minute of waiting changes the way by the same.
    """
    until = (np.floor(depart / HOUR_MIN) + 1.0) * HOUR_MIN
    until = min(until, departure(speeds, (np.floor(reached / HOUR_MIN) + 1.0) * HOUR_MIN, work))
    until = max(until, depart + _LEAST_STEP_MIN)
    saved = max(0.0, (reached - depart) - (arrival(speeds, until, work) - until))
    if saved > 0.0 and until > depart + WAIT_STEP_MIN:
        saved *= WAIT_STEP_MIN / (until - depart)
        until = depart + WAIT_STEP_MIN
    return until, saved


@jit
def _close(label, limits):
    """Bookings whose last pickup is past are as good as served: they don't stand in the way of dominance."""
    past = np.searchsorted(limits, label.free_min)
    for word in range(past >> 6):
        label.closed[word] = ~np.uint64(0)
    rest = past & 63
    if rest:
        label.closed[past >> 6] |= (np.uint64(1) << np.uint64(rest)) - np.uint64(1)


class BoundSearch:
    """Column generation for the day of a planner."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        world = planner.world
        bookings = world.bookings[0]
        allowed = float(world.rules["max_lateness_min"][0]) + EPSILON_MIN
        limits = bookings["latest_pickup_min"][planner.rows] + allowed
        order = np.argsort(limits, kind="stable")
        self.rows, self.limits = planner.rows[order], limits[order]
        if len(self.rows) > 64 * _WORDS:
            raise ValueError(f"a bound for {len(self.rows)} bookings: at most {64 * _WORDS} are possible.")
        self.plan = planner.new_plan(self.rows)
        # What serving nobody is worth; bookings that can't be given away in time are lost in every plan.
        self.lost = -sum(float(lost_cost(self.plan, k)) for k in range(planner.num_bookings))
        self.index = {int(k): r for r, k in enumerate(self.rows)}
        drivers = world.drivers[0, : int(world.clocks["num_drivers"][0])]
        fields = ("xyz", "free_min", "shift_start_min", "shift_end_min", "break_start_min", "break_end_min")
        kinds: dict[bytes, list[int]] = {}
        for n in range(len(drivers)):
            key = b"".join(np.ascontiguousarray(drivers[n][name]).tobytes() for name in fields)
            key += bytes([int(drivers[n]["can_wheelchair"] != 0), int(drivers[n]["is_emergency"] != 0)])
            kinds.setdefault(key, []).append(n)
        self.kinds = list(kinds.values())
        self.kind_of = {n: t for t, members in enumerate(self.kinds) for n in members}
        self.labels = np.zeros(MAX_LABELS, LABEL)
        self.heads = np.zeros(60 * 48, np.int32)
        self.at_booking = np.zeros(max(1, len(self.rows)), np.int32)
        self.num_rounds = 0
        self.crowds, self.room = self._crowds()
        self.limit_of = np.concatenate([np.ones(len(self.rows)), self.room])  # right side: bookings, then crowds
        # Columns: kind, worth, indices of bookings.
        self.columns: list[tuple[int, float, tuple[int, ...]]] = [(0, 0.0, ())]  # a driver who stays at home
        self._known: dict[tuple[int, tuple[int, ...]], int] = {}  # where the column of these bookings stands

    def _crowds(self) -> tuple[Any, Any]:
        """
        With one decision per tick: sets of bookings that can only be assigned within an interval too short for all.

        Returns
        -------
        float64, shape (number of sets, R), 1 for a member; and the ticks of each interval.
        """
        planner, size = self.planner, len(self.rows)
        if not planner.record["one_decision_per_tick"][0]:
            return np.zeros((0, size)), np.zeros(0)
        world = planner.world
        clock, tick_min = world.clocks[0], float(world.rules["tick_min"][0])
        opening, closing = float(clock["open_min"]), float(clock["close_min"])
        final = int(np.ceil((closing - opening) / tick_min - 1e-9)) - 1
        first = np.rint((planner.ready_min[self.rows] - opening) / tick_min).astype(int)
        until = world.bookings["latest_pickup_min"][0, self.rows] + float(world.rules["expiry_tolerance_min"][0])
        last = np.minimum(final, np.floor((until - opening) / tick_min + 1e-9).astype(int))
        crowds, room = [], []
        for begin in range(final + 1):
            for end in range(begin, final + 1):
                members = (first >= begin) & (last <= end)
                if members.sum() > end - begin + 1:
                    crowds.append(members.astype(float))
                    room.append(float(end - begin + 1))
        return np.array(crowds).reshape(-1, size), np.array(room)

    def add_routes(self, routes: Routes) -> None:
        """Columns to start from."""
        plan = self.planner.load(routes)
        for n, kind in self.kind_of.items():
            trips = [int(t) for t in plan.stops[n, : plan.routes["num_trips"][n]]]
            if trips:
                worth = float(plan.trips["lost_cost"][trips].sum() - plan.routes["cost"][n])
                self._add(kind, worth, tuple(self.index[int(k)] for k in plan.rows[trips]))

    def _add(self, kind: int, worth: float, members: tuple[int, ...]) -> None:
        at = self._known.setdefault((kind, members), len(self.columns))
        if at == len(self.columns):
            self.columns.append((kind, worth, members))
        elif worth > self.columns[at][1]:
            self.columns[at] = (kind, worth, members)  # the same trips, left for at better times

    def _constraints(self) -> tuple[Any, Any]:
        """Matrix and right side: each booking once, each kind of driver as often as there is, crowds in ticks."""
        from scipy.sparse import csc_matrix, vstack

        size = len(self.rows)
        lengths = [len(members) + 1 for _, _, members in self.columns]
        indices = np.concatenate([[*members, size + kind] for kind, _, members in self.columns])
        pointers = np.concatenate([[0], np.cumsum(lengths)])
        matrix = csc_matrix((np.ones(len(indices)), indices, pointers), (size + len(self.kinds), len(self.columns)))
        limit = np.concatenate([self.limit_of[:size], [len(members) for members in self.kinds], self.room])
        return vstack([matrix, csc_matrix(self.crowds @ matrix[:size])]), limit

    def _master(self) -> tuple[float, Any, Any]:
        """Value, and the duals: of each booking (its crowds' included) with their price in all, and of the kinds."""
        from scipy.optimize import linprog

        size, num_kinds = len(self.rows), len(self.kinds)
        matrix, limit = self._constraints()
        gains = np.array([worth for _, worth, _ in self.columns])
        found = linprog(-gains, A_ub=matrix, b_ub=limit, bounds=(0, None), method="highs")
        duals = -found.ineqlin.marginals
        self._forget(gains - matrix.T @ duals)
        return -found.fun, np.concatenate([duals[:size], duals[size + num_kinds :]]), duals[size : size + num_kinds]

    def _forget(self, reduced: Any) -> None:
        """
        Keep the columns that are worth most at the master's duals (those in use are worth 0, the others less).

        The master is solved anew in every round, and its time grows with its columns; one that is missed comes again.
        """
        most = COLUMNS_A_BOOKING * (len(self.rows) + 1)
        if len(self.columns) <= 2 * most:
            return
        kept = np.sort(np.argsort(-reduced[1:], kind="stable")[:most]) + 1
        self.columns = [self.columns[0], *(self.columns[int(i)] for i in kept)]
        self._known = {(kind, members): at for at, (kind, _, members) in enumerate(self.columns) if at}

    def _per_booking(self, duals: Any) -> Any:
        """What serving each booking costs: its own dual and those of its crowds."""
        size = len(self.rows)
        return duals[:size] + duals[size:] @ self.crowds

    def run(self, seconds: float) -> float:
        """The best bound within about ``seconds`` [s], on the objective of the planner."""
        end = time.monotonic() + seconds
        best = np.inf
        value, duals, of_kinds = self._master()
        smooth = np.zeros(len(self.limit_of))
        smooth[: len(self.rows)] = np.clip(duals[: len(self.rows)], 0.0, value / max(1, len(self.rows)))
        try:
            if len(self.rows) > MANY_BOOKINGS:
                best, smooth = self._descend(smooth, value, end - 0.7 * seconds)
                value, duals, of_kinds = self._master()
            while best - value > TOLERANCE * max(1.0, abs(value)) + 1e-4:
                bound, _ = self._price(smooth, of_kinds, self._per_booking(duals))
                best = min(best, bound)
                value, duals, of_kinds = self._master()
                if time.monotonic() > end:
                    break
                smooth = 0.5 * smooth + 0.5 * duals  # stabilised as by Wentges (1997): any duals give a bound
        except TooManyLabelsError:
            pass  # what has been proved till then stays true
        return self._to_objective(best + self.lost)

    def _descend(self, duals: Any, target: float, end: float) -> tuple[float, Any]:
        """
        Better duals by subgradients alone, until ``end``: the least bound found, and the duals that gave it.

        Where there are many bookings the master takes most of the time, and its first duals say little. Steps are
        Polyak's (1969) towards ``target``, what the best known plan is worth, the directions deflected as by Camerini,
        Fratta and Maffioli (1975).
        """
        best, best_duals = np.inf, duals
        share, direction, since = 1.0, np.zeros(len(duals)), 0
        while time.monotonic() < end and share > 1e-3:
            try:
                bound, used = self._price(duals)
            except TooManyLabelsError:
                break  # what was found till then isn't lost
            since += 1
            if bound < best:
                best, best_duals, since = bound, duals, 0
            elif since >= PATIENCE:
                share, since, duals = 0.5 * share, 0, best_duals
                direction[:] = 0.0
                continue
            direction = 0.5 * direction + (self.limit_of - used)
            length = float(direction @ direction)
            if length == 0.0:
                break
            duals = np.maximum(0.0, duals - share * max(0.0, bound - target) / length * direction)
        return best, best_duals

    def _price(self, duals: Any, of_kinds: Any = None, masters: Any = None) -> tuple[float, Any]:
        """
        Lagrange's bound at these duals, and how much of each constraint its routes use; good routes become columns.

        Columns are those that pay at the master's own duals, where these are given, else the best of each kind.
        """
        sizes = [len(members) for members in self.kinds]
        self.num_rounds += 1
        prices = self._per_booking(duals)
        bound, used = float(duals @ self.limit_of), np.zeros(len(self.rows))
        for t, members in enumerate(self.kinds):
            count = price_routes(self.plan, self.limits, members[0], prices, self.labels, self.heads, self.at_booking)
            if count < 0:
                raise TooManyLabelsError
            top = int(self.labels["worth"][:count].argmax())
            bound += sizes[t] * float(self.labels["worth"][top])
            route = self._route(top)
            used[route] += sizes[t]
            if masters is not None:
                self._add_columns(t, count, float(of_kinds[t]), masters)
            elif route:
                self._add(t, float(self.labels["real_worth"][top]), tuple(route))
        return bound, np.concatenate([used, self.crowds @ used])

    def _route(self, label: int) -> list[int]:
        """Bookings that a label serves, in order."""
        members: list[int] = []
        while self.labels["parent"][label] >= 0:
            members.append(int(self.labels["booking"][label]))
            label = int(self.labels["parent"][label])
        return members[::-1]

    def _add_columns(self, kind: int, count: int, dual: float, duals: Any) -> None:
        """The best new routes by the master's own duals."""
        labels = self.labels[:count]
        order = np.argsort(-labels["worth"])[: 4 * MAX_COLUMNS_A_ROUND]
        added = 0
        for i in order:
            if labels["is_dominated"][i] or added >= MAX_COLUMNS_A_ROUND or labels["parent"][i] < 0:
                continue
            members = self._route(int(i))
            worth = float(labels["real_worth"][i])
            if worth - sum(duals[members]) - dual > 1e-7:
                self._add(kind, worth, tuple(members))
                added += 1

    def _to_objective(self, worth: float) -> float:
        """The bound on what the evaluation judges by: the day's terms at their most, unservable bookings apart."""
        planner = self.planner
        if planner.objective != "reward":
            return -worth - 300.0 * planner.num_unservable
        w = planner.weights[0]
        return worth + max(0.0, w["balance"]) + max(0.0, w["mean_approach"])

    def integer_routes(self, seconds: float) -> Routes:
        """The best plan made of the columns found so far, by HiGHS' branch and bound within ``seconds`` [s]."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        matrix, limit = self._constraints()
        found = milp(
            -np.array([worth for _, worth, _ in self.columns]),
            constraints=LinearConstraint(matrix, -np.inf, limit),
            integrality=np.ones(len(self.columns)),
            bounds=Bounds(0, 1),
            options={"time_limit": seconds},
        )
        routes: Routes = [[] for _ in range(self.planner.world.drivers.shape[1])]
        if found.x is None:
            return routes
        free = [list(members) for members in self.kinds]
        for column in np.flatnonzero(found.x > 0.5):
            kind, _, members = self.columns[column]
            routes[free[kind].pop(0)] = [int(self.rows[r]) for r in members]
        return routes


def upper_bound(planner: Planner, routes: Routes, seconds: float = 20.0) -> tuple[float, Routes]:
    """
    A value that no policy can beat on the planner's day, and the best plan of the routes met on the way.

    For a cost it is a lower bound. ``routes`` is any good plan, to start from.
    """
    search = BoundSearch(planner)
    search.add_routes(routes)
    bound = search.run(seconds)
    return bound, search.integer_routes(min(5.0, seconds))


def is_beyond(value: float, bound: float, objective: str) -> bool:
    """Whether a value is better than a bound says is possible, rounding apart."""
    return SIGN[objective] * (value - bound) > 1e-6 * max(1.0, abs(bound))
