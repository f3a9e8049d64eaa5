"""Read the size of a JPEG from its head, without decoding it."""

from __future__ import annotations

_SOI = b"\xff\xd8"
_MARK = 0xFF
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of a frame header, which holds the size."""

_MIN_HEAD = 9


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width; None if it is not a JPEG."""
    if not data.startswith(_SOI):
        return None
    at = 2
    while at + _MIN_HEAD <= len(data) and data[at] == _MARK:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            height, width = (int.from_bytes(data[one : one + 2], "big") for one in (at + 5, at + 7))
            return (height, width) if height and width else None
        at += 2 + length
    return None
