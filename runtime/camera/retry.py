"""Wait before a lost camera is reopened: back-off with jitter, but no wait for a device that was plugged in.

Bounds: the settings `reconnect_min_s`, `reconnect_max_s`; doubling and jitter: `runtime/process/backoff.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from edge_config.settings.sections import Camera
from runtime.camera import address
from runtime.process.backoff import Backoff
from runtime.process.out_of_memory import MEMORY, Patience

POLL_S = 0.5
"""Poll interval for an absent device."""


class Retry:
    """The waits between the connections of one camera."""

    def __init__(self, camera: Camera, random: Random | None = None) -> None:
        """Take the settings of a camera; `random` is for the jitter."""
        self._source = camera.source
        self._is_device = address.kind(camera.source) == "device"
        self._backoff = Backoff(camera.reconnect_min_s, camera.reconnect_max_s, random)
        self._for_memory = Patience()
        self._devices: list[str] = []

    def connecting(self) -> None:
        """Note the devices that exist before a connection is tried."""
        self._devices = self._existing()

    def wait(self, cause: str, delivered_s: float, stopped: Callable[[float], bool]) -> None:
        """Wait before the next connection, unless other devices exist than before the last one.

        Args:
            cause: of the end of the last one, as in `Feed.reconnects`.
            delivered_s: how long it delivered frames.
            stopped: waits for some seconds; True ends the wait.
        """
        if cause == "refused":  # each try may count against the account, and some cameras lock it
            self._backoff.be_patient()
        until = time.monotonic() + (self._for_memory if cause == MEMORY else self._backoff).after(delivered_s)
        while (left := until - time.monotonic()) > 0 and not stopped(min(left, POLL_S)):
            if self._existing() != self._devices:
                self.reset()  # the node may exist a little before it can be opened
                return

    def reset(self) -> None:
        """Begin again with short waits."""
        self._backoff.reset()

    def _existing(self) -> list[str]:
        return address.devices(self._source) if self._is_device else []
