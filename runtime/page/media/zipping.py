"""Make a ZIP archive piece by piece, for a response that is sent while it is made."""

from __future__ import annotations

import io
import time
import zipfile

_FIRST_S, _LAST_S = 315_532_800, 4_354_819_198
"""Times that ZIP knows: from 1980 to 2107."""


class ZipPieces:
    """A ZIP archive whose bytes are taken away as they come; a file is in memory only while it is added."""

    def __init__(self) -> None:
        """Begin an empty archive."""
        self._out = _Pipe()
        self._zip = zipfile.ZipFile(self._out, "w")
        self.bytes = 0

    def add(self, name: str, data: bytes, *, compressed: bool = False, at_s: float | None = None) -> bytes:
        """Add a file, and return the next bytes of the archive.

        Args:
            name: path in the archive, with / between folders.
            data: its content.
            compressed: compress it; pictures are compressed already.
            at_s: its time, seconds since 1970 UTC; by default now. What ZIP has no number for (a device whose clock
                began anew) is the nearest that it has.
        """
        at_s = time.time() if at_s is None else min(max(at_s, _FIRST_S), _LAST_S)
        info = zipfile.ZipInfo(name, time.gmtime(at_s)[:6])
        info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
        info.external_attr = 0o644 << 16
        self._zip.writestr(info, data)
        return self._taken()

    def end(self) -> bytes:
        """Return the last bytes."""
        self._zip.close()
        return self._taken()

    def _taken(self) -> bytes:
        data = self._out.take()
        self.bytes += len(data)
        return data


class _Pipe(io.RawIOBase):
    """A file that only goes forward."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._data += piece
        return len(piece)

    def take(self) -> bytes:
        data, self._data = bytes(self._data), bytearray()
        return data
