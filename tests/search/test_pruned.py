"""The exact search of one patch: the same neighbour as a comparison with the whole bank, from any known entry."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from runtime.frame import Tier
from runtime.search.full import all_of, distances
from runtime.search.pruned import PrunedSearch
from tests.support import reference

FLOAT32_RELATIVE = 1e-5  # float32 sums of some hundred squares: 1e-7 each, pairwise, and an order of room
FEW = 0.05  # share of a bank that is left to compare where it lies along few axes; the point of the narrow table


def whole_bank(feature: np.ndarray, bank: np.ndarray) -> tuple[float, int]:
    """Return the smallest distance as computed, and the lowest number of equals."""
    apart = distances(feature, bank)
    return float(apart.min()), int(apart.argmin())


def nearest_of(
    search: PrunedSearch, features: np.ndarray, distance: np.ndarray, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return distance and number of the nearest entry of each patch; `distance` and `index` are of known entries."""
    found = all_of(Tier.GRAPH, distance.copy(), index.copy())
    search.settle(features, found, k=len(features))
    return found.distance, found.index


def check(features: np.ndarray, bank: np.ndarray, starts: np.ndarray) -> None:
    """Search every patch from each of the entries `starts`, and from the second nearest, alone and together."""
    search = PrunedSearch(bank)
    true = reference.distances(features, bank).min(axis=1)
    for feature, nearest in zip(features, true, strict=True):
        wanted = whole_bank(feature, bank)
        assert wanted[0] == pytest.approx(nearest, rel=FLOAT32_RELATIVE, abs=0)
        second = np.argsort(distances(feature, bank), kind="stable")[:2][-1]
        index = np.array([*starts, second])
        patches = np.repeat(feature[None], len(index), axis=0)
        known = distances(patches, bank[index])
        together = nearest_of(search, patches, known, index)
        assert set(zip(*(found.tolist() for found in together), strict=True)) == {wanted}
        alone = nearest_of(search, patches[:1], known[:1], index[:1])
        assert (float(alone[0][0]), int(alone[1][0])) == wanted


@pytest.mark.slow
@given(
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 40), st.sampled_from([1, 2, 5, 40])),
    offset=st.sampled_from([0.0, 1e3, -3e4]),
    step=st.sampled_from([1.0, 0.125, 1e-3]),
    span=st.sampled_from([1, 3, 100]),
    away=st.sampled_from([0.0, 1.0, 1e4]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=150)
def test_any_start_leads_to_the_first_of_the_nearest(
    sizes: tuple[int, int, int], offset: float, step: float, span: int, away: float, seed: int
):
    """From every known entry the search ends at the smallest distance as computed, bit for bit, and its first entry.

    On a coarse grid most distances are ties, far from zero the products cancel; patches may lie far from the bank.
    """
    patches, entries, dimension = sizes
    random = np.random.default_rng(seed)
    features, bank = (
        offset + step * random.integers(-span, span + 1, size=(count, dimension)) for count in (patches, entries)
    )
    check((features + away).astype(np.float32), bank.astype(np.float32), np.arange(entries))


@given(
    sizes=st.tuples(st.integers(1, 60), st.sampled_from([1, 3, 30, 176])),
    offset=st.sampled_from([0.0, 1e3]),
    noise=st.sampled_from([0.0, 1e-6, 1e-3, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=80)
def test_entries_that_differ_by_rounding_alone_are_told_apart(
    sizes: tuple[int, int], offset: float, noise: float, seed: int
):
    """Where many entries are nearly or wholly the same, the nearest is still the one that the distances name."""
    entries, dimension = sizes
    random = np.random.default_rng(seed)
    centre = offset + random.standard_normal(dimension)
    bank = (centre + noise * random.standard_normal((entries, dimension))).astype(np.float32)
    bank = bank[random.integers(entries, size=entries)]  # with repeats
    near = (centre + max(noise, 1e-4) * random.standard_normal((3, dimension))).astype(np.float32)
    far = (centre + 10 * random.standard_normal((2, dimension))).astype(np.float32)
    check(np.concatenate((near, far, bank[:2])), bank, random.integers(entries, size=4))


@pytest.mark.parametrize("entries", [4095, 4096, 4097, 9000])
def test_a_large_bank_is_searched_to_its_end(entries: int):
    """A bank that is taken in several blocks is searched as a whole: its last entries are found as its first."""
    random = np.random.default_rng(entries)
    bank = random.standard_normal((entries, 6)).astype(np.float32)
    last = np.array([0, 4095, 4096, entries - 1]).clip(max=entries - 1)
    features = np.concatenate((bank[last], bank[last] + np.float32(1e-3), random.standard_normal((10, 6))))
    check(features.astype(np.float32), bank, random.integers(entries, size=3))


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e17])
def test_many_axes_and_any_scale_are_searched_exactly(scale: float):
    """Where a bank varies along so many axes that their products need all digits, and however large its numbers are."""
    random = np.random.default_rng(0)
    bank = (scale * random.standard_normal((700, 700))).astype(np.float32)
    features = bank[:2] + (scale * random.standard_normal((2, 700)) * [[1e-3], [1.0]]).astype(np.float32)
    check(features.astype(np.float32), bank, random.integers(700, size=2))


def test_a_bank_without_variance_is_no_special_case():
    """Where all entries are the same, the first of them is the nearest, at its distance."""
    bank = np.full((7, 5), 0.1, dtype=np.float32)
    check(np.array([[0.1] * 5, [3, 0, 0, 0, 0]], dtype=np.float32), bank, np.arange(7))


def test_a_single_entry_is_the_nearest():
    """A bank of one entry gives that entry."""
    bank = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    check(np.array([[1, 2, 3], [4, 6, 3]], dtype=np.float32), bank, np.array([0]))


def test_few_entries_are_compared_where_the_bank_lies_along_few_axes():
    """From a near entry on, hardly any of a bank that varies along few axes is left to compare in full."""
    random = np.random.default_rng(0)
    axes = random.standard_normal((8, 100))
    bank, features = (
        (random.standard_normal((count, 8)) @ axes + 0.05 * random.standard_normal((count, 100))).astype(np.float32)
        for count in (3000, 20)
    )
    search = PrunedSearch(bank)
    starts = np.array([np.argsort(distances(feature, bank))[3] for feature in features])
    nearest_of(search, features, distances(features, bank[starts]), starts)
    assert len(features) <= search.compared <= FEW * len(bank) * len(features)


def test_what_is_not_a_number_stays_what_it_was():
    """A patch that holds no numbers keeps the neighbour that was known, and the search ends."""
    features = np.float32([[np.nan] * 3, [0, 1, 0]])
    bank = np.eye(3, dtype=np.float32)
    distance, index = nearest_of(PrunedSearch(bank), features, np.float32([np.nan, 1.5]), np.array([2, 0]))
    assert np.isnan(distance[0])
    assert distance[1] == 0
    assert index.tolist() == [2, 1]


def test_squares_that_are_too_small_for_float32_hide_nothing():
    """Where squares vanish, the first of the entries that seem equally near is found, as everywhere."""
    bank = np.float32([[0.0], [1e-25]])
    distance, index = nearest_of(PrunedSearch(bank), np.float32([[2e-25]]), np.float32([0.0]), np.array([1]))
    assert (distance[0], index[0]) == (0.0, 0)


def test_squares_that_are_too_large_for_float32_hide_nothing():
    """Where squares overflow, all entries seem equally far, and the first of them is found, as everywhere."""
    bank = np.eye(40, dtype=np.float32)
    features = np.float32([[1e25] * 40, [-1e25, 1e25] * 20, [3e38, -3e38] * 20])
    distance, index = nearest_of(PrunedSearch(bank), features, np.float32([np.inf] * 3), np.array([2, 17, 39]))
    assert np.isinf(distance).all()
    assert index.tolist() == [0, 0, 0]
