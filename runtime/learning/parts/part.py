"""A part of the pictures and their features, in the process where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.learning.bank.chosen import Comparer, Old
from runtime.learning.bank.coreset import Choosing
from runtime.learning.bank.features import FeatureTable, embed_pictures
from runtime.learning.bank.grid import Selecting
from runtime.learning.bank.in_slices import Threads, in_turn
from runtime.learning.bank.radius import DistanceBounds
from runtime.learning.parts.candidate_rows import CandidateRows
from runtime.learning.parts.portable import PortableNetwork
from runtime.learning.pictures.images import Pictures
from runtime.learning.progress import progress
from runtime.learning.vary.copies import Plan, embed_copies
from runtime.scoring.embed import Embed

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Computing:
    """What does the work of most operations, where another device than the processor could.

    Attributes:
        streams: gives, of a network, what embeds several pictures at a time, and how many; takes the number of threads.
        entries: makes room for the entries of a selection: takes their number, and the length of a point.
    """

    streams: Callable[[PortableNetwork, int], tuple[Embed, int]]
    entries: Callable[[int, int], Comparer]


PROCESSOR = Computing(PortableNetwork.streams, Old)


@dataclass(slots=True)
class PartPlace:
    """Where parts lie.

    Attributes:
        folder: on the disk that takes features too large for memory.
        pool: threads.
        shown: progress is shown here.
        in_memory: bytes of a part beyond which it goes into a file; None: as usual.
        computing: what embeds and selects.
        old: entries of the newest selection, by its number: all parts here need them.
    """

    folder: Path
    pool: Threads
    shown: bool
    in_memory: int | None = None
    computing: Computing = PROCESSOR
    old: tuple[int, Comparer] | None = None

    def entries_of(self, selection: int, size: int, dimension: int) -> Comparer:
        """Return the entries of a selection."""
        if self.old is None or self.old[0] != selection:
            self.old = None  # before there is another one
            self.old = selection, self.computing.entries(size, dimension)
        return self.old[1]

    def streams(self, network: PortableNetwork) -> tuple[Embed, int]:
        """Return what embeds several pictures at a time, and how many."""
        return self.computing.streams(network, self.pool.count)


@dataclass(slots=True)
class PartOfPictures:
    """Some of the pictures and their features.

    Attributes:
        numbers: of pictures, and after them of copies, int64 [n], ascending.
        table: their features, in this order.
        pictures: of this part.
        network: that the features are from, without offsets and scale.
        place: where it lies.
        choosing: the selection among its patches.
        bounds: how far the patches are from the bank at most, by selection and measure.
    """

    numbers: NDArray[np.int64]
    table: FeatureTable
    pictures: Pictures
    network: PortableNetwork
    place: PartPlace
    choosing: Choosing | None = None
    local: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    bounds: dict[tuple[int, bool], DistanceBounds] = field(default_factory=dict)

    def here(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which of some pictures and copies are in this part, int64 [n]."""
        return numbers[np.isin(numbers, self.numbers)]

    def features(self, number: int) -> NDArray[np.float32]:
        """Return the features of a picture or copy over the grid, float32 [grid, D]."""
        return self.table[self.place_of(number)]

    def judged(self, number: int) -> NDArray[np.float32]:
        """Return the features of its judged patches, float32 [patches, D]."""
        return self.table.judged_rows(self.place_of(number))

    def place_of(self, number: int) -> int:
        """Return the place of a picture or copy in the table."""
        return int(np.searchsorted(self.numbers, number))

    def local_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of the table that some rows of all features are, int64 [n]."""
        numbers, patches = np.divmod(rows, self.table.patches)
        return np.asarray(np.searchsorted(self.numbers, numbers) * self.table.patches + patches)

    def walk(self, items: Iterable[T], what: str, total: int, unit: str = "picture") -> Iterable[T]:
        """Show the progress over some items, where it is shown."""
        return progress(items, what, total=total, unit=unit) if self.place.shown else items

    def walk_together(self, work: Callable[[T], R], items: Iterable[T], what: str, total: int) -> Iterable[R]:
        """Yield what some work gives for each item, in order, by all threads, and show the progress."""
        return self.walk(in_turn(self.place.pool.count, work, items), what, total)


@dataclass(frozen=True, slots=True)
class Source:
    """What parts are made from.

    Attributes:
        pictures: after the look at them.
        network: embeds them.
        judged: patches to keep, bool [grid]; None: all.
        copies: number of altered copies that will be added to each part at most, by number of pictures.
    """

    pictures: Pictures
    network: PortableNetwork
    judged: NDArray[np.bool_] | None
    copies: int

    def embed(self, numbers: NDArray[np.int64], place: PartPlace) -> PartOfPictures:
        """Embed them as a part, with their numbers among all, ascending.

        Raises:
            UsageError: a picture cannot be read, or the network gives no numbers.
        """
        pictures = self.pictures.part(list(range(len(numbers))))
        embed, streams = place.streams(self.network)
        table = embed_pictures(
            pictures,
            len(numbers),
            self.network.network.preprocess,
            embed,
            place.folder,
            copies=self.copies,
            judged=self.judged,
            in_memory=place.in_memory,
            shown=place.shown,
            streams=streams,
        )
        return PartOfPictures(numbers, table, pictures, self.network, place)


Change = Callable[[PartOfPictures], None]
"""Changes a part: the same way wherever, and whenever, it is done again."""


@dataclass(frozen=True, slots=True)
class EmbedCopies:
    """Append altered copies of its pictures to a part.

    Attributes:
        plan: of all pictures.
        first: number of the first copy of all.
    """

    plan: Plan
    first: int

    def __call__(self, part: PartOfPictures) -> None:
        """Embed the copies."""
        own = {int(number): place for place, number in enumerate(part.numbers)}
        numbers = [self.first + at for at, (picture, _, _) in enumerate(self.plan.in_order()) if picture in own]
        learnt, held = (
            [(own[picture], change) for picture, change in pairs if picture in own]
            for pairs in (self.plan.learnt, self.plan.held)
        )
        embed, streams = part.place.streams(part.network)
        stages = part.network.network.preprocess, embed
        embed_copies(Plan(learnt, held), part.table, part.pictures, *stages, shown=part.place.shown, streams=streams)
        part.numbers = np.append(part.numbers, numbers).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Adjusting:
    """Offset or scale the features; neither restores them.

    Attributes:
        offset: float32 [patches, D].
        scale: float32 [D].
    """

    offset: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None

    def __call__(self, part: PartOfPictures) -> None:
        """Adjust what is read from now on."""
        if self.offset is not None:
            part.table.subtract(self.offset)
        elif self.scale is not None:
            part.table.multiply(self.scale)
        else:
            part.table.restore()


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """Which features do these rows of all have?"""

    rows: NDArray[np.int64]

    def __call__(self, part: PartOfPictures) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the places in `rows` that are here, int64 [n], and their features, float32 [n, D]."""
        places = np.flatnonzero(np.isin(self.rows // part.table.patches, part.numbers))
        return places, np.asarray(part.table.rows[part.local_rows(self.rows[places])])


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """Asks something about the features of some pictures and copies, one after the other.

    Attributes:
        numbers: of all, int64 [n].
        question: about the judged patches of each that is here.
    """

    numbers: NDArray[np.int64]
    question: Callable[[Iterable[NDArray[np.float32]]], Any]

    def __call__(self, part: PartOfPictures) -> Any:
        """Return the answer, put together from those of a few threads where the question says how."""
        numbers, pool = part.here(self.numbers), part.place.pool
        if not hasattr(self.question, "together") or len(numbers) < pool.count:
            return self.question(map(part.judged, numbers.tolist()))
        shares = np.array_split(numbers, pool.count)
        return self.together(list(pool.map(lambda own: self.question(map(part.judged, own.tolist())), shares)))

    @property
    def together(self) -> Callable[[list[Any]], Any]:
        """What makes one answer of those of several parts, if the question has it."""
        return self.question.together  # type: ignore[attr-defined,no-any-return]


@dataclass(frozen=True, slots=True, eq=False)
class BeginSelection:
    """Project the patches to choose from.

    Attributes:
        selection: its number.
        candidates: rows of all to choose from.
        how: to select.
    """

    selection: int
    candidates: CandidateRows
    how: Selecting

    def __call__(self, part: PartOfPictures) -> None:
        """Keep the points in the part."""
        rows, blocks = self.candidates.of(part.numbers)
        part.local = part.local_rows(rows)
        part.bounds.clear()

        def old(dimension: int) -> Comparer:
            return part.place.entries_of(self.selection, self.how.size, dimension)

        part.choosing = None  # before there is another one
        part.choosing = Choosing(part.table.rows, part.local, rows, blocks, self.how, part.place.pool, old)


def in_choosing(change: Callable[[Choosing], T]) -> Callable[[PartOfPictures], T]:
    """Return what asks or changes the selection of a part."""
    return _InChoosing(change)


@dataclass(frozen=True, slots=True, eq=False)
class _InChoosing:
    inner: Callable[[Choosing], Any]

    def __call__(self, part: PartOfPictures) -> Any:
        assert part.choosing is not None  # noqa: S101 - a selection has begun
        return self.inner(part.choosing)
