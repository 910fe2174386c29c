"""
Rewards V1, V2 and V3: named terms in physical units, paid by wrappers around identical dynamics.

``RewardV2(env)`` pays a single environment, ``RewardFunction.load("v2").attach(batch)`` a batch of them, by the same
code. ``log_terms.episode_terms`` reads a finished day's terms from its event log.
"""

from __future__ import annotations

from reward.describe import describe
from reward.log_terms import episode_terms
from reward.payer import Payer, RewardFunction
from reward.prices import PairPrices
from reward.terms import END_TERMS, STEP_TERMS, TERM_NAMES, TRIP_TERMS
from reward.weights import VERSIONS, Weights, load_weights
from reward.wrappers import RewardV1, RewardV2, RewardV3, RewardWrapper

__all__ = [
    "END_TERMS",
    "STEP_TERMS",
    "TERM_NAMES",
    "TRIP_TERMS",
    "VERSIONS",
    "PairPrices",
    "Payer",
    "RewardFunction",
    "RewardV1",
    "RewardV2",
    "RewardV3",
    "RewardWrapper",
    "Weights",
    "describe",
    "episode_terms",
    "load_weights",
]
