"""Validate every link of an hnswlib 0.8 index, because its search follows them without bounds checks.

Behind the header (see header.py) and the records of level 0 there is, for each element, the size in bytes of its
lists above level 0 (uint32) and these lists: for each level from 1 on a count and M links (uint32 each).
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_config.bundle.hnsw import header
from edge_config.errors import BundleIndexInvalid

_RECORDS = 4096  # looked at at a time
_MAX_LEVELS = 64  # hnswlib draws them: more than 64 never happen
_SIZE = struct.Struct("<I")


def verify(path: Path, *, size: int, dimension: int, m: int) -> None:
    """Check the links of an index whose header was verified.

    Args:
        path: of the index.
        size: its elements.
        dimension: of their vectors, float32.
        m: links of an element on each level above 0; there are twice as many on level 0.

    Raises:
        BundleIndexInvalid: a link leads to no element, or to one that is not on this level, or the lists do not end
            where the file does.
    """
    problem = _problem_on_level_0(path, size, dimension, m) or _problem_above(path, size, dimension, m)
    if problem:
        raise BundleIndexInvalid(f"damaged: {problem}", where=str(path), remedy="export the bundle again")


def _problem_on_level_0(path: Path, size: int, dimension: int, m: int) -> str:
    record, levels = header.record(dimension, m), np.zeros(size, dtype=np.uint8)
    with path.open("rb") as stream:
        stream.seek(header.SIZE)
        for start in range(0, size, _RECORDS):
            lists = np.fromfile(stream, dtype=record, count=min(_RECORDS, size - start))["links"]
            if _lead_away(lists, levels, 0):
                return "a link on level 0 leads nowhere"
    return ""


def _problem_above(path: Path, size: int, dimension: int, m: int) -> str:
    highest, entry = header.top(path)
    with path.open("rb") as stream:
        stream.seek(header.SIZE + header.record(dimension, m).itemsize * size)
        rest = stream.read()
    per_level = _SIZE.size * (m + 1)
    levels = np.zeros(size, dtype=np.uint8)
    lists: list[tuple[int, int]] = []  # where those of an element begin, and how many
    at = 0
    for element in range(size):
        if at + _SIZE.size > len(rest):
            return "its lists end too early"
        (length,) = _SIZE.unpack_from(rest, at)
        at += _SIZE.size
        levels[element] = count = min(length // per_level, _MAX_LEVELS + 1)
        if length % per_level or count > min(highest, _MAX_LEVELS):
            return f"the lists of an element have {length} bytes"
        if count:
            lists.append((at, count))
        at += length
    if at != len(rest):
        return "its lists do not end where the file does"
    if levels[entry] != highest:
        return "the entry point is not on the highest level"
    for level in range(1, highest + 1):
        begins = [begin + (level - 1) * per_level for begin, count in lists if count >= level]
        here = np.array([np.frombuffer(rest, dtype="<u4", count=m + 1, offset=begin) for begin in begins])
        if _lead_away(here, levels, level):
            return f"a link on level {level} leads nowhere"
    return ""


def _lead_away(lists: NDArray[np.uint32], levels: NDArray[np.uint8], level: int) -> bool:
    """Return whether one of some lists, a count and links each, leads to what is not on this level."""
    counts, links = lists[:, :1], lists[:, 1:]
    if (counts > links.shape[1]).any():
        return True
    used = links[np.arange(links.shape[1]) < counts]
    return bool((used >= len(levels)).any() or (levels[used] < level).any())
