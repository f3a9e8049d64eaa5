"""The picture that `probe` saves for a camera of the settings: its polygons, and what the bundle sees."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.bundle.manifest import Preprocessing
from edge_config.settings.sections import Camera
from runtime.scoring.draw_regions import IGNORED, REGION
from runtime.tools.settings_picture import SEEN, Learnt, outline
from tests.support.processes import DEVICE, call
from tests.support.tiny import write_pictures

GREY = np.full((100, 200, 3), 100, np.uint8)
SQUARE = ((20, 20), (60, 20), (60, 60), (20, 60))
CROP = Preprocessing(
    resize="area", resize_hw=(50, 100), crop_hw=(50, 50), color_order="bgr", mean=(0, 0, 0), std=(1, 1, 1)
)
OTHER = ((120, 20), (160, 20), (160, 60), (120, 60))


def test_polygons_are_drawn() -> None:
    """A region has a green outline, what is ignored a red one and a red tint, and the picture that was given stays."""
    image, legend = outline(GREY, Camera(source=0, regions=(SQUARE,), ignore=(OTHER,)), None)
    assert tuple(image[20, 40]) == REGION
    assert tuple(image[40, 40]) == (100, 100, 100)
    assert tuple(image[20, 140]) == IGNORED
    assert image[40, 140, 2] > 100 > image[40, 140, 0]
    assert tuple(image[80, 100]) == (100, 100, 100)
    assert (GREY == 100).all()
    assert legend == ("green: 1 region; only what lies inside is judged", "red: 1 polygon that is not judged")


def test_regions_of_the_bundle_are_drawn_where_the_camera_has_none() -> None:
    """They are scaled to the picture and named as the bundle's; a camera with regions of its own shows only these."""
    half = tuple((x // 2, y // 2) for x, y in SQUARE)
    learnt = Learnt(ignore=(half,), hw=(50, 100))
    image, legend = outline(GREY, Camera(source=0), None, learnt)
    assert tuple(image[20, 40]) == IGNORED
    assert legend == ("red: 1 polygon of the bundle that is not judged",)
    image, legend = outline(GREY, Camera(source=0, ignore=()), None, learnt)
    assert (image == GREY).all()
    assert legend == ()


def test_what_the_bundle_sees_is_framed() -> None:
    """Of a picture twice as wide as high a square crop of the middle has a yellow frame, and the ends are dark."""
    image, legend = outline(GREY, Camera(source=0), CROP)
    assert tuple(image[50, 50]) == tuple(image[50, 149]) == SEEN
    assert tuple(image[50, 100]) == (100, 100, 100)
    assert tuple(image[50, 20]) == tuple(image[50, 180]) == (40, 40, 40)
    assert legend == ("yellow: what the bundle sees, 100 x 100 pixels of 200 x 100",)


@pytest.mark.parametrize(
    ("polygon", "odd"),
    [
        (((300, 20), (400, 20), (400, 60)), "region 1 lies outside of the picture of 200 x 100 pixels"),
        (((100, 20), (400, 20), (400, 60)), "region 1 reaches beyond the picture of 200 x 100 pixels"),
        (((0, 0), (30, 0), (30, 60)), "region 1 lies where the bundle sees nothing"),
    ],
)
def test_odd_polygons_are_said(polygon: tuple, odd: str) -> None:
    """One that lies outside of the picture, or where nothing is seen, is told from a good one."""
    assert outline(GREY, Camera(source=0, regions=(polygon,)), CROP)[1][-1] == odd


@pytest.mark.slow
def test_probe_draws_a_camera_of_the_settings(tiny_bundle: Path, tmp_path: Path) -> None:
    """`probe --config --camera --save` takes the source, the polygons and the bundle of the settings."""
    source = str(write_pictures(tmp_path / "pictures", set(), 2))
    region = [[5, 5], [40, 5], [40, 30]]
    cameras = {"top": {"source": source, "regions": [region]}, "side": {"source": source, "bundle": "none"}}
    (tmp_path / "device.yaml").write_text(json.dumps({"bundle": str(tiny_bundle), "cameras": cameras}))
    words = ["probe", "--config", tmp_path / "device.yaml", "--seconds", "0.2"]
    done = call(*DEVICE, *words, "--camera", "top", "--save", tmp_path / "x.png")
    assert done.returncode == 0, done.stderr
    assert "legend    green: 1 region; only what lies inside is judged" in done.stdout
    assert "legend    yellow: what the bundle sees" in done.stdout
    assert tuple(cv2.imread(str(tmp_path / "x.png"))[5, 20]) == REGION
    done = call(*DEVICE, *words, "--camera", "side", "--save", tmp_path / "x.png", "--json")
    (line,) = json.loads(done.stdout)["legend"]
    assert "no bundle here" in line
    done = call(*DEVICE, *words)
    assert done.returncode == 2
    assert "which of the cameras is meant; give --camera and one of top, side" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["0", "--config", "x.yaml"], ["0", "--camera", "top"]])
def test_one_source_is_wanted(words: list[str]) -> None:
    """A source, or settings and one of their cameras."""
    done = call(*DEVICE, "probe", *words)
    assert done.returncode == 2
    assert "SOURCE, or --config FILE" in done.stderr
