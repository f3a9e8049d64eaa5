"""Validate the header of an hnswlib 0.8 index without hnswlib, because `load_index` trusts whatever it reads.

The header is, in native byte order (little endian on every machine that we run on): offset of level 0, room for
elements, elements, bytes per element, offset of the label, offset of the data (6 x uint64), highest level
(int32), entry point (uint32), links per element above level 0, on level 0, M (3 x uint64), a multiplier (float64),
ef_construction (uint64). Then one record per element on level 0: a link count and links (uint32), the vector
(float32), its label (uint64).
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.errors import BundleIndexInvalid

_HEADER = struct.Struct("<6QiI3QdQ")
SIZE = _HEADER.size
"""Bytes."""

_FIELDS = (
    *("offset of level 0", "room", "elements", "bytes per element", "offset of the label", "offset of the data"),
    *("level", "entry", "links above level 0", "links on level 0", "M"),
)
_LEVEL, _ENTRY = 6, 7  # places in the header
_RECORDS = 1024  # read at a time: no second copy of the bank in memory
_LINK_BYTES, _FLOAT_BYTES, _LABEL_BYTES = 4, 4, 8


def verify(path: Path, *, size: int, dimension: int, m: int) -> None:
    """Check that an index is over `size` vectors of `dimension` float32 with at most `m` links.

    Raises:
        BundleIndexInvalid: the header is truncated or does not match.
    """
    with path.open("rb") as stream:
        head_bytes = stream.read(_HEADER.size)
    if len(head_bytes) < _HEADER.size:
        raise BundleIndexInvalid("too short for an index", where=str(path), remedy="export the bundle again")
    head = dict(zip(_FIELDS, _HEADER.unpack(head_bytes), strict=False))
    links = _LINK_BYTES * (2 * m + 1)
    expected = {
        "offset of level 0": 0,
        "elements": size,
        "room": size,
        "offset of the data": links,
        "offset of the label": links + _FLOAT_BYTES * dimension,
        "bytes per element": links + _FLOAT_BYTES * dimension + _LABEL_BYTES,
        "links above level 0": m,
        "links on level 0": 2 * m,
        "M": m,
    }
    for name, wanted in expected.items():
        if head[name] != wanted:
            raise BundleIndexInvalid(
                f"{name} is {head[name]}, the bank needs {wanted}", where=str(path), remedy="export the bundle again"
            )
    per_element = head["bytes per element"]
    if head["entry"] >= size or head["level"] < 0 or path.stat().st_size < _HEADER.size + per_element * size:
        raise BundleIndexInvalid("damaged header", where=str(path), remedy="export the bundle again")


def top(path: Path) -> tuple[int, int]:
    """Return the highest level of an index whose header was verified, and the element that a search begins with."""
    with path.open("rb") as stream:
        head = _HEADER.unpack(stream.read(_HEADER.size))
    return head[_LEVEL], head[_ENTRY]


def record(dimension: int, m: int) -> np.dtype[np.void]:
    """Describe what an index holds of each element on level 0: `links` (their count first), `vector`, `label`."""
    links, vector = _LINK_BYTES * (2 * m + 1), _FLOAT_BYTES * dimension
    return np.dtype(
        {
            "names": ["links", "vector", "label"],
            "formats": [("<u4", (2 * m + 1,)), ("<f4", (dimension,)), "<u8"],
            "offsets": [0, links, links + vector],
            "itemsize": links + vector + _LABEL_BYTES,
        }
    )


def is_over(path: Path, bank: NDArray[np.float32], *, m: int) -> bool:
    """Return whether an index whose header was verified holds the entries of a bank float32 [k, D], in their order."""
    size, dimension = bank.shape
    with path.open("rb") as stream:
        stream.seek(_HEADER.size)
        for start in range(0, size, _RECORDS):
            rows = bank[start : start + _RECORDS]
            found = np.fromfile(stream, dtype=record(dimension, m), count=len(rows))
            numbers = np.arange(start, start + len(rows))
            if not (np.array_equal(found["vector"], rows) and np.array_equal(found["label"], numbers)):
                return False
    return True
