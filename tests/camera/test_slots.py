"""Frames between the capture process and those who take them."""

from __future__ import annotations

from runtime.camera.slots import NO_MEMORY, Shelf
from runtime.frame import SharedFrame


class Shelved:
    """A shelf, the slots it has freed, and the memories it has said to be gone."""

    def __init__(self, *, keep_all: bool) -> None:
        self.freed: list[int] = []
        self.gone: list[int] = []
        self.shelf = Shelf(keep_all=keep_all, gone=self.gone.append)

    def put(self, number: int, memory: int) -> SharedFrame:
        frame = SharedFrame(memory, number, (2, 2), number, 0, 0)
        self.shelf.put(frame, lambda: self.freed.append(number))
        return frame


def test_all_frames_are_kept_in_order() -> None:
    """Where nothing may be lost, every frame waits for its turn."""
    shelved = Shelved(keep_all=True)
    frames = [shelved.put(number, NO_MEMORY) for number in range(4)]
    assert [shelved.shelf.take() for _ in range(5)] == [*frames, None]
    assert (shelved.freed, shelved.shelf.out) == ([], 4)


def test_newest_frame_takes_the_place_of_those_before() -> None:
    """Where the newest counts, the frame before is dropped and its slot freed; a frame that was taken is not."""
    shelved = Shelved(keep_all=False)
    taken = shelved.put(1, NO_MEMORY)
    assert shelved.shelf.take() == taken
    shelved.put(2, NO_MEMORY)
    newest = shelved.put(3, NO_MEMORY)
    assert (shelved.freed, shelved.shelf.dropped["newer"]) == ([2], 1)
    assert shelved.shelf.take() == newest


def test_slot_is_freed_once() -> None:
    """A frame that is given back twice frees its slot once, and one that is not known frees none."""
    shelved = Shelved(keep_all=True)
    frame = shelved.put(1, NO_MEMORY)
    for _ in range(2):
        shelved.shelf.give_back(frame)
    shelved.shelf.give_back(SharedFrame(9, 9, None, 9, 0, 0))
    assert (shelved.freed, shelved.shelf.out) == ([1], 0)


def test_memory_is_gone_when_no_more_is_expected_and_all_is_back() -> None:
    """A memory outlives its capture process until the last of its frames is given back; then it is gone, once."""
    shelved = Shelved(keep_all=True)
    shelved.shelf.add(7)
    first, second = shelved.put(1, 7), shelved.put(2, 7)
    shelved.shelf.give_back(first)
    shelved.shelf.retire(7)
    assert shelved.gone == []
    shelved.shelf.give_back(second)
    shelved.shelf.give_back(second)
    shelved.shelf.retire(7)
    assert shelved.gone == [7]


def test_memory_without_frames_is_gone_at_once() -> None:
    """A memory whose frames are all back is gone when no more are expected; one that never was is not."""
    shelved = Shelved(keep_all=True)
    shelved.shelf.add(7)
    shelved.shelf.give_back(shelved.put(1, 7))
    assert shelved.gone == []
    shelved.shelf.retire(7)
    shelved.shelf.retire(NO_MEMORY)
    assert shelved.gone == [7]
