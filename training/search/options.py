"""How a search is run, as asked for on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The options of ``train.py -optimize``; its ``--help`` tells what they mean."""

    n_timesteps: int = -1  # of a trial
    n_trials: int = 50
    max_total_trials: int | None = None
    n_jobs: int = 1
    sampler: str = "tpe"
    pruner: str = "median"
    n_startup_trials: int = 10
    n_evaluations: int | None = 8
    objective_days: int = 250
    top_k: int = 3
    retest_seeds: int = 3
    storage: str | None = None
    study_name: str | None = None
    study_report: bool = False
    trial_id: int | None = None
    optimization_log_path: str | None = None
    no_optim_plots: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SearchOptions:
        """Those among all options of a command; what it doesn't have is at its default."""
        return cls(**{each.name: options[each.name] for each in fields(cls) if each.name in options})
