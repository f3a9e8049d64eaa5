"""RTSP and HTTP streams, opened by FFmpeg: their time-outs (`STREAM_TIMEOUT_MS`), and RTSP over TCP or UDP.

How long an open stream may stay silent before it counts as stalled is the setting `stall_ms`.
"""

from __future__ import annotations

import os

import cv2

from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import Transport
from runtime.camera import address
from runtime.camera.sources.grabber import OpenCvGrabber, stamp_s
from runtime.camera.with_timeout import with_timeout

STREAM_TIMEOUT_MS = 5000
"""Time-out of FFmpeg for opening a stream, and for reading from it.

OPEN_S must stay below `stall_ms` + OPENING_S of capture_run.py, or no reason is found before the process is restarted.
"""

OPEN_S = 1.4 * STREAM_TIMEOUT_MS / 1000
"""Time-out for what ignores that one, such as a name server; seconds."""

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


class StreamGrabber(OpenCvGrabber):
    """A `Grabber` over a stream, whose frames have time stamps.

    Attributes:
        segmented: as in `playout.Stamped`.
    """

    def __init__(self, capture: cv2.VideoCapture, *, segmented: bool) -> None:
        """Take an open capture."""
        super().__init__(capture)
        self.segmented = segmented

    def stamp_s(self) -> float | None:
        """As `playout.Stamped`; FFmpeg invents stamps at some rate for a stream that has none."""
        return stamp_s(self._capture)


def open_stream(url: str, transport: Transport) -> StreamGrabber:
    """Open a stream; `transport` counts for RTSP.

    Raises:
        SourceUnavailable: it does not open, or not within `OPEN_S`.
    """
    _choose(transport)
    # The time-outs are heeded only where FFmpeg is asked for by name.
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT_MS]
    where = address.redact(url)
    try:  # FFmpeg waits for a name server for as long as that takes
        capture = with_timeout(lambda: cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts), OPEN_S)
    except TimeoutError:
        raise SourceUnavailable("does not open in time", where=where, remedy="check the network") from None
    except cv2.error:
        capture = None
    if capture is None or not capture.isOpened():
        raise SourceUnavailable("does not open", where=where, remedy="check that it is there and not in use")
    # The number of frames is known only of a file, such as a video that is served over HTTP.
    return StreamGrabber(capture, segmented=address.is_segmented(url) or capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)


def _choose(transport: Transport) -> None:
    """Have FFmpeg use this transport for RTSP; other options that the user set in the variable are kept."""
    given = [one for one in os.environ.get(_OPTIONS, "").split("|") if one]
    chosen = [one for one in given if one.partition(";")[0] in {"rtsp_transport", "rtsp_flags"}]
    if transport == "udp":
        given = [*(one for one in given if one not in chosen), "rtsp_transport;udp"]
    elif not chosen:
        given.append("rtsp_flags;prefer_tcp")  # and UDP from a camera that offers nothing else
    os.environ[_OPTIONS] = "|".join(given)
