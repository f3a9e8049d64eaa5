"""Bundles in the inference worker: shared by cameras, taken over by the next one, and read as a whole."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from edge_config.bundle import files as bundles
from edge_config.errors import BundleError, BundleMissing
from edge_config.settings.sections import Camera
from runtime.frame import BundleInfo, Result, Tier, Wanted
from runtime.inference.bundle_loader import BundleLoader
from runtime.inference.protocol import Done, Loaded, ScoringOptions
from runtime.view import View
from tests.support.fakes.worker import Marked
from tests.support.forge import edit_manifest
from tests.support.tiny import (
    GRID,
    HEIGHT,
    THRESHOLD,
    WIDTH,
    make_bundle,
    normal_picture,
    strange_picture,
    with_threshold,
)

PLAIN = Wanted(THRESHOLD, math.inf)


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle that may be changed."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "mine.bundle"))


def test_cameras_with_the_same_bundle_share_all_but_what_they_remember(bundle: Path, tmp_path: Path) -> None:
    """One session and one bank serve two cameras, at once or one after the other; each has its own search."""
    loader = BundleLoader(ScoringOptions(1))
    _, stages = loader.load(["cam1", "cam2"], str(bundle))
    elsewhere = shutil.copytree(bundle, tmp_path / "same.bundle")
    stages |= loader.load(["cam3"], str(elsewhere))[1]
    scorers = [stages[name].scorer for name in ("cam1", "cam2", "cam3")]
    assert len({id(scorer.embed) for scorer in scorers}) == 1
    assert len({id(scorer.whole) for scorer in scorers}) == 1
    assert len({id(scorer.search) for scorer in scorers}) == 3


def test_a_camera_begins_with_the_graph_of_the_bundle(bundle: Path) -> None:
    """All patches of the first frame, when nothing is known, begin at what the HNSW graph finds; none of the next."""
    scorer = BundleLoader(ScoringOptions(1)).load(["cam1"], str(bundle))[1]["cam1"].scorer
    features = scorer.embed(scorer.preprocess(strange_picture(seed=1)))
    first, second = (scorer.search(features).tier for _ in range(2))
    assert set(first) == {Tier.GRAPH, Tier.EXACT}
    assert Tier.GRAPH not in set(second)


def test_p_value_of_a_frame_is_that_of_the_held_out_scores(bundle: Path) -> None:
    """The share of the held-out scores and this one that are at least as high; none where a bundle has no scores."""
    held_out = np.linspace(5.0, 60.0, 99)

    def record(tree: dict[str, Any]) -> None:
        tree["calibration"] |= {"scores": held_out.tolist(), "quantiles": {"0.5": 32.5}}

    unknown = BundleLoader(ScoringOptions(1)).load(["cam1"], str(bundle))[1]["cam1"].take_over(None)
    edit_manifest(bundle, record)
    info, stages = BundleLoader(ScoringOptions(1)).load(["cam1"], str(bundle))
    known = stages["cam1"].take_over(None)
    assert info.median == 32.5
    for picture in (normal_picture(1), normal_picture(2), strange_picture(3)):
        result = known.score(known.embed(picture, 0), PLAIN)[0]
        expected = np.mean(np.append(held_out, result.value) >= result.value)
        assert result.p_value == pytest.approx(expected, rel=1e-12)
        assert unknown.score(unknown.embed(picture, 0), PLAIN)[0].p_value is None
    assert result.p_value == pytest.approx(0.01, rel=1e-12)  # over all 99 of them


def test_what_notices_drift_reaches_the_main_process(bundle: Path) -> None:
    """The number of held-out scores, the usual range, and light and sharpness of a frame survive the way as JSON."""
    usual = {"luminance": [80.0, 120.0], "highlights": [140.0, 180.0], "edges": [0.5, 0.6]}

    def record(tree: dict[str, Any]) -> None:
        tree["calibration"]["scores"] = [5.0]
        tree["scene"]["usual"] = usual

    edit_manifest(bundle, record)
    info, stages = BundleLoader(ScoringOptions(1)).load(["cam1"], str(bundle))
    served = stages["cam1"].take_over(None)
    picture = normal_picture(1)
    result = served.score(served.embed(picture, 0), PLAIN)[0]
    loaded = msgspec.json.decode(msgspec.json.encode(Loaded(1, info)), type=Loaded).info
    done = msgspec.json.decode(msgspec.json.encode(Done(1, result)), type=Done).result
    assert loaded is not None
    assert loaded.normal == info.normal
    assert loaded.normal is not None
    assert msgspec.to_builtins(loaded.normal.usual) == {name: tuple(bounds) for name, bounds in usual.items()}
    assert loaded.normal.held_out == bundles.read(bundle).manifest.calibration.n
    assert done is not None
    assert done.measures == result.measures
    assert done.measures is not None
    assert done.measures.luminance == pytest.approx(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).mean(), abs=1)


LEFT = ((0, 0), (WIDTH // 2, 0), (WIDTH // 2, HEIGHT), (0, HEIGHT))
RIGHT = ((WIDTH // 2, 0), (WIDTH, 0), (WIDTH, HEIGHT), (WIDTH // 2, HEIGHT))
"""Halves of a picture; strange ones are so in the right one."""


@pytest.fixture(scope="module")
def left_half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that ignores the right half, in pixels of pictures of twice the size."""
    ignore = tuple((2 * x, 2 * y) for x, y in RIGHT)
    return make_bundle(tmp_path_factory.mktemp("left") / "left.bundle", (ignore,), (2 * HEIGHT, 2 * WIDTH))


def looking(bundle: Path, views: dict[str, View]) -> tuple[BundleInfo, dict[str, Result]]:
    """Load a bundle for a camera, and score a normal and a strange picture of it."""
    info, stages = BundleLoader(ScoringOptions(1), views).load(["cam1"], str(bundle))
    camera = stages["cam1"].take_over(None)
    pictures = {"normal": normal_picture(1), "strange": strange_picture(1)}
    return info, {name: camera.score(camera.embed(one, 0), PLAIN)[0] for name, one in pictures.items()}


def test_regions_of_the_bundle_are_used_by_default(left_half: Path) -> None:
    """A camera without regions judges where fit has learnt, scaled to its frames."""
    info, scores = looking(left_half, {"cam1": View.of(Camera(source=0))})
    assert scores["strange"].value == scores["normal"].value < THRESHOLD
    assert (info.regions_of, scores["normal"].unlearnt) == ({"cam1": "bundle"}, 0)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"regions": (RIGHT,)}, True),
        ({"ignore": ()}, True),
        ({"regions": (LEFT,)}, False),
        ({"ignore": (RIGHT,)}, False),
    ],
)
def test_regions_of_the_settings_come_first(left_half: Path, settings: dict[str, Any], *, found: bool) -> None:
    """A camera that has `regions` or `ignore`, though empty, uses only these; the result counts what fit left out."""
    info, scores = looking(left_half, {"cam1": View.of(Camera(source=0, **settings))})
    assert (scores["strange"].value > THRESHOLD) == found
    assert info.regions_of == {"cam1": "settings"}
    assert scores["normal"].unlearnt == (GRID[0] * GRID[1] // 2 if found else 0)


def test_inspection_goes_on_over_a_swap(bundle: Path, tmp_path: Path) -> None:
    """What the first stage of a camera has found is handed on to the next bundle, and to no other camera."""

    class Inspection:
        seen = None

        def __init__(self, bundle: bundles.Bundle) -> None:
            self.reason = str(bundle.manifest.calibration.threshold)

        def after(self, before: Inspection) -> Inspection:
            self.reason += f" after {before.reason}"
            return self

        def __call__(self, _picture: object, _t_mono_ns: int) -> Marked:
            return Marked(reason=self.reason)

    loader = BundleLoader(ScoringOptions(1), inspection=Inspection)
    (old, other), new_bundle = loader.load(["cam1", "cam2"], str(bundle))[1].values(), tmp_path / "new.bundle"
    old, other = old.take_over(None), other.take_over(None)
    new = loader.load(["cam1"], str(with_threshold(bundle, new_bundle, 70.0)))[1]["cam1"].take_over(old)
    first = str(bundles.read(bundle).manifest.calibration.threshold)
    found = [one.score(one.embed(normal_picture(1), 0), PLAIN)[0].scene_reason for one in (old, other, new)]
    assert found == [first, first, f"70.0 after {first}"]


def test_bundle_that_is_replaced_while_it_is_read_is_read_again(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of two bundles never make one: what was replaced half-way is read from the start."""
    new = with_threshold(bundle, tmp_path / "new.bundle", 70.0)
    read = bundles.read

    def read_and_replace(path: str, *how: object, **also: object) -> bundles.Bundle:
        monkeypatch.setattr(bundles, "read", read)
        found = read(path, *how, **also)
        bundle.rename(tmp_path / "old.bundle")
        new.rename(bundle)
        return found

    monkeypatch.setattr(bundles, "read", read_and_replace)
    info, _ = BundleLoader(ScoringOptions(1)).load(["cam1"], str(bundle))
    assert info.threshold == 70.0
    assert info.id == read(bundle).id


def test_no_bundle_at_all_is_said(tmp_path: Path) -> None:
    """The service passes on what is wrong with a path."""
    with pytest.raises(BundleMissing):
        BundleLoader(ScoringOptions(1)).load(["cam1"], str(tmp_path / "none"))
    assert issubclass(BundleMissing, BundleError)
