"""What a device shows of an alert, and that its kinds of search tell no picture apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from runtime.frame import Grid, Image, Tier
from runtime.inference.assemble import SearchKind
from runtime.inference.load import load
from runtime.scoring.score import patch_map
from runtime.scoring.scorer import Scorer
from runtime.search.full import ExactSearch
from tests.support.tiny import THRESHOLD, normal_picture, strange_picture

LOW = 0.1
"""Some patches of a normal picture are over it, and most are not."""

SCENE = 31
"""The camera of these tests looks at one scene."""

BRIGHTER = normal_picture(SCENE) + np.uint8(2)
STRANGE = np.where(strange_picture(SCENE) == normal_picture(SCENE), BRIGHTER, strange_picture(SCENE))
"""The scene in other light: patches have other entries than before, so what is known of them is only a bound."""

both = pytest.mark.parametrize("picture", [BRIGHTER, STRANGE], ids=["normal", "strange"])


def scorer_of(bundle: Path, search: SearchKind) -> Scorer:
    return load(bundle, 1, search)[1]


@pytest.fixture
def lazy(tiny_bundle: Path) -> Scorer:
    """Return the search of a device, which has seen its scene a few times and goes by that."""
    scorer = scorer_of(tiny_bundle, "lazy")
    for _ in range(5):
        scorer(normal_picture(SCENE))
    return scorer


@pytest.fixture
def bank(tiny_bundle: Path) -> np.ndarray:
    """Return the memory bank."""
    return load_file(tiny_bundle / "bank.safetensors")["bank"]


def run_of_pictures() -> list[Image]:
    """Return some scenes, each as a camera sees it: still, in other light, with something strange, and as before."""
    pictures = []
    for seed in range(20, 26):
        normal, strange = normal_picture(seed), strange_picture(seed)
        pictures += [normal, normal, normal, normal + np.uint8(seed % 4), strange, strange, normal]
    return pictures


@both
@pytest.mark.parametrize("threshold", [LOW, THRESHOLD])
def test_map_is_exact_from_the_threshold_on(lazy: Scorer, bank: np.ndarray, picture: Image, threshold: float) -> None:
    """Patches at or over the threshold have the distances of an exact search, all others bounds below the threshold."""
    features = lazy.embed(lazy.preprocess(picture))
    score = lazy.judge(features)
    exact = ExactSearch(bank)(features).distance
    lazy.alert_map(features, score, threshold)
    over = exact >= threshold
    assert score.distances[over].tobytes() == exact[over].tobytes()
    assert (score.distances[~over] < threshold).all()
    assert (score.distances >= exact).all()


def test_low_threshold_tells_patches_apart(lazy: Scorer, bank: np.ndarray) -> None:
    """The threshold of these tests lies between patches whose distances are only bounds before a map is wanted."""
    features = lazy.embed(lazy.preprocess(BRIGHTER))
    score = lazy.judge(features)
    exact = ExactSearch(bank)(features).distance
    assert 0 < np.count_nonzero(exact >= LOW) < len(exact)
    assert np.count_nonzero(score.found.tier < Tier.EXACT) > len(exact) // 2
    assert ((score.distances >= LOW) & (exact < LOW)).any()


@both
def test_map_with_threshold_zero_is_the_map_of_an_exact_search(lazy: Scorer, bank: np.ndarray, picture: Image) -> None:
    """With every patch over the threshold the map is that of the exact distances, bit for bit, in float32."""
    features = lazy.embed(lazy.preprocess(picture))
    found = lazy.alert_map(features, lazy.judge(features), 0.0)
    assert (found.shape, found.dtype) == (lazy.grid.hw, np.float32)
    assert found.tobytes() == ExactSearch(bank)(features).distance.tobytes()


def test_map_is_made_of_what_the_score_then_knows(lazy: Scorer) -> None:
    """The map is that of the patch distances that the score has afterwards."""
    features = lazy.embed(lazy.preprocess(STRANGE))
    score = lazy.judge(features)
    found = lazy.alert_map(features, score, THRESHOLD)
    assert found.tobytes() == score.distances.tobytes()


def test_patches_in_every_other_place_are_put_in_theirs() -> None:
    """Where patches lie in every other row and column, each cell of the map has what lies at its own centre."""
    grid = Grid((8, 12), 2)
    rows, columns = grid.centers()
    slope = (rows[:, None] + 3 * columns[None]).astype(np.float32)
    found = patch_map(slope.ravel(), grid)
    y, x = (np.arange(4) + 0.5) / 4, (np.arange(6) + 0.5) / 6
    inside = np.clip(y, rows[0], rows[-1])[:, None] + 3 * np.clip(x, columns[0], columns[-1])[None]
    np.testing.assert_allclose(found, inside, rtol=1e-6)


def test_map_leaves_the_score_as_it_was(lazy: Scorer) -> None:
    """A map that is asked for in between changes neither this frame's score nor that of the next."""
    features = lazy.embed(lazy.preprocess(STRANGE))
    score = lazy.judge(features)
    lazy.alert_map(features, score, 0.0)
    again = lazy.score(features, score.found)
    assert (again.value, again.patch, again.entry) == (score.value, score.patch, score.entry)
    assert lazy.judge(features).value == score.value


def test_every_search_gives_the_same_scores(tiny_bundle: Path) -> None:
    """Over a run of frames, normal and strange and still, all three kinds of search give the very same numbers."""
    kinds: tuple[SearchKind, ...] = ("lazy", "graph", "exact")
    scorers = [scorer_of(tiny_bundle, kind) for kind in kinds]
    few = 0
    for picture in run_of_pictures():
        scores = [scorer(picture) for scorer in scorers]
        assert len({(score.value, score.patch, score.entry) for score in scores}) == 1
        few += scores[0].found.searched < 0.5
    assert few > 10  # else this was no test of the lazy one
