"""Orders that no action can say: carried out in their order, and refused without a trace where they can't be."""

from __future__ import annotations

import numpy as np
import pytest

from envs.batch import DispatchBatch
from envs.days.scenario import Scenario
from envs.orders import LAST, ORDER, TO_NOBODY, Orders, carry_out, no_orders
from envs.world.records import BookingState
from tests.envs.line import booking, driver, line_day


@pytest.fixture
def batch():
    """d0 and d1 at km 0, three bookings at km 2 to 6 in the morning; two slots, so that b2 is in the backlog."""
    bookings = [booking(f"b{i}", (2 + i, 6), (540 + 60 * i, 570 + 60 * i)) for i in range(3)]
    scenario = Scenario.load("operating_day", plan_improvement=False, num_drivers=2, max_bookings=2)
    batch = DispatchBatch(scenario)
    batch.load_day(0, line_day(bookings, [driver("d0", 0), driver("d1", 0)]))
    batch.refresh()
    return batch


def given(batch, *orders) -> list[bool]:
    return carry_out(batch.world, np.array(list(orders), ORDER)).tolist()


def test_a_booking_of_the_backlog_is_given_to_a_driver(batch):
    assert 2 not in batch.world.slots[0]
    assert given(batch, (0, 1, 2, LAST)) == [True]
    assert batch.world.bookings[0, 2]["state"] == BookingState.PLANNED
    assert batch.world.bookings[0, 2]["driver"] == 1


def test_a_position_in_the_plan_is_kept(batch):
    # b2 behind b0, then b1 between them
    assert given(batch, (0, 0, 0, LAST), (0, 0, 2, LAST), (0, 0, 1, 1)) == [True, True, True]
    assert batch.world.plans[0, 0, :3].tolist() == [0, 1, 2]


def test_a_booking_given_back_is_open_again_and_counted(batch):
    assert given(batch, (0, 0, 0, LAST), (0, TO_NOBODY, 0, LAST)) == [True, True]
    assert batch.world.bookings[0, 0]["state"] == BookingState.OPEN
    assert batch.world.clocks[0]["num_unassigned"] == 1
    assert 0 in batch.world.slots[0]  # it is shown at once


def test_what_cannot_be_done_changes_nothing(batch):
    given(batch, (0, 0, 0, LAST))
    before = [array.tobytes() for array in batch.world]
    # b0 is planned already, position 5 is beyond the plan of one trip, b1 is open and can't be given back
    assert given(batch, (0, 1, 0, LAST), (0, 0, 1, 5), (0, TO_NOBODY, 1, LAST)) == [False, False, False]
    assert [array.tobytes() for array in batch.world] == before


def test_pairs_are_looked_at_anew(batch):
    given(batch, (0, 0, 0, LAST))
    # the slots now show b1 and b2, and d0 can take b1 behind b0
    assert batch.world.slots[0].tolist() == [1, 2]
    assert batch.world.pairs[0, 0, 0]["position"] == 1


def test_an_action_alone_is_an_order():
    assert len(Orders(np.zeros(3, np.int64)).beyond) == len(no_orders()) == 0
