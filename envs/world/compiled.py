"""
``jit`` and ``inlined``: Numba with a cache that can't go stale and that may travel.

Compiled code has the constants and functions of other modules frozen into it, of which Numba's own cache knows nothing;
and that cache belongs to the path at which the sources lie. Here a file of machine code is named after everything that
it depends on: the text of the kernel's module and of each project module that it imports, over any number of steps;
the argument types; the versions of Python, Numba, llvmlite and NumPy; the processor. So equal sources share it wherever
they lie, a changed constant is compiled anew, and an edit that no kernel can see (a viewer, a command) changes nothing.

The files lie in ``NUMBA_CACHE_DIR`` if that is set; else in ``.numba_cache`` of the checkout and, where that can't be
written (it is still read) or there is no checkout, in the user's cache folder.
"""

from __future__ import annotations

import ast
import atexit
import hashlib
import itertools
import os
import pickle
import secrets
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import config
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature
from numba.misc.appdirs import AppDirs

# Whose modules a kernel may read, besides its own package's.
PACKAGES = ("envs", "reward", "agents", "baselines", "evaluation")
UNUSED_DAYS = 30.0  # [d] after so long without use a file of machine code is removed

_ROOT = Path(__file__).resolve().parents[len(__name__.split(".")) - 1]
_STARTED = time.time()
_KINDS_OF_CODE = ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE")  # settings of Numba
_said: set[str] = set()


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        print(message, file=sys.stderr, flush=True)


# --- what a kernel may read ------------------------------------------------------------------------------------------
def _import_statements(body: Iterable[Any]) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, part, None)
            if isinstance(inner, list):
                yield from _import_statements(inner)


def _imported_names(source: bytes, module: str, is_package: bool) -> Iterator[str]:
    """Full names of all modules that ``module`` may import, at any place; some may be names of something else."""
    for statement in _import_statements(ast.parse(source).body):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                parts = alias.name.split(".")
                yield from (".".join(parts[: end + 1]) for end in range(len(parts)))
            continue
        base = statement.module or ""
        if statement.level:
            parts = module.split(".")
            parent = parts[: len(parts) - statement.level + (1 if is_package else 0)]
            base = ".".join([*parent, base] if base else parent)
        yield base
        yield from (f"{base}.{alias.name}" for alias in statement.names)


@cache
def _read_module(root: Path, module: str) -> tuple[str, bool, tuple[str, ...]] | None:
    """(digest of its text, whether it changed since this process began, what it imports); None where there is none."""
    stem = root.joinpath(*module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            source = path.read_bytes()
            names = tuple(_imported_names(source, module, path.name == "__init__.py"))
            return hashlib.sha256(source).hexdigest(), path.stat().st_mtime > _STARTED, names
    return None


@cache
def sources_of(module: str, file: str) -> dict[str, str] | None:
    """
    Digests of the text of ``module`` (its source is ``file``) and of the project's modules it imports, transitively.

    None when there is no such text, or when a file changed after this process began: what was imported is then no
    longer what can be read.
    """
    own_root = Path(file).resolve().parents[len(module.split(".")) - 1]
    roots = {**dict.fromkeys(PACKAGES, _ROOT), module.partition(".")[0]: own_root}
    digests: dict[str, str] = {}
    to_read, seen = [module], {module}
    while to_read:
        name = to_read.pop()
        found = _read_module(roots[name.partition(".")[0]], name)
        if found is None:
            if name == module:  # typed in, or a script
                return None
            continue
        digest, has_changed, imported = found
        if has_changed:
            return None
        digests[name] = digest
        for other in imported:
            if other not in seen and other.partition(".")[0] in roots:
                seen.add(other)
                to_read.append(other)
    return dict(sorted(digests.items()))


# --- where machine code is kept --------------------------------------------------------------------------------------
def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@cache
def cache_folders() -> tuple[Path, ...]:
    """Folders in which machine code is looked for; it is written into the last one."""
    chosen: str = config.CACHE_DIR  # type: ignore[attr-defined]  # NUMBA_CACHE_DIR
    if chosen:
        wanted = [Path(chosen)]
    else:
        wanted = [_ROOT / ".numba_cache"] if (_ROOT / "pyproject.toml").is_file() else []
        wanted.append(Path(AppDirs("dispatch-trainer", appauthor=False).user_cache_dir))
    for last, folder in enumerate(wanted):
        if _can_write(folder):
            _remove_unused(folder)
            return tuple(wanted[: last + 1])
    temporary = Path(tempfile.mkdtemp(prefix="dispatch-trainer-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    _say_once(
        f"Compiled kernels can't be kept: {' and '.join(map(str, wanted))} can't be written. "
        "Set NUMBA_CACHE_DIR to a folder that can, or each process compiles anew."
    )
    return (*wanted, temporary)


def _remove_unused(folder: Path) -> None:
    oldest = time.time() - UNUSED_DAYS * 86400.0
    for path in folder.glob("*.kernel*"):
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except OSError:  # somebody else was faster, or may and we may not
            continue


class KernelCache(_Cache):
    """Machine code of one function, a file for each combination of argument types."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._enabled = True

    @property
    def cache_path(self) -> str:
        return str(cache_folders()[-1])

    def file_name(self, sig: Any, codegen: Any) -> str | None:
        """The name that stands for all the machine code depends on; None when that can't be told."""
        function = self._function
        code = function.__code__
        sources = sources_of(function.__module__, code.co_filename)
        if sources is None or function.__closure__ is not None:
            return None
        depends_on = (
            list(sources.items()),
            function.__qualname__,
            code.co_firstlineno,
            str(normalize_signature(sig)),
            codegen.magic_tuple(),  # kind of machine, name of the processor, its features
            (sys.implementation.cache_tag, numba.__version__, llvmlite.__version__, np.__version__),
            [getattr(config, name, None) for name in _KINDS_OF_CODE],
        )
        digest = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:32]
        readable = f"{function.__module__}.{function.__qualname__}".replace("<", "").replace(">", "")
        return f"{readable}-{digest}.kernel"

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        target_context.refresh()
        name = self.file_name(sig, target_context.codegen()) if self._enabled else None
        for folder in cache_folders() if name else ():
            path = folder / str(name)
            try:
                stored = pickle.loads(path.read_bytes())
                if time.time() - path.stat().st_mtime > 86400.0:
                    os.utime(path)  # still used, see _remove_unused
            except FileNotFoundError:
                continue
            except (OSError, EOFError, pickle.UnpicklingError):  # not ours to touch, or cut off: compiled anew
                continue
            return CompileResult._rebuild(target_context, *stored)
        _say_once(f"Compiling kernels, once per installation (kept in {self.cache_path}) ...")
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        cannot_be_kept = data.library.has_dynamic_globals or any(not lifted.can_cache for lifted in data.lifted)
        name = self.file_name(sig, data.codegen) if self._enabled and not cannot_be_kept else None
        if name is None:
            return
        path = cache_folders()[-1] / name
        unfinished = path.with_name(f"{name}.{uuid.uuid4().hex}")
        try:
            unfinished.write_bytes(dumps(data._reduce()))
            os.replace(unfinished, path)  # at once: another process sees all of it or nothing
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            _say_once(f"Compiled kernels can't be kept in {path.parent}: {error}. Each process compiles anew.")

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Nothing to forget: a file that no longer fits has another name."""


def _name_symbols_apart() -> None:
    """
    Number the symbols of machine code from a number of this process's own.

    Numba counts from 1 in every process, so two kernels kept by two processes may hold helpers of the same name (the
    partitions of ``np.sort`` and ``np.argsort``, say); a third process that reads both runs the wrong one.
    """
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(48))


_name_symbols_apart()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_name_symbols_apart)


def _compile(function: Callable[..., Any], forceinline: bool = False) -> Any:
    # no_cfunc_wrapper: nobody asks for the face for C, which would hold one more copy of all that is inlined.
    options = {"error_model": "numpy", "nogil": True, "forceinline": forceinline, "no_cfunc_wrapper": True}
    compiled = numba.njit(**options)(function)  # type: ignore[call-overload]  # not in the stubs: no_cfunc_wrapper
    if isinstance(compiled, Dispatcher):  # and not the function itself, as with NUMBA_DISABLE_JIT
        compiled._cache = KernelCache(function)  # type: ignore[attr-defined]
    return compiled


def jit(function: Callable[..., Any]) -> Any:
    """Compile at the first call (importing compiles nothing) and keep the machine code in the cache folder."""
    return _compile(function)


def inlined(function: Callable[..., Any]) -> Any:
    """
    As ``jit``, and copied into its callers by LLVM.

    For small functions in inner loops.
    """
    return _compile(function, forceinline=True)
