"""What has a worker kill itself in the middle of its work: once, of all workers together."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from runtime.frame import Image
from runtime.learning.pictures.images import Pictures

_ANSWERS = count()
"""Of this process, within a selection."""


def die_once(marker: Path) -> None:
    """Kill this process with -9, if none has been killed yet."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class MortalPictures(Pictures):
    """Pictures whose reader dies at the second one of a part."""

    marker: Path

    @classmethod
    def of(cls, pictures: Pictures, marker: Path) -> MortalPictures:
        other = copy(pictures)
        other.__class__ = cls
        assert isinstance(other, cls)
        other.marker = marker
        return other

    def part(self, positions: list[int]) -> Pictures:
        return MortalPictures.of(super().part(positions), self.marker)

    def __iter__(self) -> Iterator[tuple[str, Image]]:
        """Yield name and picture."""
        for number, pair in enumerate(super().__iter__()):
            if number == 1:
                die_once(self.marker)
            yield pair


@dataclass(frozen=True)
class DiesWithin:
    """A question whose worker dies within a selection: some of its parts have answered, nothing was sent."""

    question: Any
    marker: Path
    answers: int = 5

    def __call__(self, part: Any, *shared: Any) -> Any:
        answer = self.question(part, *shared)
        if part.choosing is not None and next(_ANSWERS) == self.answers:
            die_once(self.marker)
        return answer
