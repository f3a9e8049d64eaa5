"""Frames are copied out of shared memory as they are, and never out of a memory that is gone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runtime.frame import SharedFrame
from runtime.process.shared_memory import Memory
from runtime.teaching.shared_pictures import SharedPictures
from tests.support.stored import HW, image

FRAME = SharedFrame(7, 2, HW, 1, 0, 0)


class Further:
    """Notes what is passed on."""

    def __init__(self) -> None:
        self.said: list[tuple[int, ...]] = []

    def attach(self, memory: int, _descriptor: int, size: int) -> None:
        self.said.append((memory, size))

    def detach(self, memory: int) -> None:
        self.said.append((memory,))


def test_copy_is_the_frame_and_stays() -> None:
    """A copy has every pixel, does not change with its slot, and its memory can be used for the next one."""
    further, memory = Further(), Memory(HW)
    pictures = SharedPictures(further)
    pictures.attach(7, memory.descriptor, memory.size)
    memory.write(2, image(1))
    copy = pictures.copy(FRAME)
    memory.write(2, image(2))
    assert np.array_equal(copy, image(1))
    again = pictures.copy(FRAME, copy)
    assert again is copy
    assert np.array_equal(again, image(2))
    memory.close()
    assert np.array_equal(pictures.copy(FRAME), image(2))
    pictures.detach(7)
    assert pictures.copy(FRAME) is None
    assert further.said == [(7, memory.size), (7,)]


def test_frame_without_a_picture_has_no_copy() -> None:
    """A frame that cannot be decoded, or is of a memory that nobody told of, is no picture; closing twice is fine."""
    pictures = SharedPictures(Further())
    assert pictures.copy(FRAME) is None
    assert pictures.copy(replace(FRAME, memory=0, hw=None)) is None
    pictures.detach(7)
    pictures.close()


def test_memory_that_cannot_be_mapped_is_passed_on() -> None:
    """Scoring goes on where a frame cannot be stored."""
    further = Further()
    pictures = SharedPictures(further)
    memory = Memory(HW)
    pictures.attach(7, memory.descriptor, 2 * memory.size)
    assert further.said == [(7, 2 * memory.size)]
    memory.close()
    assert pictures.copy(FRAME) is None
