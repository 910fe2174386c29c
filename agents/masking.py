"""What every masked agent shares: where the mask is, and arithmetic that survives it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch as th

from envs.observation import BOOKING_FEATURES

MASK_KEY = "action_mask"  # in the Dict observation; 1 = feasible, action 0 (wait) always


MASKINGS = ("feasible", "present", "none")

_AHEAD = BOOKING_FEATURES.index("minutes_until_earliest")
MAX_HORIZON_MIN = 120.0  # what the feature is divided by, and where it is cut off


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


def with_mask(obs: dict[str, Any], action_masks: np.ndarray | None) -> dict[str, Any]:
    """The observation with ``action_masks`` (sb3-contrib's convention), if given, in the place of its own mask."""
    if action_masks is None:
        return obs
    return {**obs, MASK_KEY: np.asarray(action_masks).reshape(np.shape(obs[MASK_KEY]))}


def mask_as_seen(obs: dict[str, Any], masking: str = "feasible", horizon_min: float | None = None) -> dict[str, Any]:
    """
    The observation with the mask that an agent of this ``masking`` goes by.

    Parameters
    ----------
    obs
        A batch of observations, leading axis B; or, with ``feasible``, a single one.
    masking
        ``feasible``: the mask as it is. ``present``: every pair of a driver and a booking that are there, feasible or
        not, and wait. ``none``: every action.
    horizon_min
        With ``feasible``: pairs of bookings whose earliest pickup is further ahead are left out; None leaves none out.
    """
    if masking == "feasible":
        if horizon_min is None:
            return obs
        mask, bookings = np.array(obs[MASK_KEY]), np.asarray(obs["bookings"])
        is_near = bookings[..., _AHEAD] <= np.float32(horizon_min / MAX_HORIZON_MIN)
        pairs = mask[..., 1:].reshape(*is_near.shape[:-1], -1, is_near.shape[-1])
        pairs &= is_near[..., None, :].astype(mask.dtype)
        return {**obs, MASK_KEY: mask}
    mask = np.ones_like(np.asarray(obs[MASK_KEY]))
    if masking == "present":
        drivers, bookings = (np.asarray(obs[key])[:, :, 0] > 0 for key in ("drivers", "bookings"))
        mask[:, 1:] = (drivers[:, :, None] & bookings[:, None, :]).reshape(len(mask), -1)
    return {**obs, MASK_KEY: mask}


def random_feasible(mask: np.ndarray) -> np.ndarray:
    """
    One action per row of ``mask``, uniform among the feasible; 0 (wait) where none is.

    Drawn from NumPy's global generator, which SB3 seeds.
    """
    return (np.random.random(mask.shape) * mask.astype(bool)).argmax(axis=1)
