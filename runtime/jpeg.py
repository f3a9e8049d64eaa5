"""JPEG encoding of frames: for an alert (by `scoring/alert_detail.py`), for the request `picture` and for clips."""

from __future__ import annotations

import cv2

from runtime.frame import Image


def encode(image: Image, quality: int, width: int | None = None) -> tuple[bytes, tuple[int, int]]:
    """Return a frame as a JPEG, and its height and width.

    Args:
        image: uint8 [H, W, 3] BGR.
        quality: 1 to 100.
        width: pixels; a wider frame is reduced to it.

    Raises:
        ValueError: it is too large for a JPEG.
    """
    height, full = image.shape[:2]
    if width is not None and width < full:
        height, full = max(1, round(height * width / full)), width
        image = cv2.resize(image, (full, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    try:
        done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    except cv2.error as error:
        raise ValueError(f"{full} x {height} is no size of a JPEG") from error
    if not done:
        raise ValueError(f"{full} x {height} is no size of a JPEG")
    return data.tobytes(), (height, full)
