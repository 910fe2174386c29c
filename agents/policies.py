"""SB3 policies of `agents.maskable_dqn.MaskableDQN`; YAML names them by path, as ``agents.policies.PairPolicy``."""

from __future__ import annotations

from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import nn

from agents.candidates import Candidates
from agents.masking import MASK_KEY, masked_values
from agents.pair_network import PairQNetwork
from agents.replay import PAIR_KEYS


class MaskedPolicy(DQNPolicy):
    """
    A DQN policy whose networks answer infeasible actions with the most negative float.

    ``averaged`` adds a third network, ``q_net_average``, that `MaskableDQN` keeps as the running average of the online
    weights; it then answers ``predict`` and is saved with the rest. Adam is fused by default, which halves the cost of
    its step on a CPU.
    """

    candidates: Candidates | None = None  # which pairs are scored in a greedy choice; None: all

    def __init__(
        self,
        *args: Any,
        averaged: bool = False,
        optimizer_class: type[th.optim.Optimizer] = th.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.averaged = averaged
        if optimizer_kwargs is None and optimizer_class is th.optim.Adam:
            optimizer_kwargs = {"fused": True}
        kwargs |= {"optimizer_class": optimizer_class, "optimizer_kwargs": optimizer_kwargs}
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        if self.averaged:
            self.q_net_average = self.make_q_net()
            self.q_net_average.load_state_dict(self.q_net.state_dict())
            self.q_net_average.set_training_mode(False)

    @property
    def acting_net(self) -> QNetwork:
        """The network that ``predict`` asks."""
        return self.q_net_average if self.averaged else self.q_net

    def _predict(self, obs: PyTorchObs, deterministic: bool = True) -> th.Tensor:
        return self.acting_net._predict(obs, deterministic=deterministic)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "averaged": self.averaged}


class PairPolicy(MaskedPolicy):
    """
    The pair network as an SB3 policy (through ``make_q_net``).

    Takes the arguments of ``network_class`` (`agents.pair_network.PairQNetwork`) as ``network``, and SB3's optimizer
    arguments. SB3's ``net_arch``, ``activation_fn`` and features extractor mean nothing here and are refused.

    Greedy choices among very many feasible pairs score the likely ones only, without PyTorch: ``candidates`` says from
    where on and which (`agents.candidates.Candidates`). It is no part of the model and not saved; set it on the policy,
    ``model.policy.candidates = None`` to score every pair always.
    """

    wants_packed = True
    network_class = PairQNetwork
    candidates = Candidates()

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        averaged: bool = False,
        optimizer_class: type[th.optim.Optimizer] = th.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **network: Any,
    ) -> None:
        self.network = network
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            averaged=averaged,
            normalize_images=False,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def make_q_net(self) -> PairQNetwork:  # type: ignore[override]
        return self.network_class(self.observation_space, self.action_space, **self.network).to(self.device)  # type: ignore[arg-type]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        for name in ("net_arch", "activation_fn", "features_extractor_class", "features_extractor_kwargs"):
            data.pop(name)
        data.pop("normalize_images")
        return {**data, **self.network}


class FlatExtractor(BaseFeaturesExtractor):
    """Everything but the mask as one vector; rows of infeasible pairs are zero, whatever the environment put there."""

    def __init__(self, observation_space: spaces.Dict) -> None:
        seen = spaces.Dict({key: space for key, space in observation_space.spaces.items() if key != MASK_KEY})
        combined = CombinedExtractor(seen)
        super().__init__(observation_space, combined.features_dim)
        self.combined = combined

    def forward(self, observations: dict[str, th.Tensor]) -> th.Tensor:
        feasible = observations[MASK_KEY][:, 1:].float()
        seen = {key: value for key, value in observations.items() if key != MASK_KEY}
        for key in PAIR_KEYS:
            if key in seen:
                pairs = seen[key]
                seen[key] = pairs * feasible.reshape(*feasible.shape, *[1] * (pairs.dim() - 2))
        return self.combined(seen)


class MaskedMlpQNetwork(QNetwork):
    """
    SB3's fully connected Q-network with the mask applied, optionally dueling (Wang et al. 2016, eq. 9).

    With ``dueling`` the last layer of ``net_arch`` feeds a value and an advantage stream, and the mean is taken over
    the feasible actions.
    """

    def __init__(self, *args: Any, dueling: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dueling = dueling
        if dueling:
            last = self.net_arch[-1] if self.net_arch else self.features_dim
            self.value_head = nn.Linear(last, 1)

    def forward(self, obs: PyTorchObs) -> th.Tensor:
        features = self.extract_features(obs, self.features_extractor)
        mask = obs[MASK_KEY].bool()  # type: ignore[index]
        if not self.dueling:
            return masked_values(self.q_net(features), mask)
        trunk = self.q_net[:-1](features)
        advantage = self.q_net[-1](trunk)
        mean = (advantage * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return masked_values(self.value_head(trunk) + advantage - mean, mask)

    def q_of_actions(self, obs: PyTorchObs, actions: th.Tensor) -> th.Tensor:
        return self(obs).gather(1, actions.reshape(-1, 1)).squeeze(1)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "dueling": self.dueling}


class MaskableMlpPolicy(MaskedPolicy):
    """A flat network (``net_arch``, default [1024, 256, 256]) over the whole observation, for comparison."""

    wants_packed = False

    def __init__(
        self,
        *args: Any,
        net_arch: list[int] | None = None,
        features_extractor_class: type[BaseFeaturesExtractor] = FlatExtractor,
        dueling: bool = False,
        **kwargs: Any,
    ) -> None:
        self.dueling = dueling
        net_arch = [1024, 256, 256] if net_arch is None else net_arch
        super().__init__(*args, net_arch=net_arch, features_extractor_class=features_extractor_class, **kwargs)

    def make_q_net(self) -> MaskedMlpQNetwork:
        net_args = self._update_features_extractor(self.net_args, features_extractor=None)
        return MaskedMlpQNetwork(**net_args, dueling=self.dueling).to(self.device)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "dueling": self.dueling}
