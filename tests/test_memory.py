"""The count of the most memory held, on an allocation large enough to stand out."""

import pytest
import torch
from forked import python

from unlearnkit.memory import peak_memory, peak_since_reset, reset_peak

MIB = 2**20


@pytest.fixture
def allocated():
    """300 MiB touched and let go, after a reset; (peak before, peak after it)."""
    reset_peak()
    before = peak_since_reset()
    held = torch.ones(300 * MIB // 4, device="cuda" if torch.cuda.is_available() else "cpu")
    assert held[-1] == 1
    del held
    return before, peak_since_reset()


def test_a_large_allocation_shows_after_it_is_gone(allocated):
    before, after = allocated
    if after == before:
        pytest.skip("this system cannot reset its count")
    assert 250 * MIB < after - before < 400 * MIB


def test_a_reset_forgets_it_and_the_whole_runs_peak_does_not(allocated):
    _, high = allocated
    assert peak_memory() >= high
    reset_peak()
    if peak_since_reset() >= high:
        pytest.skip("this system cannot reset its count")
    assert peak_since_reset() < high - 250 * MIB
    assert peak_memory() >= high
    reset_peak()
    assert peak_memory() >= high  # twice over


def test_a_command_looks_through_what_it_imported_no_more(tmp_path):
    """The collector's own count of what it looks at, once a run's libraries are there."""
    code = """
import gc
from unlearnkit import memory
import unlearnkit.run
memory.settle()
first, frozen = len(gc.get_objects()), gc.get_freeze_count()
kept = [[] for _ in range(1000)]
memory.settle()
print(first < 50_000 < frozen, gc.get_freeze_count() == frozen)
"""
    done = python("-c", code, cwd=tmp_path)
    assert done.stdout.split() == ["True", "True"], done.stderr
