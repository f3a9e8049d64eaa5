"""Where pictures lie: in a folder of this machine, or wherever else somebody can list and read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Protocol

from runtime.camera import image_files


class PictureSource(Protocol):
    """Lists pictures and reads them. It can be pickled: other processes read from it too."""

    @property
    def where(self) -> str:
        """What the user gave, for messages."""

    @property
    def root(self) -> str:
        """The folder or address that all files are below."""

    @property
    def files(self) -> Sequence[Path]:
        """The pictures below the root, in an order that never depends on the disk."""

    @property
    def passed_over(self) -> Counter[str]:
        """Number of files beside them that are not read, by suffix."""

    def read(self, file: Path) -> bytes:
        """Return the bytes of one of `files`.

        Raises:
            UnreadableImage: it cannot be read.
            PictureChanged: it holds other bytes than before, or than its manifest says.
        """

    def only(self, files: Sequence[Path]) -> PictureSource:
        """Return a source of some of `files` and no others: it is sent to the worker that reads these."""


class LocalFiles:
    """The pictures of a folder of this machine, or one picture or video."""

    def __init__(self, path: Path) -> None:
        """List what is at a path that exists."""
        folder = path.is_dir()
        self.where = str(path)
        self._folder = path if folder else path.parent
        self.root = str(self._folder)
        self.files = [file.relative_to(path) for file in image_files.walk(path)] if folder else [Path(path.name)]
        self.passed_over = image_files.passed_over(path) if folder else Counter[str]()

    def read(self, file: Path) -> bytes:
        """Return the bytes of one of `files`."""
        return image_files.bytes_of(self._folder / file)

    def only(self, files: Sequence[Path]) -> LocalFiles:
        """Return a source of some of `files`."""
        other = copy(self)
        other.files = list(files)
        return other
