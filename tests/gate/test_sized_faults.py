"""Synthetic faults of stated sizes and contrasts: the same every time, as large and as strong as they say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from export.gate.score_faults import FaultScores, PlacedFaults, score_faults, score_placed
from export.gate.sized_faults import CELLS, CONTRASTS, FRAMES, SLENDER, SizedFault, cell_hw, pixels, place, plan
from runtime.frame import Grid, Image
from runtime.learning.gate.synthetic_faults import Judged, all_judged
from runtime.scoring.preprocess import Preprocess
from tests.support.preprocessing import resized
from tests.support.small import HEIGHT, WIDTH, colour_picture

GREY = 100
ROUNDING = 1.0
"""Pixels: a disc or line at any angle has a soft edge of this width."""

SIDE = 32
GRID = Grid((8, 8))


HEIGHT_PX, WIDTH_PX = 240, 320


def flat() -> Image:
    return np.full((HEIGHT_PX, WIDTH_PX, 3), GREY, np.uint8)


def drawn(fault: SizedFault, seed: int, cell: float = 8.0) -> np.ndarray:
    """Return how much every pixel of a flat picture changes, int [H, W, 3]."""
    picture = flat()
    damaged = place(fault, cell, (0, 0, *picture.shape[:2]), np.random.default_rng(seed))(picture)
    assert (picture == GREY).all()
    return damaged.astype(int) - GREY


@dataclass
class Recorder:
    """Stages that keep what they score, and score how much of a picture is not grey."""

    preprocess: Preprocess = field(default_factory=lambda: Preprocess(resized((SIDE, SIDE))))
    grid: Grid = GRID
    seen: list[Image] = field(default_factory=list)

    def __call__(self, image: Image) -> SimpleNamespace:
        self.seen.append(image)
        return SimpleNamespace(value=float((image != GREY).mean()))


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("kind", ["spot", "stain"])
def test_disc_has_the_stated_size_and_contrast(kind, cells: float) -> None:
    """A spot or stain has the area of a disc of the stated diameter, and its middle the stated contrast."""
    size = pixels(cells, 8.0)
    for contrast in CONTRASTS:
        change = drawn(SizedFault(kind, cells, contrast), seed=contrast)
        strongest = np.abs(change).max(axis=2)
        assert strongest.max() == pytest.approx(contrast, abs=1) or size < 4
        covered = (strongest / contrast).sum()
        assert np.sqrt(4 * covered / np.pi) == pytest.approx(size, abs=ROUNDING)
        spread = np.ptp(np.nonzero(strongest > contrast / 2)[0]) + 1
        assert spread == pytest.approx(size, abs=ROUNDING)


def test_spot_keeps_the_colour_and_stain_the_brightness() -> None:
    """A spot changes all channels alike; a stain changes the colour, and not the mean of the channels."""
    spot, stain = (drawn(SizedFault(kind, 2.0, 50), seed=1) for kind in ("spot", "stain"))
    assert (spot == spot[..., :1]).all()
    assert np.abs(stain.mean(axis=2)).max() < 1
    assert np.abs(stain).max() == 50


@pytest.mark.parametrize("seed", range(4))
def test_scratch_has_the_stated_length_and_width(seed: int) -> None:
    """A scratch is as long as stated at whatever angle, and a tenth as wide."""
    change = np.abs(drawn(SizedFault("scratch", 8.0, 120), seed))[..., 0] / 120
    rows, columns = np.nonzero(change > 0.5)
    points = np.stack([rows, columns], axis=1) - [rows.mean(), columns.mean()]
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    length, width = np.ptp(points @ axes.T, axis=0) + 1
    assert length == pytest.approx(64, abs=2 * ROUNDING)
    assert width == pytest.approx(64 / SLENDER, abs=2 * ROUNDING)
    assert change.sum() == pytest.approx(64 * 6, rel=0.05)


def test_plan_has_every_combination_equally_often() -> None:
    """Kinds, sizes and contrasts are crossed; grey pictures have no stains; there are never more than stated."""
    for colours, kinds in ((True, 3), (False, 2)):
        counts = Counter(plan(CELLS, colours=colours, seed=0))
        assert len(counts) == kinds * len(CELLS) * len(CONTRASTS)
        assert len(set(counts.values())) == 1
        assert FRAMES - len(counts) < counts.total() <= FRAMES
    assert not any(fault.kind == "stain" for fault in plan(CELLS, colours=False, seed=0))


def score_on(hosts: list[Image], recorder: Recorder, seed: int, judged: Judged = all_judged) -> FaultScores:
    """Score faults on pictures, the last one first: it may lie in another part."""

    def judge(faults: PlacedFaults) -> dict[int, list[float]]:
        return {number: score_placed(hosts[number], faults[number], recorder) for number in reversed(faults)}  # type: ignore[arg-type]

    hosts_hw = {number: host.shape[:2] for number, host in enumerate(hosts)}
    return score_faults(hosts[0], hosts_hw, recorder, judge, seed, judged)  # type: ignore[arg-type]


def scored(seed: int) -> tuple[Recorder, np.ndarray]:
    recorder = Recorder()
    return recorder, score_on([colour_picture(number) for number in range(5)], recorder, seed).scores


def test_same_pictures_and_seed_give_the_same_faults() -> None:
    """The faults are the same for the same pictures and seed, and others for another seed."""
    (first, scores), (again, same), (other, _) = scored(3), scored(3), scored(4)
    assert all((a == b).all() for a, b in zip(first.seen, again.seen, strict=True))
    assert (scores == same).all()
    assert not all((a == b).all() for a, b in zip(first.seen, other.seen, strict=True))
    assert len(first.seen) <= FRAMES


def test_each_score_is_that_of_its_fault() -> None:
    """The faults and their scores are in the same order: a larger spot on a grey picture changes more of it."""
    recorder = Recorder()
    found = score_on([flat(), flat()], recorder, 0)
    assert found.cell == pytest.approx(np.sqrt(HEIGHT_PX / 8 * WIDTH_PX / 8))
    spots = {cells: [] for cells in CELLS}
    for fault, score in zip(found.faults, found.scores, strict=True):
        if fault.kind == "spot":
            spots[fault.cells].append(score * HEIGHT_PX * WIDTH_PX)
    areas = [np.mean(spots[cells]) for cells in CELLS if spots[cells]]
    sizes = [pixels(cells, found.cell) for cells in CELLS if spots[cells]]
    assert areas == pytest.approx([np.pi / 4 * size**2 for size in sizes], rel=0.25)  # the soft edge counts whole


def test_faults_are_where_the_network_looks() -> None:
    """With a crop no fault is outside of what the network sees."""
    spec = resized((48, 48), crop_hw=(SIDE, SIDE))
    recorder = Recorder(Preprocess(spec))
    score_on([flat()], recorder, 0)
    changed = np.any([(image != GREY).any(axis=2) for image in recorder.seen], axis=0)
    rows, columns = np.nonzero(changed)
    for at, size in (rows, HEIGHT_PX), (columns, WIDTH_PX):
        assert at.min() >= size / 6
        assert at.max() < size * 5 / 6


def test_cell_is_what_a_patch_covers_of_the_camera() -> None:
    """A grid of 8 x 8 over 160 x 120 pixels has patches of 20 x 15."""
    assert cell_hw((HEIGHT, WIDTH), Preprocess(resized((SIDE, SIDE))), GRID) == pytest.approx((15, 20))


def test_faults_are_where_pictures_are_judged() -> None:
    """With a region the middle of every fault is inside of it."""
    region = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
    region[100:180, 40:120] = True
    recorder = Recorder()
    score_on([flat()], recorder, 0, lambda _: region)
    for image in recorder.seen:
        rows, columns = np.nonzero((image != GREY).any(axis=2))
        row, column = (int(np.ptp(at)) // 2 + at.min() for at in (rows, columns))
        assert 98 <= row <= 182
        assert 38 <= column <= 122
