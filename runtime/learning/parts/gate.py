"""Pictures of the gate where they are read: compared with the exact search, and tried as golden frames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from edge_config.bundle.manifest import Scoring
from runtime.frame import Image
from runtime.learning.gate.choose_golden import Candidate, try_picture
from runtime.learning.gate.parity import ComparedPicture, compare_picture
from runtime.learning.gate.synthetic_faults import DrawnFault
from runtime.learning.parts.part import PartOfPictures
from runtime.learning.parts.portable import PortableBank
from runtime.learning.parts.spread import Parts
from runtime.learning.pictures.regions import Looked
from runtime.scoring.adjust import Adjust
from runtime.scoring.scorer import Scorer

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class ServedAs:
    """How a device scores pictures: all that neither network nor bank knows.

    Attributes:
        adjust: of the features, without the offsets, which each part has.
        scoring: score mode.
        looked: where pictures are judged.
        tiled_hw: height and width of the picture that tiles are cut from; None where there is one input.
    """

    adjust: Adjust
    scoring: Scoring
    looked: Looked
    tiled_hw: tuple[int, int] | None

    def scorer(self, part: PartOfPictures, bank: PortableBank, *, together: bool = False) -> Scorer:
        """Return the stages as a device runs them, with an empty history: no picture depends on another one.

        Args:
            part: whose network it is.
            bank: to search.
            together: several pictures are scored at the same time; the features are the same.
        """
        network = part.network.network
        stages, offset = bank.scorer(network, self.scoring, self.looked.judged), part.table.rows.offset
        adjust = replace(self.adjust, offset=None if offset is None else part.table.over_grid(offset))
        embed = part.network.streams(part.place.pool.count)[0] if together else network.embed
        return replace(stages, embed=embed.adjusted(adjust))


class ServedParts:
    """Pictures as a device scores them, wherever they are read."""

    def __init__(self, parts: Parts, bank: PortableBank, served: ServedAs) -> None:
        """Take the parts of the pictures; what a selection among them needed is dropped."""
        self._parts, self._shared = parts, (bank, served)
        parts.tell(end_selection)

    def ask(
        self, question: Callable[[PartOfPictures, PortableBank, ServedAs], Mapping[int, T]], what: str = ""
    ) -> dict[int, T]:
        """Return what every part answers about some pictures, by their numbers; `what` is the name of a long stage."""
        found = self._parts.ask(question, *self._shared, what=what)
        return {number: one for part in found for number, one in part.items()}


class GatePictures:
    """Held-out pictures, each as it is and with a synthetic fault, wherever they are read."""

    def __init__(self, served: ServedParts, numbers: Sequence[int], faults: Sequence[DrawnFault]) -> None:
        """Take them, by their numbers, ascending, and the fault of each."""
        self._served = served
        self._faults = dict(zip(numbers, faults, strict=True))

    def compare(self) -> list[ComparedPicture]:
        """Compare the device's search with the exact one: each picture, then the same with its fault."""
        found = self._served.ask(ComparePictures(self._faults))
        return [one for number in self._faults for one in found[number]]

    def try_some(self, places: list[int], faulty: bool) -> list[Candidate]:  # noqa: FBT001 - a `Trying`
        """Score some of them as golden frames, by their places."""
        numbers = [list(self._faults)[place] for place in places]
        found = self._served.ask(TryPictures({one: self._faults[one] if faulty else None for one in numbers}))
        return [found[number] for number in numbers]


@dataclass(frozen=True, slots=True, eq=False)
class ComparePictures:
    """What differs on these pictures?

    Attributes:
        faults: by number of the picture, ascending.
    """

    faults: dict[int, DrawnFault]

    def __call__(
        self, part: PartOfPictures, bank: PortableBank, served: ServedAs
    ) -> dict[int, tuple[ComparedPicture, ComparedPicture]]:
        """Return it for those that are here, without and with the fault."""
        own, scorer = here_of(part, self.faults), served.scorer(part, bank, together=True)
        spec, exact = part.network.network.spec, bank.exact

        def compared(shown: tuple[int, Image]) -> tuple[int, tuple[ComparedPicture, ComparedPicture]]:
            number, picture = shown
            one = compare_picture(picture, spec, scorer.another(), exact, part.features(number))
            fault = self.faults[number](picture, served.looked.pixels)
            return number, (one, compare_picture(fault, spec, scorer.another(), exact))

        return dict(part.walk_together(compared, read_here(part, own), "parity gate", len(own)))


@dataclass(frozen=True, slots=True, eq=False)
class TryPictures:
    """What would these pictures be as golden frames?

    Attributes:
        faults: that they are shown with, or None, by number of the picture, ascending.
    """

    faults: dict[int, DrawnFault | None]

    def __call__(self, part: PartOfPictures, bank: PortableBank, served: ServedAs) -> dict[int, Candidate]:
        """Return it for those that are here."""
        scorer, found = served.scorer(part, bank), {}
        for number, picture in read_here(part, here_of(part, self.faults)):
            fault = self.faults[number]
            shown = picture if fault is None else fault(picture, served.looked.pixels)
            found[number] = try_picture(shown, bank.bank, bank.divisors, scorer, served.tiled_hw)
        return found


def end_selection(part: PartOfPictures) -> None:
    """Drop what a selection needs, points and distances: scoring needs none of it."""
    part.choosing, part.place.old = None, None
    part.bounds.clear()


def here_of(part: PartOfPictures, numbers: Collection[int]) -> list[int]:
    """Return which of some pictures are in a part."""
    return [int(number) for number in part.here(np.array(list(numbers), dtype=np.int64))]


def read_here(part: PartOfPictures, numbers: list[int]) -> Iterator[tuple[int, Image]]:
    """Yield number and picture of some that are in a part."""
    pictures = part.pictures.again(part.place_of(number) for number in numbers)
    return zip(numbers, pictures, strict=True)
