"""Which frames of several cameras go together: those that wait, never one that is not there."""

from __future__ import annotations

import queue

import pytest

from runtime.inference.batches.gather import FramePlace, GatherFrames

SWAP = "swap"
BATCH = 4


def place(item: str) -> FramePlace | None:
    """Read an item such as `a1`, a frame of camera a, and `A1`, one whose bundle has another network."""
    if item == SWAP:
        return None
    camera = item[0]
    return FramePlace(camera, None if camera == "x" else camera.isupper(), BATCH)


def taken(*items: str) -> list[list[str]]:
    """Put items into a queue, and take all that goes together until none is left."""
    source: queue.SimpleQueue[str] = queue.SimpleQueue()
    for item in items:
        source.put(item)
    gather, found = GatherFrames(source, place), list[list[str]]()
    while sum(map(len, found)) < len(items):
        found.append(gather.take())
    return found


def test_a_frame_that_is_alone_waits_for_no_other() -> None:
    """What is there is taken at once, though more could go with it: no frame is late for the sake of others."""
    assert taken("a1") == [["a1"]]


@pytest.mark.parametrize(
    ("waits", "together"),
    [
        (["a1", "b1", "c1"], [["a1", "b1", "c1"]]),
        (["a1", "b1", "c1", "d1", "e1"], [["a1", "b1", "c1", "d1"], ["e1"]]),
        (["a1", "A1", "b1", "B1"], [["a1", "b1"], ["A1", "B1"]]),
        (["a1", "x1", "b1"], [["a1", "b1"], ["x1"]]),
    ],
    ids=["all", "at most as many as a batch", "of one network", "what goes alone"],
)
def test_frames_of_several_cameras_go_together(waits: list[str], together: list[list[str]]) -> None:
    """One of each camera whose bundle has the network of the first, in the order in which they came."""
    assert taken(*waits) == together


def test_frames_of_a_camera_stay_in_order() -> None:
    """A second frame of a camera waits for the next run, also behind one of its frames that could not go along."""
    assert taken("a1", "a2", "b1", "a3") == [["a1", "b1"], ["a2"], ["a3"]]


def test_nothing_overtakes_a_new_bundle() -> None:
    """Frames that came after a bundle are scored with it, and those before it without."""
    assert taken("a1", SWAP, "b1", "c1") == [["a1"], [SWAP], ["b1", "c1"]]
