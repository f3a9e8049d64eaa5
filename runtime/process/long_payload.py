"""Payloads too long for a packet: sent as an anonymous memory file, whose descriptor goes along with a message."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

MAX_BYTES = 1 << 26
"""Maximum size of a parcel."""


def pack(items: Sequence[bytes]) -> int:
    """Return the descriptor of a new memory file with these bytes, one after the other; the caller must close it.

    Raises:
        OSError: out of memory or of descriptors.
    """
    descriptor = os.memfd_create("patchedge parcel", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as parcel:
            parcel.writelines(items)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unpack(descriptors: Sequence[int], sizes: Sequence[int]) -> tuple[bytes, ...]:
    """Return the items of a parcel; whatever was sent, this neither waits nor reads more than `MAX_BYTES`.

    Args:
        descriptors: the descriptors of the message: one, or none if there are no sizes; the caller keeps them.
        sizes: sizes of the items, from the message.

    Raises:
        ValueError: the descriptors do not match the sizes.
        OSError: they cannot be read.
    """
    if not descriptors and not sizes:
        return ()
    if len(descriptors) != 1 or min(sizes, default=-1) < 0 or sum(sizes) > MAX_BYTES:
        raise ValueError(f"{len(descriptors)} descriptors for parts of {list(sizes[:10])} bytes")
    found = os.fstat(descriptors[0])
    if not stat.S_ISREG(found.st_mode) or found.st_size != sum(sizes):
        raise ValueError(f"a memory of {found.st_size} bytes for parts of {list(sizes[:10])}")
    items = tuple(os.pread(descriptors[0], size, sum(sizes[:place])) for place, size in enumerate(sizes))
    if [len(item) for item in items] != list(sizes):
        raise ValueError("a memory that shrinks")
    return items
