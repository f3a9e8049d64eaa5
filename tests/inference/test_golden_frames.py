"""Golden frames: exact on both sides, so that neither the graph nor a tie refuses a bundle, and a change does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from edge_config.bundle.manifest import Scoring
from edge_config.errors import BundleShapeMismatch
from runtime.frame import Grid, Image, Neighbours
from runtime.inference.assemble import assemble
from runtime.inference.golden_frames import (
    Differences,
    compare,
    read_golden,
    read_scene_reference,
    score_golden,
    write_golden,
)
from runtime.learning.bank.index import build_index, neighbour_table
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.scorer import Scorer
from runtime.search.full import ExactSearch, GraphSearch
from tests.support.preprocessing import resized

SIDE, DIMENSION, ENTRIES = 8, 12, 200
SPEC = resized((SIDE, SIDE))
THUMBNAIL = np.arange(16 * 20, dtype=np.uint8).reshape(16, 20)
MODES = ("paper", "max", "topk")

ROUNDING = 1e-6
"""Relative: what sums in another order change in a feature."""

TOLERANCE = 1e-3
"""Of a bundle in float32, on the CPU."""


def embed(tensor: np.ndarray) -> np.ndarray:
    """Return features that repeat: whole numbers, and each patch once more at the other end of the picture."""
    random = np.random.default_rng(int(tensor.sum()))
    half = random.integers(0, 3, (SIDE * SIDE // 2, DIMENSION)).astype(np.float32)
    return np.concatenate([half, half[::-1]])


def rounded(change: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the same features, but for so much."""

    def other(tensor: np.ndarray) -> np.ndarray:
        features = embed(tensor)
        noise = np.random.default_rng(1).uniform(-change, change, features.shape)
        return (features * (1 + noise) + noise).astype(np.float32)

    return other


def bank(seed: int) -> np.ndarray:
    """Return entries of which many are equally far from a patch, and some are equal."""
    random = np.random.default_rng(seed)
    distinct = random.integers(0, 3, (ENTRIES // 2, DIMENSION)).astype(np.float32)
    return np.concatenate([distinct, distinct[random.permutation(len(distinct))]])


def scorer_of(entries: np.ndarray, mode: str) -> Scorer:
    """Put the stages together over a graph that misses most nearest entries."""
    graph = GraphSearch(build_index(entries), ef=1, threads=1)
    scoring = Scoring(mode=mode, b=9, k=5)
    stages = (Preprocess(SPEC), embed, graph, entries, neighbour_table(entries, 9))
    return assemble(*stages, scoring, Grid((SIDE, SIDE)), "lazy")


def frame(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)


def differences(golden: list, scorer: Scorer, mode: str) -> Differences:
    return compare(golden, scorer, Scoring(mode=mode, b=9, k=5))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(MODES), st.sampled_from([0.0, ROUNDING]))
def test_ties_are_no_differences(seed: int, mode: str, change: float) -> None:
    """Where patches and entries are equally far, rounding picks others on another machine, and the check passes."""
    scorer = scorer_of(bank(seed), mode)
    golden = [score_golden(frame(seed + number), scorer) for number in range(4)]
    found = differences(golden, replace(scorer.another(), embed=rounded(change)), mode)
    assert found.scores <= (TOLERANCE / 10 if change else 0)
    assert found.distances_mean <= (TOLERANCE / 10 if change else 0)


@pytest.mark.parametrize("mode", MODES)
def test_golden_distances_are_those_of_the_exact_search(mode: str) -> None:
    """Score, patch, entry and every distance are those of a search over the whole bank, however bad the graph is."""
    entries = bank(0)
    scorer = scorer_of(entries, mode)
    golden = score_golden(frame(0), scorer)
    features = scorer.embed(scorer.preprocess(frame(0)))
    found = ExactSearch(entries)(features)
    true = scorer.score(features, found)
    assert (golden.distances == found.distance).all()
    assert golden.score == true.value
    assert golden.decided == (true.patch, true.entry)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", [0.01, 0.1])
def test_other_features_are_differences(mode: str, change: float) -> None:
    """A graph that computes other features by a hundredth is found."""
    scorer = scorer_of(bank(0), mode)
    golden = [score_golden(frame(number), scorer) for number in range(4)]
    found = differences(golden, replace(scorer, embed=rounded(change)), mode)
    assert found.distances_mean > TOLERANCE


def without_the_nearest(found: Neighbours) -> Neighbours:
    """Return what a search finds that misses the entry that decides."""
    top = np.argmax(found.distance)
    distance = found.distance.copy()
    distance[top] *= np.float32(1.1)
    return replace(found, distance=distance)


@pytest.mark.parametrize("mode", MODES)
def test_a_search_that_misses_the_top_is_a_difference(mode: str) -> None:
    """The search of the device has a part in it: a top distance that is too large is found, whatever the mode."""
    scorer = scorer_of(bank(0), mode)
    golden = [score_golden(frame(0), scorer)]
    search = scorer.search
    wrong = replace(scorer, search=lambda features: without_the_nearest(search(features)))
    assert differences(golden, wrong, mode).scores > TOLERANCE


def test_golden_frames_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Frames, scores, distances, places and the thumbnail of the scene come back."""
    scorer = scorer_of(bank(0), "paper")
    golden = [score_golden(frame(number), scorer) for number in range(3)]
    write_golden(tmp_path / "golden", golden, THUMBNAIL)
    assert (read_scene_reference(tmp_path / "golden") == THUMBNAIL).all()
    for one, back in zip(golden, read_golden(tmp_path / "golden", SIDE * SIDE, ENTRIES), strict=True):
        assert (back.frame == one.frame).all()
        assert (back.distances == one.distances).all()
        assert (back.score, back.decided) == (one.score, one.decided)


@pytest.mark.parametrize("decided", [(-1, 0), (SIDE * SIDE, 0), (0, -1), (0, ENTRIES)])
def test_places_that_are_not_there_are_refused(tmp_path: Path, decided: tuple[int, int]) -> None:
    """A patch or an entry that the bundle does not have is no golden frame."""
    scorer = scorer_of(bank(0), "paper")
    golden = replace(score_golden(frame(0), scorer), decided=decided)
    write_golden(tmp_path / "golden", [golden], THUMBNAIL)
    with pytest.raises(BundleShapeMismatch, match="not among"):
        read_golden(tmp_path / "golden", SIDE * SIDE, ENTRIES)
