"""
The front page's table of six rows and its picture: ``python -m studies.front``.

Both are made of other tables in ``docs/results``, nothing is measured here. Writes ``front.json`` there and
``docs/assets/policies.svg``, and fills the pages.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

from studies.results import FOLDER, ROOT, Column, Result, ResultError, add_publish, hand_over, interval

PICTURE = Path("docs/assets/policies.svg")


class Cell(NamedTuple):
    """
    Where a number stands.

    Attributes
    ----------
    result, where, column
        The table, the values that tell its row, and the key of the column.
    fleet
        Which of several, where the table shows a list.
    sign
        -1 where the table shows the rule less this policy.
    """

    result: str
    where: dict[str, Any]
    column: str = "difference"
    fleet: int | None = None
    sign: int = 1

    def value(self, results: dict[str, Result]) -> Any:
        found = results[self.result].row(**self.where)[self.column]
        if self.fleet is not None and isinstance(found, list):
            found = found[self.fleet]
        if self.sign < 0:
            found = interval(-found["mean"], -found["high"], -found["low"])
        return found


TEN_DRIVERS = 1  # in tables that show fleets of 8 / 10 / 14
SHORT, SHORT_PLANNED = "short-shift-v2", "opponents-short-shift"
REAL, REAL_PLANNED = "real-days-10-off", "opponents-real-days"
GIVES_BACK, GIVES_BACK_AGENTS = "plan-improvement", "plan-improvement-agents"
LOAD_1, LOAD_1_PLANNED = "operating-day-load-1-on", "operating-day-load-1-replan"
JUST_IN_TIME = {"policy": "insertion_just_in_time"}

# World to who decides to where it was measured. The best rule is in points, cost or francs, the others as differences.
SOURCES: dict[str, dict[str, Cell]] = {
    "short": {
        "hindsight": Cell(SHORT_PLANNED, {"policy": "hindsight"}),
        "replanner": Cell(SHORT_PLANNED, {"policy": "replan_search"}),
        "agent": Cell(SHORT, {"kind": "ensemble"}),
        "best_rule": Cell(SHORT, {"difference": "best rule"}, "objective"),
        "nearest": Cell(SHORT, {"policy": "nearest_driver"}),
        "stock": Cell(SHORT, {"kind": "model"}),
    },
    "real": {
        "replanner": Cell(REAL, {"policy": "replan_search"}),
        "agent": Cell(REAL, {"kind": "ensemble"}),
        "best_rule": Cell(REAL, {"difference": "best rule"}, "objective"),
        "nearest": Cell(REAL, {"policy": "nearest_driver"}),
    },
    "gives_back": {
        "hindsight": Cell(REAL_PLANNED, {"policy": "hindsight"}, fleet=TEN_DRIVERS),
        "replanner": Cell(GIVES_BACK, JUST_IN_TIME, "against_replan_search", TEN_DRIVERS, sign=-1),
        "agent": Cell(GIVES_BACK_AGENTS, {"policy": "maskable_dqn_mean"}, fleet=TEN_DRIVERS),
        "best_rule": Cell(GIVES_BACK, JUST_IN_TIME, "gives_back", TEN_DRIVERS),
    },
    "load_1": {
        "hindsight": Cell(LOAD_1_PLANNED, {"policy": "hindsight"}),
        "replanner": Cell(LOAD_1_PLANNED, {"policy": "replan_search"}),
        "agent": Cell(LOAD_1, {"kind": "ensemble"}),
        "best_rule": Cell(LOAD_1, {"difference": "best rule"}, "objective"),
        "nearest": Cell(LOAD_1, {"policy": "nearest_driver"}),
    },
}
COLUMNS = {
    "short": "short shift",
    "real": "real days, cost",
    "gives_back": "... plans improved",
    "load_1": "real load, CHF",
}
ROWS = {
    "hindsight": "hindsight",
    "replanner": "re-planner, 10 ms",
    "agent": "agent, five networks",
    "best_rule": "best tuned rule",
    "nearest": "nearest driver",
    "stock": "stock DQN",
}


def front(results: dict[str, Result]) -> Result:
    """
    Six who decide, in four worlds, less the best tuned rule.

    Parameters
    ----------
    results
        Name to table: those that SOURCES name.
    """
    rows = []
    for who, label in ROWS.items():
        row: dict[str, Any] = {"who": who, "label": label, "bold": who == "agent"}
        for world, cells in SOURCES.items():
            cell = cells.get(who)
            row[world] = None if cell is None else cell.value(results)
            if who == "best_rule":
                row[world] = f"{row[world]:.0f}"  # the level that the others are compared with: no difference, no sign
        rows.append(row)
    shown = [results[cells["best_rule"].result] for cells in SOURCES.values()]
    return Result(
        "front",
        "Six who decide, in four worlds",
        (Column("label", "less the best rule"), *(Column(key, name, sign=True) for key, name in COLUMNS.items())),
        tuple(rows),
        days=(
            "short shift 500 days (re-planner and hindsight 200); real days 24 x 3 draws, 10 drivers (hindsight one "
            "draw); 500 operating days at load 1 (re-planner and hindsight 200)"
        ),
        interval="95 %",
        date=max(result.date for result in shown),
        commit=shown[0].commit,
        commands=("python -m studies.front --publish",),
    )


def draw(result: Result, output: Path) -> None:
    """Reward a shift less that of the best rule, a bar with its interval for each policy."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "dispatch"  # the same picture from the same numbers, byte for byte
    matplotlib.rcParams["svg.fonttype"] = "none"
    names = {"ensemble": "agent, mean of five networks", "pool": "agent, five seeds", "model": "stock DQN"}
    bars = [
        (names.get(row["kind"], row["label"]), row["difference"], row["kind"])
        for row in result.rows
        if isinstance(row["difference"], dict)
    ]
    shown = [bar for bar in bars if bar[1]["mean"] > -1000]
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
    parser.add_argument("--folder", type=Path, default=Path("results/front"), help="default: results/front")
    add_publish(parser)
    args = parser.parse_args(argv)
    folder = ROOT / FOLDER
    try:
        names = {cell.result for cells in SOURCES.values() for cell in cells.values()}
        results = {name: Result.read(folder / f"{name}.json") for name in sorted(names)}
        draw(results[SHORT], args.output)
        hand_over([front(results)], args.folder, args.publish)
    except ResultError as error:
        print(f"studies.front: {error}", file=sys.stderr)
        return 2
    print(f"Picture: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
