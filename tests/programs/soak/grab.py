"""The capture process of the soak: the real one, with one more kind of camera."""

from __future__ import annotations

from edge_config.errors import SourceUnavailable
from runtime.camera import address, process, sources
from tests.programs.soak import usb


def connect(source: int | str) -> sources.Grabber:
    """Open what the runtime would open, or a `usb.Driver`.

    Raises:
        SourceUnavailable: it is not there.
    """
    if usb.MARK not in str(source):
        return sources.open_camera(source)
    nodes = address.devices(source)
    if not nodes:
        raise SourceUnavailable("no such device", where=str(source))
    return usb.Driver(nodes[0])


if __name__ == "__main__":
    process.main(connect=connect)
