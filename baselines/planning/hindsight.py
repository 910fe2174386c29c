"""
The hindsight plan: the best plan of a day known from its opening on, under the same rules as every policy.

Nobody leaves for a booking before the tick at which it would become known, travel and shifts are the simulator's. What
a plan is worth is what its replay through the simulator comes to, ticks and all. The project's own search starts from
nothing, from PyVRP's plan and from every online plan that it is shown; where PyVRP is installed it polishes the best of
what is found. An online plan that is better still becomes the plan; so no policy beats it on a day whose plan it has
seen. ``bound`` says how far from the best possible it can be at most.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from baselines.planning import solvers
from baselines.planning.follower import PlanFollower
from baselines.planning.plan import (
    Plan,
    Routes,
    insert_missing,
    load,
    make_objective,
    make_plan,
    routes_driven,
    routes_of,
)
from baselines.planning.problem import make_problem
from baselines.planning.search import make_search, relocate, ruin_and_recreate
from baselines.planning.worth import assignment_ticks, decide_ticks, wait_where_it_pays
from envs.batch import DispatchBatch
from envs.days.scenario import Scenario
from envs.kpis import episode_kpis
from envs.orders import carry_out
from envs.world.decisions import step_days
from envs.world.records import World
from reward import RewardFunction
from reward.weights import WEIGHTS_DTYPE

CACHE_DIR = Path("logs/hindsight")
DEFAULT_ITERATIONS = 20_000  # of each search; about 1 s on a real day of 180 bookings, and PyVRP's 15 s
OTHERS_SHARE = 0.1  # iterations from an online plan that isn't the best of them, as a share of those from the best
PYVRP_SHARE = 0.2  # PyVRP's iterations as a share of ours; one takes as long as seventy of them
PYVRP_SCALE = 10_000  # per minute: rounded more coarsely, a plan without slack can't be driven in PyVRP's eyes
MAX_POLISHES = 5  # by PyVRP and our search in turn
POLISHED = 0.001  # share of the value; the last polish gains less
COLUMNS = "search by columns"  # origin of a plan that the search for a bound came by
SIGN = {"reward": 1, "cost": -1, "cost_with_lateness": -1}  # +1: more is better
_FORMAT = 4  # of the cached files; a new number makes old ones void


@dataclass
class Hindsight:
    """
    What is known of one day.

    Attributes
    ----------
    value
        Of the replay, by the objective of the evaluation.
    routes
        Booking rows per driver, in the order of their pickups.
    origin
        Where the plan came from: search, pyvrp or the policy whose plan was better.
    num_iterations
        Of the searches made so far.
    bound
        No plan at all can do better than this; None when it was not computed.
    bound_seconds
        How long the bound was looked for [s].
    """

    value: float
    routes: Routes
    origin: str
    num_iterations: int = 0
    bound: float | None = None
    bound_seconds: float = 0.0


class Planner:
    """
    Plans one day with hindsight.

    Parameters
    ----------
    day
        Number of a generated day, or a Day from files.
    reward
        Version or path; None only with a cost as objective.
    objective
        reward, cost or cost_with_lateness.
    num_unservable
        Bookings that no shift can serve: they don't count in the cost.
    """

    def __init__(
        self, day: Any, scenario: Scenario, reward: str | None, objective: str, num_unservable: int = 0
    ) -> None:
        self.day, self.scenario, self.objective = day, scenario, objective
        self.num_unservable = num_unservable
        self.batch = DispatchBatch(scenario, 1)
        self.batch.load_day(0, day)
        self.function = None if reward is None else RewardFunction.load(reward)
        self.weights = np.zeros(1, WEIGHTS_DTYPE) if self.function is None else self.function.weights.as_record()
        self.record = make_objective(objective, self.weights)
        rules, clock = self.batch.world.rules, self.batch.world.clocks[0]
        if objective == "reward":
            self.record["has_end_terms"] = 1
        self.record["may_wait"] = 1
        self.record["one_decision_per_tick"] = int(rules["decisions_per_tick"][0]) == 1
        self.num_bookings = int(clock["num_bookings"])
        bookings = self.batch.world.bookings[0, : self.num_bookings]
        tick_min, opening = float(rules["tick_min"][0]), float(clock["open_min"])
        ticks = np.maximum(0, np.ceil((bookings["release_min"] - opening) / tick_min - 1e-9))
        self.ready_min = opening + ticks * tick_min
        until = bookings["latest_pickup_min"] + rules["expiry_tolerance_min"][0]
        can_be_given = (self.ready_min <= until + 1e-6) & (self.ready_min < float(clock["close_min"]) - 1e-6)
        self.rows = np.flatnonzero(can_be_given).astype(np.int32)

    @property
    def world(self) -> World:
        return self.batch.world

    def new_plan(self, rows: np.ndarray | None = None) -> Plan:
        """A plan without trips, at opening; of all bookings that can be given away, or of ``rows``."""
        rows = self.rows if rows is None else rows
        bonus = self.weights["completion"][0] / max(1, self.num_bookings) if self.objective == "reward" else 0.0
        return make_plan(self.world, 0, self.record, self.weights, rows, self.ready_min[rows], bonus)

    def load(self, routes: Routes) -> Plan:
        """The plan of these routes; trips that aren't feasible are left out, missing ones inserted where that pays."""
        plan = self.new_plan()
        load(plan, routes)
        insert_missing(plan)
        return plan

    def search(self, routes: Routes, num_iterations: int, seed: int) -> Routes:
        """A plan at least as good as ``routes`` in the planner's eyes."""
        plan = self.load(routes)
        # Where trips compete for ticks the landscape is rough, so the search begins hotter.
        hot, cold, removed = (30.0, 0.5, 4.0) if self.record["one_decision_per_tick"][0] else (10.0, 0.05, 8.0)
        search = make_search(num_iterations, first_temperature=hot, last_temperature=cold, mean_removed=removed)
        ruin_and_recreate(plan, search, seed)
        relocate(plan)
        return routes_of(plan)

    def polish(self, routes: Routes, solver: solvers.Solver) -> Routes:
        """
        What a routing solver makes of ``routes``, a plan of the whole day; from nothing if there are none.

        It is told the travel times of this plan, as if they were those of any, and windows that open when the booking
        is known. What it can't know (breaks, speeds of other hours) may spoil its plan: trips that aren't feasible are
        placed anew.
        """
        plan = self.load(routes) if routes else self.new_plan()
        problem = make_problem(plan, is_warm=True)
        problem.earliest_min[:] = np.maximum(problem.earliest_min, plan.trips["ready_min"])
        stops = [plan.stops[n, : plan.routes["num_trips"][n]].tolist() for n in range(problem.num_drivers)]
        found = solver.solve(problem, stops, [plan.trips["pickup_min"][route].tolist() for route in stops])
        return routes_of(self.load([[int(plan.rows[r]) for r in route] for route in found]))

    def due(self, routes: Routes) -> list[tuple[int, int, int]]:
        """(tick, driver, booking): when each feasible trip of the plan is assigned, as late as it can be."""
        plan = self.new_plan()
        load(plan, routes, drops_costly=False)
        ticks = np.zeros(plan.stops.shape, np.int64)
        if self.record["one_decision_per_tick"][0]:
            decide_ticks(plan, ticks)
        else:
            wait_where_it_pays(plan)
            assignment_ticks(plan, np.zeros_like(ticks), ticks)
            clock, tick_min = plan.clock[0], float(plan.rules["tick_min"][0])
            known = np.ceil((plan.trips["ready_min"] - clock["open_min"]) / tick_min - 1e-6).astype(np.int64)
            for n, size in enumerate(plan.routes["num_trips"]):
                ticks[n, :size] = np.maximum(ticks[n, :size], known[plan.stops[n, :size]])
        return [
            (int(ticks[n, p]), n, k)
            for n, route in enumerate(routes_of(plan))
            for p, k in enumerate(route)
            if ticks[n, p] >= 0
        ]

    def replay(self, routes: Routes) -> tuple[float, Routes]:
        """Carry the plan out in the simulator: its value by the objective, and the trips that were really made."""
        batch = DispatchBatch(self.scenario, 1)
        batch.load_day(0, self.day)
        batch.refresh()
        batch.world.rules["improves_plans"] = 0  # the plan is carried out as it is
        follower = PlanFollower(self.due(routes))
        payer = None if self.function is None else self.function.attach(batch)
        total = 0.0
        while not batch.is_done[0]:
            orders = follower.orders(batch)
            carry_out(batch.world, orders.beyond)
            step_days(batch.world, orders.actions)
            if payer is not None:
                total += float(payer.pay()[0])
        if self.objective == "reward":
            return total, routes_driven(batch.world, 0)
        return episode_kpis(batch.world, 0, self.num_unservable)[self.objective], routes_driven(batch.world, 0)

    def digest(self) -> str:
        """Names day, rules and objective, by all that a plan is made of: what a cached plan belongs to."""
        sha = hashlib.sha256(f"{_FORMAT} {self.scenario.fingerprint()} {self.objective} {self.num_unservable}".encode())
        world, clock = self.world, self.world.clocks[0]
        sha.update(repr([float(clock[name]) for name in ("open_min", "close_min", "detour", "has_matrix")]).encode())
        for array in (world.bookings[0, : self.num_bookings], world.drivers[0], world.speeds[0], world.km, world.work):
            sha.update(array.tobytes())
        if self.objective == "reward":
            sha.update(self.weights.tobytes())
        return sha.hexdigest()[:24]


def hindsight(
    planner: Planner,
    online: Sequence[tuple[str, float, Routes]] = (),
    num_iterations: int = DEFAULT_ITERATIONS,
    cache: Path | None = CACHE_DIR,
) -> Hindsight:
    """
    The best plan known of the planner's day.

    Parameters
    ----------
    online
        (name, value, routes) of policies that played the day.
    num_iterations
        Of each search. A cached plan that was searched as long is only compared with the online plans.
    cache
        Folder for a file per day and settings; None: nothing is kept.
    """
    sign = SIGN[planner.objective]
    path = None if cache is None else cache / f"{planner.digest()}.json"
    best: Hindsight | None = None
    if path is not None and path.exists():
        best = Hindsight(**json.loads(path.read_text()))
    before = None if best is None else (best.value, best.num_iterations)

    def offer(routes: Routes, origin: str) -> None:
        nonlocal best
        value, driven = planner.replay(routes)
        if best is None or sign * value > sign * best.value + 1e-9:
            kept = best or Hindsight(value, driven, origin)
            best = replace(kept, value=value, routes=driven, origin=origin)

    online = sorted(online, key=lambda entry: -sign * entry[1])
    if best is None or best.num_iterations < num_iterations:
        few = max(1, int(OTHERS_SHARE * num_iterations))
        starts: list[tuple[str, Routes, int]] = [("search", [], num_iterations)]
        pyvrp = _pyvrp(num_iterations)
        if pyvrp is not None:
            found = planner.polish([], pyvrp)
            offer(found, "pyvrp")
            starts.append(("pyvrp and search", found, num_iterations))
        for name, _, routes in online:
            if all(routes != other for _, other, _ in starts):
                is_first = routes is online[0][2]
                starts.append((f"{name} and search", routes, num_iterations if is_first else few))
        if best is not None:
            starts.append((best.origin, best.routes, num_iterations))
        for seed, (origin, routes, size) in enumerate(starts):
            offer(planner.search(routes, size, seed), origin)
        assert best is not None
        for seed in range(len(starts), len(starts) + MAX_POLISHES):
            pyvrp = _pyvrp(num_iterations, seed)
            if pyvrp is None:
                break
            before_polish, base = best.value, best.origin.split(" and ")[0]
            polished = planner.polish(best.routes, pyvrp)
            offer(polished, base if base == "pyvrp" else f"{base} and pyvrp")
            offer(planner.search(polished, num_iterations, seed), f"{base} and search")
            if sign * (best.value - before_polish) <= POLISHED * abs(before_polish):
                break
        best.num_iterations = num_iterations
    for name, value, routes in online:
        if sign * value > sign * best.value + 1e-9:
            offer(planner.search(routes, max(1, num_iterations // 4), 99), f"{name} and search")
            offer(routes, name)
        if sign * value > sign * best.value + 1e-9:
            # A replay of its trips comes out below what the policy itself earned: its own day is the best one known.
            best = replace(best, value=value, routes=routes, origin=name)
    if path is not None and before != (best.value, best.num_iterations):
        store(best, path)
    return best


def is_from_policy(origin: str) -> bool:
    """Whether the plan is what a policy did, as no search found a better one."""
    return not (origin in ("pyvrp", COLUMNS) or origin.split(" and ")[-1] in ("search", "pyvrp"))


def _pyvrp(num_iterations: int, seed: int = 0) -> solvers.Solver | None:
    """PyVRP with its share of the iterations; None where it isn't installed."""
    if not solvers.is_installed("pyvrp"):
        return None
    return solvers.PyVrp(0.0, seed, max(1, int(PYVRP_SHARE * num_iterations)), PYVRP_SCALE)


def store(plan: Hindsight, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(plan)) + "\n")
