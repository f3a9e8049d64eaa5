"""`patchedge record`: pictures to learn from, as the runtime sees them."""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.settings.sections import Camera
from runtime.camera.image_files import walk
from runtime.frame import SharedFrame
from runtime.tools.record import Record, Recorded
from tests.support.fakes.camera import COMMAND, LOST, PICTURE, WIDE, pixels, plugged
from tests.support.fakes.mjpeg import streaming
from tests.support.processes import DEVICE, ENOUGH_S, call, started
from tests.support.tiny import write_pictures

pytestmark = pytest.mark.slow

A_MOMENT_S = 1e-6
"""Between pictures that are all to be taken."""

WAITS_S = 20.0
"""For the start of a capture process on a busy machine."""


def test_pictures_are_those_of_the_source(tmp_path: Path) -> None:
    """A folder of pictures gives the same pixels again, in the order of their names, up to the count."""
    source = write_pictures(tmp_path / "source", set(), 5)
    done = call(*DEVICE, "record", source, tmp_path / "new/normal", "--count", "4", "--every", "0.001")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/new/normal: 4 pictures of 64 x 48 pixels\n"
    pairs = list(zip(walk(tmp_path / "new/normal"), walk(source), strict=False))
    assert len(pairs) == 4
    for copy, original in pairs:
        np.testing.assert_array_equal(cv2.imread(str(copy)), cv2.imread(str(original)))


def test_camera_that_was_lost_goes_on(tmp_path: Path) -> None:
    """A camera that is lost is waited for; that, and another size, are told, and the pixels are the camera's own."""
    with plugged(tmp_path / "camera") as remote:
        recorder = Record(
            Camera(source=remote.source, reconnect_min_s=0.01, reconnect_max_s=0.02),
            tmp_path / "normal",
            count=2,
            every_s=A_MOMENT_S,
            written=lambda _recorded: remote.do(LOST, WIDE),
            command=COMMAND,
        )
        remote.do(PICTURE)
        recorder.run(WAITS_S)
    assert recorder.recorded == Recorded(2, [(64, 48), (122, 90)], 0, ["delivers no more pictures"])
    first, second = (cv2.imread(str(path)) for path in walk(tmp_path / "normal"))
    np.testing.assert_array_equal(first, pixels(1))
    np.testing.assert_array_equal(second, pixels(1, WIDE))


def test_frame_that_cannot_be_decoded_is_no_picture(tmp_path: Path) -> None:
    """It is counted, and the others are written."""
    source = write_pictures(tmp_path / "source", set(), 3)
    (source / "0002.png").write_bytes(b"damaged")
    recorder = Record(Camera(source=str(source)), tmp_path / "normal", count=3, every_s=A_MOMENT_S)
    recorder.run(WAITS_S)
    assert recorder.recorded == Recorded(2, [(64, 48)], 1)


def test_recording_nothing_is_no_success(tmp_path: Path) -> None:
    """Where no frame of a source can be decoded, it ends with 69, and says so."""
    source = write_pictures(tmp_path / "source", set(), 2)
    for picture in source.iterdir():
        picture.write_bytes(b"damaged")
    done = call(*DEVICE, "record", source, tmp_path / "normal")
    assert done.returncode == 69
    assert "0 pictures; 2 frames could not be decoded" in done.stdout


def test_least_time_is_between_pictures(tmp_path: Path) -> None:
    """Of pictures that come each 40 ms those at least 100 ms apart are taken: the first, the fourth, the seventh."""
    recorder = Record(Camera(source="0"), tmp_path, count=9, every_s=0.1)
    for number in range(8):
        recorder._take(SharedFrame(1, 0, (48, 64), number, 0, number * 40_000_000), pixels(number))
    assert [path.stem[-2:] for path in walk(tmp_path)] == ["00", "03", "06"]


def test_pictures_that_are_there_stay(tmp_path: Path) -> None:
    """A second recording into the same folder adds to the first."""
    source = write_pictures(tmp_path / "source", set(), 3)
    for _ in range(2):
        assert call(*DEVICE, "record", source, tmp_path / "normal", "--every", "0.001").returncode == 0
    assert len(list(walk(tmp_path / "normal"))) == 6


def test_interrupt_leaves_what_was_written(tmp_path: Path) -> None:
    """SIGINT ends it with 0 and a count of the pictures, each of which is whole."""
    words = ["--count", "10000", "--every", "0.001"]
    with streaming() as stream, started(*DEVICE, "record", stream.url, tmp_path / "normal", *words) as process:
        while not list(walk(tmp_path / "normal")):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=ENOUGH_S)[0]
    pictures = list(walk(tmp_path / "normal"))
    assert process.returncode == 0
    assert f"{len(pictures)} pictures of 64 x 48 pixels" in said
    assert all(cv2.imread(str(path)) is not None for path in pictures)


def test_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A file in the place of the folder is one line, and stays."""
    source = write_pictures(tmp_path / "source", set(), 1)
    (tmp_path / "normal").write_text("a file")
    done = call(*DEVICE, "record", source, tmp_path / "normal")
    assert done.returncode == 2
    assert "normal: cannot be written (File exists); choose another name" in done.stderr


def test_source_that_is_not_there_is_69(tmp_path: Path) -> None:
    """One line, and no folder full of nothing."""
    done = call(*DEVICE, "record", tmp_path / "no.avi", tmp_path / "normal")
    assert (done.returncode, done.stdout) == (69, "")
    assert "no such file, folder or camera" in done.stderr
    assert not (tmp_path / "normal").exists()
    (tmp_path / "normal").mkdir()
    assert call(*DEVICE, "record", tmp_path / "no.avi", tmp_path / "normal").returncode == 69
    assert (tmp_path / "normal").is_dir()  # it was there before
