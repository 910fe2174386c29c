"""Plays policies on days, side by side, and keeps what the event log and the reward say about each day."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.planning.plan import routes_driven
from baselines.policy import Policy, plans_left_alone
from envs.batch import DispatchBatch
from envs.days.day import Day
from envs.days.scenario import Scenario
from envs.kpis import KPI_NAMES, episode_kpis
from envs.orders import carry_out
from envs.world.decisions import step_days
from envs.world.records import World

MAX_ROWS = 256  # days side by side: enough to make Python's share small
MARGIN = "margin_chf"  # name under which the operating margin joins the KPIs
MAX_MATRIX_ROWS = 32  # the same for days that bring a travel matrix: about 1 MB each with 250 bookings
LATENCY_DAYS = 3  # days played one at a time, for the time per decision
LATENCY_DECISIONS = 2_000  # at most so many decisions are timed

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """
    One day to be played.

    Attributes
    ----------
    day
        Number of a generated day, or a Day from files.
    label
        Names the row in tables; unique among the cases.
    cluster
        Names the service day: cases of one service day (fleets, announcement seeds) are not independent.
    num_unservable
        Bookings that no shift of the fleet can serve.
    """

    day: int | Day
    label: str
    cluster: str
    num_unservable: int = 0


@dataclass(frozen=True)
class Played:
    """
    What one policy did on a list of cases; each array has one entry per case.

    Attributes
    ----------
    kpis
        KPI name to float64 array; nan where undefined on that day.
    reward
        Total of the episode; nan without a reward.
    terms
        Reward term to its total.
    latency_ms
        Median and 99th percentile of the time per decision, played one day at a time; nan when not measured.
    tick_ms
        The same of what the world does between two ticks, plan improvement above all.
    routes
        Per case and driver, the booking rows in the order in which they were driven.
    """

    policy: str
    cases: list[Case]
    kpis: dict[str, FloatArray]
    reward: FloatArray
    terms: dict[str, FloatArray]
    latency_ms: tuple[float, float] = (float("nan"), float("nan"))
    tick_ms: tuple[float, float] = (float("nan"), float("nan"))
    routes: list[list[list[int]]] = field(default_factory=list)

    def values(self, metric: str) -> FloatArray:
        """The KPI of that name per case, or the reward."""
        return self.reward if metric == "reward" else self.kpis[metric]

    def mean(self, metric: str) -> float:
        """Mean over the days on which the metric is defined."""
        values = self.values(metric)
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else float("nan")


class Arena:
    """
    A batch of days with its reward, used again for policy after policy.

    Parameters
    ----------
    scenario
        The world's rules and sizes.
    reward
        Version or path of the reward, or None: then nothing is paid and rules that need a reward can't play.
    num_rows
        Days side by side.
    """

    def __init__(self, scenario: Scenario, reward: str | None, num_rows: int) -> None:
        self.batch = DispatchBatch(scenario, num_rows)
        self.scenario = scenario
        self.payer: Any = None
        self.term_names: tuple[str, ...] = ()
        if reward is not None:
            from reward import TERM_NAMES, RewardFunction

            self.payer = RewardFunction.load(reward).attach(self.batch)
            self.term_names = tuple(TERM_NAMES)

    def load(self, cases: Sequence[Case]) -> None:
        """Put the cases into the first rows; rows beyond keep an old day and are ignored."""
        for b, case in enumerate(cases):
            self.batch.load_day(b, case.day)
        for b in range(len(cases), self.batch.batch_size):
            self.batch.load_day(b, cases[0].day)  # an unused row plays something that is allowed
        self.batch.refresh()
        self.reset_reward()

    def reset_reward(self) -> None:
        """Nothing of the days that were loaded has been paid."""
        if self.payer is not None:
            for b in range(self.batch.batch_size):
                self.payer.reset(b)

    def run(
        self, policy: Policy, seconds: list[float] | None = None, tick_seconds: list[float] | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """
        Let the policy decide until every row is over.

        Parameters
        ----------
        seconds
            When given, the time of each decision is appended to it.
        tick_seconds
            When given, the time that each step of the world took which moved the clock of the first row.

        Returns
        -------
        reward, shape (B,), and terms, shape (B, number of terms)
        """
        with plans_left_alone(self.batch.world, policy.plans_itself):
            return self._run(policy, seconds, tick_seconds)

    def _run(
        self, policy: Policy, seconds: list[float] | None, tick_seconds: list[float] | None
    ) -> tuple[FloatArray, FloatArray]:
        batch, payer = self.batch, self.payer
        total = np.zeros(batch.batch_size)
        terms = np.zeros((batch.batch_size, len(self.term_names)))
        reads_observation = policy.reads_observation
        prices = payer is not None and (policy.needs_reward or reads_observation)
        while not (done := batch.is_done).all():
            start = time.perf_counter()
            if prices:
                payer.price_pairs()
            orders = policy.orders(batch, payer)
            if seconds is not None:
                seconds.append(time.perf_counter() - start)
            before, start = batch.world.clocks["now_min"][0], time.perf_counter()
            carry_out(batch.world, orders.beyond)
            if reads_observation:
                batch.step(orders.actions)
            else:
                step_days(
                    batch.world, orders.actions
                )  # as batch.step, without writing an observation that nobody reads
            if tick_seconds is not None and batch.world.clocks["now_min"][0] > before:
                tick_seconds.append(time.perf_counter() - start)
            if payer is not None:
                paid = payer.pay()
                total[~done] += paid[~done]
                terms[~done] += payer.terms[~done]
        return total, terms


def num_rows_for(cases: Sequence[Case]) -> int:
    """How many of the cases to play side by side: waves of equal size, so that no row idles."""
    has_matrix = any(isinstance(case.day, Day) and case.day.travel.has_matrix for case in cases)
    num_waves = math.ceil(len(cases) / (MAX_MATRIX_ROWS if has_matrix else MAX_ROWS))
    return math.ceil(len(cases) / num_waves)


def play(
    policy: Policy,
    cases: Sequence[Case],
    scenario: Scenario,
    reward: str | None,
    *,
    measure_latency: bool = True,
    arena: Arena | None = None,
    with_margin: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Played:
    """
    Play ``policy`` on every case.

    Parameters
    ----------
    with_margin
        Also read each day's operating margin (reward V3) from its event log; it becomes the KPI ``margin_chf``.
    arena
        Made with the same scenario and reward; saves setting one up for each policy.
    on_progress
        Called with the number of cases done so far.
    """
    arena = arena or Arena(scenario, reward, num_rows_for(cases))
    num_rows = arena.batch.batch_size
    columns: list[dict[str, float]] = []
    margins: list[float] = []
    totals, term_rows = [], []
    routes: list[list[list[int]]] = []
    for first in range(0, len(cases), num_rows):
        wave = cases[first : first + num_rows]
        arena.load(wave)
        total, terms = arena.run(policy)
        totals.append(total[: len(wave)])
        term_rows.append(terms[: len(wave)])
        world = arena.batch.world
        columns += [episode_kpis(world, b, case.num_unservable) for b, case in enumerate(wave)]
        routes += [routes_driven(world, b) for b in range(len(wave))]
        if with_margin:
            margins += [_margin_chf(world, b) for b in range(len(wave))]
        if on_progress is not None:
            on_progress(first + len(wave))
    # A policy that decides row by row has timed itself; asking it again on other days would take as long again.
    own_seconds = getattr(policy, "decision_seconds", None)
    latency_ms = tick_ms = (np.nan, np.nan)
    if measure_latency and own_seconds:
        latency_ms = percentiles_ms(own_seconds)
    elif measure_latency:
        latency_ms, tick_ms = time_decisions(policy, cases, scenario, reward)
    all_terms = np.concatenate(term_rows)
    kpis = {name: np.array([row[name] for row in columns]) for name in KPI_NAMES}
    if with_margin:
        kpis[MARGIN] = np.array(margins)
    return Played(
        policy=policy.name,
        cases=list(cases),
        kpis=kpis,
        reward=np.concatenate(totals) if arena.payer is not None else np.full(len(cases), np.nan),
        terms={name: all_terms[:, t] for t, name in enumerate(arena.term_names)},
        latency_ms=latency_ms,
        tick_ms=tick_ms,
        routes=routes,
    )


def _margin_chf(world: World, b: int) -> float:
    """Operating margin of the finished day in row ``b``, in francs."""
    from reward import episode_terms

    return math.fsum(episode_terms(world, b, _margin_weights()).values())


@cache
def _margin_weights() -> Any:
    from reward import load_weights

    return load_weights("v3")


def time_decisions(
    policy: Policy, cases: Sequence[Case], scenario: Scenario, reward: str | None
) -> tuple[tuple[float, float], tuple[float, float]]:
    """
    Median and 99th percentile [ms] of the time per decision, from the simulated state to the action, and of the time
    that the world takes from one tick to the next, one day at a time.

    What the reward would pay per pair counts into the time of those who read it. The first day is played once before,
    untimed, to warm up.
    """
    arena = Arena(scenario, reward, 1)
    seconds: list[float] = []
    tick_seconds: list[float] = []
    arena.load(cases[:1])
    arena.run(policy)
    for case in cases[:LATENCY_DAYS]:
        arena.load([case])
        arena.run(policy, seconds, tick_seconds)
        if len(seconds) >= LATENCY_DECISIONS:
            break
    return percentiles_ms(seconds), percentiles_ms(tick_seconds)


def percentiles_ms(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds; nan without any."""
    if not seconds:
        return float("nan"), float("nan")
    p50, p99 = np.percentile(np.array(seconds) * 1000.0, [50, 99])
    return float(p50), float(p99)
