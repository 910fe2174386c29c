"""What ``import envs`` does, and what it leaves for later."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest

import envs

ROOT = Path(__file__).resolve().parents[2]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def test_importing_registers_the_environments_and_loads_neither_numba_nor_torch():
    shown = python(
        "import sys, envs, gymnasium as gym\n"
        "gym.register_envs(envs)\n"
        "print('DispatchDay-v0' in gym.registry, [m for m in ('numba', 'scipy', 'torch') if m in sys.modules])"
    )
    assert shown.strip() == "True []"


def test_registering_again_keeps_what_is_registered():
    mine = gym.registry["Dispatch-v0"]
    envs.register_envs()
    importlib.reload(envs)
    assert gym.registry["Dispatch-v0"] is mine


def test_every_name_of_the_package_can_be_had():
    assert all(getattr(envs, name) is not None for name in envs.__all__)
    with pytest.raises(AttributeError, match="module 'envs' has no attribute 'Dai'"):
        envs.Dai  # noqa: B018
