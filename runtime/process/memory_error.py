"""Out-of-memory errors: each library raises its own, and here they become one line."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from edge_config.errors import NotEnoughMemory

REMEDY = "close other programs, raise the limit (ulimit, container), or do with less: fewer pictures, a smaller coreset"

_SAID = re.compile(
    r"not enough memory|insufficient memory|out of memory|can(?:no|')t allocate|bad[ _]alloc(?:ation)?\b"
    r"|failed to allocate memory|unable to allocate|can't start new thread",
    re.IGNORECASE,
)

_NO_ROOM = re.compile(r"failed to map segment from shared object(?:: Cannot allocate memory)?\Z")
"""A library that does not fit into what is left; `cannot allocate memory in static TLS block` is another fault."""


@contextmanager
def memory_named() -> Iterator[None]:
    """Turn whatever means that memory is missing into one line.

    Raises:
        NotEnoughMemory: the block needs more than there is.
    """
    try:
        yield
    except Exception as error:
        told = out_of_memory(error)
        if told is None:
            raise
        raise told from error


def out_of_memory(error: BaseException) -> NotEnoughMemory | None:
    """Return the one line for an error that means that memory is missing; None for others.

    Such are MemoryError (numpy's too), ENOMEM, what OpenCV, ONNX Runtime, hnswlib and torch say in words, and what was
    raised from one of these.
    """
    first: BaseException | None = error
    seen: set[int] = set()
    while first is not None and not _means_memory(first):  # what was made of it may blame a picture or a graph
        seen.add(id(first))
        first = first.__cause__ if id(first.__cause__) not in seen else None  # `raise error from error` is a ring
    if first is None:
        return None
    said = str(first).strip().splitlines()
    detail = f" ({said[0][:200]})" if said else ""
    return NotEnoughMemory(f"not enough memory{detail}", remedy=REMEDY)


def _means_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, ImportError):
        return bool(_NO_ROOM.search(str(error)))
    # cv2.error is of Exception, those of the others of RuntimeError
    return (isinstance(error, RuntimeError) or type(error).__module__ == "cv2") and bool(_SAID.search(str(error)))
