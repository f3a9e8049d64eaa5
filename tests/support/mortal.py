"""What has a worker kill itself in the middle of its work: once in each stage, of all workers together."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.camera.image_files import Deep
from runtime.frame import Image
from runtime.learning.pictures.images import Pictures

LOOK, EMBED = "look", "embed"
"""Stages in which pictures are read."""

QUESTIONS = {
    "_InChoosing": 5,  # selection
    "FarthestFrom": 1,  # covering radius
    "AmongOthers": 1,  # leave one out
    "AsServed": 1,  # calibration
    "ComparePictures": 1,  # parity gate
    "TryPictures": 1,  # golden frames
    "ScoreFaults": 1,  # synthetic faults of the report
}
"""Questions of the other stages: a worker dies when it has so many answers, and has made another one."""

_ANSWERS: Counter[str] = Counter()
"""Of this process."""


def die_once(marker: Path) -> None:
    """Kill this process with -9, if none has been killed with this marker yet."""
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

    def deep(self) -> Iterator[tuple[int, Deep]]:
        """Yield place and picture, with all of its bits."""
        for number, pair in enumerate(super().deep()):
            if number == 1:
                die_once(self.marker)
            yield pair


@dataclass(frozen=True)
class DiesWithin:
    """A question whose worker dies within its stage: some of its parts have answered, the last answer is not sent."""

    question: Any
    folder: Path

    def __call__(self, part: Any, *shared: Any) -> Any:
        answer, stage = self.question(part, *shared), type(self.question).__name__
        if _ANSWERS[stage] == QUESTIONS.get(stage):
            die_once(self.folder / stage)
        _ANSWERS[stage] += 1
        return answer
