"""Read a stored clip in parts, and nothing else: whatever the name, no file outside of the folder is opened."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from edge_config.errors import RequestError
from runtime.clips.folder import NAME

MAX_HASHES = 32
"""Maximum number of clips whose hash is remembered: a clip is hashed with the first of its parts."""

_Identity = tuple[int, int, int, int]


class ReadPart(NamedTuple):
    """Bytes of a clip, with its size in bytes and the sha256 of the whole in hex."""

    data: bytes
    size: int
    sha256: str


class ClipReader:
    """Reads clips of one folder. Use it from one thread."""

    def __init__(self, folder: str) -> None:
        """Take the folder; empty: no clips are made."""
        self._folder = folder
        self._hashes: OrderedDict[_Identity, str] = OrderedDict()

    def read(self, camera: str, clip: str, offset: int, max_bytes: int) -> ReadPart:
        """Return the bytes of a clip from `offset` on, at most `max_bytes`; none behind its end.

        Raises:
            RequestError: it is not the name of a clip of this camera, there is no such clip, it is still being written,
                or it cannot be read.
        """
        match = NAME.fullmatch(clip)
        if match is None or match["camera"] != camera:
            raise RequestError(f"`{clip}` is not the name of a clip of camera `{camera}`")
        if not self._folder:
            raise RequestError("this device makes no clips", remedy="set clips.folder in its settings")
        try:
            descriptor = self._open(clip)
        except FileNotFoundError:
            raise self._absent(clip) from None
        except OSError as error:
            said = "a link, which is never followed" if error.errno == errno.ELOOP else error.strerror
            raise RequestError(f"clip `{clip}` cannot be read ({said})") from error
        try:
            return self._read(descriptor, clip, offset, max_bytes)
        except OSError as error:
            raise RequestError(f"clip `{clip}` cannot be read ({error.strerror})") from error
        finally:
            os.close(descriptor)

    def _open(self, clip: str) -> int:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:  # O_NONBLOCK: a pipe under this name must not hold the thread
            return os.open(clip, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)

    def _absent(self, clip: str) -> RequestError:
        if (Path(self._folder) / f".{clip}.part").exists():
            return RequestError(f"clip `{clip}` is still being written", remedy="retry when its alert is over")
        return RequestError(f"there is no clip `{clip}`: it is too old, or was not recorded")

    def _read(self, descriptor: int, clip: str, offset: int, max_bytes: int) -> ReadPart:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise RequestError(f"clip `{clip}` is not a regular file")
        sha256 = self._hash(descriptor, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
        return ReadPart(os.pread(descriptor, max_bytes, offset), found.st_size, sha256)

    def _hash(self, descriptor: int, identity: _Identity) -> str:
        """Return the sha256 of a file, which is computed once."""
        if identity not in self._hashes:
            digest = hashlib.sha256()
            with os.fdopen(os.dup(descriptor), "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            self._hashes[identity] = digest.hexdigest()
        self._hashes.move_to_end(identity)
        while len(self._hashes) > MAX_HASHES:
            self._hashes.popitem(last=False)
        return self._hashes[identity]
