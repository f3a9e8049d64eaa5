"""The heat map of an alert as browsers take it: percent of the threshold, a byte for each patch."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from edge_config.wire.messages import Part
from runtime.page.shapes import HeatShown

LEVELS = 65_535
"""Highest pixel value of the heat map of an alert."""

MAX_CELLS = 1 << 20

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY_16 = (16, 0, 0, 0, 0)
_HEAD = struct.Struct(">IIBBBBB")
_BYTES = 2  # of a pixel
_PERCENT = 100.0
_MAX_VALUE = 255


def of_alert(part: Part, data: bytes, threshold: float) -> HeatShown | None:
    """Return the heat map of an alert message; None if it cannot be read, or says nothing."""
    if part.min is None or part.max is None or threshold <= 0:
        return None
    try:
        levels = read_png(data)
    except (ValueError, struct.error, zlib.error):
        return None
    distances = part.min + (part.max - part.min) / LEVELS * levels.astype(np.float64)
    percent = _PERCENT / threshold * distances
    # Over the threshold, and only there, it is above 100.
    percent = np.where(
        distances > threshold, np.maximum(np.ceil(percent), _PERCENT + 1), np.minimum(np.floor(percent), _PERCENT)
    )
    values = np.clip(percent, 0, _MAX_VALUE).astype(np.uint8)
    rows, columns = values.shape
    text = base64.b64encode(values.tobytes()).decode("ascii")
    return HeatShown(rows=rows, columns=columns, area=part.area, values=text)


def read_png(data: bytes) -> NDArray[np.uint16]:
    """Read a PNG of 16 bits of grey, as alerts have it; the page does without OpenCV.

    Raises:
        ValueError: it is another kind of picture, or damaged.
    """
    if not data.startswith(_SIGNATURE):
        raise ValueError("not a PNG")
    at, packed, head = len(_SIGNATURE), b"", b""
    while at + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if name == b"IHDR":
            head = body
        elif name == b"IDAT":
            packed += body
        at += 12 + length
    width, height, *kind = _HEAD.unpack(head)
    if tuple(kind) != _GRAY_16 or not 0 < width * height <= MAX_CELLS:
        raise ValueError("another kind of PNG")
    size = height * (1 + _BYTES * width)
    unpacker = zlib.decompressobj()
    rows = unpacker.decompress(packed, size)
    if len(rows) != size:
        raise ValueError("a damaged PNG")
    return _unfilter(np.frombuffer(rows, np.uint8).reshape(height, -1)).view(">u2").astype(np.uint16)


def _unfilter(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels of filtered rows (PNG, section 9)."""
    done = np.zeros((len(rows), rows.shape[1] - 1), np.uint8)
    above = np.zeros(rows.shape[1] - 1, np.uint8)
    for number, row in enumerate(rows):
        kind, line = int(row[0]), row[1:].copy()
        if kind == 1:
            for byte in range(_BYTES):
                line[byte::_BYTES] = np.cumsum(line[byte::_BYTES], dtype=np.uint8)
        elif kind == 2:  # noqa: PLR2004 - the numbers of the standard
            line += above
        elif kind in {3, 4}:
            _by_left(line, above, kind)
        elif kind:
            raise ValueError("an unknown filter")
        done[number] = above = line
    return done


def _by_left(line: NDArray[np.uint8], above: NDArray[np.uint8], kind: int) -> None:
    """Undo the filters that need the pixel to the left: `Average` and `Paeth`."""
    values, up = line.tolist(), above.tolist()
    for at in range(len(values)):
        left, corner = (values[at - _BYTES], up[at - _BYTES]) if at >= _BYTES else (0, 0)
        guess = (left + up[at]) // 2 if kind == 3 else _paeth(left, up[at], corner)  # noqa: PLR2004 - as above
        values[at] = (values[at] + guess) & 0xFF
    line[:] = values


def _paeth(left: int, up: int, corner: int) -> int:
    about = left + up - corner
    return min((left, up, corner), key=lambda one: abs(about - one))
