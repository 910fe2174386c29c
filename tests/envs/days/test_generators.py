from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.days.generators import write_generated_day
from envs.days.loading import fill_bookings, fill_clock, fill_drivers
from envs.days.scenario import Scenario, generate_day, max_bookings_of_day
from envs.world.records import BOOKING, CLOCK, DRIVER, Leg

NUM_DAYS = 1000
SHORT = Scenario.load("short_shift")
OPERATING = Scenario.load("operating_day", load=2.0)
DAY_NUMBERS = st.integers(0, 2_000_499)


def rows_of(scenario: Scenario):
    return (
        np.zeros(max_bookings_of_day(scenario), BOOKING),
        np.zeros(scenario.num_drivers, DRIVER),
        np.zeros(1, CLOCK),
        np.zeros(24),
    )


def bookings_of_days(scenario: Scenario, num_days: int = NUM_DAYS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All bookings, and the number of bookings and of drivers of each day."""
    record, rows, bookings, counts, drivers = scenario.generator_record(), rows_of(scenario), [], [], []
    for day_number in range(num_days):
        count = write_generated_day(record, day_number, *rows)
        bookings.append(rows[0][:count].copy())
        counts.append(count)
        drivers.append(int(rows[2]["num_drivers"][0]))
    return np.concatenate(bookings), np.array(counts), np.array(drivers)


@pytest.fixture(scope="module")
def short_days():
    return bookings_of_days(SHORT)


@pytest.fixture(scope="module")
def operating_days():
    return bookings_of_days(OPERATING)


# --- both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [SHORT, OPERATING], ids=["short_shift", "operating_day"])
def test_day_is_a_function_of_its_number(scenario):
    other = generate_day(scenario, 4)
    assert generate_day(scenario, 3) == generate_day(scenario, 3)
    assert generate_day(scenario, 3).bookings != other.bookings


@pytest.mark.parametrize("scenario", [SHORT, OPERATING], ids=["short_shift", "operating_day"])
def test_generated_records_equal_those_filled_from_the_same_day(scenario):
    generated, filled = rows_of(scenario), rows_of(scenario)
    write_generated_day(scenario.generator_record(), 11, *generated)
    day = generate_day(scenario, 11)
    center = (scenario.observation.center_lat, scenario.observation.center_lon)
    fill_bookings(day, filled[0], *center)
    fill_drivers(day, filled[1], *center)
    fill_clock(day, filled[2], filled[3])
    for array, expected in zip(generated, filled, strict=True):
        for name in array.dtype.names or [...]:
            np.testing.assert_array_equal(array[name], expected[name], err_msg=str(name))


@pytest.mark.parametrize("scenario", [SHORT, OPERATING], ids=["short_shift", "operating_day"])
@settings(max_examples=60, deadline=None)
@given(day_number=DAY_NUMBERS)
def test_every_generated_day_passes_the_checks_of_a_day(scenario, day_number):
    day = generate_day(scenario, day_number)  # Day checks itself
    assert 1 <= day.num_bookings <= max_bookings_of_day(scenario)
    assert [booking.id for booking in day.bookings] == [f"b{k}" for k in range(day.num_bookings)]
    assert all(day.open_min <= booking.release_min <= booking.earliest_pickup_min for booking in day.bookings)
    assert all(booking.earliest_pickup_min < day.close_min for booking in day.bookings)


def test_too_small_an_array_is_refused_not_overrun():
    rows = list(rows_of(SHORT))
    rows[0] = rows[0][:2]
    with pytest.raises(ValueError, match="more bookings than the array has rows"):
        write_generated_day(SHORT.generator_record(), 0, *rows)


def test_too_few_driver_rows_are_refused():
    rows = list(rows_of(SHORT))
    rows[1] = rows[1][:4]
    with pytest.raises(ValueError, match="more drivers than the array has rows"):
        write_generated_day(SHORT.generator_record(), 0, *rows)


def test_negative_day_number_is_refused():
    with pytest.raises(ValueError, match="day number -1 is negative"):
        generate_day(SHORT, -1)


# --- short shift -----------------------------------------------------------------------------------------------------


def test_short_shift_has_24_bookings_on_average(short_days):
    _, counts, _ = short_days
    # 5 at the start; ticks 1-17 (08:05-09:25) with 0.5 and 18-23 with 0.2, two bookings each: 5 + 2 (8.5 + 1.2) = 24.4;
    # variance: 2 at the start, each tick p x 14/3 - 4 p^2: 17 x 1.333 + 6 x 0.773 = 27.3; so std 5.4 a day, 0.17 of the
    # mean of 1000 days
    assert counts.mean() == pytest.approx(24.4, abs=4 * 0.17)


def test_short_shift_never_exceeds_7_plus_23_times_3_bookings():
    assert max_bookings_of_day(SHORT) == 7 + 23 * 3


def test_short_shift_bookings_are_released_at_ticks_and_not_booked_ahead(short_days):
    bookings, _, _ = short_days
    assert np.all(bookings["release_min"] == bookings["earliest_pickup_min"])
    assert set(np.unique(bookings["release_min"])) == set(range(480, 600, 5))


def test_short_shift_windows_follow_priority(short_days):
    bookings, _, _ = short_days
    window = bookings["latest_pickup_min"] - bookings["earliest_pickup_min"]
    urgent = bookings["priority"] >= 4
    assert (window[urgent].min(), window[urgent].max()) == (10, 29)
    assert (window[~urgent].min(), window[~urgent].max()) == (20, 59)


def test_short_shift_priority_is_uniform(short_days):
    bookings, _, _ = short_days
    shares = np.bincount(bookings["priority"], minlength=6)[1:] / len(bookings)
    # about 24400 bookings: standard deviation sqrt(0.2 x 0.8 / 24400) = 0.0026
    assert np.all(np.abs(shares - 0.2) < 4 * 0.0026)


def test_short_shift_places_fill_the_square(short_days):
    bookings, _, _ = short_days
    for name, center in (("lat", 46.2044), ("lon", 6.1432)):
        for end in ("pickup", "dropoff"):
            offset = bookings[f"{end}_{name}"] - center
            assert -0.1 <= offset.min() < -0.099 and 0.099 < offset.max() <= 0.1
            # uniform on +-0.1: standard deviation 0.1 / sqrt(3) = 0.0577
            assert offset.std() == pytest.approx(0.0577, rel=0.02)


def test_short_shift_is_ambulatory_outbound_with_regular_wheelchair_drivers():
    day = generate_day(SHORT, 0)
    assert all(booking.leg is Leg.OUTBOUND and not booking.is_wheelchair for booking in day.bookings)
    assert all(not driver.is_emergency and driver.can_wheelchair for driver in day.drivers)
    assert [(d.id, d.start_lat, d.shift_end_min) for d in day.drivers] == [(f"d{n}", 46.2044, 1440.0) for n in range(5)]


def test_short_shift_drives_18_kmh_in_the_peak_hour():
    # 30 km/h x (1 - 0.5 x 0.8) = 18; 30 x (1 - 0.5 x 0.5) = 22.5; 30 x (1 - 0.5 x 0.3) = 25.5
    speeds = SHORT.travel.speeds() * 60
    assert speeds[[8, 9, 12, 13, 17]] == pytest.approx([18, 25.5, 22.5, 22.5, 18])


# --- operating day ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("load", "drivers"), [(1.0, 4), (2.0, 4), (1.5, 7)])
def test_legs_per_day_follow_the_load(load, drivers):
    _, counts, _ = bookings_of_days(Scenario.load("operating_day", load=load, num_drivers=drivers))
    expected = load * 4.75 * drivers
    # legs = trips + returns; about expected / 1.84 trips, each with a return or not: variance 0.84 x 0.16 each, and at
    # most 1.84^2 / 4 from rounding the trips
    std = np.sqrt(expected / 1.84 * 0.84 * 0.16 + 1.84**2 / 4)
    assert counts.mean() == pytest.approx(expected, abs=4 * std / np.sqrt(NUM_DAYS))


def test_load_drawn_per_day_averages_to_its_middle():
    _, counts, _ = bookings_of_days(Scenario.load("operating_day", load=[1.5, 2.5]))
    # U[1.5, 2.5] x 19 legs: mean 38, standard deviation 19 / sqrt(12) = 5.5 (and 1.9 from returns); 0.18 in 1000 days
    assert counts.mean() == pytest.approx(38.0, abs=4 * 0.19)
    assert counts.min() < 31 and counts.max() > 45


def test_fleet_drawn_per_day_covers_its_range_and_carries_its_load():
    scenario = Scenario.load("operating_day", num_drivers=[3, 20], load=2.0)
    _, counts, drivers = bookings_of_days(scenario)
    assert (drivers.min(), drivers.max()) == (3, 20)
    assert (counts / drivers).mean() == pytest.approx(2.0 * 4.75, rel=0.02)


def test_46_percent_of_legs_are_returns(operating_days):
    bookings, _, _ = operating_days
    # 0.84 / 1.84 = 0.4565
    assert (bookings["leg"] == Leg.RETURN).mean() == pytest.approx(0.4565, abs=0.01)


def test_trips_have_the_median_and_the_tail_of_the_company(operating_days):
    bookings, _, _ = operating_days
    km = bookings["ride_km"] / OPERATING.travel.detour
    assert np.median(km) == pytest.approx(4.8, rel=0.03)
    assert np.mean(km < 12.0) == pytest.approx(0.95, abs=0.005)


def test_pickups_and_dropoffs_spread_as_the_company(operating_days):
    bookings, _, _ = operating_days
    for end in ("pickup", "dropoff"):
        assert bookings[f"{end}_east_km"].std() == pytest.approx(4.5, rel=0.03)
        assert bookings[f"{end}_north_km"].std() == pytest.approx(3.9, rel=0.03)


def test_legs_peak_at_9_13_and_16(operating_days):
    bookings, _, _ = operating_days
    before = np.where(bookings["leg"] == Leg.RETURN, 0.0, 15.0)
    hour = np.round((bookings["earliest_pickup_min"] + before) / 60.0).astype(int)
    legs = np.bincount(hour, minlength=24)
    for peak in (9, 13, 16):
        assert legs[peak] > legs[peak - 1] and legs[peak] > legs[peak + 1]


def test_return_goes_back_about_4_h_20_after_its_outbound_and_is_never_known_before_it():
    day = generate_day(OPERATING, 1)
    gaps = []
    for back in (booking for booking in day.bookings if booking.leg is Leg.RETURN):
        out = next(
            booking
            for booking in day.bookings
            if booking.leg is Leg.OUTBOUND
            and (booking.pickup_lat, booking.dropoff_lat)
            == pytest.approx((back.dropoff_lat, back.pickup_lat), abs=1e-9)
        )
        assert (out.priority, out.is_wheelchair) == (back.priority, back.is_wheelchair)
        assert out.release_min <= back.release_min
        gaps.append(back.earliest_pickup_min - (out.earliest_pickup_min + 15))
    # 260 min with a standard deviation of 40, about 17 returns: standard error 10
    assert np.mean(gaps) == pytest.approx(260, abs=40)
    assert min(gaps) >= 60


def test_windows_of_outbound_and_return(operating_days):
    bookings, _, _ = operating_days
    # -15/+15 and 0/+30: both 30 min wide
    assert np.all(bookings["latest_pickup_min"] - bookings["earliest_pickup_min"] == 30)


def test_half_of_the_returns_are_called_5_to_30_min_before(operating_days):
    bookings, _, _ = operating_days
    returns = bookings[bookings["leg"] == Leg.RETURN]
    ahead = returns["earliest_pickup_min"] - returns["release_min"]
    called = ahead <= 30
    assert called.mean() == pytest.approx(0.5, abs=0.02)
    assert ahead.min() == 5


def test_late_outbounds_are_announced_30_to_240_min_ahead(operating_days):
    bookings, _, _ = operating_days
    outbound = bookings[(bookings["leg"] == Leg.OUTBOUND) & (bookings["release_min"] > 360)]
    ahead = outbound["earliest_pickup_min"] - outbound["release_min"]
    assert (ahead.min(), ahead.max()) == (30, 240)


def test_at_least_half_of_the_outbounds_are_known_at_opening(operating_days):
    bookings, _, _ = operating_days
    outbound = bookings[bookings["leg"] == Leg.OUTBOUND]
    # one half, and those whose announcement would lie before opening
    assert 0.5 < (outbound["release_min"] == 360).mean() < 0.7


def test_one_passenger_in_five_uses_a_wheelchair(operating_days):
    bookings, _, _ = operating_days
    assert bookings["is_wheelchair"].mean() == pytest.approx(0.2, abs=0.015)


def test_every_fourth_driver_is_an_emergency_driver():
    day = generate_day(Scenario.load("operating_day", num_drivers=8), 0)
    assert [driver.is_emergency for driver in day.drivers] == [False, False, False, True] * 2


def test_wheelchair_vehicles_are_spread_over_the_fleet():
    day = generate_day(Scenario.load("operating_day", num_drivers=6, wheelchair_vehicle_share=0.5), 0)
    assert [driver.can_wheelchair for driver in day.drivers] == [True, False] * 3


def test_last_pickup_closes_an_hour_before_closing(operating_days):
    bookings, _, _ = operating_days
    assert bookings["latest_pickup_min"].max() <= 19 * 60 - 60


def test_drivers_may_start_around_the_centre():
    day = generate_day(Scenario.load("operating_day", start_std_km=3.0), 0)
    assert len({driver.start_lat for driver in day.drivers}) == 4
