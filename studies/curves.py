"""
The curves of several training seeds as a picture: ``python -m studies.curves RUN_FOLDER... -o curves.png``.

Reads what TensorBoard reads (the event files of the run folders). One panel per curve, a thin line per seed, a thick
one for their mean where all seeds have values. Curves that no run logged are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from evaluation.runs import RESOLVED
from studies.jobs import latest_run

FloatArray = npt.NDArray[np.float64]
Series = tuple[FloatArray, FloatArray]  # decisions, values


@dataclass(frozen=True)
class Curve:
    """A curve of TensorBoard with its title, unit and scale in the picture."""

    tag: str
    title: str
    unit: str
    scale: str = "linear"


CURVES = (
    Curve("rollout/ep_rew_mean", "Return of training days, exploring", "reward points per day"),
    Curve("eval/mean_reward", "Return of selection days, greedy", "reward points per day"),
    Curve("train/loss", "Loss of the updates", "loss, as the algorithm defines it", "log"),
    Curve("branching/loss", "Loss of the differences between actions", "Huber loss [(reward / scale)²]", "log"),
    Curve("rollout/exploration_rate", "Exploration", "probability of a random action"),
)
GRID_POINTS = 200  # of the mean
COLUMNS = 2


class CurvesError(ValueError):
    """Runs that can't be drawn; the message says which and why."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_FOLDER", help="such as logs/v2/dqn/Dispatch-v0_1")
    parser.add_argument("-o", "--output", type=Path, default=Path("curves.png"), help="default: curves.png")
    parser.add_argument("--title", help="default: algorithm, environment and reward of the runs")
    args = parser.parse_args(argv)
    try:
        draw(args.runs, args.output, args.title)
    except CurvesError as error:
        print(f"studies.curves: {error}", file=sys.stderr)
        return 2
    print(f"Curves: {args.output}")
    return 0


def draw(runs: Sequence[Path], output: Path, title: str | None = None) -> None:
    """
    Draw the curves of ``runs``, one line each, into ``output``.

    Raises
    ------
    CurvesError
        When a folder is no run, or has no event files.
    """
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    folders = [find(run) for run in runs]
    settings = [yaml.safe_load(next(folder.glob(f"*/{RESOLVED}")).read_text()) for folder in folders]
    logged = [read_events(folder) for folder in folders]
    curves = [curve for curve in CURVES if any(curve.tag in series for series in logged)]
    if not curves:
        raise CurvesError(f"{folders[0]}: the event files hold none of {', '.join(curve.tag for curve in CURVES)}.")
    last_step = max(steps[-1] for of_run in logged for steps, _ in of_run.values())
    num_rows = -(-len(curves) // COLUMNS)
    figure = Figure(figsize=(6.0 * COLUMNS, 3.4 * num_rows), layout="constrained")
    figure.suptitle(title or title_of(settings))
    for i, curve in enumerate(curves):
        axes = figure.add_subplot(num_rows, COLUMNS, i + 1)
        series = [
            (of_run["seed"], values[curve.tag])
            for of_run, values in zip(settings, logged, strict=True)
            if curve.tag in values
        ]
        for seed, (steps, values) in series:
            axes.plot(steps, values, linewidth=0.9, alpha=0.7, label=f"seed {seed}")
        if len(series) > 1:
            steps, values = mean_of([one for _, one in series])
            axes.plot(steps, values, color="black", linewidth=2.0, label="mean")
        axes.set_title(curve.title)
        axes.set_xlabel("decisions")
        axes.set_xlim(0, last_step)
        axes.set_ylabel(curve.unit)
        axes.set_yscale(scale_of(curve, [values for _, (_, values) in series]))
        axes.grid(alpha=0.3)
        if i == 0:
            axes.legend(fontsize="small")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


def scale_of(curve: Curve, values: Sequence[FloatArray]) -> str:
    """The curve's own scale; linear where a logarithm would hide values, as those of PPO's loss below zero."""
    is_positive = all((of_run > 0.0).all() for of_run in values)
    return curve.scale if is_positive else "linear"


def find(run: Path) -> Path:
    """The run folder itself, or the newest one below a folder of a study."""
    if any(run.glob(f"*/{RESOLVED}")):
        return run
    found = latest_run(run)
    if found is None:
        raise CurvesError(f"{run}: not a run folder. Name a folder such as logs/v2/dqn/Dispatch-v0_1.")
    return found


def title_of(settings: Sequence[dict[str, Any]]) -> str:
    """What the runs have in common."""
    parts = []
    for key in ("algo", "env", "reward"):
        parts.append(" / ".join(dict.fromkeys(str(of_run.get(key)) for of_run in settings)))
    algo, env, reward = parts
    return f"{algo} on {env}, reward {reward}, {len(settings)} training seed{'s' if len(settings) > 1 else ''}"


def read_events(run_folder: Path) -> dict[str, Series]:
    """
    The curves of CURVES that a run logged. What an interrupted run wrote after its last checkpoint is left out.

    Raises
    ------
    CurvesError
        When there are no event files.
    """
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    if not any(run_folder.glob("events.out.tfevents.*")):
        raise CurvesError(f"{run_folder}: no event files. Train without '-tb none', or look where '-tb' put them.")
    events = EventAccumulator(str(run_folder), size_guidance={SCALARS: 0})  # 0: all points
    events.Reload()
    known = set(events.Tags()["scalars"])
    series = {}
    for curve in CURVES:
        if curve.tag in known:
            points = events.Scalars(curve.tag)
            series[curve.tag] = (
                np.array([point.step for point in points], np.float64),
                np.array([point.value for point in points], np.float64),
            )
    return series


def mean_of(series: Sequence[Series]) -> Series:
    """Mean over the stretch that all series cover, each interpolated between its points."""
    first = max(steps[0] for steps, _ in series)
    last = min(steps[-1] for steps, _ in series)
    if last < first:
        return np.array([]), np.array([])
    grid = np.linspace(first, last, GRID_POINTS)
    return grid, np.mean([np.interp(grid, steps, values) for steps, values in series], axis=0)


if __name__ == "__main__":
    sys.exit(main())
