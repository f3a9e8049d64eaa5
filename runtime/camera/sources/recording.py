"""Recordings: video files, pictures and folders of pictures, played frame by frame on their own clock."""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import SourceUnavailable, UnreadableImage
from runtime.camera import image_files
from runtime.camera.protocol import Pace
from runtime.camera.sources.grabber import stamp_s
from runtime.camera.sources.prefetch import Prefetch
from runtime.frame import Frame, Image

DEFAULT_FPS = 25.0
"""Rate of a folder, and of a video file that does not declare its own."""

MAX_FPS = 1000.0
"""A video file that declares a higher rate is not believed."""

MAX_GAP_S = 60.0
"""Longest gap over which a video's time stamps are followed; a longer one is a fault of the file."""

_LONG_S = 1.0
"""A longer wait for the next frame is reported, so that it is not taken for a stall."""


class Recording:
    """Every frame of a recording, in order, on its own clock.

    Attributes:
        interval_s: usual time from frame to frame; 0 if they are read as fast as possible.
        waits: called before each long wait for a frame that is not due yet, with its seconds.
    """

    def __init__(
        self,
        images: Iterable[Image | None],
        *,
        fps: float,
        pace: Pace,
        stamp_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Play `images` (None for one that cannot be decoded) in time, or as fast as they are read.

        Args:
            images: uint8 [H, W, 3] BGR each.
            fps: frames per second, where a frame has no usable time stamp.
            pace: in time or not; the frames' own clock is the same either way.
            stamp_s: time stamp of the image that was read last, seconds; None if it has none.
        """
        self.interval_s = 1 / fps if pace == "fps" else 0.0
        self._paced = pace == "fps"
        self._images = Prefetch(_timed(images, 1 / fps, stamp_s), "decode")
        self.waits: Callable[[float], None] = lambda _seconds: None
        self._last_s, self._due = 0.0, -math.inf
        self._ids = itertools.count(1)
        self._closed = threading.Event()

    def read(self) -> Frame | None:
        """Wait until the next frame is due; None after the last one or after `close`."""
        try:
            image, media_s = next(self._images)
        except StopIteration:
            return None
        if self._paced and not self._wait(media_s - self._last_s):
            return None
        self._last_s = media_s
        return Frame(image, next(self._ids), time.time_ns(), time.monotonic_ns(), round(media_s * 1e9))

    def _wait(self, step_s: float) -> bool:
        """Wait until the frame is due that comes `step_s` after the last one; False if closed meanwhile."""
        self._due += step_s
        left_s = max(0.0, self._due - time.monotonic())
        if left_s > _LONG_S:
            self.waits(left_s)
        if self._closed.wait(left_s):
            return False
        # A late reader keeps to the schedule, but does not make up for more than one frame.
        now = time.monotonic()
        self._due = self._due if self._due > now - max(step_s, self.interval_s) else now
        return True

    def close(self) -> None:
        """Make `read` return None."""
        self._closed.set()
        self._images.close()


def open_recording(name: str, pace: Pace = "fps", fps: float | None = None, depth: int = FULL_DEPTH) -> Recording:
    """Open a video file, a picture or a folder of pictures; arguments as in `open_source`.

    Raises:
        SourceUnavailable: there is no such thing, or it cannot be read.
    """
    path = Path(name)
    if os.path.isdir(path):  # unlike Path.is_dir, False for names that no disk can hold
        files = list(image_files.walk(path))
        if not files:
            others = image_files.in_words(image_files.passed_over(path))
            what = f"no pictures in this folder ({others} passed over)" if others else "no pictures in this folder"
            raise SourceUnavailable(what, where=str(path))
        return Recording((_read_or_none(file, depth) for file in files), fps=fps or DEFAULT_FPS, pace=pace)
    if not os.path.isfile(path):
        raise SourceUnavailable("no such file, folder or camera", where=str(path))
    if image_files.is_picture(path):
        return Recording([_read_or_refuse(path, depth)], fps=fps or DEFAULT_FPS, pace=pace)
    video = open_video(path)
    if fps:
        return Recording(read_video(video), fps=fps, pace=pace)
    own = video.get(cv2.CAP_PROP_FPS)
    rate = own if 0 < own <= MAX_FPS else DEFAULT_FPS
    return Recording(read_video(video), fps=rate, pace=pace, stamp_s=partial(stamp_s, video))


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a video file.

    Raises:
        SourceUnavailable: it is not a video, or of a kind that OpenCV cannot decode.
    """
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise SourceUnavailable("not a video that OpenCV can read", where=str(path))
    return capture


def read_video(capture: cv2.VideoCapture) -> Iterator[Image]:
    """Yield the frames of an open video file, and close it."""
    try:
        while True:
            there, image = capture.read()
            if not there:
                return
            yield np.asarray(image, dtype=np.uint8)
    finally:
        capture.release()


def _read_or_refuse(path: Path, depth: int) -> Image:
    try:
        return image_files.read_picture(path, depth)
    except UnreadableImage as error:
        raise SourceUnavailable(error.what, where=error.where) from error


def _read_or_none(path: Path, depth: int) -> Image | None:
    try:
        return image_files.read_picture(path, depth)
    except UnreadableImage as error:
        import structlog  # slow to load, and seldom needed

        structlog.get_logger().warning("unreadable picture", file=str(path), problem=error.what)
        return None


def _timed(
    images: Iterable[Image | None], step_s: float, stamp_s: Callable[[], float | None]
) -> Iterator[tuple[Image | None, float]]:
    """Yield each image with its time from the first one, seconds.

    Where a stamp is missing, does not move forward or jumps by more than `MAX_GAP_S`, a step of `step_s` is taken.
    """
    media_s, last_s = -step_s, math.nan
    for image in images:
        stamped_s = stamp_s()
        gap_s = math.nan if stamped_s is None else stamped_s - last_s
        media_s += gap_s if 0 < gap_s <= MAX_GAP_S else step_s
        last_s = last_s + step_s if stamped_s is None else stamped_s
        yield image, max(0.0, media_s)
