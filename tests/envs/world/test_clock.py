"""What happens between ticks: departures, expiry, disturbances, closing."""

from __future__ import annotations

import numpy as np
import pytest

from envs.simulator import Simulator
from envs.world.disturbances import DISTURBANCES
from envs.world.orders import default_rules
from envs.world.records import BookingState, EventKind
from tests.envs.line import booking, driver, line_day


def log(simulator: Simulator) -> list[tuple[str, int, int, float, float]]:
    """(kind, driver, booking, time, km) of what was driven and lost so far."""
    events = simulator.world.events[0, : simulator.world.clocks["num_events"][0]]
    events = events[events["kind"] <= EventKind.DROP_OUT]
    return [
        (EventKind(e["kind"]).name, int(e["driver"]), int(e["booking"]), float(e["time_min"]), float(e["km"]))
        for e in events
    ]


def state_of(simulator: Simulator, k: int) -> BookingState:
    return BookingState(simulator.world.bookings["state"][0, k])


def rates(**changes: float) -> np.ndarray:
    record = np.zeros(1, DISTURBANCES)
    for name, value in changes.items():
        record[name] = value
    return record


def test_a_trip_runs_through_its_events():
    simulator = Simulator(line_day([booking("b0", (10, 15), (480, 500))], [driver("d0", 0)]))
    simulator.assign("d0", "b0")
    simulator.run_to_end()
    # leaves 08:00, 20 min to km 10, 3 min service, 10 min ride, 3 min service: free 08:36
    assert log(simulator) == [
        ("DEPART", 0, 0, 480.0, 0.0),
        ("PICKUP", 0, 0, pytest.approx(500), pytest.approx(10)),
        ("DROPOFF", 0, 0, pytest.approx(516), pytest.approx(5)),
    ]
    assert state_of(simulator, 0) == BookingState.SERVED


def test_trip_that_begins_at_the_next_tick_can_still_be_resequenced_there():
    bookings = [booking("b0", (0, 1), (485, 500)), booking("b1", (0, 1), (486, 500))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0), driver("d1", 0)]))
    simulator.assign("d0", "b0")
    simulator.assign("d1", "b1")
    simulator.advance()
    assert simulator.world.drivers["plan_len"][0].tolist() == [1, 1]
    simulator.advance()
    assert simulator.world.drivers["plan_len"][0].tolist() == [0, 0]
    assert state_of(simulator, 0) == BookingState.UNDER_WAY


def test_booking_not_assigned_by_its_latest_pickup_expires():
    simulator = Simulator(line_day([booking("b0", (0, 1), (480, 490))], [driver("d0", 0)]))
    simulator.advance(2)
    assert state_of(simulator, 0) == BookingState.OPEN  # 08:10, its latest pickup: just in time
    simulator.advance()
    assert state_of(simulator, 0) == BookingState.EXPIRED
    assert log(simulator) == [("EXPIRE", -1, 0, 490.0, 0.0)]


def test_tolerance_lets_a_booking_expire_later():
    rules = default_rules()
    rules["expiry_tolerance_min"] = 10.0
    simulator = Simulator(line_day([booking("b0", (0, 1), (480, 490))], [driver("d0", 0)]), rules)
    simulator.advance(4)
    assert state_of(simulator, 0) == BookingState.OPEN
    simulator.advance()
    assert state_of(simulator, 0) == BookingState.EXPIRED


def test_closing_expires_open_and_unreleased_and_drives_the_assigned_to_the_end():
    bookings = [
        booking("b0", (0, 50), (715, 720)),
        booking("b1", (0, 1), (700, 740)),
        booking("b2", (0, 1), (800, 840), release=790.0),
    ]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]))
    simulator.advance(40)
    simulator.assign("d0", "b0")
    simulator.run_to_end()
    assert [state_of(simulator, k) for k in range(3)] == [
        BookingState.SERVED,
        BookingState.EXPIRED,
        BookingState.EXPIRED,
    ]
    # pickup 11:55, 3 + 100 + 3 min: long after closing at 12:00
    assert simulator.world.bookings["dropoff_min"][0, 0] == pytest.approx(821)


def test_bookings_are_released_at_the_tick_and_not_before():
    simulator = Simulator(line_day([booking("b0", (0, 1), (600, 620), release=487.0)], [driver("d0", 0)]))
    simulator.advance()
    assert state_of(simulator, 0) == BookingState.UNRELEASED
    simulator.advance()
    assert state_of(simulator, 0) == BookingState.OPEN


def test_open_bookings_are_listed_by_latest_pickup_then_row():
    bookings = [booking("b0", (0, 1), (600, 650)), booking("b1", (0, 1), (600, 640)), booking("b2", (0, 1), (600, 640))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]))
    assert simulator.world.open_rows[0].tolist() == [1, 2, 0]


def test_no_show_costs_the_approach_and_the_wait_at_the_door():
    bookings = [booking("b0", (10, 15), (480, 500)), booking("b1", (10, 11), (480, 560))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rates=rates(no_show_rate=1.0))
    simulator.assign("d0", "b0")
    simulator.assign("d0", "b1")
    # appended b1 was predicted from the drop-off at km 15: 08:36 + 10 min = 08:46
    assert simulator.world.bookings["pickup_min"][0, 1] == pytest.approx(526)
    simulator.advance(5)
    # at the door of b0 (08:20) nobody comes within the 3 min of service; b1 waits at the same place: 08:23
    assert log(simulator)[1] == ("NO_SHOW", 0, 0, pytest.approx(503), pytest.approx(10))
    assert state_of(simulator, 0) == BookingState.NO_SHOW
    assert simulator.world.bookings["pickup_min"][0, 1] == pytest.approx(503)


def test_cancelled_booking_leaves_the_plan():
    bookings = [booking("b0", (0, 1), (560, 580)), booking("b1", (0, 1), (600, 620))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rates=rates(cancellation_rate=1.0))
    simulator.assign("d0", "b0")
    simulator.run_to_end()
    assert [state_of(simulator, k) for k in range(2)] == [BookingState.CANCELLED] * 2
    assert {event[0] for event in log(simulator)} == {"CANCEL"}


def test_driver_who_drops_out_leaves_trips_open_and_a_spare_delivers_the_patient_aboard():
    bookings = [booking("b0", (0, 20), (480, 500)), booking("b1", (0, 1), (700, 719))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0), driver("d1", 0)]))
    simulator.assign("d0", "b0")
    simulator.assign("d0", "b1")
    simulator.world.drivers["drop_out_min"][0, 0] = 500.0
    simulator.world.clocks["has_disturbances"][0] = 1
    simulator.advance(4)
    assert simulator.world.clocks["num_spare"][0] == 1
    assert state_of(simulator, 1) == BookingState.OPEN
    simulator.assign("d1", "b1")
    simulator.run_to_end()
    assert [state_of(simulator, k) for k in range(2)] == [BookingState.SERVED] * 2
    assert simulator.world.bookings["by_spare"][0].tolist() == [1, 0]


def test_driver_who_drops_out_on_the_way_has_driven_a_part_of_the_approach():
    simulator = Simulator(line_day([booking("b0", (20, 21), (480, 600))], [driver("d0", 0), driver("d1", 0)]))
    simulator.assign("d0", "b0")
    simulator.world.drivers["drop_out_min"][0, 0] = 487.0
    simulator.world.clocks["has_disturbances"][0] = 1
    simulator.advance(2)
    # noticed at 08:10, a quarter of the 40 min to km 20: 5 km driven
    assert ("ABANDON", 0, 0, 490.0, pytest.approx(5.0)) in log(simulator)
    assert state_of(simulator, 0) == BookingState.OPEN
    with pytest.raises(ValueError, match="dropped out"):
        simulator.assign("d0", "b0")
    assert simulator.assign("d1", "b0").lateness_min == 0


def test_travel_noise_shows_only_when_it_happens():
    bookings = [booking(f"b{i}", (5, 8), (480, 700)) for i in range(6)]
    noisy = Simulator(line_day(bookings, [driver("d0", 0)]), rates=rates(travel_noise_std=0.5))
    calm = Simulator(line_day(bookings, [driver("d0", 0)]))
    for simulator in (noisy, calm):
        for i in range(6):
            simulator.assign("d0", f"b{i}")
    assert noisy.world.bookings["pickup_min"].tolist() == calm.world.bookings["pickup_min"].tolist()
    for _ in range(40):
        noisy.advance()
        now = noisy.world.clocks["now_min"][0]
        planned = noisy.world.plans[0, 0, : noisy.world.drivers["plan_len"][0, 0]]
        assert np.all(noisy.world.bookings["depart_min"][0, planned] >= now - 1e-9)
    noisy.run_to_end()
    calm.run_to_end()
    times = [[event[3] for event in log(s) if event[0] == "PICKUP"] for s in (noisy, calm)]
    assert len(times[0]) == 6
    assert times[0] != times[1]
    assert all(later > earlier for earlier, later in zip(times[0], times[0][1:], strict=False))
    drops = [event[3] for event in log(noisy) if event[0] == "DROPOFF"]
    # one patient at a time: nobody is picked up before the one before is dropped off
    assert all(pickup >= drop for pickup, drop in zip(times[0][1:], drops, strict=False))
