"""The measure of a bank: scale of each channel and spacing of the entries, against their definitions in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime.learning.bank.features import FeatureTable, PatchFile, PatchMemory
from runtime.learning.bank.index import neighbour_table
from runtime.learning.bank.measure import CAP, FLOOR, channel_scale, local_spacing, make_measure
from runtime.scoring.adjust import Adjust
from tests.support import reference
from tests.support.clusters import clusters

FLOAT32_RELATIVE = 1e-5  # float32 numbers and sums of some dozen squares: 1e-7 each, and two orders of room
DEVIATIONS = np.array([0.01, 0.1, 1.0, 10.0, 3.0])


def varied(count: int, seed: int = 0) -> np.ndarray:
    """Return patches whose channels vary by `DEVIATIONS`, far from zero."""
    random = np.random.default_rng(seed)
    return (50 + random.standard_normal((count, 5)) * DEVIATIONS).astype(np.float32)


def scale_of(features: np.ndarray, parts: int = 1) -> np.ndarray:
    """Return the scale from features that lie in some parts, read in blocks of different sizes."""
    shares = [np.array_split(share, 3) for share in np.array_split(features, parts)]
    return channel_scale(lambda question: [question(share) for share in shares], features[0], len(features))


def test_scale_is_one_over_the_root_of_the_deviation():
    """Each channel is divided by the root of its standard deviation; the root mean square length stays the same."""
    features, rows = varied(9000), np.arange(0, 9000, 2)
    scale = scale_of(features[rows])
    taken = features[rows].astype(np.float64)
    wanted = taken.std(axis=0) ** -0.5
    np.testing.assert_allclose(scale / scale[0], wanted / wanted[0], rtol=FLOAT32_RELATIVE)
    assert scale.dtype == np.float32
    before, after = (np.square(some).sum(axis=1).mean() for some in (taken, taken * scale))
    assert after == pytest.approx(before, rel=FLOAT32_RELATIVE)


def test_a_channel_that_hardly_varies_does_not_outweigh_the_others():
    """The factor of a channel that is constant is that of a thousandth of the largest deviation."""
    features = varied(1000)
    features[:, 0] = 7
    scale = scale_of(features)
    largest = features.astype(np.float64).std(axis=0).argmax()
    assert scale[0] / scale[largest] == pytest.approx(FLOOR**-0.5, rel=FLOAT32_RELATIVE)


def test_patches_that_are_all_the_same_are_not_scaled():
    """Without any deviation every factor is 1."""
    assert (scale_of(np.full((40, 3), 7, np.float32)) == 1).all()


@pytest.mark.parametrize("parts", [2, 7])
def test_scale_is_the_same_from_any_parts_in_any_order(parts: int):
    """Sums are integers: where features lie, and which are added first, changes no bit."""
    features = varied(4000)
    shuffled = features[np.r_[0, 1 + np.random.default_rng(0).permutation(3999)]]
    assert scale_of(shuffled, parts).tobytes() == scale_of(features).tobytes()


def test_features_in_a_file_are_scaled_as_those_in_memory(tmp_path: Path):
    """Features in a file are multiplied when they are read, as those in memory are."""
    features = varied(600)
    file = PatchFile(tmp_path, 5)
    file.append(features)
    memory = PatchMemory(np.empty_like(features))
    memory.append(features)
    scale = scale_of(features)
    for table in [FeatureTable(some, 100) for some in (memory, file)]:
        table.multiply(scale)
        assert table[3].tobytes() == (features[300:400] * scale).tobytes()


@pytest.mark.parametrize("b", [9, 12])
def test_spacing_is_the_mean_distance_to_the_eight_nearest(b: int):
    """The spacing of an entry is the mean distance to its 8 nearest entries, capped at a quantile of the bank's."""
    bank = clusters(300, 20, seed=0)
    bank[7] += 1000  # it lies alone
    found = local_spacing(bank, neighbour_table(bank, b))
    assert found is not None
    near = np.sort(reference.distances(bank, bank), axis=1)[:, 1:9].mean(axis=1)
    wanted = np.minimum(near, np.quantile(near, CAP))
    np.testing.assert_allclose(found[0], wanted, rtol=FLOAT32_RELATIVE)
    assert found[1] == pytest.approx(wanted.mean(), rel=FLOAT32_RELATIVE)
    assert found[0][7] == found[0].max() < near[7] / 10


def test_distances_to_an_entry_are_divided_by_its_spacing_and_the_mean():
    """The divisor of an entry is its spacing plus the bank's mean; with `none` nothing is divided."""
    bank, scale = clusters(50, 20, seed=0), np.ones(20, np.float32)
    table = neighbour_table(bank, 9)
    measure = make_measure(Adjust(scale), bank, table, "local")
    assert measure.divisors is not None
    assert measure.divisors.tolist() == (measure.spacing + measure.mean).tolist()
    assert make_measure(Adjust(scale), bank, table, "none").divisors is None


@pytest.mark.parametrize("count", [1, 5])
def test_a_bank_of_equal_entries_has_no_spacing(count: int):
    """Where no two entries differ, nothing is divided, by 0 least of all."""
    bank = np.ones((count, 3), np.float32)
    assert make_measure(Adjust(np.ones(3, np.float32)), bank, neighbour_table(bank, count), "local").divisors is None
