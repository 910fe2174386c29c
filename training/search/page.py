"""The plots of a search as one self-contained page; `optuna-dashboard` on the same storage shows them live."""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; color: #1a1a1a }
pre { background: #f5f5f5; padding: 1em; overflow-x: auto; font-size: 13px } img { max-width: 100% }
"""
SLICES_PER_ROW = 4
MIN_COMPLETED = 4  # trials; with fewer, importance and slices say nothing


def to_html(study: optuna.Study, lines: Sequence[str]) -> str:
    """The page as text; nothing is loaded from elsewhere."""
    name = html.escape(study.study_name)
    sections = "".join(f"<h2>{title}</h2><p>{text}</p>{_plot(study, draw)}" for title, text, draw in _PLOTS)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Search {name}</title><style>{_STYLE}</style>"
        f"<h1>{name}</h1><pre>{html.escape(chr(10).join(lines))}</pre>{sections}</html>\n"
    )


def _history(study: optuna.Study) -> Any:
    return optuna.visualization.matplotlib.plot_optimization_history(study)


def _importance(study: optuna.Study) -> Any:
    return optuna.visualization.matplotlib.plot_param_importances(study)


def _slices(study: optuna.Study) -> Any:
    names = list(dict.fromkeys(name for trial in study.get_trials(deepcopy=False) for name in trial.params))
    rows = [names[i : i + SLICES_PER_ROW] for i in range(0, len(names), SLICES_PER_ROW)]
    return [optuna.visualization.matplotlib.plot_slice(study, params=row) for row in rows]


def _parallel(study: optuna.Study) -> Any:
    return optuna.visualization.matplotlib.plot_parallel_coordinate(study)


def _curves(study: optuna.Study) -> Any:
    return optuna.visualization.matplotlib.plot_intermediate_values(study)


_PLOTS: tuple[tuple[str, str, Callable[[optuna.Study], Any]], ...] = (
    ("History", "Score of each trial: mean reward a day minus that of the best rule, on the objective days.", _history),
    ("Pruning", "Score on the way; a line that ends early was pruned.", _curves),
    ("Importance", "Share of each setting in what separates the good trials from the rest.", _importance),
    ("Slices", "Score against each setting.", _slices),
    ("Parallel coordinates", "A line per completed trial.", _parallel),
)


def _plot(study: optuna.Study, draw: Callable[[optuna.Study], Any]) -> str:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(completed) < (1 if draw in (_history, _curves) else MIN_COMPLETED):
        return "<p>Too few completed trials.</p>"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = draw(study)
    images = []
    for axes in drawn if isinstance(drawn, list) else [drawn]:
        first = np.ravel(np.asarray(axes, dtype=object))[0]
        figure = first.figure
        figure.set_size_inches(16.0 if draw is _parallel else 11.0, 3.4 if draw is _slices else 5.0)
        if draw is _curves and first.get_legend() is not None:
            first.get_legend().remove()  # a line per trial
        if draw is _parallel:
            figure.autofmt_xdate(rotation=30)
        image = io.BytesIO()
        figure.savefig(image, format="svg", bbox_inches="tight")
        plt.close(figure)
        images.append(f'<img alt="" src="data:image/svg+xml;base64,{base64.b64encode(image.getvalue()).decode()}">')
    return "".join(images)
