"""Read a source in this process, for benchmarks: the runtime itself reads in a capture process, see `camera/feed.py`.

A live source gives the newest frame only; those that nobody read in time are counted as dropped.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Protocol

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import PatchedgeError, SourceLost
from runtime.camera import address
from runtime.camera.protocol import Pace
from runtime.camera.sources.grabber import Grabber
from runtime.camera.sources.live import open_camera
from runtime.camera.sources.playout import InTime
from runtime.camera.sources.recording import open_recording
from runtime.frame import Frame


class FrameSource(Protocol):
    """Anything that gives frames.

    Attributes:
        dropped: frames that were dropped so far.
    """

    dropped: int

    def read(self) -> Frame | None:
        """Wait for the next frame; None after the last one or after `close`."""
        ...

    def close(self) -> None:
        """Make `read` return None at once. Thread-safe; calling it twice is a no-op."""
        ...


class Live:
    """The newest frame of a camera, read by a thread of its own."""

    def __init__(self, name: str, connect: Callable[[], Grabber]) -> None:
        """Start to read what `connect` opens; `name` stands for the camera in errors."""
        self.dropped = 0
        self._name = name
        self._connect = connect
        self._newest: Frame | None = None
        self._error: PatchedgeError | None = None
        self._closed = False
        self._changed = threading.Condition()
        # A driver may never return from grab(), and then this thread cannot be joined: so it is a daemon.
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)
        self._thread.start()

    def read(self) -> Frame | None:
        """Wait for a frame that was not read yet; None after `close`.

        Raises:
            SourceUnavailable: the camera does not open.
            SourceLost: it delivers no more frames.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._newest is not None or self._error is not None)
            if self._closed:
                return None
            frame, self._newest = self._newest, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def close(self) -> None:
        """Make `read` return None, and have the thread end after the grab it is in."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` for the thread to end; False if the driver still holds it."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            error: PatchedgeError = self._read_to_the_end()
        except PatchedgeError as raised:
            error = raised
        except Exception as raised:  # noqa: BLE001 - whatever a driver throws must reach the reader
            error = SourceLost(f"capture failed ({raised})", where=self._name)
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _read_to_the_end(self) -> SourceLost:
        camera = self._connect()
        in_time = InTime(camera)
        try:
            for frame_id in itertools.count(1):
                if self._closed or not in_time.grab():
                    break
                t_capture_ns, t_mono_ns = time.time_ns(), time.monotonic_ns()
                self._keep(Frame(camera.retrieve(), frame_id, t_capture_ns, t_mono_ns))
        finally:
            camera.release()
        return SourceLost("delivers no more pictures", where=self._name, remedy="check cable and power")

    def _keep(self, frame: Frame) -> None:
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = frame
            self._changed.notify_all()


def open_source(
    source: int | str, *, pace: Pace = "fps", fps: float | None = None, depth: int = FULL_DEPTH
) -> FrameSource:
    """Open a camera index, /dev/videoN, v4l2://, stream URL, gst:PIPELINE, video file, picture or folder of pictures.

    Args:
        source: what to open.
        pace: for recordings: at their own rate, or as fast as possible.
        fps: rate of a recording, frames per second; by default its own.
        depth: bits that are used in pictures of 16 bits, as in `image_files.read_picture`.

    Raises:
        SourceUnavailable: there is no such thing, or it cannot be opened. A camera may raise it only in `read`.
    """
    if address.kind(source) == "recording":
        return open_recording(str(source), pace, fps, depth)
    return Live(address.redact(str(source)), lambda: open_camera(source))
