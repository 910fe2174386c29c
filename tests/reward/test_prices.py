"""Prices by hand, that they change what is shown and not what is paid, and that an agent starts as their rule."""

from __future__ import annotations

import numpy as np
import pytest

from agents.maskable_dqn import MaskableDQN
from baselines import rule_class
from envs.vec_env import DispatchVecEnv
from reward import PairPrices, RewardFunction
from reward.prices import SCORE_BOUND
from tests.reward.worlds import LineBatch, booking, driver, line_day

PRICES = {
    "price_priority": 9.0,
    "price_occupied_min": 0.8,
    "price_occupied_end_min": 0.4,
    "price_delay_min": 0.1,
    "free_horizon_min": 60.0,
    "horizon_min": 90.0,
    "threshold": 60.0,
    "threshold_end": -40.0,
}


def one_pair() -> LineBatch:
    #   km   0    2    5
    #        d0   b0   its end        30 km/h: 2 min a km; released and open at 08:00, window 08:00-08:40
    return LineBatch(line_day([booking("b0", 2, 5, 480, 520, priority=3)], [driver("d0")]), inserts=0)


def test_score_by_hand():
    batch = one_pair()
    payer = RewardFunction.load("v2").attach(batch)
    payer.price_pairs()
    prices = {"price_occupied_min": 2.0, "price_priority": 5.0, "price_delay_min": 1.0, "threshold": 30.0}
    scores, thresholds = PairPrices(prices).score(batch.world, payer.pair_value)
    # What it pays + 5 x priority 3 - 2 x (4 min to the pickup + 6 min ride) - 1 x 4 min until the pickup. At opening.
    assert scores[0, 0, 0] == pytest.approx(payer.pair_value[0, 0, 0] + 15.0 - 20.0 - 4.0)
    assert np.isneginf(scores[0, 0, 1:]).all()
    assert thresholds.tolist() == [30.0]


def test_shown_are_scores_and_paid_is_what_was_paid():
    plain, priced = one_pair(), one_pair()
    payers = [RewardFunction.load("v2").attach(plain), RewardFunction.load("v2", prices=PRICES).attach(priced)]
    for payer in payers:
        payer.reset(0)
        payer.price_pairs()
    scores, thresholds = PairPrices(PRICES).score(priced.world, payers[1].pair_value)
    assert payers[1].function.bound == SCORE_BOUND
    assert payers[1].pair_reward[0] == pytest.approx([scores[0, 0, 0] / SCORE_BOUND, 0.0, 0.0, 0.0], rel=1e-6)
    assert payers[1].wait_reward[0, 0] == pytest.approx(thresholds[0] / SCORE_BOUND)
    assert (payers[0].pair_value == payers[1].pair_value).all()
    for batch in (plain, priced):
        batch.step(batch.action(0, 0))
    assert payers[0].pay()[0] == payers[1].pay()[0] != 0.0


def test_feasible_pair_that_the_rule_would_not_look_at_is_shown_as_the_worst():
    batch = one_pair()
    function = RewardFunction.load("v2", prices={**PRICES, "horizon_min": -1.0})  # the earliest pickup is now
    payer = function.attach(batch)
    payer.price_pairs()
    assert payer.pair_reward[0].tolist() == [-1.0, 0.0, 0.0, 0.0]


def test_untrained_agent_chooses_as_the_rule_of_its_prices():
    rule = rule_class("best_reward_with_prices")(**PRICES)
    env = DispatchVecEnv(32, reward_function=RewardFunction.load("v2", prices=rule.settings()), seed=3)
    model = MaskableDQN("PairPolicy", env, buffer_size=100, policy_kwargs={"width": 8}, seed=0, device="cpu")
    assert model.prices == rule.settings()
    obs = env.reset()
    chosen = set()
    for _ in range(40):
        actions = rule.act(env.batch, env.payer)
        assert (model.predict(obs, deterministic=True)[0] == actions).all()
        chosen |= set((actions > 0).tolist())
        obs, *_ = env.step(actions)
    assert chosen == {False, True}


def test_unknown_name_is_an_error():
    with pytest.raises(ValueError, match=r"prices: unknown name 'ocupied_min'. Known: priority, occupied_min"):
        PairPrices({"price_ocupied_min": 1.0})
    with pytest.raises(ValueError, match=r"prices: expected numbers by name, got 'best_reward_with_prices'"):
        RewardFunction.load("v2", prices="best_reward_with_prices")  # type: ignore[arg-type]


def test_equal_by_value():
    assert PairPrices(PRICES) == PairPrices({name.removeprefix("price_"): value for name, value in PRICES.items()})
    assert PairPrices(PRICES) != PairPrices({**PRICES, "threshold": 61.0})
    plain, priced = RewardFunction.load("v2"), RewardFunction.load("v2", prices=PRICES)
    assert priced.shows_as(RewardFunction.load("v2", prices=PRICES))
    assert not priced.shows_as(plain) and not plain.shows_as(priced)
