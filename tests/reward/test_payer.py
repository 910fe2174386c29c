"""What the payer pays step by step sums to what the event log says, and a pair pays what it was priced at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from envs.days.day import Day
from envs.world.records import BookingState, Leg
from reward import TERM_NAMES, TRIP_TERMS, VERSIONS, RewardFunction, episode_terms
from tests.reward.worlds import LineBatch, booking, driver, line_day

LINE = settings(
    deadline=None,
    derandomize=True,
    max_examples=60,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def pay_to_the_end(batch: LineBatch, payer: Any, rng: np.random.Generator, wait_share: float) -> np.ndarray:
    """Terms of a random policy, summed; now and then it chooses an action that may be infeasible."""
    total = np.zeros_like(payer.terms)
    while not batch.is_done():
        actions = []
        for b in range(len(batch.world.clocks)):
            feasible = batch.feasible(b)
            if rng.random() < 0.1:
                actions.append(int(rng.integers(1, batch.world.pairs[b].size + 1)))
            else:
                actions.append(int(rng.choice(feasible)) if feasible and rng.random() >= wait_share else 0)
        batch.step(*actions)
        rewards = payer.pay()
        assert rewards == pytest.approx(payer.terms.sum(axis=1))
        total += payer.terms
    return total


def assert_equals_log(total: np.ndarray, batch: LineBatch, function: RewardFunction) -> None:
    for b in range(len(batch.world.clocks)):
        expected = episode_terms(batch.world, b, function.weights)
        assert dict(zip(TERM_NAMES, total[b], strict=True)) == pytest.approx(expected, abs=1e-9)


@st.composite
def line_days(draw: st.DrawFn) -> Day:
    km = st.integers(-8, 8)
    bookings = []
    for k in range(draw(st.integers(1, 7))):
        earliest = draw(st.integers(480, 610))
        bookings.append(
            booking(
                f"b{k}",
                draw(km),
                draw(km),
                earliest,
                earliest + draw(st.integers(0, 40)),
                release_min=float(draw(st.integers(470, earliest))),
                priority=draw(st.integers(1, 5)),
                leg=draw(st.sampled_from(Leg)),
                pickup_service_min=float(draw(st.integers(0, 5))),
            )
        )
    drivers = [driver(f"d{n}", draw(km), is_emergency=draw(st.booleans())) for n in range(draw(st.integers(1, 3)))]
    return line_day(bookings, drivers, label=str(draw(st.integers(0, 10_000))))


@LINE
@given(
    day=line_days(),
    version=st.sampled_from(VERSIONS),
    inserts=st.booleans(),
    improves=st.booleans(),
    gives_back=st.booleans(),
    skips=st.booleans(),
    per_tick=st.sampled_from([0, 1, 2]),
    rates=st.fixed_dictionaries(
        {
            "travel_noise_std": st.sampled_from([0.0, 0.3]),
            "cancellation_rate": st.sampled_from([0.0, 0.3]),
            "no_show_rate": st.sampled_from([0.0, 0.3]),
            "drop_out_rate": st.sampled_from([0.0, 0.5]),
        }
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_terms_of_an_episode_sum_to_its_event_log(
    day: Day,
    version: str,
    inserts: bool,
    improves: bool,
    gives_back: bool,
    skips: bool,
    per_tick: int,
    rates: dict[str, float],
    seed: int,
) -> None:
    batch = LineBatch(
        day,
        rates=rates,
        inserts=inserts,
        improves_plans=improves,
        improvement_moves=10 * gives_back,
        improvement_lost_min=300.0 * gives_back,
        skips_idle_ticks=skips,
        decisions_per_tick=per_tick,
        max_trips=4,
    )
    function = RewardFunction.load(version)
    payer = function.attach(batch)
    payer.reset(0)
    total = pay_to_the_end(batch, payer, np.random.default_rng(seed), wait_share=0.3)
    if not batch.world.clocks["num_decisions"][0]:  # nothing was ever feasible: the first step pays the whole day
        batch.step(0)
        payer.pay()
        total += payer.terms
    assert_equals_log(total, batch, function)


@LINE
@given(days=st.lists(line_days(), min_size=2, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_rows_of_a_batch_are_paid_apart(days: list[Day], seed: int) -> None:
    batch = LineBatch(*days, inserts=1)
    function = RewardFunction.load("v2")
    payer = function.attach(batch)
    total = pay_to_the_end(batch, payer, np.random.default_rng(seed), wait_share=0.2)
    assert_equals_log(total, batch, function)


@LINE
@given(day=line_days(), version=st.sampled_from(VERSIONS), seed=st.integers(0, 2**32 - 1), inserts=st.booleans())
def test_pair_pays_what_it_was_priced_at(day: Day, version: str, seed: int, inserts: bool) -> None:
    # The clock stands still while decisions are unlimited, so nothing but the assignment changes.
    batch = LineBatch(day, inserts=inserts, decisions_per_tick=0)
    payer = RewardFunction.load(version).attach(batch)
    payer.reset(0)
    rng = np.random.default_rng(seed)
    while not batch.is_done():
        payer.price_pairs()
        feasible = batch.feasible()
        action = int(rng.choice(feasible)) if feasible and rng.random() < 0.8 else 0
        priced = payer.wait_value[0] if action == 0 else payer.pair_value[0].reshape(-1)[action - 1]
        batch.step(action)
        paid = payer.pay()[0]
        if action:
            assert paid == pytest.approx(priced, abs=1e-9)
        else:
            assert payer.terms_of(0).get("idle_wait", 0.0) == priced


@LINE
@given(day=line_days(), seed=st.integers(0, 2**32 - 1))
def test_with_append_the_trip_terms_of_a_pair_are_paid_even_as_the_clock_moves(day: Day, seed: int) -> None:
    batch = LineBatch(day, inserts=0, decisions_per_tick=1)
    payer = RewardFunction.load("v2").attach(batch)
    rng = np.random.default_rng(seed)
    lost = [TERM_NAMES.index(name) for name in ("expired", "lost")]
    while not batch.is_done():
        payer.price_pairs()
        feasible = batch.feasible()
        action = int(rng.choice(feasible)) if feasible else 0
        priced = payer.pair_value[0].reshape(-1)[action - 1] if action else 0.0
        batch.step(action)
        payer.pay()
        # others may expire at the tick that follows; that is paid too, but wasn't priced
        trips = payer.terms[0, : len(TRIP_TERMS)].sum() - payer.terms[0, lost].sum()
        assert trips == pytest.approx(priced, abs=1e-9)


# --- by hand ---------------------------------------------------------------------------------------------------------
#
#   km   0    2    5    8
#        d0   b1   b0   end of both       30 km/h: 2 min a km


def insertion_day() -> LineBatch:
    day = line_day(
        [booking("b0", 5, 8, 480, 484, release_min=480.0), booking("b1", 2, 8, 481, 520)],
        [driver("d0")],
    )
    return LineBatch(day, inserts=1, insertion_lateness_weight=0.0)


def test_insertion_is_priced_with_what_it_does_to_later_trips() -> None:
    batch = insertion_day()
    payer = RewardFunction.load("v2").attach(batch)
    batch.step(batch.action(0, 0))
    # b0: 5 km, 10 min, picked up 08:10; window 08:00-08:04, so 6 min late: 100 - 2 x (6 - 5) - 5/20
    assert payer.pay()[0] == pytest.approx(97.75)
    payer.price_pairs()
    # b1 after b0: from km 8 back to 2. b1 before b0: 2 km, picked up 08:04, at km 8 at 08:16, back to km 5 at 08:22.
    # Driving: after = 12 + 12 = 24 min more; before = 4 + 12 + 6 - 10 = 12 min more, so it goes first.
    assert batch.world.pairs["position"][0, 0, 0] == 0
    # b1: 100 + 10 short + 15 prompt (window 481-520) - 2/20 = 124.9
    # b0: 18 min late instead of 6: -2 x 13 instead of -2 x 1; approach 3 km instead of 5: +10 short, +2/20: -13.9
    assert payer.pair_value[0, 0, 0] == pytest.approx(124.9 - 24.0 + 10.1)
    # 111 / 145
    assert payer.pair_reward[0, 0] == pytest.approx(111.0 / 145.0)
    batch.step(batch.action(0, 1))
    assert payer.pay()[0] == pytest.approx(111.0)


def test_prices_are_zero_where_infeasible_and_stay_in_range() -> None:
    batch = insertion_day()
    payer = RewardFunction.load("v2", {"assigned": 1000.0, "idle_wait": -9000.0}).attach(batch)
    payer.function.bound = 10.0
    payer.price_pairs()
    assert payer.pair_reward[0].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert payer.wait_value[0] == -9000.0
    assert payer.wait_reward[0, 0] == -1.0
    while not batch.is_done():
        batch.step(0)
    payer.price_pairs()
    assert not payer.pair_value.any()
    assert not payer.pair_reward.any()
    assert not payer.wait_reward.any()


def test_day_that_is_over_pays_nothing_more() -> None:
    batch = insertion_day()
    payer = RewardFunction.load("v1").attach(batch)
    batch.step(batch.action(0, 0))
    while not batch.is_done():
        batch.step(0)
        payer.pay()
    assert payer.rewards[0] > 0.0  # the end terms
    batch.step(0)
    assert payer.pay()[0] == 0.0
    assert not payer.terms.any()


def test_booking_lost_before_the_first_decision_is_paid_with_the_first_step() -> None:
    # 08:00: b0 closed at 07:55 already. b1 is feasible from 08:00 on.
    day = line_day(
        [booking("b0", 1, 2, 470, 475, release_min=470.0), booking("b1", 1, 2, 480, 540)],
        [driver("d0")],
    )
    batch = LineBatch(day)
    assert batch.world.bookings["state"][0, 0] == BookingState.EXPIRED
    payer = RewardFunction.load("v1").attach(batch)
    payer.reset(0)
    batch.step(batch.action(0, 1))
    # priority 3: -200 x 3/5; b1: 50 + 10 short + 15 prompt
    assert payer.pay()[0] == pytest.approx(-120.0 + 75.0)


def test_new_day_in_a_row_owes_nothing_of_the_old_one() -> None:
    batch = insertion_day()
    payer = RewardFunction.load("v1").attach(batch)
    batch.step(batch.action(0, 0))
    first = float(payer.pay()[0])
    batch.load(0, line_day([booking("b0", 5, 8, 480, 484), booking("b1", 2, 8, 481, 520)], [driver("d0")]))
    payer.reset(0)
    batch.step(batch.action(0, 0))
    assert payer.pay()[0] == first


def test_payer_follows_a_batch_that_grows() -> None:
    small = LineBatch(line_day([booking("b0", 1, 2, 480, 540)], [driver("d0")]))
    payer = RewardFunction.load("v1").attach(small)
    small.step(small.action(0, 0))
    paid = float(payer.pay()[0])
    # the same day in a larger world, as a batch makes it when a longer day is loaded into another row
    large = LineBatch(line_day([booking(f"b{k}", 1, 2, 480, 540) for k in range(9)], [driver("d0")]))
    large.load(0, line_day([booking("b0", 1, 2, 480, 540)], [driver("d0")]))
    large.step(large.action(0, 0))
    small.world = large.world
    assert paid == 75.0
    assert payer.pay()[0] == 0.0  # b0 has been paid


def test_trip_begun_by_a_driver_who_drops_out_costs_its_kilometres() -> None:
    # d0 leaves km 0 at 08:00 for b0 at km 8 and is gone at 08:10, after 5 km; nobody else is there.
    day = line_day([booking("b0", 8, 9, 480, 510)], [driver("d0")])
    batch = LineBatch(day, rates={"no_show_rate": 1e-12})
    batch.world.drivers["drop_out_min"] = 490.0
    function = RewardFunction.load("v3")
    payer = function.attach(batch)
    total = np.zeros_like(payer.terms)
    batch.step(batch.action(0, 0))
    payer.pay()
    total += payer.terms
    while not batch.is_done():
        batch.step(0)
        payer.pay()
        total += payer.terms
    terms = dict(zip(TERM_NAMES, total[0].tolist(), strict=True))
    # 0.9 x 5 km; the booking is lost, the fare is taken back
    assert terms["km_cost"] == pytest.approx(-4.5)
    assert terms["lost"] == -700.0
    assert terms["fare"] == pytest.approx(0.0)
    assert_equals_log(total, batch, function)


def test_log_of_a_day_under_way_is_refused() -> None:
    batch = insertion_day()
    with pytest.raises(ValueError, match="row 0: the day is not over"):
        episode_terms(batch.world, 0, RewardFunction.load("v1").weights)
