"""KPIs, from event logs written by hand."""

from __future__ import annotations

import math
import time

import pytest

from envs.kpis import KPI_NAMES, episode_kpis
from envs.world.records import EventKind, Leg
from tests.evaluation.worlds import empty_world, log

DEPART, PICKUP, DROPOFF, EXPIRE = EventKind.DEPART, EventKind.PICKUP, EventKind.DROPOFF, EventKind.EXPIRE


@pytest.fixture
def busy_day():
    """Two drivers, 08:00-10:00, six bookings: d0 serves b0, b1, b2, d1 (emergency) serves b3; b4 and b5 are lost."""
    world = empty_world(num_drivers=2, num_bookings=6)
    world.drivers["is_emergency"][0, 1] = 1
    world.bookings["latest_pickup_min"][0] = [500, 520, 540, 500, 490, 500]
    world.bookings["leg"][0] = [Leg.OUTBOUND, Leg.OUTBOUND, Leg.RETURN, Leg.RETURN, Leg.OUTBOUND, Leg.RETURN]
    world.bookings["priority"][0] = [3, 3, 3, 3, 5, 1]
    world.bookings["is_wheelchair"][0] = [0, 0, 0, 0, 1, 0]
    log(
        world,
        (480, DEPART, 0, 0, 0.0),
        (480, DEPART, 1, 3, 0.0),
        (490, EXPIRE, -1, 4, 0.0),
        (500, PICKUP, 0, 0, 10.0),  # window ends 500: on time
        (500, EXPIRE, -1, 5, 0.0),
        (508, PICKUP, 1, 3, 14.0),  # window ends 500: 8 min late
        (510, DROPOFF, 0, 0, 5.0),
        (510, DEPART, 0, 1, 0.0),
        (524, PICKUP, 0, 1, 7.0),  # window ends 520: 4 min late
        (530, DROPOFF, 0, 1, 3.0),
        (530, DEPART, 0, 2, 0.0),
        (530, DROPOFF, 1, 3, 11.0),
        (536, PICKUP, 0, 2, 3.0),  # window ends 540: on time
        (550, DROPOFF, 0, 2, 7.0),
    )
    return world


def test_served_and_lost_are_counted_from_the_log(busy_day):
    kpis = episode_kpis(busy_day, 0)
    assert tuple(kpis) == KPI_NAMES
    assert kpis["num_bookings"] == 6
    assert kpis["num_served"] == 4
    assert kpis["service_rate"] == pytest.approx(4 / 6)
    assert kpis["num_lost"] == 2
    assert [kpis[f"num_lost_priority_{p}"] for p in range(1, 6)] == [1, 0, 0, 0, 1]
    assert (kpis["num_lost_ambulatory"], kpis["num_lost_wheelchair"]) == (1, 1)


def test_lateness_is_measured_against_the_end_of_the_window(busy_day):
    kpis = episode_kpis(busy_day, 0)
    # minutes late: b0 0, b3 8, b1 4, b2 0
    assert kpis["lateness_mean_min"] == pytest.approx(12 / 4)
    # sorted 0 0 4 8, rank 0.95 x 3 = 2.85: 4 + 0.85 x 4
    assert kpis["lateness_p95_min"] == pytest.approx(7.4)
    assert kpis["late_share_5"] == pytest.approx(1 / 4)  # only b3 is more than 5 min late
    assert kpis["on_time_share"] == pytest.approx(2 / 4)
    assert kpis["on_time_share_outbound"] == pytest.approx(1 / 2)  # b0 of b0, b1
    assert kpis["on_time_share_return"] == pytest.approx(1 / 2)  # b2 of b2, b3


def test_kilometres_and_minutes_are_those_driven(busy_day):
    kpis = episode_kpis(busy_day, 0)
    # approaches 10 + 14 + 7 + 3 = 34 km; rides 5 + 11 + 3 + 7 = 26 km
    assert kpis["deadhead_km"] == pytest.approx(34)
    assert kpis["loaded_km"] == pytest.approx(26)
    assert kpis["deadhead_share"] == pytest.approx(34 / 60)
    assert kpis["km_per_served_trip"] == pytest.approx(60 / 4)
    # 480-500, 480-508, 510-524, 530-536: 20 + 28 + 14 + 6
    assert kpis["deadhead_min"] == pytest.approx(68)
    # two drivers for two hours
    assert kpis["trips_per_driver_hour"] == pytest.approx(4 / 4)
    assert kpis["load_gap"] == 2  # 3 trips and 1
    assert kpis["emergency_share"] == pytest.approx(1 / 4)


def test_a_lost_booking_costs_300_unless_nobody_could_have_served_it(busy_day):
    # 68 deadhead minutes, 2 lost, 12 minutes late
    assert episode_kpis(busy_day, 0)["cost"] == pytest.approx(68 + 600)
    kpis = episode_kpis(busy_day, 0, num_unservable=1)
    assert kpis["cost"] == pytest.approx(68 + 300)
    assert kpis["cost_with_lateness"] == pytest.approx(68 + 300 + 5 * 12)
    assert kpis["num_unservable"] == 1


def test_vain_and_abandoned_approaches_are_deadhead_and_a_spare_delivers():
    world = empty_world(num_drivers=2, num_bookings=4)
    world.bookings["by_spare"][0, 2] = 1
    world.bookings["pickup_service_min"][0] = 3.0
    log(
        world,
        (480, DEPART, 0, 0, 0.0),
        (482, EventKind.CANCEL, -1, 3, 0.0),
        (490, EventKind.NO_SHOW, 0, 0, 4.0),
        (490, DEPART, 0, 1, 0.0),
        (490, DEPART, 1, 2, 0.0),
        (495, PICKUP, 1, 2, 2.0),
        (500, EventKind.DROP_OUT, 0, -1, 0.0),
        (500, EventKind.ABANDON, 0, 1, 5.0),
        (505, EventKind.DROP_OUT, 1, -1, 0.0),
        (515, DROPOFF, 1, 2, 8.0),
        (600, EXPIRE, -1, 1, 0.0),
    )
    world.clocks["num_spare"][0] = 1
    kpis = episode_kpis(world, 0)
    assert kpis["deadhead_km"] == pytest.approx(4 + 5 + 2)
    # the 10 minutes at b0 are 7 of driving and 3 of waiting for a patient who does not come
    assert kpis["deadhead_min"] == pytest.approx(7 + 10 + 5)
    assert (kpis["num_served"], kpis["num_lost"], kpis["num_cancelled"], kpis["num_no_show"]) == (1, 1, 1, 1)
    assert kpis["num_spare"] == 1
    assert math.isnan(kpis["emergency_share"])  # no driver has finished a trip


def test_a_break_is_not_an_hour_of_work(busy_day):
    busy_day.drivers["break_start_min"][0, 0], busy_day.drivers["break_end_min"][0, 0] = 540.0, 570.0
    busy_day.drivers["shift_end_min"][0, 1] = 1440.0  # the shift outlasts the opening hours, which end at 600
    # 120 - 30 + 120 = 210 min = 3.5 h
    assert episode_kpis(busy_day, 0)["trips_per_driver_hour"] == pytest.approx(4 / 3.5)


def test_what_is_not_defined_is_nan_when_nobody_is_served():
    world = empty_world(num_drivers=2, num_bookings=1)
    log(world, (510, EXPIRE, -1, 0, 0.0))
    kpis = episode_kpis(world, 0)
    undefined = {name for name, value in kpis.items() if math.isnan(value)}
    assert undefined == {
        "on_time_share",
        "on_time_share_outbound",
        "on_time_share_return",
        "late_share_5",
        "lateness_mean_min",
        "lateness_p95_min",
        "deadhead_share",
        "km_per_served_trip",
        "emergency_share",
        "promise_wait_min",
        "pickup_off_mean_min",
        "pickup_off_p95_min",
        "driver_changes_per_trip",
        "driver_changed_share",
        "driver_changed_share_30",
        "pickup_moved_share",
        "appointment_late_share",
        "appointment_late_mean_min",
    }
    assert kpis["service_rate"] == 0.0
    assert kpis["cost"] == 300.0


def test_what_people_were_told_is_counted_from_the_log():
    """b0 is promised for 500 and given to another driver 12 min before its pickup; b1 is refused, b3 forgotten."""
    world = empty_world(num_drivers=2, num_bookings=4)
    world.bookings["appointment_min"][0, 0] = 530.0
    world.rules["promises_at_call"] = 1
    told = EventKind
    log(
        world,
        *((480, told.RELEASE, -1, k, 480.0) for k in range(4)),
        (485, told.PROMISE, 0, 0, 500.0),
        (485, told.ASSIGN, 0, 0, 500.0),
        (485, told.REFUSE, -1, 1, 0.0),
        (485, told.PROMISE, 0, 2, 560.0),
        (485, told.ASSIGN, 0, 2, 560.0),
        (490, told.MOVE, 1, 0, 502.0),  # another driver, 12 min before
        (490, told.MOVE, 0, 2, 575.0),  # 15 min later, the same driver
        (495, told.GIVE_BACK, 0, 2, 575.0),
        (500, told.ASSIGN, 1, 2, 570.0),  # another driver, 70 min before
        (490, DEPART, 1, 0, 0.0),
        (506, PICKUP, 1, 0, 5.0),
        (534, DROPOFF, 1, 0, 5.0),  # 4 min after the appointment
        (560, DEPART, 1, 2, 0.0),
        (570, PICKUP, 1, 2, 5.0),
        (590, DROPOFF, 1, 2, 5.0),
        (600, told.BREAK, -1, 3, 0.0),
        (600, EXPIRE, -1, 3, 0.0),
    )
    kpis = episode_kpis(world, 0)
    assert (kpis["num_refused"], kpis["num_broken"], kpis["num_lost"], kpis["num_given_back"]) == (1, 1, 2, 1)
    assert kpis["promise_wait_min"] == 5.0
    # |506 - 500| and |570 - 560|
    assert kpis["pickup_off_mean_min"] == pytest.approx(8.0)
    assert kpis["driver_changes_per_trip"] == pytest.approx(2 / 2)
    assert kpis["driver_changed_share"] == pytest.approx(2 / 2)
    assert kpis["driver_changed_share_30"] == pytest.approx(1 / 2)
    assert kpis["pickup_moved_share"] == pytest.approx(1 / 2)
    assert (kpis["appointment_late_share"], kpis["appointment_late_mean_min"]) == (1.0, 4.0)
    assert kpis["on_time_share"] == 0.0  # b0 misses the appointment, b2 is picked up 60 min after its window
    # deadhead 16 + 10 min, two lost, one of them promised
    assert kpis["cost"] == pytest.approx(26 + 600 + 300)


def test_kpis_are_quick_enough_for_every_episode(busy_day):
    episode_kpis(busy_day, 0)  # compiles
    seconds = []
    for _ in range(200):
        start = time.perf_counter()
        episode_kpis(busy_day, 0)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 200e-6
