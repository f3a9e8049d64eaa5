"""Damaged arguments of the C extensions, in a process of its own: a crash must not end the tests."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from runtime.learning.bank import _selection
from runtime.search import _kernels
from tests.programs.fuzz.calls import selection

PROGRAM_S = 120.0  # seconds are usual


def test_no_damaged_argument_crashes() -> None:
    """Whatever the C extensions are called with, they compute or refuse it; no call ends the process."""
    command = [sys.executable, "-m", "tests.programs.fuzz.calls", "--calls", "150", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_S, check=False)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-2000:]


@pytest.mark.parametrize("count", [2**62, 2**61, 2**33])
def test_sizes_whose_product_overflows_are_refused(count: int) -> None:
    """A number of entries so large that the size of their array overflows is refused, as no array has it."""
    call, arguments = selection(np.random.default_rng(0))
    arguments[9] = count
    with pytest.raises(ValueError, match="shapes"):
        call(*arguments)


def test_points_that_were_compared_with_fewer_than_none_are_refused() -> None:
    """Where a point goes on is read from an array: a number below 0 would be in front of all entries."""
    call, arguments = selection(np.random.default_rng(0))
    arguments[8][0] = -(10**6)
    with pytest.raises(ValueError, match="shapes"):
        call(*arguments)


def test_arrays_of_another_type_are_refused() -> None:
    """Numbers of twice the width in half the places are as many bytes, and no features."""
    rows = np.ones((2, 4))
    with pytest.raises(ValueError, match="types"):
        _kernels.distances(8, rows, rows, np.empty(0, np.int64), np.empty(0, np.float32), np.empty(2, np.float32))


def test_numbers_across_the_borders_of_words_are_refused() -> None:
    """Vectors are read from where numbers may lie: on some processors others end the process."""
    room = np.zeros(4 * 8 + 1, np.uint8)
    rows = room[1:].view(np.float32).reshape(2, 4)
    assert not rows.flags.aligned
    with pytest.raises(ValueError, match="aligned"):
        _kernels.distances(4, rows, rows, np.empty(0, np.int64), np.empty(0, np.float32), np.empty(2, np.float32))


def test_the_loops_of_all_processors_are_named() -> None:
    """What a processor lacks is said, and what no processor has is not taken for it."""
    assert _selection.use("plain")
    assert not _selection.use("another")
    assert _selection.use("")
