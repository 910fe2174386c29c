"""
The front page's table of six rows and its picture: ``python -m studies.front``.

Both are made of other tables in ``docs/results``, nothing is measured here. Writes ``front.json`` there and
``docs/assets/policies.svg``, and fills the pages.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

from studies.results import FOLDER, ROOT, Column, Result, ResultError, add_publish, hand_over

PICTURE = Path("docs/assets/policies.svg")
AGENT, HINDSIGHT, REPLANNER = "agent", "hindsight", "replan_search"
SIMPLE, STOCK = "nearest_driver", "dqn"


@dataclass(frozen=True)
class World:
    """A column of the table: the result that it is taken from."""

    key: str
    name: str
    result: str


WORLDS = (
    World("short", "short shift, V2 points", "front-short-shift"),
    World("real", "real days, 10 drivers, cost", "front-real-days"),
    World("gives_back", "the same, plans improved", "front-real-days-gives-back"),
    World("load_1", "real company's load, CHF", "front-load-1"),
)
WHO = (
    (HINDSIGHT, "hindsight: knows the whole day"),
    (REPLANNER, "re-planner `replan_search`, 10 ms"),
    (AGENT, "**agent, mean of five networks**"),
    ("best_rule", "best tuned rule"),
    (SIMPLE, "nearest driver"),
    (STOCK, "stock DQN, published settings"),
)
"""Rows of the table, and what they are called there."""


def row_of(result: Result, who: str) -> dict[str, Any] | None:
    """Of a table of ``studies.results.of_evaluation``; None where they did not play."""
    if who == "best_rule":
        return result.row(difference="best rule")
    if who == AGENT:
        return result.row(kind="model")
    found = [row for row in result.rows if row.get("policy", "").split(",")[0] == who]
    return found[0] if found else None


def front(results: dict[str, Result]) -> Result:
    """
    Parameters
    ----------
    results
        Name to table, those of WORLDS.
    """
    rows = []
    for who, label in WHO:
        row: dict[str, Any] = {"policy": who, "label": label}
        for world in WORLDS:
            found = row_of(results[world.result], who)
            row[world.key] = None if found is None else found["objective"]
            difference = None if found is None else found["difference"]
            if isinstance(difference, dict) and who in (AGENT, REPLANNER):
                row[f"{world.key}_difference"] = difference
        rows.append(row)
    first = results[WORLDS[0].result]
    return Result(
        "front",
        "Six ways to decide, in four worlds",
        (Column("label", "who decides"), *(Column(world.key, world.name) for world in WORLDS)),
        tuple(rows),
        days="; ".join(f"{world.name}: {results[world.result].days}" for world in WORLDS),
        date=max(result.date for result in results.values()),
        commit=first.commit,
        commands=("python -m studies.front",),
    )


def draw(result: Result, stock: Result, output: Path) -> None:
    """Reward a shift less that of the best rule, a bar with its interval for each policy."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "dispatch"  # the same picture from the same numbers, byte for byte
    matplotlib.rcParams["svg.fonttype"] = "none"
    names = {"model": "agent, mean of five networks", "pool": "agent, five seeds"}
    bars = [
        (names.get(row["kind"], row["label"]), row["difference"], row["kind"])
        for row in result.rows
        if isinstance(row["difference"], dict)
    ]
    bars += [
        (row["label"], row["v2_difference"], "model") for row in stock.rows if row["label"].startswith("stock DQN")
    ]
    shown = [bar for bar in bars if bar[1]["mean"] > -700]
    shown.sort(key=lambda bar: bar[1]["mean"])
    figure, axes = plt.subplots(figsize=(8.4, 0.34 * len(shown) + 0.9), layout="constrained")
    for i, (_, cell, kind) in enumerate(shown):
        color = "#00897b" if cell["low"] > 0 else "#90a4ae" if kind == "rule" else "#e07a5f"
        axes.barh(i, cell["mean"], color=color, height=0.62)
        axes.errorbar(
            cell["mean"],
            i,
            xerr=[[cell["mean"] - cell["low"]], [cell["high"] - cell["mean"]]],
            color="#222",
            linewidth=1.2,
            capsize=2.5,
        )
    axes.set_yticks(range(len(shown)), [label for label, _, _ in shown])
    axes.axvline(0.0, color="#222", linewidth=1.0)
    axes.set_xlabel("V2 points a shift, less the best tuned rule (500 unseen days, 95 % intervals)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, metadata={"Date": None})
    plt.close(figure)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / PICTURE, help=f"the picture; default: {PICTURE}")
    add_publish(parser)
    args = parser.parse_args(argv)
    folder = ROOT / FOLDER
    try:
        results = {world.result: Result.read(folder / f"{world.result}.json") for world in WORLDS}
        draw(Result.read(folder / "short-shift-v2.json"), Result.read(folder / "short-shift.json"), args.output)
        hand_over([front(results)], args.output.parent, args.publish)
    except ResultError as error:
        print(f"studies.front: {error}", file=sys.stderr)
        return 2
    print(f"Picture: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
