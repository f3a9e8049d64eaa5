"""The way of a frame: capture process -> shared memory -> inference worker -> decide -> publish.

The threads of feeds, engine and control put events into one inbox; the loop here handles them one at a time, and alone
decides and publishes. The stages inside the worker are in service.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from edge_config.errors import NothingScored, PatchedgeError, SettingsError, SourceUnavailable
from runtime.alerts.camera_state import Watched
from runtime.app.oversight import Oversight
from runtime.camera.feed import Feed
from runtime.events import (
    EngineLost,
    EngineReady,
    EngineRefused,
    FeedChanged,
    FeedEnded,
    FrameArrived,
    Scored,
    Stop,
)
from runtime.inference.engine import Engine
from runtime.inference.protocol import NO_PATCH

TURN_S = 0.25
"""The loop turns at least so often, so that what is due once a second comes in time."""

_WAITING_TURN_S = 0.05  # while subscribers are awaited


@dataclass(slots=True)
class Camera:
    """What belongs to one camera: where its frames come from, and where they go.

    Attributes:
        waits_since_ns: monotonic time of the frame that was there first since one was taken last, newer ones may have
            replaced it; None if none was seen since.
        not_scored: why the last frame without a score has none.
    """

    feed: Feed
    watched: Watched
    max_age_ns: int
    in_worker: int = 0
    waits_since_ns: int | None = None
    ended: FeedEnded | None = None
    not_scored: str = ""


class Pipeline:
    """The main loop."""

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        engine: Engine,
        inbox: SimpleQueue[Any],
        oversight: Oversight,
        may_start: Callable[[], bool],
    ) -> None:
        """Take the parts; feeds and engine tell the inbox, and are closed by the caller.

        Args:
            cameras: by name.
            engine: started.
            inbox: of all events.
            oversight: of all that is not the way of a frame.
            may_start: whether the cameras may be opened: it is asked until it says so.
        """
        self._cameras = cameras
        self._engine = engine
        self._inbox = inbox
        self._oversight = oversight
        self._may_start = may_start
        self._started = self._ready = self._stopping = False

    def run(self) -> None:
        """Score frames until all recordings are over, where there is nothing else, or `Stop` comes.

        Raises:
            BundleError: a bundle must not be served, at the first start.
            SourceUnavailable: a recording cannot be read, and there is nothing else.
        """
        while not self._is_over():
            self._start()
            self._handle(self._next_event())
            self._submit()
            self._end_recordings()
            self._oversight.turn()

    def _start(self) -> None:
        """Open the cameras, once they may be."""
        if not self._started and self._may_start():
            self._started = True
            for camera in self._cameras.values():
                camera.feed.start()

    def _next_event(self) -> Any:
        try:
            return self._inbox.get(timeout=TURN_S if self._started else _WAITING_TURN_S)
        except Empty:
            return None

    def _handle(self, event: Any) -> None:
        match event:
            case None:
                pass
            case FrameArrived():
                self._oversight.arrived(event.camera)
            case Scored():
                self._publish(event)
            case FeedChanged() | FeedEnded():
                self._hear_feed(event)
            case EngineReady() | EngineLost() | EngineRefused():
                self._hear_engine(event)
            case Stop():
                self._stopping = True
            case _:
                self._oversight.handle(event)

    def _hear_feed(self, event: FeedChanged | FeedEnded) -> None:
        match event:
            case FeedChanged():
                camera = self._cameras[event.camera]
                if not (camera.watched.paused and camera.feed.live):  # else its last words come late
                    camera.watched.connect(event.state, event.reason, event.remedy)
            case FeedEnded():
                self._cameras[event.camera].ended = event

    def _hear_engine(self, event: EngineReady | EngineLost | EngineRefused) -> None:
        match event:
            case EngineReady():
                self._ready = True
                for name, bundle in event.bundles.items():
                    self._cameras[name].watched.serve(bundle)
                self._oversight.ready(event)
            case EngineLost():
                for camera in self._cameras.values():
                    camera.watched.starve(f"inference worker lost: {event.reason}")
                self._oversight.lost(event)
            case EngineRefused():
                raise event.error

    def _submit(self) -> None:
        """Give the worker frames for as long as it takes any, the one that is due first at first."""
        while self._engine.room and (camera := self._most_urgent()) is not None:
            frame = camera.feed.take()
            camera.waits_since_ns = None
            if frame is None:  # replaced by a newer one this very moment: there will be an event
                return
            self._oversight.taken(camera.watched.name, frame)
            if frame.hw is None:
                self._finish(camera, Scored(camera.watched.name, frame, None, "cannot be decoded"))
            elif camera.feed.live and self._oversight.is_older(camera.watched.name, frame, camera.max_age_ns):
                camera.feed.give_back(frame)
            else:
                camera.in_worker += 1
                self._engine.submit(camera.watched.name, frame, camera.watched.wanted())

    def _most_urgent(self) -> Camera | None:
        """Return the camera that has the earliest deadline.

        It is that of the frame that was there first since one was taken: a newer one in its place must not put it off,
        or a camera that is always a little later than another would never have its turn.
        """
        due = []
        for camera in self._cameras.values():
            if camera.watched.paused or (frame := camera.feed.peek()) is None:
                continue
            if camera.waits_since_ns is None:
                camera.waits_since_ns = frame.t_mono_ns
            # One that cannot be decoded waits for those before it: messages come in the order of the frames.
            if frame.hw is not None or not camera.in_worker:
                due.append((camera.waits_since_ns + camera.max_age_ns, camera))
        return min(due, key=lambda one: one[0])[1] if due else None

    def _publish(self, scored: Scored) -> None:
        camera = self._cameras[scored.camera]
        camera.in_worker -= 1
        self._finish(camera, scored)

    def _finish(self, camera: Camera, scored: Scored) -> None:
        camera.feed.give_back(scored.frame)
        if camera.watched.paused:  # since it was taken
            self._oversight.unwanted(camera.watched)
            return
        camera.not_scored = scored.reason if scored.result is None else scored.result.scene_reason or camera.not_scored
        decision = camera.watched.publish(scored.frame, scored.result, scored.attached)
        self._oversight.published(camera.watched, scored, decision)

    def _end_recordings(self) -> None:
        for camera in self._cameras.values():
            over = camera.ended is not None and not camera.in_worker and camera.feed.peek() is None
            if over and camera.ended is not None and camera.watched.state != "disconnected":
                camera.watched.end(camera.ended.reason, failed=camera.ended.failed)

    def _is_over(self) -> bool:
        """Return whether there is nothing to wait for.

        Raises:
            SourceUnavailable: there never was.
            NothingScored: of a recording no frame was scored.
            SettingsError: as its regions hold no patch.
        """
        if self._stopping:
            return True
        if not self._ready:  # a bundle that must not be served is said before a source that is not there
            return False
        for camera in self._cameras.values():
            if camera.ended is None or camera.in_worker or camera.feed.peek() is not None:
                return False
        failed = [camera.ended.reason for camera in self._cameras.values() if camera.ended and camera.ended.failed]
        if failed:
            raise SourceUnavailable(failed[0])
        for name, camera in self._cameras.items():
            if not camera.watched.frames and not camera.watched.paused:
                raise _nothing_scored(name, camera)
        return True


def _nothing_scored(name: str, camera: Camera) -> PatchedgeError:
    why = camera.not_scored or "it gave no frame"
    said = f"none of the {camera.watched.undecodable} frames was scored: {why}"
    if why.startswith(NO_PATCH):
        return SettingsError(said, where=f"cameras.{name}", remedy="correct its `regions` and `ignore`")
    return NothingScored(said, where=f"cameras.{name}")
