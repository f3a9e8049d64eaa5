"""Pictures in memory that processes share."""

from __future__ import annotations

import mmap
import os

import numpy as np
import pytest

from runtime.process.shared_memory import SLOTS, Memory, picture


@pytest.mark.parametrize("hw", [(1, 1), (48, 64), (41, 33), (720, 1280)])
def test_pictures_lie_side_by_side(hw: tuple[int, int]) -> None:
    """What is written into the slots is read from another mapping, none touches another, and each starts a page."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (SLOTS, *hw, 3), dtype=np.uint8)
    memory = Memory(hw)
    for slot, image in enumerate(images):
        memory.write(slot, image[:, ::-1])  # strides of any kind
    with mmap.mmap(memory.descriptor, memory.size, access=mmap.ACCESS_READ) as mapping:
        for slot, image in enumerate(images):
            shared = picture(mapping, slot, hw)
            assert np.array_equal(shared, image[:, ::-1])
            assert not shared.flags.writeable
            assert shared.ctypes.data % mmap.PAGESIZE == 0
            del shared
    memory.close()


def test_nobody_can_shrink_what_others_have_mapped() -> None:
    """The size of a memory is sealed: a process that maps it cannot be killed by SIGBUS."""
    memory = Memory((4, 4))
    for size in (0, 2 * memory.size):
        with pytest.raises(PermissionError):
            os.ftruncate(memory.descriptor, size)
    memory.close()


def test_closed_memory_leaves_nothing() -> None:
    """`close` frees the descriptor and the mapping."""
    memory = Memory((4, 4))
    memory.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(memory.descriptor)
