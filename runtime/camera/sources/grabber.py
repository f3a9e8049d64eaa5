"""A live source that OpenCV has opened: grab a frame when it comes, decode it only if it is wanted."""

from __future__ import annotations

import math
from typing import Protocol

import cv2
import numpy as np

from runtime.camera.protocol import Declared
from runtime.frame import Image


class Grabber(Protocol):
    """A camera as OpenCV shows it. Tests put cameras that misbehave in its place."""

    def grab(self) -> bool:
        """Wait for the next frame; False after the last one."""

    def retrieve(self) -> Image | None:
        """Decode the frame that was grabbed; None if that fails."""

    def release(self) -> None:
        """Free the device."""


class OpenCvGrabber:
    """A `Grabber` over an OpenCV capture."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        """Take an open capture."""
        self._capture = capture

    def grab(self) -> bool:
        """As `Grabber`."""
        return self._capture.grab()

    def retrieve(self) -> Image | None:
        """As `Grabber`."""
        there, image = self._capture.retrieve()
        return np.asarray(image, dtype=np.uint8) if there else None

    def release(self) -> None:
        """As `Grabber`."""
        self._capture.release()

    def declared(self, formats: tuple[str, ...]) -> Declared:
        """Return what the source declares about itself; `formats` were asked for before it was opened."""
        found = [self._capture.get(what) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return Declared(
            backend=self._capture.getBackendName(),
            format=_letters(self._capture.get(cv2.CAP_PROP_FOURCC)),
            size=(max(0, round(found[0])), max(0, round(found[1]))),
            fps=round(fps, 3) if 0 < fps < math.inf else 0.0,
            formats=formats,
        )


def stamp_s(capture: cv2.VideoCapture) -> float | None:
    """Return the time stamp of the frame that was grabbed last, seconds from the first; None if it has none."""
    stamp_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
    return stamp_ms / 1000 if math.isfinite(stamp_ms) else None


def _letters(code: float) -> str:
    """Return the four letters of a codec or pixel format; empty for a number that is none."""
    letters = int(code).to_bytes(4, "little", signed=code < 0)
    return letters.decode("ascii") if letters.isalnum() else ""
