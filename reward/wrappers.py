"""
Reward wrappers: the same dynamics, paid by version V1, V2 or V3.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from reward.payer import RewardFunction

Weighing = str | Path | Mapping[str, Any] | None
Pricing = Mapping[str, float] | None


class RewardWrapper(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """
    Pays an environment that stands on a ``DispatchBatch`` of one day.

    The observation gains ``pair_reward`` (entry a - 1 = action a: what that assignment would pay now) and
    ``wait_reward``, both divided by the version's bound and clipped to [-1, 1]; 0 where infeasible. With ``prices``
    both are shown corrected by them; what is paid stays the same.
    ``info["reward_terms"]`` names what a step paid; the terms sum to the reward.

    Parameters
    ----------
    env
        An environment whose ``unwrapped.batch`` is a ``DispatchBatch``.
    version
        "v1", "v2", "v3" or the path of a YAML file.
    weights
        A YAML file to read instead, or single weights to change: ``{"idle_wait": 0.0}``.
    prices
        Settings of `reward.prices.PairPrices`.
    """

    def __init__(
        self, env: gym.Env, version: str | Path = "v2", weights: Weighing = None, prices: Pricing = None
    ) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, version=version, weights=weights, prices=prices)
        self._dress(env, version, weights, prices)

    def _dress(self, env: gym.Env, version: str | Path, weights: Weighing, prices: Pricing) -> None:
        gym.Wrapper.__init__(self, env)
        if not hasattr(env.unwrapped, "batch"):
            raise TypeError(
                f"reward wrappers need an environment of this project (Dispatch-v0, DispatchDay-v0), came {env!r:.80}."
            )
        if hasattr(env.unwrapped.batch, "desk"):
            raise TypeError(
                f"{env!r:.80} pays by itself. For {version} pass it reward_function=RewardFunction.load({version!r})."
            )
        inner = env.observation_space
        if not isinstance(inner, spaces.Dict):
            raise TypeError(f"reward wrappers need a Dict observation, came {inner!r:.80}. Wrap the reward first.")
        if "pair_reward" in inner.spaces:
            raise ValueError(f"{env!r:.80} already has a reward. Wrap it with one version only.")
        self.reward_function = RewardFunction.load(version, weights, prices)
        self.payer = self.reward_function.attach(env.unwrapped.batch)
        num_pairs = self.payer.pair_reward.shape[1]
        self.observation_space = spaces.Dict(
            {
                **inner.spaces,
                "pair_reward": spaces.Box(-1.0, 1.0, (num_pairs,), np.float32),
                "wait_reward": spaces.Box(-1.0, 1.0, (1,), np.float32),
            }
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self.payer.reset(0)
        return self._priced(observation), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = self.env.step(action)
        reward = float(self.payer.pay()[0])
        info["reward_terms"] = self.payer.terms_of(0)
        return self._priced(observation), reward, terminated, truncated, info

    def action_masks(self) -> np.ndarray:
        """Mask of the feasible actions, the sb3-contrib convention."""
        return self.env.get_wrapper_attr("action_masks")()

    def _priced(self, observation: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.payer.price_pairs()
        return {
            **observation,
            "pair_reward": self.payer.pair_reward[0].copy(),
            "wait_reward": self.payer.wait_reward[0].copy(),
        }


class RewardV1(RewardWrapper):
    """The conservative reward: losing a patient is dear, a late one nearly as dear (``v1.yml``)."""

    def __init__(self, env: gym.Env, weights: Weighing = None, prices: Pricing = None) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, weights=weights, prices=prices)
        self._dress(env, "v1", weights, prices)


class RewardV2(RewardWrapper):
    """The business-aligned reward: an assignment is worth more, lateness costs less (``v2.yml``)."""

    def __init__(self, env: gym.Env, weights: Weighing = None, prices: Pricing = None) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, weights=weights, prices=prices)
        self._dress(env, "v2", weights, prices)


class RewardV3(RewardWrapper):
    """The operating margin in francs, for the operating day (``v3.yml``)."""

    def __init__(self, env: gym.Env, weights: Weighing = None, prices: Pricing = None) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, weights=weights, prices=prices)
        self._dress(env, "v3", weights, prices)
