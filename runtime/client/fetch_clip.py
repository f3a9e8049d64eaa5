"""Fetch the clip of an alert from a device, part by part, into a file that is written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_config.errors import MessageError
from edge_config.saving import writing
from edge_config.wire.fetch import ClipPart, FetchClip

Ask = Callable[[FetchClip], tuple[ClipPart, Sequence[bytes]]]
"""Sends a request, and returns the reply and its further frames."""


def fetch_clip(ask: Ask, camera: str, clip: str, path: Path) -> ClipPart:
    """Fetch a clip, and put it at a path once it is complete and its sha256 is right; return what the device said.

    Args:
        ask: asks the device.
        camera: name of the camera.
        clip: name of the clip, as `clip` of an alert message gives it.
        path: of the file; an older one is replaced.

    Raises:
        RequestError: the device refused it: there is no such clip, or it is still being written.
        MessageError: the parts do not make the clip that the device named.
        NotWritten: the file cannot be written.
    """
    with writing(path):
        part_path = path.with_name(f".{path.name}.{os.getpid()}.part")
        part_path.unlink(missing_ok=True)
        try:
            digest, whole = hashlib.sha256(), None
            with part_path.open("xb") as file:
                for said, data in _parts(ask, FetchClip(camera=camera, clip=clip)):
                    whole = said
                    digest.update(data)
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if whole is None or digest.hexdigest() != whole.sha256:
                raise MessageError(f"the parts of clip `{clip}` do not have its sha256", remedy="fetch it again")
            part_path.replace(path)
        finally:
            with contextlib.suppress(OSError):
                part_path.unlink()
    return whole


def _parts(ask: Ask, request: FetchClip) -> Iterator[tuple[ClipPart, bytes]]:
    """Yield the parts of a clip, in their order.

    Raises:
        MessageError: one is empty before the end, or the clip was replaced meanwhile.
    """
    first, got = None, 0
    while first is None or got < first.size:
        said, parts = ask(FetchClip(camera=request.camera, clip=request.clip, offset=got))
        first = first or said
        if (said.sha256, said.size) != (first.sha256, first.size):
            raise MessageError(f"clip `{request.clip}` changed while it was fetched", remedy="fetch it again")
        if len(parts) != 1 or (not parts[0] and got < said.size) or got + len(parts[0]) > said.size:
            raise MessageError(f"a part of clip `{request.clip}` from byte {got} has the wrong length")
        got += len(parts[0])
        yield said, parts[0]
