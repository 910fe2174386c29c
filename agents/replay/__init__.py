"""
Replay memory for Dict observations with an action mask: compact, n-step by the clock, optionally prioritized.

`ClockReplayBuffer` draws uniformly, `PrioritizedClockReplayBuffer` by TD error (Schaul et al. 2016). Saved models and
YAML files name both as ``agents.replay.*``, so they stay in this file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import BaseBuffer, ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize

from agents.masking import MASK_KEY
from agents.replay.kernels import gather_pair_rows, unpack_masks, walk_along_clock
from agents.replay.sum_tree import SumTree

Self = TypeVar("Self", bound="ClockReplayBuffer")
PAIR_KEYS = ("pairs", "pair_reward")  # one row per (driver, booking): kept for feasible pairs only
EXACT_KEYS = ("clock", "wait_reward")  # few numbers, and float16 would blur the time of day to 0.7 min
PAIR_AT = "pair_at"  # key of a packed observation: where its pair rows belong
MAX_MEMORY_SHARE = 0.5  # of the machine's memory, as design.md asks


def machine_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's limit if that is lower."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")  # cgroup v2; says "max" when there is none
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(memory, int(text)) if text.isdigit() else memory


class ClockSamples(NamedTuple):
    """
    A batch of B transitions, each a return over up to ``n_ticks`` of the clock.

    ``next_observations`` holds only the rows that bootstrap: row k belongs to transition ``bootstraps[k]``. Returns
    that reach the end of an episode have no row there.
    """

    observations: dict[str, th.Tensor]
    actions: th.Tensor  # int64, (B, 1)
    next_observations: dict[str, th.Tensor]
    bootstraps: th.Tensor  # int64, (number of returns that don't reach the episode's end,)
    dones: th.Tensor  # float32, (B, 1)
    rewards: th.Tensor  # float32, (B, 1): discounted sum along the return
    discounts: th.Tensor  # float32, (B, 1): product of the discounts along the return
    weights: th.Tensor  # float32, (B, 1): importance weights, 1 when drawn uniformly
    indices: np.ndarray  # int64, (B,): names of the transitions, for update_priorities


class ClockReplayBuffer(ReplayBuffer):
    """
    Ring of steps x environments that stores each observation once and measures returns by the clock.

    *Storage.* The next observation of a step is its neighbour. Pair features and pair rewards are kept in half
    precision and only for feasible pairs, in one arena of rows; the mask is kept as bits. The arena has room for
    ``pair_fill`` of all N*M pairs per step on average. Where days are denser, the oldest steps make room earlier:
    ``size()`` falls below ``buffer_size``, nothing else changes.

    *Returns.* A step lasts ``infos[i]["elapsed_min"]`` minutes (one tick when the environment doesn't say) and is
    discounted by ``gamma ** (elapsed_min / tick_min)``, so a decision that costs no time is not discounted. With
    rewards r_k and discounts g_k, a sample holds ``r_0 + g_0 r_1 + g_0 g_1 r_2 + ...`` and the product of all g. The
    sum ends with the first step at which ``n_ticks`` have passed, or with the episode. ``n_ticks=0`` is the one-step
    return.

    *Ends.* A terminated step has no next observation and needs none. The step before a seam (truncation by a time
    limit, a reset from outside, a resumed run, the write head) has a next observation that isn't stored: it is never
    drawn, and returns that come up to it end before it and bootstrap there. So a truncated episode is never taken for
    a terminated one, at the price of its last transition.

    Differs from SB3's buffers: samples are :class:`ClockSamples`; ``sample`` draws the environment together with the
    step; no ``VecNormalize`` (scale rewards with ``MaskableDQN(reward_scale=)``).

    Parameters
    ----------
    buffer_size
        Transitions over all environments.
    gamma, n_ticks, tick_min
        Discount per tick, length of a return in ticks, minutes of a tick.
    pair_fill
        Share of the N*M pairs that is feasible on average, in (0, 1].
    packed
        Samples carry pair rows of feasible pairs only, with ``pair_at`` = b * N*M + pair (what `PairQNetwork` wants);
        otherwise dense arrays with zero rows for infeasible pairs.

    Raises
    ------
    MemoryError
        When the buffer is larger than half of the machine's memory; the message names the size that fits.
    """

    observation_space: spaces.Dict
    # made by `allocate`, shapes in `_layout`
    mask_bits: np.ndarray
    is_open: np.ndarray
    ticks: np.ndarray
    first_row: np.ndarray
    num_rows: np.ndarray
    block_start: np.ndarray
    arena: np.ndarray

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        device: th.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        gamma: float = 0.99,
        n_ticks: float = 0.0,
        tick_min: float = 5.0,
        pair_fill: float = 0.4,
        packed: bool = False,
    ) -> None:
        BaseBuffer.__init__(self, buffer_size, observation_space, action_space, device, n_envs=n_envs)
        if not isinstance(observation_space, spaces.Dict) or MASK_KEY not in observation_space.spaces:
            raise ValueError(f"replay buffer: expected a Dict observation with '{MASK_KEY}', got {observation_space}.")
        if not 0.0 < pair_fill <= 1.0:
            raise ValueError(f"replay buffer: pair_fill is a share in (0, 1], got {pair_fill}.")
        self.optimize_memory_usage = optimize_memory_usage
        self.handle_timeout_termination = handle_timeout_termination
        self.gamma, self.n_ticks, self.tick_min, self.packed = gamma, n_ticks, tick_min, packed
        self.buffer_size = max(buffer_size // n_envs, 2)  # steps; each holds n_envs transitions

        self.num_actions = int(action_space.n)
        self.num_pairs = self.num_actions - 1
        self.shapes = {key: cast(tuple[int, ...], space.shape) for key, space in observation_space.spaces.items()}
        self.pair_shapes = {key: self.shapes[key][1:] for key in PAIR_KEYS if key in self.shapes}
        self.pair_width = sum(int(np.prod(shape, dtype=int)) for shape in self.pair_shapes.values())
        block = self.num_pairs * n_envs
        self.arena_rows = max(int(pair_fill * block * self.buffer_size), block) + block if self.pair_shapes else 0
        self._arrays_made = False
        self.reset()

    # --- memory -------------------------------------------------------------------------------------------------
    def _layout(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        ring = (self.buffer_size, self.n_envs)
        layout: dict[str, tuple[tuple[int, ...], Any]] = {
            "mask_bits": ((*ring, (self.num_actions + 7) // 8), np.uint8),
            "actions": (ring, np.int32),
            "rewards": (ring, np.float32),
            "ticks": (ring, np.float32),
            "dones": (ring, np.bool_),
            "is_open": (ring, np.bool_),  # the next observation isn't stored (yet)
            "first_row": (ring, np.int64),
            "num_rows": (ring, np.int32),
            "block_start": ((self.buffer_size,), np.int64),
            "arena": ((self.arena_rows, self.pair_width), np.float16),
        }
        for key, space in self.observation_space.spaces.items():
            if key != MASK_KEY and key not in self.pair_shapes:
                is_float = np.issubdtype(space.dtype, np.floating)
                dtype = (np.float32 if key in EXACT_KEYS else np.float16) if is_float else space.dtype
                layout[f"obs_{key}"] = ((*ring, *self.shapes[key]), dtype)
        return layout

    @property
    def nbytes(self) -> int:
        """Bytes of the whole buffer, whether allocated yet or not."""
        return sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in self._layout().values())

    @property
    def bytes_per_transition(self) -> float:
        return self.nbytes / (self.buffer_size * self.n_envs)

    def allocate(self) -> None:
        """Make the arrays; done by the first ``add`` too, so that a model that only predicts needs no memory."""
        allowed = MAX_MEMORY_SHARE * machine_memory()
        if self.nbytes > allowed:
            fits = int(allowed / self.bytes_per_transition) // self.n_envs * self.n_envs
            raise MemoryError(
                f"replay buffer: {self.buffer_size * self.n_envs} transitions of {self.bytes_per_transition:.0f} bytes "
                f"need {self.nbytes / 1e9:.1f} GB, and half of this machine's memory is {allowed / 1e9:.1f} GB. "
                f"Pass buffer_size={fits} or less."
            )
        for name, (shape, dtype) in self._layout().items():
            setattr(self, name, np.zeros(shape, dtype=dtype))
        self._arrays_made = True

    def reset(self) -> None:
        self.head = 0  # steps ever added
        self.tail = 0  # oldest step still held
        self.written_rows = 0  # arena rows ever written, those skipped at the end of the arena included
        self._expected: dict[str, np.ndarray] | None = None  # the observation that would continue the newest step
        self.pos, self.full = 0, False

    def size(self) -> int:
        """Steps held (each of ``n_envs`` transitions), as in SB3."""
        return self.head - self.tail

    def continues_with(self, obs: dict[str, np.ndarray]) -> None:
        """After loading: the environments stand where they stood, and the newest step leads to this observation."""
        self._expected = obs

    def moved_to(self: Self, device: th.device | str) -> Self:
        """The same buffer, whose samples go to this device."""
        self.device = th.device(device)
        return self

    def __getstate__(self) -> dict[str, Any]:
        # Unless told otherwise (`continues_with`), the environment starts anew: what comes next doesn't continue this.
        state = {**self.__dict__, "_expected": None}
        if self._arrays_made:  # rows never written need not be kept
            for name in self._layout():
                state[name] = state[name][: self.written_rows if name == "arena" else self.head]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._arrays_made:
            for name, (shape, dtype) in self._layout().items():
                written = state[name]
                if len(written) < shape[0]:
                    setattr(self, name, np.zeros(shape, dtype))
                    getattr(self, name)[: len(written)] = written

    # --- writing ------------------------------------------------------------------------------------------------
    def add(  # type: ignore[override]
        self,
        obs: dict[str, np.ndarray],
        next_obs: dict[str, np.ndarray],
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """
        Store one step of every environment.

        Raises
        ------
        ValueError
            When an action is infeasible, or the number of environments isn't the one the buffer was made for.
        """
        if not self._arrays_made:
            self.allocate()
        mask = np.asarray(obs[MASK_KEY]).astype(bool)
        action = np.asarray(action).reshape(-1)
        if len(mask) != self.n_envs:
            raise ValueError(
                f"replay buffer: made for {self.n_envs} environments, got {len(mask)}. "
                "Resume with the same n_envs, or without the old buffer."
            )
        if not mask[np.arange(self.n_envs), action].all():
            env = int(np.flatnonzero(~mask[np.arange(self.n_envs), action])[0])
            raise ValueError(f"replay buffer: environment {env} was given action {action[env]}, which is infeasible.")
        self._close_newest(obs)

        slot = self.head % self.buffer_size
        if self.head - self.tail == self.buffer_size:
            self._drop_oldest()
        self._write_pairs(slot, obs, mask)
        for key, shape in self.shapes.items():
            if key != MASK_KEY and key not in self.pair_shapes:
                getattr(self, f"obs_{key}")[slot] = np.asarray(obs[key]).reshape(self.n_envs, *shape)
        self.mask_bits[slot] = np.packbits(mask, axis=1)
        self.actions[slot] = action
        self.rewards[slot] = reward
        self.ticks[slot] = [info.get("elapsed_min", self.tick_min) / self.tick_min for info in infos]
        truncated = np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos])
        done = np.asarray(done).astype(bool)
        self.dones[slot] = done & ~truncated
        self.is_open[slot] = ~done | truncated
        self._closed(slot, done & ~truncated)

        # A step that is done never continues; others continue with exactly this observation.
        self._may_continue = ~done
        self._expected = next_obs
        self.head += 1
        self.pos, self.full = self.head % self.buffer_size, self.head >= self.buffer_size

    def _close_newest(self, obs: dict[str, np.ndarray]) -> None:
        """The newest step gets its next observation, where ``obs`` really continues it."""
        if self._expected is None or self.head == 0:
            return
        closes = self._may_continue.copy()
        if obs is not self._expected:
            for key, value in obs.items():
                same = np.asarray(value) == np.asarray(self._expected[key])
                closes &= same.reshape(self.n_envs, -1).all(axis=1)
        slot = (self.head - 1) % self.buffer_size
        self.is_open[slot] &= ~closes
        self._closed(slot, closes)

    def _write_pairs(self, slot: int, obs: dict[str, np.ndarray], mask: np.ndarray) -> None:
        counts = mask[:, 1:].sum(axis=1)
        total = int(counts.sum()) if self.pair_shapes else 0
        if total and self.written_rows % self.arena_rows + total > self.arena_rows:
            self.written_rows += -self.written_rows % self.arena_rows  # a block never straddles the end
        while self.tail < self.head and self._oldest_block() < self.written_rows + total - self.arena_rows:
            self._drop_oldest()
        self.block_start[slot] = self.written_rows
        self.num_rows[slot] = counts
        if not total:
            return
        start = self.written_rows % self.arena_rows
        self.first_row[slot] = start + np.cumsum(counts) - counts
        flat, column = np.flatnonzero(mask[:, 1:]), 0
        for key, shape in self.pair_shapes.items():
            width = int(np.prod(shape, dtype=int))
            rows = np.asarray(obs[key]).reshape(self.n_envs * self.num_pairs, width)[flat]
            self.arena[start : start + total, column : column + width] = rows
            column += width
        self.written_rows += total

    def _oldest_block(self) -> int:
        return int(self.block_start[self.tail % self.buffer_size])

    def _drop_oldest(self) -> None:
        self._dropped(self.tail % self.buffer_size)
        self.tail += 1

    def _closed(self, slot: int, envs: np.ndarray) -> None:
        """The transitions of these environments (booleans) can be drawn from now on."""

    def _dropped(self, slot: int) -> None:
        """The transitions of this slot can't be drawn any more."""

    # --- drawing ------------------------------------------------------------------------------------------------
    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ClockSamples:  # type: ignore[override]
        if env is not None:
            raise ValueError("replay buffer: VecNormalize isn't supported. Scale rewards with reward_scale instead.")
        indices, weights = self._draw(batch_size)
        return self._get_samples(indices, weights)  # type: ignore[arg-type]

    def _draw(self, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Uniform over the transitions whose next observation is known: draw, and draw again where it isn't."""
        is_open, count = self.is_open.reshape(-1), self.size() * self.n_envs
        indices = np.zeros(batch_size, dtype=np.int64)
        missing = np.arange(batch_size)
        for _ in range(1000):
            drawn = np.random.randint(0, max(count, 1), size=len(missing)) + self.tail * self.n_envs
            indices[missing] = drawn % is_open.size
            missing = missing[is_open[indices[missing]]]
            if not len(missing):
                return indices, np.ones(batch_size, dtype=np.float32)
        raise ValueError("replay buffer: no complete transition stored yet. Collect more steps before sampling.")

    def returns(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """
        Walk along the clock from each transition.

        Returns
        -------
        rewards, discounts, dones, ends
            Discounted sum; product of the discounts; whether the episode ended within; index of the observation to
            bootstrap from (meaningless where done).
        """
        return walk_along_clock(
            np.ascontiguousarray(indices),
            self.n_envs,
            self.rewards.reshape(-1),
            self.ticks.reshape(-1),
            self.dones.reshape(-1),
            self.is_open.reshape(-1),
            float(self.gamma),
            float(self.n_ticks),
        )

    def _get_samples(self, batch_inds: np.ndarray, env: Any = None) -> ClockSamples:  # type: ignore[override]
        weights = env if env is not None else np.ones(len(batch_inds), dtype=np.float32)
        rewards, discounts, dones, ends = self.returns(batch_inds)
        bootstraps = np.flatnonzero(~dones)

        def column(values: np.ndarray, dtype: th.dtype = th.float32) -> th.Tensor:
            return th.as_tensor(values, device=self.device).to(dtype).reshape(-1, 1)

        return ClockSamples(
            observations=self.observations_at(batch_inds),
            actions=column(self.actions.reshape(-1)[batch_inds], th.int64),
            next_observations=self.observations_at(ends[bootstraps]),
            bootstraps=th.as_tensor(bootstraps, device=self.device),
            dones=column(dones),
            rewards=column(rewards),
            discounts=column(discounts),
            weights=column(weights),
            indices=batch_inds,
        )

    def observations_at(self, indices: np.ndarray) -> dict[str, th.Tensor]:  # type: ignore[override]
        """Observations of these transitions as float32 tensors; the mask as booleans."""

        def flat(array: np.ndarray) -> np.ndarray:
            return array.reshape(-1, *array.shape[2:])

        result: dict[str, th.Tensor] = {}
        at = th.from_numpy(indices)
        for key in self.observation_space.spaces:
            if key != MASK_KEY and key not in self.pair_shapes:
                values = th.from_numpy(flat(getattr(self, f"obs_{key}"))).index_select(0, at).to(self.device)
                result[key] = values.float() if values.is_floating_point() else values
        mask = np.empty((len(indices), self.num_actions), np.uint8)
        unpack_masks(indices, flat(self.mask_bits), mask)
        result[MASK_KEY] = th.as_tensor(mask.view(np.bool_), device=self.device)
        if not self.pair_shapes:
            return result

        num_rows = flat(self.num_rows)
        total = int(num_rows[indices].sum())
        pair_at = np.empty(total, np.int64)
        # half precision travels as 16-bit whole numbers through compiled code, which has no such type
        num_places = total if self.packed else len(indices) * self.num_pairs
        rows = np.zeros((num_places, self.pair_width), np.uint16)
        gather_pair_rows(
            indices, mask, flat(self.first_row), num_rows, self.arena.view(np.uint16), self.packed, pair_at, rows
        )
        pairs = th.as_tensor(rows.view(np.float16), device=self.device).float()
        if self.packed:
            result[PAIR_AT] = th.as_tensor(pair_at, device=self.device)
        column = 0
        for key, shape in self.pair_shapes.items():
            width = int(np.prod(shape, dtype=int))
            part = pairs[:, column : column + width]
            leading = (-1,) if self.packed else (len(indices), self.num_pairs)
            result[key] = part.reshape(*leading, *shape)
            column += width
        return result


class PrioritizedClockReplayBuffer(ClockReplayBuffer):
    """
    Proportional prioritized replay (Schaul et al. 2016, "Prioritized Experience Replay", Algorithm 1).

    P(i) = p_i^alpha / sum_k p_k^alpha with p_i = |TD error| + ``epsilon``; a new transition gets the largest priority
    seen so far. Weights are ``(N P(i))^-beta`` divided by the largest of the batch, N = transitions that can be drawn.

    Deviations from the paper: the weights are divided by the largest of the batch, not of the buffer (no second tree).
    The agent raises ``beta`` from the one given to 1 over the training (``raise_beta``), as the paper does.
    """

    first_beta = 0.4  # of buffers that were pickled before they kept it

    def __init__(self, *args: Any, alpha: float = 0.6, beta: float = 0.4, epsilon: float = 1e-3, **kwargs: Any) -> None:
        self.alpha, self.beta, self.epsilon = alpha, beta, epsilon
        self.first_beta = beta
        super().__init__(*args, **kwargs)

    def reset(self) -> None:
        super().reset()
        self.tree = SumTree(self.buffer_size * self.n_envs)
        self.max_priority = 1.0
        self.num_drawable = 0

    def _closed(self, slot: int, envs: np.ndarray) -> None:
        leaves = slot * self.n_envs + np.flatnonzero(envs)
        self.tree.update(leaves, np.full(len(leaves), self.max_priority**self.alpha))
        self.num_drawable += len(leaves)

    def _dropped(self, slot: int) -> None:
        self.tree.update(np.arange(slot * self.n_envs, (slot + 1) * self.n_envs), np.zeros(self.n_envs))
        self.num_drawable -= int((~self.is_open[slot]).sum())

    def _draw(self, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Stratified: one draw from each of ``batch_size`` equal parts of the total priority."""
        if self.tree.total <= 0.0:
            raise ValueError("replay buffer: no complete transition stored yet. Collect more steps before sampling.")
        parts = (np.arange(batch_size) + np.random.random(batch_size)) / batch_size
        indices = self.tree.find(parts * self.tree.total)
        return indices, self.importance_weights(indices)

    def raise_beta(self, progress_remaining: float) -> None:
        """Set ``beta`` for this share of the training still to come, in [0, 1]."""
        self.beta = 1.0 - (1.0 - self.first_beta) * progress_remaining

    def importance_weights(self, indices: np.ndarray) -> np.ndarray:
        probabilities = self.tree.get(indices) / self.tree.total
        weights = (self.num_drawable * probabilities) ** -self.beta
        return (weights / weights.max()).astype(np.float32)

    def update_priorities(self, indices: np.ndarray, td_errors: np.ndarray) -> None:
        """Give the transitions drawn before (``ClockSamples.indices``) their new TD errors, in units of the targets."""
        priorities = np.abs(np.asarray(td_errors, dtype=np.float64).reshape(-1)) + self.epsilon
        self.max_priority = max(self.max_priority, float(priorities.max(initial=0.0)))
        self.tree.update(indices, priorities**self.alpha)
