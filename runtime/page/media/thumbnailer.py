"""The child that makes small JPEGs of stored pictures: it may die, and it can open neither files nor connections.

It gets a width, a length and a picture on its standard input, and writes a length and a JPEG, again and again; length 0
means that this is no picture. OpenCV is loaded here alone.
"""

from __future__ import annotations

import struct
import sys
from typing import Any, BinaryIO

from runtime.page import confined

MEMORY_MB = 600
"""Limit of the child's data: pixels of the largest picture, and what OpenCV takes."""

MAX_PIXELS = 100_000_000
QUALITY = 80

ASKED = struct.Struct("<II")
"""Maximum width of the JPEG, and length of the picture that follows."""

ANSWERED = struct.Struct("<I")
"""Length of the JPEG that follows."""

NO_OPENCV = 12
"""Exit code."""


def main() -> int:
    """Answer until the input ends; return the exit code."""
    confined.begin(int(sys.argv[1]), MEMORY_MB, MAX_PIXELS)
    try:
        import cv2
        import numpy as np
    except ImportError:
        return NO_OPENCV
    cv2.setNumThreads(1)
    cv2.imdecode(np.frombuffer(b"BM", np.uint8), cv2.IMREAD_COLOR)  # what it loads late, it loads now
    confined.close()
    _answer(cv2, np, sys.stdin.buffer, sys.stdout.buffer)
    return 0


def _answer(cv2: Any, np: Any, asked: BinaryIO, answers: BinaryIO) -> None:
    while len(head := asked.read(ASKED.size)) == ASKED.size:
        width, length = ASKED.unpack(head)
        jpeg = _small(cv2, np, asked.read(length), width)
        answers.write(ANSWERED.pack(len(jpeg)) + jpeg)
        answers.flush()


def _small(cv2: Any, np: Any, data: bytes, width: int) -> bytes:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            return b""
        if picture.shape[1] > width:
            height = max(1, round(picture.shape[0] * width / picture.shape[1]))
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    except (MemoryError, cv2.error):
        return b""
    return bytes(jpeg) if done else b""


if __name__ == "__main__":
    sys.exit(main())
