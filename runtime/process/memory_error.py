"""Out-of-memory errors: each library raises its own, and here they become one line. Memory that is given back."""

from __future__ import annotations

import ctypes
import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from edge_config.errors import NotEnoughMemory

REMEDY = "close other programs, raise the limit (ulimit, container), or do with less: fewer pictures, a smaller coreset"

_TEXTS = re.compile(
    r"not enough memory|insufficient memory|out of memory|can(?:no|')t allocate|bad[ _]alloc(?:ation)?\b"
    r"|failed to allocate memory|unable to allocate|can't start new thread"
    r"|\AResource temporarily unavailable\Z",  # of std::thread, which found no room for a stack
    re.IGNORECASE,
)

_NO_ROOM = re.compile(r"failed to map segment from shared object(?:: Cannot allocate memory)?\Z")
"""A library that does not fit into memory; `cannot allocate memory in static TLS block` is another fault."""


@contextmanager
def memory_named() -> Iterator[None]:
    """Translate all out-of-memory errors of a block into one line.

    Raises:
        NotEnoughMemory: the block needs more memory than there is.
    """
    try:
        yield
    except Exception as error:
        translated = out_of_memory(error)
        if translated is None:
            raise
        raise translated from error


def out_of_memory(error: BaseException) -> NotEnoughMemory | None:
    """Return the one line for an out-of-memory error; None for other errors.

    Out-of-memory errors are MemoryError (numpy's too), ENOMEM, those of OpenCV, ONNX Runtime, hnswlib and torch by
    their texts, and every error raised from one of these.
    """
    first: BaseException | None = error
    seen: set[int] = set()
    while first is not None and not _means_memory(first):  # a later error may blame a picture or a graph
        seen.add(id(first))
        first = first.__cause__ if id(first.__cause__) not in seen else None  # `raise error from error` is a ring
    if first is None:
        return None
    lines = str(first).strip().splitlines()
    detail = f" ({lines[0][:200]})" if lines else ""
    return NotEnoughMemory(f"not enough memory{detail}", remedy=REMEDY)


def give_back() -> None:
    """Return free memory to the system: the allocator would keep much of it, in pieces."""
    with suppress(AttributeError):  # of another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _means_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, ImportError):
        return bool(_NO_ROOM.search(str(error)))
    # cv2.error derives from Exception, the errors of the others from RuntimeError
    return (isinstance(error, RuntimeError) or type(error).__module__ == "cv2") and bool(_TEXTS.search(str(error)))
