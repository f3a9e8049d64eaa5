"""What is learnt from: pictures that a person has taught, as the rest of this room sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pictures:
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

    def pictures(self, camera: str) -> Pictures:
        """Return what is to be learnt."""

    def learnt(self, camera: str, learnt: Sequence[str], held_out: Sequence[str]) -> object:
        """Take note that pictures of these names are in the bundle in service, or have set its threshold."""


class NoLessons:
    """Nothing is stored."""

    def pictures(self, _camera: str) -> Pictures:
        """Return nothing."""
        return Pictures()

    def learnt(self, _camera: str, _learnt: Sequence[str], _held_out: Sequence[str]) -> None:
        """Do nothing."""
