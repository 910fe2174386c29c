"""Promises: answered at the call, kept by whatever plans, frozen before departure, and all of it in the log."""

from __future__ import annotations

import numpy as np
import pytest

from envs.orders import LAST, ORDER, REFUSE, TO_NOBODY, carry_out
from envs.simulator import Simulator
from envs.world.orders import default_rules
from envs.world.records import Actor, BookingState, EventKind
from tests.envs.line import booking, driver, line_day
from tests.envs.world.test_clock import rates, state_of


def rules(**changes: float) -> np.ndarray:
    record = default_rules()
    record["promises_at_call"] = 1
    for name, value in changes.items():
        record[name] = value
    return record


def told(simulator: Simulator) -> list[tuple[str, int, int, float, str]]:
    """(kind, driver, booking, time, by) of what people were told so far."""
    events = simulator.world.events[0, : simulator.world.clocks["num_events"][0]]
    events = events[events["kind"] >= EventKind.RELEASE]
    return [
        (EventKind(e["kind"]).name, int(e["driver"]), int(e["booking"]), float(e["time_min"]), Actor(e["by"]).name)
        for e in events
    ]


def given(simulator: Simulator, *orders: tuple[int, int, int, int]) -> list[bool]:
    return carry_out(simulator.world, np.array(list(orders), ORDER)).tolist()


# --- the answer at the call -------------------------------------------------------------------------------------------


def test_a_wish_left_open_gets_the_cheapest_place_at_the_tick_of_its_call():
    # half a kilometre a minute: d0 at km 0 and d1 at km 20, pickup at km 18: d1 is 4 min away, d0 36
    day = line_day([booking("b0", (18, 20), (540, 560), release=487.0)], [driver("d0", 0), driver("d1", 20)])
    simulator = Simulator(day, rules())
    simulator.advance(2)  # 08:10, the first tick after the call at 08:07
    assert state_of(simulator, 0) == BookingState.OPEN
    simulator.advance()
    assert state_of(simulator, 0) == BookingState.PLANNED
    assert told(simulator) == [
        ("RELEASE", -1, 0, 490.0, "DAY"),
        ("PROMISE", 1, 0, 490.0, "DESK"),
        ("ASSIGN", 1, 0, 490.0, "DESK"),
    ]


def test_what_the_policy_placed_is_promised_by_the_policy():
    day = line_day([booking("b0", (18, 20), (540, 560))], [driver("d0", 0), driver("d1", 20)])
    simulator = Simulator(day, rules())
    simulator.assign("d0", "b0")
    simulator.advance()
    assert told(simulator)[1:] == [("PROMISE", 0, 0, 480.0, "POLICY"), ("ASSIGN", 0, 0, 480.0, "POLICY")]


def test_a_wish_without_a_place_is_refused_at_once():
    # 40 km away with a window that ends in 20 min and no lateness: 80 min of driving are too many
    day = line_day([booking("b0", (40, 41), (480, 500))], [driver("d0", 0)])
    simulator = Simulator(day, rules(max_lateness_min=0.0))
    simulator.advance()
    assert state_of(simulator, 0) == BookingState.REFUSED
    assert told(simulator)[1:] == [("REFUSE", -1, 0, 480.0, "DESK")]


@pytest.mark.parametrize(("promise_moves", "expected"), [(0, BookingState.REFUSED), (50, BookingState.PLANNED)])
def test_a_search_makes_room_without_taking_anybody_elses_place(promise_moves, expected):
    # b0 is with d0, who is there already. b1 needs d0's wheelchair place at the same minute: as the plans stand it fits
    # nowhere, and with b0 moved to d1, 10 min away, it does.
    bookings = [
        booking("b0", (0, 20), (600, 605)),
        booking("b1", (0, 20), (600, 605), release=487.0, is_wheelchair=True),
    ]
    day = line_day(bookings, [driver("d0", 0), driver("d1", 5, can_wheelchair=False)])
    simulator = Simulator(day, rules(max_lateness_min=0.0, promise_moves=promise_moves))
    simulator.advance(3)
    assert [state_of(simulator, k) for k in range(2)] == [BookingState.PLANNED, expected]


def test_the_call_after_closing_is_refused():
    day = line_day([booking("b0", (0, 1), (800, 840), release=790.0)], [driver("d0", 0)])
    simulator = Simulator(day, rules())
    simulator.run_to_end()
    assert state_of(simulator, 0) == BookingState.REFUSED


def test_a_policy_may_refuse_a_wish_but_no_promise():
    bookings = [booking("b0", (0, 1), (600, 620)), booking("b1", (0, 1), (600, 620))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rules())
    assert given(simulator, (0, REFUSE, 0, LAST)) == [True]
    simulator.advance()
    assert [state_of(simulator, k) for k in range(2)] == [BookingState.REFUSED, BookingState.PLANNED]
    assert given(simulator, (0, REFUSE, 1, LAST)) == [False]
    with pytest.raises(ValueError, match="only an open wish"):
        simulator.refuse("b1")


# --- a promise is kept ------------------------------------------------------------------------------------------------


def test_orders_that_would_leave_a_promised_booking_without_a_place_are_not_carried_out():
    bookings = [booking("b0", (0, 1), (600, 620)), booking("b1", (5, 6), (660, 680))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0), driver("d1", 5)]), rules())
    simulator.assign("d0", "b0")
    simulator.assign("d0", "b1")
    simulator.advance()
    world = simulator.world
    assert given(simulator, (0, TO_NOBODY, 0, LAST)) == [False]
    assert world.plans[0, 0, :2].tolist() == [0, 1]
    assert world.clocks["num_unassigned"][0] == 0
    # The other way round, and b1 to the other driver: everybody has a place in the end
    orders = [(0, TO_NOBODY, 0, LAST), (0, TO_NOBODY, 1, LAST), (0, 0, 0, LAST), (0, 1, 1, LAST)]
    assert given(simulator, *orders) == [True, True, True, True]
    assert (world.plans[0, 0, 0], world.plans[0, 1, 0]) == (0, 1)
    # b1 is at km 5 with d1 already: 10:00 there, so the pickup stays at 11:00 and only the driver changes
    simulator.advance()
    assert told(simulator)[-1] == ("MOVE", 1, 1, 485.0, "POLICY")


def test_a_booking_whose_driver_drops_out_is_looked_after_and_if_lost_a_broken_promise():
    day = line_day([booking("b0", (30, 31), (560, 570))], [driver("d0", 0), driver("d1", 60)])
    simulator = Simulator(day, rules(max_lateness_min=0.0), rates(drop_out_rate=1.0))
    simulator.world.drivers["drop_out_min"][0] = [490.0, 491.0]  # both are gone before anybody can leave
    simulator.assign("d0", "b0")
    simulator.run_to_end()
    assert state_of(simulator, 0) == BookingState.BROKEN
    kinds = [event[0] for event in told(simulator)]
    # d0 at the tick of 08:10, whereupon d1 gets it; d1 five minutes later
    assert kinds == ["RELEASE", "PROMISE", "ASSIGN", "GIVE_BACK", "ASSIGN", "GIVE_BACK", "BREAK"]


def test_where_nothing_is_promised_at_the_call_the_first_place_is_the_promise():
    bookings = [booking("b0", (0, 1), (600, 620)), booking("b1", (0, 1), (600, 620))]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rules(promises_at_call=0), allows_unassign=True)
    simulator.assign("d0", "b0")
    simulator.advance()
    simulator.unassign("b0")
    simulator.run_to_end()
    assert [state_of(simulator, k) for k in range(2)] == [BookingState.EXPIRED, BookingState.EXPIRED]
    assert told(simulator)[2:] == [
        ("PROMISE", 0, 0, 480.0, "POLICY"),
        ("ASSIGN", 0, 0, 480.0, "POLICY"),
        ("GIVE_BACK", 0, 0, 485.0, "POLICY"),
        ("BREAK", -1, 0, 620.0, "DAY"),  # b1 never had a place, so nothing is broken
    ]


# --- frozen trips -----------------------------------------------------------------------------------------------------


def test_what_leaves_within_the_freeze_keeps_driver_and_order():
    # b0 at km 10: 20 min away, pickup 09:00, so its driver leaves at 08:40; frozen from the tick 08:10 on
    day = line_day([booking("b0", (10, 11), (540, 560))], [driver("d0", 0), driver("d1", 20)])
    simulator = Simulator(day, rules(freeze_min=30.0))
    simulator.assign("d0", "b0")
    simulator.advance(2)
    assert not simulator.world.bookings["is_frozen"][0, 0]
    simulator.advance()
    assert simulator.world.bookings["is_frozen"][0, 0]
    assert told(simulator)[-1] == ("FREEZE", 0, 0, 490.0, "DAY")
    assert given(simulator, (0, TO_NOBODY, 0, LAST), (0, 1, 0, LAST)) == [False, False]


@pytest.mark.parametrize(("slack_min", "is_possible"), [(0.0, False), (5.0, False), (6.0, True)])
def test_an_insertion_may_delay_a_frozen_pickup_by_the_slack_at_most(slack_min, is_possible):
    # b0: km 0, 08:30-09:00, frozen for 08:30. b1 before it: km 0 to km 5 at 08:10, 3 + 10 + 3 min: free 08:26 at km 5,
    # 10 min back: b0 at 08:36, 6 min later than told, though its window would allow 30.
    bookings = [booking("b0", (0, 1), (510, 540)), booking("b1", (0, 5), (490, 500), release=484.0)]
    simulator = Simulator(line_day(bookings, [driver("d0", 0)]), rules(freeze_min=30.0, freeze_slack_min=slack_min))
    simulator.assign("d0", "b0")
    simulator.advance()
    assert given(simulator, (0, 0, 1, 0)) == [is_possible]


def test_a_trip_locked_by_hand_stays_with_its_driver():
    bookings = [booking("b0", (0, 1), (600, 660)), booking("b1", (0, 1), (600, 660))]
    day = line_day(bookings, [driver("d0", 40), driver("d1", 0)])  # d1 is there already: improvement would move both
    for is_locked, expected in ((False, 1), (True, 0)):
        simulator = Simulator(day, rules(improves_plans=1))
        simulator.assign("d0", "b0")
        if is_locked:
            simulator.lock("b0")
            assert told(simulator)[-1] == ("FREEZE", 0, 0, 480.0, "POLICY")
        simulator.advance()
        assert simulator.world.bookings["driver"][0, 0] == expected
    with pytest.raises(ValueError, match="keeps its driver"):
        Simulator.unassign(simulator_that_may(simulator), "b0")


def simulator_that_may(simulator: Simulator) -> Simulator:
    simulator.allows_unassign = True
    return simulator
