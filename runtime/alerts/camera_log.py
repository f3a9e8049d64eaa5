"""Log the states and alerts of cameras; a storm of alerts is logged as a count."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import structlog

from runtime.alerts.camera_state import StateChange
from runtime.frame import Alert

WINDOW_S = 60.0
"""Lines are counted in windows of this length,"""

MAX_LINES = 30
"""and of one camera so many are written in each: what is more is counted, and logged once at the end of the window."""

_QUIET = frozenset({"live", "paused", "starting"})

_log = structlog.get_logger()


class CameraLog:
    """Writes the log of one camera. Use it from one thread."""

    def __init__(self, camera: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; `clock` gives monotonic seconds."""
        self._camera = camera
        self._clock = clock
        self._since_s = clock()
        self._lines = 0
        self._left_out: Counter[str] = Counter()

    def state(self, change: StateChange) -> None:
        """Log that the camera is in another state, or in the same for another reason."""
        if self._may("states"):
            tell = _log.info if change.wanted or change.state in _QUIET else _log.warning
            remedy = {"remedy": change.remedy} if change.remedy else {}
            tell("state", camera=self._camera, state=change.state, reason=change.reason, **remedy)

    def alert(self, alert: Alert, t_capture_ns: int, clip: str) -> None:
        """Log that an alert begins or ends; its updates are not logged.

        Args:
            alert: its phase.
            t_capture_ns: of the last frame, wall clock.
            clip: name of its film; empty if there is none.
        """
        if alert.phase == "update" or not self._may(f"alert_{alert.phase}s"):
            return
        said = {"camera": self._camera, "alert": alert.alert_id, "peak_score": round(alert.peak_score, 3)}
        said |= {"clip": clip} if clip else {}
        if alert.phase == "start":
            _log.warning("alert begins", **said, frame_id=alert.peak_frame_id)
        else:
            seconds = round(max(0, t_capture_ns - alert.t_start_ns) / 1e9, 3)
            _log.info("alert ends", **said, seconds=seconds, reason=alert.reason)

    def unlearnt(self, patches: int) -> None:
        """Log that the camera judges patches that its bundle was told to leave out, or does no more."""
        if patches and self._may("regions"):
            said = "nothing was learnt there, so that normal frames may raise alerts"
            remedy = "leave out `regions` and `ignore` of the camera to use those of the bundle, or fit again"
            _log.warning(
                "judged outside of the bundle's regions",
                camera=self._camera,
                patches=patches,
                reason=said,
                remedy=remedy,
            )

    def no_preview(self, reason: str) -> None:
        """Log that a preview could not be made."""
        if self._may("previews"):
            _log.warning("no preview", camera=self._camera, reason=reason)

    def turn(self) -> None:
        """Log what was left out, once a window is over; to be called about once a second."""
        if self._clock() - self._since_s >= WINDOW_S:
            if self._left_out:
                seconds = round(self._clock() - self._since_s)
                left_out = dict(sorted(self._left_out.items()))
                _log.warning("log lines left out", camera=self._camera, seconds=seconds, **left_out)
            self._since_s, self._lines = self._clock(), 0
            self._left_out.clear()

    def _may(self, what: str) -> bool:
        self.turn()
        self._lines += 1
        if self._lines <= MAX_LINES:
            return True
        self._left_out[what] += 1
        return False
