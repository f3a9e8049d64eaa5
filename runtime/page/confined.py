"""Confine a child of the page that decodes what strangers made: bounded memory, no file, no further process."""

from __future__ import annotations

import contextlib
import os
import resource

from runtime.process.background import limit
from runtime.process.child import die_with_parent

_NICE = 5


def begin(parent: int, memory_mb: int, max_pixels: int) -> None:
    """Bound this process, before it imports OpenCV; it ends with its parent.

    Args:
        parent: process id of the parent.
        memory_mb: limit of its memory, MiB.
        max_pixels: maximum number of pixels of a picture that OpenCV decodes.
    """
    die_with_parent(parent)
    limit(memory_mb, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(max_pixels)


def close() -> None:
    """Take away what is left: from here on nothing can be opened, written or started (root may start processes)."""
    for right in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        resource.setrlimit(right, (0, 0))
