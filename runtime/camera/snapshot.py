"""JPEG snapshots of bounded size, for clients that want to see a camera now; made in the capture process."""

from __future__ import annotations

import cv2

from runtime.frame import Image

MAX_BYTES = 900_000
"""Of a picture: with what is said of it, it fits into a reply."""

_SMALLER = 0.7  # a picture that is too large is made smaller by this much, and tried again


def jpeg(image: Image, width: int, quality: int) -> tuple[bytes, tuple[int, int]]:
    """Return a frame as a JPEG, and the height and width of that.

    Args:
        image: uint8 [H, W, 3] BGR.
        width: pixels; a wider frame is reduced, and one whose JPEG would be larger than `MAX_BYTES` still further.
        quality: 1 to 100.

    Raises:
        ValueError: OpenCV makes no JPEG of it.
    """
    width = min(width, image.shape[1])
    while True:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        small = image
        if width < image.shape[1]:
            small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        try:
            done, data = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, quality))
        except cv2.error as error:
            raise ValueError(f"{width} x {height} is no size of a JPEG") from error
        if not done:
            raise ValueError(f"{width} x {height} is no size of a JPEG")
        if data.nbytes <= MAX_BYTES:
            return data.tobytes(), (small.shape[0], small.shape[1])
        width = max(1, int(width * _SMALLER))
