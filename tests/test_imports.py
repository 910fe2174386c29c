"""
Imports go one way, and no module imports itself through others.

Read from the source, so that imports inside functions, under TYPE_CHECKING and by a string count as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("train", "evaluate", "custom_envs", "studies")
# From the top down: each layer may import itself and those below it, but rooms side by side know nothing of each other.
LAYERS = (
    COMMANDS,
    ("training",),
    ("evaluation",),
    ("baselines",),
    ("agents", "reward"),
    ("envs",),
    ("envs.days",),
    ("envs.world",),
    ("checked", "kept"),
)
SIDE_BY_SIDE = ("agents", "reward")
IMPORTING_CALLS = ("import_module", "__import__", "find_spec", "run_module")


def module_files(root: Path = ROOT) -> dict[str, Path]:
    """Name to file of every module of the project, tests apart."""
    tops = {name.partition(".")[0] for layer in LAYERS for name in layer}
    files = {}
    for top in sorted(tops):
        for path in [root / f"{top}.py", *sorted((root / top).rglob("*.py"))]:
            if path.is_file():
                parts = path.relative_to(root).with_suffix("").parts
                files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def imported_names(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Full names that a module imports, at any place; of ``from a import b`` both a.b and, behind it, a."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parent = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parent, base] if base else parent)
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in IMPORTING_CALLS and isinstance(node.args[0].value, str):
                yield node.args[0].value


def import_graph(files: dict[str, Path]) -> dict[str, set[str]]:
    """Module to the project's modules that it imports."""
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        graph[module] = set()
        for name in imported_names(path.read_text(encoding="utf-8"), module, path.name == "__init__.py"):
            while name and name not in files:  # a name in a module: the module
                name = name.rpartition(".")[0]
            if name and name != module:
                graph[module].add(name)
    return graph


def layer_of(module: str) -> int:
    """Place in LAYERS, 0 at the top, of the longest name there that the module's name begins with."""
    names = {name: place for place, layer in enumerate(LAYERS) for name in layer}
    parts = module.split(".")
    return next(names[name] for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in names)


def breaks(graph: dict[str, set[str]]) -> list[str]:
    """Imports against the rule, as ``a -> b``."""
    found = []
    for module, imported in graph.items():
        for other in imported:
            rooms = {name.partition(".")[0] for name in (module, other)}
            if layer_of(other) < layer_of(module) or rooms == set(SIDE_BY_SIDE):
                found.append(f"{module} -> {other}")
    return sorted(found)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which imports all the others, over any number of steps."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, to_visit = set(), [start]
        while to_visit:
            for other in graph[to_visit.pop()]:
                if other not in seen:
                    seen.add(other)
                    to_visit.append(other)
        reached[start] = seen
    groups = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph if a in reached[a]}
    return sorted(sorted(group) for group in groups)


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return import_graph(module_files())


def test_imports_go_one_way(graph):
    assert breaks(graph) == []


def test_no_module_imports_itself_through_others(graph):
    assert circles(graph) == []


@pytest.mark.parametrize(
    "statement",
    [
        "from evaluation import runner",
        "def later():\n    import evaluation.runner",
        "import importlib\nimportlib.import_module('evaluation.runner')",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from evaluation.runner import Played",
    ],
)
def test_an_import_against_the_rule_is_found_wherever_it_stands(tmp_path, statement):
    for name, source in {"baselines/rules.py": statement, "evaluation/runner.py": "import baselines.rules"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    graph = import_graph(module_files(tmp_path))
    assert breaks(graph) == ["baselines.rules -> evaluation.runner"]
    assert circles(graph) == [["baselines.rules", "evaluation.runner"]]


def test_relative_imports_are_followed(tmp_path):
    (tmp_path / "envs" / "world").mkdir(parents=True)
    for name, source in {"__init__.py": "", "batch.py": "", "world/__init__.py": "", "world/clock.py": ""}.items():
        (tmp_path / "envs" / name).write_text(source)
    (tmp_path / "envs" / "world" / "clock.py").write_text("from ..batch import DispatchBatch")
    assert breaks(import_graph(module_files(tmp_path))) == ["envs.world.clock -> envs.batch"]


def test_rooms_side_by_side_know_nothing_of_each_other(tmp_path):
    for name, source in {"agents.py": "import reward", "reward.py": ""}.items():
        (tmp_path / name).write_text(source)
    assert breaks(import_graph(module_files(tmp_path))) == ["agents -> reward"]
