"""
Intervals for paired comparisons: policies play the same days, so the differences are taken day by day.

Days are the units that are drawn again (bootstrap). Rows that share a day (fleets, announcement seeds) form one
cluster and are drawn together; training seeds are drawn as well where several stand for one method.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 10_000
CONFIDENCE = 0.95
_CHUNK = 1_000  # resamples held at a time: 1000 x 500 days x 8 bytes = 4 MB

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """
    A mean with its bootstrap interval; ``p_value`` is two-sided, for a mean of zero.

    One day says nothing about other days: then ``low``, ``high`` and ``p_value`` are nan.
    """

    mean: float
    low: float
    high: float
    p_value: float
    num_days: int

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes zero (an undefined one does not)."""
        return bool(self.low > 0 or self.high < 0)


def clusters_of(labels: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """Number the distinct labels in the order of their first appearance: int64, shape (len(labels),)."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)


def bootstrap_mean(
    values: npt.ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """
    Mean of ``values`` with a percentile bootstrap interval over days.

    Parameters
    ----------
    values
        Shape (num_rows,), or (num_training_seeds, num_rows) when several trained models stand for one method. nan
        marks a row without a value (lateness of a day on which nobody was served) and is left out.
    clusters
        Label of each row's day; rows of one day are drawn together. None: each row is its own day.

    Notes
    -----
    Seeds and days are drawn independently (crossed design). Drawing S seeds again understates their variance by
    (S - 1) / S, a fifth at 5 seeds, so each seed's deviation from the mean is stretched by sqrt(S / (S - 1)) first.

    A p-value is at least 2^(1 - days), the smallest that a sign-flip test of so many paired days can have: the
    bootstrap alone would call three days of one sign significant.
    """
    table = np.atleast_2d(np.asarray(values, np.float64))
    rows = clusters_of(list(range(table.shape[1])) if clusters is None else clusters)
    if len(rows) != table.shape[1]:
        raise ValueError(
            f"bootstrap: {table.shape[1]} values but {len(rows)} cluster labels. Pass one label per value."
        )
    known = ~np.isnan(table).any(axis=0)
    table, rows = table[:, known], clusters_of(rows[known].tolist())
    if table.size == 0:
        return Interval(np.nan, np.nan, np.nan, np.nan, 0)
    num_seeds, num_days = len(table), int(rows.max()) + 1
    mean = float(table.mean())
    if num_days == 1:
        return Interval(mean, np.nan, np.nan, np.nan, 1)
    if num_seeds > 1:
        of_seed = table.mean(axis=1, keepdims=True)
        table = table + (of_seed - mean) * (np.sqrt(num_seeds / (num_seeds - 1)) - 1.0)
    sums = np.stack([np.bincount(rows, weights=row, minlength=num_days) for row in table]).astype(np.float64)
    sizes = np.bincount(rows, minlength=num_days).astype(np.float64)
    means = _resampled_means(sums, sizes, seed, num_resamples)
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    at_most_zero, at_least_zero = (means <= 0).sum(), (means >= 0).sum()
    p_value = min(1.0, max(2 * (min(at_most_zero, at_least_zero) + 1) / (num_resamples + 1), 2.0 ** (1 - num_days)))
    return Interval(mean, float(low), float(high), float(p_value), num_days)


def _resampled_means(sums: FloatArray, sizes: FloatArray, seed: int, num_resamples: int) -> FloatArray:
    """Means of resampled seeds x days; ``sums`` is (seeds, days), ``sizes`` the rows of each day."""
    rng = np.random.default_rng(seed)
    num_seeds, num_days = sums.shape
    means = np.empty(num_resamples)
    for start in range(0, num_resamples, _CHUNK):
        size = min(_CHUNK, num_resamples - start)
        days = _draw_counts(rng, size, num_days)
        if num_seeds == 1:
            totals = days @ sums[0]
        else:
            totals = ((_draw_counts(rng, size, num_seeds) / num_seeds) @ sums * days).sum(axis=1)
        means[start : start + size] = totals / (days @ sizes)
    return means


def _draw_counts(rng: np.random.Generator, size: int, number: int) -> FloatArray:
    """How often each of ``number`` units comes up when as many are drawn with replacement: shape (size, number)."""
    draws = rng.integers(0, number, (size, number)) + number * np.arange(size)[:, None]
    return np.bincount(draws.ravel(), minlength=size * number).reshape(size, number).astype(np.float64)


def paired_difference(
    values: npt.ArrayLike, reference: npt.ArrayLike, clusters: Sequence[Hashable] | None = None
) -> Interval:
    """`bootstrap_mean` of ``values - reference``, rows of the same days in the same order."""
    return bootstrap_mean(np.asarray(values, np.float64) - np.asarray(reference, np.float64), clusters)


def holm(p_values: Sequence[float]) -> list[float]:
    """
    Holm's step-down correction: p-values that may be compared with 0.05 although many were computed.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none may fall below the one before it.
    """
    adjusted = [float("nan")] * len(p_values)
    known = sorted((p, i) for i, p in enumerate(p_values) if not np.isnan(p))
    floor = 0.0
    for rank, (p, i) in enumerate(known):
        floor = max(floor, min(1.0, p * (len(known) - rank)))
        adjusted[i] = floor
    return adjusted


def relative_change(difference: float, reference: Interval) -> float | None:
    """``difference`` as a share of ``reference``, or None where a share says nothing: a base near zero or negative."""
    if not reference.low > 0 or reference.mean < 4 * (reference.mean - reference.low):
        return None
    return difference / reference.mean
