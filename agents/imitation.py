"""
A warm start: the agent first learns to choose as a rule does.

Q-learning finds out by trial what a tuned rule knows already. Here the rule is asked in every state that comes up, half
of the days are led by the rule and half by the pupil, and the network learns to rank the rule's action first
(cross-entropy over the feasible actions). So its Q-values say what is better, not yet by how much.

Sources: asking the teacher in the pupil's own states, Ross et al. (2011), "A Reduction of Imitation Learning and
Structured Prediction to No-Regret Online Learning"; as a start for Q-learning, Hester et al. (2018), "Deep Q-learning
from Demonstrations".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch as th
from torch.nn import functional as F

from agents.branching import BranchBuffer
from agents.masking import INFEASIBLE, MASK_KEY
from checked import read_section
from envs.vec_env import DispatchVecEnv

TEMPERATURE = 0.1  # of the cross-entropy, in units of Q: a clear choice is one by a few tenths


class Rule(Protocol):
    """What can be asked for a choice: the rules of `baselines`, or your own."""

    def act(self, batch: Any, payer: Any) -> npt.NDArray[np.int64]:
        """Actions, shape (rows,), for the states of a batch (`envs.batch.DispatchBatch`) as they stand now."""


@dataclass(frozen=True)
class TeacherSettings:
    """
    Whom to imitate, and for how long; the YAML key ``teacher`` holds these names.

    Attributes
    ----------
    rule
        The rule itself. In YAML its name and, below ``settings``, its numbers; ``training.teacher`` makes the rule.
    until
        Share of the training that is imitation; 0 for a rule that only leads branches.
    updates
        Gradient steps per vectorized step.
    batch_size, buffer_states
        States of a gradient step; states kept.
    """

    rule: Rule
    until: float = 0.3
    updates: int = 4
    batch_size: int = 256
    buffer_states: int = 50_000

    def __post_init__(self) -> None:
        if not callable(getattr(self.rule, "act", None)):
            raise ValueError(
                f"teacher: expected a rule that answers act(batch, payer), got {self.rule!r}. "
                "Pass the rule itself, such as baselines.rule_class(name)()."
            )
        if not 0.0 <= self.until <= 1.0:
            raise ValueError(f"teacher: until is a share of the training in [0, 1], got {self.until}.")

    @classmethod
    def read(cls, given: dict[str, Any]) -> TeacherSettings:
        """From a YAML mapping with the rule put in; a name or value that can't be is a SettingsError."""
        return read_section(cls, given, "teacher", "Name the rule to imitate, such as rule: best_reward_with_prices.")


def imitation_loss(q_values: th.Tensor, taught: th.Tensor) -> th.Tensor:
    """
    TEMPERATURE x cross-entropy between softmax(Q / TEMPERATURE) over the feasible actions and the teacher's action.

    Parameters
    ----------
    q_values
        float32, shape (B, A), the most negative float where infeasible.
    taught
        int64, shape (B,).
    """
    infeasible = q_values <= INFEASIBLE
    logits = (q_values / TEMPERATURE).masked_fill(infeasible, -th.inf)
    return TEMPERATURE * F.cross_entropy(logits, taught)


class Imitation:
    """
    Asks the teacher and keeps what it said.

    Attributes
    ----------
    taught
        int64, shape (rows,): the teacher's actions in the states as they stood at the last ``ask``.
    """

    def __init__(self, settings: TeacherSettings, env: DispatchVecEnv, **buffer_kwargs: Any) -> None:
        self.settings, self.env = settings, env
        self.rule = settings.rule
        self.buffer = BranchBuffer(
            settings.buffer_states,
            env.observation_space,  # type: ignore[arg-type]
            env.action_space,  # type: ignore[arg-type]
            num_actions=1,
            n_envs=env.num_envs,
            **buffer_kwargs,
        )
        self.taught: npt.NDArray[np.int64] = np.zeros(env.num_envs, np.int64)
        self.num_states = 0

    def ask(self, observation: dict[str, np.ndarray]) -> None:
        """
        Let the teacher choose in every row as it stands now, whose observation this is.

        Where it chooses what isn't among the pupil's actions (a booking beyond its ``horizon_min``), the pupil waits.
        """
        taught = self.rule.act(self.env.batch, self.env.payer)
        is_allowed = observation[MASK_KEY][np.arange(len(taught)), taught] > 0
        self.taught = np.where(is_allowed, taught, 0)
        ones = np.ones(len(self.taught), np.int32)
        self.buffer.add_states(observation, self.taught[:, None], ones, np.zeros((len(self.taught), 1), np.float32))
        self.num_states += len(self.taught)

    def lead(self, actions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The teacher's action in every second row, the pupil's in the others."""
        return np.where(np.arange(len(actions)) % 2 == 0, self.taught, actions)

    def memory(self) -> dict[str, Any]:
        """What the teacher said so far, for a checkpoint."""
        return {"buffer": self.buffer, "taught": self.taught, "num_states": self.num_states}

    def restore(self, memory: dict[str, Any]) -> None:
        """Go on from a ``memory``."""
        self.buffer = memory["buffer"].moved_to(self.buffer.device)
        self.taught, self.num_states = memory["taught"], memory["num_states"]
