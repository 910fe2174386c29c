"""What one booking, one decision and one day pay: the arithmetic of the table, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.world.records import BOOKING, NEVER, BookingState, Leg
from reward import TERM_NAMES, TRIP_TERMS, RewardFunction, load_weights
from reward.terms import booking_terms
from tests.reward.worlds import LineBatch, booking, driver, line_day


def trip(
    version: str, state: BookingState = BookingState.PLANNED, *, is_emergency: bool = False, **fields: Any
) -> dict:
    """Terms of one booking with window 08:20-08:40, picked up at 08:40, 6 km approach, 10 km ride, or as told."""
    record = np.zeros(1, BOOKING)
    given = {
        "earliest_pickup_min": 500.0,
        "latest_pickup_min": 520.0,
        "pickup_min": 520.0,
        "approach_km": 6.0,
        "ride_km": 10.0,
        "priority": 3,
        "keeps_appointment_min": NEVER,
    }
    for name, value in (given | fields).items():
        record[name] = value
    out = np.empty(len(TRIP_TERMS))
    booking_terms(
        load_weights(version).as_record()[0],
        record[0],
        int(state),
        float(record["pickup_min"][0]),
        float(record["approach_km"][0]),
        is_emergency,
        out,
    )
    return {name: value for name, value in zip(TRIP_TERMS, out.tolist(), strict=True) if value != 0.0}


def test_term_names_are_unique_and_in_one_tuple() -> None:
    assert len(set(TERM_NAMES)) == len(TERM_NAMES) == 20


def test_plain_trip_pays_for_the_assignment_alone() -> None:
    assert trip("v1") == {"assigned": 50.0}
    # V2: 6 km / 20
    assert trip("v2") == {"assigned": 100.0, "deadhead": pytest.approx(-0.3)}


@pytest.mark.parametrize("state", [BookingState.PLANNED, BookingState.UNDER_WAY, BookingState.SERVED])
def test_trip_pays_the_same_while_planned_under_way_and_served(state: BookingState) -> None:
    assert trip("v1", state) == trip("v1")


@pytest.mark.parametrize("state", [BookingState.UNRELEASED, BookingState.OPEN, BookingState.CANCELLED])
def test_booking_without_a_trip_pays_nothing(state: BookingState) -> None:
    assert trip("v2", state) == {}


def test_lateness_begins_after_five_minutes_and_has_a_worst() -> None:
    assert "lateness" not in trip("v1", pickup_min=525.0)  # exactly 5 min late
    assert trip("v1", pickup_min=526.0)["lateness"] == pytest.approx(-5.0)
    assert trip("v2", pickup_min=526.0)["lateness"] == pytest.approx(-2.0)
    assert trip("v1", pickup_min=545.0)["lateness"] == pytest.approx(-100.0)  # 5 + 20 min: -5 x 20, the worst
    assert trip("v1", pickup_min=550.0)["lateness"] == pytest.approx(-100.0)
    assert trip("v2", pickup_min=550.0)["lateness"] == pytest.approx(-50.0)  # 5 + 25 min: -2 x 25, the worst


def test_expired_booking_costs_by_priority() -> None:
    # -200 x 4/5 and -60 x 1/5
    assert trip("v1", BookingState.EXPIRED, priority=4) == {"expired": pytest.approx(-160.0)}
    assert trip("v2", BookingState.EXPIRED, priority=1) == {"expired": pytest.approx(-12.0)}


def test_a_refusal_costs_what_a_lost_booking_does_and_a_broken_promise_more() -> None:
    assert trip("v3", BookingState.REFUSED) == {"lost": -700.0}
    assert trip("v3", BookingState.BROKEN, leg=Leg.RETURN) == {"lost": -550.0, "broken": -300.0}
    assert trip("v1", BookingState.REFUSED, priority=4) == trip("v1", BookingState.EXPIRED, priority=4)


def test_a_pickup_too_late_for_the_appointment_pays_beside_its_lateness() -> None:
    # picked up at 520, at the end of the window; 512 would have been in time: 8 min x 0.1
    assert trip("v3", keeps_appointment_min=512.0)["appointment"] == pytest.approx(-0.8)
    assert "appointment" not in trip("v3", keeps_appointment_min=520.0)


def test_short_approach_is_under_five_km() -> None:
    assert trip("v1", approach_km=4.99)["short_approach"] == 10.0
    assert "short_approach" not in trip("v1", approach_km=5.0)


def test_high_priority_begins_at_four() -> None:
    assert [trip("v1", priority=p).get("priority", 0.0) for p in (1, 2, 3, 4, 5)] == [0, 0, 0, 20, 20]


def test_first_half_of_the_window_is_prompt() -> None:
    # window 500-520: half is 510
    assert trip("v1", pickup_min=510.0)["prompt_pickup"] == 15.0
    assert "prompt_pickup" not in trip("v1", pickup_min=510.1)


def test_margin_of_a_trip() -> None:
    # cost 0.9 x (6 + 10) km
    assert trip("v3") == {"fare": 50.0, "km_cost": pytest.approx(-14.4)}
    assert trip("v3", is_emergency=True)["emergency"] == -10.0
    # outbound late from the first minute, return beyond 15
    assert trip("v3", pickup_min=530.0)["lateness"] == pytest.approx(-10.0)
    assert "lateness" not in trip("v3", pickup_min=535.0, leg=Leg.RETURN)
    assert trip("v3", pickup_min=540.0, leg=Leg.RETURN)["lateness"] == pytest.approx(-5.0)


def test_lost_patient_in_francs_depends_on_the_leg_alone() -> None:
    for priority in (1, 5):
        assert trip("v3", BookingState.EXPIRED, priority=priority) == {"lost": -700.0}
        assert trip("v3", BookingState.EXPIRED, priority=priority, leg=Leg.RETURN) == {"lost": -550.0}


def test_no_show_costs_the_vain_approach() -> None:
    assert trip("v2", BookingState.NO_SHOW) == {"deadhead": pytest.approx(-0.3)}
    assert trip("v3", BookingState.NO_SHOW) == {"km_cost": pytest.approx(-5.4)}  # 0.9 x 6 km


# --- decisions and the end of a day ----------------------------------------------------------------------------------
#
#   km   0    2    4
#        d0   b0   d1      b0: 2 -> 4, window 08:00-08:30


def one_booking(version: str) -> tuple[LineBatch, Any]:
    day = line_day([booking("b0", 2, 4, 480, 510)], [driver("d0"), driver("d1", 4)])
    batch = LineBatch(day)
    payer = RewardFunction.load(version).attach(batch)
    payer.reset(0)
    return batch, payer


def test_waiting_though_a_pair_is_feasible_costs_one() -> None:
    batch, payer = one_booking("v1")
    batch.step(0)
    assert payer.pay()[0] == -1.0
    assert payer.terms_of(0)["idle_wait"] == -1.0


def test_waiting_without_a_feasible_pair_is_free() -> None:
    batch, payer = one_booking("v1")
    batch.step(batch.action(0, 0))
    payer.pay()
    batch.step(0)
    assert payer.pay()[0] == 0.0


def test_infeasible_action_pays_its_term_and_acts_as_wait() -> None:
    batch, payer = one_booking("v1")
    batch.step(4)  # driver 0, empty slot
    # -5, and -1 because b0 could have been assigned
    assert payer.pay()[0] == -6.0
    assert payer.terms_of(0)["infeasible"] == -5.0


def end_of_day(
    version: str, trips: list[int], num_lost: int = 0, *, approach_km: float = 4.0, num_late: int = 0
) -> dict:
    """End terms of a day on which driver n served trips[n] bookings, the first num_late of them 6 min late."""
    num_bookings = sum(trips) + num_lost
    bookings = [booking(f"b{k}", 1, 2, 480, 500) for k in range(num_bookings)]
    batch = LineBatch(line_day(bookings, [driver(f"d{n}") for n in range(len(trips))]))
    records = batch.world.bookings[0]
    records["state"] = BookingState.EXPIRED
    by = np.repeat(np.arange(len(trips)), trips)
    for k, n in enumerate(by.tolist()):
        records["state"][k], records["driver"][k] = BookingState.SERVED, n
        records["approach_km"][k] = approach_km
        records["pickup_min"][k] = 506.0 if k < num_late else 500.0
    batch.world.clocks["is_done"] = 1
    payer = RewardFunction.load(version).attach(batch)
    payer.reset(0)
    payer.pay()
    names = ("completion", "balance", "mean_approach", "late_share", "imbalance")
    return {name: payer.terms[0, TERM_NAMES.index(name)] for name in names}


def test_completion_is_served_over_all_bookings_of_the_day() -> None:
    assert end_of_day("v1", [2, 1], num_lost=1)["completion"] == pytest.approx(75.0)


def test_balance_is_paid_below_a_std_of_one_and_a_half() -> None:
    # trips 4, 1: mean 2.5, population std 1.5, not below; 4, 2: std 1
    assert end_of_day("v1", [4, 1])["balance"] == 0.0
    assert end_of_day("v1", [4, 2])["balance"] == 50.0


def test_balance_counts_drivers_who_did_nothing() -> None:
    # trips 4, 0: std 2
    assert end_of_day("v1", [4, 0])["balance"] == 0.0


def test_mean_approach_is_paid_below_five_km() -> None:
    assert end_of_day("v1", [1, 1], approach_km=4.9)["mean_approach"] == 30.0
    assert end_of_day("v1", [1, 1], approach_km=5.0)["mean_approach"] == 0.0
    assert end_of_day("v1", [1, 1], approach_km=5.0 - 1e-12)["mean_approach"] == 0.0  # rounding decides no bonus


def test_late_share_costs_above_a_fifth() -> None:
    # 1 of 5 is exactly 20 %, 2 of 5 is above
    assert end_of_day("v1", [3, 2], num_late=1)["late_share"] == 0.0
    assert end_of_day("v1", [3, 2], num_late=2)["late_share"] == -50.0


def test_nobody_served_pays_no_end_term() -> None:
    assert set(end_of_day("v1", [0, 0], num_lost=3).values()) == {0.0}


def test_imbalance_is_most_minus_fewest_trips() -> None:
    # (4 - 1) x -5
    assert end_of_day("v3", [4, 2, 1])["imbalance"] == -15.0
