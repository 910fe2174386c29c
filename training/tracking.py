"""``--track``: a run in Weights & Biases, with rl-zoo3's flags."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

from checked import SettingsError
from training import metrics
from training.run_folder import RunFolder
from training.settings import RunSettings


def check_tracking(settings: RunSettings) -> None:
    """
    Refuse ``--track`` before anything is made.

    Raises
    ------
    SettingsError
        Without wandb, or without the curves that are sent.
    """
    if settings.track and importlib.util.find_spec("wandb") is None:
        raise SettingsError(
            "--track: Weights & Biases is not installed. pip install wandb; without a network set WANDB_MODE=offline."
        )
    if settings.track and not settings.is_tensorboard_on:
        raise SettingsError(
            "--track sends TensorBoard's curves, and --tensorboard-log none writes none. Leave one out."
        )


def start_tracking(settings: RunSettings, folder: RunFolder) -> Any:
    """The run as wandb knows it, for the caller to finish; None without ``--track``. Before TensorBoard's writer."""
    if not settings.track:
        return None
    import wandb

    return wandb.init(
        name=f"{settings.env}__{settings.algo}__{settings.seed}__{int(time.time())}",
        project=settings.wandb_project_name,
        entity=settings.wandb_entity,
        group=settings.wandb_group,
        tags=list(settings.wandb_tags),
        config=metrics.plain_settings(settings.to_resolved()),
        dir=str(folder.path),
        sync_tensorboard=True,
    )
