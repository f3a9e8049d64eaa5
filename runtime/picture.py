"""Read a picture file the one way that workshop and device share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_config.errors import UnreadableImage
from runtime.frame import Image

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Endings of picture files, in lower case."""

_PNG_START, _PNG_END = b"\x89PNG", b"IEND"

if hasattr(cv2.utils, "logging"):  # not in OpenCV 4.6, which Debian 12 has, and its like on a Jetson
    # Its complaints would stand beside our own line about the same file.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def is_picture(path: Path) -> bool:
    """Tell by its name whether a file is a picture; files that start with a dot are not (`._photo.jpg`)."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def walk(folder: Path) -> Iterator[Path]:
    """Yield the pictures of a folder and its subfolders, sorted by path: the order never depends on the disk."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if is_picture(Path(name)):
                yield Path(root) / name


def read_picture(path: Path) -> Image:
    """Read a picture as uint8 [H, W, 3] BGR.

    Grey becomes three equal channels, 16 bits become the high 8, alpha is dropped, an EXIF rotation is applied.

    Raises:
        UnreadableImage: the file is absent, truncated, damaged or not a picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror})", where=str(path)) from error
    image = None
    cut_png = data.startswith(_PNG_START) and _PNG_END not in data  # libpng would print a line of its own
    if data and not cut_png:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:  # sizes beyond OpenCV's own limits
            image = None
    if image is None:
        raise UnreadableImage("truncated, damaged or not a picture that OpenCV can read", where=str(path))
    return np.asarray(image, dtype=np.uint8)
