"""One camera as the main loop knows it: each scored frame is decided on, and what comes of it is told and filmed."""

from __future__ import annotations

import math
from typing import Any

from edge_config.settings.sections import Alerts
from runtime.alerts.camera_log import CameraLog
from runtime.alerts.camera_messages import CameraMessages, Sender
from runtime.alerts.camera_state import StateChange, StateMachine
from runtime.alerts.decide import Decide
from runtime.alerts.preview_pace import PreviewPace
from runtime.alerts.threshold_watch import ThresholdWatch
from runtime.clips.plan import ClipPlan
from runtime.drift.watch import DriftWatch
from runtime.events import Previewed
from runtime.frame import Alert, BundleInfo, Decision, Frame, Result, SharedFrame, Wanted

MAX_REASON = 600
"""Maximum number of characters of a reason."""


class MonitoredCamera:
    """Decides on the frames of one camera, and publishes them and its state. Use it from one thread.

    Attributes:
        status: its state, and what that depends on.
        messages: what is published of it.
        frames, repeated, undecodable, alerts: published so far, `repeated` among the `frames`; alerts that started.
        settings: when its scores make an alert, and what is attached to it.
        score: of the last frame; None if it has none.
        maps: alerts may have pictures and maps attached; False where the device must do less.
        drift: how its normal frames differ from what was learnt.
        silent: no alert is raised, because of a burn-in.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        alerts: Alerts | None = None,
        films: ClipPlan | None = None,
        log: CameraLog | None = None,
        drift: DriftWatch | None = None,
        previews: PreviewPace | None = None,
    ) -> None:
        """Know nothing yet of the camera `name`.

        Args:
            name: of the camera.
            sender: takes its messages.
            alerts: its alert settings; by default the settings' defaults.
            films: plans the clips of its alerts, if they are filmed.
            log: of the camera, if there is one.
            drift: notices its drift, and remembers it; by default it is forgotten at the end.
            previews: decides which frames have a preview; by default none.
        """
        self.name = name
        self.status = StateMachine(self._tell_state)
        self.messages = CameraMessages(name, sender, self.status)
        self.frames = self.repeated = self.undecodable = self.alerts = 0
        self.score: float | None = None
        self.settings = alerts or Alerts()
        self.maps = True
        self.drift = drift or DriftWatch(name)
        self.silent = False
        self._previews = previews or PreviewPace()
        self._watch: ThresholdWatch | None = None
        self._decide = Decide(self.settings, 0.0)
        self._films = films
        self._clip = ""  # of the open alert
        self._log = log
        self._unlearnt = 0

    @property
    def bundle(self) -> BundleInfo:
        """The bundle in service; its id is empty before there is one."""
        return self.messages.bundle

    @property
    def threshold(self) -> float:
        """A score above it is anomalous: that of the settings, or else of a burn-in, or of the bundle in service."""
        return self._decide.threshold

    @property
    def alert(self) -> Alert | None:
        """The open alert, or what may become one, with its peak so far; None if there is neither."""
        return self._decide.alert

    @property
    def is_alerting(self) -> bool:
        """Whether an alert is open."""
        return self._decide.is_open

    def configure(self, alerts: Alerts) -> None:
        """Decide with other settings from the next frame on; an open alert stays open."""
        self.settings = alerts
        self._decide.configure(alerts, self.default_threshold)

    def watch(self, watch: ThresholdWatch) -> None:
        """Have the scores watched, and the threshold set."""
        self._watch = watch

    def threshold_changed(self, said: str) -> None:
        """Take over threshold and silence from what watches the scores, and tell subscribers why."""
        silent = self._watch is not None and self._watch.silent
        if silent and not self.silent:
            self._close_alert("burn-in")
        elif self.silent and not silent:
            min_ms = self._decide.bundle_min_ms  # no alert was told of: what goes on is one of the next frames
            self._decide = Decide(self.settings, self.default_threshold)
            self._decide.bundle_min_ms = min_ms
        self.silent = silent
        self._decide.threshold = self.default_threshold
        self.messages.send("state", reason=said[:MAX_REASON])

    def serve(self, bundle: BundleInfo) -> None:
        """Take note of the bundle that scores come from now; an open alert stays open."""
        self.messages.bundle = bundle
        self._decide.threshold, self._decide.bundle_min_ms = bundle.threshold, bundle.min_ms
        self.drift.serve(bundle)
        self.status.serve()
        if self._watch is not None:
            self._watch.serve(bundle)
            self.silent, self._decide.threshold = self._watch.silent, self.default_threshold

    def pause(self) -> Alert | None:
        """Stop scoring, and report it; return the open alert, which ends."""
        alert = None if self.status.paused else self._close_alert("paused")
        self.status.pause()
        return alert

    def wanted(self) -> Wanted:
        """Return what should be known of the next frame that is scored; call it once for each."""
        above = self._decide.wanted_above if self.bundle.id and not self.silent else math.inf
        attach = self.settings.attach if self.maps else frozenset()
        preview = self._previews.take(self.name, strained=not self.maps)
        return Wanted(self.threshold, above, attach, self.settings.jpeg_quality, preview)

    def publish(self, frame: Frame | SharedFrame, result: Result | None, attached: tuple[bytes, ...] = ()) -> Decision:
        """Decide on a frame, and tell subscribers.

        Args:
            frame: the scored frame.
            result: None where nothing could be scored.
            attached: the bytes of each of its parts.
        """
        if result is not None:
            self.status.see(result.scene, result.scene_reason)
        decision = self._decide(frame, result)
        if self.silent:
            decision = Decision(decision.label, None)
        elif result is not None and self._decide.peak_frame_id == frame.frame_id:
            self.messages.keep_parts(frame.frame_id, result, attached)
        if result is not None:
            self.drift(frame, result, in_alert=self._decide.peak_frame_id is not None)
        self.score = None if result is None else result.value
        if self._watch is not None and result is not None and result.value is not None:
            self._watch.take(frame, result.value, repeated=result.repeated)
        self.messages.score(frame, result, decision, self.threshold)
        self.repeated += result is not None and result.repeated
        self.frames += self.score is not None
        self.undecodable += self.score is None
        if result is not None and result.unlearnt != self._unlearnt:
            self._unlearnt = result.unlearnt
            if self._log is not None:
                self._log.unlearnt(result.unlearnt)
        if self._films is not None:
            self._film(self._films, frame, decision.alert)
        if decision.alert is not None:
            self._tell_alert(decision.alert)
        return decision

    def preview(self, made: Previewed) -> None:
        """Tell subscribers what was made of the frame that was published last; one of an earlier frame is dropped."""
        self._previews.made(self.name, made.seconds)
        if made.problem and self._log is not None:
            self._log.no_preview(made.problem)
        if made.parts and self.messages.last.get("frame_id") == made.frame.frame_id:
            self.messages.preview(made)

    def end(self, reason: str, *, failed: bool = False) -> None:
        """Close what is open, so that no subscriber waits indefinitely for the end of an alert.

        Args:
            reason: why nothing more comes.
            failed: it is a fault, and not the planned end.
        """
        self._close_alert(reason)
        if self.status.state != "disconnected":  # else it is known why
            self.status.connect("disconnected", reason, wanted=not failed)

    def beat(self) -> None:
        """Send a heartbeat."""
        left_s = None if self._watch is None else self._watch.left_s
        more: dict[str, Any] = {} if left_s is None else {"burn_in_left_s": left_s}
        if self.drift.causes:
            more |= {"drift": self.drift.said, "drift_since_ns": self.drift.since_ns}
        self.messages.send("health", **more)

    def turn(self) -> None:
        """Do the periodic work, once a second."""
        self.drift.turn()
        if self._log is not None:
            self._log.turn()

    @property
    def default_threshold(self) -> float:
        """The threshold unless the settings have one."""
        own = None if self._watch is None else self._watch.threshold
        return self.bundle.threshold if own is None else own

    def _film(self, films: ClipPlan, frame: Frame | SharedFrame, alert: Alert | None) -> None:
        """Have the open alert filmed, and note where."""
        if alert is not None and alert.phase == "start":
            self._clip = films.begin(alert, frame.t_mono_ns - (frame.t_capture_ns - alert.t_start_ns))
        elif self._clip:
            self._clip = films.go_on(frame.t_mono_ns)

    def _close_alert(self, reason: str) -> Alert | None:
        if (alert := self._decide.close(reason)) is not None and not self.silent:
            self._tell_alert(alert)
            return alert
        return None

    def _tell_alert(self, alert: Alert) -> None:
        self.alerts += alert.phase == "start"
        self.messages.alert(alert, self._clip)
        if self._log is not None:
            self._log.alert(alert, self.messages.last.get("t_capture_ns", alert.t_start_ns), self._clip)
        if alert.phase == "end" and self._clip and self._films is not None:
            self._films.end()
            self._clip = ""

    def _tell_state(self, change: StateChange) -> None:
        self.messages.send("state", reason=change.reason)
        if self._log is not None:
            self._log.state(change)
