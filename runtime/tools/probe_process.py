"""The capture process of `patchedge probe`: the runtime's own, which also notes what the source declares."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edge_config.errors import NotWritten
from edge_config.saving import put
from runtime.camera import address, process
from runtime.camera.diagnosis import v4l2

if TYPE_CHECKING:
    from runtime.camera.sources import Grabber


def main() -> None:
    """Be the capture process; the argument before those of `grab` is the file to write to."""
    try:
        from runtime.camera import sources
    except ModuleNotFoundError:  # which is for `grab` to say
        process.main()
        return

    def connect(source: int | str) -> Grabber:
        listed = _formats(source)
        camera = sources.open_camera(source)
        declared = sources.declared(camera)
        if declared is not None:
            said = msgspec.json.encode(msgspec.structs.replace(declared, formats=listed))
            with contextlib.suppress(NotWritten):  # a camera is looked at all the same
                put(Path(sys.argv[1]), said)
        return camera

    sources.use_one_thread()
    process.main(connect)


def _formats(source: int | str) -> tuple[str, ...]:
    if address.kind(source) != "device":
        return ()
    found = (one for node in address.devices(source)[:1] for one in v4l2.formats(node))
    return tuple(f"{one.name} {', '.join(f'{width}x{height}' for width, height in one.sizes)}" for one in found)


if __name__ == "__main__":
    main()
