"""The main loop: it takes every frame from its camera to its messages, one event at a time.

    capture process   grabs the frame into shared memory; its feed: `FrameArrived`     camera/process.py, camera/feed.py
    main loop         `_submit`: to the inference worker, the most urgent one first    inference/engine.py
    inference worker  inspect, preprocess, embed, search, score: `Scored`              inference/stages.py
                      then its preview, where one is wanted: `Previewed`, and its score
                      by the camera's candidate, in its shadow: `ShadowScored`
    main loop         `_publish`: decide; the score is published, alerts and states    alerts/monitored_camera.py
                      go to the journal; peaks of alerts, and frames that are taught,  messaging/outbox.py
                      are copied before the frame is given back                        teaching/teaching.py
    journal's thread  writes them to the disk: `Written`                               journal/recorder.py
    main loop         publishes them

All threads put their events into one inbox. The main loop alone decides and publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any

from runtime.app.answer_requests import Requests
from runtime.app.channel import Channel, all_over, most_urgent
from runtime.app.monitor import Monitor
from runtime.events import (
    EngineLost,
    EngineReady,
    EngineRefused,
    FeedChanged,
    FeedEnded,
    FrameArrived,
    Previewed,
    Scored,
    Stop,
)
from runtime.frame import SharedFrame
from runtime.inference.engine import Engine
from runtime.journal.journal_thread import JournalChanged, Written
from runtime.messaging.outbox import Outbox

TURN_S = 0.25
"""Maximum time between turns of the loop, so that work that is due once a second is in time."""

_WAITING_TURN_S = 0.05  # while subscribers are awaited


class MainLoop:
    """The way of every frame: capture -> inference worker -> decide -> journal -> publish."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        engine: Engine,
        inbox: SimpleQueue[Any],
        outbox: Outbox,
        monitor: Monitor,
        requests: Requests,
        may_start: Callable[[], bool],
    ) -> None:
        """Take the parts, which put events into the inbox and are closed by the caller.

        Args:
            channels: the cameras, by name.
            engine: the inference worker, started.
            inbox: of all events.
            outbox: publishes; alerts and states once they are in the journal.
            monitor: watches over everything.
            requests: answers clients.
            may_start: whether the cameras may be opened: it is called until it returns True.
        """
        self._channels = channels
        self._engine = engine
        self._inbox = inbox
        self._outbox = outbox
        self._monitor = monitor
        self._requests = requests
        self._may_start = may_start
        self._started = self._ready = self._stopping = False

    def run(self) -> None:
        """Score frames until all recordings are over, where there is nothing else, or `Stop` comes.

        Raises:
            BundleError: a bundle must not be served, at the first start.
            SourceUnavailable: a recording cannot be read, and there is nothing else.
            NothingScored: of a recording no frame was scored.
            SettingsError: as its regions hold no patch.
        """
        while not self._is_over():
            self._open_cameras()
            match self._next_event():
                case FrameArrived(camera=name):
                    self._monitor.arrived(name)
                case Scored(frame=SharedFrame(frame_id=0)) as judged:  # a picture
                    self._requests.handle(judged)
                case Scored() as scored:
                    self._channels[scored.camera].in_worker -= 1
                    self._publish(self._channels[scored.camera], scored)
                case Previewed() as previewed:
                    self._channels[previewed.camera].camera.preview(previewed)
                    self._monitor.previewed(previewed)
                case Written(entries=entries):
                    self._outbox.written(entries)
                case other:
                    self._take_note(other)
            self._submit()
            self._requests.give_way(busy=any(channel.in_worker for channel in self._channels.values()))
            self._turn()

    def _submit(self) -> None:
        """Hand frames to the worker for as long as it takes any, the one with the earliest deadline first."""
        while self._engine.room and (channel := most_urgent(self._channels.values())) is not None:
            frame = channel.feed.take()
            channel.waits_since_ns = None
            if frame is None:  # replaced by a newer one this very moment: there will be an event
                return
            self._monitor.taken(channel, frame)
            if frame.hw is None:
                self._publish(channel, Scored(channel.name, frame, None, "cannot be decoded"))
            elif channel.feed.live and self._monitor.is_older(channel, frame):
                channel.feed.give_back(frame)
            else:
                channel.in_worker += 1
                self._engine.submit(channel.name, frame, channel.wanted())

    def _publish(self, channel: Channel, scored: Scored) -> None:
        """Decide on a frame and publish its score; alerts and states are published once they are in the journal."""
        if channel.camera.status.paused:  # since it was taken
            channel.feed.give_back(scored.frame)
            self._monitor.unwanted(channel)
            return
        reason = scored.reason if scored.result is None else scored.result.scene_reason
        channel.not_scored = reason or channel.not_scored
        channel.frame_hw = scored.frame.hw or channel.frame_hw
        decision = channel.camera.publish(scored.frame, scored.result, scored.attached)
        if channel.shadow is not None:
            channel.shadow.see(scored)
        self._requests.show(channel, scored)
        channel.feed.give_back(scored.frame)
        self._monitor.published(channel, scored, decision)

    def _turn(self) -> None:
        """Do the periodic work."""
        for channel in self._channels.values():
            if channel.ended is not None:
                channel.end_recording(channel.ended)
        self._outbox.turn()
        self._monitor.turn()
        self._requests.turn()

    def _open_cameras(self) -> None:
        """Open the cameras, once they may be."""
        if not self._started and self._may_start():
            self._started = True
            for channel in self._channels.values():
                channel.feed.start()

    def _next_event(self) -> Any:
        try:
            return self._inbox.get(timeout=TURN_S if self._started else _WAITING_TURN_S)
        except Empty:
            return None

    def _take_note(self, event: Any) -> None:
        """Handle an event that is not about a frame."""
        match event:
            case FeedChanged():
                channel = self._channels[event.camera]
                status = channel.camera.status
                if not (status.paused and channel.feed.live):  # else its last words come late
                    status.connect(event.state, event.reason, event.remedy)
            case FeedEnded():
                self._channels[event.camera].ended = event
            case EngineReady():
                self._ready = True
                self._requests.ready(event.bundles)
                self._monitor.ready(event)
            case EngineLost():
                for channel in self._channels.values():
                    channel.camera.status.starve(f"inference worker lost: {event.reason}")
                self._monitor.lost(event)
                self._requests.handle(event)
            case EngineRefused():
                raise event.error
            case JournalChanged():
                self._monitor.journal_changed(event)
            case Stop():
                self._stopping = True
            case _:
                self._requests.handle(event)

    def _is_over(self) -> bool:
        """Return whether there is nothing to wait for."""
        # A bundle that must not be served is an error before a source that is not there.
        return self._stopping or (self._ready and all_over(self._channels.values()))
