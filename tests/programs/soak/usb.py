"""A camera at a device node, as the driver shows it, with a driver that hangs: there is no real one on most machines.

The node is a small file that says what the camera does; both ends are here: `UsbCamera` writes it in the soak, `Driver`
reads it in the capture process.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Literal

from runtime.frame import Image
from tests.programs.soak import views

FPS = 10.0
MARK = "/soak-dev/"
"""In the path of every such node."""

Doing = Literal["pictures", "hang in open", "hang in read", "fail"]


class UsbCamera:
    """A camera that is plugged in under a name of the moment, and has a stable path as udev gives it."""

    def __init__(self, folder: Path) -> None:
        """Plug it in."""
        self._folder = folder / MARK.strip("/")
        (self._folder / "by-id").mkdir(parents=True)
        self._path = self._folder / "by-id" / "camera"
        self._number = 0
        self._doing: Doing = "pictures"
        self.plug()

    @property
    def source(self) -> str:
        """Its stable path, as settings name it."""
        return f"v4l2://{self._path}"

    def do(self, doing: Doing) -> None:
        """Have the driver do this from now on."""
        self._doing = doing
        if self._node.exists():
            self._write()

    def unplug(self) -> None:
        """Take it out: node and stable path vanish."""
        self._path.unlink(missing_ok=True)
        self._node.unlink(missing_ok=True)

    def plug(self, *, elsewhere: bool = False) -> None:
        """Plug it in, under the next name if `elsewhere`."""
        self._number += elsewhere
        self._write()
        link = self._path.with_name("new")
        link.symlink_to(self._node)
        link.replace(self._path)

    @property
    def _node(self) -> Path:
        return self._folder / f"video{self._number}"

    def _write(self) -> None:
        new = self._node.with_suffix(".new")
        new.write_text(self._doing)
        new.replace(self._node)


class Driver:
    """A `Grabber` over such a node."""

    def __init__(self, node: str) -> None:
        """Open it."""
        self._node = Path(node)
        self._number = 0
        self._due = time.monotonic()
        self._hang_while("hang in open")

    def grab(self) -> bool:
        """Wait for the next picture."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = max(self._due, time.monotonic() - 1) + 1 / FPS
        self._hang_while("hang in read")
        self._number += 1
        return self._doing() == "pictures"

    def retrieve(self) -> Image | None:
        """Return it."""
        return views.normal(self._number)

    def release(self) -> None:
        """Do nothing."""

    def _doing(self) -> str | None:
        try:
            return self._node.read_text()
        except FileNotFoundError:
            return None

    def _hang_while(self, doing: Doing) -> None:
        if self._doing() == doing:  # for ever: a driver that hangs does not come back when the camera does
            threading.Event().wait()
