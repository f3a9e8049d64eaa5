"""Sources that behave, and sources that do not."""

from __future__ import annotations

import itertools
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.errors import SourceLost, SourceUnavailable
from runtime.camera.address import redact
from runtime.camera.sources.in_process import open_source
from runtime.camera.sources.live import open_camera
from runtime.camera.sources.recording import Recording
from runtime.frame import Image
from tests.support.fakes.videos import variable_rate
from tests.support.tiny import normal_picture, write_pictures

END = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
"""Of a pipeline that gives colours as OpenCV has them, and the newest picture only."""

ROUNDED = 2
"""Nanoseconds: sums of binary fractions."""

CONTAINER = 2e6
"""Nanoseconds: mp4 and mkv keep milliseconds."""

WAIT_S = 10.0
"""For an event that comes at once unless something hangs."""


class Camera:
    """A camera that takes some pictures, and then no more."""

    def __init__(self, pictures: int) -> None:
        self.left = pictures
        self.released = False

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> Image | None:
        return normal_picture(self.left)

    def release(self) -> None:
        self.released = True


def read_all(source: Recording) -> list:
    return list(iter(source.read, None))


def test_camera_is_read_frame_by_frame_until_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every frame is counted and stamped; a camera that delivers no more is lost, and this is an error, not an end."""
    camera = Camera(3)
    monkeypatch.setattr("runtime.camera.sources.in_process.open_camera", lambda _: camera)
    live = open_source("rtsp://me:s3cret@host/x")
    frames = [live.read() for _ in range(3)]
    assert [frame.frame_id for frame in frames] == [1, 2, 3]
    assert [np.array_equal(frame.image, normal_picture(2 - at)) for at, frame in enumerate(frames)] == [True] * 3
    assert frames[0].t_mono_ns < frames[1].t_mono_ns < frames[2].t_mono_ns
    with pytest.raises(SourceLost, match=r"rtsp://\*\*\*@host/x: delivers no more pictures"):
        live.read()
    live.close()
    assert camera.released


def test_folder_loses_no_picture_and_keeps_the_order(tmp_path: Path) -> None:
    """A folder gives every picture in sorted order, counted from 1, also one that cannot be decoded."""
    write_pictures(tmp_path, set(), 12)
    (tmp_path / "0005.png").write_bytes(b"broken")
    frames = read_all(open_source(str(tmp_path), pace="max"))
    assert [frame.frame_id for frame in frames] == list(range(1, 13))
    assert [frame.frame_id for frame in frames if frame.image is None] == [5]
    assert np.array_equal(frames[11].image, normal_picture(12))


def test_video_loses_no_frame(tmp_path: Path) -> None:
    """A video file gives every frame in order."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for level in range(0, 200, 10):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    frames = read_all(open_source(str(path), pace="max"))
    assert [frame.frame_id for frame in frames] == list(range(1, 21))
    assert [round(float(frame.image.mean()), -1) for frame in frames] == list(range(0, 200, 10))


def test_recording_at_its_pace_is_not_faster_than_its_rate() -> None:
    """Frames at a pace are at least the interval apart, and none is lost to a slow reader."""
    interval_s = 0.02
    recorded = Recording([normal_picture(1)] * 4, fps=1 / interval_s, pace="fps")
    stamps = [frame.t_mono_ns for frame in read_all(recorded)]
    assert len(stamps) == 4
    assert stamps[-1] - stamps[0] >= 2 * interval_s * 1e9  # one frame that is late does not put off those after it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stamps_s", "expected_s"),
    [
        ([3.0, 3.1, 3.5, 4.5], [0.0, 0.1, 0.5, 1.5]),
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.2, 0.4, 0.6]),
        ([0.0, 0.3, None, 0.7], [0.0, 0.3, 0.5, 0.7]),
        ([None, None, None], [0.0, 0.2, 0.4]),
        ([5.0, 5.1, 0.0, 0.1], [0.0, 0.1, 0.3, 0.4]),
        ([0.0, 0.1, 9000.0, 9000.1], [0.0, 0.1, 0.3, 0.4]),
    ],
    ids=["variable", "constant", "one missing", "none", "backward", "jump"],
)
@pytest.mark.parametrize("pace", ["fps", "max"])
def test_recording_has_its_own_clock(stamps_s: list, expected_s: list, pace: str) -> None:
    """The clock is that of the time stamps, at any pace; where one is missing or makes no sense, a step is taken."""
    stamps = iter(stamps_s)
    images = [normal_picture(1)] * len(stamps_s)
    recorded = Recording(images, fps=5, pace=pace, stamp_s=lambda: next(stamps))
    frames = read_all(recorded)
    assert [frame.t_media_ns for frame in frames] == pytest.approx([round(at * 1e9) for at in expected_s], abs=ROUNDED)
    took_s = (frames[-1].t_mono_ns - frames[0].t_mono_ns) / 1e9
    assert took_s >= expected_s[-1] - 0.2 if pace == "fps" else took_s < expected_s[-1] / 2


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed: it makes the video")
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_video_of_variable_rate_plays_at_its_own_time_stamps(tmp_path: Path, name: str) -> None:
    """Frames come when the video says, and not evenly; a rate from the settings takes the place of its stamps."""
    at_s = [0.0, 0.04, 0.08, 0.12, 0.52, 0.92]
    clip = variable_rate(tmp_path / name, at_s)
    frames = read_all(open_source(str(clip)))
    assert [frame.t_media_ns for frame in frames] == pytest.approx([at * 1e9 for at in at_s], abs=CONTAINER)
    waited_s = [(after.t_mono_ns - before.t_mono_ns) / 1e9 for before, after in itertools.pairwise(frames)]
    assert min(waited_s[3:]) > 0.3  # a frame that is late does not put off those after it
    fixed = read_all(open_source(str(clip), pace="max", fps=10))
    assert [frame.t_media_ns for frame in fixed] == pytest.approx([at * 1e8 for at in range(6)], abs=ROUNDED)


def test_close_ends_a_recording_that_waits_for_its_next_frame() -> None:
    """`close` does not wait for the pace."""
    recorded = Recording([normal_picture(1)] * 2, fps=0.001, pace="fps")
    assert recorded.read() is not None
    threading.Timer(0.01, recorded.close).start()
    assert recorded.read() is None


@pytest.mark.parametrize("source", ["/no/such/file.mp4", "ftp://host/x", "", "."])
def test_source_that_is_none_says_so(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is absent, a folder without pictures or an unknown kind is refused in one line."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceUnavailable) as caught:
        open_source(source)
    assert "\n" not in str(caught.value)


def test_file_that_is_no_video_says_so(tmp_path: Path) -> None:
    """A file that is neither picture nor video is refused by name."""
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(SourceUnavailable, match=r"notes\.txt"):
        open_source(str(tmp_path / "notes.txt"))


def test_absent_camera_says_so() -> None:
    """A camera index without a camera is reported, not waited for."""
    with pytest.raises(SourceUnavailable, match="camera 61"):
        open_source(61)


def test_stable_name_without_a_device_says_so(tmp_path: Path) -> None:
    """A name under which nothing is plugged in is told from a device that does not open."""
    (tmp_path / "video0").write_text("no device")
    with pytest.raises(SourceUnavailable, match="no such device"):
        open_camera(f"v4l2://{tmp_path}/by-id/camera")
    with pytest.raises(SourceUnavailable, match="does not open"):
        open_camera(f"v4l2://{tmp_path}/video*")


def test_credentials_never_show() -> None:
    """User and password of a URL are hidden wherever it is named."""
    assert redact("rtsp://admin:secret@10.0.0.4/stream") == "rtsp://***@10.0.0.4/stream"
    assert redact("rtsp://admin:p@ss/w@10.0.0.4/stream") == "rtsp://***@10.0.0.4/stream"
    assert redact("rtsp://10.0.0.4/stream") == "rtsp://10.0.0.4/stream"


def test_pipeline_needs_an_opencv_that_has_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenCV has none, the error names the remedy and hides passwords; so does csi:// without a pipeline."""
    monkeypatch.setattr("runtime.camera.sources.live.has_backend", lambda _: False)
    source = "gst:rtspsrc location=rtsp://me:s3cret@host/x user-pw=s3cret2 ! appsink"
    with pytest.raises(SourceUnavailable, match="has no GStreamer here; use the system's OpenCV") as caught:
        open_camera(source)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SourceUnavailable, match="choose a profile"):
        open_camera("csi://0")


@pytest.mark.parametrize(
    ("source", "opened"),
    [
        ("gst: videotestsrc ! appsink max-buffers=1 ", "videotestsrc ! appsink max-buffers=1"),
        ("gst:videotestsrc", f"videotestsrc ! {END}"),
    ],
)
def test_pipeline_is_opened_by_gstreamer_and_ends_without_a_queue(
    monkeypatch: pytest.MonkeyPatch, source: str, opened: str
) -> None:
    """A pipeline with its own end is left as it is; one without gets an end that keeps no old pictures."""
    asked = []

    class Capture:
        def __init__(self, *given: object) -> None:
            asked.append(given)

        def isOpened(self) -> bool:  # noqa: N802 - as OpenCV calls it
            return True

    monkeypatch.setattr("runtime.camera.sources.live.has_backend", lambda _: True)
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    open_camera(source)
    ((pipeline, backend),) = asked
    assert backend == cv2.CAP_GSTREAMER
    assert pipeline == opened
