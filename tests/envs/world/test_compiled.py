"""The cache of compiled code: never stale, shared by equal sources, and at home on any installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from envs.world.compiled import KernelCache, sources_of
from envs.world.draws import mix

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "from shop.prices import total; print(total(10.0))"


def make_shop(folder: Path) -> Path:
    """A package whose kernel calls one module of a sub-folder, which reads a constant of another one."""
    (folder / "shop" / "rates").mkdir(parents=True)
    (folder / "shop" / "rates" / "tax.py").write_text("TAX = 0.5\n")
    (folder / "shop" / "rates" / "added.py").write_text(
        "from envs.world.compiled import jit\n"
        "from shop.rates.tax import TAX\n\n\n@jit\ndef added(price):\n    return price * TAX\n"
    )
    (folder / "shop" / "prices.py").write_text(
        "from envs.world.compiled import jit\n"
        "from .rates import added as _added\n\nadded = _added.added\n\n\n"
        "@jit\ndef total(price):\n    return price + added(price)\n"
    )
    (folder / "shop" / "viewer.py").write_text("from shop.prices import total\n")
    return folder


def start(program: str, folder: Path, cache: Path, root: Path = ROOT, **environ: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{root}", "NUMBA_CACHE_DIR": str(cache), **environ}
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(program: str, folder: Path, cache: Path, root: Path = ROOT, **environ: str) -> tuple[str, bool]:
    """(what the program printed, whether it compiled anything)."""
    process = start(program, folder, cache, root, **environ)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output.strip(), "Compiling kernels" in errors


def test_constant_of_an_imported_module_is_compiled_anew(tmp_path):
    shop = make_shop(tmp_path / "a")
    assert run(PROGRAM, shop, tmp_path / "cache") == ("15.0", True)  # 10 + 10 x 0.5
    assert run(PROGRAM, shop, tmp_path / "cache") == ("15.0", False)
    (shop / "shop" / "rates" / "tax.py").write_text("TAX = 0.2\n")
    assert run(PROGRAM, shop, tmp_path / "cache") == ("12.0", True)  # 10 + 10 x 0.2


def test_module_that_the_kernel_does_not_import_compiles_nothing(tmp_path):
    shop = make_shop(tmp_path / "a")
    run(PROGRAM, shop, tmp_path / "cache")
    (shop / "shop" / "viewer.py").write_text("print('another viewer')\n")
    assert run(PROGRAM, shop, tmp_path / "cache") == ("15.0", False)


def test_equal_sources_at_another_place_and_of_another_time_share_machine_code(tmp_path):
    run(PROGRAM, make_shop(tmp_path / "a"), tmp_path / "cache")
    elsewhere = make_shop(tmp_path / "b")
    os.utime(elsewhere / "shop" / "prices.py", (1.0, 1.0))
    assert run(PROGRAM, elsewhere, tmp_path / "cache") == ("15.0", False)


def test_another_processor_compiles_for_itself(tmp_path):
    shop = make_shop(tmp_path / "a")
    run(PROGRAM, shop, tmp_path / "cache")
    assert run(PROGRAM, shop, tmp_path / "cache", NUMBA_CPU_NAME="generic") == ("15.0", True)
    # two functions, total and added, for two processors
    assert len(list((tmp_path / "cache").glob("shop.*.kernel"))) == 4


def test_two_processes_compile_side_by_side(tmp_path):
    shop = make_shop(tmp_path / "a")
    both = [start(PROGRAM, shop, tmp_path / "cache") for _ in range(2)]
    assert [process.communicate(timeout=300)[0].strip() for process in both] == ["15.0", "15.0"]
    assert run(PROGRAM, shop, tmp_path / "cache") == ("15.0", False)
    assert all(path.suffix == ".kernel" for path in (tmp_path / "cache").iterdir())  # nothing unfinished is left


def test_file_that_was_cut_off_is_compiled_anew(tmp_path):
    shop = make_shop(tmp_path / "a")
    run(PROGRAM, shop, tmp_path / "cache")
    for path in (tmp_path / "cache").glob("shop.*.kernel"):
        path.write_bytes(path.read_bytes()[:1000])
    assert run(PROGRAM, shop, tmp_path / "cache") == ("15.0", True)
    assert run(PROGRAM, shop, tmp_path / "cache") == ("15.0", False)


def test_without_a_folder_that_can_be_written_it_says_so_and_works(tmp_path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    process = start(PROGRAM, make_shop(tmp_path / "a"), tmp_path / "taken")
    output, errors = process.communicate(timeout=300)
    assert output.strip() == "15.0"
    assert errors.count("can't be kept") == 1


def test_source_edited_while_the_process_runs_is_not_kept(tmp_path):
    shop = make_shop(tmp_path / "a")
    edits = (
        "import os, pathlib; from shop.prices import total\n"
        "pathlib.Path(os.environ['TAX']).write_text('TAX = 0.2\\n'); print(total(10.0))"
    )
    assert run(edits, shop, tmp_path / "cache", TAX=str(shop / "shop" / "rates" / "tax.py"))[0] == "15.0"
    # kept under the name of the new text, yesterday's constant would answer 15
    assert run(PROGRAM, shop, tmp_path / "cache") == ("12.0", True)


def copy_project(folder: Path) -> Path:
    for package in ("envs", "agents"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


CANDIDATES = """
import numpy as np
from agents.candidates import candidate_pairs
from envs.observation import PAIR_FEATURES
pairs = np.zeros((2, len(PAIR_FEATURES)), np.float32)  # two drivers, one booking
pairs[0, 6], pairs[1, 5] = 1.0, 1.0
print(candidate_pairs(np.ones(2, bool), pairs, np.zeros(0, np.float32), 1, 1)[0])
"""


def test_agents_kernel_follows_the_observations_features(tmp_path):
    project = copy_project(tmp_path / "project")
    # Feature 6 is the added driving: driver 1 adds none and is kept.
    assert run(CANDIDATES, project, tmp_path / "cache", project)[0] == "1"
    source = project / "envs" / "observation.py"
    text = source.read_text()
    swapped = text.replace('"added_km"', '"?"', 1).replace('"added_driving_min"', '"added_km"', 1)
    source.write_text(swapped.replace('"?"', '"added_driving_min"', 1))
    # Now feature 5 is: driver 0 is kept.
    assert run(CANDIDATES, project, tmp_path / "cache", project) == ("0", True)


def test_read_only_installation_keeps_machine_code_in_the_users_folder(tmp_path):
    project = copy_project(tmp_path / "project")
    (project / ".numba_cache").write_text("no folder can be made here")
    environ = {"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": str(tmp_path / "user"), "HOME": str(tmp_path)}
    program = "import numpy as np; from envs.world.draws import mix; print(mix(np.uint64(1)), mix._cache.cache_path)"
    first, has_compiled = run(program, project, tmp_path, project, **environ)
    assert has_compiled
    assert "dispatch-trainer" in first
    assert run(program, project, tmp_path, project, **environ) == (first, False)


def test_closures_are_not_kept():
    step = 2

    def shifted(value):
        return value + step

    cache = KernelCache(shifted)
    assert cache.file_name((), mix.targetctx.codegen()) is None


def test_kernel_depends_on_what_it_imports_and_no_more():
    sources = sources_of("envs.world.decisions", str(ROOT / "envs" / "world" / "decisions.py"))
    assert sources is not None
    assert {"envs.world.decisions", "envs.world.plans", "envs.world.records", "envs.world.compiled"} <= set(sources)
    assert not {"envs", "envs.render", "envs.observation", "envs.batch"} & set(sources)


def test_helpers_of_one_name_in_two_kept_kernels_are_told_apart(tmp_path):
    # Two processes keep a kernel each, with a helper of one name and, counted from 1, of one number; a third reads both
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "helpers.py").write_text(
        "import numba\n\n\ndef make_grown(by):\n    @numba.njit\n    def grown(price, times):\n"
        "        if times == 0:\n            return price\n        return grown(price, times - 1) + by\n\n"
        "    return grown\n"
    )
    for name, by in (("one", 1.0), ("ten", 10.0)):
        (tmp_path / "shop" / f"{name}.py").write_text(
            "from envs.world.compiled import jit\nfrom shop.helpers import make_grown\n\n"
            f"grown = make_grown({by})\n\n\n@jit\ndef {name}(price, times):\n    return grown(price, times)\n"
        )
    # three times 1 and three times 10 on top of 0.5
    assert run("from shop.one import one; print(one(0.5, 3))", tmp_path, tmp_path / "cache") == ("3.5", True)
    assert run("from shop.ten import ten; print(ten(0.5, 3))", tmp_path, tmp_path / "cache") == ("30.5", True)
    both = "from shop.one import one; from shop.ten import ten; print(one(0.5, 3), ten(0.5, 3))"
    assert run(both, tmp_path, tmp_path / "cache") == ("3.5 30.5", False)
