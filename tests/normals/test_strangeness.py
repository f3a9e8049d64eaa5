"""How strange a picture is: its distance to the bank of the others, against plain float64."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.learning.normals import strangeness
from runtime.learning.normals.strangeness import MAX_EXACT, SHARE, TWINS, Others

SAME = 2e-4
"""Relative: squares of float32 lose digits where an entry is near."""

PICTURES, PATCHES, DIMENSION, ENTRIES = 30, 40, 6, 300


def reference(
    features: NDArray[np.float64],
    own: int,
    bank: NDArray[np.float64],
    owner: NDArray[np.int64],
    spacing: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how far each patch is from the (TWINS + 1)-th nearest other picture, straight from the definition."""
    found = []
    for patch in features:
        nearest = [
            min(
                float(np.linalg.norm(patch - entry)) / s
                for entry, o, s in zip(bank, owner, spacing, strict=True)
                if o == picture
            )
            for picture in sorted(set(owner.tolist()) - {own})
        ]
        found.append(sorted(nearest)[TWINS])
    return np.array(found)


@pytest.fixture(scope="module")
def made() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Return features of pictures, and a bank of some of their patches with its owners and spacings."""
    random = np.random.default_rng(0)
    features = random.normal(5, 1, (PICTURES, PATCHES, DIMENSION)).astype(np.float32)
    chosen = random.permutation(PICTURES * PATCHES)[:ENTRIES]
    bank = features.reshape(-1, DIMENSION)[chosen]
    return features, bank, chosen // PATCHES, random.uniform(0.5, 2, ENTRIES).astype(np.float32)


@pytest.mark.parametrize("prefix", [20, ENTRIES])
@pytest.mark.parametrize("spaced", [False, True])
def test_distances_and_score_are_those_of_the_definition(
    made: tuple[NDArray[np.float32], ...],
    monkeypatch: pytest.MonkeyPatch,
    prefix: int,
    spaced: bool,  # noqa: FBT001
) -> None:
    """Each patch is as far as the definition says, and the score is the mean of the k largest, in any measure."""
    features, bank, owner, spacing = made
    monkeypatch.setattr(strangeness, "PREFIX", prefix)
    divisors = spacing if spaced else np.ones_like(spacing)
    others = Others(bank, owner, spacing if spaced else None)
    assert PATCHES <= MAX_EXACT
    for own in (0, 7, -1):
        plain = (features[own].astype(float), own, bank.astype(float), owner, divisors.astype(float))
        expected = reference(*plain)
        assert others.distances(features[own], own) == pytest.approx(expected, rel=SAME)
        for k in (1, 5, PATCHES + 1):
            assert others.score(features[own], own, k) == pytest.approx(np.sort(expected)[-k:].mean(), rel=SAME)


def test_twins_do_not_cover_for_each_other() -> None:
    """A patch that only a few pictures show stays strange though each of them is in the bank; a common one does not."""
    random = np.random.default_rng(1)
    features = random.normal(0, 1, (PICTURES, PATCHES, DIMENSION)).astype(np.float32)
    twins = range(TWINS + 1)
    features[twins, 0] = 50
    bank, owner = features.reshape(-1, DIMENSION), np.repeat(np.arange(PICTURES), PATCHES)
    others = Others(bank, owner)
    scores = np.array([others.score(features[own], own, 1) for own in range(PICTURES)])
    assert scores[list(twins)].min() > 10 * scores[len(twins) :].max()


@pytest.mark.parametrize("pictures", [1, 2, 3, SHARE])
def test_few_pictures_are_judged_by_what_there_is(pictures: int) -> None:
    """With few pictures in the bank none or fewer are left out beside the own one, and every score is a number."""
    random = np.random.default_rng(2)
    features = random.normal(0, 1, (pictures + 1, PATCHES, DIMENSION)).astype(np.float32)
    bank = features[:pictures].reshape(-1, DIMENSION)
    others = Others(bank, np.repeat(np.arange(pictures), PATCHES))
    scores = [others.score(each, own, 5) for own, each in enumerate(features)]
    assert np.isfinite(scores).all()
    assert (np.array(scores) > 0).all() == (pictures > 1)  # nothing to compare a single training picture with


def test_the_cap_keeps_what_stands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only some patches are compared in full, the strangest of them still decide."""
    random = np.random.default_rng(3)
    features = random.normal(0, 1, (PICTURES, 400, DIMENSION)).astype(np.float32)
    features[4, 100:105] += 20
    owner = np.repeat(np.arange(PICTURES), 400)
    others = Others(features.reshape(-1, DIMENSION), owner)
    exact = np.sort(others.distances(features[4], 4))[-5:].mean()
    assert others.score(features[4], 4, 5) == pytest.approx(exact, rel=SAME)
    monkeypatch.setattr(strangeness, "MAX_EXACT", 32)
    assert others.score(features[4], 4, 5) == pytest.approx(exact, rel=SAME)
