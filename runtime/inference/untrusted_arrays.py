"""Arrays in files, read without trust: nothing is allocated that the file does not hold, and nothing is unpickled.

numpy's own reader allocates what a header claims before it looks whether there is so much, and evaluates the header as
a Python expression. What `np.save` writes needs neither.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_ARRAYS = 64
MOST_ARCHIVE_BYTES = 64 << 20
"""Of all arrays in an archive together: golden frames are no larger than 640 pixels, and there are four."""

_MAGIC = b"\x93NUMPY\x01\x00"
_LENGTH = struct.Struct("<H")
_ENDING = ".npy"
_MOST_SIDES = 4
_CHUNK_BYTES = 1 << 20
_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER = re.compile(
    rb"\{'descr': '(<f4|<f8|<i4|<i8|\|u1)', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,10}, )*(?:[0-9]{1,10},?)?)\), \} *\n"
)

_END = struct.Struct("<4s4H2LH")  # of an archive: the directory's end
_END_MARK, _END_64_MARK = b"PK\x05\x06", b"PK\x06\x07"
_END_64_BYTES = 20
_MOST_DIRECTORY_BYTES = 1 << 16


def read_array(path: Path) -> Array:
    """Read a .npy file.

    Raises:
        ValueError: it is not what `np.save` writes of plain numbers, or has another size than its header says.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return _read(stream, path.stat().st_size)


def read_archive(path: Path, only: str | None = None) -> dict[str, Array]:
    """Read a .npz file, name -> array; or one array of it, if it is there.

    Raises:
        ValueError: it is not what `np.savez` writes of plain numbers, or holds more than any bundle needs.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        _check_directory(stream)
        try:
            with zipfile.ZipFile(stream) as archive:
                members = archive.infolist()
                _check_members(members)
                wanted = {member.filename.removesuffix(_ENDING): member for member in members}
                return {name: _member(archive, member) for name, member in wanted.items() if only in {None, name}}
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error) as error:
            raise ValueError(f"not an archive: {error}") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as stream:
        return _read(stream, member.file_size)


def _read(stream: IO[bytes], size: int) -> Array:
    """Read an array that `size` bytes are there for."""
    start = stream.read(len(_MAGIC) + _LENGTH.size)
    if not start.startswith(_MAGIC) or len(start) < len(_MAGIC) + _LENGTH.size:
        raise ValueError("not an array of format 1.0")
    (length,) = _LENGTH.unpack_from(start, len(_MAGIC))
    header = stream.read(length)
    found = _HEADER.fullmatch(header)
    if not found:
        raise ValueError(f"not the header of plain numbers: {header[:80]!r}")
    kind = np.dtype(found[1].decode())
    shape = tuple(int(side) for side in found[3].split(b",") if side.strip())
    wanted = math.prod(shape) * kind.itemsize
    if wanted != size - len(start) - len(header):
        raise ValueError(f"{size} bytes, its header says {kind} {shape}")
    if len(shape) > _MOST_SIDES:
        raise ValueError(f"{len(shape)} dimensions")
    array: Array = np.empty(math.prod(shape), dtype=kind)
    _fill(stream, array)
    return array.reshape(shape[::-1]).T if found[2] == b"True" else array.reshape(shape)


def _fill(stream: IO[bytes], array: Array) -> None:
    """Read into the memory of an array, with no second copy of it."""
    room, at = array.view(np.uint8).data, 0
    while at < len(room):
        part = stream.read(min(len(room) - at, _CHUNK_BYTES))
        if not part:
            raise ValueError("it ends too early")
        room[at : at + len(part)] = part
        at += len(part)


def _check_directory(stream: IO[bytes]) -> None:
    """Look at the end of an archive, before zipfile reads as long a directory as is claimed there."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - _END.size - _END_64_BYTES))
    tail = stream.read()
    end = tail[-_END.size :]
    if len(end) < _END.size or not end.startswith(_END_MARK) or tail.startswith(_END_64_MARK):
        raise ValueError("not an archive of arrays")
    _, _, _, _, entries, length, _, _ = _END.unpack(end)
    if size > MOST_ARCHIVE_BYTES or entries > MOST_ARRAYS or length > _MOST_DIRECTORY_BYTES:
        raise ValueError(f"{entries} arrays in {size} bytes: more than any bundle holds")
    stream.seek(0)


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    if len({member.filename for member in members}) != len(members):
        raise ValueError("holds an array twice")
    if len(members) > MOST_ARRAYS or sum(member.file_size for member in members) > MOST_ARCHIVE_BYTES:
        raise ValueError(f"unpacks to more than {MOST_ARCHIVE_BYTES} bytes")
    for member in members:
        if not member.filename.endswith(_ENDING) or member.flag_bits & 1 or member.compress_type not in _COMPRESSION:
            raise ValueError(f"holds {member.filename[:80]!r}, which is no array")
