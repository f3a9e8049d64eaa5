"""The main loop: which camera goes first, what becomes of each frame, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from edge_config.errors import BundleFileHash, SourceUnavailable
from edge_config.wire.messages import Part
from edge_config.wire.requests import Pause, Resume
from runtime.app.main_loop import MainLoop
from runtime.events import (
    Asked,
    EngineLost,
    EngineReady,
    EngineRefused,
    FeedChanged,
    FeedEnded,
    FrameArrived,
    Stop,
)
from runtime.frame import Result
from runtime.journal.journal_thread import JournalChanged, Written
from tests.support.fakes.parts import HOUR_NS, OLD, STRANGE, THRESHOLD, Feed, Parts, frame

END = "end of recording"


class Loop(Parts):
    """A main loop with fakes around it."""

    def __init__(
        self,
        folder: Path,
        feeds: dict[str, Feed],
        *,
        most: int = 1,
        max_age_ns: int = HOUR_NS,
        may_start: Callable[[], bool] = lambda: True,
    ) -> None:
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        super().__init__(folder, self.inbox.put, feeds, most)
        for channel in self.channels.values():
            channel.max_age_ns = max_age_ns
        outbox, monitor, requests = self.wire.outbox, self.monitor, self.requests
        self.loop = MainLoop(self.channels, self.engine, self.inbox, outbox, monitor, requests, may_start)
        self.inbox.put(EngineReady(dict.fromkeys(feeds, OLD)))
        for name in feeds:
            self.inbox.put(FeedChanged(name, "live", "delivers pictures"))

    def run(self, *events: Any) -> None:
        """Run, with these events in the inbox."""
        for event in events:
            self.inbox.put(event)
        self.loop.run()

    def stop_after(self, count: int, each: Callable[[int], None]) -> None:
        """Call `each` after every frame that was submitted, with the number of those, and stop after `count`."""

        def after() -> None:
            each(len(self.engine.submitted))
            if len(self.engine.submitted) >= count:
                self.inbox.put(Stop())

        self.engine.after_submit = after


Make = Callable[..., Loop]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Yield what makes main loops, as `Loop` without its folder."""
    with ExitStack() as stack:

        def one(feeds: dict[str, Feed], **settings: Any) -> Loop:
            loop = Loop(tmp_path / "-".join(feeds), feeds, **settings)
            stack.callback(loop.monitor.close)
            return loop

        yield one


def test_earliest_deadline_goes_first(make: Make) -> None:
    """Frames are submitted by the time when they are due, not by camera: an impatient camera comes before its turn."""
    now = time.monotonic_ns()
    feeds = {
        "a": Feed(frame(1, now + 3), frame(2, now + 4)),
        "b": Feed(frame(1, now + 1), frame(2, now + 5)),
        "hasty": Feed(frame(1, now + 10)),
    }
    loop = make(feeds)
    loop.channels["hasty"].max_age_ns -= 8
    loop.run(*(FeedEnded(name, END, failed=False) for name in feeds))
    assert loop.engine.submitted == [("b", 1), ("hasty", 1), ("a", 1), ("a", 2), ("b", 2)]


@pytest.mark.parametrize("later", [5, -5])
def test_no_camera_is_starved_by_another_that_is_always_earlier(make: Make, later: int) -> None:
    """Where the worker takes every second frame only, two live cameras take turns, however their frames interlace."""
    start = time.monotonic_ns()
    feeds = {"a": Feed(live=True), "b": Feed(live=True)}
    loop = make(feeds)

    def next_frames(number: int) -> None:
        at = start + 10 * number
        feeds["a"].put(frame(number + 1, at))
        feeds["b"].put(frame(number + 1, at + later))

    next_frames(0)
    loop.stop_after(10, next_frames)
    loop.run()
    names = [name for name, _ in loop.engine.submitted[:10]]
    assert names.count("a") == names.count("b") == 5


def test_camera_has_at_most_two_frames_in_the_worker(make: Make) -> None:
    """Where the worker takes batches of many cameras, one alone does not fill it: its newest frames may still come."""
    loop = make({"a": Feed(*map(frame, range(1, 6))), "b": Feed(frame(1))}, most=8)
    busy = list[int]()
    loop.engine.after_submit = lambda: busy.append(loop.channels["a"].in_worker)
    loop.run(*(FeedEnded(name, END, failed=False) for name in ("a", "b")))
    assert max(busy) == 2
    assert sorted(loop.engine.submitted) == [("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5), ("b", 1)]


def test_slow_camera_is_not_starved_by_a_fast_one(make: Make) -> None:
    """A camera with a frame in ten turns has each of them scored, next to one that always has a newer one."""
    start = time.monotonic_ns()
    feeds = {"fast": Feed(frame(1, start), live=True), "slow": Feed(live=True)}
    loop = make(feeds)

    def next_frames(number: int) -> None:
        feeds["fast"].put(frame(number + 1, start + 10 * number))
        if number % 10 == 5:
            feeds["slow"].put(frame(number + 1, start + 10 * number + 1))

    loop.stop_after(40, next_frames)
    loop.run()
    assert [frame_id for name, frame_id in loop.engine.submitted if name == "slow"] == [6, 16, 26, 36]


def test_old_frame_of_a_live_camera_is_given_back_and_counted(make: Make) -> None:
    """A frame older than `max_age_ms` is not scored and not published; its slot is freed and the metrics count it."""
    feeds = {"top": Feed(frame(1, time.monotonic_ns() - HOUR_NS), live=True)}
    loop = make(feeds, max_age_ns=HOUR_NS // 2)
    loop.run(Stop())
    assert loop.engine.submitted == []
    assert loop.publisher.of("score", "frame_id") == []
    assert [one.frame_id for one in feeds["top"].returned] == [1]
    assert loop.figure('frames_dropped_total{camera="top",reason="too old"} 1.0')


def test_old_frame_of_a_recording_is_scored(make: Make) -> None:
    """A recording loses no frame, however long it waits."""
    feeds = {"clip": Feed(frame(1, time.monotonic_ns() - HOUR_NS))}
    loop = make(feeds, max_age_ns=HOUR_NS // 2)
    loop.run(FeedEnded("clip", END, failed=False))
    assert loop.publisher.of("score", "frame_id", "label") == [(1, "normal")]


def test_frame_that_cannot_be_decoded_keeps_its_place(make: Make) -> None:
    """It is published as unknown after the frames before it, though they are in the worker still, and is never sent."""
    feeds = {"clip": Feed(frame(1), frame(2, decoded=False), frame(3, decoded=False), frame(4))}
    loop = make(feeds, most=2)
    loop.run(FeedEnded("clip", END, failed=False))
    assert loop.engine.submitted == [("clip", 1), ("clip", 4)]
    labels = ["normal", "unknown", "unknown", "normal"]
    assert loop.publisher.of("score", "frame_id", "label") == list(enumerate(labels, start=1))


def test_every_slot_is_given_back(make: Make) -> None:
    """Whatever becomes of a frame - scored, lost with the worker, not decoded - its slot is freed once."""
    frames = [frame(1), frame(2), frame(3, decoded=False), frame(4)]
    feeds = {"clip": Feed(*frames)}
    loop = make(feeds, most=2)
    judge = loop.engine.judge
    loop.engine.judge = lambda one: None if one.frame_id == 2 else judge(one)
    loop.run(FeedEnded("clip", END, failed=False))
    assert feeds["clip"].returned == frames
    assert feeds["clip"].out == []
    assert loop.publisher.of("score", "label") == ["normal", "unknown", "unknown", "normal"]


def test_worker_is_told_what_is_wanted_and_parts_reach_subscribers(make: Make) -> None:
    """Each frame goes with what its camera wants of it at that moment, and what comes of it goes with the alert."""
    loop = make({"clip": Feed(frame(1), frame(2), frame(3))})
    part = Part(name="jpeg", media_type="image/jpeg")
    loop.engine.judge = lambda one: Result(value=STRANGE + one.frame_id, parts=(part,))
    loop.engine.attached = (b"picture",)
    loop.run(FeedEnded("clip", END, failed=False))
    assert [one.detail_above for one in loop.engine.wanted] == [THRESHOLD, STRANGE + 1, STRANGE + 2]
    assert loop.publisher.of("alert", "phase", "attached")[0] == ("start", (b"picture",))


def test_what_is_in_the_journal_is_published(make: Make) -> None:
    """The main loop publishes the alerts and states that the journal has written."""
    loop = make({"top": Feed(live=True)})
    loop.run(Written(("entry",)), Stop())
    assert loop.wire.outbox.entries == ["entry"]


def test_change_of_the_journal_is_said_at_once(make: Make) -> None:
    """When the disk fails, subscribers of every camera hear it at once, and the metrics show it; so when it is back."""
    loop = make({"top": Feed(live=True), "side": Feed(live=True)})
    loop.run(Stop())
    before = len(loop.publisher.of("health", "camera"))
    loop.monitor.journal_changed(JournalChanged("memory", "disk is full"))
    assert loop.publisher.of("health", "camera")[before:] == ["top", "side"]
    assert loop.figure("journal_writable 0.0")
    loop.monitor.journal_changed(JournalChanged("on", "", ("an open alert",)))
    assert loop.figure("journal_writable 1.0")
    assert [entry for entry, _ in loop.wire.outbox.finished] == ["an open alert"]


def test_end_of_a_recording_is_said_after_its_last_frame(make: Make) -> None:
    """`disconnected` comes after the last score, although the recording was over before that was there."""
    loop = make({"clip": Feed(frame(1), frame(2), frame(3))})
    loop.run(FeedEnded("clip", END, failed=False))
    kinds = [message["kind"] for message in loop.publisher.messages if message["kind"] != "health"]
    assert kinds == ["state", "score", "score", "score", "state"]
    assert loop.publisher.of("state", "state", "reason")[-1] == ("disconnected", END)


def test_end_is_said_of_each_recording_by_itself(make: Make) -> None:
    """A recording that is over while another goes on is disconnected at once, and said to be so once."""
    now = time.monotonic_ns()
    feeds = {"short": Feed(frame(1, now)), "long": Feed(*(frame(n, now + n) for n in range(1, 5)))}
    loop = make(feeds)
    loop.run(*(FeedEnded(name, END, failed=False) for name in feeds))
    ends = [(m["kind"], m["camera"]) for m in loop.publisher.messages if m["state"] == "disconnected"]
    assert ends == [("state", "short"), ("state", "long")]
    assert loop.publisher.messages[-1]["camera"] == "long"
    assert loop.publisher.of("score", "frame_id", camera="long") == [1, 2, 3, 4]


def test_bundle_that_is_refused_at_the_start_ends_it(make: Make) -> None:
    """The engine's error comes out of `run` as it is."""
    error = BundleFileHash("its content has changed", where="bank.safetensors")
    loop = make({"top": Feed(live=True)})
    with pytest.raises(BundleFileHash) as raised:
        loop.run(EngineRefused(error))
    assert raised.value is error


def test_live_camera_keeps_it_running(make: Make) -> None:
    """A recording that is over ends nothing while there is a live camera; `Stop` does."""
    loop = make({"clip": Feed(), "top": Feed(live=True)})
    loop.run(FeedEnded("clip", END, failed=False), FrameArrived("top"), FrameArrived("top"), Stop())
    assert loop.inbox.empty()  # all was heard, the last of it too
    assert loop.cameras["clip"].status.state == "disconnected"
    assert loop.cameras["top"].status.state == "live"


def test_recording_that_failed_is_an_error_when_all_are_over(make: Make) -> None:
    """Where a recording cannot be read the others are played to their end, and then its line is raised."""
    loop = make({"broken": Feed(), "clip": Feed(frame(1), frame(2))})
    with pytest.raises(SourceUnavailable, match=r"clip\.mp4: no such file"):
        loop.run(FeedEnded("broken", "clip.mp4: no such file", failed=True), FeedEnded("clip", END, failed=False))
    assert loop.publisher.of("score", "frame_id", camera="clip") == [1, 2]


def test_cameras_are_opened_once_and_not_before_they_may_be(make: Make) -> None:
    """No camera is opened while subscribers are awaited, and each once afterwards."""
    feeds = {"a": Feed(live=True), "b": Feed(live=True)}
    answers = iter([False, False, True])
    started: list[bool] = []

    def may_start() -> bool:
        started.append(any(feed.started for feed in feeds.values()))
        return next(answers)

    loop = make(feeds, may_start=may_start)
    loop.run(FrameArrived("a"), FrameArrived("a"), Stop())
    assert started == [False, False, False]
    assert all(feed.started for feed in feeds.values())


def test_lost_worker_stalls_every_camera_until_a_frame_is_scored(make: Make) -> None:
    """With the worker lost all cameras are stalled; what it had is unknown; the first scored frame is live again."""
    feeds = {"a": Feed(live=True), "b": Feed(live=True)}
    loop = make(feeds)
    loop.run(EngineLost("crashed", "ended by SIGKILL"), Stop())
    assert [camera.status.state for camera in loop.cameras.values()] == ["stalled", "stalled"]
    again = make({"clip": Feed(frame(1), frame(2))})
    judge = again.engine.judge

    def lose_the_first(one: Any) -> Any:
        if one.frame_id > 1:
            return judge(one)
        again.inbox.put(EngineLost("crashed", "ended by SIGKILL"))
        return None

    again.engine.judge = lose_the_first
    again.run(FeedEnded("clip", END, failed=False))
    told = [m for m in again.publisher.messages if m["kind"] != "health"]
    said = [(m["kind"], m["state"], m.get("label")) for m in told]
    assert said == [
        ("state", "live", None),
        ("state", "stalled", None),
        ("score", "stalled", "unknown"),
        ("state", "live", None),
        ("score", "live", "normal"),
        ("state", "disconnected", None),
    ]


def test_paused_camera_is_not_looked_at_and_a_recording_goes_on_where_it_was(make: Make) -> None:
    """A paused camera has nothing submitted and nothing published, not even what the worker had; others go on."""
    feeds = {"a": Feed(*(frame(number) for number in (1, 2, 3))), "b": Feed(*(frame(number) for number in (1, 2, 3)))}
    loop = make(feeds)

    def pause_and_resume() -> None:
        if loop.engine.submitted[-1] == ("a", 1):
            loop.cameras["a"].pause()
        if loop.engine.submitted[-1] == ("b", 3):
            loop.cameras["a"].status.resume(reopens=False)

    loop.engine.after_submit = pause_and_resume
    loop.run(*(FeedEnded(name, END, failed=False) for name in feeds))
    assert [number for name, number in loop.engine.submitted if name == "a"] == [1, 2, 3]
    assert loop.publisher.of("score", "frame_id", camera="a") == [2, 3]
    assert loop.publisher.of("score", "frame_id", camera="b") == [1, 2, 3]
    assert loop.publisher.of("state", "state", camera="a") == ["paused", "live", "disconnected"]
    assert [one.frame_id for one in feeds["a"].returned] == [1, 2, 3]
    assert loop.figure('frames_dropped_total{camera="a",reason="paused"} 1.0')


def test_last_words_of_a_camera_that_was_closed_for_a_pause_change_nothing(make: Make) -> None:
    """What a live camera said just before it was closed is no news when it is resumed."""
    loop = make({"a": Feed(live=True)})
    loop.inbox.put(Asked(1, Pause(camera="a")))
    loop.inbox.put(FeedChanged("a", "disconnected", "late"))
    loop.inbox.put(Asked(2, Resume(camera="a")))
    loop.run(Stop())
    assert loop.publisher.of("state", "state") == ["live", "paused"]


def test_previews_follow_the_scores_of_their_frames(make: Make) -> None:
    """A camera that somebody looks at has a preview after a score, with a picture; another has none."""
    feeds = {name: Feed(*(frame(number) for number in range(1, 4))) for name in ("top", "side")}
    loop = make(feeds)
    loop.viewed.add("top")
    loop.run(*(FeedEnded(name, END, failed=False) for name in feeds))
    told = [(m["kind"], m["frame_id"]) for m in loop.publisher.messages if m["kind"] in {"score", "preview"}]
    shown = loop.publisher.of("preview", "camera", "frame_id", "attached")
    assert shown == [("top", 1, (b"picture",))]
    assert told.index(("preview", 1)) == told.index(("score", 1)) + 1 or told.count(("score", 1)) == 2
    assert loop.figure('stage_seconds_count{stage="preview"} 1.0')
