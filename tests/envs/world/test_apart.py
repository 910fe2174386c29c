"""Kernels called by their address: bound in time, or an error that says so; exceptions arrive in Python."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from envs.world.apart import Apart
from envs.world.borrowed import borrow
from envs.world.compiled import jit
from envs.world.records import RULES, World, empty_world


@jit
def note_or_fail(world: World, b, number):
    if number < 0:
        raise ValueError("below zero")
    world.clocks[b].num_decisions = number


APART = Apart(note_or_fail, num_numbers=1)
_note_or_fail = APART.call


@jit
def call(world: World, b, number):
    _note_or_fail(borrow(world), b, number)


def small_world() -> World:
    return empty_world(np.zeros(1, RULES), 2, 1, 1, 1)


def test_a_kernel_that_is_not_bound_is_an_error_and_nothing_else():
    world = small_world()
    with pytest.raises(RuntimeError, match=r"note_or_fail isn't bound in this process. Allocate the world with"):
        call(world, 1, 7)
    APART.bind()
    call(world, 1, 7)
    assert world.clocks["num_decisions"].tolist() == [0, 7]


def test_an_exception_of_the_kernel_reaches_python():
    APART.bind()
    world = small_world()
    with pytest.raises(ValueError, match="below zero"):
        call(world, 0, -1)
    call(world, 0, np.int32(3))
    assert world.clocks["num_decisions"].tolist() == [3, 0]


def test_a_world_that_comes_from_another_process_says_what_is_missing(tmp_path):
    (tmp_path / "world.pickle").write_bytes(pickle.dumps(small_world()))
    program = (
        "import pickle, sys\n"
        "from envs.world.clock import move_on\n"
        "try:\n    move_on(pickle.load(open(sys.argv[1], 'rb')), 0)\n"
        "except RuntimeError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "world.pickle")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert "envs.world.clock.tick isn't bound in this process" in finished.stdout
