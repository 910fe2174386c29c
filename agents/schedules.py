"""Learning-rate schedules that can be pickled with a model."""

from __future__ import annotations

from stable_baselines3.common.type_aliases import Schedule


class FadingSchedule:
    """A schedule times a factor that falls linearly from 1 to ``final_fraction`` over the training."""

    def __init__(self, schedule: Schedule, final_fraction: float) -> None:
        if not 0.0 <= final_fraction <= 1.0:
            raise ValueError(f"learning rate: lr_final_fraction is a share in [0, 1], got {final_fraction}.")
        self.schedule, self.final_fraction = schedule, final_fraction

    def __call__(self, progress_remaining: float) -> float:
        """``progress_remaining`` falls from 1 to 0."""
        progress = min(max(progress_remaining, 0.0), 1.0)
        return self.schedule(progress_remaining) * (self.final_fraction + (1.0 - self.final_fraction) * progress)
