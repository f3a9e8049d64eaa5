"""`patchedge probe` on streams, recordings and cameras that fail."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import pytest

from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import Camera
from runtime.camera.preview import Preview
from runtime.frame import SharedFrame
from runtime.tools.probe import Durations, Probe
from tests.support.fakes.camera import BROKEN, COMMAND, HANGS_IN_OPEN, LOST, PICTURE, WIDE, Remote, pixels, plugged
from tests.support.fakes.mjpeg import streaming
from tests.support.processes import DEVICE, call
from tests.support.tiny import HEIGHT, WIDTH, write_pictures

pytestmark = pytest.mark.slow

FAKE = COMMAND
"""A capture process whose camera does what a test says."""

WAITS_S = 20.0
"""For the start of a capture process on a busy machine."""


class Taken(list[SharedFrame]):
    """Frames that were taken; the camera gives the next one then, so that none is dropped for a newer one."""

    def __init__(self, remote: Remote, *doings: bytes) -> None:
        super().__init__()
        self._remote, self._doings = remote, iter(doings)

    def append(self, frame: SharedFrame) -> None:
        super().append(frame)
        self._remote.do(next(self._doings))


def test_stream_is_measured(tmp_path: Path) -> None:
    """A stream's size, back end, rate and times are there, a picture is saved, and its password is nowhere."""
    with streaming() as stream:
        stream.level = 60
        words = ["probe", stream.url, "--seconds", "1", "--timeout", WAITS_S, "--save", tmp_path / "x.png", "--json"]
        done = call(*DEVICE, *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sizes"] == [[64, 48]]
    assert found["declared"]["backend"] == "FFMPEG"
    assert 5 < found["fps"] < 200  # the stream sends 100 a second, as far as the machine lets it
    assert found["pictures"] > 5
    assert all(found[name]["p50"] <= found[name]["p95"] <= found[name]["max"] for name in ("interval_ms", "latency_ms"))
    assert abs(float(cv2.imread(str(tmp_path / "x.png")).mean()) - 60) < 3  # JPEG may change a level a little
    assert "s3cret" not in done.stdout + done.stderr


def test_first_burst_is_not_counted_into_the_rate() -> None:
    """What a stream has kept and sends at once is said, and the rate is that of what comes after it."""
    with streaming() as stream:
        stream.interval_s, stream.burst = 0.05, 60
        done = call(*DEVICE, "probe", stream.url, "--seconds", "3", "--timeout", WAITS_S, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 15 < found["fps"] <= 20.5  # the stream waits 50 ms between two, and makes a picture then; counted in: 39
    assert 55 < found["burst"] <= 62
    assert not found["paced"]


def test_page_is_for_people(tmp_path: Path) -> None:
    """A recording that is over before the time is measured as far as it goes; the folder's rate is found again."""
    source = write_pictures(tmp_path / "pictures", set(), 6)
    done = call(*DEVICE, "probe", source, "--seconds", "30", "--timeout", WAITS_S)
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert f"{WIDTH} x {HEIGHT} pixels" in lines["pictures"]
    assert ": 6 in 0." in lines["measured"]
    assert set(lines) == {"pictures", "measured", "interval", "jitter", "latency"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/dev/video87", "/dev/video87: no such device"),
        ("nothing.avi", "nothing.avi: no such file, folder or camera"),
        ("http://me:s3cret@127.0.0.1:1/video", "http://***@127.0.0.1:1/video: nothing listens at port 1"),
        ("ftp://me:s3cret@host/x", "ftp://***@host/x: unknown kind of source"),
        ("gst:videotestsrc ! appsink", "has no GStreamer here"),
    ],
)
def test_source_that_does_not_open_is_one_line(source: str, said: str) -> None:
    """Exit code 69, what is wrong and what to do, and no password."""
    done = call(*DEVICE, "probe", source, "--timeout", WAITS_S)
    assert (done.returncode, done.stdout) == (69, "")
    (line,) = done.stderr.splitlines()
    assert said in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    ("words", "code"),
    [(["0", "--save", "x.txt"], 2), (["csi://0?size=big"], 78), ([], 2), (["0", "--seconds", "0"], 2)],
)
def test_wrong_arguments_are_said(words: list[str], code: int) -> None:
    """Before anything is opened."""
    assert call(*DEVICE, "probe", *words).returncode == code


def test_picture_that_cannot_be_saved_is_said(tmp_path: Path) -> None:
    """A folder that is not there is the user's mistake, and one line."""
    source = write_pictures(tmp_path / "pictures", set(), 1)
    done = call(*DEVICE, "probe", source, "--timeout", WAITS_S, "--save", tmp_path / "no/x.png")
    assert done.returncode == 2
    assert "x.png: cannot be written (No such file or directory); make its folder first" in done.stderr


def test_camera_is_looked_at_by_the_capture_process(tmp_path: Path) -> None:
    """What a camera does is counted: sizes that change, pictures that cannot be decoded, and that it is lost."""
    with plugged(tmp_path / "camera") as remote:
        probe = Probe(Camera(source=remote.source, reconnect_min_s=30, reconnect_max_s=60), FAKE)
        probe._frames = Taken(remote, BROKEN, WIDE, LOST)
        remote.do(PICTURE)
        report = probe.run(seconds=3.0, timeout_s=WAITS_S)
    assert (report.pictures, report.undecodable, report.dropped) == (3, 1, {})
    assert report.sizes == ((64, 48), (122, 90))
    assert report.interruptions == ("delivers no more pictures",)
    assert probe.image is not None
    assert (probe.image == pixels(3, WIDE)).all()


@pytest.mark.parametrize("name", [HANGS_IN_OPEN, "silent"])
def test_camera_that_hangs_does_not_hang_us(tmp_path: Path, name: str) -> None:
    """A driver that never returns, from open or from its first picture, costs the time-out and no more."""
    with plugged(tmp_path / name) as remote, pytest.raises(SourceUnavailable, match=r"no picture in 2 s"):
        Probe(Camera(source=remote.source), FAKE).run(seconds=1.0, timeout_s=2.0)


def test_capture_process_that_dies_is_said(tmp_path: Path) -> None:
    """A crash of a library is a line with its signal."""
    kill = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    with plugged(tmp_path / "camera") as remote, pytest.raises(SourceUnavailable, match="killed by signal 4"):
        Probe(Camera(source=remote.source), kill).run(seconds=1.0, timeout_s=WAITS_S)


def test_time_over_a_dropped_frame_is_no_interval(tmp_path: Path) -> None:
    """Frames 1, 2 and 4 at 0, 10 and 30 ms come 100 a second, and 10 ms apart; the one that was dropped is counted."""
    frames = [(1, 0), (2, 10_000_000), (4, 30_000_000)]
    camera = Camera(source=str(tmp_path))
    probe = Probe(camera, FAKE)
    probe._frames = [SharedFrame(0, 0, (48, 64), number, 0, at_ns) for number, at_ns in frames]
    preview = Preview(camera, lambda _frame, _image: None, FAKE)
    preview.feed.dropped["newer"] = 1
    report = probe._sum_up(0.0, preview)
    assert report.fps == 100.0
    assert report.interval_ms == Durations(10.0, 10.0, 10.0)
    assert report.dropped == {"newer": 1}
