"""Pictures in shared memory.

A memory is an anonymous file, so that nothing is left when the last process that uses it ends. It has `SLOTS` slots for
pictures of one size. Which of them may be written is decided elsewhere.
"""

from __future__ import annotations

import fcntl
import mmap
import os

import numpy as np

from runtime.frame import Image

SLOTS = 4
"""One is being written, one waits, and two are being scored."""

_CHANNELS = 3
_PIECE = 1 << 16  # bytes compared at once: two pictures of a sensor differ in the first piece
_SIZE_STAYS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Memory:
    """The writer's side of a shared memory."""

    def __init__(self, hw: tuple[int, int]) -> None:
        """Make a memory for pictures of this height and width."""
        self.hw = hw
        self.size = SLOTS * _slot_bytes(hw)
        self.descriptor = os.memfd_create("patchedge frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, self.size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SIZE_STAYS)  # a reader that has mapped it cannot be harmed
        self._mapping = mmap.mmap(self.descriptor, self.size)

    def write(self, slot: int, image: Image) -> None:
        """Copy a picture into a slot."""
        np.copyto(picture(self._mapping, slot, self.hw), image)

    def holds(self, slot: int, image: Image) -> bool:
        """Return whether a slot holds an identical picture; takes some microseconds if it does not."""
        if image.shape[:2] != self.hw:
            return False
        there, flat = picture(self._mapping, slot, self.hw).reshape(-1), image.reshape(-1)
        pieces = (slice(at, at + _PIECE) for at in range(0, flat.size, _PIECE))
        return all(np.array_equal(there[piece], flat[piece]) for piece in pieces)

    def close(self) -> None:
        """Unmap and close it in this process."""
        self._mapping.close()
        os.close(self.descriptor)


def picture(mapping: mmap.mmap, slot: int, hw: tuple[int, int]) -> Image:
    """Return the picture in a slot of a mapped memory, without a copy: uint8 [H, W, 3] BGR."""
    flat = np.frombuffer(mapping, np.uint8, hw[0] * hw[1] * _CHANNELS, slot * _slot_bytes(hw))
    return flat.reshape(*hw, _CHANNELS)


def _slot_bytes(hw: tuple[int, int]) -> int:
    return -(-hw[0] * hw[1] * _CHANNELS // mmap.PAGESIZE) * mmap.PAGESIZE
