"""
``jit`` and ``inlined``: Numba with a cache that can't go stale.

Numba's cache looks at the file of the compiled function alone, so a change in a function that it calls would go
unnoticed. The cache folder is therefore named after the content of every compiled module that the function's package
may call (imports go one way: baselines -> reward -> envs).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

_ROOT = Path(__file__).resolve().parents[2]
_CALLS = {"envs": ("envs",), "reward": ("envs", "reward"), "agents": ("agents",)}
_CALLS_ANY = ("envs", "reward", "baselines", "evaluation")
_USER_CACHE_DIR = os.environ.get("NUMBA_CACHE_DIR")


@cache
def _cache_dir(package: str) -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for called in _CALLS.get(package, _CALLS_ANY):
        for source in sorted((_ROOT / called).rglob("*.py")):
            text = source.read_bytes()
            if b"@jit" in text or b"@inlined" in text or source.name == "records.py":
                digest.update(text)
    return str(Path(_USER_CACHE_DIR or _ROOT / ".numba_cache") / digest.hexdigest()[:16])


def _compile(function: Callable[..., Any], forceinline: bool = False) -> Any:
    numba.config.CACHE_DIR = _cache_dir(function.__module__.split(".")[0])  # type: ignore[attr-defined]
    return numba.njit(cache=True, error_model="numpy", nogil=True, forceinline=forceinline)(function)


def jit(function: Callable[..., Any]) -> Any:
    """Compile at the first call (importing compiles nothing) and keep the machine code in the cache folder."""
    return _compile(function)


def inlined(function: Callable[..., Any]) -> Any:
    """
    As ``jit``, and copied into its callers by LLVM.

    For small functions in inner loops.
    """
    return _compile(function, forceinline=True)
