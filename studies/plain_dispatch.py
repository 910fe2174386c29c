"""
The short shift once more in plain Python, dictionaries and loops: what the compiled simulator is measured against.

Written as one would write it without compiled code in mind, with what costs nothing to do well (rides and unit
conversions worked out once per day, early exits). The rules are those of ``envs`` with trips appended to plans, hourly
speeds, no breaks and no disturbances; ``tests/test_plain_dispatch.py`` plays both side by side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from envs import Scenario
from envs.days.day import Day
from envs.observation import NUM_BOOKING_FEATURES, NUM_CLOCK_FEATURES, NUM_DRIVER_FEATURES, NUM_PAIR_FEATURES
from envs.world.travel import EARTH_RADIUS_KM

EPSILON_MIN = 1e-6
KM_PER_DEG = EARTH_RADIUS_KM * math.pi / 180.0
Observation = dict[str, np.ndarray]


def great_circle_km(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Haversine formula."""
    phi_a, phi_b = math.radians(lat_a), math.radians(lat_b)
    half_lat, half_lon = 0.5 * (phi_b - phi_a), 0.5 * math.radians(lon_b - lon_a)
    chord = math.sin(half_lat) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(half_lon) ** 2
    return 2.0 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(chord)))


def clip(value: float) -> float:
    return max(-1.0, min(1.0, value))


class PlainDispatch:
    """
    One day at a time: ``reset(day)``, then ``step(action)``, with the actions and observations of ``Dispatch-v0``.

    Parameters
    ----------
    scenario
        A scenario with the short shift's rules: append, one decision per tick, every tick asked, no disturbances.
    """

    def __init__(self, scenario: Scenario) -> None:
        rules = scenario.rules
        if rules.inserts or rules.skips_idle_ticks or rules.decisions_per_tick != 1 or rules.plan_improvement:
            raise ValueError(f"scenario '{scenario.name}': the plain environment knows the short shift's rules only.")
        self.rules = rules
        self.max_trips = scenario.sizes.max_trips
        self.num_drivers, self.num_slots = scenario.num_drivers, scenario.max_bookings
        self.center = scenario.observation.center_lat, scenario.observation.center_lon
        self.scale_km = scenario.observation.scale_km

    def reset(self, day: Day) -> Observation:
        self.now = self.open_min = day.open_min
        self.close_min = day.close_min
        self.speeds = day.travel.speeds().tolist()
        self.detour = day.travel.detour
        self.is_done = False
        east_per_deg = KM_PER_DEG * math.cos(math.radians(self.center[0]))

        def plane(lat: float, lon: float) -> tuple[float, float]:
            return (lon - self.center[1]) * east_per_deg, (lat - self.center[0]) * KM_PER_DEG

        self.drivers: list[dict[str, Any]] = [
            {
                "lat": driver.start_lat,
                "lon": driver.start_lon,
                "plane": plane(driver.start_lat, driver.start_lon),
                "shift_start": driver.shift_start_min,
                "shift_end": driver.shift_end_min,
                "is_emergency": driver.is_emergency,
                "can_wheelchair": driver.can_wheelchair,
                "free": driver.shift_start_min,
                "under_way": None,
                "plan": [],
                "num_trips": 0,
            }
            for driver in day.drivers
        ]
        self.unreleased: list[dict[str, Any]] = [
            {
                "row": row,
                "release": booking.release_min,
                "earliest": booking.earliest_pickup_min,
                "latest": booking.latest_pickup_min,
                "pickup_service": booking.pickup_service_min,
                "dropoff_service": booking.dropoff_service_min,
                "priority": booking.priority,
                "leg": int(booking.leg),
                "is_wheelchair": booking.is_wheelchair,
                "pickup": (booking.pickup_lat, booking.pickup_lon),
                "dropoff": (booking.dropoff_lat, booking.dropoff_lon),
                "pickup_plane": plane(booking.pickup_lat, booking.pickup_lon),
                "dropoff_plane": plane(booking.dropoff_lat, booking.dropoff_lon),
                "ride_km": self.detour
                * great_circle_km(booking.pickup_lat, booking.pickup_lon, booking.dropoff_lat, booking.dropoff_lon),
                "state": "unreleased",
            }
            for row, booking in enumerate(day.bookings)
        ]
        self.bookings = list(self.unreleased)
        self.open: list[dict[str, Any]] = []
        self._release()
        self._expire()
        return self._observe()

    def step(self, action: int) -> tuple[Observation, bool]:
        if action > 0 and (action - 1) in self.pairs:
            n, slot = divmod(action - 1, self.num_slots)
            booking = self.open.pop(slot)
            booking.update(self.pairs[action - 1]["trip"], state="planned", driver=n)
            self.drivers[n]["plan"].append(booking)
        self._tick()
        return self._observe(), self.is_done

    # --- the clock ----------------------------------------------------------------------------------------------------
    def _tick(self) -> None:
        until = min(self.now + self.rules.tick_min, self.close_min)
        for driver in self.drivers:
            self._drive(driver, until)
        self.now = until
        self._release()
        self._expire()
        if until >= self.close_min - EPSILON_MIN:
            for booking in self.open + self.unreleased:
                booking["state"] = "expired"
            self.open, self.unreleased = [], []
            for driver in self.drivers:
                self._drive(driver, math.inf)
            self.is_done = True

    def _drive(self, driver: dict[str, Any], until: float) -> None:
        while True:
            trip = driver["under_way"]
            if trip is not None:
                if trip["trip_end"] > until:
                    return
                trip["state"] = "served"
                driver["under_way"] = None
            if not driver["plan"] or driver["plan"][0]["depart"] >= until:
                return
            trip = driver["plan"].pop(0)
            trip["state"] = "under way"
            driver["under_way"] = trip
            driver["free"] = trip["trip_end"]
            driver["lat"], driver["lon"] = trip["dropoff"]
            driver["plane"] = trip["dropoff_plane"]
            driver["num_trips"] += 1

    def _release(self) -> None:
        while self.unreleased and self.unreleased[0]["release"] <= self.now:
            booking = self.unreleased.pop(0)
            booking["state"] = "open"
            self.open.append(booking)
        self.open.sort(key=lambda booking: (booking["latest"], booking["row"]))

    def _expire(self) -> None:
        while self.open and self.open[0]["latest"] + self.rules.expiry_tolerance_min < self.now:
            self.open.pop(0)["state"] = "expired"

    # --- travel -------------------------------------------------------------------------------------------------------
    def _arrival(self, depart: float, km: float) -> float:
        """When ``km`` are driven, leaving at ``depart``; the speed changes at every full hour."""
        time, left = depart, km
        while True:
            speed = self.speeds[int(time // 60.0) % 24]
            hour_end = (time // 60.0 + 1.0) * 60.0
            if left <= speed * (hour_end - time):
                return time + left / speed
            left -= speed * (hour_end - time)
            time = hour_end

    def _departure(self, arrive: float, km: float) -> float:
        """Latest departure that arrives at ``arrive``."""
        time, left = arrive, km
        while True:
            hour = math.ceil(time / 60.0) - 1
            speed, hour_start = self.speeds[hour % 24], hour * 60.0
            if left <= speed * (time - hour_start):
                return time - left / speed
            left -= speed * (time - hour_start)
            time = hour_start

    # --- pairs --------------------------------------------------------------------------------------------------------
    def _evaluate(self, driver: dict[str, Any], booking: dict[str, Any]) -> dict[str, Any] | None:
        """What appending ``booking`` to the plan of ``driver`` would do; None where it is infeasible."""
        in_hand = len(driver["plan"]) + (driver["under_way"] is not None)
        if in_hand >= self.max_trips or (booking["is_wheelchair"] and not driver["can_wheelchair"]):
            return None
        if driver["plan"]:
            last = driver["plan"][-1]
            available, (lat, lon) = last["trip_end"], last["dropoff"]
        else:
            available = max(driver["free"], self.now, driver["shift_start"])
            lat, lon = driver["lat"], driver["lon"]
        last_pickup = booking["latest"] + self.rules.max_lateness_min + EPSILON_MIN
        if available > last_pickup:
            return None
        km = great_circle_km(lat, lon, *booking["pickup"]) * self.detour
        depart, pickup = available, self._arrival(available, km)
        if pickup < booking["earliest"]:
            pickup = booking["earliest"]
            depart = max(available, self._departure(pickup, km))
        ride_end = self._arrival(pickup + booking["pickup_service"], booking["ride_km"])
        trip_end = ride_end + booking["dropoff_service"]
        if pickup > last_pickup or trip_end > driver["shift_end"] + EPSILON_MIN:
            return None
        lateness = max(0.0, pickup - booking["latest"])
        driving = (pickup - depart) + (ride_end - pickup - booking["pickup_service"])
        return {
            "trip": {"depart": depart, "pickup_min": pickup, "trip_end": trip_end, "approach_km": km},
            "km": km,
            "lateness": lateness,
            "driving": driving,
            "occupied": trip_end - depart,
            "cost": driving + self.rules.insertion_lateness_weight * lateness,
            "position": len(driver["plan"]),
        }

    def _observe(self) -> Observation:
        shown = self.open[: self.num_slots]
        self.pairs: dict[int, dict[str, Any]] = {}
        by_driver: list[list[dict[str, Any]]] = [[] for _ in self.drivers]
        by_slot: list[list[dict[str, Any]]] = [[] for _ in shown]
        if not self.is_done:
            for n, driver in enumerate(self.drivers):
                for slot, booking in enumerate(shown):
                    pair = self._evaluate(driver, booking)
                    if pair is not None:
                        self.pairs[n * self.num_slots + slot] = pair
                        by_driver[n].append(pair)
                        by_slot[slot].append(pair)
        drivers = np.zeros((self.num_drivers, NUM_DRIVER_FEATURES), np.float32)
        for n, driver in enumerate(self.drivers):
            drivers[n] = self._driver_features(driver, len(by_driver[n]) / max(1, len(shown)))
        bookings = np.zeros((self.num_slots, NUM_BOOKING_FEATURES), np.float32)
        for slot, booking in enumerate(shown):
            bookings[slot] = self._booking_features(booking, len(by_slot[slot]) / len(self.drivers))
        mask = np.zeros(self.num_drivers * self.num_slots + 1, np.int8)
        mask[0] = 1
        pairs = np.zeros((self.num_drivers * self.num_slots, NUM_PAIR_FEATURES), np.float32)
        costs = [sorted(pair["cost"] for pair in rivals) for rivals in by_slot]
        first_pickups = [min((pair["trip"]["pickup_min"] for pair in rivals), default=0.0) for rivals in by_slot]
        least_km = [min((pair["km"] for pair in own), default=0.0) for own in by_driver]
        for index, pair in self.pairs.items():
            n, slot = divmod(index, self.num_slots)
            mask[index + 1] = 1
            others = costs[slot][1:] if pair["cost"] == costs[slot][0] else costs[slot]
            regret = others[0] - pair["cost"] if others else math.inf
            pairs[index] = self._pair_features(pair, shown[slot], regret, first_pickups[slot], least_km[n])
        clock = np.array(self._clock_features(len(shown)), np.float32)
        return {"drivers": drivers, "bookings": bookings, "pairs": pairs, "clock": clock, "action_mask": mask}

    # --- features, as in envs.observation ----------------------------------------------------------------------------
    def _driver_features(self, driver: dict[str, Any], feasible_share: float) -> list[float]:
        free = max(driver["free"], self.now, driver["shift_start"])
        plan = driver["plan"]
        return [
            1.0,
            clip(driver["plane"][0] / self.scale_km),
            clip(driver["plane"][1] / self.scale_km),
            clip((free - self.now) / 120.0),
            clip(((plan[-1]["trip_end"] if plan else free) - self.now) / 240.0),
            clip((len(plan) + (driver["under_way"] is not None)) / self.max_trips),
            clip((driver["shift_end"] - self.now) / 720.0),
            clip(max(0.0, driver["shift_start"] - self.now) / 120.0),
            float(driver["is_emergency"]),
            float(driver["can_wheelchair"]),
            feasible_share,
            clip((plan[0]["depart"] - free) / 120.0) if plan else 1.0,
            clip(driver["num_trips"] / 16.0),
        ]

    def _booking_features(self, booking: dict[str, Any], feasible_share: float) -> list[float]:
        deadline = booking["latest"] + self.rules.expiry_tolerance_min
        return [
            1.0,
            clip(booking["pickup_plane"][0] / self.scale_km),
            clip(booking["pickup_plane"][1] / self.scale_km),
            clip(booking["dropoff_plane"][0] / self.scale_km),
            clip(booking["dropoff_plane"][1] / self.scale_km),
            clip(booking["ride_km"] / 20.0),
            clip((booking["earliest"] - self.now) / 120.0),
            clip((booking["latest"] - self.now) / 120.0),
            clip((booking["latest"] - booking["earliest"]) / 60.0),
            clip((self.now - booking["release"]) / 240.0),
            booking["priority"] / 5.0,
            float(booking["leg"]),
            float(booking["is_wheelchair"]),
            feasible_share,
            float(deadline < self.now + self.rules.tick_min),
        ]

    def _pair_features(
        self, pair: dict[str, Any], booking: dict[str, Any], regret: float, first_pickup: float, least_km: float
    ) -> list[float]:
        pickup = pair["trip"]["pickup_min"]
        return [
            1.0,
            clip((pickup - self.now) / 120.0),
            clip(pair["lateness"] / 30.0),
            clip((booking["latest"] - pickup) / 60.0),
            clip(pair["km"] / 20.0),
            clip(pair["km"] / 20.0),
            clip(pair["driving"] / 60.0),
            clip(pair["lateness"] / 30.0),
            clip(pair["occupied"] / 120.0),
            clip(regret / 60.0),
            clip((pickup - first_pickup) / 60.0),
            clip((pair["km"] - least_km) / 20.0),
            float(pickup <= 0.5 * (booking["earliest"] + booking["latest"])),
            clip(pair["position"] / self.max_trips),
        ]

    def _clock_features(self, num_shown: int) -> list[float]:
        num_open, num_drivers = len(self.open), len(self.drivers)
        backlog = num_open - num_shown
        features = [
            clip(self.now / 1440.0),
            clip((self.now - self.open_min) / (self.close_min - self.open_min)),
            1.0 - self.speeds[int(self.now // 60.0) % 24] / max(self.speeds),
            num_open / (num_open + num_drivers),
            backlog / (backlog + self.num_slots),
            len(self.pairs) / max(1, num_drivers * num_shown),
            clip(num_drivers / 20.0),
            clip(num_open / num_drivers / 10.0),
        ]
        assert len(features) == NUM_CLOCK_FEATURES
        return features
