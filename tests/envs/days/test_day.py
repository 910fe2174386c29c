from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from envs.days.day import Booking, Day, Driver, natural_order
from envs.days.loading import fill_bookings, fill_clock, fill_drivers
from envs.days.travel import HourlyTravel, MatrixTravel, PowerLawTravel
from envs.kpis import episode_kpis
from envs.simulator import Simulator
from envs.world.records import BOOKING, CLOCK, DRIVER, BookingState, Leg
from tests.envs.line import booking, driver, line_day

KM_PER_DEG = 6371.0088 * math.pi / 180.0
TRAVEL = HourlyTravel((30.0,) * 24)  # 0.5 km/min

# A booking at the equator from km 5 to km 15 east, and a driver at km 0 on shift 08:00-12:00
BOOKING_5_15 = Booking("b17", 480, 500, 530, 0.0, 5 / KM_PER_DEG, 0.0, 15 / KM_PER_DEG)
DRIVER_0 = Driver("d0", 0.0, 0.0, 480, 720)


def a_day(*bookings: Booking, drivers: tuple[Driver, ...] = (DRIVER_0,), **more) -> Day:
    return Day(**{"label": "x", "bookings": bookings, "drivers": drivers, "travel": TRAVEL, "open_min": 480,
                  "close_min": 720, **more})  # fmt: skip


def test_bookings_are_kept_by_release_then_natural_id():
    day = a_day(
        replace(BOOKING_5_15, id="b10"),
        replace(BOOKING_5_15, id="b2"),
        replace(BOOKING_5_15, id="b30", release_min=470),
    )
    assert [booking.id for booking in day.bookings] == ["b30", "b2", "b10"]


def test_natural_order_compares_numbers_by_value():
    assert sorted(["b10", "b2", "a", "7", "12"], key=natural_order) == ["7", "12", "a", "b2", "b10"]


def test_message_names_day_booking_and_both_times():
    with pytest.raises(ValueError) as error:
        a_day(replace(BOOKING_5_15, earliest_pickup_min=555), label="2025-03-04")
    assert str(error.value) == (
        "day 2025-03-04, booking 'b17': latest_pickup_min (530) is before earliest_pickup_min (555)."
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pickup_lat": 91.0}, r"booking 'b17': pickup_lat \(91\) is off the globe"),
        ({"dropoff_lon": -180.5}, r"dropoff_lon \(-180.5\) is off the globe"),
        ({"pickup_lon": math.nan}, r"pickup_lon \(nan\) is off the globe"),
        ({"priority": 6}, r"priority \(6\) is not a whole number from 1 to 5"),
        ({"priority": 0}, r"priority \(0\)"),
        ({"leg": "there"}, r"leg \('there'\) is unknown; expected Leg.OUTBOUND or Leg.RETURN"),
        ({"is_wheelchair": "wheel chair"}, "neither true nor false"),
        ({"release_min": math.inf}, r"release_min \(inf\) is not a finite number"),
        ({"latest_pickup_min": math.nan}, r"latest_pickup_min \(nan\) is not a finite number"),
        ({"release_min": 531.0}, r"release_min \(531\) is after latest_pickup_min \(530\): nobody could serve it"),
        ({"pickup_service_min": -1.0}, r"pickup_service_min \(-1\) must be"),
        ({"appointment_min": math.nan}, "appointment_min"),
        ({"id": ""}, "empty id"),
    ],
)
def test_impossible_booking_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        a_day(replace(BOOKING_5_15, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shift_end_min": 470}, r"driver 'd0': shift_end_min \(470\) is not after shift_start_min \(480\)"),
        ({"shift_start_min": math.nan}, "shift_start_min"),
        ({"start_lat": -90.1}, "start_lat"),
        ({"break_start_min": 600.0}, "only one is given"),
        ({"break_start_min": 600.0, "break_end_min": 590.0}, r"break_end_min \(590\) is before"),
    ],
)
def test_impossible_driver_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        a_day(BOOKING_5_15, drivers=(replace(DRIVER_0, **changes),))


def test_duplicate_booking_ids_are_refused():
    with pytest.raises(ValueError, match="day x: booking id 'b17' occurs twice"):
        a_day(BOOKING_5_15, BOOKING_5_15)


def test_duplicate_driver_ids_are_refused():
    with pytest.raises(ValueError, match="driver id 'd0' occurs twice"):
        a_day(BOOKING_5_15, drivers=(DRIVER_0, DRIVER_0))


def test_empty_day_is_refused():
    with pytest.raises(ValueError, match="day x: no bookings"):
        a_day()


def test_day_without_drivers_is_refused():
    with pytest.raises(ValueError, match="day x: no drivers"):
        a_day(BOOKING_5_15, drivers=())


def test_day_that_closes_before_it_opens_is_refused():
    with pytest.raises(ValueError, match=r"close_min \(400\) is not after open_min \(480\)"):
        a_day(BOOKING_5_15, close_min=400)


def test_wheelchair_booking_without_any_wheelchair_vehicle_warns_and_is_unservable():
    with pytest.warns(UserWarning, match=r"day x: no vehicle of the fleet takes a wheelchair, so booking 'b17' can't"):
        day = a_day(
            replace(BOOKING_5_15, is_wheelchair=True),
            replace(BOOKING_5_15, id="b18"),
            drivers=(replace(DRIVER_0, can_wheelchair=False),),
        )
    assert day.num_bookings == 2  # still counted
    assert day.unservable(max_lateness_min=30) == ["b17"]


def test_wheelchair_booking_with_one_wheelchair_vehicle_does_not_warn():
    drivers = (replace(DRIVER_0, can_wheelchair=False), replace(DRIVER_0, id="d1"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        day = a_day(replace(BOOKING_5_15, is_wheelchair=True), drivers=drivers)
    assert day.unservable(0) == []


def test_booking_whose_window_no_driver_reaches_is_unservable():
    # 5 km at 0.5 km/min = 10 min from 08:00: there at 490; the window closes at 488, with 2 min of lateness at 490
    early = replace(BOOKING_5_15, earliest_pickup_min=480, latest_pickup_min=488)
    assert a_day(early).unservable(max_lateness_min=1.9) == ["b17"]
    assert a_day(early).unservable(max_lateness_min=2.1) == []


def test_booking_that_ends_after_every_shift_is_unservable():
    # pickup 500, service 5, ride 10 km = 20 min, service 5: 530
    assert a_day(BOOKING_5_15, drivers=(replace(DRIVER_0, shift_end_min=530.01),)).unservable(0) == []
    assert a_day(BOOKING_5_15, drivers=(replace(DRIVER_0, shift_end_min=529.9),)).unservable(0) == ["b17"]


def test_driver_is_taken_to_leave_at_shift_start_even_before_the_release():
    # released at 499, 5 km away, window closes 500: only who set out earlier is there in time
    late_call = replace(BOOKING_5_15, release_min=499, latest_pickup_min=500)
    assert a_day(late_call).unservable(0) == []


def test_unit_vectors_plane_and_ride_of_a_filled_booking():
    rows = np.zeros(3, dtype=BOOKING)
    fill_bookings(a_day(BOOKING_5_15), rows, 0.0, 0.0)
    row = rows[0]
    lon = math.radians(5 / KM_PER_DEG)
    assert row["pickup_xyz"] == pytest.approx([math.cos(lon), math.sin(lon), 0.0])
    assert row["pickup_east_km"] == pytest.approx(5.0)
    assert row["dropoff_east_km"] == pytest.approx(15.0)
    assert row["dropoff_north_km"] == pytest.approx(0.0)
    assert row["ride_km"] == pytest.approx(10.0)
    assert row["ride_work"] == row["ride_km"]
    assert row["key"] == 17
    assert rows["key"][1] == 0  # rows beyond are left alone


def test_detour_lengthens_the_ride_but_not_the_plane():
    rows = np.zeros(1, dtype=BOOKING)
    fill_bookings(a_day(BOOKING_5_15, travel=HourlyTravel((30.0,) * 24, detour=1.3)), rows, 0.0, 0.0)
    assert rows["ride_km"][0] == pytest.approx(13.0)
    assert rows["dropoff_east_km"][0] == pytest.approx(15.0)


def test_east_shrinks_with_the_cosine_of_the_latitude():
    rows = np.zeros(1, dtype=BOOKING)
    fill_bookings(a_day(replace(BOOKING_5_15, pickup_lat=60.0, pickup_lon=1.0)), rows, 60.0, 0.0)
    # cos 60 deg = 1/2
    assert rows["pickup_east_km"][0] == pytest.approx(KM_PER_DEG / 2)


def test_power_law_ride_is_minutes_of_work():
    rows = np.zeros(1, dtype=BOOKING)
    fill_bookings(a_day(BOOKING_5_15, travel=PowerLawTravel(2.0, 0.5)), rows, 0.0, 0.0)
    # 2 x sqrt(10 km) = 6.32 min
    assert rows["ride_km"][0] == pytest.approx(10.0)
    assert rows["ride_work"][0] == pytest.approx(2.0 * math.sqrt(10.0))


def test_new_booking_is_unreleased_undisturbed_and_without_driver():
    rows = np.ones(1, dtype=BOOKING)
    fill_bookings(a_day(BOOKING_5_15), rows, 0.0, 0.0)
    row = rows[0]
    assert row["state"] == BookingState.UNRELEASED
    assert (row["driver"], row["is_no_show"], row["by_spare"]) == (-1, 0, 0)
    assert (row["approach_noise"], row["ride_noise"], row["cancel_min"]) == (1.0, 1.0, np.inf)
    assert np.isnan(row["appointment_min"])


def test_new_driver_is_idle_at_the_start_place_from_shift_start():
    rows = np.ones(2, dtype=DRIVER)
    drivers = (DRIVER_0, replace(DRIVER_0, id="d1", start_lon=2 / KM_PER_DEG, is_emergency=True, break_start_min=600.0,
                                 break_end_min=630.0))  # fmt: skip
    fill_drivers(a_day(BOOKING_5_15, drivers=drivers), rows, 0.0, 0.0)
    row = rows[1]
    assert row["east_km"] == pytest.approx(2.0)
    assert (row["free_min"], row["under_way"], row["place"], row["plan_len"], row["num_trips"]) == (480, -1, 1, 0, 0)
    assert (row["is_emergency"], row["can_wheelchair"], row["drop_out_min"]) == (1, 1, np.inf)
    assert (row["break_start_min"], row["break_end_min"], rows[0]["break_start_min"]) == (600, 630, np.inf)


def test_clock_starts_at_opening_with_all_counters_at_zero():
    clock, speeds = np.ones(1, dtype=CLOCK), np.zeros(24)
    fill_clock(a_day(BOOKING_5_15), clock, speeds)
    assert (clock["now_min"][0], clock["close_min"][0], clock["day_number"][0]) == (480, 720, -1)
    assert (clock["num_bookings"][0], clock["num_drivers"][0], clock["num_decisions"][0]) == (1, 1, 0)
    assert speeds == pytest.approx(np.full(24, 0.5))


def test_more_drivers_than_rows_says_what_to_do():
    drivers = (DRIVER_0, replace(DRIVER_0, id="d1"))
    with pytest.raises(
        ValueError, match=r"the day has 2 drivers but the environment was made for 1. Pass --num-drivers 2"
    ):
        fill_drivers(a_day(BOOKING_5_15, drivers=drivers), np.zeros(1, dtype=DRIVER), 0.0, 0.0)


def test_day_written_into_records_and_read_back_is_the_same_day():
    bookings = (
        replace(BOOKING_5_15, id="b0", appointment_min=560.0),
        replace(BOOKING_5_15, id="b1", leg=Leg.RETURN, is_wheelchair=True, priority=5),
    )
    drivers = (replace(DRIVER_0, break_start_min=600.0, break_end_min=610.0),)
    day = a_day(*bookings, drivers=drivers, label="12", day_number=12)
    rows, fleet, clock = np.zeros(4, dtype=BOOKING), np.zeros(2, dtype=DRIVER), np.zeros(1, dtype=CLOCK)
    fill_bookings(day, rows, 0.0, 0.0)
    fill_drivers(day, fleet, 0.0, 0.0)
    fill_clock(day, clock, np.zeros(24))
    assert Day.from_records(rows, fleet, clock, TRAVEL) == day


def test_key_of_a_generated_day_is_its_number_and_of_others_a_hash_of_the_label():
    assert a_day(BOOKING_5_15, day_number=5).key == 5
    assert a_day(BOOKING_5_15, label="060").key == a_day(BOOKING_5_15, label="060").key
    assert a_day(BOOKING_5_15, label="060").key != a_day(BOOKING_5_15, label="061").key


def test_matrix_day_rides_by_its_table():
    places = ((0.0, 0.0), (0.0, 5 / KM_PER_DEG), (0.0, 15 / KM_PER_DEG))
    travel = MatrixTravel(places, np.array([[0, 11, 31], [11, 0, 21], [31, 21, 0]]))
    rows = np.zeros(1, dtype=BOOKING)
    fill_bookings(a_day(BOOKING_5_15, travel=travel), rows, 0.0, 0.0)
    assert rows["ride_work"][0] == 21.0
    assert rows["ride_km"][0] == pytest.approx(10.0)  # no table of km: the great circle


# --- appointments and returns -----------------------------------------------------------------------------------------


def appointment_day(appointment_min: float) -> Day:
    """30 km at 30 km/h, 5 min at either end: whoever is picked up at p is out of the vehicle at p + 70."""
    return line_day([booking("b", (0, 30), (540, 630), service=5.0, appointment_min=appointment_min)], [driver("d", 0)])


@pytest.mark.parametrize(("appointment_min", "latest_min"), [(800.0, 630.0), (680.0, 610.0), (600.0, 540.0)])
def test_a_window_ends_with_the_last_pickup_that_keeps_the_appointment(appointment_min, latest_min):
    # 13:20 binds nobody; 11:20 - 70 min = 10:10; 10:00 - 70 min = 8:50 is before the window, which then ends at 9:00
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        simulator = Simulator(appointment_day(appointment_min))
    row = simulator.world.bookings[0, 0]
    assert row["latest_pickup_min"] == pytest.approx(latest_min)
    assert row["keeps_appointment_min"] == pytest.approx(appointment_min - 70.0)


def test_an_appointment_that_nobody_can_keep_is_told_and_not_on_time():
    # picked up at 9:00 at the earliest, out of the vehicle at 10:10, ten minutes after the appointment
    with pytest.warns(UserWarning, match="booking 'b' misses the appointment even when picked up at the earliest"):
        day = appointment_day(600.0)
    simulator = Simulator(day)
    simulator.assign("d", "b")
    simulator.run_to_end()
    kpis = episode_kpis(simulator.world, 0)
    assert (kpis["num_served"], kpis["on_time_share"], kpis["appointment_late_mean_min"]) == (1, 0.0, pytest.approx(10))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outbound_id": "nobody"}, "outbound_id names no other booking"),
        ({"outbound_id": "back"}, "outbound_id names no other booking"),
        ({"outbound_id": "out", "expected_min": 600.0}, "only one is given"),
        ({"expected_min": 600.0, "expected_std_min": 10.0}, "give its outbound_id too"),
        ({"outbound_id": "out", "expected_min": 600.0, "expected_std_min": -1.0}, "expected_std_min"),
    ],
)
def test_a_return_that_does_not_fit_its_outbound_leg_is_refused(changes, message):
    bookings = [booking("out", (0, 1), (500, 530)), booking("back", (1, 0), (600, 630), **changes)]
    with pytest.raises(ValueError, match=message):
        line_day(bookings, [driver("d", 0)])


def test_a_booking_whose_appointment_ends_the_window_too_early_for_anybody_is_unservable():
    # 20 km = 40 min to the pickup from 8:00: 8:40. 10 km of ride, 5 min at either end: out 30 min after the pickup.
    # An appointment at 9:00 needs the pickup by 8:30, one at 9:15 by 8:45; the window itself is open until 10:30.
    def day(appointment_min: float) -> Day:
        asked = booking("b", (20, 30), (480, 630), service=5.0, appointment_min=appointment_min)
        return line_day([asked], [driver("d", 0)])

    assert day(540.0).unservable(0.0) == ["b"]
    assert day(555.0).unservable(0.0) == []
