"""Rewards of made-up days."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.made_up import NUM_DAYS


@pytest.fixture
def days():
    """Rewards of a day, the same noise for all policies."""
    return np.random.default_rng(0).normal(1000.0, 200.0, NUM_DAYS)
