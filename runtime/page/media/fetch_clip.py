"""Get a clip from a device, in parts, and check that all of it is there."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from edge_config.errors import UnavailableError
from edge_config.saving import writing
from edge_config.wire.fetch import ClipPart

MAX_CLIP_BYTES = 512 << 20
"""Maximum size of a clip of which a film is made; one of a minute at 640 pixels has some 20 MB."""

NextPart = Callable[[int], Awaitable[tuple[ClipPart, tuple[bytes, ...]]]]
"""Asks the device for the part at an offset."""


async def fetch_clip(ask: NextPart, path: Path) -> None:
    """Write a clip to a path.

    Args:
        ask: asks the device; what it raises is passed on.
        path: of the file, which is only whole if nothing is raised.

    Raises:
        UnavailableError: it is too large, or the device changed it meanwhile.
        NotWritten: the disk does not take it.
    """
    with writing(path), path.open("wb") as file:
        digest, at, first = hashlib.sha256(), 0, None
        while first is None or at < first.size:
            part, data = await ask(at)
            first = first or part
            if part.size > MAX_CLIP_BYTES:
                raise UnavailableError(f"the clip has {part.size >> 20} MiB, {MAX_CLIP_BYTES >> 20} can be shown")
            got = b"".join(data)
            if (part.size, part.sha256, part.offset) != (first.size, first.sha256, at) or not got:
                raise UnavailableError("the clip changed while it was read", remedy="try again")
            file.write(got)
            digest.update(got)
            at += len(got)
        if at != first.size or digest.hexdigest() != first.sha256:
            raise UnavailableError("the clip changed while it was read", remedy="try again")
