"""
Routing solvers behind one face: PyVRP, VROOM and OR-Tools (``pip install -r requirements-solvers.txt``).

Each gets the same ``RoutingProblem`` and answers with routes of known bookings; what it can't express is said in its
docstring. Nothing is imported before a solver is made.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from baselines.planning.plan import Routes

FloatArray = npt.NDArray[np.float64]

SCALE = 100  # whole numbers per minute and per unit of the objective
_SECONDS = 60  # VROOM counts in seconds
_MAX_PRIORITY = 100  # VROOM's
INSTALL = "pip install -r requirements-solvers.txt"


class SolverMissing(ImportError):
    """A solver that is not installed."""


@dataclass(frozen=True)
class RoutingProblem:
    """
    Bookings that wait for a place, and drivers with room; times in minutes since midnight.

    A booking is one place (service = both stops and the ride). N drivers, R bookings, C choices.

    Attributes
    ----------
    start_min, end_min
        float64, shape (N,): when a driver is free and when the shift ends; inf as start: not on duty.
    minutes, cost
        float64, shape (N + R, R): of the arc from driver n's place (row n) or from booking r (row N + r).
    driver_cost
        float64, shape (N,): of each trip of this driver.
    service_min, earliest_min
        float64, shape (R,).
    ends_min, worths
        float64, shape (R, C): serving the booking is worth so much when it is picked up by this time, latest last; nan
        where there are fewer choices.
    lost_worth
        float64, shape (R,): what leaving it out is worth.
    can_take
        bool, shape (N, R).
    """

    start_min: FloatArray
    end_min: FloatArray
    minutes: FloatArray
    cost: FloatArray
    driver_cost: FloatArray
    service_min: FloatArray
    earliest_min: FloatArray
    ends_min: FloatArray
    worths: FloatArray
    lost_worth: FloatArray
    can_take: npt.NDArray[np.bool_]

    @property
    def num_drivers(self) -> int:
        return len(self.start_min)

    @property
    def num_bookings(self) -> int:
        return len(self.service_min)

    def choices(self) -> list[tuple[int, float, float]]:
        """(booking, end [min], worth over leaving it out) of every choice that gains anything, a booking's together."""
        found = []
        for r in range(self.num_bookings):
            for end, worth in zip(self.ends_min[r], self.worths[r], strict=True):
                if not np.isnan(end):
                    found.append((r, float(end), float(worth - self.lost_worth[r])))
        return found


class Solver(Protocol):
    """A routing solver with a budget per call."""

    name: str

    def solve(self, problem: RoutingProblem, warm: Routes, pickups: list[list[float]]) -> Routes:
        """Routes of at least the worth of ``warm`` if it can; ``pickups`` are the times [min] of its trips."""


def _module(name: str, solver: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise SolverMissing(f"solver '{solver}' is not installed. Run: {INSTALL}")
    return importlib.import_module(name)


def is_installed(name: str) -> bool:
    """Whether the package behind solver ``name`` (pyvrp, vroom or ortools) can be imported."""
    return importlib.util.find_spec(name) is not None


def _whole(values: FloatArray, scale: int = SCALE) -> npt.NDArray[np.int64]:
    return np.rint(np.asarray(values) * scale).astype(np.int64)


def _chosen(ends: list[float], pickup_min: float) -> int:
    """Which of a booking's choices a pickup at this time falls under."""
    return next((c for c, end in enumerate(ends) if pickup_min <= end + 1e-6), len(ends) - 1)


class PyVrp:
    """
    PyVRP's iterated local search, warm-started.

    A booking's choices are a group of clients of which at most one is visited, each with a window and a prize. Drivers
    who charge per trip have a cost matrix of their own; who may take what is told by capacities.
    """

    name = "pyvrp"

    def __init__(
        self, time_limit_ms: float, seed: int = 0, num_iterations: int | None = None, scale: int = SCALE
    ) -> None:
        self._pyvrp = _module("pyvrp", self.name)
        self._time_limit_ms, self._seed, self._num_iterations = time_limit_ms, seed, num_iterations
        self._scale = scale

    def solve(self, problem: RoutingProblem, warm: Routes, pickups: list[list[float]]) -> Routes:
        pyvrp, scale = self._pyvrp, self._scale
        choices = problem.choices()
        drivers = [n for n in range(problem.num_drivers) if np.isfinite(problem.start_min[n])]
        if not choices or not drivers:
            return [[] for _ in range(problem.num_drivers)]
        size, num_bookings = problem.num_drivers + problem.num_bookings + 1, problem.num_bookings
        offset = max(0.0, -float(problem.cost.min()))  # arcs must not cost less than nothing: the prize carries it
        durations = np.zeros((size, size), np.int64)
        durations[:-1, -1 - num_bookings : -1] = np.ceil(problem.minutes * scale)
        costs = np.zeros((size, size), np.int64)
        costs[:-1, -1 - num_bookings : -1] = _whole(problem.cost + offset, scale)
        extras = sorted(set(problem.driver_cost[drivers].tolist()))
        matrices = []
        for extra in extras:
            matrix = costs.copy()
            matrix[:-1, -1 - num_bookings : -1] += round((extra - extras[0]) * scale)
            matrices.append(matrix)
        offset -= extras[0]
        for matrix in (durations, *matrices):
            np.fill_diagonal(matrix, 0)
        # A wheelchair weighs one unit, and a vehicle without a place for it can't take any.
        is_special = ~np.all(problem.can_take, axis=0)
        clients_of: list[list[int]] = [[] for _ in range(num_bookings)]
        for c, (r, _, _) in enumerate(choices):
            clients_of[r].append(c)
        members = [clients for clients in clients_of if len(clients) > 1]
        group_of = {choices[clients[0]][0]: g for g, clients in enumerate(members)}
        clients = [
            pyvrp.Client(
                problem.num_drivers + r,
                delivery=[int(is_special[r])],
                service_duration=int(np.ceil(problem.service_min[r] * scale)),
                tw_early=int(np.ceil(problem.earliest_min[r] * scale)),
                tw_late=max(int(end * scale), int(np.ceil(problem.earliest_min[r] * scale))),
                prize=max(0, round((worth + offset) * scale)),
                required=False,
                group=group_of.get(r),
            )
            for r, end, worth in choices
        ]
        groups = [pyvrp.ClientGroup(group, required=False) for group in members]
        depots = [pyvrp.Depot(n) for n in drivers] + [pyvrp.Depot(size - 1)]
        vehicles = [
            pyvrp.VehicleType(
                1,
                capacity=[num_bookings if problem.can_take[n][is_special].all() else 0],
                start_depot=d,
                end_depot=len(drivers),
                tw_early=int(np.ceil(problem.start_min[n] * scale)),
                tw_late=max(int(problem.end_min[n] * scale), int(np.ceil(problem.start_min[n] * scale))),
                profile=extras.index(float(problem.driver_cost[n])),
            )
            for d, n in enumerate(drivers)
        ]
        data = pyvrp.ProblemData(
            [pyvrp.Location(0, 0) for _ in range(size)],
            clients,
            depots,
            vehicles,
            matrices,
            [durations] * len(matrices),
            groups,
        )
        initial = None
        if any(warm):
            routes = []
            for d, n in enumerate(drivers):
                visits = [
                    clients_of[r][_chosen([e for e in problem.ends_min[r] if e == e], pickup)]
                    for r, pickup in zip(warm[n], pickups[n], strict=True)
                ]
                if visits:
                    routes.append(pyvrp.Route(data, visits, d))
            initial = pyvrp.Solution(data, routes)
        if self._num_iterations is not None:
            stop = pyvrp.stop.MaxIterations(self._num_iterations)
        else:
            stop = pyvrp.stop.MaxRuntime(self._time_limit_ms / 1000.0)
        result = pyvrp.solve(data, stop, seed=self._seed, collect_stats=False, display=False, initial_solution=initial)
        routes_of: Routes = [[] for _ in range(problem.num_drivers)]
        for route in result.best.routes():
            routes_of[drivers[route.vehicle_type()]] = [
                clients[activity.idx].location - problem.num_drivers for activity in route if activity.is_client()
            ]
        return routes_of


class Vroom:
    """
    VROOM's local search; it takes no warm start that it could change, so the caller keeps the better of two plans.

    It serves as much as it can, weighted by priorities of 0 to 100, before it looks at costs, knows neither prizes nor
    several windows of different worth: a booking may be late by up to ``late_share`` of what is allowed, and trips that
    gain nothing are taken out afterwards by the caller.
    """

    name = "vroom"

    def __init__(self, time_limit_ms: float, seed: int = 0, exploration_level: int = 5) -> None:
        self._vroom = _module("vroom", self.name)
        self._time_limit_ms, self._exploration_level = time_limit_ms, exploration_level

    def solve(self, problem: RoutingProblem, warm: Routes, pickups: list[list[float]]) -> Routes:
        vroom = self._vroom
        routes: Routes = [[] for _ in range(problem.num_drivers)]
        last = [np.flatnonzero(~np.isnan(problem.ends_min[r])) for r in range(problem.num_bookings)]
        bookings = [r for r in range(problem.num_bookings) if len(last[r])]
        drivers = [n for n in range(problem.num_drivers) if np.isfinite(problem.start_min[n])]
        if not bookings or not drivers:
            return routes
        size, first = problem.num_drivers + problem.num_bookings, problem.num_drivers
        durations = np.zeros((size, size), np.uint32)
        durations[:, first:] = np.ceil(problem.minutes * _SECONDS)
        offset = max(0.0, -float((problem.cost + problem.driver_cost.min()).min()))
        costs = np.zeros((size, size), np.uint32)
        costs[:, first:] = np.rint((problem.cost + offset) * SCALE)
        model = vroom.Input()
        extras = sorted(set(problem.driver_cost[drivers].tolist()))
        for extra in extras:
            matrix = costs.copy()
            matrix[:, first:] += np.uint32(round((extra - extras[0]) * SCALE))
            for table in (matrix, durations):
                np.fill_diagonal(table, 0)
            model.set_durations_matrix(f"{extra:g}", durations)
            model.set_costs_matrix(f"{extra:g}", matrix)
        for n in drivers:
            model.add_vehicle(
                vroom.Vehicle(
                    n + 1,
                    start=n,
                    profile=f"{problem.driver_cost[n]:g}",
                    time_window=[
                        int(np.ceil(problem.start_min[n] * _SECONDS)),
                        max(int(problem.end_min[n] * _SECONDS), int(np.ceil(problem.start_min[n] * _SECONDS))),
                    ],
                    skills={r + 1 for r in np.flatnonzero(problem.can_take[n])},
                )
            )
        # On time if that can be, else as late as a choice allows that is still worth half of the best one.
        gains = problem.worths - problem.lost_worth[:, None]
        best = np.array([np.nanmax(gains[r]) if len(last[r]) else 0.0 for r in range(problem.num_bookings)])
        highest = max(1e-9, float(best.max()))
        for r in bookings:
            useful = [c for c in last[r] if gains[r, c] >= 0.5 * best[r]] or [last[r][0]]
            opening = int(np.ceil(problem.earliest_min[r] * _SECONDS))
            model.add_job(
                vroom.Job(
                    r + 1,
                    location=first + r,
                    default_service=int(np.ceil(problem.service_min[r] * _SECONDS)),
                    priority=max(0, min(_MAX_PRIORITY, round(_MAX_PRIORITY * best[r] / highest))),
                    time_windows=[[opening, max(opening, int(problem.ends_min[r, useful[-1]] * _SECONDS))]],
                    skills=set() if problem.can_take[:, r].all() else {r + 1},
                )
            )
        found = model.solve(
            exploration_level=self._exploration_level,
            nb_threads=1,
            timeout=timedelta(milliseconds=self._time_limit_ms),
        )
        steps = found.routes
        if "id" not in steps:  # VROOM leaves the column out when it serves nobody
            return routes
        jobs = steps[steps["type"] == "job"]
        for vehicle, job in zip(jobs["vehicle_id"], jobs["id"], strict=True):
            routes[int(vehicle) - 1].append(int(job) - 1)
        return routes


class OrTools:
    """
    OR-Tools' routing library with guided local search, warm-started.

    A booking's choices are a disjunction of nodes; leaving all of them out costs the best one's gain, a later choice
    costs its difference on every arc that leads to it.
    """

    name = "ortools"

    def __init__(self, time_limit_ms: float, seed: int = 0) -> None:
        self._pywrapcp = _module("ortools.constraint_solver.pywrapcp", self.name)
        self._enums = _module("ortools.constraint_solver.routing_enums_pb2", self.name)
        self._time_limit_ms = time_limit_ms

    def solve(self, problem: RoutingProblem, warm: Routes, pickups: list[list[float]]) -> Routes:
        routes_of: Routes = [[] for _ in range(problem.num_drivers)]
        choices = problem.choices()
        drivers = [n for n in range(problem.num_drivers) if np.isfinite(problem.start_min[n])]
        if not choices or not drivers:
            return routes_of
        booking_of = np.array([r for r, _, _ in choices])
        gains = np.array([gain for _, _, gain in choices])
        best = np.full(problem.num_bookings, -np.inf)
        np.maximum.at(best, booking_of, gains)
        num_starts, num_nodes = len(drivers), len(drivers) + len(choices) + 1
        origins = np.concatenate([np.array(drivers), problem.num_drivers + booking_of])
        offset = max(0.0, -float((problem.cost + problem.driver_cost.min()).min()))
        times = np.zeros((num_nodes, num_nodes), np.int64)
        times[:-1, num_starts:-1] = np.ceil(problem.minutes[np.ix_(origins, booking_of)] * SCALE)
        times[num_starts:-1, :] += np.ceil(problem.service_min[booking_of] * SCALE).astype(np.int64)[:, None]
        arc_costs = problem.cost[np.ix_(origins, booking_of)] + offset + (best[booking_of] - gains)[None, :]
        costs = np.zeros((num_nodes, num_nodes), np.int64)
        costs[:-1, num_starts:-1] = _whole(arc_costs)
        manager = self._pywrapcp.RoutingIndexManager(
            num_nodes, num_starts, list(range(num_starts)), [num_nodes - 1] * num_starts
        )
        routing = self._pywrapcp.RoutingModel(manager)
        time_index = routing.RegisterTransitMatrix(times.tolist())
        cost_index: dict[float, int] = {}
        for v, n in enumerate(drivers):
            extra = float(problem.driver_cost[n])
            if extra not in cost_index:
                matrix = costs.copy()
                matrix[:-1, num_starts:-1] += round(extra * SCALE)
                cost_index[extra] = routing.RegisterTransitMatrix(matrix.tolist())
            routing.SetArcCostEvaluatorOfVehicle(cost_index[extra], v)
        moments = [problem.end_min[drivers].max(), problem.start_min[drivers].max(), np.nanmax(problem.ends_min)]
        horizon = int(np.ceil((max(moments) + problem.service_min.max()) * SCALE)) + 1
        routing.AddDimension(time_index, horizon, horizon, False, "time")
        dimension = routing.GetDimensionOrDie("time")
        for v, n in enumerate(drivers):
            start = int(np.ceil(problem.start_min[n] * SCALE))
            end = max(start, int(problem.end_min[n] * SCALE))
            dimension.CumulVar(routing.Start(v)).SetRange(start, end)
            dimension.CumulVar(routing.End(v)).SetRange(start, end)
        for i, (r, end_min, _) in enumerate(choices):
            index = manager.NodeToIndex(num_starts + i)
            opening = int(np.ceil(problem.earliest_min[r] * SCALE))
            dimension.CumulVar(index).SetRange(opening, max(opening, int(end_min * SCALE)))
            allowed = [v for v, n in enumerate(drivers) if problem.can_take[n, r]]
            if len(allowed) < num_starts:
                routing.VehicleVar(index).SetValues([-1, *allowed])
        for r in range(problem.num_bookings):
            nodes = np.flatnonzero(booking_of == r)
            if len(nodes):
                penalty = max(0, round((best[r] + offset) * SCALE))
                routing.AddDisjunction([manager.NodeToIndex(num_starts + int(i)) for i in nodes], penalty)
        parameters = self._pywrapcp.DefaultRoutingSearchParameters()
        parameters.first_solution_strategy = self._enums.FirstSolutionStrategy.PARALLEL_CHEAPEST_INSERTION
        parameters.local_search_metaheuristic = self._enums.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
        parameters.time_limit.FromMilliseconds(max(1, int(self._time_limit_ms)))
        solution = None
        if any(warm):
            node_of = {r: np.flatnonzero(booking_of == r) for r in set(booking_of.tolist())}
            given = []
            for n in drivers:
                given.append(
                    [
                        num_starts + int(node_of[r][_chosen([choices[i][1] for i in node_of[r]], pickup)])
                        for r, pickup in zip(warm[n], pickups[n], strict=True)
                    ]
                )
            routing.CloseModelWithParameters(parameters)
            initial = routing.ReadAssignmentFromRoutes(given, True)
            if initial is not None:
                solution = routing.SolveFromAssignmentWithParameters(initial, parameters)
        if solution is None:
            solution = routing.SolveWithParameters(parameters)
        if solution is None:
            return warm
        for v, n in enumerate(drivers):
            index = solution.Value(routing.NextVar(routing.Start(v)))
            while not routing.IsEnd(index):
                routes_of[n].append(int(booking_of[manager.IndexToNode(index) - num_starts]))
                index = solution.Value(routing.NextVar(index))
        return routes_of
