"""The promise desk on days small enough to draw: who is asked about when, what is offered, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from envs.days.day import Booking, Driver
from envs.days.scenario import Scenario
from envs.promise_batch import PromiseBatch
from envs.promise_observation import OPTION_FEATURES, bookings_to_come, has_gap, time_taken
from envs.world.desk import DECLINES
from envs.world.draws import uniform
from envs.world.records import NO_BOOKING, Actor, BookingState, EventKind, Leg
from tests.envs.line import booking, driver, line_day

OPEN_MIN = 480.0
PLAIN_RULES = {"plan_improvement": False, "expects_returns": False, "freeze_slack_min": 0.0, "freeze_min": 0.0}
REFUSE = 5


def desk_of(
    bookings: Sequence[Booking], drivers: Sequence[Driver], desk: dict[str, Any] | None = None, **rules: Any
) -> PromiseBatch:
    """One day at its first caller; nobody may be late unless the rules say so."""
    settings = {**PLAIN_RULES, "max_lateness_min": 0.0, "promise_moves": 0, **rules}
    batch = PromiseBatch(Scenario.load("operating_day_promises", **settings), **(desk or {}))
    batch.load_day(0, line_day(list(bookings), list(drivers)))
    batch.refresh()
    return batch


def options(batch: PromiseBatch, name: str) -> list[float]:
    return batch.observation["options"][0, :, OPTION_FEATURES.index(name)].tolist()


def mask(batch: PromiseBatch) -> list[int]:
    return batch.observation["action_mask"][0].tolist()


def told(batch: PromiseBatch, *kinds: EventKind) -> list[tuple[str, int, float, str, float]]:
    """(kind, booking, time, by, moved) of the events of these kinds."""
    events = batch.world.events[0, : batch.world.clocks["num_events"][0]]
    return [
        (EventKind(e["kind"]).name, int(e["booking"]), float(e["time_min"]), Actor(e["by"]).name, float(e["moved_min"]))
        for e in events
        if e["kind"] in kinds
    ]


# --- what may be offered ----------------------------------------------------------------------------------------------


def test_windows_without_a_place_and_windows_that_have_begun_are_masked():
    # 08:00, d0 is there at 08:20. Wish 08:10-08:15: too early. -30 and -15 would begin at 07:40 and 07:55, before now.
    # +15 and +30 are 08:25-08:30 and 08:40-08:45: in time.
    batch = desk_of([booking("b0", (10, 15), (490, 495))], [driver("d0", 0)])
    assert mask(batch) == [0, 0, 0, 1, 1, 1]


def test_a_window_costs_the_minutes_driven_for_it_and_the_discomfort():
    # 20 min there and 10 min of ride = 30 min whatever the window; +15 costs 15 x 0.2 = 3 min more, +30 6 min: the
    # second is 3 min above the first. Refusing costs 300 min, 300 - 33 = 267 above.
    batch = desk_of([booking("b0", (10, 15), (490, 495))], [driver("d0", 0)])
    assert options(batch, "cost") == pytest.approx([0, 0, 0, 30 / 120, 30 / 120, 1])
    assert options(batch, "above_cheapest") == pytest.approx([0, 0, 0, 0, 3 / 60, 1])
    assert options(batch, "shift") == pytest.approx([0, 0, 0, 15 / 60, 30 / 60, 0])
    assert options(batch, "ride") == pytest.approx([0, 0, 0, 10 / 60, 10 / 60, 10 / 60])
    assert options(batch, "is_refusal") == [0, 0, 0, 0, 0, 1]


def test_where_windows_cost_the_same_the_one_nearest_to_the_wish_is_the_cheapest():
    batch = desk_of([booking("b0", (0, 5), (600, 605))], [driver("d0", 0)], {"discomfort_per_min": 0.0})
    # 10 min of ride each, no way to the pickup
    assert options(batch, "cost")[:5] == pytest.approx([10 / 120] * 5)
    assert batch.desk.calls["cheapest"][0] == 2


def test_lateness_is_of_the_window_offered():
    # d0 arrives at 08:20 at the earliest: 5 min after 08:15, in time for the windows after it
    batch = desk_of([booking("b0", (10, 15), (490, 495))], [driver("d0", 0)], max_lateness_min=30.0)
    assert mask(batch) == [0, 0, 1, 1, 1, 1]
    assert options(batch, "lateness") == pytest.approx([0, 0, 5 / 30, 0, 0, 0])
    assert options(batch, "cost")[2] == pytest.approx((30 + 5) / 120)


@pytest.mark.parametrize(("leg", "expected"), [(Leg.OUTBOUND, [1, 1, 1, 0, 1]), (Leg.RETURN, [1, 1, 1, 1, 1])])
def test_an_outbound_window_never_ends_too_late_for_the_appointment(leg, expected):
    # 10 km = 20 min of ride, 3 min at each end: out at 590 needs a pickup by 590 - 26 = 564. Wish 540-560: +4 ends at
    # 564, +5 at 565.
    trip = booking("b0", (0, 10), (540, 560), appointment_min=590.0, leg=leg)
    batch = desk_of([trip], [driver("d0", 0)], {"shifts_min": (-15, 0, 4, 5)})
    assert mask(batch) == expected


def test_asking_leaves_the_wish_as_it_was():
    batch = desk_of([booking("b0", (10, 15), (490, 495))], [driver("d0", 0)])
    record = batch.world.bookings[0, 0]
    assert (record["earliest_pickup_min"], record["latest_pickup_min"], record["shift_min"]) == (490, 495, 0)
    assert record["state"] == BookingState.OPEN


# --- who is asked about -----------------------------------------------------------------------------------------------


def test_callers_come_in_the_order_of_their_calls():
    # b0 and b1 are known at opening, b1 with the earlier window; b2 calls at 08:07 and is asked about at 08:10.
    bookings = [
        booking("b0", (0, 5), (660, 690)),
        booking("b1", (0, 5), (600, 630)),
        booking("b2", (0, 5), (540, 570), release=487.0),
    ]
    batch = desk_of(bookings, [driver("d0", 0)])
    seen = []
    while not batch.is_done[0]:
        seen.append((int(batch.desk.calls["wish"][0]), float(batch.world.clocks["now_min"][0])))
        batch.step([2])
    assert seen == [(0, 480.0), (1, 480.0), (2, 490.0)]
    assert batch.world.clocks["num_decisions"][0] == 3
    assert batch.desk.calls["wish"][0] == NO_BOOKING
    assert mask(batch) == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("promise_moves", "answer"), [(0, ("REFUSE", 1, 490.0, "DESK", 0.0)), (50, ("PROMISE", 1, 490.0, "DESK", 0.0))]
)
def test_who_has_no_option_gets_a_place_by_search_or_a_refusal_without_a_decision(promise_moves, answer):
    # b0 goes to d0, who is there. b1 needs d0's wheelchair place at the same minute: each of its windows overlaps the
    # 46 min of b0 (600-646) and the 40 min back or there. With b0 moved to d1, 10 min away, there is room.
    bookings = [
        booking("b0", (0, 20), (600, 605)),
        booking("b1", (0, 20), (600, 605), release=487.0, is_wheelchair=True),
    ]
    drivers = [driver("d0", 0), driver("d1", 5, can_wheelchair=False)]
    batch = desk_of(bookings, drivers, promise_moves=promise_moves)
    batch.step([2])
    assert batch.is_done[0]
    assert told(batch, EventKind.PROMISE, EventKind.REFUSE) == [("PROMISE", 0, 480.0, "POLICY", 0.0), answer]
    assert batch.world.clocks["num_decisions"][0] == 1


def test_a_refusal_before_the_first_decision_is_in_the_cost_at_the_start():
    # b0 is 40 km away and known at opening: nobody gets there by 08:20 + 30 = 08:50. One lost booking, 300 min. b1 can
    # be had: 10 min there. A day without a caller to ask ends at once.
    far = booking("b0", (40, 41), (480, 500))
    batch = desk_of([far, booking("b1", (5, 6), (540, 570))], [driver("d0", 0)])
    assert batch.desk.calls["wish"][0] == 1
    assert batch.desk.calls["start_cost"][0] == pytest.approx(300.0)
    batch.step([2])
    assert batch.rewards[0] == pytest.approx(-10.0)
    alone = desk_of([far], [driver("d0", 0)])
    assert alone.is_done[0]
    alone.step([REFUSE])
    assert alone.rewards[0] == 0.0


def test_who_loses_the_driver_goes_before_who_calls():
    # d0 drops out at 08:10 with b0 (10:00, promised); b1 calls at 08:07 for the same time. d1 has room for one of them.
    bookings = [booking("b0", (0, 20), (600, 605)), booking("b1", (0, 20), (600, 605), release=487.0)]
    batch = desk_of(bookings, [driver("d0", 0), driver("d1", 5)])
    batch.world.clocks["has_disturbances"] = 1
    batch.world.drivers["drop_out_min"][0, 0] = 488.0
    batch.step([2])
    assert batch.world.bookings["driver"][0, 0] == 1
    assert told(batch, EventKind.REFUSE) == [("REFUSE", 1, 490.0, "DESK", 0.0)]


# --- the answer -------------------------------------------------------------------------------------------------------


def test_an_offer_is_logged_and_the_window_promised():
    batch = desk_of([booking("b0", (10, 15), (540, 550))], [driver("d0", 0)])
    batch.step([4])
    assert told(batch, EventKind.OFFER, EventKind.PROMISE) == [
        ("OFFER", 0, 480.0, "POLICY", 30.0),
        ("PROMISE", 0, 480.0, "POLICY", 30.0),
    ]
    record = batch.world.bookings[0, 0]
    assert (record["earliest_pickup_min"], record["latest_pickup_min"]) == (570, 580)
    assert record["state"] == BookingState.SERVED and record["pickup_min"] == pytest.approx(570.0)
    # 20 min there + 30 x 0.2
    assert batch.rewards[0] == pytest.approx(-26.0)
    assert batch.answer(0) == "promised"


def test_a_refusal_is_the_policys_and_costs_a_lost_booking():
    batch = desk_of([booking("b0", (10, 15), (540, 550))], [driver("d0", 0)])
    batch.step([REFUSE])
    assert told(batch, EventKind.REFUSE) == [("REFUSE", 0, 480.0, "POLICY", 0.0)]
    assert batch.rewards[0] == pytest.approx(-300.0)
    assert batch.answer(0) == "refused"


def test_a_masked_action_is_counted_and_acts_as_the_cheapest_option():
    batch = desk_of([booking("b0", (10, 15), (490, 495))], [driver("d0", 0)])
    batch.step([0])
    assert batch.world.clocks["num_infeasible"][0] == 1
    # +15 min: 20 min there + 15 x 0.2
    assert batch.world.bookings["shift_min"][0, 0] == 15.0
    assert batch.rewards[0] == pytest.approx(-23.0)


def test_who_declines_hangs_up():
    # 30 min x 1 a minute: more than certain. The wish itself is never declined.
    batch = desk_of([booking("b0", (10, 15), (540, 550))], [driver("d0", 0)], {"decline_per_min": 1.0})
    batch.step([4])
    assert told(batch, EventKind.OFFER, EventKind.REFUSE) == [
        ("OFFER", 0, 480.0, "POLICY", 30.0),
        ("REFUSE", 0, 480.0, "DAY", 0.0),
    ]
    assert batch.world.bookings["shift_min"][0, 0] == 0.0
    assert batch.rewards[0] == pytest.approx(-300.0)  # and no discomfort
    assert batch.answer(0) == "declined"
    batch.load_day(0, line_day([booking("b0", (10, 15), (540, 550))], [driver("d0", 0)]))
    batch.refresh()
    batch.step([2])
    assert batch.answer(0) == "promised"


@pytest.mark.parametrize("policy", range(3))
def test_who_declines_is_a_matter_of_the_day_and_not_of_the_policy(policy):
    # 30 min x 1/60 = 0.5: declined where the day's own number for the booking is below the shift / 60
    rate, day = 1.0 / 60.0, 1_000_003
    scenario = Scenario.load("operating_day_promises", load=2.0, plan_improvement=False)
    batch = PromiseBatch(scenario, decline_per_min=rate)
    batch.load_day(0, day)
    batch.refresh()
    rng, seen = np.random.default_rng(policy), set()
    while not batch.is_done[0]:
        record = batch.world.bookings[0, batch.desk.calls["wish"][0]]
        action = rng.choice(np.flatnonzero(mask(batch)[:5]))
        shift = abs(batch.desk.shifts[action])
        declines = uniform(np.uint64(day), DECLINES, record["key"], record["leg"]) < rate * shift
        batch.step([action])
        assert batch.answer(0) == ("declined" if declines else "promised")
        seen.add(batch.answer(0))
    assert seen == {"declined", "promised"}


# --- what an option says ----------------------------------------------------------------------------------------------


def one_trip() -> PromiseBatch:
    """d0 has a trip from 10:00 to 10:46 (20 km, 3 min at each end), d1 none; b1 is asked about."""
    bookings = [booking("b0", (0, 20), (600, 605)), booking("b1", (0, 5), (600, 630))]
    batch = desk_of(bookings, [driver("d0", 0), driver("d1", 5, (OPEN_MIN, 660.0))])
    batch.step([2])
    return batch


def test_time_taken_is_a_share_of_the_drivers_on_duty():
    batch = one_trip()
    # 10:00-10:30: 30 of 2 x 30 min. 10:30-11:30: d0 is driving 16 of 60 min, d1 is on duty for 30: 16 of 90, and 1.5
    # drivers. Before now nothing is left, nor after the end of the last shift.
    assert time_taken(batch.world, 0, 600.0, 630.0) == pytest.approx((0.5, 2.0))
    assert time_taken(batch.world, 0, 630.0, 690.0) == pytest.approx((16 / 90, 1.5))
    assert time_taken(batch.world, 0, 400.0, 470.0) == (1.0, 0.0)
    assert time_taken(batch.world, 0, 1500.0, 1560.0) == (1.0, 0.0)


def test_a_gap_begins_within_the_window():
    batch = one_trip()
    # d0: 9:20-10:00 are 40 min, 9:21-10:00 aren't; after 10:46 the shift is free. d1 goes home at 11:00: 40 min from
    # 10:20 at the latest.
    assert has_gap(batch.world, 0, 0, 560.0, 590.0)
    assert not has_gap(batch.world, 0, 0, 561.0, 640.0)
    assert has_gap(batch.world, 0, 0, 561.0, 646.0)
    assert has_gap(batch.world, 0, 1, 620.0, 650.0)
    assert not has_gap(batch.world, 0, 1, 621.0, 650.0)


def test_bookings_to_come_lie_on_straight_lines_between_the_moments_of_the_table():
    # four parts of 6 h; at 6:00 four bookings for 6-12 h and two for 12-18 h aren't announced, at 12:00 none and one
    table = np.array([[0, 8, 4, 0], [0, 4, 2, 0], [0, 0, 1, 0], [0, 0, 0, 0]], float)
    # at 9:00 half way: 2 for 6-12 h, of which 9-12 h is a half: 1; and 1.5 for 12-18 h, of which 12-15 h is a half
    assert bookings_to_come(table, 540.0, 540.0, 720.0) == pytest.approx(1.0)
    assert bookings_to_come(table, 540.0, 540.0, 900.0) == pytest.approx(1.0 + 0.75)
    assert bookings_to_come(table, 540.0, 0.0, 540.0) == 0.0  # what is past doesn't come
    assert bookings_to_come(np.zeros((1, 1)), 540.0, 540.0, 900.0) == 0.0


def test_options_say_what_is_expected_per_driver():
    # 24 bookings for 10-11 h, evenly: a window of 10:00-10:30 and 30 min around it hold all 24 of 9:30-11:00.
    # Two drivers on duty: 12 each. excess = 0 taken + 0.5 x 12 - 0.8, clipped as expected / 2 is.
    table = np.zeros((24, 24))
    table[:, 10] = 24.0
    drivers = [driver("d0", 0), driver("d1", 5)]
    batch = desk_of([booking("b0", (0, 5), (600, 630))], drivers, {"forecast": table, "shifts_min": (-60, 0)})
    # -60: 9:00-9:30 and 30 min around: until 10:00, none
    assert options(batch, "expected") == pytest.approx([0.0, 1.0, 0.0])
    assert options(batch, "excess") == pytest.approx([0.0, 1.0, 0.0])
    table[:, 10] = 2.0  # one each: 0.5 of 2, and 0.5 - 0.8 < 0
    batch = desk_of([booking("b0", (0, 5), (600, 630))], drivers, {"forecast": table, "shifts_min": (-60, 0)})
    assert options(batch, "expected") == pytest.approx([0.0, 0.5, 0.0])
    assert options(batch, "excess") == [0.0, 0.0, 0.0]


def test_options_say_how_full_the_time_around_them_is():
    batch = one_trip()
    # wish 10:00-10:30: before it nothing, within 30 of 60 min, after it 16 of 90 min; d0 can't begin 40 min before
    # 10:46, d1 can at 10:00. -30 is 9:30-10:00: before and within nothing, after it 46 of 120 min; d1 alone has a gap.
    assert options(batch, "taken_before")[2] == 0.0
    assert options(batch, "taken_within")[2] == pytest.approx(0.5)
    assert options(batch, "taken_after")[2] == pytest.approx(16 / 90)
    assert options(batch, "gap_share")[2] == 0.5
    assert (options(batch, "taken_within")[0], options(batch, "taken_after")[0]) == pytest.approx((0.0, 46 / 120))
    assert options(batch, "gap_share")[0] == 0.5
