"""The exact search of the gate: true distances of every patch, and no mistake of the pruned search stays hidden."""

from __future__ import annotations

import numpy as np
import pytest

from edge_config.errors import ParityRefused
from runtime.learning.bank.in_slices import Threads
from runtime.learning.gate.checked_search import EVERY, TOP, CheckedSearch
from runtime.search.full import distances
from runtime.search.pruned import PrunedSearch
from tests.support import reference

FLOAT32 = 1e-5
"""Relative: distances of a few dozen float32 values against float64."""

PATCHES = 500


@pytest.fixture
def bank() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1500, 24)).astype(np.float32)


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((PATCHES, 24)).astype(np.float32)


@pytest.mark.parametrize("divided", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_distance_is_the_true_one(bank: np.ndarray, features: np.ndarray, *, divided: bool, threads: int) -> None:
    """Each patch has the distance to its nearest entry, and that entry, as by comparing all with all in float64."""
    divisors = np.random.default_rng(2).uniform(1, 2, len(bank)).astype(np.float32) if divided else None
    found = CheckedSearch(bank, divisors, Threads(threads))(features)
    apart = reference.distances(features, bank) / (1 if divisors is None else divisors)
    np.testing.assert_allclose(found.distance, apart.min(axis=1), rtol=FLOAT32)
    np.testing.assert_array_equal(found.index, apart.argmin(axis=1))


def test_only_judged_patches_count(bank: np.ndarray, features: np.ndarray) -> None:
    """Patches outside of the regions have no distance; the others have their own."""
    active = np.arange(PATCHES) % 3 == 0
    found = CheckedSearch(bank)(features, active)
    np.testing.assert_allclose(
        found.distance[active], reference.distances(features[active], bank).min(axis=1), rtol=FLOAT32
    )
    assert not found.distance[~active].any()


def erring_at(monkeypatch: pytest.MonkeyPatch, bank: np.ndarray, where: np.ndarray) -> None:
    """Have the pruned search take another entry than the nearest for patches that have this first value."""
    settle = PrunedSearch.settle

    def err(self, features, found, **options):
        done = settle(self, features, found, **options)
        wrong = np.isin(features[:, 0], where)
        found.index[wrong] = 0
        found.distance[wrong] = distances(features[wrong], bank, found.index[wrong])
        return done

    monkeypatch.setattr(PrunedSearch, "settle", err)


def test_mistake_at_the_top_is_found_at_once(
    monkeypatch: pytest.MonkeyPatch, bank: np.ndarray, features: np.ndarray
) -> None:
    """A nearest entry that is missed for one of the patches that decide a score is refused on the first picture."""
    true = reference.distances(features, bank).min(axis=1)
    erring_at(monkeypatch, bank, features[np.argsort(true)[-TOP // 2], :1])
    with pytest.raises(ParityRefused, match="pruned search"):
        CheckedSearch(bank)(features)


def test_distance_to_no_entry_is_refused(
    monkeypatch: pytest.MonkeyPatch, bank: np.ndarray, features: np.ndarray
) -> None:
    """Wherever a patch has a distance that is not that to its entry, it is refused on the first picture."""
    settle = PrunedSearch.settle

    def lower(self, features, found, **options):
        done = settle(self, features, found, **options)
        found.distance[np.argmin(found.distance)] *= np.float32(0.5)
        return done

    monkeypatch.setattr(PrunedSearch, "settle", lower)
    with pytest.raises(ParityRefused, match="pruned search"):
        CheckedSearch(bank)(features)


def test_mistake_at_one_place_is_found_within_some_pictures(
    monkeypatch: pytest.MonkeyPatch, bank: np.ndarray, features: np.ndarray
) -> None:
    """Wherever a search errs always, it is compared in one of `EVERY` pictures."""
    true = reference.distances(features, bank).min(axis=1)
    erring_at(monkeypatch, bank, features[np.argmin(true), :1])
    search = CheckedSearch(bank)
    with pytest.raises(ParityRefused, match="pruned search"):
        for _ in range(EVERY):
            search(features)
