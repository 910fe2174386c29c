"""Compiling ahead: everything once, and then nothing."""

from __future__ import annotations

import pytest

from evaluation import warm


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(warm, "cache_folders", lambda: (tmp_path,))


def test_what_is_there_is_not_compiled_again(monkeypatch):
    monkeypatch.setattr(warm, "stages", lambda scenarios: [[int, float], [str]])
    warm.compile_all(["short_shift"])
    assert warm.mark(["short_shift"]).exists()
    assert not warm.mark(["short_shift", "operating_day"]).exists()
    monkeypatch.setattr(warm, "stages", lambda scenarios: [[min]])  # would fail if it were called
    warm.compile_all(["short_shift"])


def test_a_part_that_fails_leaves_no_mark(monkeypatch):
    monkeypatch.setattr(warm, "stages", lambda scenarios: [[min]])  # without arguments an error
    with pytest.raises(TypeError):
        warm.compile_all(["short_shift"])
    assert not warm.mark(["short_shift"]).exists()
