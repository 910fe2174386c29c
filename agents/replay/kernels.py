"""Compiled inner loops of `agents.replay`: the walk along the clock, and unpacking stored masks and pair rows."""

from __future__ import annotations

import numpy as np

from envs.world.compiled import jit


@jit
def walk_along_clock(indices, num_envs, rewards, ticks, dones, is_open, gamma, n_ticks):
    """
    Returns over ``n_ticks`` from each transition of a flat ring; see ``ClockReplayBuffer.returns``.

    Returns
    -------
    total, discount, is_done, ends
        float64, float64, bool, int64, each of shape (len(indices),).
    """
    size = len(indices)
    total, discount = np.zeros(size), np.empty(size)
    is_done, ends = np.zeros(size, np.bool_), np.empty(size, np.int64)
    for i in range(size):
        at, passed, factor = indices[i], 0.0, 1.0
        while True:
            total[i] += factor * rewards[at]
            passed += ticks[at]
            factor = gamma**passed
            is_done[i] = dones[at]
            after = (at + num_envs) % len(rewards)
            goes_on = not dones[at] and not is_open[after] and passed < n_ticks - 1e-6
            at = after
            if not goes_on:
                break
        discount[i] = factor
        ends[i] = at
    return total, discount, is_done, ends


@jit
def unpack_masks(indices, mask_bits, mask):
    """Write the masks of these transitions, stored as bits, into ``mask`` (uint8, shape (B, num_actions))."""
    num_actions = mask.shape[1]
    for i in range(len(indices)):
        bits = mask_bits[indices[i]]
        for a in range(num_actions):
            mask[i, a] = (bits[a >> 3] >> (7 - (a & 7))) & 1


@jit
def gather_pair_rows(indices, mask, first_row, num_rows, arena, is_packed, pair_at, rows):
    """
    Copy the stored pair rows of these transitions into ``rows``, one behind the other or each at its dense place.

    ``pair_at`` (int64) gets the place, b * N*M + pair, of each.
    """
    num_pairs = mask.shape[1] - 1
    done = 0
    for i in range(len(indices)):
        source = first_row[indices[i]]
        if num_rows[indices[i]] == 0:
            continue
        for pair in range(num_pairs):
            if mask[i, pair + 1]:
                place = i * num_pairs + pair
                pair_at[done] = place
                target = done if is_packed else place
                for column in range(arena.shape[1]):
                    rows[target, column] = arena[source, column]
                source += 1
                done += 1
