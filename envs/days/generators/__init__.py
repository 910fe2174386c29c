"""
Days made up from their number, in compiled code, straight into record arrays; a file per generator.

``write_generated_day`` is what the simulator calls; ``envs.days.scenario.generate_day`` wraps it for Python. Each draw
is a function of (day number, kind, booking or tick, leg), so a day never depends on what was generated before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.days.generators import kinds
from envs.days.generators.operating_day import OperatingDay, Peak, write_appointments, write_operating_day
from envs.days.generators.record import OPERATING_DAY, SHORT_SHIFT, columns_of, write_settings
from envs.days.generators.short_shift import Period, ShortShift, write_short_shift
from envs.days.travel import HourlyTravel
from envs.world.compiled import jit
from envs.world.derived import KM_PER_DEG, bound_by_appointments, finish_bookings, finish_drivers
from envs.world.draws import standard_normal, uniform_int
from envs.world.records import NEVER

__all__ = ["OperatingDay", "Peak", "Period", "ShortShift", "generator_record", "write_generated_day"]

GENERATOR = np.dtype(
    [
        ("kind", np.int32),  # SHORT_SHIFT or OPERATING_DAY
        ("num_drivers", np.int32, (2,)),  # least and most
        ("tick_min", np.float64),
        ("center_lat", np.float64),
        ("center_lon", np.float64),
        ("detour", np.float64),
        ("speeds", np.float64, (24,)),  # [km/min]
        ("trip_km_log_std", np.float64),  # these two follow from the settings of the operating day
        ("middle_std_km", np.float64, (2,)),
        *{column[0]: column for kind in (ShortShift, OperatingDay) for column in columns_of(kind)}.values(),
    ],
    align=True,
)


def generator_record(
    settings: ShortShift | OperatingDay,
    num_drivers: tuple[int, int],
    tick_min: float,
    center_lat: float,
    center_lon: float,
    travel: HourlyTravel,
) -> npt.NDArray[Any]:
    """All that compiled code needs to make the days of a scenario: GENERATOR, shape (1,)."""
    record = np.zeros(1, dtype=GENERATOR)
    row = record[0]
    write_settings(row, settings)
    if isinstance(settings, OperatingDay):
        row["kind"] = OPERATING_DAY
        row["trip_km_log_std"], row["middle_std_km"] = settings.trip_km_log_std(), settings.middle_std_km()
    row["num_drivers"] = num_drivers
    row["tick_min"] = tick_min
    row["center_lat"], row["center_lon"] = center_lat, center_lon
    row["detour"] = travel.detour
    row["speeds"] = travel.speeds()
    return record


@jit
def write_generated_day(generator, day_number, bookings_row, drivers_row, clock_row, speeds_row):
    """
    Write the given part of day ``day_number`` into the rows of one day; ``open_day`` sets all that changes later.

    Parameters
    ----------
    generator
        GENERATOR, shape (1,), of ``Scenario.generator_record``.
    bookings_row, drivers_row, clock_row, speeds_row
        BOOKING, shape (K,); DRIVER, shape (N,); CLOCK, shape (1,); float64, shape (24,). Rows beyond the day's own
        bookings and drivers are left as they are.

    Returns
    -------
    int
        The number of bookings, as in the clock.
    """
    settings = generator[0]
    num_drivers = uniform_int(day_number, kinds.NUM_DRIVERS, 0, 0, settings.num_drivers[0], settings.num_drivers[1])
    if num_drivers > drivers_row.shape[0]:
        raise ValueError("the generated day has more drivers than the array has rows; see Scenario.num_drivers")
    _write_drivers(settings, day_number, num_drivers, drivers_row)
    if settings.kind == SHORT_SHIFT:
        num_bookings = write_short_shift(settings, day_number, bookings_row)
    else:
        num_bookings = write_operating_day(settings, day_number, num_drivers, bookings_row)
    finish_bookings(bookings_row, num_bookings, settings.detour, settings.center_lat, settings.center_lon)
    _write_clock(settings, day_number, num_bookings, num_drivers, clock_row[0])
    for hour in range(24):
        speeds_row[hour] = settings.speeds[hour]
    if settings.kind == OPERATING_DAY and settings.has_appointments:
        write_appointments(settings, bookings_row, num_bookings, speeds_row)
    bound_by_appointments(bookings_row, num_bookings, speeds_row)
    return num_bookings


@jit
def _write_clock(settings, day_number, num_bookings, num_drivers, clock):
    clock.day_number = day_number
    clock.now_min = settings.open_min
    clock.open_min = settings.open_min
    clock.close_min = settings.close_min
    clock.num_bookings = num_bookings
    clock.num_drivers = num_drivers
    clock.has_matrix = 0
    clock.has_disturbances = 0
    clock.detour = settings.detour


@jit
def _write_drivers(settings, day_number, num_drivers, drivers_row):
    east_km_per_deg = KM_PER_DEG * math.cos(math.radians(settings.center_lat))
    for n in range(num_drivers):
        driver = drivers_row[n]
        driver.key = np.uint64(n)
        driver.start_lat = settings.center_lat
        driver.start_lon = settings.center_lon
        if settings.start_std_km > 0.0:
            north_km = settings.start_std_km * standard_normal(day_number, kinds.START_NORTH, n, 0)
            east_km = settings.start_std_km * standard_normal(day_number, kinds.START_EAST, n, 0)
            driver.start_lat += north_km / KM_PER_DEG
            driver.start_lon += east_km / east_km_per_deg
        driver.shift_start_min = settings.shift_start_min
        driver.shift_end_min = settings.shift_end_min
        driver.break_start_min = NEVER
        driver.break_end_min = NEVER
        driver.is_emergency = 0
        driver.can_wheelchair = 1
        if settings.kind == OPERATING_DAY:
            every = settings.emergency_every
            driver.is_emergency = 1 if every > 0 and n % every == every - 1 else 0
            # Capable vehicles spread evenly over the fleet, the first one included
            share = settings.wheelchair_vehicle_share
            driver.can_wheelchair = 1 if math.ceil((n + 1) * share - 1e-9) > math.ceil(n * share - 1e-9) else 0
    finish_drivers(drivers_row, num_drivers, settings.center_lat, settings.center_lon)
