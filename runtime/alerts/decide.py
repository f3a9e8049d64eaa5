"""From scores to labels and alerts, for one camera.

A score above the threshold is `over` and one that the hysteresis lets pass is `quiet`; those between the two neither
begin nor end anything. Frames over the threshold make a candidate, a candidate of the least length an alert, and an
alert ends when frames were quiet for long enough. All times are of the frames' own clock (`Frame.clock_ns`): the alerts
of a recording do not depend on how fast it is scored. A repeated frame is no further evidence of anything.

Scores that flicker around the threshold are one alert: the longer the gaps that it has bridged, or that lie between it
and a short one just before it, the longer it waits for its end. Single frames far from each other, as false alarms are,
do not keep it open.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, replace
from typing import Literal

from edge_config.settings.sections import Alerts
from runtime.frame import Alert, Decision, Frame, Result, SharedFrame

NORMAL_AGAIN = "normal again"
"""Why an alert ends that its camera's scores end."""

_MS = 1_000_000  # nanoseconds

SLOW_MS = 250
"""A camera whose frames are further apart than this may have only one frame of something in view for half a second."""

MIN_FRAMES = 2
"""Default of `min_frames`, unless frames are that far apart."""

MIN_MS = 150
"""Default of `min_ms`, unless the bundle has one."""

# Chosen by simulation of minutes around the threshold at 5, 15 and 25 frames a second; see docs/guide/alerts.md.
WAIT_FACTOR = 6
"""A flickering alert ends after this multiple of the longest gap between its frames."""

MAX_WAIT_FACTOR = 10
"""Maximum of that wait, as a multiple of `merge_ms`."""

MIN_SHARE = 0.05
"""An alert waits no longer when less than this share of its latest frames was over the threshold: that is less than in
scores that flicker, and more than false alarms have. Earlier frames count less and less: quiet ones alone bring the
share down from 1 to this in the longest wait."""

SHORT_FACTOR, NEAR_FACTOR = 2, 3
"""The gap after an alert counts as one of the next if that lasted less than so many times `merge_ms`, and the gap less
than so many: it may be one that flickers."""

UPDATE_SHARE = 0.25
"""Minimum interval between updates, relative to the duration of the alert: one of an hour has some 35, not 3,600."""

_UNKNOWN, _NORMAL, _ANOMALOUS = Decision("unknown", None), Decision("normal", None), Decision("anomalous", None)
"""Most frames have one of these, so that they are made once."""


@dataclass(slots=True)
class _Event:
    """Frames of which none was quiet for long: an alert, or a candidate for one.

    Attributes:
        alert: with the highest score so far.
        since_ns, last_ns: times of the first frame, and of the last that was not quiet.
        gap_ns: longest time between two frames that were not quiet, with a quiet one between them.
        frames: those over the threshold.
        balance: frames over the threshold, less quiet ones.
        share: of its latest frames, those over the threshold.
        interrupted: the last frame was quiet.
        told_ns: when it was published last; None while it is a candidate.
        untold: it has a peak that was not published yet.
    """

    alert: Alert
    since_ns: int
    last_ns: int
    gap_ns: int = 0
    frames: int = 0
    balance: int = 0
    share: float = 1.0
    interrupted: bool = False
    told_ns: int | None = None
    untold: bool = False

    @property
    def is_open(self) -> bool:
        """It is an alert."""
        return self.told_ns is not None

    def tell(self, phase: Literal["start", "update"], now_ns: int) -> Alert:
        """Return it in this phase."""
        self.told_ns, self.untold = now_ns, False
        self.alert = replace(self.alert, phase=phase)
        return self.alert

    def weigh(self, kept: float, *, over: bool) -> None:
        """Take a frame into the share; `kept` is what the earlier ones count for, 0 to 1."""
        self.share = kept * self.share + (1 - kept) * over

    def go_on(self, now_ns: int, *, over: bool) -> None:
        """Take a frame that is not quiet."""
        if self.interrupted:
            self.gap_ns = max(self.gap_ns, now_ns - self.last_ns)
        self.interrupted, self.last_ns = False, now_ns
        self.frames += over
        self.balance += over


class Decide:
    """Labels each frame, and decides where an alert begins, has a new peak or ends.

    Frames that were not scored change nothing.

    Attributes:
        bundle_min_ms: `min_ms` of the bundle; one in the settings comes before it. None: it has none.
    """

    def __init__(self, alerts: Alerts, threshold: float) -> None:
        """Start with no alert open.

        Args:
            alerts: settings of the camera.
            threshold: of the bundle; one in the settings comes before it.
        """
        self._alerts = alerts
        self._event: _Event | None = None
        self._before: _Event | None = None  # the last alert
        self._now_ns = 0
        self._begun = False
        self.bundle_min_ms: int | None = None
        self._steps_ns = (0, 0)  # between the last three frames
        self._ended_ns: int | None = None
        self.threshold = threshold

    def configure(self, alerts: Alerts, threshold: float) -> None:
        """Go on with other settings and this threshold of the bundle; an open alert stays open."""
        self._alerts = alerts
        self.threshold = threshold

    @property
    def threshold(self) -> float:
        """A score above it is anomalous. What is assigned is the bundle's."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        self._threshold = threshold if self._alerts.threshold is None else self._alerts.threshold

    @property
    def min_ms(self) -> int:
        """Frames must be anomalous for this time to begin an alert, milliseconds."""
        bundle_ms = MIN_MS if self.bundle_min_ms is None else self.bundle_min_ms
        return bundle_ms if self._alerts.min_ms is None else self._alerts.min_ms

    @property
    def wanted_above(self) -> float:
        """Of a frame with a score above this one all should be known: it is, or may become, the peak of an alert."""
        return self._threshold if self._event is None else max(self._threshold, self._event.alert.peak_score)

    @property
    def alert(self) -> Alert | None:
        """The open alert, or what may become one, with its peak so far; None if there is neither."""
        return None if self._event is None else self._event.alert

    @property
    def is_open(self) -> bool:
        """Whether an alert is open."""
        return self._event is not None and self._event.is_open

    @property
    def peak_frame_id(self) -> int | None:
        """Frame of the highest score of the alert, or of what may become one; None if there is neither."""
        return None if self._event is None else self._event.alert.peak_frame_id

    def __call__(self, frame: Frame | SharedFrame, result: Result | None) -> Decision:
        """Decide on a frame; one without a score is unknown, and leaves an open alert as it is."""
        value = None if result is None else result.value
        if result is None or value is None or math.isnan(value):
            return _UNKNOWN
        over = value > self._threshold
        if result.repeated:
            return _ANOMALOUS if over else _NORMAL
        self._steps_ns = (self._steps_ns[1], frame.clock_ns - self._now_ns if self._begun else 0)
        self._begun, self._now_ns = True, frame.clock_ns
        quiet = not over and value <= self._threshold * (1 - self._alerts.hysteresis)
        alert = self._calm() if quiet else self._excite(frame, result, value, over=over)
        if alert is None:
            return _ANOMALOUS if over else _NORMAL
        return Decision("anomalous" if over else "normal", alert)

    def close(self, reason: str) -> Alert | None:
        """End the open alert, if there is one, and drop what might have become one."""
        event, self._event = self._event, None
        if event is None or not event.is_open:
            return None
        self._ended_ns, self._before = self._now_ns, event
        return replace(event.alert, phase="end", reason=reason)

    def _calm(self) -> Alert | None:
        """Take a quiet frame: it ends an alert after a while, and a candidate when most of its frames are quiet."""
        event = self._event
        if event is None:
            return None
        event.interrupted = True
        event.balance -= 1
        quiet_ns = self._now_ns - event.last_ns
        if event.is_open:
            event.weigh(self._kept(), over=False)
            return None if quiet_ns < self._wait_ns(event) else self.close(NORMAL_AGAIN)
        if event.balance < 0 or quiet_ns >= self._alerts.merge_ms * _MS:
            self._event = None
        return None

    def _wait_ns(self, event: _Event) -> int:
        """Return how long frames must be quiet until this alert ends."""
        merge_ns = self._alerts.merge_ms * _MS
        if event.share < MIN_SHARE:
            return merge_ns
        return max(merge_ns, min(WAIT_FACTOR * event.gap_ns, MAX_WAIT_FACTOR * merge_ns))

    def _kept(self) -> float:
        """Return what frames before this one count for in the share of an event."""
        longest_ns = MAX_WAIT_FACTOR * self._alerts.merge_ms * _MS
        return MIN_SHARE ** (self._steps_ns[1] / longest_ns) if longest_ns else 0.0

    def _gap_before_ns(self) -> int:
        """Return the gap between the last alert and one that begins now; 0 if that was long or is long ago."""
        before, merge_ns = self._before, self._alerts.merge_ms * _MS
        if before is None or before.last_ns - before.since_ns >= SHORT_FACTOR * merge_ns:
            return 0
        gap_ns = self._now_ns - before.last_ns
        return max(gap_ns, before.gap_ns) if gap_ns < NEAR_FACTOR * merge_ns else 0

    def _excite(self, frame: Frame | SharedFrame, result: Result, value: float, *, over: bool) -> Alert | None:
        """Take a frame that is not quiet."""
        if self._event is None and not over:
            return None
        event = self._event = self._event or _first(frame, result, value, self._gap_before_ns())
        if over and event.is_open:
            event.weigh(self._kept(), over=True)
        event.go_on(self._now_ns, over=over)
        if value > event.alert.peak_score:
            event.untold = True
            event.alert = replace(
                event.alert,
                peak_score=value,
                peak_frame_id=frame.frame_id,
                peak_frame_xy=result.peak_xy,
                boxes=result.boxes,
            )
        if event.told_ns is None:
            return event.tell("start", self._now_ns) if over and self._may_open(event) else None
        rest_ns = max(self._alerts.update_ms * _MS, UPDATE_SHARE * (event.told_ns - event.since_ns))
        due = event.untold and self._now_ns - event.told_ns >= rest_ns
        return event.tell("update", self._now_ns) if due else None

    def _may_open(self, event: _Event) -> bool:
        """Return whether a candidate is long enough, and the last alert ended long enough ago."""
        alerts, now_ns = self._alerts, self._now_ns
        rested = self._ended_ns is None or now_ns - self._ended_ns >= alerts.cooldown_ms * _MS
        frames, lasted_ns = alerts.min_frames, now_ns - event.since_ns
        if frames is None:  # one of few frames stands for all the time between two
            step_ns = min(self._steps_ns)
            frames, lasted_ns = (1, lasted_ns + step_ns) if step_ns > SLOW_MS * _MS else (MIN_FRAMES, lasted_ns)
        return rested and event.frames >= frames and lasted_ns >= self.min_ms * _MS


def _first(frame: Frame | SharedFrame, result: Result, value: float, gap_ns: int) -> _Event:
    """Begin a candidate."""
    alert = Alert(
        alert_id=str(uuid.uuid4()),
        phase="start",
        t_start_ns=frame.t_capture_ns,
        peak_score=value,
        peak_frame_id=frame.frame_id,
        peak_frame_xy=result.peak_xy,
        boxes=result.boxes,
    )
    return _Event(alert, since_ns=frame.clock_ns, last_ns=frame.clock_ns, gap_ns=gap_ns)
