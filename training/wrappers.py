"""Environment wrappers that only training needs: the same days at every evaluation, episodes that can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
from stable_baselines3.common.monitor import Monitor

from training.writers import Rows


class FixedDays(gym.Wrapper):
    """
    Plays the same days, in the same order, at every evaluation.

    A vectorised environment resets its members right after a finished episode, and once more when an evaluation
    begins. So a reset that does not follow a finished episode starts the list over; no one has to announce it.

    Parameters
    ----------
    env
        An environment whose ``reset`` takes ``options={"day": ...}``.
    days
        Day numbers, or days read from files.
    """

    def __init__(self, env: gym.Env, days: Sequence[Any]) -> None:
        super().__init__(env)
        if not days:
            raise ValueError("an evaluation needs at least one day, 0 came.")
        self.days = list(days)
        self._next = 0
        self._is_finished = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if options and "day" in options:
            return self.env.reset(seed=seed, options=options)
        if not self._is_finished:
            self._next = 0
        day = self.days[self._next % len(self.days)]
        self._next += 1
        self._is_finished = False
        return self.env.reset(seed=seed, options={**(options or {}), "day": day})

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._is_finished = terminated or truncated
        return observation, reward, terminated, truncated, info


class RunMonitor(Monitor):
    """
    Stable-Baselines3's Monitor as the outermost wrapper, so that what is logged is the reward that is learned from.

    It sums the reward terms of an episode into ``info["episode_terms"]``, gives each environment of a batch a stream of
    training days of its own, and remembers the day and the actions of the running episode, from which a resumed run
    rebuilds it: the day decides everything but the actions.

    Parameters
    ----------
    rank
        Position among the environments of the batch.
    """

    def __init__(self, env: gym.Env, filename: str | None = None, rank: int = 0, **kwargs: Any) -> None:
        super().__init__(env, filename, **kwargs)
        if self.results_writer is not None:
            self.results_writer = Rows.around(self.results_writer)
        self.rank = rank
        self._actions: list[int] = []
        self._terms: dict[str, float] = {}

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        stream = getattr(self.unwrapped, "stream", None)
        if stream is not None and kwargs.get("seed") is not None:
            # A VecEnv seeds its members with seed + rank: undone here, or the second one would replay seed + 1's first.
            stream.seed(kwargs.pop("seed") - self.rank, self.rank)
        self._actions, self._terms = [], {}
        return super().reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        self._actions.append(int(action))
        for name, value in info.get("reward_terms", {}).items():
            self._terms[name] = self._terms.get(name, 0.0) + float(value)
        if (terminated or truncated) and self._terms:
            info["episode_terms"] = dict(self._terms)
        return observation, reward, terminated, truncated, info

    def episode_trace(self) -> dict[str, Any]:
        """What ``rebuild_episode`` needs: the day, the actions so far, the stream of days to come."""
        env: Any = self.unwrapped
        stream = env.stream
        return {"day": stream.name_of(env.batch.days[0]), "actions": list(self._actions), "stream": stream.state()}

    def rebuild_episode(self, trace: dict[str, Any]) -> None:
        """Bring the environment to where it stood when ``trace`` was taken."""
        env: Any = self.unwrapped
        is_old = not isinstance(trace["stream"], dict)  # until version 0.2 the day and the stream themselves
        self.reset(options={"day": trace["day"] if is_old else env.stream.day_named(trace["day"])})
        for action in trace["actions"]:
            self.step(action)
        if is_old:
            env.stream = trace["stream"]
        else:
            env.stream.restore(trace["stream"])
