"""Decode picture files the one way that export and device share."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.manifest import FULL_DEPTH
from edge_config.errors import UnreadableImage
from runtime.frame import Image
from runtime.process.memory_error import out_of_memory

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Endings of picture files, in lower case."""

Deep = NDArray[np.uint8 | np.uint16]
"""Pixels with all of their bits, [H, W, 3] BGR."""

EVERY_BIT = 8
"""A depth at which no value but 0 becomes black, and all from 255 on are white: for masks."""

_PNG_START, _PNG_END = b"\x89PNG", b"IEND"

if hasattr(cv2.utils, "logging"):  # not in OpenCV 4.6, which Debian 12 has, and its like on a Jetson
    # Its complaints would stand beside our own line about the same file.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture, by its name; files that start with a dot are not (`._photo.jpg`)."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def walk(folder: Path) -> Iterator[Path]:
    """Yield the pictures of a folder and its subfolders, sorted by path: the order never depends on the disk."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if is_picture(Path(name)):
                yield Path(root) / name


def passed_over(folder: Path) -> Counter[str]:
    """Count the files below a folder that `walk` passes over, by suffix in lower case; hidden files do not count."""
    names = (Path(name) for _, _, files in os.walk(folder) for name in files if not name.startswith("."))
    return Counter(name.suffix.lower() or "no suffix" for name in names if not is_picture(name))


def in_words(counts: Counter[str], limit: int = 6) -> str:
    """Return counts by suffix in a few words, the most frequent first: `12 .avif, 3 .heic`."""
    rest = counts.total() - sum(count for _, count in counts.most_common(limit))
    shown = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(limit))
    return f"{shown}, {rest} of other kinds" if rest else shown


def bytes_of(path: Path) -> bytes:
    """Return what a file holds; one would wait for a pipe, and a device may never end."""
    try:
        mode = path.stat().st_mode
        data = path.read_bytes() if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else None
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror})", where=str(path)) from error
    if data is None:
        raise UnreadableImage("a pipe, a socket or a device, not a file", where=str(path))
    return data


def read_picture(path: Path, depth: int = FULL_DEPTH, opened: Callable[[Path], bytes] = bytes_of) -> Image:
    """Read a picture as uint8 [H, W, 3] BGR.

    Grey becomes three equal channels, alpha is dropped, an EXIF rotation is applied.

    Args:
        path: of the file.
        depth: bits that are used in pictures of 16 bits, 8 to 16: the high 8 of these are kept, and what is larger is
            white. It is the bundle's, the same for every picture. Pictures of 8 bits stay as they are.
        opened: reads the bytes of the file.

    Raises:
        UnreadableImage: the file is absent, truncated, damaged or not a picture.
    """
    if depth == FULL_DEPTH:
        return np.asarray(_decode(path, cv2.IMREAD_COLOR, opened), dtype=np.uint8)
    return to_8_bits(read_deep(path, opened), depth)


def read_deep(path: Path, opened: Callable[[Path], bytes] = bytes_of) -> Deep:
    """Read a picture as `read_picture` does, but with all of its bits: uint8 or uint16 [H, W, 3] BGR.

    Raises:
        UnreadableImage: also where its pixels are neither.
    """
    image = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, opened)
    if image.dtype not in (np.uint8, np.uint16):
        raise UnreadableImage(f"its pixels are {image.dtype}", where=str(path), remedy="save it with 8 or 16 bits")
    return image


def to_8_bits(image: Deep, depth: int) -> Image:
    """Keep the high 8 of the `depth` low bits of pixels of 16 bits; what is larger is white. 8 bits stay."""
    if image.dtype == np.uint8:
        return np.asarray(image, dtype=np.uint8)
    return np.asarray(np.minimum(image >> (depth - 8), np.iinfo(np.uint8).max), dtype=np.uint8)


def _decode(path: Path, flags: int, opened: Callable[[Path], bytes]) -> NDArray[Any]:
    data = opened(path)
    image = None
    cut_png = data.startswith(_PNG_START) and _PNG_END not in data  # libpng would print a line of its own
    if data and not cut_png:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            told = out_of_memory(error)
            if told is not None:
                raise told from error
            image = None  # sizes beyond OpenCV's own limits
    if image is None:
        raise UnreadableImage("truncated, damaged or not a picture that OpenCV can read", where=str(path))
    return image
