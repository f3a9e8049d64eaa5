"""Plan which clip shows an alert: alerts of a camera whose clips would overlap share one.

The main loop names the file in an alert's messages before the capture process has written anything, so both follow the
same rule. A clip is held open for a while after its end. An alert that begins meanwhile extends it, if its seconds
before touch those after the last one, and all of these fit into `longest_s`. An alert that goes on beyond that
continues in a file of its own, which its later messages name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from edge_config.settings.sections import Clips
from runtime.clips.clip import before_s, hold_s
from runtime.clips.folder import clip_name
from runtime.frame import Alert

_SECOND_NS = 1_000_000_000


class ClipWriter(Protocol):
    """What has clips written, such as `runtime.camera.feed.Feed`; times are of the monotonic clock, nanoseconds."""

    def begin_clip(self, name: str, t_mono_ns: int, otherwise: str = "") -> bool:
        """Begin or extend a clip; begin the clip `otherwise` if this one is over. False if nothing is filmed."""

    def end_clip(self, name: str, t_mono_ns: int, otherwise: str = "") -> None:
        """End the clip, or the other one if that was begun, `after_s` after this moment."""

    def is_filming(self, name: str) -> bool:
        """Return whether the clip is still being written, as far as is known."""


class ClipPlan:
    """Plans the clips of one camera. Not thread-safe."""

    def __init__(
        self, camera: str, settings: Clips, writer: ClipWriter, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Plan nothing yet.

        Args:
            camera: name of the camera.
            settings: of the clips.
            writer: writes them.
            now_ns: monotonic clock.
        """
        self._now_ns = now_ns
        self._camera = camera
        self._writer = writer
        self._before_ns = round(before_s(settings) * _SECOND_NS)
        self._after_ns = round(settings.after_s * _SECOND_NS)
        self._longest_ns = round(settings.longest_s * _SECOND_NS)
        self._hold_ns = round(hold_s(settings) * _SECOND_NS)
        self._name = self._own = ""  # of the file; as it is if the alert has one for itself
        self._full_ns = 0  # no later moment is in the file
        self._ended_ns: int | None = None  # when the alert in it ended

    def begin(self, alert: Alert, t_begin_ns: int) -> str:
        """Film an alert that began at this monotonic time; return the name of the file."""
        self._own = clip_name(self._camera, alert.t_start_ns, alert.alert_id)
        if self._fits(t_begin_ns):
            self._writer.begin_clip(self._name, t_begin_ns, self._own)
        else:
            self._writer.begin_clip(self._own, t_begin_ns)
            self._is_in(self._own, t_begin_ns)
        self._ended_ns = None
        return self._name

    def go_on(self, t_ns: int) -> str:
        """Note that the alert goes on at this moment; return the name of the file that shows it now."""
        if self._name != self._own and (t_ns >= self._full_ns or not self._writer.is_filming(self._name)):
            t_begin_ns = min(t_ns, self._full_ns) + self._before_ns  # the seconds before are in the other file
            if self._writer.begin_clip(self._own, t_begin_ns):
                self._is_in(self._own, t_begin_ns)
        return self._name

    def end(self) -> None:
        """Note that the alert is over."""
        self._ended_ns = self._now_ns()
        self._writer.end_clip(self._name, self._ended_ns, self._own)

    def _fits(self, t_begin_ns: int) -> bool:
        """Return whether the last clip is still open, touches an alert that begins then, and has room for it."""
        if self._ended_ns is None or not self._writer.is_filming(self._name):
            return False
        last_ns = self._ended_ns + self._after_ns
        touches = t_begin_ns - self._before_ns <= last_ns and self._now_ns() <= last_ns + self._hold_ns
        return touches and t_begin_ns + self._after_ns <= self._full_ns

    def _is_in(self, name: str, t_begin_ns: int) -> None:
        self._name, self._full_ns = name, t_begin_ns - self._before_ns + self._longest_ns
