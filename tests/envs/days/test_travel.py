from __future__ import annotations

import math

import numpy as np
import pytest

from envs.days.day import Booking, Day, Driver
from envs.days.loading import matrices, ride
from envs.days.travel import HourlyTravel, MatrixTravel, PowerLawTravel, great_circle_km

KM_PER_DEG = 6371.0088 * math.pi / 180.0


def place(km: float) -> tuple[float, float]:
    return 0.0, km / KM_PER_DEG


def line_day(travel) -> Day:
    """Drivers at km 0 and 2; b0 from km 3 to km 7, b1 from km 10 to km 4."""
    bookings = tuple(
        Booking(id, 0, 60, 90, *place(start), *place(end)) for id, start, end in (("b0", 3, 7), ("b1", 10, 4))
    )
    drivers = tuple(Driver(f"d{n}", *place(km), 0, 600) for n, km in enumerate((0, 2)))
    return Day("line", bookings, drivers, travel, 0, 600)


def test_a_quarter_of_the_equator():
    # Earth's mean radius 6371.0088 km x pi / 2
    assert great_circle_km(np.array([0.0, 0.0]), np.array([0.0, 90.0])) == pytest.approx(6371.0088 * math.pi / 2)


def test_distance_of_near_places_keeps_its_digits():
    # 1e-6 deg on the meridian = 0.111 m
    distance = great_circle_km(np.array([46.2, 6.1]), np.array([46.200001, 6.1]))
    assert distance == pytest.approx(1e-6 * KM_PER_DEG, rel=1e-6)


def test_rows_of_the_tables_are_starts_then_dropoffs_then_pickups():
    km, work = matrices(line_day(HourlyTravel((30.0,) * 24)))
    expected = [
        [3, 10],  # d0 at 0 to pickups at 3 and 10
        [1, 8],  # d1 at 2
        [4, 3],  # drop-off of b0 at 7
        [1, 6],  # drop-off of b1 at 4
        [0, 7],  # pickup of b0 at 3
        [7, 0],  # pickup of b1 at 10
    ]
    assert km == pytest.approx(np.array(expected), abs=1e-5)
    assert work == pytest.approx(km)
    assert km.dtype == np.float32


def test_padded_tables_leave_rows_for_absent_drivers_and_bookings():
    km, _ = matrices(line_day(HourlyTravel((30.0,) * 24)), num_drivers=3, num_bookings=4)
    assert km.shape == (3 + 2 * 4, 4)
    assert km[3, 0] == pytest.approx(4.0, abs=1e-5)  # row N + 0: drop-off of b0
    assert km[7 + 1, 0] == pytest.approx(7.0, abs=1e-5)  # row N + K + 1: pickup of b1
    assert not km[2].any() and not km[:, 2:].any()


def test_tables_too_small_for_the_day_are_refused():
    with pytest.raises(ValueError, match="day line: 2 drivers and 2 bookings don't fit tables of 1 and 2"):
        matrices(line_day(PowerLawTravel()), num_drivers=1)


def test_detour_lengthens_hourly_travel():
    km, work = ride(line_day(HourlyTravel((30.0,) * 24, detour=1.5)))
    assert km == pytest.approx([4 * 1.5, 6 * 1.5])
    assert work == pytest.approx(km)


def test_power_law_minutes():
    km, work = ride(line_day(PowerLawTravel(2.08, 0.845)))
    assert km == pytest.approx([4.0, 6.0])
    assert work == pytest.approx([2.08 * 4**0.845, 2.08 * 6**0.845])


def test_speed_is_work_per_minute():
    assert HourlyTravel((30.0,) * 23 + (60.0,)).speeds()[[0, 23]] == pytest.approx([0.5, 1.0])
    assert PowerLawTravel().speeds() == pytest.approx(np.ones(24))


def test_matrix_uses_its_own_km_where_given():
    table = np.arange(36.0).reshape(6, 6)
    travel = MatrixTravel([place(km) for km in (0, 2, 3, 10, 7, 4)], table, km=table / 2)
    km, work = ride(line_day(travel))
    # b0 from place 2 (km 3) to place 4 (km 7): row 2, column 4 = 16; b1 from place 3 to place 5: 23
    assert work == pytest.approx([16, 23])
    assert km == pytest.approx([8, 11.5])


def test_matrix_without_a_place_of_the_day_is_refused():
    travel = MatrixTravel([place(0)], np.zeros((1, 1)))
    with pytest.raises(ValueError, match="travel matrix: no place at"):
        matrices(line_day(travel))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HourlyTravel((30.0,) * 23), "travel hourly: speeds_kmh has 23 numbers; expected 24"),
        (lambda: HourlyTravel((30.0,) * 23 + (0.0,)), "speeds_kmh of hour 23"),
        (lambda: HourlyTravel((30.0,) * 24, detour=math.nan), "detour"),
        (lambda: PowerLawTravel(-1.0), "travel power_law: minutes_per"),
        (lambda: MatrixTravel([place(0)], np.zeros((2, 2))), r"minutes has shape \(2, 2\); expected \(1, 1\)"),
        (lambda: MatrixTravel([place(0)], np.array([[-1.0]])), "from place 0 to place 0 is -1.0"),
    ],
)
def test_impossible_travel_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
