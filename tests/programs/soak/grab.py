"""The capture process of the soak: the real one, with one more kind of camera."""

from __future__ import annotations

from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import Transport
from runtime.camera import address, capture_process
from runtime.camera.sources.grabber import Grabber
from runtime.camera.sources.live import open_camera
from tests.programs.soak import usb


def connect(source: int | str, transport: Transport) -> Grabber:
    """Open what the runtime would open, or a `usb.Driver`.

    Raises:
        SourceUnavailable: it is not there.
    """
    if usb.MARK not in str(source):
        return open_camera(source, transport)
    nodes = address.devices(source)
    if not nodes:
        raise SourceUnavailable("no such device", where=str(source))
    return usb.Driver(nodes[0])


if __name__ == "__main__":
    capture_process.main(connect=connect)
