"""MaskableDQN: Stable-Baselines3's DQN for environments whose observation carries an action mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.vec_env import VecEnv
from torch.nn import functional as F

from agents.fast import FastPairNetwork
from agents.masking import MASK_KEY, MAX_HORIZON_MIN, as_booleans, mask_within, random_feasible, with_mask
from agents.policies import MaskableMlpPolicy, MaskedPolicy, PairPolicy
from agents.replay import ClockReplayBuffer, ClockSamples, PrioritizedClockReplayBuffer
from agents.schedules import FadingSchedule

Self = TypeVar("Self", bound="MaskableDQN")


def reward_function_of(env: VecEnv | None) -> Any:
    """The ``reward.RewardFunction`` that the environment pays by; None where it pays nothing."""
    if env is None:
        return None
    try:
        payer = env.get_attr("payer", indices=[0])[0]
    except AttributeError:
        return None
    return None if payer is None else payer.function


def reward_bound(env: VecEnv | None, default: float = 1.0) -> float:
    """What the environment divides ``pair_reward`` by (``reward.RewardFunction.bound``), or ``default``."""
    function = reward_function_of(env)
    return default if function is None else float(function.bound)


def shown_prices(env: VecEnv | None) -> dict[str, float] | None:
    """The prices that the environment shows pairs corrected by (``reward.RewardFunction.prices``); None without."""
    prices = getattr(reward_function_of(env), "prices", None)
    return None if prices is None else dict(prices.settings)


def move_towards(followers: Sequence[th.Tensor], leaders: Sequence[th.Tensor], share: float) -> None:
    """Polyak update of all weights in one call; SB3's loop over the parameters costs a tenth of an update here."""
    with th.no_grad():
        th._foreach_lerp_(list(followers), list(leaders), share)


class MaskableDQN(DQN):
    """
    DQN (Mnih et al. 2015) that never takes an infeasible action, with double Q and returns measured by the clock.

    Goals: to be read against the papers; to choose among feasible actions everywhere, so that EvalCallback,
    ``evaluate_policy`` and rl-zoo3's ``enjoy`` need nothing special; to serve any fleet (with the pair network, see
    `agents.transfer.load_for`). Not goals: noisy nets, distributional values (sb3-contrib's QR-DQN), continuous
    actions, recurrent policies, observations without a mask, learning from anything but transitions
    (`agents.branching_dqn.BranchingDQN`).

    The mask is the observation's ``action_mask`` (1 = feasible; action 0, wait, always is). It holds in the warm-up, in
    exploration, in the greedy choice and in the bootstrapped target.

    **Target** of a return over k steps (van Hasselt et al. 2016, "Deep Reinforcement Learning with Double
    Q-learning"):

        y = sum of discounted rewards / reward_scale + product of discounts * Q_target(s', argmax_a' Q_online(s', a'))

    with a' among the feasible actions of s'. Closing is ``terminated``: nothing is added then. Where no action is
    feasible, the value is 0. Steps are discounted by ``gamma ** (elapsed_min / tick_min)``; see
    `agents.replay.ClockReplayBuffer`.

    ``MaskableDQN("PairPolicy", env)`` with its defaults is Q-learning as in the ablation ("Q-learning alone"), on the
    native batch of 64 short shifts (``envs.vec_env.DispatchVecEnv``): two updates of 256 per vectorized step. The agent
    of the tables in ``docs/results`` is `BranchingDQN`.

    **Options, each where it belongs**

    - prioritized replay: ``replay_buffer_class=PrioritizedClockReplayBuffer`` (`agents.replay`), its exponents in
      ``replay_buffer_kwargs``;
    - dueling, width, mixing of the networks: ``policy_kwargs`` (`agents.policies`);
    - minutes of a tick, share of feasible pairs: ``replay_buffer_kwargs`` (``tick_min``, ``pair_fill``);
    - exploration by finished episodes: ``training.callbacks.EpsilonDecayPerEpisode``.

    **Deviations from SB3's DQN**

    - exploration is drawn for each environment, not once per vectorized step;
    - the warm-up is uniform over the *feasible* actions;
    - with ``tau < 1`` the target network moves after every gradient step; with ``tau = 1`` it is copied every
      ``target_update_interval`` transitions, as in SB3;
    - the replay buffer is ours, so ``n_steps``, ``optimize_memory_usage`` and ``VecNormalize`` are not offered
      (``n_ticks`` and ``reward_scale`` take their place).

    **Deviations from the papers**

    - Huber loss instead of clipped or squared errors (as SB3); Adam instead of RMSProp;
    - n-step returns aren't corrected for the exploring actions within them;
    - a running average of the weights answers ``predict`` (Polyak and Juditsky 1992), where ``averaging`` says so.

    Logged beside SB3's keys: ``train/loss`` (weighted Huber loss), ``train/q_values`` (mean Q(s, a) of the batch),
    ``train/target_q_values`` (mean target), ``train/td_error`` (mean absolute), all in units of reward /
    ``reward_scale``; ``train/replay_beta`` with prioritized replay; ``rollout/exploration_rate``.

    Below are the parameters that SB3's DQN doesn't have, or reads differently.

    Parameters
    ----------
    policy
        ``"PairPolicy"``, ``"MaskableMlpPolicy"`` (= ``"MultiInputPolicy"``), or a `agents.policies.MaskedPolicy`.
    policy_kwargs
        With the pair network, ``pair_mixing`` is true and ``pair_reward_scale`` the environment's bound /
        ``reward_scale`` unless given.
    learning_rate, lr_final_fraction
        The rate (number or schedule) is multiplied by a factor that falls linearly from 1 to ``lr_final_fraction``.
    gamma, n_ticks
        Discount per tick of the clock, and length of a return in ticks; 0 ticks is the one-step return.
    reward_scale
        Rewards are divided by this inside the agent, so that Q-values stay of the order of 1; logged returns are not.
    double_q
        False: the target network both chooses and values a', as in DQN.
    averaging
        Decay per gradient step of the running average of the weights that answers ``predict`` and is saved; None: the
        last weights do. Exploration always follows the last weights.
    horizon_min
        If given (up to 120), pairs of bookings whose earliest pickup is further ahead are not among the agent's
        actions: it decides just in time, and with fewer actions that can be told apart.
    strict_masks
        Raise when an action about to be returned is infeasible, or when a state has no feasible action.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "PairPolicy": PairPolicy,
        "MaskableMlpPolicy": MaskableMlpPolicy,
        "MultiInputPolicy": MaskableMlpPolicy,
    }
    policy: MaskedPolicy
    q_net: Any  # a PairQNetwork or MaskedMlpQNetwork
    q_net_target: Any

    def __init__(
        self,
        policy: str | type[MaskedPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 1e-3,
        lr_final_fraction: float = 0.05,
        buffer_size: int = 160_000,
        learning_starts: int = 2_000,
        batch_size: int = 256,
        tau: float = 0.005,
        gamma: float = 0.995,
        n_ticks: float = 8.0,
        reward_scale: float = 100.0,
        double_q: bool = True,
        averaging: float | None = 0.998,
        horizon_min: float | None = None,
        strict_masks: bool = False,
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = 2,
        replay_buffer_class: type[ClockReplayBuffer] = ClockReplayBuffer,
        replay_buffer_kwargs: dict[str, Any] | None = None,
        target_update_interval: int = 10_000,
        exploration_fraction: float = 0.6,
        exploration_initial_eps: float = 0.3,
        exploration_final_eps: float = 0.02,
        max_grad_norm: float = 10.0,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=train_freq,
            gradient_steps=gradient_steps,
            replay_buffer_class=replay_buffer_class,
            replay_buffer_kwargs=replay_buffer_kwargs,
            target_update_interval=target_update_interval,
            exploration_fraction=exploration_fraction,
            exploration_initial_eps=exploration_initial_eps,
            exploration_final_eps=exploration_final_eps,
            max_grad_norm=max_grad_norm,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=dict(policy_kwargs or {}),
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
        )
        if reward_scale <= 0.0:
            raise ValueError(f"MaskableDQN: reward_scale divides the rewards and must be positive, got {reward_scale}.")
        if averaging is not None and not 0.0 < averaging < 1.0:
            raise ValueError(f"MaskableDQN: averaging is a decay between 0 and 1 or None, got {averaging}.")
        if horizon_min is not None and not 0.0 <= horizon_min <= MAX_HORIZON_MIN:
            raise ValueError(f"MaskableDQN: horizon_min is from 0 to {MAX_HORIZON_MIN:.0f}, got {horizon_min}.")
        self.lr_final_fraction = lr_final_fraction
        self.n_ticks, self.reward_scale, self.double_q = n_ticks, reward_scale, double_q
        self.averaging, self.horizon_min, self.strict_masks = averaging, horizon_min, strict_masks
        self.prices = shown_prices(self.env)  # what was shown in training; whoever evaluates shows the same
        if issubclass(self.policy_class, PairPolicy):
            self.policy_kwargs.setdefault("pair_mixing", True)
            self.policy_kwargs.setdefault("pair_reward_scale", reward_bound(self.env) / reward_scale)
        if _init_setup_model:
            self._setup_model()
            assert isinstance(self.replay_buffer, ClockReplayBuffer)
            self.replay_buffer.allocate()  # refuses at once what doesn't fit

    # --- setting up ---------------------------------------------------------------------------------------------
    def _setup_model(self) -> None:
        if not isinstance(self.observation_space, spaces.Dict) or MASK_KEY not in self.observation_space.spaces:
            raise ValueError(
                f"MaskableDQN: expected a Dict observation with '{MASK_KEY}', got {self.observation_space}. "
                "Use DQN for environments without a mask."
            )
        if self._vec_normalize_env is not None:
            raise ValueError("MaskableDQN: VecNormalize isn't supported. Scale rewards with reward_scale instead.")
        if self.replay_buffer is None:
            assert self.replay_buffer_class is not None
            kwargs: dict[str, Any] = {"gamma": self.gamma, "n_ticks": self.n_ticks, "packed": self._wants_packed}
            self.replay_buffer = self.replay_buffer_class(
                self.buffer_size,
                self.observation_space,
                self.action_space,
                device=self.device,
                n_envs=self.n_envs,
                **{**kwargs, **self.replay_buffer_kwargs},
            )
        if self.averaging is not None:
            self.policy_kwargs["averaged"] = True
        super()._setup_model()
        # Looking them up walks over all modules, which costs more than what is done with them.
        self._online, self._target = list(self.q_net.parameters()), list(self.q_net_target.parameters())
        self._average = list(self.policy.q_net_average.parameters()) if self.averaging is not None else []

    @property
    def _wants_packed(self) -> bool:
        """Whether the network reads pair rows of feasible pairs only (`agents.replay.ClockReplayBuffer`)."""
        return bool(getattr(self.policy_class, "wants_packed", False))

    def _setup_lr_schedule(self) -> None:
        super()._setup_lr_schedule()
        if self.lr_final_fraction != 1.0:
            self.lr_schedule = FadingSchedule(self.lr_schedule, self.lr_final_fraction)

    # --- acting -------------------------------------------------------------------------------------------------
    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """
        Feasible actions; exploring with probability ``exploration_rate`` per observation unless ``deterministic``.

        ``action_masks`` (sb3-contrib's convention) takes the place of the observation's mask.
        """
        rate = 0.0 if deterministic else self.exploration_rate
        return self._choose(observation, self.policy.acting_net, rate, action_masks), state

    def q_values(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """
        Q of every action in units of reward / ``reward_scale``; the most negative float where infeasible.

        Returns
        -------
        float32, shape (N*M + 1,), with the observation's leading axis if it has one.
        """
        obs, is_batch = self._batched(observation)
        with th.no_grad():
            values = self.policy.acting_net(self._tensors(obs)).cpu().numpy()
        return values if is_batch else values[0]

    def _batched(self, observation: Any) -> tuple[dict[str, np.ndarray], bool]:
        if not isinstance(observation, dict):
            raise ValueError(f"MaskableDQN: expected a Dict observation, got {type(observation).__name__}.")
        is_batch = np.ndim(observation[MASK_KEY]) == 2
        if not is_batch:
            observation = {key: np.asarray(value)[np.newaxis] for key, value in observation.items()}
        return self.as_seen(observation), is_batch

    def as_seen(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The observation with the mask that this model goes by."""
        return mask_within(observation, self.horizon_min)

    def _tensors(self, obs: dict[str, np.ndarray]) -> dict[str, th.Tensor]:
        return {key: th.as_tensor(obs[key], device=self.device) for key in self.observation_space.spaces}  # type: ignore[attr-defined]

    def _choose(
        self, observation: Any, net: Any, exploration_rate: float, action_masks: np.ndarray | None = None
    ) -> np.ndarray:
        obs, is_batch = self._batched(with_mask(observation, action_masks))
        mask = as_booleans(obs[MASK_KEY])
        explores = (
            np.random.random(len(mask)) < exploration_rate if exploration_rate > 0.0 else np.zeros(len(mask), bool)
        )
        actions = np.zeros(len(mask), dtype=np.int64)
        actions[explores] = random_feasible(mask[explores])
        # Where one action is feasible there is nothing to ask the network.
        num_feasible = np.count_nonzero(mask, axis=1)
        forced = ~explores & (num_feasible <= 1)
        actions[forced] = mask[forced].argmax(axis=1)
        asks = np.flatnonzero(~explores & (num_feasible > 1))
        candidates = self.policy.candidates
        if candidates is not None and num_feasible.max(initial=0) > candidates.above:
            large = asks[num_feasible[asks] > candidates.above]
            asks = asks[num_feasible[asks] <= candidates.above]
            fast = FastPairNetwork.of(net, candidates)
            actions[large] = [fast.action({key: np.asarray(obs[key])[row] for key in obs}) for row in large]
        if len(asks):
            if len(asks) < len(mask):
                obs = {key: np.asarray(obs[key])[asks] for key in self.observation_space.spaces}  # type: ignore[attr-defined]
            with th.inference_mode():
                actions[asks] = net._predict(self._tensors(obs)).cpu().numpy()
        if self.strict_masks:
            self._refuse_infeasible(actions, np.atleast_2d(as_booleans(observation[MASK_KEY])))
        return actions if is_batch else actions[0]

    @staticmethod
    def _refuse_infeasible(actions: np.ndarray, mask: np.ndarray) -> None:
        wrong = np.flatnonzero(~mask[np.arange(len(actions)), actions])
        if len(wrong):
            row = int(wrong[0])
            raise RuntimeError(
                f"strict masks: action {actions[row]} of observation {row} is infeasible "
                f"({int(mask[row].sum())} feasible actions). Mend the mask, or pass strict_masks=False."
            )

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        rate = 1.0 if self.num_timesteps < learning_starts else self.exploration_rate
        actions = self._choose(self._last_obs, self.q_net, rate)
        return actions, actions

    def _on_step(self) -> None:
        self._n_calls += 1
        if self.tau >= 1.0 and self._n_calls % max(self.target_update_interval // self.n_envs, 1) == 0:
            self._update_target()
        self.exploration_rate = self.exploration_schedule(self._current_progress_remaining)
        self.logger.record("rollout/exploration_rate", self.exploration_rate)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, Any]:
        result = super()._setup_learn(*args, **kwargs)
        self._last_obs = self.as_seen(cast(dict[str, np.ndarray], self._last_obs))
        return result

    def _store_transition(
        self,
        replay_buffer: Any,
        buffer_action: np.ndarray,
        new_obs: Any,
        reward: np.ndarray,
        dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        # SB3 copies the next observation to put terminal observations in; this buffer neither copies nor needs them.
        new_obs = self.as_seen(new_obs)
        replay_buffer.add(self._last_obs, new_obs, buffer_action, reward, dones, infos)
        self._last_obs = new_obs

    # --- learning -----------------------------------------------------------------------------------------------
    def train(self, gradient_steps: int, batch_size: int = 256) -> None:
        """Gradient steps on batches from the replay buffer; the class docstring has the target."""
        buffer = self.replay_buffer
        assert isinstance(buffer, ClockReplayBuffer)
        if buffer.size() < 2:  # nothing has a next observation yet
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        if isinstance(buffer, PrioritizedClockReplayBuffer):
            buffer.raise_beta(self._current_progress_remaining)
            self.logger.record("train/replay_beta", buffer.beta)

        logged = []
        for _ in range(gradient_steps):
            batch = buffer.sample(batch_size)
            target = self._targets(batch)
            q_values = self.q_net.q_of_actions(batch.observations, batch.actions).reshape(-1, 1)
            loss = (batch.weights * F.smooth_l1_loss(q_values, target, reduction="none")).mean()
            self._descend(loss)
            td_errors = (q_values - target).detach()
            if isinstance(buffer, PrioritizedClockReplayBuffer):
                buffer.update_priorities(batch.indices, td_errors.cpu().numpy())
            if self.tau < 1.0:
                self._update_target()
            logged.append(th.stack([loss.detach(), q_values.detach().mean(), target.mean(), td_errors.abs().mean()]))

        loss_mean, q_mean, target_mean, td_mean = th.stack(logged).mean(dim=0).tolist()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", loss_mean)
        self.logger.record("train/q_values", q_mean)
        self.logger.record("train/target_q_values", target_mean)
        self.logger.record("train/td_error", td_mean)

    def _descend(self, loss: th.Tensor) -> None:
        """One gradient step."""
        self.policy.optimizer.zero_grad()
        loss.backward()
        th.nn.utils.clip_grad_norm_(self._online, self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates += 1
        if self.averaging is not None:
            self._update_average()

    def _targets(self, batch: ClockSamples) -> th.Tensor:
        """y of the class docstring, shape (B, 1)."""
        target = batch.rewards / self.reward_scale
        if len(batch.bootstraps):
            with th.no_grad():
                values = self._next_values(batch.next_observations).reshape(-1, 1)
            target = target.index_add(0, batch.bootstraps, batch.discounts[batch.bootstraps] * values)
        return target

    def _next_values(self, obs: dict[str, th.Tensor]) -> th.Tensor:
        """Value of the best feasible action, shape (B,); 0 where none is feasible."""
        if self.double_q:
            values = self.q_net_target.q_of_actions(obs, self.q_net(obs).argmax(dim=1))
        else:
            values = self.q_net_target(obs).max(dim=1).values
        return values.masked_fill(~obs[MASK_KEY].bool().any(dim=1), 0.0)

    def _update_target(self) -> None:
        move_towards(self._target, self._online, self.tau)

    def _update_average(self) -> None:
        # The average of the first steps only: a long memory would keep the weights of the start for too long.
        decay = min(float(self.averaging or 0.0), (1 + self._n_updates) / (10 + self._n_updates))
        move_towards(self._average, self._online, 1.0 - decay)

    def learn(
        self: Self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """As Stable-Baselines3's; TensorBoard shows the run under the name of the class unless another is given."""
        name = tb_log_name or type(self).__name__
        return super().learn(total_timesteps, callback, log_interval, name, reset_num_timesteps, progress_bar)

    def _excluded_save_params(self) -> list[str]:
        own = ["_last_obs", "_last_original_obs", "_online", "_target", "_average"]
        return [*super()._excluded_save_params(), *own]
