"""What each rule chooses on a state small enough to draw."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from baselines import RULE_NAMES, RULES, make_rules, rule_class
from baselines.kernels import match
from baselines.rules import (
    BestImmediateReward,
    BestRewardWithPrices,
    CheapestInsertionAtRelease,
    FirstComeFirstServed,
    InsertionJustInTime,
    MatchingWithPrices,
    MostUrgentBooking,
    NearestDriver,
    RandomAction,
    RandomFeasiblePair,
    RandomValid,
    RegretInsertionJustInTime,
    WaitForEver,
)
from envs.world.records import NEVER
from tests.evaluation.worlds import empty_world


class Board:
    """
    Two drivers and three bookings at 08:00, all pairs feasible; what a batch and a payer show of it.

              release  earliest  latest   approach km  pickup at   cost      pays
    booking                               d0    d1     d0    d1    d0  d1    d0   d1
    b0        470      480       530      4     6      488   492   12  20    100  90
    b1        475      480       500      9     8      498   496   30  25    60   70
    b2        478      540       560      2     7      540   540   8   9     80   110

    Slot order is (latest pickup, id): slot 0 = b1, slot 1 = b0, slot 2 = b2. Action = 1 + driver x 3 + slot.
    """

    def __init__(self) -> None:
        self.world = world = empty_world(num_drivers=2, num_bookings=3)
        world.bookings["release_min"][0] = [470, 475, 478]
        world.bookings["earliest_pickup_min"][0] = [480, 480, 540]
        world.bookings["latest_pickup_min"][0] = [530, 500, 560]
        world.slots[0] = [1, 0, 2]
        pairs = world.pairs[0]
        pairs["is_feasible"] = 1
        pairs["approach_km"] = [[9, 4, 2], [8, 6, 7]]
        pairs["pickup_min"] = [[498, 488, 540], [496, 492, 540]]
        pairs["cost"] = [[30, 12, 8], [25, 20, 9]]
        pairs["occupied_min"] = [[40, 20, 20], [40, 20, 50]]
        self.set_regrets()
        self.payer = SimpleNamespace(
            pair_value=np.array([[[60.0, 100.0, 80.0], [70.0, 90.0, 110.0]]]), wait_value=np.array([-1.0])
        )
        self.batch = SimpleNamespace(world=world, batch_size=1, num_drivers=2, max_bookings=3)

    def set_regrets(self) -> None:
        pairs = self.world.pairs[0]
        for n in (0, 1):
            other = np.where(pairs["is_feasible"][1 - n] == 1, pairs["cost"][1 - n], NEVER)
            pairs["regret"][n] = other - pairs["cost"][n]
        self.world.drivers["num_feasible"][0] = pairs["is_feasible"].sum(axis=1)
        self.world.clocks["num_feasible"][0] = int(pairs["is_feasible"].sum())

    def forbid(self, driver: int, slot: int) -> None:
        self.world.pairs["is_feasible"][0, driver, slot] = 0
        self.set_regrets()

    def choice(self, policy) -> int:
        return int(policy.act(self.batch, self.payer)[0])


@pytest.fixture
def board():
    return Board()


D0_B1, D0_B0, D0_B2, D1_B1, D1_B0, D1_B2 = range(1, 7)
WAIT = 0


def test_waiting_for_ever_waits(board):
    assert board.choice(WaitForEver()) == WAIT


def test_first_come_first_served_takes_the_oldest_booking_and_the_driver_there_first(board):
    # b0 was released first; d0 is there at 488, d1 at 492
    assert board.choice(FirstComeFirstServed()) == D0_B0
    board.forbid(0, 1)
    assert board.choice(FirstComeFirstServed()) == D1_B0
    board.forbid(1, 1)
    # nobody can take b0; next is b1: d1 at 496
    assert board.choice(FirstComeFirstServed()) == D1_B1


def test_nearest_driver_takes_the_shortest_approach_of_all(board):
    assert board.choice(NearestDriver()) == D0_B2  # 2 km
    board.forbid(0, 2)
    assert board.choice(NearestDriver()) == D0_B0  # 4 km


def test_most_urgent_booking_is_the_one_whose_window_ends_first(board):
    # b1 ends at 500; d1 is there at 496, d0 at 498
    assert board.choice(MostUrgentBooking()) == D1_B1


def test_ties_go_to_the_lower_booking_then_to_the_lower_driver(board):
    board.world.bookings["release_min"][0] = 470
    board.world.pairs["pickup_min"][0] = 490
    # all three released at once: b0, which stands in slot 1; both drivers there at 490: d0
    assert board.choice(FirstComeFirstServed()) == D0_B0


def test_cheapest_insertion_takes_the_oldest_booking_and_the_cheapest_driver(board):
    board.world.pairs["cost"][0, 1, 1] = 11
    assert board.choice(CheapestInsertionAtRelease()) == D1_B0  # 11 against 12


def test_just_in_time_leaves_bookings_beyond_its_horizon_alone(board):
    board.world.bookings["latest_pickup_min"][0] = [580, 570, 560]  # b2 would be the most urgent, but is due in 60 min
    assert board.choice(InsertionJustInTime(horizon_min=30)) == D1_B1  # then b1; d1 costs 25, d0 30
    assert board.choice(InsertionJustInTime(horizon_min=60)) == D0_B2
    board.world.bookings["earliest_pickup_min"][0] = 540
    assert board.choice(InsertionJustInTime(horizon_min=30)) == WAIT


def test_regret_insertion_places_first_what_would_lose_most(board):
    # second best minus best: b0 20 - 12 = 8, b1 30 - 25 = 5, b2 9 - 8 = 1
    assert board.choice(RegretInsertionJustInTime(horizon_min=60)) == D0_B0
    board.forbid(0, 2)  # only d1 is left for b2: it comes before all others
    assert board.choice(RegretInsertionJustInTime(horizon_min=60)) == D1_B2


def test_best_immediate_reward_takes_what_pays_most_and_waits_when_waiting_pays_more(board):
    assert board.choice(BestImmediateReward()) == D1_B2  # 110
    board.payer.pair_value[:] = -5.0
    assert board.choice(BestImmediateReward()) == WAIT  # -1


UNPRICED = {
    "price_occupied_min": 0.0,
    "price_occupied_end_min": 0.0,
    "price_detour_min": 0.0,
    "threshold": -1.0,
    "threshold_end": -1.0,
}


def test_without_prices_the_priced_rule_is_the_best_immediate_reward(board):
    assert board.choice(BestRewardWithPrices(**UNPRICED)) == D1_B2


def test_a_price_for_driver_time_prefers_short_trips(board):
    rule = BestRewardWithPrices(**{**UNPRICED, "price_occupied_min": 1.0, "price_occupied_end_min": 1.0})
    # d1 b2: 110 - 50 = 60; d0 b0: 100 - 20 = 80; d0 b2: 80 - 20 = 60
    assert board.choice(rule) == D0_B0


def test_the_price_for_driver_time_goes_from_opening_to_closing(board):
    rule = BestRewardWithPrices(**{**UNPRICED, "price_occupied_min": 1.0})
    assert board.choice(rule) == D0_B0  # at 08:00 of 08:00-10:00 all of it counts
    board.world.clocks["now_min"] = 540.0
    # at 09:00 half: d1 b2 110 - 25 = 85; d0 b0 100 - 10 = 90
    assert board.choice(rule) == D0_B0
    board.world.clocks["now_min"] = 588.0
    # at 09:48 a tenth: 110 - 5 = 105; 100 - 2 = 98
    assert board.choice(rule) == D1_B2


def test_opportunity_keeps_a_driver_for_the_booking_that_needs_him(board):
    board.payer.pair_value[0] = [[100.0, 105.0, 0.0], [20.0, 95.0, 0.0]]
    free = BestRewardWithPrices(**UNPRICED)
    priced = BestRewardWithPrices(**{**UNPRICED, "price_opportunity": 1.0})
    assert board.choice(free) == D0_B0  # 105
    # without d0, b1 falls from 100 to 20: taking d0 for b0 costs 80, 105 - 80 = 25.
    # d0 b1: b0 falls from 105 to 95 without d0, 100 - 10 = 90. d1 b0: nobody needs d1, 95.
    assert board.choice(priced) == D1_B0


def test_a_later_driver_pays_for_the_detour(board):
    board.payer.pair_value[0] = [[0.0, 100.0, 0.0], [0.0, 101.0, 0.0]]
    assert board.choice(BestRewardWithPrices(**UNPRICED)) == D1_B0
    # d1 is at b0 at 492, d0 at 488: 101 - 4 x 0.5 = 99
    assert board.choice(BestRewardWithPrices(**{**UNPRICED, "price_detour_min": 0.5})) == D0_B0


def test_bookings_and_drivers_beyond_their_horizons_are_left_out(board):
    assert board.choice(BestRewardWithPrices(**{**UNPRICED, "horizon_min": 30.0})) == D0_B0  # b2 is due in 60 min
    board.world.drivers["free_min"][0] = [520.0, 480.0]
    rule = BestRewardWithPrices(**{**UNPRICED, "horizon_min": 30.0, "free_horizon_min": 20.0})
    assert board.choice(rule) == D1_B0  # d0 is free in 40 min only


def test_the_priced_rule_waits_unless_a_score_is_above_the_threshold(board):
    assert board.choice(BestRewardWithPrices(**{**UNPRICED, "threshold": 110.0})) == WAIT
    assert board.choice(BestRewardWithPrices(**{**UNPRICED, "threshold": 109.0})) == D1_B2


def test_matching_looks_at_all_bookings_at_once(board):
    board.payer.pair_value[0] = [[100.0, 105.0, 0.0], [20.0, 101.0, 0.0]]
    # d0 b1 + d1 b0 = 201 beats d0 b0 + d1 b1 = 125; of that matching d1 b0 (101) comes first
    assert board.choice(MatchingWithPrices(**UNPRICED)) == D1_B0
    assert board.choice(MatchingWithPrices(**{**UNPRICED, "threshold": 200.0})) == WAIT


def test_only_feasible_pairs_are_drawn(board):
    for driver, slot in ((0, 0), (0, 1), (1, 1), (1, 2)):
        board.forbid(driver, slot)
    drawn, never_waiting = set(), set()
    for decision in range(100):
        board.world.clocks["num_decisions"] = decision
        drawn.add(board.choice(RandomValid()))
        never_waiting.add(board.choice(RandomFeasiblePair()))
    assert drawn == {WAIT, D0_B2, D1_B1}
    assert never_waiting == {D0_B2, D1_B1}


def test_random_actions_cover_everything_and_can_be_repeated(board):
    def draws(seed):
        choices = []
        for decision in range(200):
            board.world.clocks["num_decisions"] = decision
            choices.append(board.choice(RandomAction(seed)))
        return choices

    assert set(draws(0)) == set(range(7))
    assert draws(0) == draws(0)
    assert draws(0) != draws(1)


@pytest.mark.parametrize("rule", RULES, ids=RULE_NAMES)
def test_without_a_feasible_pair_every_rule_but_the_blind_one_waits(board, rule):
    board.world.pairs["is_feasible"] = 0
    board.set_regrets()
    if rule is not RandomAction:
        assert board.choice(rule()) == WAIT


@pytest.mark.parametrize("rule", RULES, ids=RULE_NAMES)
def test_every_rule_says_what_it_does(rule):
    assert rule.name == rule.name.lower().replace(" ", "_")
    assert rule.description.endswith(".")
    assert rule.sees_backlog is False


def test_an_unknown_rule_or_setting_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown policy 'nearest_drivr'. Did you mean 'nearest_driver'\?"):
        rule_class("nearest_drivr")
    with pytest.raises(ValueError, match=r"unknown setting 'horizon'. Did you mean 'horizon_min'\?"):
        InsertionJustInTime(horizon=3)


def test_rules_that_choose_by_reward_need_one():
    without = {rule.name for rule in make_rules(has_reward=False)}
    assert "best_immediate_reward" not in without
    assert "nearest_driver" in without
    with pytest.raises(ValueError, match="Pass --reward v2"):
        make_rules(["best_immediate_reward"], has_reward=False)


def test_tuned_values_reach_the_rule():
    (rule,) = make_rules(["insertion_just_in_time"], {"insertion_just_in_time": {"horizon_min": 45.0}})
    assert rule.settings() == {"horizon_min": 45.0}


@pytest.mark.parametrize(("num_drivers", "num_slots"), [(1, 1), (3, 5), (5, 3), (5, 15), (14, 8)])
def test_the_matching_is_as_good_as_scipys(num_drivers, num_slots):
    rng = np.random.default_rng(num_drivers)
    slot_of = np.empty(num_drivers, np.int64)
    for _ in range(50):
        gains = np.maximum(rng.normal(0.0, 1.0, (num_drivers, num_slots)), 0.0)  # half of the pairs are worth nothing
        match(gains, num_drivers, num_slots, slot_of)
        matched = [(n, m) for n, m in enumerate(slot_of) if m >= 0]
        assert len({m for _, m in matched}) == len(matched)
        rows, columns = linear_sum_assignment(gains, maximize=True)
        assert sum(gains[pair] for pair in matched) == pytest.approx(gains[rows, columns].sum())


def test_of_the_matched_pairs_the_one_that_can_wait_least_may_come_first(board):
    board.payer.pair_value[0] = [[100.0, 105.0, 0.0], [20.0, 101.0, 0.0]]
    board.world.bookings["latest_pickup_min"][0, 1] = 485.0
    # matched: d0 b1 (100, can wait 5 min) and d1 b0 (101, can wait 30): 100 - 5 x 0.5 = 97.5 against 101 - 15 = 86
    assert board.choice(MatchingWithPrices(**UNPRICED)) == D1_B0
    assert board.choice(MatchingWithPrices(**{**UNPRICED, "order_slack_min": 0.5})) == D0_B1


def test_driver_time_is_dearer_when_the_drivers_are_booked_out(board):
    rule = BestRewardWithPrices(**{**UNPRICED, "price_occupied_load_min": 1.0})
    assert board.choice(rule) == D1_B2  # everybody is free: nothing is charged
    board.world.drivers["free_min"][0] = [510.0, 510.0]
    # both are free in half an hour, load 1: d1 b2 110 - 50 = 60; d0 b0 100 - 20 = 80
    assert board.choice(rule) == D0_B0


def test_a_booking_about_to_be_lost_has_a_last_chance(board):
    board.world.bookings["latest_pickup_min"][0, 1] = 484.0  # b1 expires before the next tick, at 485
    assert board.choice(BestRewardWithPrices(**{**UNPRICED, "price_last_chance": 10.0})) == D1_B2  # 70 + 30 < 110
    assert board.choice(BestRewardWithPrices(**{**UNPRICED, "price_last_chance": 20.0})) == D1_B1  # 70 + 60
