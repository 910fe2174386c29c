"""``DispatchVecEnv``: Stable-Baselines3's VecEnv straight on the batched simulator, without a Python loop over days."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn

from envs.batch import DispatchBatch, whole_numbers
from envs.days.day import Day
from envs.days.scenario import Scenario
from envs.days.stream import DayStream
from envs.snapshot import payer_state, restore_payer

NUM_BUFFERS = 3  # sets of observation arrays that take turns


class Payer(Protocol):
    """What a reward function makes of a batch (``reward.Payer``; rewards import environments, not the reverse)."""

    # ``price_pairs`` writes into whatever arrays stand here

    pair_reward: npt.NDArray[np.float32]
    wait_reward: npt.NDArray[np.float32]
    terms: npt.NDArray[np.float64]
    all_term_names: tuple[str, ...]

    def reset(self, rows: int | npt.NDArray[np.int64]) -> None: ...
    def pay(self) -> npt.NDArray[np.float64]: ...
    def price_pairs(self) -> None: ...


class DispatchVecEnv(VecEnv):
    """
    B environments in one object; each row plays the same days as ``DispatchEnv`` with the same stream.

    Rows that end are reset at once, as SB3 asks: ``infos[b]["terminal_observation"]`` is the last observation of the
    day, ``["episode"]`` its return and length, ``["kpis"]`` and ``["episode_terms"]`` (the reward terms, summed) what
    happened. ``info["elapsed_min"]`` is the clock time of the step.

    Observations aren't copied: the arrays that ``reset`` or ``step`` returned are written anew by the third step after
    it. SB3 looks at none that long; copy what you keep.

    Parameters
    ----------
    num_envs
        Rows B.
    scenario, num_drivers, max_bookings, days, day_list, in_order, overrides
        As for ``DispatchEnv``.
    reward_function
        A ``reward.RewardFunction``; None pays 0.
    seed
        Row b draws its days from SeedSequence([seed, b]).
    """

    def __init__(
        self,
        num_envs: int,
        scenario: str | Path | Scenario = "short_shift",
        reward_function: Any = None,
        seed: int | None = None,
        days: tuple[int, int] | None = None,
        day_list: Sequence[Day] | None = None,
        in_order: bool = False,
        **overrides: Any,
    ) -> None:
        self.scenario = Scenario.load(scenario, **overrides)
        self.batch = self._make_batch(num_envs)
        self.payer: Payer | None = None if reward_function is None else reward_function.attach(self.batch)
        spaces: dict[str, gym.Space[Any]] = dict(self.batch.observation_space.spaces)
        self._observations: list[dict[str, npt.NDArray[Any]]] = self.batch.buffers
        if self.payer is not None:
            prices = {"pair_reward": self.payer.pair_reward, "wait_reward": self.payer.wait_reward}
            for key, array in prices.items():
                spaces[key] = gym.spaces.Box(-1.0, 1.0, array.shape[1:], np.float32)
            self._observations = [
                buffer | {key: np.zeros_like(array) for key, array in prices.items()} for buffer in self.batch.buffers
            ]
        self.render_mode = None
        super().__init__(num_envs, gym.spaces.Dict(spaces), self.batch.action_space)
        self._streams = [DayStream(days, day_list, in_order) for _ in range(num_envs)]
        self._seed_streams(seed)
        self._actions = np.zeros(num_envs, np.int64)
        self._all_rows = np.arange(num_envs)
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._term_sums = np.zeros((num_envs, 0 if self.payer is None else self.payer.terms.shape[1]))
        self._start_time = time.time()

    def _make_batch(self, num_envs: int) -> DispatchBatch:
        return DispatchBatch(self.scenario, num_envs, num_buffers=NUM_BUFFERS)

    def _pay(self) -> npt.NDArray[np.float64]:
        """Rewards of the step just made, shape (B,); the caller's to keep."""
        if self.payer is None:
            return np.zeros(self.num_envs)
        rewards = self.payer.pay().copy()
        self._term_sums += self.payer.terms
        return rewards

    def _seed_streams(self, seed: int | None) -> None:
        for b, stream in enumerate(self._streams):
            stream.seed(seed, b)

    def _load_next_days(self, rows: npt.NDArray[np.int64]) -> None:
        days = [self._streams[b].next_day() for b in rows.tolist()]
        if any(isinstance(day, Day) for day in days):
            for b, day in zip(rows.tolist(), days, strict=True):
                self.batch.load_day(b, day)
        else:
            self.batch.load_generated_days(rows, np.array(days, np.int64))
        self.batch.refresh(rows)
        if self.payer is not None:
            self.payer.reset(rows)
        self._returns[rows] = 0.0
        self._lengths[rows] = 0
        self._term_sums[rows] = 0.0

    def _priced_observation(self) -> dict[str, npt.NDArray[Any]]:
        """The observation that the batch has just written, with what the reward adds."""
        observation = self._observations[self.batch.buffer_in_use]
        if self.payer is not None:
            self.payer.pair_reward, self.payer.wait_reward = observation["pair_reward"], observation["wait_reward"]
            self.payer.price_pairs()
        return observation

    def reset(self) -> VecEnvObs:
        if self._seeds[0] is not None:
            self._seed_streams(self._seeds[0])
        self.batch.next_buffer()
        self._load_next_days(self._all_rows)
        self._reset_seeds()
        self._reset_options()
        return self._priced_observation()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        self._actions = whole_numbers(actions)

    def step_wait(self) -> VecEnvStepReturn:
        self.batch.step(self._actions)
        rewards = self._pay()
        self._returns += rewards
        self._lengths += 1
        clocks = self.batch.world.clocks
        infos: list[dict[str, Any]] = [{"elapsed_min": minutes} for minutes in clocks["elapsed_min"].tolist()]
        dones = self.batch.is_done
        ended = np.flatnonzero(dones)
        if len(ended):
            self._tell_end(ended, infos)
            self._load_next_days(ended)
        return self._priced_observation(), rewards, dones, infos

    def _tell_end(self, ended: npt.NDArray[np.int64], infos: list[dict[str, Any]]) -> None:
        """Write into ``infos`` what became of the days that have ended."""
        last = {key: array[ended] for key, array in self._observations[self.batch.buffer_in_use].items()}
        if self.payer is not None:  # nothing can be earned any more
            last["pair_reward"][:] = 0.0
            last["wait_reward"][:] = 0.0
        kpis = self.batch.kpis_of(ended)
        passed = round(time.time() - self._start_time, 6)
        for i, b in enumerate(ended.tolist()):
            info = infos[b]
            info["kpis"] = kpis[i]
            info["day"] = self.batch.day_label(b)
            info["episode"] = {"r": float(self._returns[b]), "l": int(self._lengths[b]), "t": passed}
            if self.payer is not None:
                info["episode_terms"] = dict(zip(self.payer.all_term_names, self._term_sums[b].tolist(), strict=True))
            info["terminal_observation"] = {key: array[i] for key, array in last.items()}
            info["TimeLimit.truncated"] = False

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides how the days in play and those after them go on, as plain data."""
        rows = self._all_rows
        return {
            "batch": self.batch.snapshot(rows),
            "payer": None if self.payer is None else payer_state(self.payer, rows),
            "days": self.names_of_days(self.batch.days),
            "streams": [stream.state() for stream in self._streams],
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
            "term_sums": self._term_sums.copy(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Stand where the environment stood that ``snapshot`` was taken of, made with the same arguments."""
        self.batch.restore(self._all_rows, saved["batch"], self.days_named(saved["days"]))
        if self.payer is not None:
            restore_payer(self.payer, self._all_rows, saved["payer"])
        for stream, state in zip(self._streams, saved["streams"], strict=True):
            stream.restore(state)
        self._returns[:], self._lengths[:] = saved["returns"], saved["lengths"]
        self._term_sums[:] = saved["term_sums"]
        self._reset_seeds()
        self._priced_observation()

    def names_of_days(self, days: Sequence[int | Day | None]) -> list[int]:
        """Numbers that stand for days that this environment plays; see ``DayStream.name_of``."""
        return [self._streams[0].name_of(day) for day in days if day is not None]

    def days_named(self, names: Sequence[int]) -> list[int | Day]:
        """The days behind ``names_of_days``."""
        return [self._streams[0].day_named(name) for name in names]

    def close(self) -> None:
        pass

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Feasible actions, shape (B, N * M + 1)."""
        return self.batch.observation["action_mask"].astype(bool)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        value = getattr(self, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError(f"set_attr('{attr_name}'): the rows share their attributes; leave indices out.")
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        rows = list(self._get_indices(indices))
        if method_name == "action_masks":
            masks = self.action_masks()
            return [masks[b] for b in rows]
        raise ValueError(f"env_method('{method_name}'): only action_masks is offered by the batched environment.")

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        # Monitor's part (episode return and length in infos) is done here; evaluate_policy need not warn of its lack.
        from stable_baselines3.common.monitor import Monitor

        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]
