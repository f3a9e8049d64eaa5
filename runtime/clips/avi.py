"""Motion JPEG in an AVI file, which every player and OpenCV itself can play.

OpenCV's own writer is not used: it says that all is well while the disk is full, and it wants pixels, where the JPEGs
are made already. The format: RIFF chunks of a name, a size and as many bytes, padded to an even number; a header, the
pictures, and an index of them.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_PICTURE = b"00dc"
_HAS_INDEX = 0x10
_KEY_FRAME = 0x10
_MILLI = 1000


class Avi:
    """A film in a file, picture by picture. All methods may raise what the file raises.

    Attributes:
        size: bytes that the whole film would have now.
        pictures: how many it has.
    """

    def __init__(self, file: BinaryIO, fps: float) -> None:
        """Begin a film of `fps` pictures a second in an empty file, open for reading and writing, at its start."""
        self.pictures = 0
        self._file = file
        self._fps = fps
        self._index = bytearray()
        self._largest = 0
        self._data_bytes = len(b"movi")
        self._header_bytes = len(self._header((0, 0)))
        file.write(bytes(self._header_bytes))  # written when all of it is known

    @property
    def size(self) -> int:
        """Return the bytes of the film."""
        return self._header_bytes + self._data_bytes - len(b"movi") + len(_chunk(b"idx1", b"")) + len(self._index)

    def add(self, jpeg: bytes) -> None:
        """Put a picture at the end."""
        chunk = _chunk(_PICTURE, jpeg)
        self._file.write(chunk)
        self._index += struct.pack("<4s3I", _PICTURE, _KEY_FRAME, self._data_bytes, len(jpeg))
        self._data_bytes += len(chunk)
        self._largest = max(self._largest, len(jpeg))
        self.pictures += 1

    def finish(self, hw: tuple[int, int]) -> None:
        """Write index and header, for pictures of this height and width; the file is whole then, and still open."""
        self._file.write(_chunk(b"idx1", self._index))
        self._file.seek(0)
        self._file.write(self._header(hw))
        self._file.flush()

    def _header(self, hw: tuple[int, int]) -> bytes:
        """Make all that stands before the first picture."""
        height, width = hw
        interval_us = round(1e6 / self._fps)
        bytes_per_s = round(self._largest * self._fps)
        main = (interval_us, bytes_per_s, 0, _HAS_INDEX, self.pictures, 0, 1, self._largest, width, height)
        rate = (_MILLI, round(self._fps * _MILLI), 0, self.pictures, self._largest)
        stream = struct.pack("<4s4sI2HI5IiI4H", b"vids", b"MJPG", 0, 0, 0, 0, *rate, -1, 0, 0, 0, width, height)
        bitmap = struct.pack("<Iii2H4s5I", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
        streams = _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", bitmap))
        lists = _list(b"hdrl", _chunk(b"avih", struct.pack("<10I16x", *main)) + streams)
        movie = struct.pack("<4sI4s", b"LIST", self._data_bytes, b"movi")
        index_bytes = len(_chunk(b"idx1", b"")) + len(self._index)
        riff_bytes = len(b"AVI ") + len(lists) + len(movie) + self._data_bytes - len(b"movi") + index_bytes
        return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"AVI ") + lists + movie


def _chunk(name: bytes, content: bytes | bytearray) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _list(name: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", name + content)
