"""How often the previews of a camera are made: only while somebody wants them, and for a share of the work at most."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY_S = 0.2
"""Minimum time between two previews of a camera: nobody sees more than a few a second."""

STRAINED_EVERY_S = 1.0
"""The same where the device cannot keep up with its cameras."""

MAX_SHARE = 0.04
"""Maximum share of the time of the inference worker that the previews of all cameras take: where each takes longer,
there are fewer."""

WANTED_S = 2.0
"""A camera counts among those that share the time for so long after a frame of it that a preview was wanted of."""


class PreviewPace:
    """Decides for all cameras of a device which frames a preview is made of. Use it from one thread."""

    def __init__(
        self, is_subscribed: Callable[[str], bool] = lambda _camera: False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with no preview.

        Args:
            is_subscribed: whether somebody wants previews of a camera.
            clock: monotonic, seconds.
        """
        self._is_subscribed = is_subscribed
        self._clock = clock
        self._wanted_s: dict[str, float] = {}  # camera -> when a preview of it was wanted last
        self._due_s: dict[str, float] = {}  # camera -> when the next one may be made
        self._took_s: dict[str, float] = {}  # camera -> what one takes

    def take(self, camera: str, *, strained: bool) -> bool:
        """Return whether a preview should be made of the next frame of a camera; it will be then.

        Args:
            camera: name of the camera.
            strained: the device cannot keep up.
        """
        if not self._is_subscribed(camera):
            return False
        now_s = self._wanted_s[camera] = self._clock()
        if now_s < self._due_s.get(camera, now_s):
            return False
        sharing = sum(1 for since_s in self._wanted_s.values() if now_s - since_s <= WANTED_S)
        share_s = self._took_s.get(camera, 0.0) * sharing / MAX_SHARE
        every_s = max(STRAINED_EVERY_S if strained else EVERY_S, share_s)
        # Not from now on: a camera of 12 frames a second would never have 5 previews of them.
        self._due_s[camera] = max(self._due_s.get(camera, now_s), now_s - every_s) + every_s
        return True

    def made(self, camera: str, took_s: float) -> None:
        """Take note of the time that a preview took in the worker, seconds."""
        self._took_s[camera] = took_s
