"""The rows here are made up; only the layout is the published one."""

from __future__ import annotations

import pytest

from envs.days.files import read_days
from envs.days.paratransit import DEPOT_LAT, fleet, main, paratransit_days, read_trips
from envs.days.travel import PowerLawTravel

HEADER = "bookingid,Sch Time in HH:MM:SS,ldate,Pickup LAT,Pickup LON,Dropoff LAT,Dropoff LON,Passenger Types,AM/WC"
ROWS = (
    "10,6:20:30,3,35.01,-85.11,35.02,-85.12,AM1,AM",
    '11,9:00:00,3,35.03,-85.13,35.04,-85.14,"AM1,WH1",WC',
    "12,10:00:00,4,35.05,-85.15,35.06,-85.16,AM1,AM",
)


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "trips.csv"
    path.write_text("\n".join((HEADER, *ROWS)) + "\n")
    return path


def test_bookings_are_sorted_into_service_days(published):
    trips = read_trips(published)
    assert {day: [booking.id for booking in bookings] for day, bookings in trips.items()} == {
        3: ["10", "11"],
        4: ["12"],
    }


def test_window_is_15_min_around_the_scheduled_time(published):
    booking = read_trips(published)[3][0]
    # 6:20:30 = 380.5 min
    assert (booking.earliest_pickup_min, booking.latest_pickup_min) == (365.5, 395.5)
    assert (booking.pickup_service_min, booking.dropoff_service_min, booking.priority) == (5.0, 5.0, 3)


def test_wc_means_wheelchair(published):
    assert [booking.is_wheelchair for booking in read_trips(published)[3]] == [False, True]


def test_announcement_lies_60_to_240_min_before_the_latest_pickup(tmp_path):
    path = tmp_path / "trips.csv"
    rows = [f"{i},9:00:00,0,35,-85,35,-85,AM1,AM" for i in range(500)]
    path.write_text("\n".join((HEADER, *rows)) + "\n")
    leads = [booking.latest_pickup_min - booking.release_min for booking in read_trips(path)[0]]
    assert 60 <= min(leads) < 65 and 235 < max(leads) <= 240
    # U[60, 240]: mean 150, standard deviation 180 / sqrt(12) = 52, of 500: 2.3
    assert sum(leads) / 500 == pytest.approx(150, abs=4 * 2.3)


def test_announcement_is_a_function_of_booking_and_seed(published, tmp_path):
    reversed_file = tmp_path / "reversed.csv"
    reversed_file.write_text("\n".join((HEADER, *reversed(ROWS))) + "\n")
    releases = {booking.id: booking.release_min for booking in read_trips(published)[3]}
    assert releases == {booking.id: booking.release_min for booking in read_trips(reversed_file)[3]}
    assert releases != {booking.id: booking.release_min for booking in read_trips(published, announce_seed=1)[3]}


def test_fleet_takes_every_18_nth_run():
    # int(i x 18/8) for i in 0..7: 0 2 4 6 9 11 13 15; the runs 0-1 work 04-15, 2-3 05-15, 4-9 07-18, 10-15 07-20
    drivers = fleet(8)
    assert [driver.id for driver in drivers] == [f"run-{run:02d}" for run in (0, 2, 4, 6, 9, 11, 13, 15)]
    shifts = [(driver.shift_start_min / 60, driver.shift_end_min / 60) for driver in drivers]
    assert shifts == [(4, 15), (5, 15), (7, 18), (7, 18), (7, 18), (7, 20), (7, 20), (7, 20)]
    assert all(driver.can_wheelchair and driver.start_lat == DEPOT_LAT for driver in drivers)


def test_all_18_runs_are_the_whole_list():
    drivers = fleet(18)
    assert (drivers[16].shift_start_min, drivers[16].shift_end_min) == (900, 1320)  # 15-22
    assert (drivers[17].shift_start_min, drivers[17].shift_end_min) == (720, 1365)  # 12-22:45


def test_fleet_larger_than_the_agency_is_refused():
    with pytest.raises(ValueError, match="19 drivers; expected 1 to 18"):
        fleet(19)


def test_day_opens_and_closes_with_the_fleet(published):
    (day,) = paratransit_days(published, drivers=8, days=[3], min_bookings=1)
    assert (day.label, day.open_min, day.close_min) == ("003", 240.0, 1200.0)
    assert day.travel == PowerLawTravel(2.08, 0.845)


def test_small_days_are_left_out(published):
    assert [day.label for day in paratransit_days(published, drivers=8, min_bookings=2)] == ["003"]


def test_command_writes_pairs_that_read_back_as_the_same_days(published, tmp_path, capsys):
    output = tmp_path / "out"
    main([str(published), "--output", str(output), "--drivers", "8", "10", "--min-bookings", "1"])
    for drivers in (8, 10):
        assert read_days(output / f"drivers-{drivers}") == paratransit_days(published, drivers, min_bookings=1)
    assert capsys.readouterr().out.splitlines()[-1] == f"Wrote {output}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "column 'bookingid' is missing, so this is not the Chattanooga layout"),
        (HEADER + "\n10,25 past,3,35,-85,35,-85,AM1,AM\n", "line 2, column 'sch_time_in_hh:mm:ss': expected minutes"),
        (
            HEADER + "\n10,9:00:00,3,35,-85,35,-85,AM1,XX\n",
            "line 2, column 'am/wc': expected am or wc, came text of 2",
        ),
        (HEADER + "\n10,9:00:00,,35,-85,35,-85,AM1,AM\n", "line 2, column 'ldate': expected a value"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_trips(path)


def test_command_ends_with_a_message_when_there_is_no_file(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "none.csv")])
    assert stop.value.code == 2
    assert "no such file" in capsys.readouterr().err


def test_command_says_when_no_day_is_large_enough(published, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(published), "--output", str(tmp_path / "o")])
    assert "no service day of --days has 100 bookings. Lower --min-bookings." in capsys.readouterr().err
