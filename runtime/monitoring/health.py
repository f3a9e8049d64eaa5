"""Liveness and readiness of the runtime, for orchestrators.

Alive: the main loop makes progress. A camera that is absent is no reason to restart the runtime; its state says so.
Ready: the inference worker has warmed up, and at least one camera delivers pictures that can be judged, or is paused.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.monitoring.http_server import Page

BOUND_S = 5.0
"""Time-out of the main loop, which turns at least once a second."""


class Health:
    """Health of the main loop, and the two pages that show it, which any thread may ask for."""

    def __init__(self, bound_s: float = BOUND_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin alive and not ready.

        Args:
            bound_s: longest time without progress.
            clock: monotonic seconds.
        """
        self._bound_s = bound_s
        self._clock = clock
        self._last_s = clock()
        self._engine_ready = False
        self._live_cameras = self._paused_cameras = 0

    def progress(self) -> None:
        """Record progress of the main loop."""
        self._last_s = self._clock()

    def engine(self, *, ready: bool) -> None:
        """Record whether the inference worker is ready."""
        self._engine_ready = ready

    def cameras(self, live: int, paused: int = 0) -> None:
        """Record how many cameras are live, and how many are paused on request."""
        self._live_cameras, self._paused_cameras = live, paused

    def alive_page(self) -> Page:
        """Return /healthz: 200 while the main loop makes progress, 503 when it hangs."""
        silent_s = self._clock() - self._last_s
        if silent_s <= self._bound_s:
            return Page.text("alive")
        return Page.text(f"the main loop has made no progress for {silent_s:.1f} s", status=503)

    def ready_page(self) -> Page:
        """Return /readyz: 200 once frames can be scored, 503 while not."""
        if not self._engine_ready:
            return Page.text("the inference worker is not ready", status=503)
        if not (self._live_cameras or self._paused_cameras):
            return Page.text("no camera is live", status=503)
        also = f", {self._paused_cameras} paused" if self._paused_cameras else ""
        return Page.text(f"{self._live_cameras} live{also}")
