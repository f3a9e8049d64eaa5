"""How still a scene stands, and what is subtracted at each position, against their definitions in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime.learning.bank.features import FeatureTable, PatchFile, PatchMemory
from runtime.learning.bank.stillness import LARGEST, Stillness, stillness

PICTURES, PATCHES, CHANNELS = 12, 30, 4
RELATIVE = 1e-5  # float32 features, sums in float64
EXACT = 1e-4  # of features up to 60 in float32


def scene(within: float, seed: int = 0) -> np.ndarray:
    """Return pictures of one scene, float32 [pictures, patches, channels], far from zero; `within` is its noise."""
    random = np.random.default_rng(seed)
    usual = random.standard_normal((PATCHES, CHANNELS)) * [1, 2, 5, 0.1]
    noise = random.standard_normal((PICTURES, PATCHES, CHANNELS)) * [1, 2, 5, 0.1]
    return (50 + usual + within * noise).astype(np.float32)


def still(pictures: np.ndarray, parts: int = 1) -> Stillness:
    """Measure pictures that lie in some parts."""
    shares = np.array_split(pictures, parts)
    return stillness(lambda question: [question(share) for share in shares], pictures[0], len(pictures))


def table(pictures: np.ndarray) -> FeatureTable:
    memory = PatchMemory(np.empty((0, CHANNELS), np.float32))
    memory.append(pictures.reshape(-1, CHANNELS))
    return FeatureTable(memory, PATCHES)


def test_means_are_those_of_each_position_less_the_mean_of_all():
    """Only the training pictures count."""
    pictures, chosen = scene(0.5), np.arange(0, PICTURES, 2)
    means = pictures[chosen].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(still(pictures[chosen]).means, means - means.mean(axis=0), atol=EXACT)


def test_the_share_within_positions_weighs_channels_by_their_deviation():
    """It is the mean variance within positions by the variance of all, each over the channel's deviation."""
    pictures = scene(0.7)
    exact = pictures.astype(np.float64)
    deviation = np.sqrt(exact.var(axis=0, ddof=1).mean(axis=0) + exact.mean(axis=0).var(axis=0))
    within, between = exact.var(axis=0, ddof=1).mean(axis=0) / deviation, exact.mean(axis=0).var(axis=0) / deviation
    found = still(pictures)
    assert found.within == pytest.approx(within.sum() / (within + between).sum(), rel=RELATIVE)


@pytest.mark.parametrize(("within", "share"), [(0.0, LARGEST), (0.1, LARGEST), (5.0, 0.0)])
def test_the_stiller_the_scene_the_more_is_subtracted(within: float, share: float):
    """Of a still scene the largest share, of one in which every position changes nothing."""
    assert still(scene(within)).share == share


def test_a_scene_that_is_the_same_everywhere_has_nothing_to_subtract():
    """Where no feature varies, the means are zero."""
    found = still(np.full((PICTURES, PATCHES, CHANNELS), 7, np.float32))
    assert not found.means.any()


def test_features_in_a_file_lose_the_same_as_those_in_memory(tmp_path: Path):
    """Offsets are subtracted before they are multiplied, in memory and when a file is read; `restore` undoes both."""
    pictures, scale = scene(0.5), np.float32([2, 0.5, 3, 1])
    file = PatchFile(tmp_path, CHANNELS)
    file.append(pictures.reshape(-1, CHANNELS))
    offset = still(pictures).means.astype(np.float32)
    for features in (table(pictures), FeatureTable(file, PATCHES)):
        features.subtract(offset)
        features.multiply(scale)
        for number in range(PICTURES):
            assert features[number].tobytes() == ((pictures[number] - offset) * scale).tobytes()
        features.restore()
        assert features[3].tobytes() == pictures[3].tobytes()


def test_the_scene_is_the_same_from_any_parts_in_any_order():
    """Sums are integers: where pictures lie, and which are added first, changes no bit."""
    pictures = scene(0.5)
    once, again = still(pictures), still(np.concatenate([pictures[:1], pictures[:0:-1]]), parts=3)
    assert (once.within, once.means.tobytes()) == (again.within, again.means.tobytes())
