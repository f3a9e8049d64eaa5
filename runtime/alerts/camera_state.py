"""State of one camera: what its scores mean, and the messages about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from edge_config.settings.sections import Alerts
from edge_config.wire.messages import Kind, Part, State
from runtime.alerts.decide import Decide
from runtime.alerts.log import Chronicle
from runtime.clips.plan import ClipPlan
from runtime.frame import Alert, BundleInfo, Decision, Frame, Result, SharedFrame, Wanted

_FIRST = BundleInfo(id="", path="", threshold=0.0, promised_alpha=1.0)


class Sender(Protocol):
    """What messages leave by."""

    def send(self, kind: Kind, camera: str, attached: Sequence[bytes] = (), **fields: Any) -> None:
        """Send a message; `attached` are the bytes of the parts that it lists."""
        ...


class _Attached(NamedTuple):
    """What was made of a frame for an alert, until it is sent."""

    frame_id: int
    parts: tuple[Part, ...]
    bytes: tuple[bytes, ...]


_NOTHING = _Attached(0, (), ())


class Watched:
    """Publishes the frames and the state of one camera. Use it from one thread.

    A state has five causes, and the first that is not at rest counts: a request to pause, whether anything can be
    scored at all, the connection, whether its frames are scored in time, and what the pictures look like.

    Attributes:
        state: what was published last.
        reason: why.
        bundle: in service; its id is empty before there is one.
        frames, repeated, undecodable, alerts: published so far, `repeated` among the `frames`; alerts that started.
        settings: when its scores make an alert, and what it brings along.
        score: of the last frame; None if it has none.
        paused: nothing of it is looked at.
        maps: alerts may bring along pictures and maps; not so where the device must do less.
    """

    def __init__(
        self,
        name: str,
        publisher: Sender,
        alerts: Alerts | None = None,
        films: ClipPlan | None = None,
        chronicle: Chronicle | None = None,
    ) -> None:
        """Know nothing yet of the camera `name`.

        Args:
            name: of the camera.
            publisher: takes what there is to tell.
            alerts: when its scores make an alert, and what it brings along; by default as the settings' defaults.
            films: where its alerts are filmed, if they are.
            chronicle: its log, if there is one.
        """
        self.name = name
        self.state: State = "starting"
        self.reason = "no frame yet"
        self.bundle = _FIRST
        self.degraded = 0
        self.frames = self.repeated = self.undecodable = self.alerts = 0
        self.score: float | None = None
        self.paused = False
        self.maps = True
        self._publisher = publisher
        self.settings = alerts or Alerts()
        self._films = films
        self._clip = ""  # of the open alert
        self._decide = Decide(self.settings, 0.0)
        self._attached = _NOTHING
        self._failed = ""
        self._connection: tuple[State, str] = ("starting", "no frame yet")
        self._unscored = ""
        self._scene: tuple[State, str] | None = None
        self._last: dict[str, Any] = {}
        self._chronicle = chronicle
        self._remedy, self._wanted = "", False

    @property
    def threshold(self) -> float:
        """A score above it is anomalous: that of the settings, or else of the bundle in service."""
        return self._decide.threshold

    @property
    def connected(self) -> bool:
        """Whether it delivers pictures that are looked at, whatever they are worth."""
        return self._connection[0] == "live" and not self.paused

    def configure(self, alerts: Alerts) -> None:
        """Decide with other settings from the next frame on; an open alert stays open."""
        self.settings = alerts
        self._decide.configure(alerts, self.bundle.threshold)

    def pause(self) -> Alert | None:
        """Look at nothing more, and say so; return the alert that was open, and ends with that."""
        alert = None if self.paused else self._close_alert("paused")
        self.paused = True
        self._update()
        return alert

    def resume(self, *, reopens: bool) -> None:
        """Go on; where the camera `reopens`, the state stays until something is heard of that."""
        if not self.paused:
            return
        self.paused, self._scene, self._unscored = False, None, ""
        if reopens:
            self._connection = self.state, self.reason = "paused", "resumed, and not open yet"
        self._update()

    def wanted(self) -> Wanted:
        """Return what should be known of the next frame that is scored."""
        above = self._decide.wanted_above if self.bundle.id else math.inf
        attach = self.settings.attach if self.maps else frozenset()
        return Wanted(self.threshold, above, attach, self.settings.jpeg_quality)

    def serve(self, bundle: BundleInfo) -> None:
        """Take note of the bundle that scores come from now; an open alert stays open."""
        self.bundle = bundle
        self._decide.threshold = bundle.threshold
        self.fail("")

    def fail(self, reason: str) -> None:
        """Say what nobody but a person can mend; empty if nothing."""
        self._failed = reason
        self._update()

    def connect(self, state: State, reason: str, remedy: str = "", *, wanted: bool = False) -> None:
        """Take note of the state of the connection.

        Args:
            state: live, stalled or disconnected.
            reason: why.
            remedy: what the user can do about it, for the log.
            wanted: it is no fault, such as the end of the run.
        """
        self._scene = None  # of pictures that are gone
        self._connection, self._remedy, self._wanted = (state, reason), remedy, wanted
        self._update()

    def starve(self, reason: str) -> None:
        """Say why no frame is scored, though the camera delivers; empty if they are."""
        self._unscored = reason
        self._update()

    def publish(self, frame: Frame | SharedFrame, result: Result | None, attached: tuple[bytes, ...] = ()) -> Decision:
        """Decide on a frame and tell subscribers.

        Args:
            frame: what was scored.
            result: None where nothing could be scored.
            attached: the bytes of each of its parts.
        """
        value = None if result is None else result.value
        if result is not None:
            self._scene = (result.scene, result.scene_reason) if result.scene else None
            self.starve("")
        decision = self._decide(frame, result)
        if result is not None and self._decide.peak_frame_id == frame.frame_id:
            self._attached = _Attached(frame.frame_id, result.parts, attached)
        self.score = value
        self._last = {
            "frame_id": frame.frame_id,
            "t_capture_ns": frame.t_capture_ns,
            "t_mono_ns": frame.t_mono_ns,
            "score": value,
            "threshold": self.threshold,
            "label": decision.label,
            "peak_xy": None if result is None else result.peak_xy,
        }
        repeated = result is not None and result.repeated
        self._send("score", **self._last, **({"repeated": True} if repeated else {}))
        self.repeated += repeated
        self.frames += value is not None
        self.undecodable += value is None
        if self._films is not None:
            self._film(self._films, frame, decision.alert)
        if decision.alert is not None:
            self._send_alert(decision.alert)
        return decision

    def _film(self, films: ClipPlan, frame: Frame | SharedFrame, alert: Alert | None) -> None:
        """Have the open alert filmed, and note where."""
        if alert is not None and alert.phase == "start":
            self._clip = films.begin(alert, frame.t_mono_ns - (frame.t_capture_ns - alert.t_start_ns))
        elif self._clip:
            self._clip = films.go_on(frame.t_mono_ns)

    def turn(self) -> None:
        """Do what is due once a second."""
        if self._chronicle is not None:
            self._chronicle.turn()

    def beat(self) -> None:
        """Tell subscribers that the device is alive, and how the camera is."""
        self._send("health")

    def end(self, reason: str, *, failed: bool = False) -> None:
        """Close what is open, so that no subscriber waits for the end of an alert for ever.

        Args:
            reason: why nothing more comes.
            failed: it is a fault, and no end that was to be.
        """
        self._close_alert(reason)
        if self.state != "disconnected":  # else it is said why
            self.connect("disconnected", reason, wanted=not failed)

    def _close_alert(self, reason: str) -> Alert | None:
        if (alert := self._decide.close(reason)) is not None:
            self._send_alert(alert)
        return alert

    def _send_alert(self, alert: Alert) -> None:
        """Publish a phase of an alert, with what is known of the last frame.

        What was made of the peak frame goes along with the first message that tells of it, and only then.
        """
        self.alerts += alert.phase == "start"
        along = self._attached if self._attached.frame_id == alert.peak_frame_id else _NOTHING
        self._attached = _NOTHING
        told = {name: getattr(alert, name) for name in alert.__dataclass_fields__}
        more = {"parts": along.parts, "clip": self._clip}
        self._send("alert", attached=along.bytes, **more, **self._last, **told)
        if self._chronicle is not None:
            self._chronicle.alert(alert, self._last.get("t_capture_ns", alert.t_start_ns), self._clip)
        if alert.phase == "end" and self._clip and self._films is not None:
            self._films.end()
            self._clip = ""

    def _update(self) -> None:
        state, reason = self._connection
        if self.paused:
            state, reason = "paused", "by a request"
        elif self._failed and state != "disconnected":
            state, reason = "failed", self._failed
        elif state == "live" and self._unscored:
            state, reason = "stalled", self._unscored
        elif state == "live" and self._scene:
            state, reason = self._scene
        new = state != self.state or (state == "disconnected" and reason != self.reason)
        if not new or not (self.bundle.id or self._failed or self._unscored or self.paused):
            return  # nothing is said before there is anything to judge by
        self.state, self.reason = state, reason
        self._send("state", reason=reason)
        if self._chronicle is not None:
            remedy = self._remedy if (state, reason) == self._connection else ""
            self._chronicle.state(state, reason, remedy, wanted=self._wanted)

    def _send(self, kind: Kind, **fields: Any) -> None:
        self._publisher.send(kind, self.name, bundle=self.bundle.id, state=self.state, degraded=self.degraded, **fields)
