"""
Learning from what each of several actions of one state would have led to.

A transition says what one action led to, on one day, among all that the day brought by chance. What matters for a
choice is the difference between actions, and that is small beside the chance. Here several actions of the same state
are played on, on the same day and under the current policy (`envs.branches.Branches`), and the network learns their
differences: the chance that they share cancels. After a while each branch is cut off and valued by the network that
ordinary Q-learning has trained before, or led on by a rule (``led_ticks``).

Sources: rollouts as policy improvement, Bertsekas, Tsitsiklis and Wu (1997); choosing among rollouts as a learning
problem, Lagoudakis and Parr (2003), "Reinforcement Learning as Classification"; common random numbers from copied
states, the "vine" of Schulman et al. (2015), "Trust Region Policy Optimization".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch as th
from gymnasium import spaces
from torch.nn import functional as F

from agents.masking import INFEASIBLE
from agents.replay import ClockReplayBuffer
from checked import read_section
from envs.branches import Branches, Choose, Value
from envs.vec_env import DispatchVecEnv

NO_LEADER = "branching: led_ticks needs a rule that leads. Name one under teacher."


@dataclass(frozen=True)
class BranchSettings:
    """
    How much is branched; the YAML key ``branching`` holds these names.

    Attributes
    ----------
    start
        Share of the training after which branching takes the place of Q-learning; 1: never.
    horizon_ticks
        Length of a branch in ticks of the clock; 0 plays to the end of the day.
    led_ticks
        If not 0, nobody says what the state at the horizon is worth: the teacher's rule plays on for so many ticks.
    every
        Vectorized steps between two looks at the states in play.
    states, actions, random_actions
        States branched at a look; actions tried in each: the best by Q, but ``random_actions`` of them drawn among the
        others.
    rows
        Copies played side by side.
    states_per_update
        New states for each gradient step.
    batch_size, buffer_states
        States of a gradient step; states kept.
    min_states
        States branched before the first gradient step. Few states are learned by heart, and what an agent does then
        decides which states it sees next.
    """

    start: float = 0.2
    horizon_ticks: float = 8.0
    led_ticks: float = 0.0
    every: int = 2
    states: int = 32
    actions: int = 6
    random_actions: int = 2
    rows: int = 512
    states_per_update: float = 20.0
    batch_size: int = 256
    buffer_states: int = 120_000
    min_states: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.start <= 1.0:
            raise ValueError(f"branching: start is a share of the training in [0, 1], got {self.start}.")
        if self.led_ticks < 0.0 or (self.led_ticks > 0.0 and self.horizon_ticks == 0.0):
            raise ValueError(
                f"branching: the teacher leads on from the horizon: expected led_ticks >= 0 and, with them, "
                f"horizon_ticks > 0, got led_ticks={self.led_ticks}, horizon_ticks={self.horizon_ticks}."
            )
        if self.horizon_ticks < 0.0 or (self.horizon_ticks > 0.0 and self.start == 0.0 and not self.led_ticks):
            raise ValueError(
                f"branching: a horizon needs values learned before: expected start > 0, horizon_ticks 0 or led_ticks, "
                f"got start={self.start}, horizon_ticks={self.horizon_ticks}."
            )
        if not 0 <= self.random_actions < self.actions or self.actions < 2:
            raise ValueError(
                f"branching: expected 2 or more actions, fewer of them random, got actions={self.actions}, "
                f"random_actions={self.random_actions}."
            )
        if self.rows < self.states * self.actions:
            raise ValueError(
                f"branching: a look makes up to states x actions = {self.states * self.actions} copies, more than "
                f"rows={self.rows}. Raise rows or lower the others."
            )

    @classmethod
    def read(cls, given: dict[str, Any]) -> BranchSettings:
        """From a YAML mapping; a name or value that can't be is a SettingsError."""
        return read_section(cls, given, "branching")


class BranchSamples(NamedTuple):
    """B states with up to A actions each."""

    observations: dict[str, th.Tensor]
    actions: th.Tensor  # int64, (B, A); 0 where there are fewer
    returns: th.Tensor  # float32, (B, A): see `envs.branches.Branches.play`
    is_tried: th.Tensor  # bool, (B, A)


class BranchBuffer(ClockReplayBuffer):
    """Branched states as compact as transitions: a ring of looks x states."""

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        num_actions: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(buffer_size, observation_space, action_space, **kwargs)
        shape = (self.buffer_size, self.n_envs, num_actions)
        self.tried = np.zeros(shape, np.int32)
        self.num_tried = np.zeros(shape[:2], np.int32)
        self.returns_of = np.zeros(shape, np.float32)

    def add_states(
        self, obs: dict[str, np.ndarray], actions: np.ndarray, num_tried: np.ndarray, returns: np.ndarray
    ) -> None:
        """Store a look: observations of S states, actions and returns of shape (S, A), how many of the A there are."""
        slot = self.head % self.buffer_size
        self.tried[slot], self.num_tried[slot], self.returns_of[slot] = actions, num_tried, returns
        ends = np.ones(self.n_envs, np.bool_)  # a state stands alone
        self.add(obs, obs, actions[:, 0], returns[:, 0], ends, [{}] * self.n_envs)

    def sample_states(self, batch_size: int) -> BranchSamples:
        """Uniform among the states held."""
        indices, _ = self._draw(batch_size)

        def flat(array: np.ndarray) -> np.ndarray:
            return array.reshape(-1, *array.shape[2:])[indices]

        is_tried = np.arange(self.tried.shape[2]) < flat(self.num_tried)[:, None]
        return BranchSamples(
            observations=self.observations_at(indices),
            actions=th.as_tensor(flat(self.tried), device=self.device).long(),
            returns=th.as_tensor(flat(self.returns_of), device=self.device),
            is_tried=th.as_tensor(is_tried, device=self.device),
        )


def difference_loss(q_values: th.Tensor, returns: th.Tensor, is_tried: th.Tensor) -> th.Tensor:
    """
    Huber loss between Q-values and returns, both less their mean over the tried actions of the state.

    Parameters
    ----------
    q_values, returns
        float32, shape (B, A), in the same unit.
    is_tried
        bool, shape (B, A).
    """
    weight = is_tried.to(returns.dtype)
    count = weight.sum(dim=1, keepdim=True)

    def centered(values: th.Tensor) -> th.Tensor:
        values = values.masked_fill(~is_tried, 0.0)
        return (values - values.sum(dim=1, keepdim=True) / count) * weight

    loss = F.smooth_l1_loss(centered(q_values), centered(returns), reduction="none")
    return (loss * weight).sum() / weight.sum()


class Branching:
    """
    Looks at states in play, plays their branches and keeps what came of them.

    Parameters
    ----------
    env
        The native batch that the agent is trained on.
    tick_min, gamma
        Minutes of a tick and discount per tick.
    leader
        What plays on from the horizon (``led_ticks``), such as a rule; it has ``act(batch, payer)``.
    buffer_kwargs
        Passed on to `BranchBuffer` (device, packed).
    """

    def __init__(
        self,
        settings: BranchSettings,
        env: DispatchVecEnv,
        tick_min: float,
        gamma: float,
        leader: Any = None,
        **buffer_kwargs: Any,
    ) -> None:
        if settings.led_ticks and leader is None:
            raise ValueError(NO_LEADER)
        self.settings = settings
        self.horizon_min = settings.horizon_ticks * tick_min or np.inf
        self.led_min, self.leader = settings.led_ticks * tick_min, leader if settings.led_ticks else None
        self.discount_per_min = gamma ** (1.0 / tick_min)
        self.branches = Branches(env, settings.rows)
        self.buffer = BranchBuffer(
            settings.buffer_states,
            env.observation_space,  # type: ignore[arg-type]
            env.action_space,  # type: ignore[arg-type]
            settings.actions,
            n_envs=settings.states,
            **buffer_kwargs,
        )
        self.num_states = 0  # ever branched
        self._looks: list[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]] = []

    def look(self, observation: dict[str, np.ndarray], q_values: np.ndarray, choose: Choose, value: Value) -> int:
        """
        Branch some of the states in play; returns how many states have come into the buffer.

        Parameters
        ----------
        observation
            Of every row of the environment, as it stands now.
        q_values
            float, shape (rows, N*M + 1), the most negative float where infeasible.
        choose, value
            The current policy, and what states are worth to it.
        """
        settings = self.settings
        has_choice = np.flatnonzero((q_values > INFEASIBLE).sum(axis=1) > 1)
        if not len(has_choice):
            return 0
        rows = np.random.choice(has_choice, settings.states, replace=len(has_choice) < settings.states)
        actions, num_tried = self._choose_actions(q_values[rows])
        is_tried = np.arange(settings.actions) < num_tried[:, None]
        self.branches.put(np.repeat(rows, num_tried), actions[is_tried])
        self._looks.append(({key: array[rows] for key, array in observation.items()}, actions, num_tried))
        if self.branches.room >= settings.states * settings.actions:
            return 0
        return self._play(choose, value)

    def memory(self) -> dict[str, Any]:
        """The states branched so far and the copies that wait to be played, for a checkpoint."""
        return {
            "buffer": self.buffer,
            "num_states": self.num_states,
            "looks": self._looks,
            "branches": self.branches.snapshot(),
        }

    def restore(self, memory: dict[str, Any]) -> None:
        """Go on from a ``memory``."""
        self.buffer = memory["buffer"].moved_to(self.buffer.device)
        self.num_states, self._looks = memory["num_states"], memory["looks"]
        self.branches.restore(memory["branches"])

    def _play(self, choose: Choose, value: Value) -> int:
        horizon_min = self.horizon_min
        is_valued = np.isfinite(horizon_min) and self.leader is None
        results = self.branches.play(
            choose, value if is_valued else None, horizon_min, self.discount_per_min, self.leader, self.led_min
        )
        first = 0
        for obs, actions, num_tried in self._looks:
            returns = np.zeros(actions.shape, np.float32)
            count = int(num_tried.sum())
            returns[np.arange(actions.shape[1]) < num_tried[:, None]] = results[first : first + count]
            self.buffer.add_states(obs, actions, num_tried, returns)
            first += count
        added = len(self._looks) * self.settings.states
        self._looks = []
        self.num_states += added
        return added

    def _choose_actions(self, q_values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Actions to try, shape (S, A), and how many of them there are: the best by Q first, then drawn ones."""
        wanted, drawn = self.settings.actions, self.settings.random_actions
        is_feasible = q_values > INFEASIBLE
        order = np.argsort(-q_values, axis=1, kind="stable")
        # Of the feasible actions behind the best ones, some come forward by lot.
        lot = np.random.random(order.shape)
        lot[~np.take_along_axis(is_feasible, order, axis=1)] = 2.0
        best = wanted - drawn
        behind = best + np.argsort(lot[:, best:], axis=1, kind="stable")
        order[:, best:] = np.take_along_axis(order, behind, axis=1)
        num_feasible = is_feasible.sum(axis=1)
        num_tried = np.minimum(num_feasible, wanted).astype(np.int32)
        actions = np.zeros((len(order), wanted), np.int64)
        width = min(wanted, order.shape[1])
        actions[:, :width] = order[:, :width]
        actions[np.arange(wanted) >= num_tried[:, None]] = 0
        return actions, num_tried
