"""What is learnt from: pictures that a person has taught, as the rest of this room sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from runtime.teaching.teaching import Teaching


@dataclass(frozen=True, slots=True)
class LessonPictures:
    """Stored pictures of a camera, PNG files.

    Attributes:
        learn: paths of the accepted ones that were not learnt yet, in the order of time.
        held_out: name -> path of those that were held out in earlier rounds.
        peaks: paths of peaks of alerts that nobody marked as false.
    """

    learn: tuple[str, ...] = ()
    held_out: Mapping[str, str] = field(default_factory=dict)
    peaks: tuple[str, ...] = ()


class Lessons(Protocol):
    """The stored pictures. It is called from the main loop's thread, and must not wait."""

    def pictures(self, camera: str) -> LessonPictures:
        """Return what is to be learnt."""

    def learnt(self, camera: str, learnt: Sequence[str], held_out: Sequence[str]) -> object:
        """Take note that pictures of these names are in the bundle in service, or have set its threshold."""

    def taken_back(self, camera: str, pictures: Sequence[str]) -> object:
        """Take note that pictures of these names are not in the bundle in service any more, nor set its threshold."""

    def learn_again(self, camera: str, learnt: Sequence[str], held_out: Sequence[str]) -> object:
        """Take note of the same, as another bundle was assigned: nothing was wrong with the pictures."""


class TaughtPictures:
    """The pictures that a device stores; they are named as their files are."""

    def __init__(self, teaching: Teaching) -> None:
        """Take what stores them."""
        self._teaching = teaching

    def pictures(self, camera: str) -> LessonPictures:
        """Return what is to be learnt."""
        lessons = self._teaching.lessons(camera)
        return LessonPictures(
            tuple(map(str, lessons.learn)),
            {path.name: str(path) for path in lessons.hold_out},
            tuple(map(str, lessons.peaks)),
        )

    def learnt(self, camera: str, learnt: Sequence[str], held_out: Sequence[str]) -> None:
        """Take note of what is in the bundle in service."""
        self._teaching.learnt(camera, [Path(name).stem for name in learnt], [Path(name).stem for name in held_out])

    def taken_back(self, camera: str, pictures: Sequence[str]) -> None:
        """Reject what was taken back."""
        self._teaching.discard(camera, [Path(name).stem for name in pictures])

    def learn_again(self, camera: str, learnt: Sequence[str], held_out: Sequence[str]) -> None:
        """Let them be learnt again."""
        self._teaching.learn_again(camera, [Path(name).stem for name in (*learnt, *held_out)])
