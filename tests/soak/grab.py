"""The capture process of the soak: the real one, with one more kind of camera."""

from __future__ import annotations

import sys
from typing import Any

from runtime import capture, grab
from tests.soak import usb


def connect(source: int | str, **how: Any) -> capture.Source:
    """Open what the runtime would open, or a `usb.Driver`."""
    path = str(source)
    if usb.MARK in path:
        return capture.Live(path, lambda: usb.Driver(path))
    return capture.open_source(source, **how)


if __name__ == "__main__":
    sys.exit(grab.main(connect=connect))
