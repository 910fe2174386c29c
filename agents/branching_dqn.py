"""BranchingDQN: MaskableDQN that also learns from branched days, and from a teacher."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
import torch as th
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.type_aliases import GymEnv

from agents.branching import NO_LEADER, Branching, BranchSettings, difference_loss
from agents.imitation import Imitation, TeacherSettings, imitation_loss
from agents.maskable_dqn import MaskableDQN
from agents.policies import MaskedPolicy
from agents.replay import ClockReplayBuffer
from envs.vec_env import DispatchVecEnv

Self = TypeVar("Self", bound="BranchingDQN")


class BranchingDQN(MaskableDQN):
    """
    `MaskableDQN` whose training has up to three parts: imitate a teacher, learn from transitions, learn from branches.

    1. With ``teacher``, up to ``teacher.until`` of the run: a rule is asked in every state in play and leads half of
       the days; the network learns to rank its choice first (`agents.imitation`).
    2. Then Q-learning as in `MaskableDQN`, from what the replay buffer holds.
    3. From ``branching.start`` of the run on: several actions of the same state are played on, on copies of the same
       day, and the network learns the differences between their returns (`agents.branching.difference_loss`).
       Q-learning is over then; its averaged weights go on learning, and stand still in the target network, which says
       what the state at the end of a branch is worth.

    ``BranchingDQN("PairPolicy", env)`` with its defaults is the agent of the tables in ``docs/results``, on the
    native batch of 64 short shifts and trained for 800 000 decisions.

    Goals: choices of one state judged by what they lead to on one and the same day, so that chance cancels; starting
    as a tuned rule. Not goals: environments that can't be copied (it needs `envs.vec_env.DispatchVecEnv`; elsewhere use
    `MaskableDQN`); learning V from branches (only differences are learned).

    **Deviations from the papers**

    - rollout policy iteration (Bertsekas, Tsitsiklis and Wu 1997; Lagoudakis and Parr 2003) plays to the end and
      learns which action was best; here branches are cut off after ``horizon_ticks`` and the differences are
      learned, by a Huber loss;
    - the "vine" of Schulman et al. (2015) estimates advantages for a policy gradient; here they are regressed;
    - DAgger (Ross et al. 2011) mixes teacher and pupil by chance; here every second day is the teacher's.

    Logged beside the keys of `MaskableDQN`: ``imitation/loss`` (temperature x cross-entropy), ``imitation/states``
    (asked so far); ``branching/loss`` (Huber loss of the differences, reward / ``reward_scale``), ``branching/states``
    (branched so far), ``branching/decisions`` (made in copies; they are not among ``time/total_timesteps``).

    Parameters
    ----------
    policy, env
        As `MaskableDQN`'s. ``env`` is the native batch; it pays a reward.
    branching
        Names and values of `agents.branching.BranchSettings`; what isn't named is at its defaults.
    teacher
        Names and values of `agents.imitation.TeacherSettings`. Its rule leads branches too (``branching.led_ticks``).
        It isn't saved with a model: whoever trains a loaded one on gives it anew, ``load(path, env, teacher=...)``.
    **q_learning
        Every other argument of `MaskableDQN`.
    """

    def __init__(
        self,
        policy: str | type[MaskedPolicy],
        env: GymEnv | str,
        branching: dict[str, Any] | None = None,
        teacher: dict[str, Any] | None = None,
        _init_setup_model: bool = True,
        **q_learning: Any,
    ) -> None:
        self.branching, self.teacher = dict(branching or {}), teacher
        self._has_begun_branching = False
        self._branch_calls, self._branch_updates_due = 0, 0.0
        if _init_setup_model:  # refuse unknown settings before anything else
            self._read_settings()
            self._check_leader()
        super().__init__(policy, env, _init_setup_model=_init_setup_model, **q_learning)

    # --- setting up ---------------------------------------------------------------------------------------------
    def _read_settings(self) -> None:
        self._branch_settings = BranchSettings.read(self.branching or {})
        self._teacher_settings = None if self.teacher is None else TeacherSettings.read(self.teacher)
        self._imitation: Imitation | None = None
        self._branching: Branching | None = None

    def _check_leader(self) -> None:
        if self._branch_settings.led_ticks and self._teacher_settings is None:
            raise ValueError(NO_LEADER)

    def _setup_model(self) -> None:
        self._read_settings()  # those of a zip, when one is loaded
        super()._setup_model()

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, Any]:
        self._check_leader()
        return super()._setup_learn(*args, **kwargs)

    def _native_batch(self, what: str) -> DispatchVecEnv:
        env = self.env.unwrapped if self.env is not None else None
        if not isinstance(env, DispatchVecEnv):
            raise ValueError(f"BranchingDQN: {what} looks into the days in play; train on the native batch.")
        return env

    def _buffer_kwargs(self) -> dict[str, Any]:
        return {"device": self.device, "packed": self._wants_packed}

    # --- learning -----------------------------------------------------------------------------------------------
    def _progress(self) -> float:
        """Share of the run that is over, in [0, 1]."""
        return 1.0 - self._current_progress_remaining

    def _is_imitating(self) -> bool:
        return self._teacher_settings is not None and self._progress() < self._teacher_settings.until

    def _is_branching(self) -> bool:
        return self._branch_settings.start < 1.0 and self._progress() >= self._branch_settings.start

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        actions, _ = super()._sample_action(learning_starts, action_noise, n_envs)
        if self._imitation is not None and self._is_imitating():
            actions = self._imitation.lead(actions)
        return actions, actions

    def train(self, gradient_steps: int, batch_size: int = 256) -> None:
        """The part of the training whose turn it is; the class docstring has them."""
        is_imitating, is_branching = self._is_imitating(), self._is_branching()
        if not is_imitating:
            self._imitation = None
        if not (is_imitating or is_branching):
            super().train(gradient_steps, batch_size)
            return
        assert isinstance(self.replay_buffer, ClockReplayBuffer)
        if self.replay_buffer.size() < 2:
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        if is_imitating:
            self._learn_from_teacher()
        else:
            self._learn_from_branches()

    def _learn_from_teacher(self) -> None:
        """Ask the teacher about the states in play, and make gradient steps on what it has said so far."""
        settings = self._teacher_settings
        assert settings is not None
        if self._imitation is None:
            self._imitation = Imitation(settings, self._native_batch("imitation"), **self._buffer_kwargs())
        self._imitation.ask(cast(dict[str, np.ndarray], self._last_obs))
        if self._imitation.num_states < settings.batch_size:
            return
        losses = []
        for _ in range(settings.updates):
            batch = self._imitation.buffer.sample_states(settings.batch_size)
            loss = imitation_loss(self.q_net(batch.observations), batch.actions[:, 0])
            self._descend(loss)
            losses.append(loss.detach())
        self.logger.record("imitation/loss", float(th.stack(losses).mean()))
        self.logger.record("imitation/states", self._imitation.num_states)

    def _learn_from_branches(self) -> None:
        """Look at the states in play every few calls, and make the gradient steps that new states call for."""
        settings = self._branch_settings
        if self._branching is None:
            self._branching = self._begin_branching()
        self._branch_calls += 1
        if self._branch_calls % settings.every:
            return

        def choose(observation: dict[str, np.ndarray]) -> np.ndarray:
            return self._choose(observation, self.policy.acting_net, 0.0)

        def value(observation: dict[str, np.ndarray]) -> np.ndarray:
            with th.no_grad():
                best = self.q_net_target(self._tensors(self.as_seen(observation))).max(dim=1).values
            return self.reward_scale * best.cpu().numpy()

        obs = cast(dict[str, np.ndarray], self._last_obs)
        added = self._branching.look(obs, self.q_values(obs), choose, value)
        if self._branching.num_states >= max(settings.batch_size, settings.min_states):
            self._branch_updates_due += added / settings.states_per_update
        losses = []
        while self._branch_updates_due >= 1.0:
            self._branch_updates_due -= 1.0
            batch = self._branching.buffer.sample_states(settings.batch_size)
            q_values = self.q_net(batch.observations).gather(1, batch.actions)
            loss = difference_loss(q_values, batch.returns / self.reward_scale, batch.is_tried)
            self._descend(loss)
            losses.append(loss.detach())
        if losses:
            self.logger.record("branching/loss", float(th.stack(losses).mean()))
            self.logger.record("branching/states", self._branching.num_states)
            self.logger.record("branching/decisions", self._branching.branches.num_decisions)

    def _begin_branching(self) -> Branching:
        """Q-learning ends: its averaged weights go on learning, and stand still in the target network as the value."""
        env, teacher = self._native_batch("branching"), self._teacher_settings
        assert isinstance(self.replay_buffer, ClockReplayBuffer)
        if not self._has_begun_branching:
            learned = self.policy.acting_net.state_dict()
            self.q_net.load_state_dict(learned)
            self.q_net_target.load_state_dict(learned)
            self._has_begun_branching = True
        return Branching(
            self._branch_settings,
            env,
            self.replay_buffer.tick_min,
            self.gamma,
            None if teacher is None else teacher.rule,
            **self._buffer_kwargs(),
        )

    # --- going on after an interruption -------------------------------------------------------------------------
    def memory(self) -> dict[str, Any]:
        """What learning needs beside networks and replay buffer: what the teacher said, what branches came to."""
        parts = {"imitation": self._imitation, "branching": self._branching}
        return {name: part.memory() for name, part in parts.items() if part is not None}

    def restore_memory(self, memory: dict[str, Any]) -> None:
        """Go on from a ``memory``, with the environments where they stood when it was taken."""
        if "imitation" in memory and self._teacher_settings is not None:
            env = self._native_batch("imitation")
            self._imitation = Imitation(self._teacher_settings, env, **self._buffer_kwargs())
            self._imitation.restore(memory["imitation"])
        if "branching" in memory:
            self._branching = self._begin_branching()
            self._branching.restore(memory["branching"])

    # --- saving -------------------------------------------------------------------------------------------------
    def _excluded_save_params(self) -> list[str]:
        own = ["teacher", "_teacher_settings", "_branch_settings", "_branching", "_imitation"]
        return [*super()._excluded_save_params(), *own]

    @classmethod
    def load(  # type: ignore[override]
        cls: type[Self],
        path: Any,
        env: GymEnv | None = None,
        *,
        custom_objects: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """As Stable-Baselines3's; ``teacher`` is given anew by who trains on (older zips hold its name only)."""
        return super().load(path, env, custom_objects={"teacher": None, **(custom_objects or {})}, **kwargs)
