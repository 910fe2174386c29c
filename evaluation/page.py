"""One self-contained page: the table, and the paired differences to the best rule as a drawing."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from math import inf
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evaluation.report import Evaluation

_WIDTH, _LABEL_WIDTH, _ROW_HEIGHT = 960, 320, 24  # [px]
_FAR = 10.0  # times the median distance from the best rule: what is farther off would squeeze all others into a dot
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #1a1a1a }
table { border-collapse: collapse; font-size: 13px }
td, th { padding: 3px 8px; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } tr.best { font-weight: bold } .scroll { overflow-x: auto }
"""


def to_html(evaluation: Evaluation, pictures: Sequence[Path] = ()) -> str:
    """
    The page as text; nothing is loaded from elsewhere.

    Parameters
    ----------
    pictures
        PNG files to show below the table: how those who play were trained.
    """
    from evaluation.report import table_rows

    header, *rows = table_rows(evaluation)
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr{' class=best' if row[0] == evaluation.best_rule else ''}>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    hindsight = [] if evaluation.reference is None else evaluation.reference.notes()
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in (*hindsight, *evaluation.notes))
    env_id = html.escape(evaluation.env_id)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Evaluation of {env_id}</title>"
        f"<style>{_STYLE}</style><h1>{env_id}</h1><p>{html.escape(evaluation.headline())}</p>"
        f"<p><strong>{html.escape(evaluation.verdict())}</strong></p>"
        f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"
        "<p>KPIs are means over the days; n.s.: not significant at 5 % after Holm's correction; ms: time per "
        "decision.</p>"
        f"<h2>{evaluation.objective}: paired difference to the best rule, 95 % interval</h2>"
        f"{_drawing(evaluation)}"
        f"{''.join(map(_picture, pictures))}<ul>{notes}</ul></html>\n"
    )


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img src="data:image/png;base64,{data}" alt="{html.escape(path.stem)}" width="100%"></p>'


def _drawing(evaluation: Evaluation) -> str:
    """
    SVG: a line per policy from the lower to the upper end of its interval, a dot at the mean, zero dashed. Who is
    far off is named below it instead.
    """
    rows = [row for row in evaluation.comparisons if row.metric == evaluation.objective and row.interval.num_days]
    if not rows:
        return "<p>Nothing to compare.</p>"
    rows.sort(key=lambda row: row.interval.mean)
    limit = _FAR * median(abs(row.interval.mean) for row in rows) or inf
    far = [f"{row.policy} ({row.interval.mean:+.0f})" for row in rows if abs(row.interval.mean) > limit]
    rows = [row for row in rows if abs(row.interval.mean) <= limit]
    low = min(0.0, *(row.interval.low for row in rows))
    high = max(0.0, *(row.interval.high for row in rows))
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return _LABEL_WIDTH + (_WIDTH - _LABEL_WIDTH - 20) * (value - low) / span

    height = _ROW_HEIGHT * (len(rows) + 1)
    zero, best = f"{x(0):.1f}", html.escape(str(evaluation.best_rule))
    anchor = "end" if x(0) > _WIDTH / 2 else "start"  # towards the middle: a name at the edge would be cut off
    parts = [
        f'<line x1="{zero}" x2="{zero}" y1="0" y2="{height - _ROW_HEIGHT}" stroke="#888" stroke-dasharray="4 3"/>',
        f'<text x="{zero}" y="{height - 6}" text-anchor="{anchor}">0 = {best}</text>',
    ]
    for i, row in enumerate(rows):
        y = _ROW_HEIGHT * (i + 0.5)
        colour = "#1f5fa8" if row.is_significant else "#999"
        parts.append(
            f'<text x="{_LABEL_WIDTH - 10}" y="{y + 4:.1f}" text-anchor="end">{html.escape(row.policy)}</text>'
            f'<line x1="{x(row.interval.low):.1f}" x2="{x(row.interval.high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
            f'stroke-width="3"/><circle cx="{x(row.interval.mean):.1f}" cy="{y}" r="4" fill="{colour}"/>'
        )
    note = f"<p>Too far off to be drawn: {html.escape(', '.join(far))}.</p>" if far else ""
    return f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" font-size="13" role="img">{"".join(parts)}</svg>{note}'
