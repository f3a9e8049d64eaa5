"""List the formats and sizes of a Video4Linux camera."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

_CAPTURE = 1
_DISCRETE = 1
_MAX_ENTRIES = 64  # a driver that never ends its list must not hold us

_FORMAT = struct.Struct("=III32sI16x")
_SIZE = struct.Struct("=III24s8x")
_ENUM_FMT, _ENUM_FRAMESIZES = 2, 74

Ask = Callable[[int, int, bytearray], object]
"""As `fcntl.ioctl`: the descriptor, the request, and what it is about, which becomes the answer."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of the pictures.

    Attributes:
        name: four letters, such as MJPG.
        sizes: width and height, pixels; of a camera that takes any between two, these two.
    """

    name: str
    sizes: tuple[tuple[int, int], ...]


def formats(node: str, ask: Ask | None = None) -> list[Format]:
    """List the formats of a device node; empty for what is no camera, or does not say.

    Args:
        node: such as /dev/video0.
        ask: puts a question to the driver; by default `fcntl.ioctl`.
    """
    try:
        descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return _formats(descriptor, ask or fcntl.ioctl)
    finally:
        os.close(descriptor)


def _formats(descriptor: int, ask: Ask) -> list[Format]:
    found: list[Format] = []
    for number in range(_MAX_ENTRIES):
        answer = bytearray(_FORMAT.pack(number, _CAPTURE, 0, b"", 0))
        if not _answers(ask, descriptor, _request(_ENUM_FMT, _FORMAT.size), answer):
            break
        code = _FORMAT.unpack(answer)[4]
        name = struct.pack("=I", code).decode("ascii", errors="replace").strip("\0 ")
        found.append(Format(name, tuple(_sizes(descriptor, ask, code))))
    return found


def _sizes(descriptor: int, ask: Ask, code: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in range(_MAX_ENTRIES):
        answer = bytearray(_SIZE.pack(number, code, 0, b""))
        if not _answers(ask, descriptor, _request(_ENUM_FRAMESIZES, _SIZE.size), answer):
            break
        _, _, kind, sides = _SIZE.unpack(answer)
        if kind != _DISCRETE:
            least_width, most_width, _, least_height, most_height, _ = struct.unpack("=6I", sides)
            return [(least_width, least_height), (most_width, most_height)]
        width, height = struct.unpack_from("=2I", sides)
        found.append((width, height))
    return found


def _answers(ask: Ask, descriptor: int, request: int, answer: bytearray) -> bool:
    try:
        ask(descriptor, request, answer)
    except OSError:  # the end of the list, or not asked in this way
        return False
    return True


def _request(number: int, size: int) -> int:
    """Return the code of a question that is written and read, as the kernel's _IOWR('V', number, size)."""
    return (3 << 30) | (size << 16) | (ord("V") << 8) | number
