"""Whatever a camera shows, every function that looks at a picture gives finite numbers, and none a traceback."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from edge_config.bundle.manifest import Scoring
from runtime.frame import Grid, Image, Wanted
from runtime.inference.assemble import assemble
from runtime.learning.bank.index import build_index, neighbour_table
from runtime.learning.gate.resize_by_definition import resize_by_definition
from runtime.learning.gate.synthetic_faults import with_faults
from runtime.learning.learn_scene import learn, widened
from runtime.scene.frozen import Frozen
from runtime.scene.inspect import Inspect
from runtime.scene.thumbnail import Placed, Shift, measure, shrink, size_for
from runtime.scoring import heat_map
from runtime.scoring.alert_detail import detail
from runtime.scoring.preprocess import Preprocess
from runtime.scoring.scorer import Scorer
from runtime.search.full import GraphSearch
from tests.support.pictures import checkered, darkfield, flat, odd_pictures, spot
from tests.support.preprocessing import resized

pytestmark = pytest.mark.slow

PERIOD_NS = 10**9
FRAMES = 40  # so many seconds: beyond what an overlay has to stay alone for

SIDE = 8
SPEC = resized((SIDE, SIDE))

LEVEL = 1.0
"""The kernels round to whole levels, and so does the definition."""

SAME = 1e-6
"""Of a correlation in float32."""


def finite(values: Sequence[float]) -> bool:
    return bool(np.isfinite(np.array(values, dtype=np.float64)).all())


def shift_between(one: Image, other: Image) -> Shift:
    size = size_for(*one.shape[:2])
    return Placed.of(shrink(one, size)).shift_of(Placed.of(shrink(other, size)))


@settings(max_examples=200, deadline=None)
@given(odd_pictures())
@example(flat(1, 1, 255))
@example(spot(240, 360, 226, 130, 17, 241))  # a box blur's running sums end at -3e-13 beside this one
def test_a_look_is_finite(picture: Image) -> None:
    """Light, contrast, sharpness, detail and edges of any picture are numbers, and none below zero."""
    thumbnail = shrink(picture, size_for(*picture.shape[:2]))
    seen = measure(thumbnail)
    assert finite(seen)
    assert min(seen) >= 0
    assert np.isfinite(Placed.of(thumbnail).edges).all()


@settings(max_examples=100, deadline=None)
@given(odd_pictures(), odd_pictures())
@example(flat(7, 9, 0), flat(7, 9, 0))
@example(flat(1, 1, 0), checkered(1, 40, 1, 255))
def test_a_shift_is_finite(one: Image, other: Image) -> None:
    """The shift between any two pictures is a number, and correlations lie between -1 and 1."""
    shift = shift_between(one, other)
    assert finite(shift)
    assert all(abs(value) <= 1 + SAME for value in (shift.here, shift.there))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nothing_correlates_with_a_flat_picture(level: int) -> None:
    """A flat picture has no place: it is neither like a scene nor a shift of it, nor like another flat one."""
    scene = checkered(96, 128, 11, 200)
    for one, other in ((scene, flat(96, 128, level)), (flat(96, 128, level), scene), (flat(96, 128, level),) * 2):
        shift = shift_between(one, other)
        assert shift.here == shift.there == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(odd_pictures(), min_size=1, max_size=6), st.lists(odd_pictures(), min_size=1, max_size=6))
@example([flat(1, 1, 255)], [flat(40, 40, 0)])
def test_a_scene_is_learnt_and_inspected(normal: list[Image], frames: list[Image]) -> None:
    """Any normal pictures teach finite limits, and any frames can be inspected by them, for as long as one likes."""
    scene, reference = learn(normal)
    again, _ = learn(frames, reference)
    for limits in (scene, again, widened(scene, again)):
        assert finite([*limits.luminance, limits.sharpness, limits.detail, limits.shift or 0.0])
    inspect = Inspect(scene, reference)
    for number in range(FRAMES):
        inspect(frames[number % len(frames)], number * PERIOD_NS)


@settings(max_examples=60, deadline=None)
@given(st.lists(odd_pictures(), min_size=1, max_size=3))
@example([flat(1, 1, 0)])
@example([flat(40, 5, 255)])
def test_frozen_pictures_of_any_size_are_found(pictures: list[Image]) -> None:
    """The same few pictures again and again are frozen, be they a single pixel."""
    frozen, size = Frozen(), size_for(*pictures[0].shape[:2])
    said = [
        frozen(picture, shrink(picture, size), number * PERIOD_NS)
        for number, picture in enumerate(pictures * (FRAMES // len(pictures)))
    ]
    assert said[-1]


@pytest.mark.parametrize("hw", [(1, 1), (40, 1), (240, 5), (1, 40)])
def test_noise_of_any_size_is_not_frozen(hw: tuple[int, int]) -> None:
    """A camera a few pixels wide (a light curtain) that delivers noise is not frozen, after a minute either."""
    frozen, random = Frozen(), np.random.default_rng(0)
    for number in range(60):
        picture = random.integers(0, 256, (*hw, 3), np.uint8)
        assert frozen(picture, shrink(picture, size_for(*hw)), number * PERIOD_NS) is None


def test_normal_dark_field_is_not_a_fault() -> None:
    """Dark-field pictures like those that were learnt from are judged: none is dark, blurred or moved."""
    scene, reference = learn(darkfield(40))
    inspect = Inspect(scene, reference)
    assert {inspect(picture, number * PERIOD_NS) for number, picture in enumerate(darkfield(40, seed=1))} == {None}


@settings(max_examples=100, deadline=None)
@given(odd_pictures())
def test_any_picture_is_resized_as_defined(picture: Image) -> None:
    """Pixels of any picture are those of the definition, within a level."""
    resized = Preprocess(SPEC)(picture)[0]
    assert np.abs(resized - resize_by_definition(picture, SPEC)).max() <= LEVEL


@settings(max_examples=100, deadline=None)
@given(st.lists(odd_pictures(), min_size=4, max_size=4), st.integers(0, 1000))
def test_any_picture_can_be_damaged(pictures: list[Image], seed: int) -> None:
    """A synthetic fault of each kind leaves a picture of the same size."""
    for picture, fault in with_faults(pictures, seed):
        assert fault.shape == picture.shape
        assert fault.dtype == np.uint8


def pixels(tensor: np.ndarray) -> np.ndarray:
    """Return the pixels themselves as patches."""
    return tensor.reshape(-1, 3).astype(np.float32)


def scorer_of(normal: list[Image], mode: str) -> Scorer:
    """Learn from the pixels of pictures."""
    preprocess = Preprocess(SPEC)
    bank = np.concatenate([pixels(preprocess(picture)) for picture in normal])
    graph = GraphSearch(build_index(bank), ef=16, threads=1)
    scoring = Scoring(mode=mode, b=9, k=5)
    return assemble(preprocess, pixels, graph, bank, neighbour_table(bank, 9), scoring, Grid((SIDE, SIDE)), "lazy")


@settings(max_examples=60, deadline=None)
@given(st.lists(odd_pictures(), min_size=1, max_size=2), odd_pictures(), st.sampled_from(("paper", "max", "topk")))
@example([flat(1, 1, 0)], flat(1, 1, 0), "paper")
@example([flat(9, 9, 255)], flat(1, 40, 0), "paper")
def test_any_picture_is_scored_and_shown(normal: list[Image], picture: Image, mode: str) -> None:
    """A score is finite and not below zero over any bank, one of equal entries too, and so are maps and boxes."""
    scorer = scorer_of(normal, mode)
    for _ in range(2):  # without and with what the last frame taught
        features = scorer.embed(scorer.preprocess(picture))
        score = scorer.judge(features)
        assert finite([score.value])
        assert score.value >= 0
    told = detail(scorer, features, score, picture, Wanted(0.0, -1.0, frozenset(("jpeg", "heat_map"))), 80)
    assert len(told.parts) == 2
    heat = heat_map.decode(told.parts[1], told.attached[1])
    assert np.isfinite(heat).all()
    height, width = picture.shape[:2]
    for x, y, box_width, box_height in told.boxes:
        assert 0 <= x < x + box_width <= width
        assert 0 <= y < y + box_height <= height
