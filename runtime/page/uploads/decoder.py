"""The child that decodes an uploaded picture: it may die, and it can open neither files nor connections.

It gets the bytes on its standard input, and writes height and width, then the pixels, or one line of JSON about what is
wrong. OpenCV is loaded here alone; its decoders have had faults that a picture could use.
"""

from __future__ import annotations

import resource
import struct
import sys
from typing import Any

from runtime.page import confined

MEMORY_MB = 700
"""Limit of the child's data: pixels of the largest picture, before and after it was turned, and what OpenCV takes."""

CPU_S = 10
MAX_PIXELS = 50_000_000
"""Maximum size of a picture."""

HEAD = struct.Struct("<4sIIII")
"""Start of the output: b"BGR\\0", height and width of the pixels, height and width of the picture as it was."""

GOOD = b"BGR\0"
NOT_A_PICTURE, TOO_LARGE, NO_OPENCV, NO_MEMORY = 10, 11, 12, 13
"""Exit codes."""

_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*")


def is_allowed(data: bytes) -> bool:
    """Return whether bytes begin like a JPEG, PNG, WebP, BMP or TIFF."""
    return data.startswith(_STARTS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def main() -> int:
    """Decode one picture; return the exit code."""
    parent, most_bytes = (int(word) for word in sys.argv[1:3])
    confined.begin(parent, MEMORY_MB, MAX_PIXELS)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    try:
        import cv2
        import numpy as np
    except ImportError:
        return NO_OPENCV
    cv2.setNumThreads(1)
    cv2.imdecode(np.frombuffer(b"BM", np.uint8), cv2.IMREAD_COLOR)  # what it loads late, it loads now
    confined.close()
    return _decode(cv2, np, sys.stdin.buffer.read(), most_bytes)


def _decode(cv2: Any, np: Any, data: bytes, most_bytes: int) -> int:
    if not is_allowed(data):
        return NOT_A_PICTURE
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            return NOT_A_PICTURE
        height, width = picture.shape[:2]
        if picture.nbytes > most_bytes:
            shrink = (most_bytes / picture.nbytes) ** 0.5
            size = max(1, int(width * shrink)), max(1, int(height * shrink))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    except MemoryError:
        return NO_MEMORY
    except cv2.error as error:
        return _of_opencv(str(error))
    out = sys.stdout.buffer
    out.write(HEAD.pack(GOOD, picture.shape[0], picture.shape[1], height, width))
    out.write(memoryview(np.ascontiguousarray(picture)).cast("B"))
    out.flush()
    return 0


def _of_opencv(text: str) -> int:
    if "MAX_IMAGE" in text:
        return TOO_LARGE
    return NO_MEMORY if "nsufficient memory" in text or "allocate" in text else NOT_A_PICTURE


if __name__ == "__main__":
    sys.exit(main())
