"""One camera from end to end: the feed that its frames come from, and what decides on them and publishes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from edge_config.errors import NothingScored, PatchedgeError, SettingsError, SourceUnavailable
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.app.candidate_shadow import CandidateShadow
from runtime.camera.feed import Feed
from runtime.events import FeedEnded
from runtime.frame import Wanted
from runtime.inference.protocol import NO_PATCH

_MAX_IN_WORKER = 2
"""Frames of one camera: with a third its memory would be full, and the frame would be older than one that comes yet."""


@dataclass(slots=True)
class Channel:
    """One camera from end to end. Use it from the main loop's thread.

    Attributes:
        feed: where its frames come from.
        camera: decides on them, and publishes.
        max_age_ns: an older frame of a live source is not scored.
        stall_s: time-out, seconds: a live source is stalled if no frame of it is scored for this long.
        in_worker: frames of it.
        waits_since_ns: monotonic time of the frame that was there first since one was taken last, newer ones may have
            replaced it; None if none was seen since.
        ended: the recording is over.
        not_scored: why the last frame without a score has none.
        frame_hw: height and width of the last frame, pixels; None before the first.
        shadow: compares the candidate with the bundle in service; None: it does not score.
        name: of the camera.
    """

    feed: Feed
    camera: MonitoredCamera
    max_age_ns: int
    stall_s: float
    in_worker: int = 0
    waits_since_ns: int | None = None
    ended: FeedEnded | None = None
    not_scored: str = ""
    frame_hw: tuple[int, int] | None = None
    shadow: CandidateShadow | None = None
    name: str = field(init=False)

    def __post_init__(self) -> None:
        """Take over the name of the camera."""
        self.name = self.camera.name

    @property
    def is_over(self) -> bool:
        """Whether the recording is over, and all its frames are published."""
        return self.ended is not None and not self.in_worker and self.feed.peek() is None

    def wanted(self) -> Wanted:
        """Return what should be known of the next frame that is scored; call it once for each."""
        wanted = self.camera.wanted()
        if self.shadow is None or not self.shadow.take(strained=not self.camera.maps):
            return wanted
        return replace(wanted, shadow=True)

    def due_ns(self) -> int | None:
        """Return the deadline of the frame that may be scored next, monotonic clock; None if there is none.

        It is that of the frame that was there first since one was taken: a newer one in its place must not put it off,
        or a camera that is always a little later than another would never have its turn.
        """
        busy = self.in_worker >= _MAX_IN_WORKER
        if self.camera.status.paused or busy or (frame := self.feed.peek()) is None:
            return None
        if self.waits_since_ns is None:
            self.waits_since_ns = frame.t_mono_ns
        # One that cannot be decoded waits for those before it: messages come in the order of the frames.
        return None if frame.hw is None and self.in_worker else self.waits_since_ns + self.max_age_ns

    def end_recording(self, ended: FeedEnded) -> None:
        """Tell subscribers that the recording is over, once all its frames are published."""
        if self.is_over and self.camera.status.state != "disconnected":
            self.camera.end(ended.reason, failed=ended.failed)


def most_urgent(channels: Iterable[Channel]) -> Channel | None:
    """Return the channel with the earliest deadline; None if no frame may be scored."""
    first: Channel | None = None
    first_ns = 0
    for channel in channels:
        due_ns = channel.due_ns()
        if due_ns is not None and (first is None or due_ns < first_ns):
            first, first_ns = channel, due_ns
    return first


def all_over(channels: Collection[Channel]) -> bool:
    """Return whether all are recordings, and over.

    Raises:
        SourceUnavailable: one of them could not be read.
        NothingScored: of one no frame was scored.
        SettingsError: as its regions hold no patch.
    """
    for channel in channels:
        if not channel.is_over:
            return False
    failed = [channel.ended.reason for channel in channels if channel.ended and channel.ended.failed]
    if failed:
        raise SourceUnavailable(failed[0])
    for channel in channels:
        if not channel.camera.frames and not channel.camera.status.paused:
            raise _nothing_scored(channel)
    return True


def _nothing_scored(channel: Channel) -> PatchedgeError:
    why = channel.not_scored or "it gave no frame"
    where = f"cameras.{channel.name}"
    what = f"none of the {channel.camera.undecodable} frames was scored: {why}"
    if why.startswith(NO_PATCH):
        return SettingsError(what, where=where, remedy="correct its `regions` and `ignore`")
    return NothingScored(what, where=where)
