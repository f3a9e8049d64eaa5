"""Liveness and readiness of the runtime, for orchestrators.

Alive: the main loop gets on. A camera that is away is no reason to start the runtime anew; it says so in its states.
Ready: the inference worker has warmed up, and at least one camera delivers pictures that can be judged, or is paused.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.monitoring.http_server import Page

BOUND_S = 5.0
"""A main loop that has not got on for so long hangs; it turns at least once a second."""


class Health:
    """What the main loop says of itself, and the two pages that tell it; any thread may ask for them."""

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
        """Say that the main loop gets on."""
        self._last_s = self._clock()

    def engine(self, *, ready: bool) -> None:
        """Say whether the inference worker is ready."""
        self._engine_ready = ready

    def cameras(self, live: int, paused: int = 0) -> None:
        """Say how many cameras are live, and how many are paused, as somebody wants them."""
        self._live_cameras, self._paused_cameras = live, paused

    def alive_page(self) -> Page:
        """Return /healthz: 200 while the main loop gets on, 503 when it hangs."""
        silent_s = self._clock() - self._last_s
        if silent_s <= self._bound_s:
            return Page.text("alive")
        return Page.text(f"the main loop has not got on for {silent_s:.1f} s", status=503)

    def ready_page(self) -> Page:
        """Return /readyz: 200 once frames can be scored, 503 while not."""
        if not self._engine_ready:
            return Page.text("the inference worker is not ready", status=503)
        if not (self._live_cameras or self._paused_cameras):
            return Page.text("no camera is live", status=503)
        also = f", {self._paused_cameras} paused" if self._paused_cameras else ""
        return Page.text(f"{self._live_cameras} live{also}")
