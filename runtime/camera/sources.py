"""Open sources (cameras, streams, videos, folders) and read their frames.

Two kinds. `Recorded` (video file, folder, picture) loses no frame and keeps a pace. A `Grabber` (camera, stream) gives
what is there at the moment; `Live` reads one in a thread and keeps the newest frame only, and counts what it drops: a
late answer about an old frame helps nobody.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal, Protocol

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read by cv2 when it loads FFmpeg; -8 is quiet

import cv2
import numpy as np

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import PatchedgeError, SourceLost, SourceUnavailable, UnreadableImage
from runtime.camera import address, image_files
from runtime.camera.ahead import Ahead
from runtime.camera.declared import Declared
from runtime.camera.playout import InTime
from runtime.frame import Frame, Image

DEFAULT_FPS = 25.0
"""Pace of a folder, and of a video file that does not tell its own."""

MAX_GAP_S = 60.0
"""A video's time stamps are followed over a gap of so long; a longer one is a fault of the file."""

_LONG_S = 1.0
"""A wait of so long for the next frame of a recording is said, so that nobody takes it for a stall."""

STREAM_TIMEOUT_MS = 5000
"""FFmpeg gives up opening or reading a stream after this time."""

OPEN_S = 1.4 * STREAM_TIMEOUT_MS / 1000
"""What does not heed that is given up after this one, seconds."""

_SINK = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
"""End of a pipeline that has none: colours as OpenCV wants them, and no queue of old pictures."""

redact = address.redact


class Source(Protocol):
    """Anything that gives frames.

    Attributes:
        dropped: frames that were dropped so far.
    """

    dropped: int

    def read(self) -> Frame | None:
        """Wait for the next frame; None after the last one or after `close`."""
        ...

    def close(self) -> None:
        """Make `read` return None at once; may be called from any thread, and again."""
        ...


class Grabber(Protocol):
    """A camera as OpenCV shows it: the seam at which tests put cameras that misbehave."""

    def grab(self) -> bool:
        """Wait for the next picture; False if there is none any more."""
        ...

    def retrieve(self) -> Image | None:
        """Decode the picture that was grabbed; None if that fails."""
        ...

    def release(self) -> None:
        """Free the device."""
        ...


class Recorded:
    """Frames of a recording, every one of them, in order, on its own clock.

    Attributes:
        interval_s: usual time from frame to frame, 0 for as fast as they are read.
        waits: told of each long wait for a frame that is not due yet, seconds.
    """

    dropped = 0

    def __init__(
        self,
        images: Iterable[Image | None],
        *,
        fps: float,
        pace: Literal["fps", "max"],
        stamp_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Play `images` (None for one that cannot be decoded) in time, or as fast as they are read.

        Args:
            images: uint8 [H, W, 3] BGR each.
            fps: frames a second, where a frame has no time stamp of use.
            pace: in time or not; the frames' own clock is the same either way.
            stamp_s: time stamp of the image that was read last, seconds; None where it has none.
        """
        self.interval_s = 1 / fps if pace == "fps" else 0.0
        self._paced = pace == "fps"
        self._images = Ahead(_timed(images, 1 / fps, stamp_s), "decode")
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
        frame = _stamp(image, next(self._ids))
        return Frame(image, frame.frame_id, frame.t_capture_ns, frame.t_mono_ns, round(media_s * 1e9))

    def _wait(self, step_s: float) -> bool:
        """Wait until the frame is due that comes so long after the last one; False if closed meanwhile."""
        self._due += step_s
        left_s = max(0.0, self._due - time.monotonic())
        if left_s > _LONG_S:
            self.waits(left_s)
        if self._closed.wait(left_s):
            return False
        # Who is late keeps to the schedule, but does not make up for more than one frame.
        now = time.monotonic()
        self._due = self._due if self._due > now - max(step_s, self.interval_s) else now
        return True

    def close(self) -> None:
        """Make `read` return None."""
        self._closed.set()
        self._images.close()


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
            SourceLost: it delivers no more.
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
        """Wait for the thread to have ended, at most `timeout_s`; False if the driver still holds it."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._fail(self._read_to_the_end())
        except PatchedgeError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever a driver throws, the reader must hear of it
            self._fail(SourceLost(f"capture failed ({error})", where=self._name))

    def _read_to_the_end(self) -> SourceLost:
        camera = self._connect()
        in_time = InTime(camera)
        try:
            for frame_id in itertools.count(1):
                if self._closed or not in_time.grab():
                    break
                self._keep(_stamp(None, frame_id), camera.retrieve())
        finally:
            camera.release()
        return SourceLost("delivers no more pictures", where=self._name, remedy="check cable and power")

    def _keep(self, stamp: Frame, image: Image | None) -> None:
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = Frame(image, stamp.frame_id, stamp.t_capture_ns, stamp.t_mono_ns)
            self._changed.notify_all()

    def _fail(self, error: PatchedgeError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()


def open_source(
    source: int | str,
    *,
    pace: Literal["fps", "max"] = "fps",
    fps: float | None = None,
    depth: int = FULL_DEPTH,
) -> Source:
    """Open a camera index, /dev/videoN, v4l2://, stream URL, gst:PIPELINE, video file, picture or folder of pictures.

    Args:
        source: what to open.
        pace: for recordings: at their own rate, or as fast as possible.
        fps: rate of a recording, frames a second; by default its own.
        depth: bits that are used in pictures of 16 bits, as of `picture.read_picture`.

    Raises:
        SourceUnavailable: there is no such thing, or it cannot be opened. A camera may say so only in `read`.
    """
    if address.kind(source) == "recording":
        return open_recording(str(source), pace, fps, depth)
    return Live(redact(str(source)), lambda: open_camera(source))


def open_camera(source: int | str) -> Grabber:
    """Open a camera, stream or pipeline. Of several devices that a pattern names, the first that opens.

    Raises:
        SourceUnavailable: there is none, or it does not open.
    """
    if (plain := address.plain(source)).startswith((address.GSTREAMER, address.CSI)):
        return _open_pipeline(plain)
    if address.kind(plain) == "stream":
        return _open_stream(plain)
    name = f"camera {source}"
    nodes = address.devices(source)
    if not nodes:
        raise SourceUnavailable("no such device", where=name, remedy="check that it is plugged in")
    for node in nodes:
        capture = cv2.VideoCapture(node, cv2.CAP_V4L2)
        if capture.isOpened():
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            return _Camera(capture)
    raise SourceUnavailable("does not open", where=name, remedy="check that it is not in use")


def open_recording(
    name: str,
    pace: Literal["fps", "max"] = "fps",
    fps: float | None = None,
    depth: int = FULL_DEPTH,
) -> Recorded:
    """Open a video file, a picture or a folder of pictures; arguments as of `open_source`.

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
        return Recorded((_read_or_none(file, depth) for file in files), fps=fps or DEFAULT_FPS, pace=pace)
    if not os.path.isfile(path):
        raise SourceUnavailable("no such file, folder or camera", where=str(path))
    if image_files.is_picture(path):
        return Recorded([_read_or_refuse(path, depth)], fps=fps or DEFAULT_FPS, pace=pace)
    video = open_video(path)
    own = video.get(cv2.CAP_PROP_FPS)
    if fps:
        return Recorded(read_video(video), fps=fps, pace=pace)
    rate = own if 0 < own <= 1000 else DEFAULT_FPS  # noqa: PLR2004
    return Recorded(read_video(video), fps=rate, pace=pace, stamp_s=partial(_stamp_s, video))


def use_one_thread() -> None:
    """Have OpenCV convert pictures in the calling thread: there is one process for each camera."""
    cv2.setNumThreads(1)


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


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a video file.

    Raises:
        SourceUnavailable: it is not a video, or of a kind that OpenCV cannot decode.
    """
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise SourceUnavailable("not a video that OpenCV can read", where=str(path))
    return capture


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


def _open_stream(url: str) -> Grabber:
    # The timeouts are heeded only where FFmpeg is asked for by name.
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, STREAM_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, STREAM_TIMEOUT_MS]
    opened: SimpleQueue[cv2.VideoCapture | cv2.error] = SimpleQueue()

    def connect() -> None:
        try:
            opened.put(cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts))
        except cv2.error as error:
            opened.put(error)

    # In a thread, as FFmpeg waits for a name server for as long as that takes.
    threading.Thread(target=connect, name="open", daemon=True).start()
    try:
        capture = opened.get(timeout=OPEN_S)
    except Empty:
        raise SourceUnavailable("does not open in time", where=redact(url), remedy="check the network") from None
    if not isinstance(capture, cv2.VideoCapture) or not capture.isOpened():
        raise SourceUnavailable("does not open", where=redact(url), remedy="check that it is there and not in use")
    # The length of what is live is not known.
    return _Stream(capture, segmented=address.is_segmented(url) or capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)


def has_backend(backend: int) -> bool:
    """Return whether this OpenCV can open a source with one of its back ends, such as `cv2.CAP_GSTREAMER`."""
    registry = cv2.videoio_registry
    try:
        return bool(registry.hasBackend(backend))  # a plug-in may be known and not there
    except AttributeError:  # of an OpenCV as old as that of a Jetson
        return backend in registry.getBackends()


def _open_pipeline(source: str) -> Grabber:
    where = redact(source)
    if source.startswith(address.CSI):
        remedy = "choose a profile that knows the device's pipeline, or write it as gst:PIPELINE"
        raise SourceUnavailable("no pipeline is known for this camera", where=where, remedy=remedy)
    if not has_backend(cv2.CAP_GSTREAMER):
        remedy = "use the system's OpenCV (python3-opencv, or that of JetPack); the wheels of PyPI have no GStreamer"
        raise SourceUnavailable(f"OpenCV {cv2.__version__} has no GStreamer here", where=where, remedy=remedy)
    pipeline = source.removeprefix(address.GSTREAMER).strip()
    if "appsink" not in pipeline:
        pipeline = f"{pipeline} ! {_SINK}"
    capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        raise SourceUnavailable("does not open", where=where, remedy="try the pipeline with gst-launch-1.0")
    return _Camera(capture)


class _Camera:
    """A `Grabber` over an OpenCV capture."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def grab(self) -> bool:
        return self._capture.grab()

    def retrieve(self) -> Image | None:
        there, image = self._capture.retrieve()
        return np.asarray(image, dtype=np.uint8) if there else None

    def release(self) -> None:
        self._capture.release()

    def declared(self) -> Declared:
        found = [self._capture.get(what) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return Declared(
            backend=self._capture.getBackendName(),
            format=_letters(self._capture.get(cv2.CAP_PROP_FOURCC)),
            size=(max(0, round(found[0])), max(0, round(found[1]))),
            fps=round(fps, 3) if 0 < fps < math.inf else 0.0,
        )


class _Stream(_Camera):
    """A `Grabber` over a stream, whose frames have time stamps.

    Attributes:
        segmented: as of `playout.Stamped`.
    """

    def __init__(self, capture: cv2.VideoCapture, *, segmented: bool) -> None:
        super().__init__(capture)
        self.segmented = segmented

    def stamp_s(self) -> float | None:
        return _stamp_s(self._capture)  # of a stream that has none, they are made up from some rate: who follows beware


def declared(camera: Grabber) -> Declared | None:
    """Return what a camera says of itself; None where OpenCV did not open it."""
    return camera.declared() if isinstance(camera, _Camera) else None


def _letters(code: float) -> str:
    """Return the four letters of a codec or a format of pictures; empty for what is none."""
    letters = int(code).to_bytes(4, "little", signed=code < 0)
    return letters.decode("ascii") if letters.isalnum() else ""


def _stamp_s(capture: cv2.VideoCapture) -> float | None:
    """Return the time stamp of the frame that was grabbed last, seconds from the first; None where it has none."""
    stamp_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
    return stamp_ms / 1000 if math.isfinite(stamp_ms) else None


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


def _stamp(image: Image | None, frame_id: int) -> Frame:
    return Frame(image, frame_id, time.time_ns(), time.monotonic_ns())
