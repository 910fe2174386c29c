"""What all generators share: the record that compiled code reads, and checks of settings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

SHORT_SHIFT = 0
OPERATING_DAY = 1
MAX_PERIODS = 8  # periods or peaks that fit the record below


GENERATOR = np.dtype(
    [
        ("kind", np.int32),
        ("num_drivers_low", np.int32),
        ("num_drivers_high", np.int32),
        ("open_min", np.float64),
        ("close_min", np.float64),
        ("tick_min", np.float64),
        ("center_lat", np.float64),
        ("center_lon", np.float64),
        ("detour", np.float64),
        ("speeds", np.float64, (24,)),  # [km/min]
        ("shift_start_min", np.float64),
        ("shift_end_min", np.float64),
        ("service_min", np.float64),
        # --- short shift ------------------------------------------------------------------------------------------
        ("half_side_deg", np.float64),
        ("initial_low", np.int32),
        ("initial_high", np.int32),
        ("more_low", np.int32),
        ("more_high", np.int32),
        ("arrival_probability", np.float64),
        ("num_periods", np.int32),
        ("period_start_min", np.float64, (MAX_PERIODS,)),
        ("period_end_min", np.float64, (MAX_PERIODS,)),
        ("period_probability", np.float64, (MAX_PERIODS,)),
        ("urgent_priority", np.int32),
        ("urgent_window_low", np.int32),
        ("urgent_window_high", np.int32),
        ("window_low", np.int32),
        ("window_high", np.int32),
        # --- operating day ----------------------------------------------------------------------------------------
        ("load_low", np.float64),
        ("load_high", np.float64),
        ("legs_per_driver", np.float64),
        ("round_trip_share", np.float64),
        ("return_gap_mean_min", np.float64),
        ("return_gap_std_min", np.float64),
        ("peak_std_min", np.float64),
        ("num_round_trip_peaks", np.int32),
        ("round_trip_peak_min", np.float64, (MAX_PERIODS,)),
        ("round_trip_peak_share", np.float64, (MAX_PERIODS,)),
        ("num_one_way_peaks", np.int32),
        ("one_way_peak_min", np.float64, (MAX_PERIODS,)),
        ("one_way_peak_share", np.float64, (MAX_PERIODS,)),
        ("last_pickup_before_close_min", np.float64),
        ("trip_km_median", np.float64),
        ("trip_km_log_std", np.float64),
        ("middle_east_std_km", np.float64),
        ("middle_north_std_km", np.float64),
        ("outbound_before_min", np.float64),
        ("outbound_after_min", np.float64),
        ("return_before_min", np.float64),
        ("return_after_min", np.float64),
        ("known_at_opening_share", np.float64),
        ("ahead_low_min", np.int32),
        ("ahead_high_min", np.int32),
        ("called_return_share", np.float64),
        ("called_low_min", np.int32),
        ("called_high_min", np.int32),
        ("wheelchair_share", np.float64),
        ("wheelchair_vehicle_share", np.float64),
        ("emergency_every", np.int32),
        ("start_std_km", np.float64),
    ],
    align=True,
)


def expect(where: str, is_right: bool, expected: str) -> None:
    if not is_right:
        raise ValueError(f"{where}: expected {expected}.")


def expect_range(where: str, name: str, low_high: tuple[float, float], at_least: float) -> None:
    low, high = low_high
    expect(f"{where}: {name} ({low:g} to {high:g})", at_least <= low <= high, f"{at_least:g} <= first <= second")


def expect_share(where: str, name: str, value: float) -> None:
    expect(f"{where}: {name} ({value:g})", 0.0 <= value <= 1.0, "a share from 0 to 1")


def expect_length(where: str, name: str, values: tuple[Any, ...]) -> None:
    expect(f"{where}: {name} has {len(values)} entries", len(values) <= MAX_PERIODS, f"at most {MAX_PERIODS}")


def check_hours(where: str, settings: Any) -> None:
    expect(
        f"{where}: close_min ({settings.close_min:g})",
        settings.open_min < settings.close_min,
        f"a time after open_min ({settings.open_min:g})",
    )
    expect(
        f"{where}: shift_end_min ({settings.shift_end_min:g})",
        settings.shift_start_min < settings.shift_end_min,
        f"a time after shift_start_min ({settings.shift_start_min:g})",
    )
    expect(f"{where}: service_min ({settings.service_min:g})", settings.service_min >= 0, "at least 0")


def write_hours(record: Any, settings: Any) -> None:
    for name in ("open_min", "close_min", "shift_start_min", "shift_end_min", "service_min"):
        record[name] = getattr(settings, name)


def num_ticks(open_min: float, close_min: float, tick_min: float) -> int:
    return math.ceil((close_min - open_min) / tick_min)
