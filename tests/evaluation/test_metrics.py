"""The figures of merit, against their definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import auc, roc_auc_score

from export.evaluation import metrics

FLOAT64 = 1e-12  # sums of a few thousand float64 numbers of at most 1
LIMIT = 0.3
SPREAD = 0.02  # three standard deviations of a mean over 100 regions of 9 to 36 random pixels


def figures(maps: list[np.ndarray], masks: list[np.ndarray], limit: float = LIMIT) -> tuple[float, float]:
    """Return pixel AUROC and AUPRO of maps, each [H, W]."""
    ranks = metrics.rank_pixels([found.astype(np.float32) for found in maps], masks)
    assert ranks is not None
    return metrics.pixel_auroc(ranks), metrics.aupro(ranks, limit)


def aupro_by_definition(maps: list[np.ndarray], masks: list[np.ndarray], limit: float) -> float:
    """Walk through every threshold from above; for each, look at every region, and at all pixels outside."""
    regions = []
    for found, mask in zip(maps, masks, strict=True):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [found[labels == number] for number in range(1, count + 1)]
    outside = np.concatenate([found[~mask] for found, mask in zip(maps, masks, strict=True)])
    area, fpr, pro = 0.0, 0.0, 0.0
    for threshold in np.unique(np.stack(maps))[::-1]:
        new_fpr = float(np.mean(outside >= threshold))
        new_pro = float(np.mean([np.mean(region >= threshold) for region in regions]))
        if new_fpr >= limit:
            at_limit = pro + (new_pro - pro) * (limit - fpr) / (new_fpr - fpr)
            return (area + (limit - fpr) * (pro + at_limit) / 2) / limit
        area += (new_fpr - fpr) * (pro + new_pro) / 2
        fpr, pro = new_fpr, new_pro
    raise AssertionError("the last threshold takes every pixel")


def random_maps(seed: int, levels: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Make three small maps of so many levels, that are somewhat higher where a few random regions are."""
    random = np.random.default_rng(seed)
    masks = [random.random((9, 11)) < share for share in (0.1, 0.3, 0.0)]
    maps = [random.integers(0, levels, mask.shape) + random.integers(0, levels // 2 + 1) * mask for mask in masks]
    return maps, masks


@pytest.mark.slow
@pytest.mark.parametrize("levels", [2, 3, 10, 100_000])
@pytest.mark.parametrize("limit", [0.05, LIMIT, 1.0])
def test_aupro_is_what_the_definition_says(levels: int, limit: float):
    """On random maps, with many equal scores and with hardly any, it is the area that the definition gives."""
    for seed in range(20):
        maps, masks = random_maps(seed, levels)
        expected = aupro_by_definition(maps, masks, limit)
        assert figures(maps, masks, limit)[1] == pytest.approx(expected, abs=FLOAT64), seed


@pytest.mark.parametrize("levels", [2, 10, 100_000])
def test_pixel_auroc_is_that_of_all_pixels(levels: int):
    """It is the AUROC of all pixels of all pictures taken together."""
    maps, masks = random_maps(7, levels)
    expected = roc_auc_score(np.stack(masks).ravel(), np.stack(maps).ravel())
    assert figures(maps, masks)[0] == pytest.approx(expected, abs=FLOAT64)


def squares(count: int) -> np.ndarray:
    """Mark squares of 3, 4, 5, ... pixels side along a diagonal of a mask."""
    mask = np.zeros((80, 80), dtype=bool)
    for number in range(count):
        mask[16 * number + 1 : 16 * number + 4 + number, 16 * number + 1 : 16 * number + 4 + number] = True
    return mask


def test_a_perfect_map_gives_one():
    """Where every anomalous pixel scores above every normal one, both figures are 1."""
    mask = squares(4)
    noise = np.random.default_rng(0).random(mask.shape)
    assert figures([noise + 2 * mask, noise], [mask, np.zeros_like(mask)]) == pytest.approx((1, 1), abs=FLOAT64)


def test_a_map_of_one_level_gives_the_diagonal():
    """Where all pixels score the same, the curve is the diagonal: 0.3 / 2 up to 0.3, and an AUROC of one half."""
    mask = squares(4)
    assert figures([np.ones(mask.shape)], [mask]) == pytest.approx((0.5, LIMIT / 2), abs=FLOAT64)


def test_a_map_that_knows_nothing_is_near_the_diagonal():
    """Where the scores are random, the area is that of the diagonal, but for chance."""
    random = np.random.default_rng(0)
    masks = [squares(4)] * 25 + [np.zeros((80, 80), dtype=bool)] * 14
    auroc, aupro = figures([random.random((80, 80)) for _ in masks], masks)
    assert aupro == pytest.approx(LIMIT / 2, abs=SPREAD)
    assert auroc == pytest.approx(0.5, abs=SPREAD)


def test_every_region_weighs_the_same():
    """Of four regions of four sizes, two perfect and two blind give 0.5, whichever two they are."""
    mask = squares(4)
    labels, _ = ndimage.label(mask)
    noise = np.random.default_rng(0).random(mask.shape)
    for perfect in ((1, 2), (1, 4), (3, 4)):
        seen = np.isin(labels, perfect)
        found = np.where(seen, 2.0, np.where(mask, -1.0, noise))
        assert figures([found], [mask])[1] == pytest.approx(0.5, abs=FLOAT64)


def test_pixels_that_touch_at_a_corner_are_one_region():
    """A region of two corners and one beside it are two regions: with the corners found it is 1/2, not 2/3."""
    mask = np.zeros((10, 10), dtype=bool)
    mask[2, 2] = mask[3, 3] = mask[7, 7] = True
    found = np.zeros((10, 10))
    found[2, 2] = found[3, 3] = 2.0
    found[7, 7] = -1.0
    assert figures([found], [mask])[1] == pytest.approx(0.5, abs=FLOAT64)


def test_pixel_figures_need_pixels_of_both_kinds():
    """Without a map, without a region, or without a normal pixel there is nothing to rank."""
    found = np.zeros((4, 4), dtype=np.float32)
    assert metrics.rank_pixels([], []) is None
    assert metrics.rank_pixels([found], [np.zeros((4, 4), dtype=bool)]) is None
    assert metrics.rank_pixels([found], [np.ones((4, 4), dtype=bool)]) is None


def counts(scores: np.ndarray, anomalous: np.ndarray) -> list[tuple[int, int]]:
    """Return for every threshold, the highest first, how many anomalous and how many normal pictures reach it."""
    reached = [scores >= threshold for threshold in np.unique(scores)[::-1]]
    return [(int((each & anomalous).sum()), int((each & ~anomalous).sum())) for each in reached]


def random_scores(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 25 scores with ties, and a truth that agrees with them more or less."""
    random = np.random.default_rng(seed)
    scores = random.integers(0, 12, 25).astype(np.float64)
    return scores, scores + random.normal(0, 4, 25) > 7


@pytest.mark.parametrize("seed", range(20))
def test_image_figures_are_what_their_definitions_say(seed: int):
    """AUROC, average precision and the best F1 equal those counted out threshold by threshold."""
    scores, anomalous = random_scores(seed)
    total = int(anomalous.sum())
    pairs = scores[anomalous][:, None] - scores[~anomalous][None]
    assert metrics.image_auroc(scores, anomalous) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    precision, recall, f1 = 0.0, 0.0, []
    for caught, alarms in counts(scores, anomalous):
        precision += (caught / total - recall) * caught / (caught + alarms)
        recall = caught / total
        f1.append(2 * caught / (2 * caught + alarms + total - caught))
    assert metrics.average_precision(scores, anomalous) == pytest.approx(precision)
    assert metrics.f1_max(scores, anomalous) == pytest.approx(max(f1))


def test_roc_goes_from_corner_to_corner():
    """The curve starts at (0, 0), ends at (1, 1), never falls, and has the area that is reported."""
    scores, anomalous = random_scores(3)
    points = metrics.roc_points(scores, anomalous)
    assert points is not None
    assert [axis[0] for axis in points] == [0, 0]
    assert [axis[-1] for axis in points] == [1, 1]
    assert all((np.diff(axis) >= 0).all() for axis in points)
    assert auc(*points) == pytest.approx(metrics.image_auroc(scores, anomalous))


@pytest.mark.parametrize("anomalous", [True, False])
def test_image_figures_need_pictures_of_both_kinds(*, anomalous: bool):
    """With one kind of pictures only, every figure that compares the two is absent."""
    scores, truth = np.arange(5.0), np.full(5, anomalous)
    for figure in (metrics.image_auroc, metrics.average_precision, metrics.f1_max, metrics.roc_points):
        assert figure(scores, truth) is None
