"""Scores beside those of the held-out normal pictures: excess and p-value, against their definitions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_config.bundle.held_out import MAX_SCORES, excess, p_value, thinned
from edge_config.bundle.manifest import decode
from edge_config.errors import BundleManifestInvalid
from runtime.learning.calibrate import calibrate
from tests.support.forge import edit_manifest

ROUNDING = 1e-12
"""Two ways to divide the same float64 numbers differ by a few units in the last place."""

SCORES = st.lists(st.floats(0, 100) | st.integers(0, 5).map(float), min_size=1, max_size=60)


def by_definition(score: float, held_out: list[float]) -> float:
    """Return the conformal p-value: how many of the scores and this one are at least as high, as a share of them."""
    return float(np.mean(np.append(held_out, score) >= score))


@given(SCORES, st.floats(0, 120))
def test_p_value_is_the_conformal_one(held_out: list[float], score: float) -> None:
    """With all scores stored the p-value is that of the definition, ties included."""
    for one in (score, *held_out):
        found = p_value(one, len(held_out), thinned(sorted(held_out)))
        assert found == pytest.approx(by_definition(one, held_out), rel=ROUNDING)


@pytest.mark.parametrize("n", [MAX_SCORES - 1, MAX_SCORES, MAX_SCORES + 1, 1499, 2000, 4711])
def test_thinned_scores_give_an_upper_bound(n: int) -> None:
    """Of however many scores at most 1,000 are stored; the p-value is never too small, and too large by at most 0.1 %.

    Over all of them it is 1 / (n + 1), as without thinning.
    """
    random = np.random.default_rng(n)
    held_out = random.gamma(3, size=n).round(2).tolist()  # rounded: with ties
    stored = thinned(sorted(held_out))
    assert len(stored) <= MAX_SCORES
    for score in [*random.choice(held_out, 200), *random.gamma(3, size=200), 0.0]:
        exact, found = by_definition(score, held_out), p_value(score, n, stored)
        assert exact - ROUNDING <= found <= exact + 1 / MAX_SCORES
    assert p_value(max(held_out) + 1, n, stored) == pytest.approx(1 / (n + 1), rel=ROUNDING)


def test_p_values_of_new_normal_pictures_are_valid() -> None:
    """A new picture like the held-out ones has a p-value of at most p with probability p at most, though thinned."""
    random = np.random.default_rng(1)
    n, calibrations = 1500, 2000
    small = 0
    for _ in range(calibrations):
        *held_out, new = random.normal(10, 1, n + 1).tolist()
        small += p_value(new, n, thinned(sorted(held_out))) <= 0.05
    assert small / calibrations <= 0.05 + 4 * (0.05 * 0.95 / calibrations) ** 0.5  # four standard deviations


def test_nothing_stored_is_no_p_value() -> None:
    """A bundle without held-out scores gives no p-value, not a wrong one."""
    assert p_value(5.0, 99, ()) is None


def test_excess_is_measured_in_the_gap_between_median_and_threshold() -> None:
    """It is 0 at the threshold, -1 at the median, and does not depend on the unit of the scores."""
    assert excess(10.0, 10.0, 6.0) == 0
    assert excess(6.0, 10.0, 6.0) == -1
    assert excess(20.0, 10.0, 6.0) == 2.5
    assert excess(7 * 20.0, 7 * 10.0, 7 * 6.0) == pytest.approx(2.5, rel=ROUNDING)


@pytest.mark.parametrize(("threshold", "median"), [(10.0, 10.0), (5.0, 10.0), (10.0, None), (0.0, 0.0)])
def test_no_gap_is_no_excess(threshold: float, median: float | None) -> None:
    """Where the threshold is not above the median, such as a low one in the settings, there is no excess."""
    assert excess(20.0, threshold, median) is None
    assert excess(float("nan"), 10.0, 6.0) is None
    assert excess(1e308, 1e-320, 0.0) is None


def test_calibration_records_what_both_need() -> None:
    """The calibration of a fit has the median and all scores; its p-value of the threshold keeps the promise."""
    held_out = np.random.default_rng(3).gamma(3, size=99)
    found = calibrate(held_out, 0.05)
    assert found.scores == tuple(np.sort(held_out).tolist())
    assert found.median == pytest.approx(float(np.median(held_out)), rel=ROUNDING)
    over = np.nextafter(found.threshold, np.inf)
    assert found.p_value(over) == pytest.approx(by_definition(over, held_out.tolist()), rel=ROUNDING)
    assert found.p_value(over) <= 0.05


@pytest.mark.parametrize("scores", [[2.0, 1.0], [1.0] * 100, [1.0] * (MAX_SCORES + 1), [-1.0]])
def test_impossible_scores_are_refused(tiny_bundle: Path, tmp_path: Path, scores: list[float]) -> None:
    """A manifest whose scores are not ordered, more than n, more than 1,000 or negative is refused."""
    bundle = shutil.copytree(tiny_bundle, tmp_path / "forged")
    edit_manifest(bundle, lambda tree: tree["calibration"].update(scores=scores))
    with pytest.raises(BundleManifestInvalid, match="calibration"):
        decode((bundle / "manifest.json").read_bytes(), "here")


def test_regions_without_a_size_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    """Polygons of a manifest that belong to no size of picture are refused."""
    bundle = shutil.copytree(tiny_bundle, tmp_path / "forged")
    edit_manifest(bundle, lambda tree: tree.update(ignore=[[[0, 0], [9, 0], [9, 9]]]))
    with pytest.raises(BundleManifestInvalid, match="regions_hw"):
        decode((bundle / "manifest.json").read_bytes(), "here")
