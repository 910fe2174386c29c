"""The pages: short where they must be, in step with the numbers and the sources, and without dead ends."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import envs.observation as observation
import envs.promise_observation as promise_observation
from studies import results

ROOT = Path(__file__).resolve().parent.parent
PAGES = results.pages(ROOT)
TABLES = sorted((ROOT / results.FOLDER).glob("*.json"))
MAX_README_LINES, MAX_LINE = 150, 120
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every command line in a shell block of a page."""
    found = []
    for page in PAGES:
        for language, block in FENCE.findall(page.read_text()):
            if language == "bash":
                for line in block.replace("\\\n", " ").splitlines():
                    words = shlex.split(line, comments=True)
                    if words:
                        found.append((page.name, words))
    return found


def test_the_front_page_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= MAX_README_LINES
    assert max(map(len, lines)) <= MAX_LINE


def test_every_table_is_what_its_json_says():
    assert [page.name for page in results.differing(ROOT)] == [], "run: python -m studies.results"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_json_is_shown_and_says_where_it_comes_from(path):
    result = results.Result.read(path)
    assert result.days and (result.source or (result.date and result.commit))
    assert result.commands, "nobody could repeat it"
    assert any(f"<!-- table: {path.stem} -->" in page.read_text() for page in PAGES), "no page shows it"


def test_the_lines_of_python_on_the_front_page_run(tmp_path):
    example = (ROOT / "docs/examples/first_agent.py").read_text()
    assert f"```python\n{example}```" in (ROOT / "README.md").read_text()
    done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "completion" in done.stdout or "assigned" in done.stdout  # the terms of the reward


def test_the_example_day_is_played(tmp_path):
    command = [
        sys.executable,
        "evaluate.py",
        "--env",
        "DispatchDay-v0",
        "--scenario",
        "operating_day",
        "--reward",
        "v3",
    ]
    command += ["--days-from", "docs/example-days", "--policies", "nearest_driver", "--output", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    kpis = json.loads((tmp_path / "evaluation.json").read_text())["policies"]["nearest_driver"]["kpis"]
    # Five bookings, two drivers, the nearest with a ramp for the wheelchair: nobody is lost.
    assert (kpis["num_bookings"], kpis["num_lost"]) == (5, 0)


def test_the_page_of_the_observation_shows_all_features():
    text = (ROOT / "docs/environments/observation.md").read_text()
    first, last = map(int, re.findall(r'"envs/observation\.py:(\d+):(\d+)"', text)[0])
    lines = Path(observation.__file__).read_text().splitlines()[first - 1 : last]
    assert lines[0] == "DRIVER_FEATURES = (" and lines[-1] == ")"
    assert "CLOCK_FEATURES = (" in lines and any(line.startswith("EXPECTED_FEATURES = (") for line in lines)
    for key, features in (
        ("(N, {})", observation.DRIVER_FEATURES),
        ("(M, {})", observation.BOOKING_FEATURES),
        ("(N * M, {})", observation.PAIR_FEATURES),
        ("({},)", observation.CLOCK_FEATURES),
        ("({},)", observation.EXPECTED_FEATURES),
    ):
        assert key.format(len(features)) in text


def test_the_page_of_the_promise_desk_shows_all_features():
    text = (ROOT / "docs/environments/promise-desk.md").read_text()
    first, last = map(int, re.findall(r'"envs/promise_observation\.py:(\d+):(\d+)"', text)[0])
    lines = Path(promise_observation.__file__).read_text().splitlines()[first - 1 : last]
    assert lines[0].startswith("OPTION_FEATURES = (") and lines[-1] == ")"
    assert "FLEET_FEATURES = (" in lines
    for key, features in (
        ("(S + 1, {})", promise_observation.OPTION_FEATURES),
        ("({},)", promise_observation.CALLER_FEATURES),
        ("({},)", promise_observation.FLEET_FEATURES),
    ):
        assert key.format(len(features)) in text


def test_links_lead_somewhere():
    dead = []
    for page in PAGES:
        prose = FENCE.sub("", page.read_text())
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            path = target.partition("#")[0]
            if path and "://" not in path and not (page.parent / path).exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert dead == []


def test_commands_on_the_pages_exist():
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    missing = []
    for page, words in commands():
        if words[0] == "make" and words[1] not in targets:
            missing.append(f"{page}: make {words[1]}")
        if "-m" in words and not words[words.index("-m") + 1].startswith(("pip", "rl_zoo3")):
            module = words[words.index("-m") + 1]
            if importlib.util.find_spec(module) is None:
                missing.append(f"{page}: python -m {module}")
        missing += [f"{page}: {word}" for word in words if word.endswith(".py") and not (ROOT / word).exists()]
    assert missing == []


@pytest.mark.parametrize("script", ["train", "evaluate"])
def test_flags_on_the_pages_are_known(script, capsys):
    options = known_options(script)
    unknown = []
    for page, words in commands():
        if f"{script}.py" in words:
            given = [word for word in words if re.fullmatch(r"--?[a-zA-Z][\w-]*", word)]
            unknown += [f"{page}: {word}" for word in given if word not in options]
    assert unknown == []


def known_options(script: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, f"{script}.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout))


def test_the_site_builds_strictly_and_asks_nobody_on_the_network(tmp_path):
    pytest.importorskip("mkdocs", reason="pip install -e .[docs]")
    pytest.importorskip("mkdocstrings", reason="pip install -e .[docs]")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = re.compile(r"<(?:script|img|iframe)[^>]+src=\"https?://|<link[^>]+stylesheet[^>]+href=\"https?://")
    for page in tmp_path.rglob("*.html"):
        assert not loaded.search(page.read_text()), page
