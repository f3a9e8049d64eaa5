"""A bundle with tiles: scored as one grid, told in pixels of the camera, refused where its tiles do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.bundle.files import Bundle
from edge_config.errors import BundleShapeMismatch
from runtime.frame import Image, Wanted
from runtime.inference.load import load
from runtime.scoring import heat_map
from runtime.scoring.alert_detail import detail
from runtime.scoring.regions import Regions
from runtime.scoring.scorer import Scorer
from tests.support.forge import edit_manifest
from tests.support.tiny import HEIGHT, THRESHOLD, WIDTH, make_bundle, normal_picture, strange_picture

SEEN, CELL = 48, 4
"""Side of the picture that the tiles are cut from, and of a patch, pixels."""

ROUNDING = 1e-3
"""Of a mean of sixteen values up to 255, in float32."""

Loaded = tuple[Bundle, Scorer]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a bundle with 2 x 2 tiles."""
    return make_bundle(tmp_path_factory.mktemp("tiled") / "tiled.bundle", tiles=True)


@pytest.fixture(scope="module")
def scorer(path: Path) -> Scorer:
    """Load it as a device does; its golden frames are scored on the way."""
    return load(path, 1)[1]


def looked_at(scorer: Scorer, image: Image) -> tuple[np.ndarray, tuple, np.ndarray]:
    """Score a picture as a device does: where it is strangest, the boxes, and the heat map with its area."""
    features = scorer.embed(scorer.preprocess(image))
    score = scorer.judge(features)
    found = detail(scorer, features, score, image, Wanted(THRESHOLD, 0.0, ("heat_map",)), 90)
    (part,), (data,) = found.parts, found.attached
    x, y = scorer.preprocess.to_camera(score.patch, scorer.grid, image.shape[:2])
    assert part.area == (0, 0, image.shape[1], image.shape[0])
    return np.array((x, y)), found.boxes, heat_map.decode(part, data)


def test_each_patch_has_its_own_place_of_the_picture(scorer: Scorer):
    """The features of a frame are, row by row, the means of the squares of the picture that tiles are cut from."""
    image = strange_picture(7)
    whole = scorer.preprocess.seen(image).astype(np.float64)
    cells = SEEN // CELL
    wanted = whole.reshape(cells, CELL, cells, CELL, 3).mean(axis=(1, 3)).reshape(-1, 3)
    found = scorer.embed(scorer.preprocess(image))
    assert found.shape == wanted.shape
    # the network gives its channels in an order of its own
    assert np.abs(np.sort(found, axis=1) - np.sort(wanted, axis=1)).max() < ROUNDING


def test_features_are_written_where_the_caller_wants_them(scorer: Scorer):
    """With an array of its own the caller gets that array, and the same values."""
    tensor = scorer.preprocess(normal_picture(3))
    room = np.full(scorer.embed.output_shape, np.nan, dtype=np.float32)
    assert scorer.embed(tensor, room) is room
    assert (room == scorer.embed(tensor)).all()


@pytest.mark.parametrize("larger", [1, 3])
def test_a_fault_is_told_in_pixels_of_the_camera(scorer: Scorer, larger: int):
    """Peak, box and heat map are where the red square is, for frames of the size that was learnt and for others."""
    image = strange_picture(5)
    image = cv2.resize(image, None, fx=larger, fy=larger, interpolation=cv2.INTER_NEAREST)
    (x, y), boxes, heat = looked_at(scorer, image)
    square = np.array((40, 12, 12, 12)) * larger
    assert square[0] <= x < square[0] + square[2]
    assert square[1] <= y < square[1] + square[3]
    (box,) = boxes
    patch = np.ceil((WIDTH * larger * CELL / SEEN, HEIGHT * larger * CELL / SEEN))
    assert (np.abs(np.array(box[:2]) - square[:2]) <= patch).all()
    assert (np.abs(np.array(box[:2]) + box[2:] - square[:2] - square[2:]) <= patch).all()
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert heat.shape == scorer.grid.hw
    assert square[0] <= (column + 0.5) / heat.shape[1] * WIDTH * larger < square[0] + square[2]
    assert square[1] <= (row + 0.5) / heat.shape[0] * HEIGHT * larger < square[1] + square[3]


def test_search_remembers_frames_of_tiles(scorer: Scorer):
    """The lazy search of a camera gives the exact score of frame after frame."""
    camera = scorer.another()
    for seed in (1, 1, 2, 3):
        features = camera.embed(camera.preprocess(strange_picture(seed)))
        exact = scorer.whole(features)
        assert camera.judge(features).value == pytest.approx(scorer.score(features, exact).value)


def test_regions_are_of_the_whole_picture(scorer: Scorer):
    """What is ignored is not judged, whichever tile shows it."""
    over = [(36, 8), (56, 8), (56, 28), (36, 28)]
    active = Regions((), (tuple(over),), scorer.preprocess, scorer.grid).active((HEIGHT, WIDTH))
    features = scorer.embed(scorer.preprocess(strange_picture(4)))
    assert scorer.judge(features).value > THRESHOLD
    assert scorer.score(features, scorer.search(features, active)).value < THRESHOLD


@pytest.mark.parametrize(
    ("tiles", "said"),
    [
        pytest.param({"tops": [0]}, "over patches of 48 pixels", id="a part that no tile shows"),
        pytest.param({"tile_hw": [24, 32]}, "over patches of 48 pixels", id="other tiles than the graph's input"),
        pytest.param({"tile_hw": [16, 32], "tops": [0, 16, 32]}, "the manifest says", id="tiles of half the height"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(path: Path, tmp_path: Path, tiles: dict, said: str):
    """A manifest whose tiles are not those of its graph and grid is refused before a frame is scored."""
    copy = tmp_path / "changed.bundle"
    shutil.copytree(path, copy)
    edit_manifest(copy, lambda tree: tree["preprocessing"]["tiles"].update(tiles))
    with pytest.raises(BundleShapeMismatch, match=said):
        load(copy, 1)
