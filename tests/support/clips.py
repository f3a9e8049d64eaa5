"""Clips as devices write them, of flat grey pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from runtime.clips.avi import Avi


def grey_jpeg(level: int, hw: tuple[int, int]) -> bytes:
    """Make a JPEG of one grey."""
    return cv2.imencode(".jpg", np.full((*hw, 3), level, np.uint8))[1].tobytes()


def write_clip(path: Path, levels: Sequence[int], fps: float = 5.0, hw: tuple[int, int] = (48, 64)) -> Path:
    """Write a clip with a picture of each grey level."""
    with path.open("wb+") as file:
        film = Avi(file, fps)
        for level in levels:
            film.add(grey_jpeg(level, hw))
        film.finish(hw)
    return path
