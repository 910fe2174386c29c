"""Whatever a policy orders, promises are kept: days with random orders, and what their log says about them."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from envs.batch import DispatchBatch
from envs.days.scenario import Scenario
from envs.orders import LAST, ORDER, REFUSE, TO_NOBODY, carry_out
from envs.world.records import BookingState, EventKind

FIRST_DAY, NUM_DAYS = 1_000_000, 6
SLACK_MIN = 5.0
E = EventKind


@pytest.fixture(scope="module", params=[0, 30], ids=["no improvement", "improvement"])
def played(request) -> DispatchBatch:
    """Days at twice the usual load, played by a policy that gives back, moves, refuses and assigns at random."""
    scenario = Scenario.load(
        "operating_day_promises",
        load=2.0,
        promise_moves=20,
        plan_improvement=request.param > 0,
        improvement_moves=request.param,
        freeze_slack_min=SLACK_MIN,
    )
    batch = DispatchBatch(scenario, NUM_DAYS)
    batch.load_generated_days(np.arange(NUM_DAYS), np.arange(FIRST_DAY, FIRST_DAY + NUM_DAYS))
    batch.refresh()
    rng = np.random.default_rng(0)
    while not batch.is_done.all():
        carry_out(batch.world, random_orders(batch, rng))
        masks = batch.observation["action_mask"]
        batch.write_observation()
        batch.step([rng.choice(np.flatnonzero(mask)) for mask in masks])
    return batch


def random_orders(batch: DispatchBatch, rng: np.random.Generator) -> np.ndarray:
    """Some that exchange a planned trip, some that would lose one, some refusals; most of them without sense."""
    orders = []
    for b in np.flatnonzero(~batch.is_done).tolist():
        world = batch.world
        num_drivers = int(world.clocks["num_drivers"][b])
        states = world.bookings["state"][b, : int(world.clocks["num_bookings"][b])]
        planned, open_rows = np.flatnonzero(states == BookingState.PLANNED), np.flatnonzero(states == BookingState.OPEN)
        if len(planned) and rng.random() < 0.5:
            k = int(rng.choice(planned))
            orders.append((b, TO_NOBODY, k, LAST))
            if rng.random() < 0.7:
                orders.append((b, int(rng.integers(num_drivers)), k, int(rng.integers(-1, 3))))
        if len(open_rows) and rng.random() < 0.3:
            k = int(rng.choice(open_rows))
            orders.append((b, REFUSE if rng.random() < 0.3 else int(rng.integers(num_drivers)), k, LAST))
    return np.array(orders, ORDER)


def events_of(batch: DispatchBatch, b: int) -> list[dict[str, float]]:
    rows = batch.world.events[b, : int(batch.world.clocks["num_events"][b])]
    return [{name: row[name].item() for name in rows.dtype.names or ()} for row in rows]


@pytest.mark.parametrize("b", range(NUM_DAYS))
def test_every_wish_is_answered_at_its_tick_and_every_promise_kept(played, b):
    called, promised, refused, served = {}, {}, {}, set()
    for event in events_of(played, b):
        k, time_min = event["booking"], event["time_min"]
        if event["kind"] == E.RELEASE:
            called[k] = time_min
        elif event["kind"] == E.PROMISE:
            promised[k] = time_min
        elif event["kind"] == E.REFUSE:
            refused[k] = time_min
        elif event["kind"] == E.DROPOFF:
            served.add(k)
        assert event["kind"] not in (E.BREAK, E.EXPIRE)
    assert served == set(promised)
    assert set(promised).isdisjoint(refused)
    assert set(called) <= set(promised) | set(refused)
    assert len(promised) + len(refused) == played.world.clocks["num_bookings"][b]
    assert all(time_min == called[k] for k, time_min in promised.items())


def test_the_days_show_something(played):
    kinds = [{event["kind"] for event in events_of(played, b)} for b in range(NUM_DAYS)]
    for kind in (E.PROMISE, E.REFUSE, E.ASSIGN, E.MOVE, E.FREEZE):
        assert any(kind in of_day for of_day in kinds)


@pytest.mark.parametrize("b", range(NUM_DAYS))
def test_no_frozen_trip_moves(played, b):
    frozen: dict[float, tuple[float, float]] = {}  # booking: driver, pickup
    order, departures = defaultdict(list), defaultdict(list)
    for event in events_of(played, b):
        k, n = event["booking"], event["driver"]
        if event["kind"] == E.FREEZE:
            frozen[k] = (n, event["pickup_min"])
            order[n].append(k)
        elif event["kind"] in (E.MOVE, E.GIVE_BACK, E.ASSIGN) and k in frozen:
            assert event["kind"] == E.MOVE and n == frozen[k][0]
        elif event["kind"] == E.DEPART:
            assert k in frozen  # everybody leaves within the freeze some time
            assert n == frozen[k][0]
            departures[n].append(k)
        elif event["kind"] == E.PICKUP:
            assert event["time_min"] <= frozen[k][1] + SLACK_MIN + 1e-6
    # A trip put in front of a frozen one later is frozen later, so not all stand in the order in which they were
    # frozen; two that were frozen at the same tick keep theirs.
    ticks = {event["booking"]: event["time_min"] for event in events_of(played, b) if event["kind"] == E.FREEZE}
    for n, rows in order.items():
        place = {k: i for i, k in enumerate(departures[n])}
        for first, second in pairwise(rows):
            if ticks[first] == ticks[second]:
                assert place[first] < place[second]


@pytest.mark.parametrize("b", range(NUM_DAYS))
def test_the_kpis_are_what_the_log_says(played, b):
    events = events_of(played, b)
    counts = Counter(event["kind"] for event in events)
    driver_of, changed, told, off = {}, set(), {}, []
    for event in events:
        k = event["booking"]
        if event["kind"] == E.PROMISE:
            told[k] = event["pickup_min"]
        if event["kind"] in (E.ASSIGN, E.MOVE):
            if driver_of.setdefault(k, event["driver"]) != event["driver"]:
                changed.add(k)
            driver_of[k] = event["driver"]
        if event["kind"] == E.PICKUP:
            assert event["driver"] == driver_of[k]
            off.append(abs(event["time_min"] - told[k]))
    kpis = played.kpis(b)
    assert kpis["num_served"] == counts[E.DROPOFF]
    assert (kpis["num_refused"], kpis["num_broken"]) == (counts[E.REFUSE], 0)
    assert kpis["num_lost"] == counts[E.REFUSE]
    assert kpis["driver_changed_share"] == pytest.approx(len(changed) / counts[E.DROPOFF])
    assert kpis["pickup_off_mean_min"] == pytest.approx(np.mean(off))
    assert kpis["pickup_off_p95_min"] == pytest.approx(np.percentile(off, 95))
    assert kpis["promise_wait_min"] < 5.0  # called between two ticks, answered at the second
