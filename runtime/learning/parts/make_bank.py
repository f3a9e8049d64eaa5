"""Build the memory bank: coreset of the training patches, index, table of neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import Coreset
from runtime.learning.bank import saturation
from runtime.learning.bank.bank import MemoryBank, bank_size, most_candidates
from runtime.learning.bank.coreset import Choosing, choose, thin
from runtime.learning.bank.grid import Selecting
from runtime.learning.bank.in_slices import Threads
from runtime.learning.bank.index import build_index, choose_ef, neighbour_table, save_index, search_truly
from runtime.learning.bank.measure import NEAREST, Spacing, make_measure
from runtime.learning.bank.radius import ROWS, DistanceBounds, largest_distance
from runtime.learning.gate.checked_search import CheckedSearch
from runtime.learning.options import LearnOptions
from runtime.learning.parts.candidate_rows import CandidateRows
from runtime.learning.parts.features import SpreadFeatures
from runtime.learning.parts.part import BeginSelection, PartOfPictures, in_choosing
from runtime.learning.parts.portable import PortableBank
from runtime.scoring.adjust import Adjust
from runtime.search.full import GraphSearch
from runtime.search.measure import Measure, write_measure

T = TypeVar("T")

HeldOut = Callable[[], Sequence[NDArray[np.float32]]]
"""Takes the features of a few held-out pictures, each float32 [patches, D]."""


def make_bank(
    features: SpreadFeatures,
    adjust: Adjust,
    queries: list[NDArray[np.float32]],
    judged: HeldOut,
    options: LearnOptions,
    folder: Path,
    threads: int,
    train: NDArray[np.int64],
    originals: int | None = None,
) -> tuple[MemoryBank, PortableBank]:
    """Select patches, build their index and measure its recall.

    Args:
        features: adjusted.
        adjust: what was done to them.
        queries: to measure recall on, kinds of float32 [n, D].
        judged: takes the features of a few held-out pictures, adjusted, for `--coreset auto`.
        options: of the coreset.
        folder: of the bundle.
        threads: of hnswlib.
        train: numbers of the pictures and copies to select from, int64 [n], ascending.
        originals: number of patches that a share is of; by default of all. Altered copies of pictures do not add to it.

    Returns:
        The bank, and what other processes need to know of it.
    """
    everything = CandidateRows(train, features.patches)
    selection = _Selection(features, everything, options.seed)
    coreset, rows, taken = _select(selection, judged, options, originals or len(everything))
    bank, size = features.take(rows) if taken is None else taken, len(rows)
    arrays.write(folder / bundles.BANK, bank=bank)
    with ThreadPoolExecutor(1, "index") as beside:  # one thread, so that it is the same each time
        building = beside.submit(build_index, bank)
        table = neighbour_table(bank, min(max(options.b, 1 + NEAREST), size))
        neighbours = np.ascontiguousarray(table[:, : options.b])
        arrays.write(folder / bundles.NEIGHBOURS, neighbours=neighbours)
        measure = make_measure(adjust, bank, table, options.spacing)
        write_measure(folder / bundles.MEASURE, measure)
        true = search_truly(queries, CheckedSearch(bank, pool=Threads(cv2.getNumThreads())))
        graph = building.result()
    save_index(graph, folder / bundles.INDEX)
    index = choose_ef(graph, queries, true, threads)
    search = GraphSearch(graph, ef=index.ef, threads=threads)
    owner = features.pictures_of(rows)
    portable = PortableBank(bank, measure.divisors, neighbours, owner, search, folder / bundles.INDEX)
    radius, serving = _radii(selection, portable, measure)
    spacing: Spacing = "none" if measure.undivided else "local"
    coreset = msgspec.structs.replace(coreset, covering_radius=radius, spacing=spacing, serving_radius=serving)
    picture, patch = np.divmod(rows, features.patches)
    of_train = np.searchsorted(train, picture) * features.patches + patch
    return MemoryBank(coreset, index, of_train, bank, neighbours, measure, search), portable


def select_rows(features: SpreadFeatures, train: NDArray[np.int64], options: LearnOptions) -> NDArray[np.int64]:
    """Return the rows of the bank of some pictures, without anything around it: for measurements."""
    everything = CandidateRows(train, features.patches)
    return _select(_Selection(features, everything, options.seed), list, options, len(everything))[1]


class _Selection:
    """A selection over all parts: a `Group` to choose from.

    Attributes:
        features: adjusted.
        everything: all rows, of which the candidates are some.
        candidates: to choose from.
        number: of the selection.
    """

    numbers = 0  # of selections so far

    def __init__(self, features: SpreadFeatures, everything: CandidateRows, seed: int) -> None:
        self.features = features
        self.everything = everything
        self.candidates = everything
        self.seed = seed
        _Selection.numbers += 1
        self.number = _Selection.numbers

    @property
    def parts(self) -> int:
        return self.features.parts.count

    def begin(self, candidates: CandidateRows, how: Selecting) -> None:
        """Project the candidates."""
        self.candidates = candidates
        self.features.parts.tell(BeginSelection(self.number, candidates, how))

    def tell(self, change: Callable[[Choosing], None]) -> None:
        self.features.parts.tell(in_choosing(change))

    def ask(self, question: Callable[[Choosing], T]) -> list[T]:
        return self.features.parts.ask(in_choosing(question))


def _select(
    selection: _Selection, judged: HeldOut, options: LearnOptions, originals: int
) -> tuple[Coreset, NDArray[np.int64], NDArray[np.float32] | None]:
    """Return the section of the manifest, without the radius; the rows that were chosen; their features, if taken."""
    features, everything = selection.features, selection.everything
    chosen = thin(len(everything), most_candidates(options), options.seed)
    candidates = everything if chosen is None else replace(everything, chosen=chosen)
    enough = saturation.Saturation(features.take, judged()) if options.coreset == "auto" else None
    projection_dim = options.projection_dim if 0 < options.projection_dim < features.dimension else None
    random = np.random.default_rng(options.seed)
    first = candidates.row(int(random.integers(len(candidates))))
    how = Selecting.of(bank_size(options, originals), features.dimension, projection_dim, random)
    selection.begin(candidates, how)
    rows = choose(selection, first, how, enough)
    coreset = Coreset(
        size=len(rows),
        fraction=options.coreset if isinstance(options.coreset, float) else None,
        patches=originals,
        seed=options.seed,
        projection_dim=projection_dim,
        covering_radius=0,
        spacing="none",
        stopped="option" if enough is None else "scores" if enough.reached else "limit",
        change=enough.change if enough else None,
        candidates=len(candidates) if len(candidates) < len(everything) else None,
    )
    return coreset, rows, enough.entries if enough else None


def _radii(selection: _Selection, portable: PortableBank, measure: Measure) -> tuple[float, float]:
    """Return the largest distance of a training patch to the bank, Euclidean and as scores measure it."""
    parts, step = selection.features.parts, max(1, ROWS // selection.parts)

    def radius(*, divided: bool) -> float:
        def farthest(skip: int, largest: float) -> list[float | None]:
            wanted = FarthestFrom(selection.number, selection.everything, divided, skip, step, largest)
            return parts.ask(wanted, portable)

        return largest_distance(farthest, step)

    euclidean = radius(divided=False)
    return euclidean, euclidean if measure.undivided else radius(divided=True)


@dataclass(frozen=True, slots=True, eq=False)
class FarthestFrom:
    """How far is the patch that is farthest from the bank?

    Attributes:
        selection: number of that of the bank.
        everything: rows that count.
        divided: as scores measure it; else Euclidean.
        skip, most: at most so many after the first ones.
        largest: only those that may be farther.
    """

    selection: int
    everything: CandidateRows
    divided: bool
    skip: int
    most: int
    largest: float

    def __call__(self, part: PartOfPictures, bank: PortableBank) -> float | None:
        """Return its distance; None where no further patch may be as far."""
        key = self.selection, self.divided
        if key not in part.bounds:
            part.bounds[key] = self._bounds(part, bank)
        return part.bounds[key].farthest(bank.lazy(divided=self.divided), self.skip, self.most, self.largest)

    def _bounds(self, part: PartOfPictures, bank: PortableBank) -> DistanceBounds:
        """Bound the distances by the entries near to the candidates, or to a candidate beside one that is none."""
        assert part.choosing is not None  # noqa: S101 - the bank was chosen
        local = part.local_rows(self.everything.of(part.numbers)[0])
        near = np.zeros(len(local), dtype=np.int32)
        if len(part.local):
            near = part.choosing.chosen.nearest[np.searchsorted(part.local, local, side="right").clip(1) - 1]
        divisors = bank.divisors if self.divided else None
        return DistanceBounds.by_entries(part.table.rows, local, bank.bank, near, divisors)
