"""Notice a picture that changes while it is learnt from: each is read several times."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_config.errors import PictureChanged, UnreadableImage
from export.pictures.address import name_of
from runtime.learning.pictures.source import PictureSource


class Watched:
    """Pictures of another source, whose bytes stay what they were when they were first read."""

    def __init__(self, source: PictureSource, known: Mapping[Path, str] | None = None, says: str = "") -> None:
        """Take a source.

        Args:
            source: lists and reads.
            known: sha256 of its files, as far as they are known.
            says: name of the list that they are from.
        """
        self._source, self._says = source, says
        self._digests = dict(known or {})

    @property
    def where(self) -> str:
        """What the user gave."""
        return self._source.where

    @property
    def root(self) -> str:
        """The folder or address that all files are below."""
        return self._source.root

    @property
    def files(self) -> Sequence[Path]:
        """The pictures."""
        return self._source.files

    @property
    def passed_over(self) -> Counter[str]:
        """Files beside them that are not read."""
        return self._source.passed_over

    def read(self, file: Path) -> bytes:
        """Return the bytes of a picture.

        Raises:
            UnreadableImage: it cannot be read, and never was.
            PictureChanged: it holds other bytes than before, or is gone.
        """
        before, name = self._digests.get(file), name_of(self.root, file)
        try:
            data = self._source.read(file)
        except UnreadableImage as error:
            if before is None or self._says:
                raise
            raise PictureChanged("was read before, and now cannot be", where=name) from error
        digest = hashlib.sha256(data).hexdigest()
        if self._digests.setdefault(file, digest) != digest:
            than = f"than {self._says} says" if self._says else "than when it was first read"
            raise PictureChanged(f"holds other bytes {than} ({len(data)} bytes, sha256 {digest[:12]})", where=name)
        return data

    def only(self, files: Sequence[Path]) -> Watched:
        """Return a source of some of `files`, with what is known of them."""
        known = {file: self._digests[file] for file in files if file in self._digests}
        return Watched(self._source.only(files), known, self._says)

    def digest(self, file: Path) -> str:
        """Return the sha256 of a picture, in hex; it is read if nobody has said."""
        if file not in self._digests:
            self.read(file)
        return self._digests[file]
