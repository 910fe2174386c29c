"""
Writes requirements*.txt from ``pyproject.toml`` (``make requirements``); a test holds that they agree.

For those who install the libraries alone: ``pip install -r requirements.txt`` on a bare machine with Python 3.11.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# File by extra; the other files begin with `-r requirements.txt`.
FILES = {
    "": "requirements.txt",
    "solvers": "requirements-solvers.txt",
    "postgresql": "requirements-postgresql.txt",
    "plots": "requirements-plots.txt",
    "docs": "requirements-docs.txt",
    "dev": "requirements-dev.txt",
}


def contents(pyproject: str) -> dict[str, str]:
    """Text of each file by its name."""
    project = tomllib.loads(pyproject)["project"]
    texts = {}
    for extra, name in FILES.items():
        found = project["optional-dependencies"][extra] if extra else project["dependencies"]
        lines = ["# Written by `make requirements` from pyproject.toml; change it there."]
        lines += ["-r requirements.txt"] if extra else []
        for requirement in found:
            itself = re.fullmatch(rf"{project['name']}\[(.*)\]", requirement)
            lines += [f"-r {FILES[other]}" for other in itself[1].split(",")] if itself else [requirement]
        texts[name] = "\n".join(lines) + "\n"
    return texts


if __name__ == "__main__":
    for file, text in contents((ROOT / "pyproject.toml").read_text()).items():
        (ROOT / file).write_text(text)
        print(file)
