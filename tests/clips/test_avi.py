"""Films of JPEGs, as OpenCV and FFmpeg see them."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.clips.avi import Avi

LEVELS = range(0, 250, 10)
ROUNDING = 1.0
"""Grey levels by which a flat JPEG may differ."""


def write(path: Path, fps: float, hw: tuple[int, int]) -> int:
    """Write a film of grey pictures; give the size that it says to have."""
    with path.open("wb+") as file:
        film = Avi(file, fps)
        for level in LEVELS:
            film.add(cv2.imencode(".jpg", np.full((*hw, 3), level, np.uint8))[1].tobytes())
        film.finish(hw)
        return film.size


@pytest.mark.parametrize("player", [cv2.CAP_FFMPEG, cv2.CAP_OPENCV_MJPEG])
@pytest.mark.parametrize("fps", [0.1, 5.0, 29.97])
@pytest.mark.parametrize("hw", [(360, 640), (47, 63)])
def test_film_plays_as_it_was_made(tmp_path: Path, player: int, fps: float, hw: tuple[int, int]) -> None:
    """Both players of OpenCV find the rate, the size and every picture in order."""
    path = tmp_path / "film.avi"
    assert write(path, fps, hw) == path.stat().st_size
    capture = cv2.VideoCapture(str(path), player)
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(fps)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == len(LEVELS)
    for level in LEVELS:
        there, image = capture.read()
        assert there
        assert image.shape == (*hw, 3)
        assert abs(image.mean() - level) <= ROUNDING
    assert not capture.read()[0]


def test_film_can_be_sought_through(tmp_path: Path) -> None:
    """The index leads to every picture, from the last to the first."""
    path = tmp_path / "film.avi"
    write(path, 5.0, (48, 64))
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    for number, level in reversed(list(enumerate(LEVELS))):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        assert abs(capture.read()[1].mean() - level) <= ROUNDING


def test_chunks_lie_at_even_places(tmp_path: Path) -> None:
    """Every chunk is padded, as the format wants it, and its size is without the padding."""
    path = tmp_path / "film.avi"
    jpegs = [bytes([size]) * size for size in (1, 2, 3, 4, 5)]
    with path.open("wb+") as file:
        film = Avi(file, 5.0)
        for jpeg in jpegs:
            film.add(jpeg)
        film.finish((48, 64))
    content = path.read_bytes()
    assert struct.unpack("<4sI", content[:8]) == (b"RIFF", len(content) - 8)
    at, found = content.index(b"movi") + 4, []
    while content[at : at + 4] == b"00dc":
        (size,) = struct.unpack("<I", content[at + 4 : at + 8])
        found.append(content[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    assert found == jpegs
    assert content[at : at + 4] == b"idx1"
    assert len(content) == at + 8 + 16 * len(jpegs)
