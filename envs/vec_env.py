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

from envs.batch import DispatchBatch
from envs.day import Day
from envs.dispatch_env import DayStream
from envs.scenario import Scenario


class Payer(Protocol):
    """What a reward function makes of a batch (``reward.Payer``; rewards import environments, not the reverse)."""

    terms: npt.NDArray[np.float64]
    pair_reward: npt.NDArray[np.float32]
    wait_reward: npt.NDArray[np.float32]
    all_term_names: tuple[str, ...]

    def reset(self, b: int) -> None: ...
    def pay(self) -> npt.NDArray[np.float64]: ...
    def price_pairs(self) -> None: ...


class DispatchVecEnv(VecEnv):
    """
    B environments in one object; each row plays the same days as ``DispatchEnv`` with the same stream.

    Rows that end are reset at once, as SB3 asks: ``infos[b]["terminal_observation"]`` is the last observation of the
    day, ``["episode"]`` its return and length, ``["kpis"]`` and ``["episode_terms"]`` (the reward terms, summed) what
    happened. ``info["elapsed_min"]`` is the clock time of the step.

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
        self.batch = DispatchBatch(self.scenario, num_envs)
        self.payer: Payer | None = None if reward_function is None else reward_function.attach(self.batch)
        spaces: dict[str, gym.Space[Any]] = dict(self.batch.observation_space.spaces)
        if self.payer is not None:
            for key, array in self._prices().items():
                spaces[key] = gym.spaces.Box(-1.0, 1.0, array.shape[1:], np.float32)
        self.render_mode = None
        super().__init__(num_envs, gym.spaces.Dict(spaces), self.batch.action_space)
        self._streams = [DayStream(days, day_list, in_order) for _ in range(num_envs)]
        self._seed_streams(seed)
        self._actions = np.zeros(num_envs, np.int64)
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._term_sums = np.zeros((num_envs, 0 if self.payer is None else self.payer.terms.shape[1]))
        self._start_time = time.time()

    def _seed_streams(self, seed: int | None) -> None:
        for b, stream in enumerate(self._streams):
            stream.seed(seed, b)

    def _load_next_day(self, b: int) -> None:
        self.batch.load_day(b, self._streams[b].next_day())
        self.batch.refresh(b)
        if self.payer is not None:
            self.payer.reset(b)
        self._returns[b] = 0.0
        self._lengths[b] = 0
        self._term_sums[b] = 0.0

    def _observation(self) -> dict[str, npt.NDArray[Any]]:
        return {key: array.copy() for key, array in (self.batch.observation | self._prices()).items()}

    def _prices(self) -> dict[str, npt.NDArray[np.float32]]:
        """The part of the observation that the reward adds."""
        if self.payer is None:
            return {}
        return {"pair_reward": self.payer.pair_reward, "wait_reward": self.payer.wait_reward}

    def reset(self) -> VecEnvObs:
        if self._seeds[0] is not None:
            self._seed_streams(self._seeds[0])
        for b in range(self.num_envs):
            self._load_next_day(b)
        if self.payer is not None:
            self.payer.price_pairs()
        self._reset_seeds()
        self._reset_options()
        return self._observation()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        self._actions = np.asarray(actions, np.int64)

    def step_wait(self) -> VecEnvStepReturn:
        self.batch.step(self._actions)
        rewards = np.zeros(self.num_envs)
        if self.payer is not None:
            rewards = self.payer.pay().copy()
            self._term_sums += self.payer.terms
        self._returns += rewards
        self._lengths += 1
        clocks = self.batch.world.clocks
        infos: list[dict[str, Any]] = [{"elapsed_min": minutes} for minutes in clocks["elapsed_min"].tolist()]
        dones = clocks["is_done"] == 1
        ended = np.flatnonzero(dones)
        for b in ended.tolist():
            infos[b]["kpis"] = self.batch.kpis(b)
            infos[b]["day"] = self.batch.day_label(b)
            infos[b]["episode"] = {
                "r": float(self._returns[b]),
                "l": int(self._lengths[b]),
                "t": round(time.time() - self._start_time, 6),
            }
            terminal = {key: array[b].copy() for key, array in self.batch.observation.items()}
            if self.payer is not None:
                infos[b]["episode_terms"] = dict(
                    zip(self.payer.all_term_names, self._term_sums[b].tolist(), strict=True)
                )
                terminal.update({key: np.zeros_like(array[b]) for key, array in self._prices().items()})
            infos[b]["terminal_observation"] = terminal
            infos[b]["TimeLimit.truncated"] = False
            self._load_next_day(b)
        if self.payer is not None:
            self.payer.price_pairs()
        return self._observation(), rewards, dones.copy(), infos

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
