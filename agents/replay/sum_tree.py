"""A complete binary tree of sums over NumPy arrays, read and written in batches."""

from __future__ import annotations

import numpy as np


class SumTree:
    """
    Leaves with non-negative values; finds the leaf at which the running sum passes a given number.

    ``nodes[1]`` is the root, the children of k are 2k and 2k + 1, leaf i is ``nodes[capacity + i]`` with the capacity
    rounded up to a power of two. Each call works level by level on all its leaves at once.
    """

    def __init__(self, num_leaves: int) -> None:
        self.depth = max(num_leaves - 1, 1).bit_length()
        self.capacity = 2**self.depth
        self.nodes = np.zeros(2 * self.capacity, dtype=np.float64)

    @property
    def total(self) -> float:
        return float(self.nodes[1])

    def get(self, leaves: np.ndarray) -> np.ndarray:
        return self.nodes[leaves + self.capacity]

    def update(self, leaves: np.ndarray, values: np.ndarray) -> None:
        """Set leaves; where one is named twice, the last value counts."""
        at = np.asarray(leaves, dtype=np.int64) + self.capacity
        self.nodes[at] = values
        for _ in range(self.depth):
            at = at // 2
            if len(at) > 32:
                at = np.unique(at)
            self.nodes[at] = self.nodes[2 * at] + self.nodes[2 * at + 1]

    def find(self, sums: np.ndarray) -> np.ndarray:
        """For each number in [0, total), the leaf whose share of the running sum contains it; never an empty leaf."""
        at = np.ones(len(sums), dtype=np.int64)
        rest = np.array(sums, dtype=np.float64)
        for _ in range(self.depth):
            left, right = self.nodes[2 * at], self.nodes[2 * at + 1]
            # Rounding may push a number past the last filled leaf: stay left when the right side is empty.
            goes_right = (rest >= left) & (right > 0.0)
            rest -= np.where(goes_right, left, 0.0)
            at = 2 * at + goes_right
        return at - self.capacity
