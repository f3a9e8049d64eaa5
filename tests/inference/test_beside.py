"""Candidates in the inference worker: loaded beside the bundle in service, and what they say of frames."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_config.bundle import files as bundles
from runtime.events import CandidateLoaded, EngineLost, EngineReady, Reloaded, Reviewed, Scored, ShadowScored
from runtime.frame import Wanted
from runtime.inference.load import load
from runtime.view import View
from tests.inference.test_engine import Harness, serving
from tests.support.fakes.worker import FAIL, SEEN, SLOW, marked
from tests.support.forge import edit_golden, reseal
from tests.support.tiny import HEIGHT, THRESHOLD, WIDTH, make_bundle, normal_picture, strange_picture, with_threshold

pytestmark = pytest.mark.slow

SHADOWED = Wanted(THRESHOLD, math.inf, shadow=True)
CAMERA = "cam1"


@pytest.fixture
def other(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return another bundle with the same stages."""
    return with_threshold(tiny_bundle, tmp_path / "other.bundle", 70.0)


def stage(harness: Harness, path: Path) -> CandidateLoaded:
    """Load a candidate."""
    number = harness.engine.candidates.load(CAMERA, str(path))
    loaded = harness.next(CandidateLoaded)
    assert (loaded.camera, loaded.number) == (CAMERA, number)
    return loaded


@pytest.mark.parametrize("threads", [1, 2])
def test_candidate_scores_a_frame_after_its_own_score(tiny_bundle: Path, tmp_path: Path, threads: int) -> None:
    """First the score by the bundle in service, then that by the candidate, of the pixels as they were."""
    square = ((36, 8), (56, 8), (56, 28), (36, 28))
    other = make_bundle(tmp_path / "other.bundle", ignore=(square,), regions_hw=(HEIGHT, WIDTH))
    _, here = load(other, 1)
    with serving(tiny_bundle, threads=threads) as harness:
        loaded = stage(harness, other)
        assert loaded.info is not None
        assert loaded.info.id == bundles.read(other).id
        assert loaded.golden_difference < 1e-3
        assert min(loaded.now_ms, loaded.candidate_ms) > 0
        for picture in (normal_picture(1), strange_picture(2)):
            frame = harness.submit(picture, wanted=SHADOWED)
            scored = harness.next(Scored)
            harness.memory.write(frame.slot, np.zeros_like(picture))
            shadow = harness.next(ShadowScored)
            assert scored.result is not None
            assert (shadow.camera, shadow.frame, shadow.problem) == (CAMERA, frame, "")
            assert shadow.value == pytest.approx(here(picture).value, rel=1e-5)
            assert scored.result.value is not None
            assert shadow.value is not None
            assert shadow.value < THRESHOLD
            assert (scored.result.value > THRESHOLD) == (picture[16, 44].tolist() == [0, 0, 255])
            assert 0 < shadow.seconds < 5


def test_scores_in_service_are_those_without_a_candidate(tiny_bundle: Path, other: Path) -> None:
    """Scores of a row of frames are the same, bit for bit, where a candidate scores every second one."""
    pictures = [(strange_picture if seed % 3 else normal_picture)(seed) for seed in range(8)]
    told = []
    for shadowed in (False, True):
        with serving(tiny_bundle, threads=1) as harness:
            if shadowed:
                stage(harness, other)
            found = []
            for number, picture in enumerate(pictures):
                harness.submit(picture, wanted=replace(SHADOWED, shadow=shadowed and number % 2 == 0))
                scored = harness.next(Scored)
                assert scored.result is not None
                found.append(scored.result.value)
                if shadowed and number % 2 == 0:
                    assert harness.next(ShadowScored).value == scored.result.value  # the same stages
            told.append(found)
    assert told[0] == told[1]


def test_frames_that_the_candidate_cannot_score(tiny_bundle: Path, other: Path) -> None:
    """A dark frame and one without a candidate have no score by it; of one that failed there is no answer."""
    with serving(tiny_bundle) as harness:
        harness.submit(normal_picture(1), wanted=SHADOWED)
        harness.next(Scored)
        assert harness.next(ShadowScored).problem == "there is no candidate"
        stage(harness, other)
        harness.submit(marked(normal_picture(1), SEEN), wanted=SHADOWED)
        harness.next(Scored)
        shadow = harness.next(ShadowScored)
        assert (shadow.value, shadow.problem) == (None, "")
        harness.submit(marked(normal_picture(1), FAIL), wanted=SHADOWED)
        assert harness.next(Scored).result is None
        harness.engine.candidates.drop(CAMERA)
        harness.submit(normal_picture(1), wanted=SHADOWED)
        harness.next(Scored)
        harness.next(ShadowScored)


def test_candidate_with_other_golden_scores_is_refused(tiny_bundle: Path, other: Path) -> None:
    """A candidate that scores otherwise here than at export is refused with both figures; frames are scored on."""
    edit_golden(other, "scores", lambda scores: scores * 1.5)
    reseal(other)
    with serving(tiny_bundle) as harness:
        refused = stage(harness, other)
        assert refused.info is None
        assert "golden frames differ on this machine" in refused.problem
        harness.submit(normal_picture(1))
        assert harness.next(Scored).result is not None


def test_candidate_takes_over(tiny_bundle: Path, other: Path) -> None:
    """What was loaded beside takes over like any bundle, and is let go as a candidate without harm."""
    with serving(tiny_bundle) as harness:
        stage(harness, other)
        harness.engine.reload(CAMERA, str(other))
        assert harness.next(Reloaded).info.threshold == 70.0
        harness.engine.candidates.drop(CAMERA)
        harness.submit(strange_picture(1))
        assert harness.next(Scored).result is not None


def test_worker_that_dies_over_a_candidate(tiny_bundle: Path, tmp_path: Path) -> None:
    """The candidate is answered for, and the next worker serves the bundle in service, without a candidate."""
    path = with_threshold(tiny_bundle, tmp_path / f"{SLOW}.bundle", 70.0)
    with serving(tiny_bundle) as harness:
        harness.engine.candidates.load(CAMERA, str(path))
        os.kill(harness.engine._worker._process.pid, signal.SIGKILL)  # type: ignore[union-attr]
        events = harness.until(EngineReady)
        assert [type(event) for event in events] == [EngineLost, CandidateLoaded, EngineReady]
        assert "the inference worker died while loading it" in events[1].problem
        harness.submit(normal_picture(1), wanted=SHADOWED)
        assert harness.next(Scored).result is not None
        assert harness.next(ShadowScored).problem == "there is no candidate"


def test_candidate_judges_the_regions_of_the_camera(tiny_bundle: Path, other: Path) -> None:
    """When the regions of the camera change, its candidate keeps to the new ones from then on, too."""
    with serving(tiny_bundle) as harness:
        stage(harness, other)
        view = View((), (((36, 8), (56, 8), (56, 28), (36, 28)),))
        harness.engine.views.review(CAMERA, view, (HEIGHT, WIDTH))
        harness.next(Reviewed)
        harness.submit(strange_picture(2), wanted=SHADOWED)
        scored, shadow = harness.next(Scored), harness.next(ShadowScored)
        assert scored.result is not None
        assert shadow.value == scored.result.value
        assert shadow.value is not None
        assert shadow.value < THRESHOLD
