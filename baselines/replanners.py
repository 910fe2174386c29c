"""
Re-planners: at every tick a solver plans all known bookings anew; a booking is assigned when it can't wait any longer.

The plan is kept outside of the world, so that nothing is promised before it must be. Each of them starts from its
previous plan, into which new bookings are inserted greedily; that plan also stands when the solver finds none better.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from baselines.planning.follower import action_of
from baselines.planning.plan import (
    Plan,
    as_stops,
    insert_missing,
    load,
    make_objective,
    make_plan,
    num_fixed,
    routes_of,
    set_routes,
)
from baselines.planning.problem import make_problem
from baselines.planning.search import make_search, ruin_and_recreate
from baselines.planning.solvers import OrTools, PyVrp, Solver, Vroom
from baselines.planning.worth import assignment_ticks, worth_of
from baselines.policy import IntArray, TunableRule
from envs.orders import LAST, ORDER, TO_NOBODY, Orders
from envs.world.decisions import WAIT
from envs.world.records import World
from reward.prices import load_half_hours
from reward.weights import WEIGHTS_DTYPE

DEFAULT_LIMIT_MS = 100.0  # per decision
ITERATIONS_PER_MS = 30.0  # of the compiled search: about what a core does on real days
_COMMON = (
    "Plans all open bookings anew at every tick, the backlog included (with one decision per tick: those in the "
    "slots), from its previous plan on, with tuned prices for driver time; assigns a booking to the driver of its plan "
    "when the trip must begin, or the booking would expire, before the next tick, and waits until then. Plan "
    "improvement leaves its trips alone. Where promises are given at the call it plans anew what isn't frozen, and its "
    "plan stands at once."
)


@dataclass
class _Held:
    """What a re-planner keeps of the day in one row."""

    num_decisions: int = -1
    trips: list[list[int]] = field(default_factory=list)  # booking rows per driver


class Replanner(TunableRule):
    """
    A solver that plans anew at every tick, and the discipline to assign late.

    Parameters
    ----------
    time_limit_ms
        Per call of the solver.
    seed
        Of the solver, where it has one.
    judged_by
        reward, cost or cost_with_lateness: what the plans are to be good at.
    """

    solver_name: ClassVar[str]
    solver: ClassVar[type[PyVrp] | type[Vroom] | type[OrTools] | None] = None
    sees_backlog = True
    plans_itself = True
    space: ClassVar[dict[str, tuple[float, float, float]]] = {
        "price_priority": (-10.0, 30.0, 0.0),  # the prices are those of best_reward_with_prices
        "price_occupied_min": (-1.0, 4.0, 0.0),
        "price_occupied_end_min": (-1.0, 4.0, 0.0),
        "price_occupied_load_min": (-1.0, 3.0, 0.0),
        "price_remote_km": (-2.0, 6.0, 0.0),
        "price_delay_min": (-2.0, 4.0, 0.0),
        "early_min": (0.0, 60.0, 0.0),  # assigned so long before it must be
    }
    starts: ClassVar[tuple[dict[str, float], ...]] = (
        {"price_occupied_min": 0.5, "price_occupied_end_min": 0.5},
        {"price_occupied_min": 1.0, "price_occupied_end_min": 1.0},
        {"price_occupied_min": 1.5, "price_occupied_end_min": 1.5},
        {"price_occupied_min": 2.0, "price_occupied_end_min": 0.0},
        {"early_min": 10.0},
    )

    def __init__(
        self, time_limit_ms: float = DEFAULT_LIMIT_MS, seed: int = 0, judged_by: str = "reward", **settings: float
    ) -> None:
        super().__init__(**settings)
        self.time_limit_ms, self.seed, self.judged_by = time_limit_ms, seed, judged_by
        self.make_solver()  # complains at once when it is not installed
        self.decision_seconds: list[float] = []
        self._held: dict[int, _Held] = {}

    def make_solver(self) -> Solver | None:
        """The routing solver; None for the compiled search."""
        return None if self.solver is None else self.solver(self.time_limit_ms, self.seed)

    # --- a decision ---------------------------------------------------------------------------------------------------

    def act(self, batch: Any, payer: Any = None) -> IntArray:
        orders = self.orders(batch, payer)
        if len(orders.beyond):
            raise ValueError(f"{self.name}: no action can say what it plans for these days. Ask for its orders.")
        return orders.actions

    def orders(self, batch: Any, payer: Any = None) -> Orders:
        """
        Where there is one decision per tick, that is an action. Else all that is due goes to the end of its driver's
        plan, where no action can put it, and the clock moves on.
        """
        world = batch.world
        one_per_tick = int(world.rules["decisions_per_tick"][0]) == 1
        actions, beyond = np.zeros(batch.batch_size, np.int64), []
        for b in np.flatnonzero(~batch.is_done).tolist():
            start = perf_counter()
            if world.rules["promises_at_call"][0]:
                beyond += self._exchange(world, b, payer)
            elif one_per_tick:
                due = self._due(world, b, payer, one_per_tick)
                actions[b] = next((action_of(world, b, n, k) for n, k in due), WAIT)
            else:
                beyond += [(b, n, k, LAST) for n, k in self._due(world, b, payer, one_per_tick)]
            self.decision_seconds.append(perf_counter() - start)
        return Orders(actions, np.array(beyond, ORDER))

    def _exchange(self, world: World, b: int, payer: Any) -> list[tuple[int, int, int, int]]:
        """
        Orders that put a new plan in the place of the one in the world, behind its frozen trips.

        Where promises are given at the call every wish needs a place at once, so the plan stands in the world; what the
        plan leaves out is answered by the desk.
        """
        num_drivers = int(world.clocks["num_drivers"][b])
        planned = [world.plans[b, n, num_fixed(world, b, n) :] for n in range(num_drivers)]
        routes = [rows[rows >= 0].tolist() for rows in planned]
        plan = self._plan(world, b, payer, _Held(trips=routes), slots_only=False)
        found = routes_of(plan)
        if found == routes:
            return []
        given_back = [(b, TO_NOBODY, k, LAST) for route in routes for k in route]
        return given_back + [(b, n, k, LAST) for n, route in enumerate(found) for k in route]

    def _due(self, world: World, b: int, payer: Any, one_per_tick: bool) -> list[tuple[int, int]]:
        """(driver, booking) to be assigned at this tick, in this order; the plan is kept for the next tick."""
        num_decisions = int(world.clocks["num_decisions"][b])
        held = self._held.get(b)
        if held is None or num_decisions <= held.num_decisions:
            held = _Held()  # another day
        plan = self._plan(world, b, payer, held, slots_only=one_per_tick)
        self._held[b] = _Held(num_decisions, routes_of(plan))
        return due_trips(plan, one_per_tick, self._settings["early_min"])

    def _plan(self, world: World, b: int, payer: Any, held: _Held, slots_only: bool) -> Plan:
        clock = world.clocks[b]
        at_call = bool(world.rules["promises_at_call"][0])
        rows = world.slots[b] if slots_only else world.open_rows[b, : int(clock["num_open"])]
        rows = rows[rows >= 0].astype(np.int32)
        if at_call:
            rows = np.concatenate((rows, *(np.array(route, np.int32) for route in held.trips)))
        weights = np.zeros(1, WEIGHTS_DTYPE) if payer is None else payer.function.weights.as_record()
        objective = make_objective(self.judged_by, None if payer is None else weights)
        objective["now_min"], objective["delay_min"] = clock["now_min"], self._settings["price_delay_min"]
        objective["occupied_min"] = self._price_of_time(world, b)
        bookings = world.bookings[b, rows]
        remote_km = np.hypot(bookings["dropoff_east_km"], bookings["dropoff_north_km"])
        bonus = self._settings["price_priority"] * bookings["priority"]
        bonus = bonus - self._settings["price_remote_km"] * remote_km
        plan = make_plan(world, b, objective, weights, rows, float(clock["now_min"]), bonus)
        load(plan, held.trips, drops_costly=not at_call)
        insert_missing(plan)
        if len(rows):
            self._improve(plan)
        return plan

    def _price_of_time(self, world: World, b: int) -> float:
        """Per minute of driver time: linear from opening to closing, and more the more the drivers are booked out."""
        clock = world.clocks[b]
        left = (clock["close_min"] - clock["now_min"]) / (clock["close_min"] - clock["open_min"])
        end = self._settings["price_occupied_end_min"]
        price = end + (self._settings["price_occupied_min"] - end) * min(1.0, max(0.0, float(left)))
        return price + self._settings["price_occupied_load_min"] * float(load_half_hours(world, b))

    def _improve(self, plan: Plan) -> None:
        """Ask the solver, and take its plan when that is worth more in the simulator's travel."""
        solver = self.make_solver()
        assert solver is not None
        warm = [stops[:size].tolist() for stops, size in zip(plan.stops, plan.routes["num_trips"], strict=True)]
        pickups = [plan.trips["pickup_min"][trips].tolist() for trips in warm]
        found = solver.solve(make_problem(plan), warm, pickups)
        worth, held = worth_of(plan), routes_of(plan)
        load(plan, [[int(plan.rows[r]) for r in route] for route in found])
        insert_missing(plan)
        if not worth_of(plan) > worth:
            set_routes(plan, *as_stops(plan, held))


def due_trips(plan: Plan, one_per_tick: bool, early_min: float = 0.0) -> list[tuple[int, int]]:
    """
    (driver, booking) of the trips that can't wait until the next tick, in the order in which they must be assigned.

    A trip can't wait when it would begin before the next tick, when its booking would expire, or when the day would
    close; nor can the trips ahead of such a one. ``early_min`` moves that moment forward. With one decision per tick, a
    trip is due as soon as all the trips up to its last tick need every tick that is left.
    """
    clock, tick_min = plan.clock[0], float(plan.rules["tick_min"][0])
    first, last = np.zeros(plan.stops.shape, np.int64), np.zeros(plan.stops.shape, np.int64)
    assignment_ticks(plan, first, last)
    this_tick = round((float(clock["now_min"]) - float(clock["open_min"])) / tick_min) + int(early_min / tick_min)
    entries = sorted((int(last[n, p]), n, p, k) for n, route in enumerate(routes_of(plan)) for p, k in enumerate(route))
    if one_per_tick:
        for rank, (tick, _, _, _) in enumerate(entries):
            if tick <= this_tick + rank:
                _, n, _, k = entries[0]
                return [(n, k)]
        return []
    return [(n, k) for tick, n, _, k in entries if tick <= this_tick]


class ReplanPyVrp(Replanner):
    name = "replan_pyvrp"
    solver_name = "pyvrp"
    solver = PyVrp
    description = f"{_COMMON} Solver: PyVRP, iterated local search; knows lateness and promptness in steps."


class ReplanVroom(Replanner):
    name = "replan_vroom"
    solver_name = "vroom"
    solver = Vroom
    description = (
        f"{_COMMON} Solver: VROOM; serves as much as it can by priority before it looks at costs, and knows one window."
    )


class ReplanOrTools(Replanner):
    name = "replan_ortools"
    solver_name = "ortools"
    solver = OrTools
    description = f"{_COMMON} Solver: OR-Tools, guided local search; knows lateness and promptness in steps."


class ReplanSearch(Replanner):
    name = "replan_search"
    solver_name = "search"
    description = (
        f"{_COMMON} Solver: the project's own ruin and recreate, which knows the simulator's travel and the exact "
        "worth of every pickup time; its budget is a number of iterations, not a time."
    )

    def _improve(self, plan: Plan) -> None:
        search = make_search(max(1, round(ITERATIONS_PER_MS * self.time_limit_ms)))
        ruin_and_recreate(plan, search, (self.seed * 1_000_003 + int(plan.clock["now_min"][0])) % 2**31)


REPLANNERS: tuple[type[Replanner], ...] = (ReplanSearch, ReplanPyVrp, ReplanVroom, ReplanOrTools)
