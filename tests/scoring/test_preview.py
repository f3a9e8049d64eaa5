"""The preview of a frame: a small picture, and a map in percent of the threshold that is exact above it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file

from runtime.frame import Image, Score
from runtime.inference.load import load
from runtime.scoring.preview import MAX_JPEG_BYTES, WIDTH, FramePreview, make_preview, picture, reduce
from runtime.scoring.scorer import Scorer
from runtime.search.full import ExactSearch
from tests.support.tiny import GRID, HEIGHT, THRESHOLD, normal_picture, strange_picture
from tests.support.tiny import WIDTH as FRAME_WIDTH

HW = (HEIGHT, FRAME_WIDTH)
NEAR = 3.0  # mean grey levels: a JPEG of a smooth picture is no further from it
SEEDS = range(8)


@pytest.fixture(scope="module")
def scorer(tiny_bundle: Path) -> Scorer:
    """Return the stages of the tiny bundle, with the search of a device."""
    return load(tiny_bundle, 1)[1]


@pytest.fixture(scope="module")
def exact(tiny_bundle: Path) -> ExactSearch:
    """Return a search that compares with the whole bank."""
    return ExactSearch(load_file(tiny_bundle / "bank.safetensors")["bank"])


def smooth(height: int, width: int) -> Image:
    """Make a picture whose colours change slowly."""
    rows, columns = np.linspace(0, 200, height)[:, None], np.linspace(0, 250, width)[None]
    return np.stack(np.broadcast_arrays(rows, columns, (rows + columns) / 2), axis=2).astype(np.uint8)


def decoded(preview: FramePreview) -> tuple[Image, np.ndarray]:
    """Return the picture and the map of a preview."""
    jpeg, heat = preview.attached
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.frombuffer(heat, np.uint8).reshape(GRID)


def seen(scorer: Scorer, image: Image) -> tuple[np.ndarray, Score]:
    """Return features and score of a picture, as a device has them: many distances are bounds."""
    features = scorer.embed(scorer.preprocess(image)).copy()
    return features, scorer.score(features, scorer.search(features))


@pytest.mark.parametrize(
    ("hw", "expected"),
    [
        ((48, 64), (48, 64)),
        ((480, 640), (480, 640)),
        ((720, 1280), (360, 640)),
        ((2000, 700), (1829, 640)),
        ((1200, 1920), (400, 640)),
        ((3, 4000), (1, 640)),
    ],
)
def test_picture_is_reduced_to_640_pixels(hw: tuple[int, int], expected: tuple[int, int]) -> None:
    """A wide frame is reduced to 640 pixels, in its proportions, and looks the same; another keeps its size."""
    frame = smooth(*hw)
    small = reduce(frame)
    assert small.shape == (*expected, 3)
    assert small.shape[1] <= WIDTH
    reference = cv2.resize(frame, expected[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(float) - reference).mean() < NEAR


def test_reduced_picture_is_a_copy() -> None:
    """A frame that is written over after its score was told does not change its preview."""
    frame = smooth(48, 64)
    small = reduce(frame)
    frame[:] = 0
    assert small.any()


@pytest.mark.parametrize("hw", [(480, 640), (2560, 640), (60, 80)])
def test_picture_is_below_100_kilobytes(hw: tuple[int, int]) -> None:
    """Noise, which no JPEG makes small, is reduced until it is; part and picture have the same size."""
    noise = np.random.default_rng(1).integers(0, 256, (*hw, 3), dtype=np.uint8)
    part, data = picture(noise)
    assert len(data) <= MAX_JPEG_BYTES
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert part.shape == shown.shape[:2]
    assert hw[0] / shown.shape[0] == pytest.approx(hw[1] / shown.shape[1], rel=0.1)
    assert shown.shape[:2] == hw or hw != (60, 80)


def test_map_is_exact_over_the_threshold(scorer: Scorer, exact: ExactSearch) -> None:
    """Over the threshold each patch has the percent of its true distance, rounded up; below it 100 at most."""
    for seed in SEEDS:
        image = strange_picture(seed)
        features, score = seen(scorer, image)
        preview = make_preview(scorer, features, score, reduce(image), HW, THRESHOLD)
        true = exact(features).distance.astype(float).reshape(GRID)
        shown, heat = decoded(preview)
        assert shown.shape == image.shape
        assert np.array_equal(heat > 100, true > THRESHOLD)
        over = true > THRESHOLD
        assert over.any()
        assert np.array_equal(heat[over], np.minimum(np.ceil(100 * true[over] / THRESHOLD), 255))
        assert (heat[~over] >= np.floor(100 * true[~over] / THRESHOLD)).all()  # bounds
        for x, y, width, height in preview.boxes:
            assert over[y * GRID[0] // HEIGHT : (y + height) * GRID[0] // HEIGHT].any()
            assert over[:, x * GRID[1] // FRAME_WIDTH : (x + width) * GRID[1] // FRAME_WIDTH].any()
        assert preview.boxes


def test_normal_frame_is_searched_no_further(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a frame below the threshold what its score left is shown, without a search: no value is above the score's."""
    image = normal_picture(3)
    features, score = seen(scorer, image)

    def searched(*_: object) -> None:
        raise AssertionError("it is searched")

    for name in ("refine", "tell_apart"):
        monkeypatch.setattr(type(scorer.search), name, searched)
    preview = make_preview(scorer, features, score, reduce(image), HW, THRESHOLD)
    _, heat = decoded(preview)
    assert preview.boxes == ()
    assert heat.max() <= 100 * score.distances.max() / THRESHOLD < 100


def test_frame_whose_score_is_below_the_threshold_has_nothing_over_it(scorer: Scorer) -> None:
    """Where a score is less than its largest distance, as a mean is, the map does not tell otherwise than the label."""
    image = strange_picture(1)
    features, score = seen(scorer, image)
    below = Score(THRESHOLD - 1, score.patch, score.entry, score.found)
    _, heat = decoded(preview := make_preview(scorer, features, below, reduce(image), HW, THRESHOLD))
    assert (heat.max(), preview.boxes) == (100, ())


def test_without_features_only_what_is_exact_is_over_the_threshold(scorer: Scorer, exact: ExactSearch) -> None:
    """Of a frame that repeats, whose features are gone, a bound is not taken for a distance over the threshold."""
    image = strange_picture(5)
    features, score = seen(scorer, image)
    score.found.distance[0] = 3 * THRESHOLD  # a bound
    score.found.tier[0] = 0
    _, heat = decoded(make_preview(scorer, None, score, reduce(image), HW, THRESHOLD))
    true = exact(features).distance.reshape(GRID)
    assert true[0, 0] < THRESHOLD
    assert heat[0, 0] == 100
    assert not (heat[true <= THRESHOLD] > 100).any()
    assert heat.ravel()[score.patch] > 100


def test_frame_without_a_score_has_a_picture_alone(scorer: Scorer) -> None:
    """What cannot be judged is shown, without a map and without boxes."""
    preview = make_preview(scorer, None, None, smooth(48, 64), HW, THRESHOLD)
    assert ([part.name for part in preview.parts], preview.boxes) == (["jpeg"], ())


@pytest.mark.parametrize("make", [normal_picture, strange_picture])
def test_threshold_of_nothing_is_no_division_by_it(scorer: Scorer, make: Callable[[int], Image]) -> None:
    """With a threshold of 0 all that has a distance is over it."""
    image = make(2)
    features, score = seen(scorer, image)
    _, heat = decoded(make_preview(scorer, features, score, reduce(image), HW, 0.0))
    assert np.array_equal(heat.ravel() == 255, score.distances > 0)
