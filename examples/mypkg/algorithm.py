"""An algorithm: one of Stable-Baselines3's, changed; ``--algo`` knows it by its name in ``rl_zoo3.utils.ALGOS``."""

from typing import Any

import numpy as np
import torch as th
from stable_baselines3 import DQN


class BoltzmannDQN(DQN):
    """
    DQN that tries out what looks good more often than what looks bad.

    Where DQN explores, each action is drawn with a probability in proportion to exp(Q / temperature).
    """

    def __init__(self, *args: Any, temperature: float = 1.0, **kwargs: Any) -> None:
        self.temperature = temperature  # [reward]; saved with the model as any attribute is
        super().__init__(*args, **kwargs)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        if deterministic or np.random.rand() >= self.exploration_rate:
            return super().predict(observation, state, episode_start, deterministic=True)
        tensor, is_batch = self.policy.obs_to_tensor(observation)
        with th.no_grad():
            chosen = th.distributions.Categorical(logits=self.q_net(tensor) / self.temperature).sample().numpy()
        return (chosen if is_batch else chosen[0]), state
