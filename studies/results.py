"""
Tables of results: numbers in ``docs/results/*.json``, and the pages that show them.

    python -m studies.results            fills every table of README.md and docs/ from its JSON
    python -m studies.results --check    names the pages that differ from their JSON, and changes nothing
    python -m studies.results short-shift-v2 --of results/short-shift/v2 --title "Short shift, V2"

A page says where a table stands: what is between ``<!-- table: NAME -->`` and ``<!-- end of table -->`` is written from
``docs/results/NAME.json``, the rest by hand. The studies write such JSON beside their other results; with ``--publish``
also into ``docs/results``. The last form makes one of what ``evaluate.py`` left in a folder.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluation.statistics import Interval

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("docs/results")
COMMIT_LENGTH = 7
BLOCK = re.compile(r"<!-- table: (?P<name>[\w-]+) -->\n.*?<!-- end of table -->", re.DOTALL)
_OUTPUT = re.compile(r" --output \S+")


class ResultError(ValueError):
    """A table that can't be read or written; the message says which, and what was expected."""


@dataclass(frozen=True)
class Column:
    """
    One column.

    Attributes
    ----------
    key
        Under which a row holds its value.
    name
        What the table says above it.
    decimals
        Shown; the JSON may hold more. None: as the JSON has it.
    sign
        Whether a positive number shows its sign: for differences.
    """

    key: str
    name: str
    decimals: int | None = 0
    sign: bool = False


@dataclass(frozen=True)
class Result:
    """
    A table with everything that a reader must know to believe it.

    Attributes
    ----------
    rows
        Column key to value: text, a number, nothing, an interval as ``{"mean", "low", "high"}``, or a list of these
        (shown with slashes). Further keys, such as ``policy``, tell rows apart and are not shown; ``bold`` stresses a
        row.
    days, seeds, interval
        In words: which days were played, which training seeds stand behind it, what an interval is.
    date, commit
        Of the measurement.
    source
        Where numbers come from that were not written by this module.
    commands
        They repeat it.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, Any], ...]
    days: str
    seeds: str = ""
    interval: str = "95 %, bootstrap, paired by day"
    date: str = ""
    commit: str = ""
    source: str = ""
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def row(self, **where: Any) -> dict[str, Any]:
        """The one row with these values."""
        found = [row for row in self.rows if all(row.get(key) == value for key, value in where.items())]
        if len(found) != 1:
            raise ResultError(f"{self.name}.json: expected one row with {where}, found {len(found)}.")
        return found[0]

    def markdown(self) -> str:
        """The table, and below it a line that says where its numbers come from."""
        lines = [
            f"| {' | '.join(column.name for column in self.columns)} |",
            "|---" + "|--:" * (len(self.columns) - 1) + "|",
        ]
        for row in self.rows:
            cells = [show(row.get(column.key), column) for column in self.columns]
            if row.get("bold"):
                cells = [f"**{cell}**" if cell else cell for cell in cells]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join([*lines, "", self.provenance()]) + "\n"

    def provenance(self) -> str:
        """Days, seeds, interval, date and commit, in a sentence in italics that fits the lines of a page."""
        parts = [self.days, self.seeds, f"intervals: {self.interval}" if self.has_intervals else "", *self.notes]
        if self.date:
            parts.append(f"measured {self.date}" + (f" at commit {self.commit}" if self.commit else ""))
        if self.source:
            parts.append(f"source: {self.source}")
        parts.append(f"numbers: `{FOLDER / self.name}.json`")
        if self.commands:
            parts.append("repeated by " + " and ".join(f"`{command}`" for command in self.commands))
        return wrapped(f"*{'; '.join(part for part in parts if part)}.*")

    @property
    def has_intervals(self) -> bool:
        return any(_is_interval(cell) for row in self.rows for value in row.values() for cell in _as_list(value))

    def write(self, folder: Path = ROOT / FOLDER) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(self.json())
        return path

    def json(self) -> str:
        """A line per column and per row, so that a change of a number is a change of a line."""
        usual = {"decimals": 0, "sign": False}
        content = asdict(self)
        del content["name"]
        for key in ("seeds", "date", "commit", "source", "commands", "notes"):
            if not content[key]:
                del content[key]
        content["columns"] = [
            {key: value for key, value in column.items() if key not in usual or value != usual[key]}
            for column in content["columns"]
        ]
        parts = []
        for key, value in content.items():
            text = json.dumps(value, ensure_ascii=False)
            if isinstance(value, (list, tuple)):
                items = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value)
                text = f"[\n  {items}\n ]"
            parts.append(f' "{key}": {text}')
        return "{\n" + ",\n".join(parts) + "\n}\n"

    @classmethod
    def read(cls, path: Path) -> Result:
        """
        Raises
        ------
        ResultError
            When the file is missing, is no table, or a row has nothing for one of the columns.
        """
        try:
            content = json.loads(path.read_text())
            content["columns"] = tuple(Column(**column) for column in content["columns"])
            for key in ("rows", "commands", "notes"):
                content[key] = tuple(content.get(key, ()))
            result = cls(name=path.stem, **content)
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ResultError(f"{path}: not a table of results ({error}). Keys: see studies/results.py.") from error
        for i, row in enumerate(result.rows):
            missing = [column.key for column in result.columns if column.key not in row]
            if missing:
                raise ResultError(
                    f"{path}, row {i + 1}: nothing for {', '.join(missing)}; write null for an empty cell."
                )
        return result


def interval(mean: float, low: float, high: float) -> dict[str, float]:
    """A cell with an interval."""
    return {"mean": rounded(mean), "low": rounded(low), "high": rounded(high)}


def cell_of(found: Interval) -> dict[str, float]:
    """The cell of an interval of ``evaluation.statistics``."""
    return interval(found.mean, found.low, found.high)


def rounded(value: float) -> float:
    """To what a table could ever show, so that files stay readable."""
    return float(f"{value:.6g}")


def show(value: Any, column: Column) -> str:
    """``+38 [+0, +75]``, ``7.2 / 2.4 / 1.2``, text as it is."""
    if isinstance(value, list):
        return " / ".join(show(one, column) for one in value)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if _is_interval(value):
        return f"{_number(value['mean'], column)} [{_number(value['low'], column)}, {_number(value['high'], column)}]"
    return _number(value, column)


def wrapped(text: str, width: int = 120) -> str:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return "\n".join(lines)


def _number(value: float, column: Column) -> str:
    form = "g" if column.decimals is None else f".{column.decimals}f"
    text = f"{value:{'+' if column.sign else ''}{form}}"
    is_zero = not any(digit in text for digit in "123456789")
    return text.lstrip("+-") if is_zero else text  # no -0


def _is_interval(value: Any) -> bool:
    return isinstance(value, dict) and {"mean", "low", "high"} <= set(value)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- from an evaluation -----------------------------------------------------------------------------------------------
OBJECTIVE_NAMES = {"reward": "reward", "cost": "cost a day", "cost_with_lateness": "cost a day"}


def of_evaluation(
    folder: Path, name: str, title: str, units: str | None = None, leave_out: Sequence[str] = ()
) -> Result:
    """
    The usual table of an evaluation: everybody's objective and KPIs, the best first.

    Parameters
    ----------
    units
        What the column of the objective is called.
    leave_out
        Keys of columns, such as ``ms`` when the machine was busy.
    """
    about = json.loads((folder / "evaluation.json").read_text())
    objective, policies, hindsight = about["objective"], about["policies"], about["hindsight"]
    columns = [
        Column("label", "policy"),
        Column("objective", units or OBJECTIVE_NAMES[objective]),
        Column("difference", "against the best rule, 95 %", sign=True),
        Column("served", "served %", 1),
        Column("on_time", "on time %", 1),
        Column("late", "over 5 min late %", 1),
        Column("km_per_trip", "km per trip", 1),
    ]
    if hindsight is not None:
        columns.append(Column("closed", "gap closed %", 0))
    if any(policy["latency_ms_p50"] is not None for policy in policies.values()):
        columns.append(Column("ms", "ms a decision, p50 / p99", None))
    labels = labels_of(about)
    kinds = {name: "ensemble" if is_ensemble(about, name) else found["kind"] for name, found in policies.items()}
    rows: list[dict[str, Any]] = []
    if hindsight is not None:
        best = hindsight["mean"]
        ahead = rounded(best - policies[about["best_rule"]]["objective_mean"])
        known = {"policy": "hindsight", "label": "hindsight", "objective": best, "difference": ahead, "closed": 100.0}
        rows.append({column.key: None for column in columns} | known)
    for policy, label in labels.items():
        found, kpis = policies[policy], policies[policy]["kpis"]
        rows.append(
            {
                "policy": policy,
                "kind": kinds[policy],
                "bold": kinds[policy] in ("pool", "ensemble"),
                "label": label,
                "objective": rounded(found["objective_mean"]),
                "difference": difference_in(about, policy) or "best rule",
                "served": percent(kpis["service_rate"]),
                "on_time": percent(kpis["on_time_share"]),
                "late": percent(kpis["late_share_5"]),
                "km_per_trip": kpis["km_per_served_trip"],
                "closed": percent(found.get("share_closed")),
                "ms": [
                    None if ms is None else float(f"{ms:.2g}")
                    for ms in (found["latency_ms_p50"], found["latency_ms_p99"])
                ],
            }
        )
    more_is_better = objective == "reward"
    rows.sort(key=lambda row: (-1 if more_is_better else 1) * row["objective"])
    columns = [column for column in columns if column.key not in leave_out]
    shown = {"policy", "kind", "bold", *(column.key for column in columns)}
    return Result(
        name,
        title,
        tuple(columns),
        tuple({key: value for key, value in row.items() if key in shown} for row in rows),
        days=days_of(about),
        seeds=seeds_of(about),
        commands=(f"python {_OUTPUT.sub('', about['command'])}",),
        **measured(about.get("commit")),
    )


def measured(commit: str | None, units: str = "days") -> dict[str, Any]:
    """What a `Result` says of a measurement made today: over ``units`` and training seeds, at ``commit``."""
    interval = f"95 %, bootstrap over {units} and training seeds, paired by day"
    return {"interval": interval, "date": today(), "commit": short(commit)}


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def current_commit() -> str:
    """Of this checkout, shortened; empty outside a git checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return short(done.stdout.strip())


def short(commit: str | None) -> str:
    return (commit or "")[:COMMIT_LENGTH]


def percent(share: float | None) -> float | None:
    return None if share is None else rounded(100.0 * share)


def _two_digits(ms: float | None) -> float | None:
    return None if ms is None else float(f"{ms:.2g}")


def difference_in(about: dict[str, Any], policy: str, metric: str | None = None) -> dict[str, float] | None:
    """Of a policy to the best rule in evaluation.json; None for the best rule itself."""
    metric = metric or about["objective"]
    for row in about["comparisons"]:
        if (row["policy"], row["against"], row["metric"]) == (policy, about["best_rule"], metric):
            return interval(row["mean_difference"], row["ci_low"], row["ci_high"])
    return None


def is_ensemble(about: dict[str, Any], policy: str) -> bool:
    """Whether a player of evaluation.json is several networks that choose as one."""
    return about["policies"][policy]["kind"] == "model" and policy not in about["models"]


def labels_of(about: dict[str, Any]) -> dict[str, str]:
    """Everybody in evaluation.json but the single members of a pool, and what the table calls them."""
    policies, models = about["policies"], about["models"]
    members = {name for policy in policies.values() for name in policy.get("members", [])}
    shown = {name: policy for name, policy in policies.items() if name not in members}
    pools = {name: policy["members"] for name, policy in shown.items() if policy["kind"] == "pool"}
    shipped = {name: agent_of(models[of[0]]) for name, of in pools.items() if of[0] in models}
    agents = {name: agent for name, agent in shipped.items() if agent is not None}
    together = [name for name in shown if is_ensemble(about, name)]
    labels = {}
    for name, policy in shown.items():
        if name in agents:
            labels[name] = f"{agents[name]}, {len(policy['members'])} seeds"
        elif name in together and len(together) == len(agents):  # one for each pool, in their order
            labels[name] = f"{list(agents.values())[together.index(name)]}, mean of the networks"
        elif policy["kind"] in ("rule", "replanner"):
            labels[name] = name.replace("_", " ") if policy["kind"] == "rule" else f"`{name}`"
        else:
            labels[name] = agent_of(models.get(name, "")) or name
    return labels


def agent_of(path: str) -> str | None:
    """``v2-short-shift`` of a shipped model's path; None for a run of one's own."""
    parts = Path(path).parts
    if "trained-agents" not in parts:
        return None
    return "`" + re.sub(r"-seed\d+$", "", parts[parts.index("trained-agents") + 1]) + "`"


def days_of(about: dict[str, Any]) -> str:
    days = about["days"]
    if isinstance(days[0], int):
        return numbered_days(days)
    numbers = sorted({int(number) for number in re.findall(r"day[-_ ]?(\d+)", " ".join(map(str, days)))})
    return f"{len(days)} days from files" + (f", service days {numbers[0]} to {numbers[-1]}" if numbers else "")


def numbered_days(days: Sequence[int]) -> str:
    return f"{len(days)} days, {days[0]} to {days[-1]}"


def seeds_of(about: dict[str, Any]) -> str:
    sizes = {len(policy["members"]) for policy in about["policies"].values() if policy["kind"] == "pool"}
    return f"{' or '.join(map(str, sorted(sizes)))} training seeds" if sizes else ""


# --- pages ------------------------------------------------------------------------------------------------------------
def pages(root: Path = ROOT) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def filled(text: str, folder: Path) -> str:
    """
    The page with each of its tables as the JSON has it.

    Raises
    ------
    ResultError
        When a table has no JSON.
    """

    def table(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- table: {name} -->\n{Result.read(folder / f'{name}.json').markdown()}<!-- end of table -->"

    return BLOCK.sub(table, text)


def differing(root: Path = ROOT) -> list[Path]:
    """Pages with a table that isn't what its JSON says."""
    return [page for page in pages(root) if filled(page.read_text(), root / FOLDER) != page.read_text()]


def fill(root: Path = ROOT) -> list[Path]:
    """Write the tables of all pages; returns the pages that changed."""
    changed = differing(root)
    for page in changed:
        page.write_text(filled(page.read_text(), root / FOLDER))
    return changed


def add_publish(parser: argparse.ArgumentParser) -> None:
    """The option that studies share."""
    parser.add_argument(
        "--publish", action="store_true", help="also write the tables into docs/results and the pages that show them"
    )


def hand_over(results: Iterable[Result], output: Path, publish: bool) -> None:
    """Write tables into a study's output and, to publish, into docs/results and the pages."""
    for result in results:
        path = result.write(output)
        if publish:
            path = result.write()
            if not any(f"<!-- table: {result.name} -->" in page.read_text() for page in pages()):
                print(
                    f"No page shows it yet: put '<!-- table: {result.name} -->' and '<!-- end of table -->' into one."
                )
        print(f"Table: {path}")
    if publish:
        for page in fill():
            print(f"Page: {page.relative_to(ROOT)}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="of a table to make, docs/results/NAME.json")
    parser.add_argument("--of", type=Path, metavar="FOLDER", help="with the evaluation.json that it is made of")
    parser.add_argument("--title", default="", help="of the table")
    parser.add_argument("--units", help="name of the column of the objective; default: reward or cost a day")
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="KEY", help="columns, such as ms")
    parser.add_argument("--check", action="store_true", help="only say which pages differ; exit code 1 when some do")
    args = parser.parse_args(argv)
    if bool(args.name) != bool(args.of):
        parser.error("a table is made of a NAME and --of FOLDER; without both, the pages are filled.")
    try:
        if args.of:
            made = of_evaluation(args.of, args.name, args.title or args.name, args.units, args.leave_out)
            print(f"Table: {made.write()}")
        found = differing() if args.check else fill()
    except (ResultError, OSError) as error:
        print(f"studies.results: {error}", file=sys.stderr)
        return 2
    for page in found:
        print(f"{'Differs' if args.check else 'Page'}: {page.relative_to(ROOT)}")
    return int(bool(found)) if args.check else 0


if __name__ == "__main__":
    sys.exit(main())
