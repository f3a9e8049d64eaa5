"""Collecting normal frames: spread over the time, and what may show something strange is set aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_config.wire.teaching import Teach
from runtime.teaching.collection import FULL, Collection
from runtime.teaching.dropping import RECORD_BYTES
from runtime.teaching.store import PictureStore
from tests.support.stored import NOW_NS, DirectThread, Memory, Open, alert, seen

SECOND_NS = 1_000_000_000


class Case:
    """A collection of a camera with one frame a second."""

    def __init__(self, store: PictureStore, **fields: Any) -> None:
        self.store, self.thread = store, DirectThread(store)
        self.taught = Collection(Teach(camera="top", **fields), "key", 0, NOW_NS, Memory(), self.thread)
        self.thread.gone = self.taught.gone
        self.number = 0

    def play(self, *scores: float, **fields: Any) -> None:
        for score in scores:
            self.number += 1
            self.taught.see(seen(self.number, score, **fields), self.number * SECOND_NS)

    @property
    def frames(self) -> dict[int, str]:
        return {one.frame: one.kind for one in self.store.all()}


@pytest.fixture
def store(opened: Open, tmp_path: Path) -> PictureStore:
    """Return an empty store."""
    return opened(tmp_path)


def test_normal_frames_are_taught_until_there_are_enough(store: PictureStore) -> None:
    """N frames are stored, a second apart by default, with the key that asked; then it is over, and says so."""
    case = Case(store, frames=3)
    assert (case.taught.state.state, case.taught.state.every_ms, case.taught.state.wanted) == ("running", 1000, 3)
    case.play(*[1.0] * 10)
    assert case.frames == {1: "taught", 2: "taught", 3: "taught"}
    assert {one.by for one in store.all()} == {"key"}
    state = case.taught.state
    assert (state.state, state.taught, state.aside, state.reason) == ("over", 3, 0, "3 frames are stored")


def test_frames_are_spread_over_the_minutes(store: PictureStore) -> None:
    """Of a duration and a number the frames are taken evenly, and the end of the time is the end."""
    case = Case(store, frames=4, minutes=2)
    case.play(*[1.0] * 119)
    assert case.frames == dict.fromkeys([1, 31, 61, 91], "taught")
    quiet = Case(store, minutes=1)
    quiet.play(*[1.0] * 59, judged=False)
    assert quiet.taught.state.state == "running"
    quiet.play(1.0, judged=False)
    quiet.taught.turn(60 * SECOND_NS)
    assert (quiet.taught.state.state, quiet.taught.state.reason) == ("over", "its time is over")


def test_frames_over_the_threshold_are_set_aside(store: PictureStore) -> None:
    """A frame over the threshold is stored for a person, and counted apart; both count for the number."""
    case = Case(store, frames=3)
    case.play(1.0, 11.0, 1.0, 1.0)
    assert case.frames == {1: "taught", 2: "aside", 3: "taught"}
    assert (case.taught.state.taught, case.taught.state.aside) == (2, 1)


def test_frames_of_an_alert_are_set_aside_whatever_their_score(store: PictureStore) -> None:
    """While something passes, and a second before, frames are not taught: part of it may be in the picture already."""
    case = Case(store, frames=6)
    case.play(1.0, 1.0)
    case.play(9.0, alert_=alert())
    case.play(9.0, alert_=alert(), is_open=True)
    case.play(1.0, 1.0)
    assert case.frames == {1: "taught", 2: "aside", 3: "aside", 4: "aside", 5: "taught", 6: "taught"}
    assert (case.taught.state.taught, case.taught.state.aside) == (3, 3)


def test_only_judged_frames_are_taught(store: PictureStore) -> None:
    """Of a camera that is dark, moved or paused, and of a frame that is repeated, nothing is stored."""
    case = Case(store, frames=5)
    case.play(1.0, 1.0, judged=False)
    assert case.frames == {}


def test_full_disk_is_counted_and_more_are_taken(store: PictureStore) -> None:
    """What cannot be stored is counted as lost, and other frames are taken in its place once the disk works again."""
    case = Case(store, frames=2)
    case.thread.full = True
    case.play(1.0, 1.0)
    case.thread.full = False
    case.play(1.0, 1.0, 1.0)
    assert case.frames == {3: "taught", 4: "taught"}
    assert (case.taught.state.lost, case.taught.state.taught, case.taught.state.state) == (2, 2, "over")


def test_disk_that_stays_full_ends_it(store: PictureStore) -> None:
    """A person who waits for frames that no disk takes is told why after some of them."""
    case = Case(store, frames=100)
    case.thread.full = True
    case.play(*[1.0] * 50)
    assert case.taught.state.reason == "10 frames could not be stored: No space left on device"


def test_busy_disk_only_delays(store: PictureStore) -> None:
    """Without room in the queue a frame is passed over, and the next one is taken."""
    case = Case(store, frames=2)
    case.thread.busy = True
    case.play(1.0, 1.0)
    case.thread.busy = False
    case.play(1.0, 1.0)
    assert case.frames == {3: "taught", 4: "taught"}
    assert case.taught.state.lost == 0


def test_it_ends_where_the_store_is_full_of_its_own_frames(opened: Open, tmp_path: Path) -> None:
    """More frames than learning.most_mb holds are not collected and deleted on and on: it ends and says why."""
    probe = Case(opened(tmp_path / "probe"), frames=1)
    probe.play(1.0)
    each = probe.store.all()[0].bytes + RECORD_BYTES
    case = Case(opened(tmp_path / "full", max_bytes=5 * each + each // 2), frames=50)
    case.play(*[1.0] * 20)
    assert case.taught.state.reason == FULL
    assert sorted(case.frames) == [2, 3, 4, 5, 6]
