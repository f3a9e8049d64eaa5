"""What is known of one camera right now."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from edge_config.wire.messages import HealthMessage, Label, PreviewMessage, ScoreMessage, State, StateMessage
from runtime.page.shapes import (
    CameraStateShown,
    ShownAlert,
    ShownCamera,
    ShownDrift,
    ShownLearning,
    ShownTeaching,
)

STALE_BEATS = 2
"""A camera of which nothing was heard for so many heartbeats and a second, on our own clock, is not shown as live."""

_MS = 1_000_000  # nanoseconds


def now_ms() -> int:
    """Return the wall clock, milliseconds since 1970 UTC."""
    return time.time_ns() // _MS


class _CameraStatus(msgspec.Struct):
    """What is read of a camera in the answer to `status`; a device may say more, or less."""

    state: State | None = None
    reason: str = ""
    threshold: float = 0.0
    bundle: str = ""
    teaching: ShownTeaching | None = None


class _LearningStatus(msgspec.Struct):
    """What is read of learning there."""

    state: str = "idle"
    step: str = ""
    done: int = 0
    total: int = 0


class LiveCamera:
    """The latest of one camera. Use it from one thread.

    Attributes:
        key, device, name: as in `ShownCamera`.
        changed: something changed since this was last set to False.
        alert: the open alert; None if there is none.
        learning, teaching: as in `ShownCamera`.
        frame_hw: height and width of its frames; None if unknown.
    """

    def __init__(self, device: str, name: str) -> None:
        """Know nothing yet."""
        self.device, self.name = device, name
        self.key = f"{device}:{name}"
        self.changed = True
        self.alert: ShownAlert | None = None
        self.learning: ShownLearning | None = None
        self.teaching: ShownTeaching | None = None
        self.frame_hw: tuple[int, int] | None = None
        self._score: ScoreMessage | None = None
        self._state: State | None = None
        self._reason = ""
        self._since_ms = now_ms()
        self._drift: ShownDrift | None = None
        self._burn_in_left_s: float | None = None
        self._bundle = ""
        self._threshold = 0.0
        self._degraded = 0
        self._unreachable: tuple[str, int] | None = None  # why, and since when
        self._heard_s = time.monotonic()
        self._heartbeat_s = 5.0
        self._stale_ms: int | None = None

    @property
    def threshold(self) -> float:
        """The threshold in force; 0 if unknown."""
        return self._threshold

    @property
    def is_live(self) -> bool:
        """Whether pictures of it can be new."""
        gone = {"disconnected", "failed", "paused", None}
        return self._unreachable is None and self._stale_ms is None and self._state not in gone

    def take_score(self, said: ScoreMessage) -> None:
        """Take in a scored frame."""
        self._score, self._threshold = said, said.threshold
        self._take_common(said.state, said.bundle, said.degraded, said.t_publish_ns)

    def take_state(self, said: StateMessage) -> None:
        """Take in a change of the state."""
        self._take_common(said.state, said.bundle, said.degraded, said.t_publish_ns, reason=said.reason)

    def take_status(self, said: Mapping[str, Any], learning: Mapping[str, Any]) -> None:
        """Take in what the answer to `status` says of the camera, and of its learning, as plain values.

        Raises:
            msgspec.ValidationError: it is not what a device says.
        """
        status = msgspec.convert(said, _CameraStatus)
        now = msgspec.convert(learning, _LearningStatus)
        shown = None
        if now.state != "idle":
            shown = ShownLearning(state=now.state, step=now.step, done=now.done, total=now.total)
        if (status.teaching, shown) != (self.teaching, self.learning):
            self.teaching, self.learning, self.changed = status.teaching, shown, True
        if self._state is None and status.state is not None:  # before its first message
            self._state, self._reason, self._threshold = status.state, status.reason, status.threshold
            self._bundle, self.changed = status.bundle, True

    def take_picture(self, said: PreviewMessage) -> None:
        """Take in what is said of a picture."""
        if said.frame_hw != self.frame_hw:
            self.frame_hw, self.changed = said.frame_hw, True

    def take_health(self, said: HealthMessage) -> None:
        """Take in a heartbeat."""
        self._heartbeat_s = said.heartbeat_s
        drift = None
        if said.drift is not msgspec.UNSET:
            since_ns = said.drift_since_ns
            drift = ShownDrift(text=said.drift, since_ms=None if since_ns is msgspec.UNSET else since_ns // _MS)
        left_s = None if said.burn_in_left_s is msgspec.UNSET else said.burn_in_left_s
        if (drift, left_s) != (self._drift, self._burn_in_left_s):
            self._drift, self._burn_in_left_s, self.changed = drift, left_s, True
        self._take_common(said.state, said.bundle, said.degraded, said.t_publish_ns)

    def lose(self, why: str) -> None:
        """Note that its device is away."""
        if self._unreachable is None:
            self._unreachable = why, now_ms()
            self.changed = True

    def find(self) -> None:
        """Note that its device is back."""
        if self._unreachable is not None:
            self._unreachable, self.changed = None, True
            self._heard_s = time.monotonic()

    def look(self) -> None:
        """Notice on our own clock that nothing comes any more."""
        quiet_s = time.monotonic() - self._heard_s
        stale = self._unreachable is None and self._state == "live" and quiet_s > STALE_BEATS * self._heartbeat_s + 1
        if stale != (self._stale_ms is not None):
            self._stale_ms = now_ms() - round(1000 * quiet_s) if stale else None
            self.changed = True

    def shown(self) -> ShownCamera:
        """Return all of it."""
        state, reason, since_ms = self._shown_state()
        score = self._score
        return ShownCamera(
            key=self.key,
            device=self.device,
            name=self.name,
            state=state,
            reason=reason,
            since_ms=since_ms,
            score=None if score is None else score.score,
            threshold=self._threshold,
            label=self._label(state),
            excess=None if score is None else score.excess,
            scored_ms=None if score is None else score.t_capture_ns // _MS,
            frame_hw=self.frame_hw,
            bundle=self._bundle,
            alert=self.alert,
            drift=self._drift,
            burn_in_left_s=self._burn_in_left_s,
            degraded=self._degraded,
            learning=self.learning,
            teaching=self.teaching,
        )

    def _label(self, state: CameraStateShown) -> Label:
        return self._score.label if self._score is not None and state == "live" else "unknown"

    def _shown_state(self) -> tuple[CameraStateShown, str, int]:
        if self._unreachable is not None:
            why, since_ms = self._unreachable
            return "unreachable", why, since_ms
        if self._stale_ms is not None:
            return "stalled", "the page hears nothing of this camera", self._stale_ms
        return self._state or "unknown", self._reason, self._since_ms

    def _take_common(self, state: State, bundle: str, degraded: int, at_ns: int, reason: str | None = None) -> None:
        if state != self._state or (reason is not None and reason != self._reason):
            if state != self._state:
                self._since_ms = at_ns // _MS
            self._state, self._reason = state, reason or ""
        self._bundle, self._degraded = bundle, degraded
        self._heard_s = time.monotonic()
        self.changed = True
