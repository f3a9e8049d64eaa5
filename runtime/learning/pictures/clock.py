"""The time of pictures: of the frames of a video, and of what `patchedge record` wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

import cv2

from edge_config.errors import UnreadableImage
from runtime.camera.sources.recording import DEFAULT_FPS, MAX_FPS, open_recording, open_video
from runtime.frame import Image
from runtime.learning.pictures.images import Pictures

_NS = 1e9

_STAMP = re.compile(r"(\d{8}T\d{6})\.(\d{3})Z-\d+")
"""Name of a picture by `runtime.tools.record`: time of its capture, UTC, and number of the frame."""


def times_of(pictures: Pictures) -> list[float] | None:
    """Return the time of each picture that there is, seconds, ascending; None if they have no time.

    That of a video is even, by the frame rate that it declares; the frames' own time is known when they are read.
    """
    if not pictures.is_video:
        return _stamps(pictures.files)
    video = open_video(pictures.path)
    declared = video.get(cv2.CAP_PROP_FPS)
    video.release()
    rate = declared if 0 < declared <= MAX_FPS else DEFAULT_FPS
    return [number / rate for number in range(pictures.found)]


def read_timed(pictures: Pictures, spans: Sequence[range]) -> Iterator[tuple[int, float, Image]]:
    """Yield place, time in seconds and picture of all that there is in some spans, which are in ascending order.

    Pictures that cannot be read are passed over: a device does not score them either.
    """
    return _read_video(pictures, spans) if pictures.is_video else _read_files(pictures, spans)


def _stamps(files: Sequence[Path]) -> list[float] | None:
    times = []
    for file in files:
        found = _STAMP.fullmatch(file.stem)
        if found is None:
            return None
        second = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
        times.append(second.timestamp() + int(found[2]) / 1000)
    return times if times == sorted(times) else None


def _read_video(pictures: Pictures, spans: Sequence[range]) -> Iterator[tuple[int, float, Image]]:
    recording = open_recording(str(pictures.path), pace="max")
    try:
        while (frame := recording.read()) is not None and frame.frame_id <= spans[-1].stop:
            number = frame.frame_id - 1
            if any(number in span for span in spans) and frame.image is not None:
                yield number, frame.clock_ns / _NS, frame.image
    finally:
        recording.close()


def _read_files(pictures: Pictures, spans: Sequence[range]) -> Iterator[tuple[int, float, Image]]:
    times = _stamps(pictures.files) or []
    for number in chain.from_iterable(spans):
        with suppress(UnreadableImage):
            yield number, times[number], pictures.read(pictures.files[number])
