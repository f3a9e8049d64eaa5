"""What the choice of a threshold rests on, against numpy and the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special  # noqa: F401 - what is tested loads it late: without the workshop these tests are left out

from export.gate.score_faults import FaultScores
from export.gate.sized_faults import CELLS, CONTRASTS, SizedFault
from export.report.choose import ALPHAS, BINS, LIKELY, histogram, patch_seen, summarise, trade_off
from export.report.words import patch, smallest
from runtime.frame import Grid
from runtime.learning.calibrate import calibrate
from tests.support.preprocessing import resized

CELL = 8.0


def fault_scores(rule) -> FaultScores:
    """Return faults of all kinds, sizes and contrasts, five of each, with the scores that a rule gives them."""
    faults = [
        SizedFault(kind, cells, contrast)
        for kind in ("spot", "scratch")
        for cells in CELLS
        for contrast in CONTRASTS
        for _ in range(5)
    ]
    return FaultScores(faults, np.array([rule(number, fault) for number, fault in enumerate(faults)], float), CELL)


def test_histogram_counts_every_picture() -> None:
    """Edges go from the lowest score to the highest or the threshold, and numpy counts the same."""
    random = np.random.default_rng(0)
    held, learnt = random.normal(10, 1, 50), random.normal(11, 2, 150)
    found = histogram(held, learnt, 25.0)
    assert len(found.edges) == BINS + 1
    assert (found.edges[0], found.edges[-1]) == (min(held.min(), learnt.min()), 25.0)
    assert found.held_out == np.histogram(held, np.array(found.edges))[0].tolist()
    assert found.learnt == np.histogram(learnt, np.array(found.edges))[0].tolist()
    assert (sum(found.held_out), sum(found.learnt)) == (50, 150)
    assert histogram(held, np.zeros(0), 25.0).learnt == []


@pytest.mark.parametrize("n", [10, 99, 1000])
def test_thresholds_are_those_of_split_conformal_prediction(n: int) -> None:
    """For each rate it is the ceil((n + 1)(1 - alpha))-th smallest score, or the largest where n is too small."""
    held = np.random.default_rng(n).random(n)
    rows = trade_off(lambda alpha: calibrate(held, alpha), fault_scores(lambda *_: 0.5), None)
    assert [row.alpha for row in rows] == list(ALPHAS)
    ordered = sorted(held)
    for row in rows:
        rank = math.ceil(round((n + 1) * (1 - row.alpha), 6))
        assert row.threshold == ordered[min(rank, n) - 1]
        assert row.promised_alpha == pytest.approx(1 - min(rank, n) / (n + 1))
        assert (rank <= n) == (n >= row.pictures_needed)


def test_shares_of_the_faults_follow_each_threshold() -> None:
    """By size over kinds and contrasts, and by contrast over kinds and sizes, faults above the threshold count."""
    scored = fault_scores(lambda _, fault: fault.cells * fault.contrast)
    held = np.arange(100.0)
    for row in trade_off(lambda alpha: calibrate(held, alpha), scored, None):
        for share, cells in zip(row.by_size, CELLS, strict=True):
            assert share == np.mean([cells * contrast > row.threshold for contrast in CONTRASTS])
        for share, contrast in zip(row.by_contrast, CONTRASTS, strict=True):
            assert share == np.mean([cells * contrast > row.threshold for cells in CELLS])


def test_test_set_is_counted_at_each_threshold() -> None:
    """With a test set each row has its detections and false alarms."""
    scores, anomalous = np.array([5.0, 97.5, 98.5, 200.0, 96.5]), np.array([False, False, True, True, True])
    rows = trade_off(lambda alpha: calibrate(np.arange(100.0), alpha), fault_scores(lambda *_: 1), (scores, anomalous))
    by_alpha = {row.alpha: row for row in rows}
    assert [(row.threshold, row.detected.found, row.false_alarms.found) for row in by_alpha.values()] == [
        (99, 1, 0),
        (99, 1, 0),
        (99, 1, 0),
        (97, 2, 1),
        (95, 3, 1),
    ]
    assert (by_alpha[0.01].detected.of, by_alpha[0.01].false_alarms.of) == (3, 2)


def test_faults_are_counted_by_kind_size_and_contrast() -> None:
    """Each row counts its own faults; a score that equals the threshold is not above it."""
    scored = fault_scores(lambda number, fault: fault.cells + (number % 5 == 0))
    found = summarise(scored, 4.0, 7)
    assert (found.frames, found.pictures, found.sizes) == (len(scored.scores), 7, [4, 8, 16, 32, 64])
    assert sum(row.share.of for row in found.found) == len(scored.scores)
    counts = {row.size: row.share.found for row in found.found if (row.kind, row.contrast) == ("spot", 20)}
    assert counts == {4: 0, 8: 0, 16: 0, 32: 1, 64: 5}
    widths = {row.size: row.width for row in found.found if row.kind == "scratch"}
    assert widths == {4: 1, 8: 1, 16: 2, 32: 3, 64: 6}


def test_smallest_fault_is_the_one_from_which_on_all_are_likely_found() -> None:
    """At the strongest contrast enough faults of that size and of each larger one are found: a gap counts."""

    def rule(number: int, fault: SizedFault) -> float:
        if fault.kind == "spot":  # 4 of 5 from 8 pixels on; fainter ones never
            return float(fault.cells >= 1 and number % 5 > 0 and fault.contrast == max(CONTRASTS))
        return float(fault.cells != 4)  # scratches of 32 pixels are missed, so only 64 count

    found = summarise(fault_scores(rule), 0.5, 1)
    assert LIKELY == 0.8
    assert {row.kind: row.size for row in found.smallest} == {"spot": 8, "scratch": 64}
    assert smallest(found) == (
        "synthetic spots from 8 pixels (4: 0 of 5), scratches from 6 x 64 pixels (3 x 32: 0 of 5) are likely found at "
        "120 grey levels; smaller or fainter ones are likely missed"
    )


def test_faults_that_are_never_found_are_said() -> None:
    """Where no size of a kind is found, that is said of it, and the largest size that was tried."""
    some = summarise(fault_scores(lambda _, fault: float(fault.kind == "spot")), 0.5, 1)
    assert "scratches of every size tried (up to 64 pixels) are likely missed" in smallest(some)
    none = summarise(fault_scores(lambda *_: 0.0), 0.5, 1)
    assert smallest(none) == "spots, scratches of every size tried (up to 64 pixels) are likely missed"


def test_patch_covers_its_share_of_the_most_frequent_size() -> None:
    """A grid of 8 x 8 over pictures of 4000 x 3000 has patches of 500 x 375 pixels."""
    found = patch_seen({"4000 x 3000": 5, "400 x 300": 2}, resized((32, 32)), Grid((8, 8)))
    assert (found.picture_hw, found.cell_hw) == ((3000, 4000), pytest.approx((375, 500)))
    assert patch(found) == "one patch covers 500 x 375 pixels of a picture of 4000 x 3000"
