"""Ask a V4L2 device, without OpenCV: which formats and sizes it offers, and whether it is free."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable

_CAPTURE = 1
_DISCRETE = 1
_MAX_ITEMS = 64  # a driver that never ends its list must not hold us up

_FORMAT = struct.Struct("=III32sI16x")
_SIZE = struct.Struct("=III24s8x")
_REQUEST_BUFFERS = struct.Struct("=5I")
_MEMORY_MAPPED = 1
_ENUM_FMT, _REQBUFS, _ENUM_FRAMESIZES = 2, 8, 74

Ask = Callable[[int, int, bytearray], object]
"""As `fcntl.ioctl`: the descriptor, the request, and its argument, which becomes the answer."""


def formats(node: str, ask: Ask | None = None) -> list[str]:
    """Return the formats of a device node, such as "MJPG 640x480, 1280x720"; none if it is no camera.

    Of a camera that offers any size between two, these two.

    Args:
        node: such as /dev/video0.
        ask: asks the driver; by default `fcntl.ioctl`.
    """
    try:
        descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return _formats(descriptor, ask or fcntl.ioctl)
    finally:
        os.close(descriptor)


def reserve(descriptor: int) -> None:
    """Ask an open device for a buffer, which it has for one program only, and give it back.

    Raises:
        OSError: EBUSY if another program uses the device.
    """
    for count in (1, 0):
        asked = bytearray(_REQUEST_BUFFERS.pack(count, _CAPTURE, _MEMORY_MAPPED, 0, 0))
        fcntl.ioctl(descriptor, _request(_REQBUFS, _REQUEST_BUFFERS.size), asked)


def _formats(descriptor: int, ask: Ask) -> list[str]:
    found: list[str] = []
    for number in range(_MAX_ITEMS):
        answer = bytearray(_FORMAT.pack(number, _CAPTURE, 0, b"", 0))
        if not _answers(ask, descriptor, _request(_ENUM_FMT, _FORMAT.size), answer):
            break
        code = _FORMAT.unpack(answer)[4]
        name = struct.pack("=I", code).decode("ascii", errors="replace").strip("\0 ")
        found.append(f"{name} {', '.join(f'{width}x{height}' for width, height in _sizes(descriptor, ask, code))}")
    return found


def _sizes(descriptor: int, ask: Ask, code: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in range(_MAX_ITEMS):
        answer = bytearray(_SIZE.pack(number, code, 0, b""))
        if not _answers(ask, descriptor, _request(_ENUM_FRAMESIZES, _SIZE.size), answer):
            break
        _, _, kind, sides = _SIZE.unpack(answer)
        if kind != _DISCRETE:
            min_width, max_width, _, min_height, max_height, _ = struct.unpack("=6I", sides)
            return [(min_width, min_height), (max_width, max_height)]
        width, height = struct.unpack_from("=2I", sides)
        found.append((width, height))
    return found


def _answers(ask: Ask, descriptor: int, request: int, answer: bytearray) -> bool:
    try:
        ask(descriptor, request, answer)
    except OSError:  # the end of the list, or not supported
        return False
    return True


def _request(number: int, size: int) -> int:
    """Return the code of a request, as the kernel's _IOWR('V', number, size)."""
    return (3 << 30) | (size << 16) | (ord("V") << 8) | number
