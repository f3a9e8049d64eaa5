"""What a source declares about itself (codec, size, rate), which need not be true."""

from __future__ import annotations

import msgspec


class Declared(msgspec.Struct, frozen=True):
    """What a source says of itself.

    Attributes:
        backend: of OpenCV that opened it.
        format: four letters of its codec or of its pictures; empty where it does not say.
        size: width and height, pixels; zeros where it does not say.
        fps: pictures a second; 0 where it does not say.
        formats: what a camera could give, one line each.
    """

    backend: str = ""
    format: str = ""
    size: tuple[int, int] = (0, 0)
    fps: float = 0.0
    formats: tuple[str, ...] = ()
