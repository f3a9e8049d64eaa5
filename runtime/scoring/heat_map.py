"""Encode the heat map of an alert: patch distances as a grey PNG of 16 bits, one pixel a patch.

Every browser and picture library opens it. The part has the distances of the darkest and the brightest level.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_config.wire.messages import Box, Part

PNG = "image/png"
LEVELS = 65535


def encode(distances: NDArray[np.float32], area: Box) -> tuple[Part, bytes]:
    """Return the part of a heat map, and its bytes.

    Args:
        distances: patch distances, float32 [rows, columns], finite.
        area: box of the camera frame that they cover, in cells of equal size.
    """
    least, largest = float(distances.min()), float(distances.max())
    span = largest - least or 1.0
    levels = np.rint((distances.astype(np.float64) - least) * (LEVELS / span)).astype(np.uint16)
    _, data = cv2.imencode(".png", levels)
    part = Part(
        name="heat_map",
        media_type=PNG,
        dtype="uint16",
        shape=distances.shape,
        area=area,
        min=least,
        max=largest,
    )
    return part, data.tobytes()


def decode(part: Part, data: bytes) -> NDArray[np.float32]:
    """Return the patch distances of a heat map, float32 [rows, columns], with a precision of 1 / 65,535 of their range.

    Raises:
        ValueError: the bytes do not match the part.
    """
    if part.media_type != PNG or part.min is None or part.max is None:
        raise ValueError(f"a heat map of type {part.media_type}")
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if levels is None or levels.dtype != np.uint16 or levels.shape != part.shape:
        raise ValueError("not the picture that it should be")
    return (part.min + levels * ((part.max - part.min) / LEVELS)).astype(np.float32)
