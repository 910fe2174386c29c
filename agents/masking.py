"""What every masked agent shares: where the mask is, and arithmetic that survives it. Nothing here needs PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from envs.observation import BOOKING_FEATURES

if TYPE_CHECKING:
    import torch as th

MASK_KEY = "action_mask"  # in the Dict observation; 1 = feasible, action 0 (wait) always
# Q-value of an infeasible action: the most negative finite number, since -inf x 0 at a terminal step is NaN.
INFEASIBLE = float(np.finfo(np.float32).min)
MAX_HORIZON_MIN = 120.0  # what the feature below is divided by, and where it is cut off
_AHEAD = BOOKING_FEATURES.index("minutes_until_earliest")


def as_booleans(mask: np.ndarray) -> np.ndarray:
    """``mask`` as booleans; a mask of bytes, as the environments write it, is looked at and not copied."""
    mask = np.asarray(mask)
    return mask.view(np.bool_) if mask.dtype in (np.int8, np.uint8) else mask.astype(np.bool_, copy=False)


def masked_values(q_values: th.Tensor, mask: th.Tensor) -> th.Tensor:
    """``q_values`` with infeasible actions at `INFEASIBLE`."""
    return q_values.masked_fill(~mask.bool(), INFEASIBLE)


def with_mask(obs: dict[str, Any], action_masks: np.ndarray | None) -> dict[str, Any]:
    """The observation with ``action_masks`` (sb3-contrib's convention), if given, in the place of its own mask."""
    if action_masks is None:
        return obs
    return {**obs, MASK_KEY: np.asarray(action_masks).reshape(np.shape(obs[MASK_KEY]))}


def mask_within(obs: dict[str, Any], horizon_min: float | None) -> dict[str, Any]:
    """
    The observation, or batch of them, without the pairs of bookings whose earliest pickup is further ahead than this.

    ``None`` leaves none out. The mask given is not written to.
    """
    if horizon_min is None:
        return obs
    mask, bookings = np.array(obs[MASK_KEY]), np.asarray(obs["bookings"])
    is_near = bookings[..., _AHEAD] <= np.float32(horizon_min / MAX_HORIZON_MIN)
    pairs = mask[..., 1:].reshape(*is_near.shape[:-1], -1, is_near.shape[-1])
    pairs &= is_near[..., None, :].astype(mask.dtype)
    return {**obs, MASK_KEY: mask}


def random_feasible(mask: np.ndarray) -> np.ndarray:
    """
    One action per row of ``mask``, uniform among the feasible; 0 (wait) where none is.

    Drawn from NumPy's global generator, which SB3 seeds.
    """
    return (np.random.random(mask.shape) * mask.astype(bool)).argmax(axis=1)
