"""Real streams that come in bursts, through the real capture process: their frames are taken up evenly."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_config.settings.sections import Camera
from runtime.camera.preview import Preview
from runtime.frame import Image, SharedFrame
from tests.support.fakes.hls import ENDLESS, FILE, FPS, PLAYLIST, SEGMENT_S, UNNAMED, in_bursts

pytestmark = [pytest.mark.slow, pytest.mark.alone]

BUSY = 0.7
"""At least so many of the frames are taken on a machine that is busy with other tests; of a burst that is not spread it
would be one in some twenty."""

SLOW_S, ENOUGH = 1 / 6, 18
"""What a frame takes, and how many are taken."""

EVEN_S = 0.5 * SEGMENT_S
"""Never so long without a frame; a burst that is not spread leaves nearly a whole segment."""


def taken(url: str, seconds: float) -> tuple[np.ndarray, Preview]:
    """Take frames for some seconds; give the times at which they were grabbed."""
    stamps: list[int] = []

    def each(frame: SharedFrame, _: Image | None) -> None:
        stamps.append(frame.t_mono_ns)

    with Preview(Camera(source=url), each) as preview:
        preview.open(20.0)
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            preview.turn(left_s)
    return np.array(stamps) / 1e9, preview


class _EnoughError(Exception):
    """So many frames were taken."""


def test_slow_device_looks_evenly(tmp_path: Path) -> None:
    """A consumer that takes a sixth of a second for each frame gets one in four or five of them, at even times."""
    stamps: list[int] = []
    busy = threading.Event()

    def each(frame: SharedFrame, _: Image | None) -> None:
        stamps.append(frame.t_mono_ns)
        busy.wait(SLOW_S)
        if len(stamps) == ENOUGH:
            raise _EnoughError

    with in_bursts(tmp_path / "clip", seconds=12) as stream:
        preview = Preview(Camera(source=stream.url + PLAYLIST), each)
        with contextlib.suppress(_EnoughError), preview:
            preview.open(20.0)
            while True:
                preview.turn(1.0)
    intervals_s = np.diff(np.array(stamps) / 1e9)
    assert np.median(intervals_s) < 2 * SLOW_S
    assert intervals_s.max() < EVEN_S
    assert preview.feed.dropped["newer"] > ENOUGH


@pytest.mark.parametrize(
    ("path", "by_ffmpeg", "known_after_s"),
    [
        pytest.param(PLAYLIST, False, 0.5, id="playlist"),
        pytest.param(
            PLAYLIST,
            True,
            0.5,
            id="playlist, H.264 of ffmpeg",
            marks=pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed: it makes the stream"),
        ),
        pytest.param(UNNAMED, False, 4.5, id="playlist that is not named so"),
        pytest.param(ENDLESS, False, 4.5, id="one answer"),
        pytest.param(FILE, False, 0.5, id="a whole video"),
    ],
)
def test_bursts_are_taken_up_evenly(tmp_path: Path, path: str, known_after_s: float, *, by_ffmpeg: bool) -> None:
    """Most frames are taken, at even times, though a second of them arrives at once; what is dropped is counted."""
    with in_bursts(tmp_path / "clip", seconds=12, by_ffmpeg=by_ffmpeg) as stream:
        at_s, preview = taken(stream.url + path, known_after_s + 2.5)
    assert preview.feed.paced
    assert preview.interruptions == []
    settled = at_s[at_s > at_s[0] + known_after_s]
    assert len(settled) >= BUSY * FPS * (settled[-1] - settled[0])
    assert np.diff(settled).max() < EVEN_S
    assert preview.feed.dropped["newer"] + preview.feed.dropped["no slot"] + preview.frames > FPS
