"""Read a source in this process, for benchmarks: the runtime reads in a capture process, see `camera/feed.py`."""

from __future__ import annotations

import itertools
import time

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import SourceLost
from runtime.camera import address
from runtime.camera.protocol import Pace
from runtime.camera.sources.live import open_camera
from runtime.camera.sources.playout import InTime
from runtime.camera.sources.recording import Recording, open_recording
from runtime.frame import Frame


class LiveReader:
    """Reads a live source frame by frame, in the calling thread."""

    def __init__(self, source: int | str) -> None:
        """Open a source; errors as in `open_camera`."""
        self._where = address.redact(str(source))
        self._camera = open_camera(source)
        self._in_time = InTime(self._camera)
        self._ids = itertools.count(1)

    def read(self) -> Frame:
        """Wait for the next frame.

        Raises:
            SourceLost: the source delivers no more frames.
        """
        if not self._in_time.grab():
            raise SourceLost("delivers no more pictures", where=self._where, remedy="check cable and power")
        t_capture_ns, t_mono_ns = time.time_ns(), time.monotonic_ns()
        return Frame(self._camera.retrieve(), next(self._ids), t_capture_ns, t_mono_ns)

    def close(self) -> None:
        """Free the device."""
        self._camera.release()


FrameSource = Recording | LiveReader


def open_source(
    source: int | str, *, pace: Pace = "fps", fps: float | None = None, depth: int = FULL_DEPTH
) -> FrameSource:
    """Open a camera index, /dev/videoN, v4l2://, stream URL, gst:PIPELINE, video file, picture or folder of pictures.

    Args:
        source: what to open.
        pace: of a recording: at its own rate, or as fast as possible.
        fps: rate of a recording, frames per second; by default its own.
        depth: bits that are used in pictures of 16 bits, as in `image_files.read_picture`.

    Raises:
        SourceUnavailable: there is no such thing, or it cannot be opened.
    """
    if address.kind(source) == "recording":
        return open_recording(str(source), pace, fps, depth)
    return LiveReader(source)
