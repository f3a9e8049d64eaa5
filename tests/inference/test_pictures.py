"""A picture that is judged beside the frames of a camera: it has the score of a frame, and leaves no trace."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from runtime.events import EngineLost, EngineReady, Scored
from runtime.frame import PICTURE, Image, SharedFrame, Wanted
from runtime.inference.load import load
from runtime.search.full import ExactSearch
from runtime.view import View
from tests.inference.test_engine import Harness, serving
from tests.support.fakes.worker import CRASH, SEEN, marked
from tests.support.tiny import GRID, HEIGHT, THRESHOLD, WIDTH, normal_picture, strange_picture

pytestmark = pytest.mark.slow

WANTED = Wanted(THRESHOLD, math.inf)
FAKE_CAMERA = "cam1"


def judge(harness: Harness, picture: Image) -> Scored:
    """Have a picture judged."""
    harness.memory.write(0, picture)
    harness.engine.submit(FAKE_CAMERA, SharedFrame(1, 0, (HEIGHT, WIDTH), PICTURE, 0, 0), WANTED)
    return harness.next(Scored)


@pytest.mark.parametrize("threads", [1, 2])
def test_picture_has_the_verdict_of_a_frame(tiny_bundle: Path, threads: int) -> None:
    """Score and peak are those of the same picture as a frame; over the threshold the map is exact."""
    scorer = load(tiny_bundle, 1)[1]
    exact = ExactSearch(load_file(tiny_bundle / "bank.safetensors")["bank"])
    with serving(tiny_bundle, threads=threads) as harness:
        for make in (normal_picture, strange_picture):
            picture = make(4)
            harness.submit(picture, wanted=WANTED)
            frame, judged = harness.next(Scored).result, judge(harness, picture)
            assert frame is not None
            assert judged.result is not None
            told = judged.result
            assert (told.value, told.peak_xy, told.p_value) == (frame.value, frame.peak_xy, frame.p_value)
            (data,) = judged.attached
            assert [(part.name, part.shape) for part in told.parts] == [("heat_map", GRID)]
            heat = np.frombuffer(data, np.uint8).reshape(GRID)
            true = exact(scorer.embed(scorer.preprocess(picture))).distance.reshape(GRID)
            assert np.array_equal(heat > 100, true > THRESHOLD)
            assert bool(told.boxes) == (true > THRESHOLD).any()


def test_picture_changes_nothing_of_its_camera(tiny_bundle: Path) -> None:
    """A row of frames is scored the same, searched as far, and repeated as often, with pictures between them."""
    told = []
    for between in (False, True):
        with serving(tiny_bundle) as harness:
            found = []
            for number in range(12):
                picture = (strange_picture if number % 5 == 4 else normal_picture)(number // 2)
                harness.submit(picture, wanted=WANTED, content_id=number // 2)
                result = harness.next(Scored).result
                assert result is not None
                found.append(replace(result, stage_seconds={}))
                if between:
                    judge(harness, strange_picture(100 + number))
            told.append(found)
    assert told[0] == told[1]
    assert sum(one.repeated for one in told[0]) > 0


def test_scene_of_a_picture_is_not_looked_at(tiny_bundle: Path) -> None:
    """A picture that would be a dark frame of the camera is judged all the same."""
    with serving(tiny_bundle) as harness:
        result = judge(harness, marked(normal_picture(1), SEEN)).result
        assert result is not None
        assert result.value is not None
        assert result.scene is None


def test_regions_of_the_camera_count(tiny_bundle: Path) -> None:
    """What lies outside of the camera's regions is not judged, whatever the size of its frames."""
    corner = View(regions=(((0, 0), (16, 0), (16, 12), (0, 12)),), own=True)
    with serving(tiny_bundle, views={FAKE_CAMERA: corner}) as harness:
        result = judge(harness, strange_picture(1)).result
        assert result is not None
        assert result.value is not None
        assert result.value <= THRESHOLD
        assert result.boxes == ()


def test_worker_that_dies_of_a_picture_answers(tiny_bundle: Path) -> None:
    """A worker that dies while a picture waits answers that it has no score, and the next one scores again."""
    with serving(tiny_bundle) as harness:
        harness.memory.write(0, normal_picture(1))
        harness.submit(marked(normal_picture(2), CRASH), wanted=WANTED)
        harness.engine.submit(FAKE_CAMERA, SharedFrame(1, 0, (HEIGHT, WIDTH), PICTURE, 0, 0), WANTED)
        harness.next(EngineLost)
        lost = [harness.next(Scored), harness.next(Scored)]
        assert [one.result for one in lost] == [None, None]
        assert {one.frame.frame_id for one in lost} >= {PICTURE}
        harness.next(EngineReady)
        assert judge(harness, normal_picture(1)).result is not None
