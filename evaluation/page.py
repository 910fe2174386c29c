"""One self-contained page: the table, and the paired differences to the best rule as a drawing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evaluation.comparison import Evaluation
from evaluation.table import PROMISE_LEGEND, promise_rows, table_rows
from evaluation.words import headline, legend, notes, verdict

_WIDTH, _LABEL_WIDTH, _ROW_HEIGHT = 960, 320, 24  # [px]
_FAR = 10.0  # times the median distance from the best rule: what is farther off would squeeze all others into a dot


def to_html(evaluation: Evaluation, pictures: Sequence[Path] = ()) -> str:
    """
    The page as text; nothing is loaded from elsewhere.

    Parameters
    ----------
    pictures
        PNG files to show below the table: how those who play were trained.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    header, *rows = table_rows(evaluation)
    return environment.get_template("page.html").render(
        evaluation=evaluation,
        headline=headline(evaluation),
        verdict=verdict(evaluation),
        legend=legend(evaluation),
        header=header,
        rows=rows,
        told=promise_rows(evaluation),
        told_legend=PROMISE_LEGEND,
        drawing=_drawing(evaluation),
        pictures={path.stem: base64.b64encode(path.read_bytes()).decode() for path in pictures},
        notes=notes(evaluation),
    )


def _drawing(evaluation: Evaluation) -> dict[str, Any] | None:
    """
    A line per policy from the lower to the upper end of its interval and a dot at the mean, in pixels; None where there
    is nothing to compare, or no interval. Who is far off is named instead.
    """
    rows = [row for row in evaluation.comparisons if row.metric == evaluation.objective and row.interval.num_days > 1]
    if not rows:
        return None
    rows.sort(key=lambda row: row.interval.mean)
    limit = _FAR * median(abs(row.interval.mean) for row in rows) or inf
    far = [f"{row.policy} ({row.interval.mean:+.0f})" for row in rows if abs(row.interval.mean) > limit]
    rows = [row for row in rows if abs(row.interval.mean) <= limit]
    low = min(0.0, *(row.interval.low for row in rows))
    high = max(0.0, *(row.interval.high for row in rows))
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(_LABEL_WIDTH + (_WIDTH - _LABEL_WIDTH - 20) * (value - low) / span, 1)

    lines = [
        {
            "policy": row.policy,
            "y": _ROW_HEIGHT * (i + 0.5),
            "low": x(row.interval.low),
            "mean": x(row.interval.mean),
            "high": x(row.interval.high),
            "colour": "#1f5fa8" if row.is_significant else "#999",
        }
        for i, row in enumerate(rows)
    ]
    return {
        "width": _WIDTH,
        "height": _ROW_HEIGHT * (len(rows) + 1),
        "axis_height": _ROW_HEIGHT * len(rows),
        "labels_end": _LABEL_WIDTH - 10,
        "zero": x(0.0),
        "anchor": "end" if x(0.0) > _WIDTH / 2 else "start",  # towards the middle: at the edge it would be cut off
        "lines": lines,
        "far": far,
    }
