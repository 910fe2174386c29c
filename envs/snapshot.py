"""What has been paid in days in play, as plain data and back: for checkpoints, beside ``DispatchBatch.snapshot``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

OBSERVED = ("pair_reward", "wait_reward")  # stand in the observation


def payer_state(payer: Any, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    """Copies of what the payer (`envs.vec_env.Payer`) keeps for each row: its arrays with a leading axis of rows."""
    return {name: array[rows] for name, array in _arrays_by_row(payer).items()}


def restore_payer(payer: Any, rows: npt.NDArray[np.int64], state: dict[str, npt.NDArray[Any]]) -> None:
    """Bring ``rows`` of a payer to ``payer_state``; its batch is restored before."""
    payer.reset(rows)  # makes room for the bookings of its batch
    arrays = _arrays_by_row(payer)
    for name, saved in state.items():
        place: Any = (rows, *(slice(0, size) for size in saved.shape[1:]))
        arrays[name][place] = saved


def _arrays_by_row(payer: Any) -> dict[str, npt.NDArray[Any]]:
    num_rows = len(payer.rewards)
    arrays = {name: value for name, value in vars(payer).items() if isinstance(value, np.ndarray)}
    return {name: array for name, array in arrays.items() if len(array) == num_rows and name not in OBSERVED}
