"""The capture process of `tests.support.fakes.camera`, with a disk that takes a picture of a clip when told to.

The first argument is a FIFO: each byte lets one picture pass.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.clips.avi import Avi
from tests.support.fakes import camera


class Disk:
    """The test's hand on the disk."""

    def __init__(self, path: Path) -> None:
        self.command = (sys.executable, "-m", "tests.support.fakes.disk", str(path))
        self._hangs = Path(f"{path}.hangs")
        os.mkfifo(path)
        self.end = os.open(path, os.O_RDWR)

    def let_pass(self, pictures: int) -> None:
        """Have the disk take so many pictures."""
        os.write(self.end, bytes(pictures))

    def hangs(self) -> bool:
        """Return whether a picture was on its way to the disk."""
        return self._hangs.exists()


@contextmanager
def hanging(path: Path) -> Iterator[Disk]:
    """Yield a disk that hangs, ruled by a FIFO at `path`."""
    disk = Disk(path)
    try:
        yield disk
    finally:
        os.close(disk.end)


def main() -> None:
    """Be the capture process."""
    gate = os.open(sys.argv[1], os.O_RDONLY)
    add = Avi.add

    def wait_and_add(film: Avi, jpeg: bytes) -> None:
        Path(f"{sys.argv[1]}.hangs").touch()
        os.read(gate, 1)
        add(film, jpeg)

    Avi.add = wait_and_add  # type: ignore[method-assign]
    camera.main()


if __name__ == "__main__":
    main()
