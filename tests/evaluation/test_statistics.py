"""Bootstrap intervals and corrections, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.statistics import Interval, bootstrap_mean, holm, paired_difference, relative_change


def test_interval_of_a_mean_agrees_with_the_normal_one_on_many_days():
    values = np.random.default_rng(0).normal(10.0, 5.0, 400)
    interval = bootstrap_mean(values)
    # mean +- 1.96 x std / sqrt(400)
    half_width = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.05)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.05)
    assert interval.num_days == 400


def test_pairing_takes_out_what_the_days_share():
    rng = np.random.default_rng(1)
    day_effect = rng.normal(0.0, 1000.0, 200)
    interval = paired_difference(day_effect + 3.0 + rng.normal(0, 1, 200), day_effect)
    # the days differ by 1000, the policies by 3 +- 1: 3 +- 1.96 / sqrt(200) = 3 +- 0.14
    assert interval.is_significant
    assert interval.low == pytest.approx(3 - 0.14, abs=0.15)


def test_equal_policies_do_not_differ():
    interval = paired_difference(np.arange(20.0), np.arange(20.0))
    assert (interval.mean, interval.low, interval.high, interval.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert not interval.is_significant


def test_rows_of_one_day_are_drawn_together():
    days = np.random.default_rng(2).normal(0.0, 1.0, 50)
    copies = np.repeat(days, 4)  # four fleets that behave alike bring no new information
    apart = bootstrap_mean(copies)
    together = bootstrap_mean(copies, np.repeat(np.arange(50), 4).tolist())
    # 50 days instead of 200: twice the width
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2.0, rel=0.1)
    assert together.num_days == 50


def test_clusters_of_different_size_keep_the_mean_over_rows():
    # day 'a' brings three rows, day 'b' one: (3 x 1 + 5) / 4
    interval = bootstrap_mean([1, 1, 1, 5], ["a", "a", "a", "b"])
    assert interval.mean == pytest.approx(2.0)
    assert (interval.low, interval.high) == (1.0, 5.0)  # both draws may be 'a', or both 'b'


def test_training_seeds_widen_the_interval():
    rng = np.random.default_rng(3)
    of_seed = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
    table = of_seed + rng.normal(0.0, 1.0, (5, 2000))
    interval = bootstrap_mean(table)
    # sample std of the seeds sqrt(10 / 4) = 1.58, over sqrt(5): standard error 0.71; the days add next to nothing
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.71, rel=0.1)
    assert bootstrap_mean(table.mean(axis=0)).high < 0.2  # the days alone would promise far too much


def test_rows_without_a_value_are_left_out():
    assert bootstrap_mean([1.0, np.nan, 3.0]).mean == pytest.approx(2.0)
    assert bootstrap_mean([1.0, np.nan, 3.0]).num_days == 2
    assert np.isnan(bootstrap_mean([np.nan]).mean)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(4).normal(size=30)
    assert bootstrap_mean(values, seed=7) == bootstrap_mean(values, seed=7)
    assert bootstrap_mean(values, seed=7) != bootstrap_mean(values, seed=8)


def test_one_label_per_row_is_asked_for():
    with pytest.raises(ValueError, match="3 values but 2 cluster labels"):
        bootstrap_mean([1, 2, 3], ["a", "b"])


def test_holm_multiplies_the_smallest_most():
    # 0.01 x 3 = 0.03; 0.03 x 2 = 0.06; 0.04 x 1 = 0.04 may not fall below 0.06
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_no_percentage_of_a_number_near_zero_or_negative():
    assert relative_change(5.0, Interval(100.0, 95.0, 105.0, 0.0, 50)) == pytest.approx(0.05)
    assert relative_change(5.0, Interval(-100.0, -105.0, -95.0, 0.0, 50)) is None
    assert relative_change(5.0, Interval(3.0, -9.0, 15.0, 0.6, 50)) is None
    assert relative_change(5.0, Interval(10.0, 1.0, 19.0, 0.03, 50)) is None  # above zero, but hardly


def test_one_day_has_no_interval():
    interval = bootstrap_mean([5.0, 7.0], ["monday", "monday"])
    assert interval.mean == 6.0
    assert np.isnan([interval.low, interval.high, interval.p_value]).all()
    assert not interval.is_significant


def test_few_days_of_one_sign_are_not_enough():
    # Three days ahead: a coin does that in one of four throws of three (all heads or all tails), 2^(1 - 3).
    assert bootstrap_mean([5.0, 6.0, 7.0]).p_value == pytest.approx(0.25)
    assert bootstrap_mean([5.0, 6.0, 7.0] * 4).p_value == pytest.approx(2.0**-11)
