"""A frame as a PNG, without loss. The main process does without OpenCV, and zlib of the standard library is enough."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from runtime.frame import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2  # filter of a row: the difference to the row above
_LEVEL = 6
_MEMORY = 9
_WINDOW_BITS = 15


def encode(image: Image) -> bytes:
    """Return a frame as a PNG.

    Args:
        image: uint8 [H, W, 3] BGR.
    """
    height, width, channels = image.shape
    rgb = image[..., ::-1].reshape(height, width * channels)
    rows = np.empty((height, 1 + width * channels), np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = rgb[0]
    np.subtract(rgb[1:], rgb[:-1], out=rows[1:, 1:])
    # Runs only: of a camera's noise no strategy makes less, and none is faster (250 ms for 1920 x 1080).
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY, zlib.Z_RLE)
    data = packer.compress(rows.data) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    return b"".join([_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b"")])


def _chunk(name: bytes, data: bytes) -> bytes:
    return b"".join([struct.pack(">I", len(data)), name, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))])
