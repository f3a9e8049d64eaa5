"""Centring, offsets and scaling of features, against their definition in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.scoring import _features
from runtime.scoring.adjust import Adjust

ROUNDING = 2e-6
"""Of a few float32 operations, relative to the largest feature times its factor."""


def by_definition(
    features: np.ndarray, scale: np.ndarray, centring: float, judged: np.ndarray | None, offset: np.ndarray | None
) -> np.ndarray:
    exact = features.astype(np.float64)
    mean = exact[slice(None) if judged is None else judged].mean(axis=0)
    return (exact - centring * mean - (0 if offset is None else offset)) * scale


@given(
    seed=st.integers(0, 2**32 - 1),
    patches=st.integers(1, 150),
    channels=st.integers(1, 40),
    centring=st.sampled_from((0.0, 0.3, 0.5, 1.0)),
    some=st.booleans(),
    offsets=st.booleans(),
)
def test_a_share_of_the_mean_over_the_judged_patches_is_subtracted_and_offsets_before_scaling(
    seed: int, patches: int, channels: int, centring: float, *, some: bool, offsets: bool
):
    """All patches are moved and scaled, also those that are not judged."""
    random = np.random.default_rng(seed)
    features = random.normal(3, 2, (patches, channels)).astype(np.float32)
    scale = random.uniform(0.1, 10, channels).astype(np.float32)
    judged = random.random(patches) < 0.5 if some else None
    if judged is not None:
        judged[random.integers(patches)] = True
    offset = random.normal(0, 2, features.shape).astype(np.float32) if offsets else None
    wanted = by_definition(features, scale, centring, judged, offset)
    found = Adjust(scale, centring, judged, offset)(features.copy())
    assert np.abs(found - wanted).max() <= ROUNDING * np.abs(features).max() * scale.max()


def test_without_centring_and_scale_features_stay_as_they_are():
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert Adjust(np.ones(3, np.float32))(features.copy()).tobytes() == features.tobytes()


def test_distances_at_full_centring_do_not_depend_on_what_all_patches_have_in_common():
    """Light that adds the same to all features of a frame changes no distance."""
    random = np.random.default_rng(1)
    features, scale = random.normal(size=(50, 8)).astype(np.float32), np.full(8, 2, np.float32)
    lit = (features + random.normal(size=8)).astype(np.float32)
    adjust = Adjust(scale, 1.0)
    assert np.abs(adjust(lit) - adjust(features)).max() < ROUNDING * 10


@pytest.mark.parametrize(
    "shapes", [((4, 3), 3, (2,), 0), ((4, 3), 5, (0,), 0), ((4, 3), 0, (0,), 0), ((4, 3), 3, (0,), 3)], ids=str
)
def test_arrays_that_do_not_fit_are_refused(shapes: tuple[tuple[int, int], int, tuple[int, ...], int]):
    rows, channels, judged, offsets = shapes
    features, scale = np.zeros(rows, np.float32), np.ones(channels, np.float32)
    with pytest.raises(ValueError, match="other shapes"):
        _features.adjust(features[:, : rows[1]], np.ones(judged, np.bool_), scale, 0.5, np.zeros(offsets, np.float32))
