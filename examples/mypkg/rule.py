"""A rule: says what to do on many days at once. ``--policies soonest_pickup`` names it."""

from typing import Any

import numpy as np

from baselines.policy import Policy


class SoonestPickup(Policy):
    name = "soonest_pickup"
    description = (
        "Of all feasible pairs, the one with the soonest pickup. Ties: lower driver row, then lower slot. Waits only "
        "without a feasible pair."
    )

    def act(self, batch: Any, payer: Any = None) -> np.ndarray:
        pairs = batch.world.pairs  # a record for each day, driver and slot; see envs.world.records.PAIR
        pickup_min = np.where(pairs["is_feasible"] == 1, pairs["pickup_min"], np.inf).reshape(batch.batch_size, -1)
        can_act = np.isfinite(pickup_min.min(axis=1)) & ~batch.is_done
        return np.where(can_act, 1 + pickup_min.argmin(axis=1), 0)
