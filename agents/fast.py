"""
One decision of the pair network without PyTorch: the same arithmetic in NumPy.

At 5 x 15 PyTorch's dispatch of some hundred small operations takes most of a decision; see `studies.benchmark`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agents.candidates import Candidates
from agents.masking import MASK_KEY, as_booleans
from envs.world.compiled import jit

FloatArray = npt.NDArray[np.float32]
ArrayObs = Mapping[str, np.ndarray]
FEATURE_KEYS = {"drivers": "driver_input.row", "bookings": "booking_input.row", "pairs": "score_pair"}


class Advantages(NamedTuple):
    """Q - V of one observation's feasible actions, those that were scored."""

    at: npt.NDArray[np.int64]  # ascending, (scored pairs,): rows of ``pairs``; action - 1
    pairs: FloatArray  # (scored pairs,)
    wait: float

    def action(self, can_wait: bool) -> int:
        """The greedy action: the first of the best; 0 (wait) when nothing is feasible."""
        if not len(self.at):
            return 0
        best = int(self.pairs.argmax())
        if can_wait and self.wait >= self.pairs[best]:
            return 0
        return 1 + int(self.at[best])


class FastPairNetwork:
    """
    `agents.pair_network.PairQNetwork` for one observation; equal up to the rounding of single precision.

    Parameters
    ----------
    weights
        The network's ``state_dict`` as arrays, float32. They are read, not copied.
    pair_reward_scale, use_pair_reward
        As the network's. Its other settings show in the weights; ``dueling`` shifts all values alike and changes no
        choice.
    candidates
        Which pairs are scored when many are feasible; None scores all.
    """

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        pair_reward_scale: float = 1.0,
        use_pair_reward: bool = True,
        candidates: Candidates | None = None,
    ) -> None:
        self.weights = {name: np.asarray(array, np.float32) for name, array in weights.items()}
        self.pair_reward_scale, self.use_pair_reward = pair_reward_scale, use_pair_reward
        self.candidates = candidates
        self.pair_mixing = "rivals.of_pair.weight" in self.weights
        self.mixing: list[str] = []
        while f"mixing.{len(self.mixing)}.pool.0.weight" in self.weights:
            self.mixing.append(f"mixing.{len(self.mixing)}")
        self._transposed = {name: array.T for name, array in self.weights.items()}

    @classmethod
    def of(cls, net: Any, candidates: Candidates | None = None) -> FastPairNetwork:
        """Of a `PairQNetwork`; on a CPU it shares the weights, so it follows them as they are trained."""
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in net.state_dict().items()}
        return cls(weights, net.pair_reward_scale, net.use_pair_reward, candidates)

    # --- choosing -----------------------------------------------------------------------------------------------
    def action(self, obs: ArrayObs) -> int:
        """The greedy action of one observation (arrays without a batch axis)."""
        return self.advantages(obs).action(bool(obs[MASK_KEY][0]))

    def advantages(self, obs: ArrayObs) -> Advantages:
        """
        Score one observation (arrays without a batch axis).

        Raises
        ------
        ValueError
            When its rows have other features than the network was trained on.
        IndexError
            When a pair of an absent driver or booking is feasible.
        """
        self._check(obs)
        feasible = as_booleans(obs[MASK_KEY])[1:]
        num_feasible = np.count_nonzero(feasible)
        clock, num_slots = obs["clock"], len(obs["bookings"])
        drivers, driver_row = _present(obs["drivers"])
        bookings, booking_row = _present(obs["bookings"])
        d = self._mlp("driver_encoder", self._row_and_whole("driver_input", drivers, clock))
        b = self._mlp("booking_encoder", self._row_and_whole("booking_input", bookings, clock))

        num_drivers, num_bookings = max(1, len(d)), len(b)
        shares = np.log1p(np.array([num_bookings / num_drivers, num_feasible / num_drivers], np.float32))
        extra = np.concatenate([clock, shares])

        def pooled(pool: str) -> FloatArray:
            booking_sum = b.sum(axis=0)
            means = (d.sum(axis=0) / num_drivers, booking_sum / num_drivers, booking_sum / max(1, num_bookings))
            return self._mlp(pool, np.concatenate([*means, extra]))

        context = pooled("pool")
        for layer in self.mixing:
            d = d + self._row_and_whole(f"{layer}.driver_update", d, context)
            b = b + self._row_and_whole(f"{layer}.booking_update", b, context)
            context = context + pooled(f"{layer}.pool")

        is_pruned = self.candidates is not None and num_feasible > self.candidates.above
        at = self.candidates.places(obs) if is_pruned else np.flatnonzero(feasible)  # type: ignore[union-attr]
        driver, booking = driver_row[at // num_slots], booking_row[at % num_slots]
        if len(at) and min(driver.min(), booking.min()) < 0:
            raise IndexError("fast pair network: a pair of an absent driver or booking is feasible. Mend the mask.")
        of_driver = d @ self._transposed["score_driver.weight"]
        of_booking = b @ self._transposed["score_booking.weight"]
        of_booking += context @ self._transposed["score_context.weight"] + self.weights["score_pair.bias"]
        hidden = obs["pairs"][at] @ self._transposed["score_pair.weight"]
        hidden += of_driver[driver]
        hidden += of_booking[booking]
        np.maximum(hidden, 0.0, out=hidden)
        if self.pair_mixing:
            best_of_driver, best_of_booking = np.zeros_like(of_driver), np.zeros_like(of_booking)
            largest_hidden(
                feasible,
                np.ascontiguousarray(obs["pairs"]),
                np.ascontiguousarray(self._transposed["score_pair.weight"]),
                driver_row,
                booking_row,
                of_driver,
                of_booking,
                best_of_driver,
                best_of_booking,
            )
            mixed = self._linear("rivals.of_pair", hidden)
            mixed += (best_of_driver @ self._transposed["rivals.of_driver.weight"])[driver]
            mixed += (best_of_booking @ self._transposed["rivals.of_booking.weight"])[booking]
            hidden += np.maximum(mixed, 0.0, out=mixed)
        pairs = self._linear("score_head", self._mlp("score_hidden", hidden))[:, 0]
        wait = self._linear("wait_head", self._mlp("wait_hidden", context))[0]
        if self.use_pair_reward:
            pairs = pairs + np.float32(self.pair_reward_scale) * obs["pair_reward"][at]
            wait = wait + np.float32(self.pair_reward_scale) * obs["wait_reward"].reshape(-1)[0]
        return Advantages(at, pairs, float(wait))

    def _check(self, obs: ArrayObs) -> None:
        for key, layer in FEATURE_KEYS.items():
            trained, given = self.weights[f"{layer}.weight"].shape[1], obs[key].shape[-1]
            if obs[key].ndim != 2 or trained != given:
                raise ValueError(
                    f"fast pair network: trained on {trained} features per row of '{key}', got an array of shape "
                    f"{obs[key].shape}. Use the environment version that the model was trained on, one observation."
                )

    # --- layers -------------------------------------------------------------------------------------------------
    def _linear(self, name: str, rows: FloatArray) -> FloatArray:
        result = rows @ self._transposed[f"{name}.weight"]
        result += self.weights[f"{name}.bias"]
        return result

    def _mlp(self, name: str, rows: FloatArray) -> FloatArray:
        for index in count(0, 2):  # a ReLU stands between
            if f"{name}.{index}.weight" not in self.weights:
                return rows
            rows = self._linear(f"{name}.{index}", rows)
            np.maximum(rows, 0.0, out=rows)
        return rows

    def _row_and_whole(self, name: str, rows: FloatArray, whole: FloatArray) -> FloatArray:
        result = rows @ self._transposed[f"{name}.row.weight"]
        result += whole @ self._transposed[f"{name}.whole.weight"] + self.weights[f"{name}.row.bias"]
        return np.maximum(result, 0.0, out=result)


def _present(rows: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Rows whose presence flag is set, and where to find each place's row (-1: absent)."""
    is_present = rows[:, 0] > 0
    row = np.where(is_present, np.cumsum(is_present) - 1, -1)
    return rows[is_present], row


@jit
def largest_hidden(  # type: ignore[no-untyped-def]
    feasible, pairs, weight, driver_row, booking_row, of_driver, of_booking, best_of_driver, best_of_booking
):
    """
    The largest of each hidden unit over each driver's feasible pairs and over each booking's.

    ``hidden = relu(pairs @ weight + of_driver + of_booking)`` of all feasible pairs, never held together: at 200 x 1000
    it would be 51 MB, and moving that about takes longer than the arithmetic.
    """
    num_slots, width = len(booking_row), weight.shape[1]
    hidden = np.empty(width, np.float32)
    for row in range(len(feasible)):
        if not feasible[row]:
            continue
        n, m = driver_row[row // num_slots], booking_row[row % num_slots]
        if n < 0 or m < 0:
            raise IndexError
        for h in range(width):
            hidden[h] = of_driver[n, h] + of_booking[m, h]
        for feature in range(weight.shape[0]):
            value = pairs[row, feature]
            for h in range(width):
                hidden[h] += value * weight[feature, h]
        for h in range(width):
            best_of_driver[n, h] = max(best_of_driver[n, h], hidden[h])  # starts at 0, which is the ReLU
            best_of_booking[m, h] = max(best_of_booking[m, h], hidden[h])
