"""``pyproject.toml`` is the one place of dependencies, and takes along whatever the packages need."""

from __future__ import annotations

import ast
import fnmatch
import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "pyproject.toml").read_text()
PYPROJECT = tomllib.loads(TEXT)
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
# Packages that come with a pinned one, which needs their very version.
COMES_WITH = {"llvmlite": "numba", "sqlalchemy": "optuna", "huggingface_hub": "rl_zoo3"}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def is_packaged(path: Path) -> bool:
    return any(fnmatch.fnmatch(path.parts[0], pattern) for pattern in SETUPTOOLS["packages"]["find"]["include"])


def requirements() -> list[str]:
    return [*PROJECT["dependencies"], *(each for extra in PROJECT["optional-dependencies"].values() for each in extra)]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_requirements_files_are_those_of_pyproject():
    spec = importlib.util.spec_from_file_location("requirements", ROOT / ".ci/requirements.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.contents(TEXT).items():
        assert (ROOT / name).read_text() == text, f"{name} differs from pyproject.toml: run `make requirements`."


def test_every_dependency_is_pinned():
    loose = [each for each in requirements() if "==" not in each and not each.startswith(f"{PROJECT['name']}[")]
    assert loose == []


def test_every_folder_with_code_is_packaged_and_every_command_too():
    left_out = {path.parts[0] for path in tracked("*.py") if len(path.parts) > 1 and not is_packaged(path)}
    assert left_out <= {".ci", "tests", "docs", "examples"}
    commands = {path.stem for path in tracked("*.py") if len(path.parts) == 1}
    assert commands == set(SETUPTOOLS["py-modules"])


def test_every_file_that_is_not_code_is_packaged():
    patterns = SETUPTOOLS["package-data"]["*"]
    data = [path for path in tracked() if is_packaged(path) and path.suffix != ".py"]
    assert data
    assert [path for path in data if not any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)] == []


def test_every_import_of_somebody_elses_package_is_a_declared_dependency():
    own = {path.parts[0].removesuffix(".py") for path in tracked("*.py")}
    declared = {normal(re.split(r"[=\[]", each)[0]) for each in requirements()}
    homes = packages_distributions()
    undeclared = set()
    for path in tracked("*.py"):
        if path.parts[0] in {"tests", "docs", "examples"}:
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            for name in (each.partition(".")[0] for each in names):
                if name not in own | set(sys.stdlib_module_names) | set(COMES_WITH):
                    by = {normal(each) for each in homes.get(name, [name])}
                    undeclared |= {(str(path), name)} if not by & declared else set()
    assert undeclared == set()
