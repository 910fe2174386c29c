"""What every masked agent shares: where the mask is, and arithmetic that survives it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch as th

MASK_KEY = "action_mask"  # in the Dict observation; 1 = feasible, action 0 (wait) always


@cache
def infeasible_value(dtype: th.dtype) -> float:
    """Q-value of an infeasible action: the most negative finite number, since -inf x 0 at a terminal step is NaN."""
    return float(th.finfo(dtype).min)


def as_booleans(mask: np.ndarray) -> np.ndarray:
    """``mask`` as booleans; a mask of bytes, as the environments write it, is looked at and not copied."""
    mask = np.asarray(mask)
    return mask.view(np.bool_) if mask.dtype in (np.int8, np.uint8) else mask.astype(np.bool_, copy=False)


def masked_values(q_values: th.Tensor, mask: th.Tensor) -> th.Tensor:
    """``q_values`` with infeasible actions at the most negative float."""
    return q_values.masked_fill(~mask.bool(), infeasible_value(q_values.dtype))


def random_feasible(mask: np.ndarray) -> np.ndarray:
    """
    One action per row of ``mask``, uniform among the feasible; 0 (wait) where none is.

    Drawn from NumPy's global generator, which SB3 seeds.
    """
    return (np.random.random(mask.shape) * mask.astype(bool)).argmax(axis=1)
