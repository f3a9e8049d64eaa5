"""Scenes on real pictures, played as videos: no false state, and every fault found in its time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from edge_config.bundle.manifest import Scene
from export.demo.clip import CLIP, NORMAL, make_clip
from runtime.camera.image_files import read_picture, walk
from runtime.camera.sources.recording import open_video, read_video
from runtime.frame import Image
from runtime.learning.learn_scene import MAX_PICTURES, learn
from runtime.learning.pictures.images import evenly
from runtime.scene.frozen import FROZEN_S
from runtime.scene.inspect import BLURRED_S, DARK_S, FRAMES, MOVED_EVERY_S, MOVED_S, Inspect
from runtime.scene.thumbnail import Thumbnail
from tests.support.cameras import BLURRED, DARK, FPS, HARMLESS, MOVED, Fault, found_after_s, play

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SLACK_S = FRAMES / FPS
RATES = (25, 5, 1)
"""Frames a second: a state must not come from the rate."""


class Film(NamedTuple):
    """A scene: what was learnt from its normal pictures, all its pictures in order, and some to spoil."""

    scene: Scene
    reference: Thumbnail
    pictures: list[Image]
    some: list[Image]

    def inspect(self) -> Inspect:
        return Inspect(self.scene, self.reference)


def film(normal: list[Path], pictures: list[Image], some: slice) -> Film:
    learnt = learn(read_picture(normal[number]) for number in evenly(len(normal), MAX_PICTURES))
    return Film(*learnt, pictures, pictures[some])


def files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return list(walk(folder))


@cache
def office() -> Film:
    """Return the fixed camera; people are in the pictures to spoil."""
    found = files(DATA / "office" / "frames")
    return film(found[:400], [read_picture(path) for path in found], slice(900, 1300, 5))


@cache
def bottle() -> Film:
    """Return the bottles, good and damaged ones; each picture shows another."""
    found = files(DATA / "bottle" / "train" / "good")
    return film(found, [read_picture(path) for path in files(DATA / "bottle" / "test")], slice(0, 80))


@pytest.fixture(scope="module")
def belt(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Return the conveyor belt of the demo; objects come by."""
    folder = tmp_path_factory.mktemp("demo")
    make_clip(folder)
    return film(list(walk(folder / NORMAL)), list(read_video(open_video(folder / CLIP))), slice(140, 220))


REAL = [pytest.param(office, id="office"), pytest.param(bottle, id="bottle")]


def check_no_state(scene: Film) -> None:
    for rate in RATES:
        assert not any(play(scene.inspect(), scene.pictures, fps=rate))
    for fault in HARMLESS.values():
        assert not any(play(scene.inspect(), [*scene.some, *map(fault, scene.some)]))


def check_spoiled(scene: Film) -> None:
    for state, faults, longest_s in (("dark", DARK, DARK_S), ("blurred", BLURRED, BLURRED_S)):
        for fault in faults.values():
            found = play(scene.inspect(), list(map(fault, scene.some)))
            assert found_after_s(found, state) <= longest_s + SLACK_S
    assert found_after_s(play(scene.inspect(), scene.some[:1] * len(scene.some)), "frozen") <= FROZEN_S + SLACK_S


@pytest.mark.real
@pytest.mark.parametrize("scene", REAL)
def test_real_scene_has_no_false_state(scene: Callable[[], Film]) -> None:
    """People over half of the view, damaged objects and other light are no states, at any rate."""
    check_no_state(scene())


@pytest.mark.real
@pytest.mark.parametrize("scene", REAL)
def test_spoiled_real_scene_is_found(scene: Callable[[], Film]) -> None:
    """Dark, bright, defocused, covered and frozen are found within the documented time."""
    check_spoiled(scene())


@pytest.mark.real
@pytest.mark.parametrize("scene", REAL)
@pytest.mark.parametrize("fault", MOVED.values(), ids=MOVED)
def test_moved_scene_is_found(scene: Callable[[], Film], fault: Fault) -> None:
    """A fixed camera that was moved is found within the documented time, with people before it too."""
    found = play(scene().inspect(), list(map(fault, scene().some)))
    assert found_after_s(found, "moved") <= MOVED_S + 2 * MOVED_EVERY_S + SLACK_S


@pytest.mark.real
def test_place_is_told_where_the_scene_is_still() -> None:
    """The office has a place, and so have bottles that always stand in the same one."""
    assert office().scene.shift is not None
    assert bottle().scene.shift is not None


def test_belt_has_no_false_state_and_faults_are_found(belt: Film) -> None:
    """The demo's belt, which moves all the time and carries objects, is live; spoiled it is not."""
    check_no_state(belt)
    check_spoiled(belt)
    assert belt.scene.shift is None
