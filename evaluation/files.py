"""What an evaluation leaves: evaluation.json, evaluation.csv (a row per policy and day) and evaluation.html."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import math
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import kept
from evaluation.comparison import Evaluation
from evaluation.page import to_html
from evaluation.words import verdict


def to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Everything but the single days, as plain data; null stands for what is not defined."""
    comparisons = [
        {
            "policy": row.policy,
            "against": row.against,
            "metric": row.metric,
            "mean_difference": row.interval.mean,
            "ci_low": row.interval.low,
            "ci_high": row.interval.high,
            "num_days": row.interval.num_days,
            "p_value": row.interval.p_value,
            "p_value_holm": row.p_value_holm,
            "is_significant": row.is_significant,
        }
        for row in evaluation.comparisons
    ]
    reference = evaluation.reference
    return _plain(
        {
            "env_id": evaluation.env_id,
            "scenario": evaluation.scenario,
            "reward": evaluation.reward,
            "objective": evaluation.objective,
            "days": [int(label) if label.isdecimal() else label for label in evaluation.labels],
            "policies": {name: _policy(evaluation, name) for name in evaluation.names},
            "best_rule": evaluation.best_rule,
            "comparisons": comparisons,
            "worst_days": evaluation.worst_days(),
            "verdict": verdict(evaluation),
            "notes": evaluation.notes,
            "hindsight": None if reference is None else reference.to_dict(evaluation.objective),
            "significant_pairs": [vars(pair) for pair in evaluation.ahead],
            **evaluation.about,
        }
    )


def _policy(evaluation: Evaluation, name: str) -> dict[str, Any]:
    members, objective = evaluation.of(name), evaluation.interval(name)
    content: dict[str, Any] = {
        "kind": evaluation.kind(name),
        "reward_mean": evaluation.mean(name, "reward"),
        "objective_mean": objective.mean,
        "objective_ci_low": objective.low,
        "objective_ci_high": objective.high,
        "kpis": {kpi: evaluation.mean(name, kpi) for kpi in members[0].kpis},
        "reward_terms": {
            term: float(np.mean([played.terms[term].mean() for played in members])) for term in members[0].terms
        },
        "latency_ms_p50": float(np.mean([played.latency_ms[0] for played in members])),
        "latency_ms_p99": float(np.mean([played.latency_ms[1] for played in members])),
        "tick_ms_p50": float(np.mean([played.tick_ms[0] for played in members])),
        "tick_ms_p99": float(np.mean([played.tick_ms[1] for played in members])),
    }
    if evaluation.reference is not None:
        content["gap_percent"], content["share_closed"] = evaluation.gaps(name)
    if name in evaluation.pools:
        content["members"] = evaluation.pools[name]
    return content


def write(evaluation: Evaluation, folder: str | Path) -> tuple[Path, Path, Path]:
    """
    Write the three files into ``folder`` and return their paths.

    Curves of the training that lie there already (``curves*.png``, see studies.curves) are shown on the page.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    json_path, csv_path, html_path = (folder / f"evaluation.{suffix}" for suffix in ("json", "csv", "html"))
    kept.write_text(json_path, json.dumps(to_dict(evaluation), indent=2) + "\n")
    kept.write_text(csv_path, to_csv(evaluation))
    kept.write_text(html_path, to_html(evaluation, sorted(folder.glob("curves*.png"))))
    return json_path, csv_path, html_path


def write_somewhere(evaluation: Evaluation, folder: str | Path) -> tuple[tuple[Path, Path, Path], OSError | None]:
    """``write``, into a temporary folder when ``folder`` can't be written; then also the error that says why."""
    try:
        return write(evaluation, folder), None
    except OSError as error:
        return write(evaluation, tempfile.mkdtemp(prefix="evaluation_")), error


def to_csv(evaluation: Evaluation) -> str:
    """A row per policy and day."""
    terms, kpis = list(evaluation.played[0].terms), list(evaluation.played[0].kpis)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["policy", "day", "service_day", "reward", *kpis, *(f"term_{term}" for term in terms)])
    for played in evaluation.played:
        for i, case in enumerate(played.cases):
            numbers = [played.reward[i], *(played.kpis[kpi][i] for kpi in kpis)]
            numbers += [played.terms[term][i] for term in terms]
            cells = ["" if math.isnan(value) else f"{value:.6g}" for value in numbers]
            names = (kept.for_spreadsheet(str(name)) for name in (played.policy, case.label, case.cluster))
            writer.writerow([*names, *cells])
    return buffer.getvalue()


def commit_and_versions() -> dict[str, Any]:
    """The commit of this checkout and the versions that decide what comes out; null outside a git checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).resolve().parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        commit = done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = None
    packages = ("numpy", "numba", "stable_baselines3", "torch")
    versions = {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}
    return {"commit": commit, "versions": versions}


def _plain(value: Any) -> Any:
    """JSON knows no nan: null stands for what is not defined."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
