from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checked import minutes_of
from envs.days.day import Booking, Day, Driver
from envs.days.files import (
    Names,
    read_bookings,
    read_day,
    read_days,
    read_fleet,
    read_travel,
    travel_from_dict,
    write_day,
    write_travel,
)
from envs.days.scenario import Scenario, generate_day
from envs.days.travel import HourlyTravel, MatrixTravel, PowerLawTravel
from envs.world.records import Leg

TRAVEL = PowerLawTravel()
HEADER = "id,earliest_pickup_min,latest_pickup_min,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon"
ROW = "b17,08:20,08:50,46.20,6.14,46.21,6.15"
FLEET_HEADER = "id,start_lat,start_lon,shift_start_min,shift_end_min"
FLEET_ROW = "d0,46.20,6.14,08:00,12:00"


def bookings_file(tmp_path, *lines: str, name: str = "day-060-bookings.csv"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def fleet_file(tmp_path, *lines: str, name: str = "day-060-fleet.csv"):
    return bookings_file(tmp_path, *(lines or (FLEET_HEADER, FLEET_ROW)), name=name)


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        *[
            ("555", 555.0),
            ("555.5", 555.5),
            ("9:15", 555.0),
            ("09:15:30", 555.5),
            ("25:10", 1510.0),
            (" 24:00 ", 1440.0),
        ],
        *[
            ("9h30", 570.0),
            ("09h", 540.0),
            ("9:15 am", 555.0),
            ("12:05 a.m.", 5.0),
            ("1:10 PM", 790.0),
        ],
    ],
)
def test_times_are_minutes_or_a_clock(text, minutes):
    # 9:15 = 9 x 60 + 15 = 555; 25:10 is 01:10 of the next day = 1440 + 70; five past midnight = 5; 13 x 60 + 10 = 790
    assert minutes_of(text) == minutes


@pytest.mark.parametrize(
    "text", ["nine", "9:75", "9.15 h", "nan", "inf", "", "1:2:3:4", "13:00 pm", "0:30 am", "1_000"]
)
def test_other_times_are_refused(text):
    with pytest.raises(ValueError, match='expected minutes since midnight or "HH:MM", came'):
        minutes_of(text)


def test_latest_pickup_of_a_clock_12_hours_earlier_is_next_day(tmp_path):
    # 00:20 is 23 h 30 before 23:50, so 24:20 = 1460
    path = bookings_file(tmp_path, HEADER, "b1,23:50,00:20,46,6,46,6")
    assert read_bookings(path)[0].latest_pickup_min == 1460.0


def test_latest_pickup_a_little_earlier_is_an_error_not_next_day(tmp_path):
    path = bookings_file(tmp_path, HEADER, ROW, "b2,09:15,08:50,46,6,46,6")
    with pytest.raises(ValueError) as error:
        read_bookings(path)
    assert str(error.value) == (f"{path}, line 3: latest_pickup_min (530) is before earliest_pickup_min (555).")


def test_minutes_are_taken_as_they_are_even_12_hours_apart(tmp_path):
    with pytest.raises(ValueError, match=r"latest_pickup_min \(20\) is before earliest_pickup_min \(1430\)"):
        read_bookings(bookings_file(tmp_path, HEADER, "b1,1430,20,46,6,46,6"))


def test_shift_past_midnight(tmp_path):
    # 22:00-06:00: 06:00 is 16 h before 22:00, so 30:00 = 1800
    driver = read_fleet(fleet_file(tmp_path, FLEET_HEADER, "d0,46,6,22:00,06:00"))[0]
    assert (driver.shift_start_min, driver.shift_end_min) == (1320.0, 1800.0)


# --- bookings --------------------------------------------------------------------------------------------------------


def test_absent_optional_columns_get_their_defaults(tmp_path):
    booking = read_bookings(bookings_file(tmp_path, HEADER, ROW))[0]
    assert booking == Booking(
        "b17", 0.0, 500.0, 530.0, 46.20, 6.14, 46.21, 6.15, 3, Leg.OUTBOUND, False, 5.0, 5.0, None
    )


def test_optional_columns_are_read(tmp_path):
    header = HEADER + ",release,priority,leg,mobility,pickup_service_min,dropoff_service_min,appointment"
    booking = read_bookings(bookings_file(tmp_path, header, ROW + ",07:30,5,Return,wheelchair,4,6.5,09:30"))[0]
    assert (booking.release_min, booking.priority, booking.leg, booking.is_wheelchair) == (450.0, 5, Leg.RETURN, True)
    assert (booking.pickup_service_min, booking.dropoff_service_min, booking.appointment_min) == (4.0, 6.5, 570.0)


def test_headers_forgive_case_blanks_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\ufeffBooking ID;Earliest pickup;Latest Pickup;Pickup LAT;pickup-lon;dropoff_lat;dropoff_lon\n"
                    "a;1;2;3;4;5;6\n", encoding="utf-8")  # fmt: skip
    assert read_bookings(path)[0] == Booking("a", 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)


def test_passenger_names_are_dropped_and_reach_no_message(tmp_path):
    path = bookings_file(
        tmp_path, HEADER + ",passenger_name,home address", ROW + ",Jane Roe,1 Elm St", "b17,x,2,3,4,5,6,Jo,y"
    )
    with pytest.raises(ValueError) as error:
        read_bookings(path)
    assert "Jane" not in str(error.value) and "Jo" not in str(error.value)
    good = read_bookings(bookings_file(tmp_path, HEADER + ",passenger_name", ROW + ",Jane Roe"))
    assert "Jane" not in repr(good)


def test_missing_column_is_named(tmp_path):
    path = bookings_file(tmp_path, HEADER.replace("pickup_lon,", ""), "b17,08:20,08:50,46.20,46.21,6.15")
    with pytest.raises(
        ValueError, match=r"day-060-bookings.csv, line 1: column 'pickup_lon' is missing; expected at least"
    ):
        read_bookings(path)


def test_misspelt_optional_column_is_not_dropped(tmp_path):
    with pytest.raises(ValueError, match=r"line 1: unknown column 'prioritty'. Did you mean 'priority'\?"):
        read_bookings(bookings_file(tmp_path, HEADER + ",prioritty", ROW + ",5"))


def test_column_given_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="column 'id' occurs twice"):
        read_bookings(bookings_file(tmp_path, HEADER + ",booking_id", ROW + ",b18"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "b1,x,08:50,46,6,46,6",
            r"""line 2, column 'earliest_pickup_min': expected minutes .* came text of 1 character. Correct""",
        ),
        ("b1,1,2,,6,46,6", "line 2, column 'pickup_lat': expected a value, came an empty cell"),
        ("b1,1,2,46N,6,46,6", "line 2, column 'pickup_lat': expected a number, came text of 3 characters"),
        ("b1,1,2,96,6,46,6", r"line 2: pickup_lat \(96\) is off the globe"),
        (",1,2,46,6,46,6", "line 2, column 'id': expected a value"),
        ("b1,1,2,46,6,46", "line 2: expected 7 cells as in the header, came 6"),
    ],
)
def test_bad_cell_is_named_by_line_and_column(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_bookings(bookings_file(tmp_path, HEADER, row))


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        (
            "mobility",
            "stretcher",
            "line 2, column 'mobility': expected ambulatory or wheelchair, came text of 9 characters",
        ),
        ("leg", "there", "column 'leg': expected outbound or return, came text of 5 characters"),
        ("priority", "2.5", "column 'priority': expected a whole number, came 2.5"),
        ("priority", "9", r"priority \(9\) is not a whole number from 1 to 5"),
        ("release_min", "09:00", r"release_min \(540\) is after latest_pickup_min \(530\)"),
    ],
)
def test_bad_optional_cell_is_refused(tmp_path, column, cell, message):
    with pytest.raises(ValueError, match=message):
        read_bookings(bookings_file(tmp_path, f"{HEADER},{column}", f"{ROW},{cell}"))


def test_duplicate_id_names_both_lines(tmp_path):
    with pytest.raises(ValueError, match="line 4: the booking's id occurs twice; it stands in line 2 already"):
        read_bookings(bookings_file(tmp_path, HEADER, ROW, ROW.replace("b17", "b18"), ROW))


def test_file_without_bookings_is_an_empty_day(tmp_path):
    with pytest.raises(ValueError, match="no bookings below the header"):
        read_bookings(bookings_file(tmp_path, HEADER))


def test_empty_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the file is empty"):
        read_bookings(bookings_file(tmp_path, ""))


def test_line_break_inside_a_quoted_cell_is_no_new_row(tmp_path):
    bookings = read_bookings(
        bookings_file(tmp_path, HEADER + ",notes", ROW + ',"two\nlines"', ROW.replace("b17", "b18") + ",")
    )
    assert [booking.id for booking in bookings] == ["b17", "b18"]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file. Check the path"):
        read_bookings(tmp_path / "nowhere.csv")


# --- what spreadsheets write ------------------------------------------------------------------------------------------


def test_unclosed_quote_that_swallows_rows_is_refused_with_its_line(tmp_path):
    rows = [f"b{k},08:20,08:50,46.20,6.14,46.21,6.15," for k in range(4)]
    one = bookings_file(tmp_path, HEADER + ",note", rows[0] + '"oxygen', rows[1], rows[2] + 'walker 24" wide', rows[3])
    with pytest.raises(ValueError, match="line 2: a quote is opened and not closed"):
        read_bookings(one)
    with pytest.raises(ValueError, match="line 3: a quote is opened and not closed"):
        read_bookings(bookings_file(tmp_path, HEADER + ",note", rows[0], rows[1] + '"oxygen', rows[2], rows[3]))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_spreadsheets_are_read(tmp_path, encoding):
    path = tmp_path / "b.csv"
    path.write_bytes(f"{HEADER},Bemerkung\n{ROW},Genève\n".encode(encoding))
    assert read_bookings(path)[0].id == "b17"


def test_semicolons_and_decimal_commas_are_read(tmp_path):
    path = bookings_file(tmp_path, HEADER.replace(",", ";"), "b17;08:20;08:50;46,20;6,14;46,21;6,15")
    assert read_bookings(path) == read_bookings(bookings_file(tmp_path, HEADER, ROW, name="commas.csv"))


def test_times_with_dates_are_counted_from_the_earliest_pickup_day(tmp_path):
    header = HEADER + ",release_min"
    path = bookings_file(
        tmp_path,
        header,
        "a,2025-11-28 08:20,2025-11-28 08:50,46.20,6.14,46.21,6.15,2025-11-27 17:00",
        "b,28.11.2025 23:50,29.11.2025 00:20,46.20,6.14,46.21,6.15,",
    )
    first, second = read_bookings(path)
    # the day before at 17:00 = 17 x 60 - 1440 = -420; 00:20 of the day after = 20 + 1440 = 1460
    assert (first.earliest_pickup_min, first.release_min) == (500.0, -420.0)
    assert (second.earliest_pickup_min, second.latest_pickup_min) == (1430.0, 1460.0)


def test_other_names_of_columns_and_values(tmp_path):
    (tmp_path / "names.yml").write_text(
        "columns: {Kennung: id, Abholung ab: earliest_pickup_min, Abholung bis: latest_pickup_min,\n"
        "  Mobilität: mobility}\n"
        "values: {mobility: {Rollstuhl: wheelchair}}\n"
    )
    header = "Kennung,Abholung ab,Abholung bis,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon,Mobilität"
    path = bookings_file(tmp_path, header, ROW + ",Rollstuhl")
    booking = read_bookings(path, Names.read(tmp_path / "names.yml"))[0]
    assert booking.id == "b17" and booking.is_wheelchair


def test_names_of_a_column_that_does_not_exist_are_refused(tmp_path):
    (tmp_path / "names.yml").write_text("columns: {Kennung: idd}\n")
    with pytest.raises(ValueError, match=r"names.yml: columns: unknown column 'idd'. Did you mean 'id'\?"):
        Names.read(tmp_path / "names.yml")


# --- values that no day can hold --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "message"),
    [
        # 33300 / 60 = 555 min = 09:15
        (
            "33300,35100",
            r"line 2: earliest_pickup_min \(33300 min, day 24\) .* It looks like seconds \(33300 s are 09:15\)",
        ),
        (
            "1764316800,1764318600",
            "line 2: earliest_pickup_min .a number of 10 digits min. .* It looks like a Unix time",
        ),
        ("20251128,20251128", "a number of 8 digits min. .* It looks like a date"),
        ("0.3125,0.3333", "the pickup window lies within the first minute .* fraction of a day"),
        ("1e308,1e308", "a number of 309 digits"),
    ],
)
def test_a_time_that_no_day_can_hold_is_refused_with_its_likely_unit(tmp_path, window, message):
    with pytest.raises(ValueError, match=message):
        read_bookings(bookings_file(tmp_path, HEADER, f"b17,{window},46.20,6.14,46.21,6.15"))


def test_absurd_service_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"line 2: pickup_service_min .* must be from 0 to 480 minutes"):
        read_bookings(bookings_file(tmp_path, HEADER + ",pickup_service_min", ROW + ",1e308"))


def test_shift_of_the_evening_before_is_refused_with_what_to_write(tmp_path):
    with pytest.raises(
        ValueError, match=r"shift_start_min \(-120\) is on the evening before. Count the minutes from that"
    ):
        read_fleet(fleet_file(tmp_path, FLEET_HEADER, "d0,46.20,6.14,-120,360"))


def test_swapped_coordinates_are_told(tmp_path):
    fleet = fleet_file(tmp_path)
    path = bookings_file(tmp_path, HEADER, "b17,08:20,08:50,6.14,46.20,6.15,46.21")
    with pytest.raises(
        ValueError, match=r"the pickup of booking 1 .* \d+ km from .* Latitude and longitude look swapped"
    ):
        read_day(path, fleet, TRAVEL)


def test_too_many_rows_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("envs.days.files.MAX_BOOKINGS", 3)
    with pytest.raises(ValueError, match="line 5: more than 3 rows are no single day"):
        read_bookings(bookings_file(tmp_path, HEADER, *(ROW.replace("b17", f"b{k}") for k in range(4))))


def test_break_of_a_night_shift_after_midnight_is_next_days(tmp_path):
    path = fleet_file(tmp_path, FLEET_HEADER + ",break_start,break_end", "v1,46.2,6.1,11:00,25:00,00:15,00:45")
    # the only 00:15 inside 11:00-25:00 is 24:15 = 1455
    assert (read_fleet(path)[0].break_start_min, read_fleet(path)[0].break_end_min) == (1455.0, 1485.0)


def test_break_outside_of_the_shift_is_refused(tmp_path):
    path = fleet_file(tmp_path, FLEET_HEADER + ",break_start,break_end", "v1,46.2,6.1,14:00,22:00,06:00,06:30")
    with pytest.raises(
        ValueError, match=r"driver 'v1': the break \(360 to 390\) lies outside of the shift \(840 to 1320\)"
    ):
        read_fleet(path)


def test_unquoted_clocks_of_a_yaml_fleet_are_clocks(tmp_path):
    path = tmp_path / "fleet.yml"
    path.write_text("- {id: 010, start_lat: 46.20, start_lon: 6.14, shift_start_min: 08:00, shift_end_min: 15:00:00}\n")
    driver = read_fleet(path)[0]
    # YAML 1.1 reads 15:00:00 as 54 000 and 010 as 8
    assert (driver.id, driver.shift_start_min, driver.shift_end_min) == ("10", 480.0, 900.0)


@pytest.mark.parametrize("text", ["{}", "drivers:", "[" * 3000, "- [1]", "model: [x]"])
def test_other_yaml_is_no_fleet(tmp_path, text):
    path = tmp_path / "fleet.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"fleet\.yml"):
        read_fleet(path)


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("planted", ["Jane Roe", "+41 79 555 01 02", "0795550102"])
def test_no_message_repeats_a_cell(tmp_path, place, planted):
    cells = ROW.split(",")
    cells.insert(place, planted)
    path = bookings_file(tmp_path, HEADER, ",".join(cells[:7]))
    with pytest.raises(ValueError) as error:
        read_day(path, fleet_file(tmp_path), TRAVEL)
    assert planted not in str(error.value)


# --- fleet -----------------------------------------------------------------------------------------------------------


def test_fleet_defaults(tmp_path):
    assert read_fleet(fleet_file(tmp_path)) == [Driver("d0", 46.20, 6.14, 480.0, 720.0)]


def test_fleet_options(tmp_path):
    path = fleet_file(
        tmp_path, FLEET_HEADER + ",kind,can_wheelchair,break_start,break_end", FLEET_ROW + ",emergency,no,10:00,10:30"
    )
    assert read_fleet(path) == [Driver("d0", 46.20, 6.14, 480.0, 720.0, True, False, 600.0, 630.0)]


def test_fleet_from_yaml_equals_fleet_from_csv(tmp_path):
    path = tmp_path / "fleet.yml"
    path.write_text(
        'drivers:\n  - {id: d0, start_lat: 46.20, start_lon: 6.14, shift_start_min: "08:00", shift_end_min: 720,\n'
        "     can_wheelchair: true}\n"
    )
    assert read_fleet(path) == read_fleet(fleet_file(tmp_path))


def test_unknown_key_of_a_yaml_driver_names_the_nearest(tmp_path):
    path = tmp_path / "fleet.yml"
    path.write_text(
        "- {id: d0, start_lat: 1, start_lon: 2, shift_start_min: 3, shift_end_min: 4, can_wheelchiar: true}\n"
    )
    with pytest.raises(ValueError, match=r"entry 1: unknown column 'can_wheelchiar'. Did you mean 'can_wheelchair'\?"):
        read_fleet(path)


def test_broken_yaml_names_the_line(tmp_path):
    path = tmp_path / "fleet.yml"
    path.write_text("- id: d0\n  start_lat: [1\n")
    with pytest.raises(ValueError, match=r"fleet.yml, line \d+: not valid YAML"):
        read_fleet(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("d0,46,6,12:00,08:00", r"line 2, driver 'd0': shift_end_min \(480\) is not after shift_start_min \(720\)"),
        ("d0,46,6,08:00,", "line 2, column 'shift_end_min': expected a value"),
    ],
)
def test_bad_driver_is_named_by_line(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_fleet(fleet_file(tmp_path, FLEET_HEADER, row))


def test_unknown_kind_of_driver_is_refused(tmp_path):
    with pytest.raises(ValueError, match="column 'kind': expected regular or emergency, came text of 9 characters"):
        read_fleet(fleet_file(tmp_path, FLEET_HEADER + ",kind", FLEET_ROW + ",volunteer"))


# --- days ------------------------------------------------------------------------------------------------------------


def test_day_opens_with_the_first_shift_and_closes_with_the_last(tmp_path):
    fleet = fleet_file(tmp_path, FLEET_HEADER, FLEET_ROW, "d1,46,6,07:00,11:00")
    day = read_day(bookings_file(tmp_path, HEADER, ROW), fleet, TRAVEL)
    assert (day.label, day.open_min, day.close_min, day.day_number) == ("060", 420.0, 720.0, -1)


def test_days_of_a_folder_come_in_order_with_a_shared_fleet_and_travel(tmp_path):
    for name in ("day-061-bookings.csv", "day-060-bookings.csv"):
        bookings_file(tmp_path, HEADER, ROW, name=name)
    fleet_file(tmp_path, name="fleet.csv")
    write_travel(HourlyTravel((25.0,) * 24, 1.3), tmp_path / "travel.yml")
    days = read_days(tmp_path, default_travel=TRAVEL)
    assert [day.label for day in days] == ["060", "061"]
    assert days[0].travel == HourlyTravel((25.0,) * 24, 1.3)


def test_folder_without_a_fleet_says_where_it_was_expected(tmp_path):
    bookings_file(tmp_path, HEADER, ROW)
    with pytest.raises(FileNotFoundError, match=r"expected its fleet in day-060-fleet.csv or fleet.csv beside it"):
        read_days(tmp_path, TRAVEL)


def test_folder_without_days_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no days. Expected files like day-060-bookings.csv"):
        read_days(tmp_path, TRAVEL)


def test_folder_without_travel_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no travel\.yml, so nobody knows how long a drive takes"):
        read_days(tmp_path)


_IDS = st.lists(st.text(string.ascii_letters + string.digits + "-_ é,\"", min_size=1).map(str.strip).filter(bool),
                min_size=1, max_size=5, unique=True)  # fmt: skip
_TIMES = st.floats(0, 1500).filter(np.isfinite)
_LAT, _LON = st.floats(44, 48), st.floats(4, 8)  # within reach of each other


@st.composite
def any_day(draw) -> Day:
    bookings = []
    for booking_id in draw(_IDS):
        release, earliest, latest = sorted(draw(st.tuples(_TIMES, _TIMES, _TIMES)))
        latest = max(latest, 2.0)  # a window within the first minute is refused as a fraction of a day
        bookings.append(
            Booking(
                booking_id,
                release,
                earliest,
                latest,
                draw(_LAT),
                draw(_LON),
                draw(_LAT),
                draw(_LON),
                draw(st.integers(1, 5)),
                draw(st.sampled_from(Leg)),
                draw(st.booleans()),
                draw(st.floats(0, 60)),
                draw(st.floats(0, 60)),
                draw(st.none() | _TIMES),
            )
        )
    drivers = []
    for driver_id in draw(_IDS):
        start = draw(st.floats(0, 1000))
        with_break = draw(st.booleans())
        drivers.append(
            Driver(
                driver_id,
                draw(_LAT),
                draw(_LON),
                start,
                start + draw(st.floats(2, 600)),  # a shift within the first minute is refused too
                draw(st.booleans()),
                True,
                start if with_break else None,
                start + 1 if with_break else None,
            )
        )
    return Day("x", tuple(bookings), tuple(drivers), TRAVEL, 0.0, 1440.0)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(day=any_day())
def test_written_day_reads_back_exactly(tmp_path, day):
    write_day(day, tmp_path / "b.csv", tmp_path / "f.csv")
    again = read_day(tmp_path / "b.csv", tmp_path / "f.csv", TRAVEL, label="x", open_min=0.0, close_min=1440.0)
    assert again == day


def test_appointments_and_returns_to_be_called_read_back(tmp_path):
    day = generate_day(Scenario.load("operating_day_promises", load=2.0), 1_000_000)
    assert any(booking.expected_min is not None for booking in day.bookings)
    write_day(day, tmp_path / "b.csv", tmp_path / "f.csv")
    again = read_day(tmp_path / "b.csv", tmp_path / "f.csv", day.travel, label=day.label)
    assert again.bookings == day.bookings


# --- travel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("travel", [HourlyTravel((25.0,) * 24, 1.3), PowerLawTravel(2.0, 0.9)])
def test_written_travel_reads_back(tmp_path, travel):
    write_travel(travel, tmp_path / "travel.yml")
    assert read_travel(tmp_path / "travel.yml") == travel


def test_written_matrix_reads_back(tmp_path):
    travel = MatrixTravel(((46.0, 6.0), (46.1, 6.1)), np.array([[0.0, 12.5], [13.0, 0.0]]))
    write_travel(travel, tmp_path / "travel.yml")
    again = read_travel(tmp_path / "travel.yml")
    assert isinstance(again, MatrixTravel) and again.places == travel.places and again.km is None
    np.testing.assert_array_equal(again.minutes, travel.minutes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": "hurly"}, r"unknown model text of 5 characters. Did you mean 'hourly'\?"),
        (
            {"model": "power_law", "minutes_per": 2.0, "exponnent": 1},
            "unknown key 'exponnent'. Did you mean 'exponent'",
        ),
        ({"model": "power_law", "minutes_per": 2.0}, "key 'exponent' of model 'power_law' is missing"),
        (
            {"model": "power_law", "minutes_per": "2e0", "exponent": 1},
            "expected a number, came 2e0. YAML reads",
        ),
        ({"speeds_kmh": []}, "expected the key 'model'"),
    ],
)
def test_bad_travel_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        travel_from_dict("travel.yml", content)
