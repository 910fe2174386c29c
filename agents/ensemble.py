"""Several trained networks as one agent: greedy over the mean of their Q-values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.fast import Advantages, FastPairNetwork
from agents.greedy import GreedyPolicy
from agents.maskable_dqn import MaskableDQN
from agents.masking import MASK_KEY, as_booleans


class EnsemblePolicy(GreedyPolicy):
    """
    Choose by the mean of the Q-values of several models.

    What networks of different training seeds disagree on is mostly what the chance of their training days taught them,
    and the mean has less of it (Breiman 1996, "Bagging Predictors"). It costs as many forward passes as there are
    models.

    Parameters
    ----------
    models
        Trained on the same observation and, as what they add up must be one quantity, with the same ``reward_scale``.

    Raises
    ------
    ValueError
        For no model at all, or models whose Q-values or choices aren't of one kind.
    """

    def __init__(self, models: Sequence[MaskableDQN]) -> None:
        if not models:
            raise ValueError("ensemble: expected one model or more, got none.")
        for name in ("reward_scale", "horizon_min", "prices"):
            values = [getattr(model, name) for model in models]
            if any(value != values[0] for value in values):
                raise ValueError(f"ensemble: the models differ in {name}: {values}. Take models of one setting.")
        self.models = list(models)

    def q_values(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """Mean over the models of `MaskableDQN.q_values`; float64, as sums of the most negative float32 overflow."""
        values = [model.q_values(observation) for model in self.models]
        return np.stack(values).mean(axis=0, dtype=np.float64)

    def choose(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """Where very many pairs are feasible, the likely ones are scored only, as by one model."""
        first = self.models[0]
        seen = first.as_seen(observation)
        mask = as_booleans(seen[MASK_KEY])
        num_feasible = np.count_nonzero(mask, axis=1)
        candidates = first.policy.candidates
        is_large = np.zeros(len(num_feasible), bool) if candidates is None else num_feasible > candidates.above
        actions = mask.argmax(axis=1)  # where one action is feasible there is nothing to ask the networks
        if is_large.any():
            networks = [FastPairNetwork.of(model.policy.acting_net, candidates) for model in self.models]
            for row in np.flatnonzero(is_large):
                obs = {key: np.asarray(array)[row] for key, array in seen.items()}
                found = [network.advantages(obs) for network in networks]
                pairs = np.mean([each.pairs for each in found], axis=0)
                mean = Advantages(found[0].at, pairs, float(np.mean([each.wait for each in found])))
                actions[row] = mean.action(can_wait=bool(mask[row, 0]))
        asks = np.flatnonzero(~is_large & (num_feasible > 1))
        if len(asks):
            q = self.q_values({key: np.asarray(array)[asks] for key, array in observation.items()})
            actions[asks] = q.argmax(axis=1)
        return actions
