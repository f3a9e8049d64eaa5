"""JPEG snapshots of bounded size, for clients that want to see a camera now; for alerts see `runtime/jpeg.py`."""

from __future__ import annotations

from runtime import jpeg
from runtime.frame import Image

MAX_BYTES = 900_000
"""Of a snapshot: with its description it fits into a reply."""

_SMALLER = 0.7  # a snapshot that is too large is reduced by this factor, and tried again


def snapshot(image: Image, width: int, quality: int) -> tuple[bytes, tuple[int, int]]:
    """Return a frame as a JPEG, and its height and width.

    Args:
        image: uint8 [H, W, 3] BGR.
        width: pixels; a wider frame is reduced, and one whose JPEG would be larger than `MAX_BYTES` still further.
        quality: 1 to 100.

    Raises:
        ValueError: it is too large for a JPEG.
    """
    width = min(width, image.shape[1])
    while True:
        data, hw = jpeg.encode(image, quality, width)
        if len(data) <= MAX_BYTES:
            return data, hw
        width = max(1, int(width * _SMALLER))
