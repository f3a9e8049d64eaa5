"""A bank that grows, against plain float64 arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_config.bundle.hnsw import header
from runtime.learning.bank.index import EF_CONSTRUCTION, M, build_index, neighbour_table, save_index
from runtime.learning.bank.measure import make_measure
from runtime.learning.grow.follow import grown_index, grown_table
from runtime.learning.grow.growth import Growing, Growth, NewPictures, grow, spacing_of
from runtime.scoring.adjust import Adjust
from runtime.search.full import ExactSearch, GraphSearch
from runtime.search.history import History
from runtime.search.lazy import LazySearch
from runtime.search.pruned import PrunedSearch

FLOAT32 = 1e-5  # relative: sums of some squares in float32, and two orders of room
DIMENSION, NEAREST, CAP = 12, 8, 0.95
GRID = (8, 8)
K = 5
SEEDS = range(4)


def clusters(count: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    """Return points in ten clusters; their centres are the same but for the shift, whatever the seed."""
    centres = np.random.default_rng(7).standard_normal((10, DIMENSION)) * 4 + shift
    random = np.random.default_rng(seed)
    return (centres[random.integers(10, size=count)] + random.standard_normal((count, DIMENSION))).astype(np.float32)


def bank_of(seed: int, spacing: str = "local", size: int = 300) -> Growing:
    """Return a bank as fit makes it."""
    bank = clusters(size, seed)
    adjust = Adjust(np.ones(DIMENSION, np.float32))
    return Growing(bank, make_measure(adjust, bank, neighbour_table(bank, 9), spacing))


def divided(queries: NDArray[np.float32], bank: Growing) -> NDArray[np.float64]:
    """Return the distance of each query to its nearest entry, by the definition, in float64."""
    apart = np.linalg.norm(queries[:, None].astype(np.float64) - bank.bank, axis=2)
    return (apart / (bank.measure.spacing.astype(np.float64) + np.float64(bank.measure.mean))).min(axis=1)


def pictures(seed: int, count: int = 4) -> list[NDArray[np.float32]]:
    """Return the patches of pictures: some like the bank, some of new kinds."""
    return [np.concatenate([clusters(50, seed + 10 * n), clusters(14, seed + 10 * n + 1, 5.0)]) for n in range(count)]


def compared(
    bank: Growing,
    shown: list[NDArray[np.float32]],
    limit: float,
    k: int = K,
    threshold: float = np.inf,
    usual: float = np.inf,
) -> NewPictures:
    """Return new pictures with their exact distances."""
    new = NewPictures(DIMENSION, k, threshold, usual, limit)
    for picture in shown:
        new.add(picture, ExactSearch(bank.bank, bank.measure.divisors)(picture).distance)
    return new


def grown(bank: Growing, shown: list[NDArray[np.float32]], radius: float, threshold: float, most: int = 300) -> Growth:
    new = compared(bank, shown, min(radius, threshold), threshold=threshold, usual=threshold)
    return grow(bank, new, radius=radius, most=most)


def test_strange_pictures_come_down_to_the_usual_and_others_stay() -> None:
    """What was over the threshold scores the usual at most; what was not may stay as it is."""
    bank, shown = bank_of(0), pictures(0)
    first = [np.sort(divided(picture, bank))[-K:].mean() for picture in shown]
    threshold, usual = float(np.median(first)), 0.3 * float(np.median(first))
    new = compared(bank, shown, usual, threshold=threshold, usual=usual)
    found = grow(bank, new, radius=1e9, most=300).grown
    for picture, was in zip(shown, first, strict=True):
        now = np.sort(divided(picture, found))[-K:].mean()
        assert now <= (usual if was > threshold else threshold) * (1 + FLOAT32)


@pytest.mark.parametrize("spacing", ["local", "none"])
@pytest.mark.parametrize("seed", SEEDS)
def test_old_bank_is_the_beginning_and_its_spacings_stay(seed: int, spacing: str) -> None:
    """Entries and spacings of the parent are bit for bit those of the child, in their order; so is the mean."""
    bank = bank_of(seed, spacing)
    found = grown(bank, pictures(seed), 1.0, 1.5).grown
    size = len(bank.bank)
    assert len(found.bank) > size
    assert found.bank[:size].tobytes() == bank.bank.tobytes()
    assert found.measure.spacing[:size].tobytes() == bank.measure.spacing.tobytes()
    assert found.measure.mean == bank.measure.mean


@pytest.mark.parametrize("seed", SEEDS)
def test_no_distance_grows(seed: int) -> None:
    """Whatever is measured is no farther from the grown bank than it was: also what is like nothing in it."""
    bank = bank_of(seed)
    after = grown(bank, pictures(seed), 1.0, 1.5).grown
    queries = np.concatenate([clusters(200, 99), clusters(200, 98, 5.0), clusters(50, 97, -20.0)])
    before = ExactSearch(bank.bank, bank.measure.divisors)(queries).distance
    assert (ExactSearch(after.bank, after.measure.divisors)(queries).distance <= before).all()


@pytest.mark.parametrize(("radius", "threshold"), [(1.0, 1.5), (1.5, 1.0), (1.2, 1.2)])
@pytest.mark.parametrize("seed", SEEDS)
def test_it_grows_until_no_patch_is_far_and_every_picture_is_normal(seed: int, radius: float, threshold: float) -> None:
    """In the end no new patch is beyond the radius, and no picture scores over the threshold, by the definition."""
    bank, shown = bank_of(seed), pictures(seed)
    found = grown(bank, shown, radius, threshold)
    distances = [divided(picture, found.grown) for picture in shown]
    assert not found.full
    assert max(one.max() for one in distances) <= radius * (1 + FLOAT32)
    assert max(np.sort(one)[-K:].mean() for one in distances) <= threshold * (1 + FLOAT32)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_farthest_patch_joins_next(seed: int) -> None:
    """Entries join in the order of the plain loop: the farthest, its spacing measured then, distances made anew."""
    bank, shown = bank_of(seed), pictures(seed)
    found = grown(bank, shown, 1.0, 1.5)
    patches = np.concatenate(shown)
    entries, spacing = bank.bank.astype(np.float64), bank.measure.spacing.astype(np.float64)
    mean, cap = float(bank.measure.mean), float(bank.measure.spacing.max())
    for entry in found.grown.bank[len(bank.bank) :]:
        apart = np.linalg.norm(patches[:, None] - entries, axis=2) / (spacing + mean)
        assert (patches[apart.min(axis=1).argmax()] == entry).all()
        near = np.sort(np.linalg.norm(entries - entry, axis=1))[:NEAREST].mean()
        entries, spacing = np.vstack([entries, entry]), np.append(spacing, min(near, cap))
    assert found.grown.measure.spacing == pytest.approx(spacing, rel=FLOAT32)


def test_a_bank_of_what_is_known_does_not_grow() -> None:
    """Pictures whose patches are all near change nothing."""
    bank = bank_of(0)
    found = grown(bank, [clusters(64, 5)], 1e3, 1e3)
    assert len(found.joined) == 0
    assert found.grown.bank.tobytes() == bank.bank.tobytes()


def test_it_stops_where_no_more_may_join() -> None:
    """The largest number of entries is kept to, and it is said that more were needed."""
    found = grown(bank_of(0), pictures(0), 0.1, 0.1, most=7)
    assert found.full
    assert len(found.joined) == 7


def test_spacing_is_the_mean_of_the_eight_nearest() -> None:
    """The spacing of a new entry is the mean of its eight smallest distances, also where several are equal."""
    bank = clusters(200, 3)
    bank[50:60] = bank[40]
    entry = bank[40] + np.float32(0.01)
    expected = np.sort(np.linalg.norm(bank.astype(np.float64) - entry, axis=1))[:NEAREST].mean()
    assert spacing_of(entry, bank) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_grown_table_equals_the_table_from_scratch(seed: int) -> None:
    """The table of neighbours that follows is the one that a fit would make, copies among the entries included."""
    whole = clusters(400, seed)
    whole[350] = whole[10]
    whole[360] = whole[355]
    table = grown_table(whole, neighbour_table(whole[:340], 6))
    assert table.tobytes() == neighbour_table(whole, 6).tobytes()
    apart = np.linalg.norm(whole[:, None].astype(np.float64) - whole, axis=2)
    assert np.take_along_axis(apart, table.astype(np.int64), 1) == pytest.approx(np.sort(apart, axis=1)[:, :6])


def test_grown_index_holds_the_bank_and_is_repeatable(tmp_path: Path) -> None:
    """The index that follows holds every entry in order, and has the same bytes each time."""
    whole = clusters(400, 1)
    save_index(build_index(whole[:340]), tmp_path / "old")
    for name in ("one", "other"):
        save_index(grown_index(tmp_path / "old", whole), tmp_path / name)
    header.verify(tmp_path / "one", size=400, dimension=DIMENSION, m=M)
    assert header.is_over(tmp_path / "one", whole, m=M)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert EF_CONSTRUCTION > M


@pytest.mark.parametrize("spacing", ["local", "none"])
@pytest.mark.parametrize("seed", SEEDS)
def test_lazy_search_of_a_grown_bank_is_exact(seed: int, spacing: str, tmp_path: Path) -> None:
    """The largest distances that a device finds in a grown bank are those of float64, frame after frame."""
    bank = bank_of(seed, spacing)
    save_index(build_index(bank.bank), tmp_path / "old")
    after = grown(bank, pictures(seed), 1.0, 1.5).grown
    graph = GraphSearch(grown_index(tmp_path / "old", after.bank), ef=8, threads=1)
    table = grown_table(after.bank, neighbour_table(bank.bank, 6))
    search = LazySearch(graph, after.bank, PrunedSearch(after.bank, table, after.measure.divisors), K, History(GRID))
    for number in range(8):
        frame = clusters(64, 50 + number, 5.0 * (number % 3))
        found = search(frame).distance
        exact = divided(frame, after)
        assert np.sort(found)[-K:] == pytest.approx(np.sort(exact)[-K:], rel=FLOAT32)
        assert (found >= exact * (1 - FLOAT32)).all()
