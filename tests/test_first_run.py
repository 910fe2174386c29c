"""``make run`` and ``make help``: what a stranger sees first."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from studies import first_run

ROOT = Path(__file__).resolve().parents[1]


def test_help_tells_of_every_target():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[1] for line in shown.splitlines()} == targets
    assert {"run", "test", "help"} <= targets


def test_it_ends_with_what_to_open_and_three_commands():
    told = first_run.what_next(Path("logs/first-run/report"))
    assert "Open logs/first-run/report/evaluation.html" in told
    commands = [line for line in told.replace("\\\n", "").splitlines() if re.search(r"python3?(\.[0-9]+)? ", line)]
    assert len(commands) == 3 and "{" not in told
    assert "best rule" not in told  # the verdict stands right above, where the evaluation ends


def test_the_stock_agent_it_shows_is_shipped():
    assert (ROOT / "trained-agents" / first_run.STOCK_DQN / "Dispatch-v0.zip").is_file()
