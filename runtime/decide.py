"""From scores to labels and alerts, for one camera.

A score above the threshold is `over` and one that the hysteresis lets pass is `quiet`; those between the two neither
begin nor end anything. Frames over the threshold make a candidate, a candidate of the least length an alert, and an
alert ends when frames were quiet for long enough. All times are of the frames' own clock (`Frame.clock_ns`): the alerts
of a recording do not depend on how fast it is scored. A repeated frame is no further evidence of anything.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, replace
from typing import Literal

from edge_config.sections import Alerts
from runtime.frame import Alert, Decision, Frame, Result, SharedFrame

NORMAL_AGAIN = "normal again"
"""Why an alert ends that its camera's scores end."""

_MS = 1_000_000  # nanoseconds


@dataclass(slots=True)
class _Event:
    """Frames of which none was quiet for long: an alert, or a candidate for one.

    Attributes:
        alert: with the highest score so far.
        since_ns, last_ns: times of the first frame, and of the last that was not quiet.
        frames: those over the threshold.
        told_ns: when subscribers heard of it last; None while it is a candidate.
        untold: it has a peak that they have not heard of.
    """

    alert: Alert
    since_ns: int
    last_ns: int
    frames: int = 0
    told_ns: int | None = None
    untold: bool = False

    @property
    def is_open(self) -> bool:
        """It is an alert."""
        return self.told_ns is not None

    def tell(self, phase: Literal["start", "update"], now_ns: int) -> Alert:
        """Give it in this phase."""
        self.told_ns, self.untold = now_ns, False
        self.alert = replace(self.alert, phase=phase)
        return self.alert


class Decide:
    """Labels each frame, and says where an alert begins, has a new peak or ends.

    Frames that were not scored change nothing.
    """

    def __init__(self, alerts: Alerts, threshold: float) -> None:
        """Start with no alert open.

        Args:
            alerts: settings of the camera.
            threshold: of the bundle; one in the settings comes before it.
        """
        self._alerts = alerts
        self._event: _Event | None = None
        self._now_ns = 0
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
    def wanted_above(self) -> float:
        """Of a frame with a score above this one all should be known: it begins an alert, or is its new peak."""
        if self._event is None or not self._event.is_open:
            return self._threshold
        return max(self._threshold, self._event.alert.peak_score)

    @property
    def peak_frame_id(self) -> int | None:
        """Frame of the highest score of the alert, or of what may become one; None if there is neither."""
        return None if self._event is None else self._event.alert.peak_frame_id

    def __call__(self, frame: Frame | SharedFrame, result: Result | None) -> Decision:
        """Decide on a frame; one without a score is unknown, and leaves an open alert as it is."""
        value = None if result is None else result.value
        if result is None or value is None or math.isnan(value):
            return Decision("unknown", None)
        over = value > self._threshold
        if result.repeated:
            return Decision("anomalous" if over else "normal", None)
        self._now_ns = frame.clock_ns
        quiet = not over and value <= self._threshold * (1 - self._alerts.hysteresis)
        alert = self._calm() if quiet else self._excite(frame, result, value, over=over)
        return Decision("anomalous" if over else "normal", alert)

    def close(self, reason: str) -> Alert | None:
        """End the open alert, if there is one, and drop what might have become one."""
        event, self._event = self._event, None
        if event is None or not event.is_open:
            return None
        self._ended_ns = self._now_ns
        return replace(event.alert, phase="end", reason=reason)

    def _calm(self) -> Alert | None:
        """Take a quiet frame: it ends a candidate at once, and an alert after a while."""
        event = self._event
        if event is not None and event.is_open and self._now_ns - event.last_ns < self._alerts.merge_ms * _MS:
            return None
        return self.close(NORMAL_AGAIN)

    def _excite(self, frame: Frame | SharedFrame, result: Result, value: float, *, over: bool) -> Alert | None:
        """Take a frame that is not quiet."""
        if self._event is None and not over:
            return None
        event = self._event = self._event or _first(frame, result, value)
        event.last_ns = self._now_ns
        event.frames += over
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
        due = event.untold and self._now_ns - event.told_ns >= self._alerts.update_ms * _MS
        return event.tell("update", self._now_ns) if due else None

    def _may_open(self, event: _Event) -> bool:
        """Tell whether a candidate is long enough, and the last alert ended long enough ago."""
        alerts, now_ns = self._alerts, self._now_ns
        rested = self._ended_ns is None or now_ns - self._ended_ns >= alerts.cooldown_ms * _MS
        return rested and event.frames >= alerts.min_frames and now_ns - event.since_ns >= alerts.min_ms * _MS


def _first(frame: Frame | SharedFrame, result: Result, value: float) -> _Event:
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
    return _Event(alert, since_ns=frame.clock_ns, last_ns=frame.clock_ns)
