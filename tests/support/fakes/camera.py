"""A capture process whose camera does what a test says, byte for byte.

The device is a FIFO: each byte is what the next grab does. What one process has not read is there for the next one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edge_config.errors import SourceUnavailable
from runtime.camera import capture_process as grab
from runtime.frame import Image

COMMAND = (sys.executable, "-m", "tests.support.fakes.camera")

PICTURE, WIDE, BROKEN, GREY, LOST, HANG, HANG_HARD, THROW, KILL, SEGFAULT = (bytes([byte]) for byte in b".wbglhHtks")
"""A picture; a wider one; one that cannot be decoded; no colours; no more pictures; never return; never return and let
no other thread run; raise; die."""
AGAIN, ALMOST = b"=", b"~"
"""The very picture of the last `PICTURE`; the same but for one value of its last pixel."""

HANGS_IN_OPEN = "hangs-in-open"
"""In the name of a device: what its `open` does."""

SIZES = {PICTURE: (48, 64), WIDE: (90, 122)}


def pixels(number: int, what: bytes = PICTURE) -> Image:
    """Make the picture that the n-th byte since the camera was opened gives."""
    random = np.random.default_rng(number)
    return random.integers(0, 256, (*SIZES[what], 3), dtype=np.uint8)


class Remote:
    """The test's hand on the device."""

    def __init__(self, path: Path) -> None:
        """Plug it in."""
        self.source = f"v4l2://{path}"
        self._path = path
        os.mkfifo(path)
        self._end = os.open(path, os.O_RDWR)  # both ways, so that it never is at its end

    def do(self, *doings: bytes) -> None:
        """Have the next grabs do this."""
        os.write(self._end, b"".join(doings))

    def close(self) -> None:
        """Unplug it."""
        self._path.unlink(missing_ok=True)
        os.close(self._end)


@contextmanager
def plugged(path: Path) -> Iterator[Remote]:
    """Yield a device at `path`, and take it out when the block ends."""
    remote = Remote(path)
    try:
        yield remote
    finally:
        remote.close()


class _Camera:
    def __init__(self, path: str) -> None:
        if not os.path.exists(path):
            raise SourceUnavailable("no such device", where=path)
        if HANGS_IN_OPEN in path:
            threading.Event().wait()
        self._device = os.open(path, os.O_RDONLY)
        self._number = self._shown = 0
        self._doing = b""

    def grab(self) -> bool:
        self._number += 1
        self._doing = os.read(self._device, 1)
        if self._doing == HANG:
            threading.Event().wait()
        if self._doing == HANG_HARD:
            ctypes.PyDLL(None).pause()
        if self._doing == THROW:
            raise OverflowError("driver of rtsp://admin:secret@host/")
        if self._doing == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._doing == SEGFAULT:
            ctypes.string_at(0)
        return self._doing not in {LOST, b""}

    def retrieve(self) -> Image | None:
        if self._doing == BROKEN:
            return None
        if self._doing == GREY:
            return np.zeros((48, 64), np.uint8)
        if self._doing in {AGAIN, ALMOST}:
            image = pixels(self._shown)
            image[-1, -1, -1] ^= self._doing == ALMOST
            return image
        self._shown = self._number
        return pixels(self._number, self._doing)

    def release(self) -> None:
        os.close(self._device)


def main() -> None:
    """Be the capture process."""
    grab.main(connect=lambda source, _transport: _Camera(str(source).removeprefix("v4l2://")))


if __name__ == "__main__":
    main()
