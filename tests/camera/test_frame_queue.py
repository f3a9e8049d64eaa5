"""Frames between the capture process and their consumers."""

from __future__ import annotations

from runtime.camera.frame_queue import NO_MEMORY, FrameQueue
from runtime.frame import SharedFrame


class Queue:
    """A queue, the slots it has freed, and the memories that are gone."""

    def __init__(self, *, keep_all: bool) -> None:
        self.freed: list[int] = []
        self.gone: list[int] = []
        self.queue = FrameQueue(keep_all=keep_all, gone=self.gone.append)

    def put(self, number: int, memory: int) -> SharedFrame:
        frame = SharedFrame(memory, number, (2, 2), number, 0, 0)
        self.queue.put(frame, lambda: self.freed.append(number))
        return frame


def test_all_frames_are_kept_in_order() -> None:
    """Where nothing may be lost, every frame waits for its turn."""
    waiting = Queue(keep_all=True)
    frames = [waiting.put(number, NO_MEMORY) for number in range(4)]
    assert [waiting.queue.take() for _ in range(5)] == [*frames, None]
    assert (waiting.freed, waiting.queue.out) == ([], 4)


def test_newest_frame_takes_the_place_of_those_before() -> None:
    """Where the newest counts, the frame before is dropped and its slot freed; a frame that was taken is not."""
    waiting = Queue(keep_all=False)
    taken = waiting.put(1, NO_MEMORY)
    assert waiting.queue.take() == taken
    waiting.put(2, NO_MEMORY)
    newest = waiting.put(3, NO_MEMORY)
    assert (waiting.freed, waiting.queue.dropped["newer"]) == ([2], 1)
    assert waiting.queue.take() == newest


def test_slot_is_freed_once() -> None:
    """A frame that is given back twice frees its slot once, and one that is not known frees none."""
    waiting = Queue(keep_all=True)
    frame = waiting.put(1, NO_MEMORY)
    for _ in range(2):
        waiting.queue.give_back(frame)
    waiting.queue.give_back(SharedFrame(9, 9, None, 9, 0, 0))
    assert (waiting.freed, waiting.queue.out) == ([1], 0)


def test_memory_is_gone_when_no_more_is_expected_and_all_is_back() -> None:
    """A memory outlives its capture process until the last of its frames is given back; then it is gone, once."""
    waiting = Queue(keep_all=True)
    waiting.queue.add(7)
    first, second = waiting.put(1, 7), waiting.put(2, 7)
    waiting.queue.give_back(first)
    waiting.queue.retire(7)
    assert waiting.gone == []
    waiting.queue.give_back(second)
    waiting.queue.give_back(second)
    waiting.queue.retire(7)
    assert waiting.gone == [7]


def test_memory_without_frames_is_gone_at_once() -> None:
    """A memory whose frames are all back is gone when no more are expected; one that never was is not."""
    waiting = Queue(keep_all=True)
    waiting.queue.add(7)
    waiting.queue.give_back(waiting.put(1, 7))
    assert waiting.gone == []
    waiting.queue.retire(7)
    waiting.queue.retire(NO_MEMORY)
    assert waiting.gone == [7]
