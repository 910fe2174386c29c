"""Decisions, observations and the equality of batched and single play."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import DispatchBatch, Scenario
from envs.world.records import NO_BOOKING, BookingState, EventKind
from tests.envs.line import booking, driver, line_day

FINAL = {state for state in BookingState if state >= BookingState.SERVED}
ROUGH_DAY = {"travel_noise_std": 0.2, "cancellation_rate": 0.1, "no_show_rate": 0.1, "drop_out_rate": 0.3}


def make_batch(scenario: str = "short_shift", size: int = 1, **overrides: object) -> DispatchBatch:
    return DispatchBatch(Scenario.load(scenario, **overrides), size)


def play(batch: DispatchBatch, days: list[int], seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Random feasible actions, a function of (seed, row, decision); returns all observations."""
    for b, day in enumerate(days):
        batch.load_day(b, day)
    batch.refresh()
    random = [np.random.default_rng([seed, day]) for day in days]
    seen = []
    while not batch.is_done.all():
        masks = batch.observation["action_mask"]
        batch.step([random[b].choice(np.flatnonzero(masks[b])) for b in range(len(days))])
        seen.append({key: array.copy() for key, array in batch.observation.items()})
    return seen


def check_books(batch: DispatchBatch, b: int) -> None:
    """Every booking has ended in one state, and nobody was in two places."""
    clock = batch.world.clocks[b]
    states = [BookingState(state) for state in batch.world.bookings["state"][b, : clock["num_bookings"]]]
    assert set(states) <= FINAL
    events = batch.world.events[b, : clock["num_events"]]
    counts = {kind: int(np.sum(events["kind"] == kind)) for kind in EventKind}
    assert counts[EventKind.DROPOFF] == states.count(BookingState.SERVED)
    assert counts[EventKind.EXPIRE] == states.count(BookingState.EXPIRED) + states.count(BookingState.BROKEN)
    assert counts[EventKind.REFUSE] == states.count(BookingState.REFUSED)
    assert counts[EventKind.CANCEL] == states.count(BookingState.CANCELLED)
    assert counts[EventKind.NO_SHOW] == states.count(BookingState.NO_SHOW)
    ended = counts[EventKind.DROPOFF] + counts[EventKind.NO_SHOW] + counts[EventKind.ABANDON]
    assert counts[EventKind.DEPART] == ended
    for n in range(clock["num_drivers"]):
        drives = np.isin(events["kind"], (*range(EventKind.EXPIRE), EventKind.NO_SHOW, EventKind.ABANDON))
        own = events[(events["driver"] == n) & drives]
        assert np.all(np.diff(own["time_min"]) >= -1e-9)
        carried = NO_BOOKING
        for event in own:
            if event["kind"] == EventKind.DEPART:
                assert carried == NO_BOOKING
                carried = event["booking"]
            else:
                assert event["booking"] == carried
                if event["kind"] != EventKind.PICKUP:
                    carried = NO_BOOKING
        assert carried == NO_BOOKING


@pytest.mark.parametrize("scenario", ["short_shift", "operating_day", "operating_day_promises"])
@settings(max_examples=25, deadline=None)
@given(day=st.integers(0, 999_999), seed=st.integers(0, 99), is_rough=st.booleans())
def test_books_balance_at_the_end_of_every_day(scenario, day, seed, is_rough):
    batch = make_batch(scenario, **(ROUGH_DAY if is_rough else {}))
    play(batch, [day], seed)
    check_books(batch, 0)


@pytest.mark.parametrize("scenario", ["short_shift", "operating_day", "operating_day_promises"])
def test_batched_and_single_days_agree_at_every_step(scenario):
    days = [3, 14, 159, 2653]
    together = make_batch(scenario, len(days), **ROUGH_DAY)
    seen_together = play(together, days)
    for b, day in enumerate(days):
        alone = make_batch(scenario, **ROUGH_DAY)
        for step, observation in enumerate(play(alone, [day])):
            for key, array in observation.items():
                assert np.array_equal(array[0], seen_together[step][key][b]), (day, step, key)
        size = alone.world.clocks["num_events"][0]
        assert np.array_equal(alone.world.events[0, :size], together.world.events[b, :size])


def test_a_day_read_from_records_plays_like_the_generated_one():
    generated, rebuilt = make_batch("operating_day"), make_batch("operating_day")
    seen = play(generated, [77])
    rebuilt.load_day(0, generated.day_of(0))
    rebuilt.refresh()
    random = np.random.default_rng([0, 77])
    for observation in seen:
        mask = rebuilt.observation["action_mask"]
        rebuilt.step([random.choice(np.flatnonzero(mask[0]))])
        for key, array in observation.items():
            assert np.allclose(array, rebuilt.observation[key], atol=1e-6), key


def test_observation_stays_in_its_space():
    for scenario in ("short_shift", "operating_day"):
        batch = make_batch(scenario)
        for observation in play(batch, [5]):
            assert batch.observation_space.contains({key: array[0] for key, array in observation.items()})


def test_a_row_used_again_shows_nothing_of_the_day_before():
    fresh, used = make_batch(), make_batch()
    play(used, [1])
    used.load_day(0, 2)
    used.refresh()
    fresh.load_day(0, 2)
    fresh.refresh()
    for key, array in fresh.observation.items():
        assert np.array_equal(array, used.observation[key]), key


def test_the_same_infeasible_action_again_and_again_ends_the_day():
    for scenario, num_ticks in (("short_shift", 24), ("operating_day", 156)):
        batch = make_batch(scenario)
        batch.load_day(0, 0)
        batch.refresh()
        decisions = 0
        while not batch.is_done[0]:
            infeasible = np.flatnonzero(batch.observation["action_mask"][0] == 0)
            batch.step([infeasible[-1]])
            decisions += 1
        clock = batch.world.clocks[0]
        assert decisions <= num_ticks + clock["num_bookings"]
        assert clock["num_infeasible"] == decisions
        assert clock["now_min"] == clock["close_min"]


def test_short_shift_asks_at_every_tick_and_operating_day_skips_ticks_without_a_feasible_pair():
    batch = make_batch("short_shift")
    play(batch, [0])
    assert batch.world.clocks["num_decisions"][0] == 24
    batch = make_batch("operating_day")
    day = line_day([booking("b0", (0, 1), (600, 620), release=600.0)], [driver("d0", 0)])
    batch.load_day(0, day)
    batch.refresh()
    # nothing is known before 10:00: the first question comes there
    assert batch.world.clocks["now_min"][0] == 600
    batch.step([1])
    # nothing else comes: the day runs to its end within the step
    assert batch.is_done[0]
    assert batch.world.clocks["elapsed_min"][0] == 120


def test_a_decision_costs_no_time_while_another_pair_is_feasible():
    batch = make_batch("operating_day", max_bookings=4)
    day = line_day([booking("b0", (0, 1), (600, 620)), booking("b1", (5, 6), (600, 620))], [driver("d0", 0)])
    batch.load_day(0, day)
    batch.refresh()
    batch.step([1])
    assert batch.world.clocks["elapsed_min"][0] == 0
    assert batch.world.clocks["now_min"][0] == 480


def test_pairs_moved_along_after_an_assignment_equal_pairs_evaluated_anew():
    batch = make_batch("operating_day", load=2.5)
    for day in range(5):
        batch.load_day(0, day)
        batch.refresh()
        random = np.random.default_rng(day)
        while not batch.is_done[0]:
            mask = batch.observation["action_mask"][0]
            batch.step([random.choice(np.flatnonzero(mask))])
            moved = {key: array.copy() for key, array in batch.observation.items()}
            batch.reconsider(0)
            for key, array in batch.observation.items():
                assert np.array_equal(array, moved[key]), key


def test_bookings_beyond_the_slots_wait_in_the_backlog():
    bookings = [booking(f"b{i}", (0, 1), (600, 620 + i)) for i in range(5)]
    batch = make_batch("operating_day", max_bookings=3, num_drivers=1)
    batch.load_day(0, line_day(bookings, [driver("d0", 0)]))
    batch.refresh()
    assert batch.world.slots[0].tolist() == [0, 1, 2]
    # clock features: 5 open / (5 + 1 driver), backlog 2 / (2 + 3 slots)
    assert batch.observation["clock"][0, 3] == pytest.approx(5 / 6)
    assert batch.observation["clock"][0, 4] == pytest.approx(2 / 5)
    batch.step([2])
    assert batch.world.slots[0].tolist() == [0, 2, 3]


def test_a_fleet_larger_than_the_environment_is_refused():
    batch = make_batch("operating_day", num_drivers=1)
    day = line_day([booking("b0", (0, 1), (600, 620))], [driver("d0", 0), driver("d1", 0)])
    with pytest.raises(ValueError, match=r"2 drivers but the environment was made for 1\. Pass --num-drivers 2"):
        batch.load_day(0, day)


def test_a_larger_day_makes_room_without_disturbing_the_others():
    small = line_day([booking("b0", (0, 1), (600, 620))], [driver("d0", 0)])
    large = line_day([booking(f"b{i}", (i, 1), (600, 620)) for i in range(9)], [driver("d0", 0)])
    batch = DispatchBatch(Scenario.load("paratransit", num_drivers=1), 2)
    batch.load_day(0, small)
    batch.load_day(1, large)
    batch.refresh()
    assert batch.world.clocks["num_bookings"].tolist() == [1, 9]
    batch.step([1, 1])
    assert batch.is_done.tolist() == [True, False]


def test_actions_outside_of_the_action_space_are_refused():
    batch = make_batch()
    batch.load_day(0, 0)
    batch.refresh()
    with pytest.raises(ValueError, match="expected 1 integers from 0 to 75"):
        batch.step([76])


def test_a_booking_that_no_shift_can_serve_does_not_enter_the_cost_of_a_day_from_files():
    bookings = [booking("b0", (0, 1), (600, 620)), booking("b1", (500, 501), (490, 500))]
    batch = make_batch("operating_day", num_drivers=1)
    batch.load_day(0, line_day(bookings, [driver("d0", 0)]))
    batch.refresh()
    while not batch.is_done[0]:
        batch.step([0])
    # both are lost; b1 lies 1000 min of driving away from the only driver, so only b0 counts 300
    kpis = batch.kpis(0)
    assert kpis["num_lost"] == 2
    assert kpis["num_unservable"] == 1
    assert kpis["cost"] == pytest.approx(300)
