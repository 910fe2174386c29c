"""
Small random days, and the best that can be done on them by trying everything, in plain Python.

Nothing here is shared with the simulator: minutes of the way, breaks, shifts and what a day costs are written out anew.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from envs.days.day import Booking, Day, Driver
from envs.days.scenario import Scenario
from envs.days.travel import HourlyTravel, MatrixTravel
from envs.world.records import Leg
from reward import load_weights
from tests.envs.line import DEG_PER_KM, booking, driver

KINDS = ("plain", "hourly", "breaks", "matrix", "wheelchair", "night")
MAX_LATE_MIN = 30.0  # of the operating day
TICK_MIN = 5.0
LOST = 300.0
# A booking expires when it can't be driven any more: else one of an idle driver could have to be given away, and left
# for, before another is known that is better driven first.
SCENARIO = Scenario.load("operating_day", plan_improvement=False, expiry_tolerance_min=MAX_LATE_MIN)
_EPSILON = 1e-6


def random_day(kind: str, seed: int) -> Day:
    """
    A day of 2-3 drivers and 4-6 bookings on a line of 15 km; windows of 15 min, often too many to serve.

    Parameters
    ----------
    kind
        plain (30 km/h); hourly (10 to 60 km/h, another one in each hour); breaks (of half an hour, hourly speeds);
        matrix (minutes without triangle inequality, another way back); wheelchair (one driver in two takes them, one
        booking in two needs it, one driver is an emergency driver); night (a shift from 22:00 on, counted from that
        evening, hourly speeds).
    """
    rng = np.random.default_rng([KINDS.index(kind), seed])
    num_drivers, num_bookings = int(rng.integers(2, 4)), int(rng.integers(4, 7))
    opening = 1320 if kind == "night" else 480
    is_hourly = kind in ("hourly", "breaks", "night")
    if is_hourly:
        num_bookings = min(num_bookings, 5)
    bookings = []
    for i in range(num_bookings):
        start = opening + float(rng.integers(10, 120))
        bookings.append(
            booking(
                f"b{i}",
                (float(rng.integers(0, 16)), float(rng.integers(0, 16))),
                (start, start + 15.0),
                release=float(rng.integers(opening, int(start) + 1)),
                service=float(rng.integers(2, 7)),
                is_wheelchair=bool(kind == "wheelchair" and rng.random() < 0.5),
                leg=Leg.RETURN if rng.random() < 0.5 else Leg.OUTBOUND,
            )
        )
    drivers = []
    for n in range(num_drivers):
        more: dict[str, object] = {}
        begin = opening + float(rng.choice([0.0, 0.0, 40.0]))
        if kind == "breaks":
            pause = opening + float(rng.integers(20, 100))
            begin, more = opening, {"break_start_min": pause, "break_end_min": pause + 30.0}
        elif kind == "wheelchair":
            more = {"can_wheelchair": n % 2 == 0, "is_emergency": n == 1}
        end = opening + float(rng.integers(130, 240))
        drivers.append(driver(f"d{n}", float(rng.integers(0, 16)), (begin, end), **more))
    if kind == "matrix":
        places = sorted(
            {(b.pickup_lat, b.pickup_lon) for b in bookings}
            | {(b.dropoff_lat, b.dropoff_lon) for b in bookings}
            | {(d.start_lat, d.start_lon) for d in drivers}
        )
        minutes = rng.integers(1, 40, (len(places), len(places))).astype(float)
        np.fill_diagonal(minutes, 0.0)
        travel: HourlyTravel | MatrixTravel = MatrixTravel(places, minutes)
    else:
        travel = HourlyTravel(tuple(rng.choice([10.0, 20.0, 60.0], 24)) if is_hourly else (30.0,) * 24, 1.0)
    return Day(f"{kind}-{seed}", tuple(bookings), tuple(drivers), travel, opening, opening + 240.0)


class Ways:
    """When one arrives, and when one has to leave; a leg at a time."""

    def __init__(self, day: Day) -> None:
        assert isinstance(day.travel, (HourlyTravel, MatrixTravel))
        self.travel = day.travel

    def km(self, origin: tuple[float, float], destination: tuple[float, float]) -> float:
        return abs(origin[1] - destination[1]) / DEG_PER_KM  # all lie on the equator

    def arrives(self, origin: tuple[float, float], destination: tuple[float, float], leave: float) -> float:
        if isinstance(self.travel, MatrixTravel):
            places = list(self.travel.places)
            return leave + float(self.travel.minutes[places.index(origin), places.index(destination)])
        left, time = self.km(origin, destination), leave
        while True:
            per_min = self.travel.speeds_kmh[int(time // 60) % 24] / 60.0
            until = (time // 60 + 1) * 60
            if left <= per_min * (until - time):
                return time + left / per_min
            left -= per_min * (until - time)
            time = until

    def leaves(self, origin: tuple[float, float], destination: tuple[float, float], arrive: float) -> float:
        """The latest departure that still arrives at ``arrive``, by bisection: leaving later never arrives earlier."""
        early, late = arrive - 600.0, arrive
        for _ in range(50):
            middle = 0.5 * (early + late)
            early, late = (middle, late) if self.arrives(origin, destination, middle) <= arrive else (early, middle)
        return early


class Enumeration:
    """
    The least cost of a day, over all assignments, orders and departures.

    Parameters
    ----------
    objective
        cost, cost_with_lateness, or reward: V3, of which this is the negative.
    step_min
        Drivers leave as soon as they can, or at any multiple of this after opening: at ticks, as in the simulator, or
        more finely than it can.
    """

    def __init__(self, day: Day, objective: str, step_min: float = TICK_MIN) -> None:
        self.day, self.objective, self.step_min = day, objective, step_min
        self.ways = Ways(day)
        self.weights = load_weights("v3")
        self.ready = [
            day.open_min + math.ceil((b.release_min - day.open_min) / TICK_MIN) * TICK_MIN for b in day.bookings
        ]
        self.least: list[dict[int, float]] = []  # per driver: set of bookings (bits) to the least cost of serving it

    def best(self) -> float:
        day = self.day
        for one in day.drivers:
            self.least.append({0: 0.0})
            self._extend(one, 0, (one.start_lat, one.start_lon), [(max(one.shift_start_min, day.open_min), 0.0)])
        num_drivers, num_bookings = len(day.drivers), len(day.bookings)
        best = math.inf
        for given in itertools.product(range(num_drivers + 1), repeat=num_bookings):
            sets = [sum(1 << k for k, to in enumerate(given) if to == n) for n in range(num_drivers)]
            if any(bits not in least for bits, least in zip(sets, self.least, strict=True)):
                continue
            cost = sum(least[bits] for bits, least in zip(sets, self.least, strict=True))
            cost += sum(self._lost(b) for b, n in zip(day.bookings, given, strict=True) if n == num_drivers)
            if self.objective == "reward":
                trips = [bits.bit_count() for bits in sets]
                cost -= self.weights["imbalance_per_trip"] * (max(trips) - min(trips))
            best = min(best, cost)
        return best

    def _extend(
        self, driver: Driver, served: int, here: tuple[float, float], reached: list[tuple[float, float]]
    ) -> None:
        """All routes that go on from here; ``reached`` are (free, cost) of the departures worth telling apart."""
        least = self.least[-1]
        for k, b in enumerate(self.day.bookings):
            if served >> k & 1 or (b.is_wheelchair and not driver.can_wheelchair) or self._comes_too_late(k):
                continue
            found = [
                (dropoff, cost + self._trip(driver, b, here, depart, pickup))
                for free, cost in reached
                for depart, pickup, dropoff in self._departures(driver, k, here, free)
            ]
            if not found:
                continue
            kept: list[tuple[float, float]] = []
            for dropoff, cost in sorted(found):
                if not kept or cost < kept[-1][1] - 1e-9:
                    kept.append((dropoff, cost))
            bits = served | 1 << k
            least[bits] = min(least.get(bits, math.inf), kept[-1][1])
            self._extend(driver, bits, (b.dropoff_lat, b.dropoff_lon), kept)

    def _comes_too_late(self, k: int) -> bool:
        """Whether it expires before the first tick at which it is known."""
        last = min(self.day.bookings[k].latest_pickup_min + MAX_LATE_MIN, self.day.close_min - TICK_MIN)
        return self.ready[k] > last

    def _departures(
        self, driver: Driver, k: int, here: tuple[float, float], free: float
    ) -> Iterator[tuple[float, float, float]]:
        """(departure, pickup, drop-off) of everything that can be done."""
        b, day = self.day.bookings[k], self.day
        first = max(free, self.ready[k])
        steps = math.floor((first - day.open_min) / self.step_min + 1e-9) + 1
        if driver.break_end_min is not None and driver.break_end_min > first:
            times = self._times(b, here, driver.break_end_min)  # at once after the break
            if self._is_in_time(driver, b, times):
                yield times
        start = first
        while True:
            times = self._times(b, here, start)
            if not self._is_in_time(driver, b, times):
                return  # leaving later is later everywhere
            if not self._overlaps(driver, *times):
                yield times
            start = day.open_min + steps * self.step_min
            steps += 1

    def _is_in_time(self, driver: Driver, b: Booking, times: tuple[float, float, float]) -> bool:
        last_pickup, last_dropoff = b.latest_pickup_min + MAX_LATE_MIN, driver.shift_end_min
        return times[1] <= last_pickup + _EPSILON and times[2] <= last_dropoff + _EPSILON

    def _times(self, b: Booking, here: tuple[float, float], start: float) -> tuple[float, float, float]:
        pickup_place, dropoff_place = (b.pickup_lat, b.pickup_lon), (b.dropoff_lat, b.dropoff_lon)
        depart, pickup = start, self.ways.arrives(here, pickup_place, start)
        if pickup < b.earliest_pickup_min:
            pickup = b.earliest_pickup_min
            depart = max(start, self.ways.leaves(here, pickup_place, pickup))
        aboard = pickup + b.pickup_service_min
        return depart, pickup, self.ways.arrives(pickup_place, dropoff_place, aboard) + b.dropoff_service_min

    def _overlaps(self, driver: Driver, depart: float, pickup: float, dropoff: float) -> bool:
        if driver.break_start_min is None or driver.break_end_min is None:
            return False
        return dropoff > driver.break_start_min and depart < driver.break_end_min

    def _trip(self, driver: Driver, b: Booking, here: tuple[float, float], depart: float, pickup: float) -> float:
        late_min = max(0.0, pickup - b.latest_pickup_min)
        if self.objective != "reward":
            return pickup - depart + (5.0 * late_min if self.objective == "cost_with_lateness" else 0.0)
        w = self.weights
        place = (b.pickup_lat, b.pickup_lon)
        km = self.ways.km(here, place) + self.ways.km(place, (b.dropoff_lat, b.dropoff_lon))
        grace = w["lateness_grace_return_min"] if b.leg == Leg.RETURN else w["lateness_grace_outbound_min"]
        worth = w["fare_per_trip"] + w["cost_per_km"] * km + w["lateness_per_min"] * max(0.0, late_min - grace)
        return -worth - (w["emergency_trip"] if driver.is_emergency else 0.0)

    def _lost(self, b: Booking) -> float:
        if self.objective != "reward":
            return LOST
        return -self.weights["lost_return" if b.leg == Leg.RETURN else "lost_outbound"]
