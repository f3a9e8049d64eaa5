"""Bytes beside a message: they arrive as they were, and nonsense is refused."""

from __future__ import annotations

import os

import pytest

from runtime.process.long_payload import MAX_BYTES, pack, unpack


@pytest.mark.parametrize("items", [[b"a"], [b"", b"abc", b""], [b"x" * 3_000_000, b"yz"], []])
def test_what_is_packed_is_unpacked(items: list[bytes]):
    """All items come out again, in their order, and as often as one likes."""
    descriptor = pack(items)
    try:
        for _ in range(2):
            sizes = [len(item) for item in items]
            assert unpack([descriptor] if items else [], sizes) == tuple(items)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("sizes", [[2], [4], [4, -1], [3, 1], [], [2**70], [MAX_BYTES, 1]])
def test_sizes_that_are_not_those_of_the_parcel_are_refused(sizes: list[int]):
    """Less, more, negative and endless sizes are refused in words."""
    descriptor = pack([b"abc"])
    try:
        with pytest.raises(ValueError, match="parts of"):
            unpack([descriptor], sizes)
    finally:
        os.close(descriptor)


def test_parcel_that_is_missing_is_refused():
    """Sizes without a parcel, or with two, are refused."""
    with pytest.raises(ValueError, match="0 descriptors"):
        unpack([], [1])
    with pytest.raises(ValueError, match="2 descriptors"):
        unpack([0, 0], [1])


def test_pipe_is_refused_and_not_waited_for():
    """A pipe that nobody writes to is no parcel."""
    ends = os.pipe()
    try:
        with pytest.raises(ValueError, match="memory"):
            unpack([ends[0]], [1])
    finally:
        for end in ends:
            os.close(end)
