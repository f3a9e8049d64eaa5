"""A camera over HTTP that plays pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from tests.support.fakes.network import JpegCamera


class PlayedCamera(JpegCamera):
    """Pictures as JPEG, again and again."""

    def __init__(self, pictures: Iterable[bytes], fps: float) -> None:
        super().__init__(fps)
        self._pictures = list(pictures)

    def shown(self) -> Iterator[bytes]:
        """Return what a client gets."""
        return itertools.cycle(self._pictures)
