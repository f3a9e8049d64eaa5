"""Previews of the inference worker: they come after the result of their frame, and change nothing of it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.events import EngineLost, EngineReady, Previewed, Scored
from runtime.frame import Wanted
from runtime.process.child import module
from tests.inference.test_engine import Harness, descriptors, serving
from tests.support.fakes.senseless import PREVIEWS
from tests.support.fakes.worker import FAIL, SEEN, marked
from tests.support.tiny import GRID, HEIGHT, THRESHOLD, WIDTH, normal_picture, strange_picture

pytestmark = pytest.mark.slow

SHOWN = Wanted(THRESHOLD, math.inf, preview=True)
ALERTED = Wanted(THRESHOLD, THRESHOLD, frozenset({"jpeg", "heat_map"}))
NEAR = 12.0  # mean grey levels: a JPEG of noise is no further from it


def preview_of(harness: Harness, picture: np.ndarray, content_id: int | None = None) -> tuple[Scored, Previewed]:
    """Have a frame scored and shown."""
    harness.submit(picture, wanted=SHOWN, content_id=content_id)
    return harness.next(Scored), harness.next(Previewed)


def parts_of(preview: Previewed) -> Mapping[str, np.ndarray]:
    """Return picture and map of a preview."""
    told = dict(zip((part.name for part in preview.parts), preview.attached, strict=True))
    found = {"jpeg": cv2.imdecode(np.frombuffer(told["jpeg"], np.uint8), cv2.IMREAD_COLOR)}
    if "heat_map" in told:
        found["heat_map"] = np.frombuffer(told["heat_map"], np.uint8).reshape(GRID)
    return found


@pytest.mark.parametrize("threads", [1, 2])
def test_preview_comes_after_the_result(tiny_bundle: Path, threads: int) -> None:
    """First the result is told, then picture, map and boxes of the same frame, whatever was written over it since."""
    with serving(tiny_bundle, threads=threads) as harness:
        for picture in (normal_picture(1), strange_picture(2)):
            frame = harness.submit(picture, wanted=SHOWN)
            scored = harness.next(Scored)
            harness.memory.write(frame.slot, np.zeros_like(picture))
            preview = harness.next(Previewed)
            assert (preview.camera, preview.frame, preview.problem) == ("cam1", frame, "")
            shown = parts_of(preview)
            assert shown["jpeg"].shape == (HEIGHT, WIDTH, 3)
            assert np.abs(shown["jpeg"].astype(float) - picture).mean() < NEAR
            over = scored.result is not None and scored.result.value > THRESHOLD
            assert over == (shown["heat_map"].max() > 100) == bool(preview.boxes)
            assert 0 < preview.seconds < 5


def test_results_are_those_without_previews(tiny_bundle: Path) -> None:
    """Scores, boxes and parts of a row of frames are the same where every second one is shown."""
    pictures = [(strange_picture if seed % 3 else normal_picture)(seed) for seed in range(12)]
    told = []
    for shown in (False, True):
        with serving(tiny_bundle, threads=1) as harness:
            found = []
            for number, picture in enumerate(pictures):
                preview = shown and number % 2 == 0
                harness.submit(picture, wanted=replace(ALERTED, preview=preview))
                scored = harness.next(Scored)
                assert scored.result is not None
                found.append((replace(scored.result, stage_seconds={}), scored.attached))
                if preview:
                    harness.next(Previewed)
            told.append(found)
    assert told[0] == told[1]


def test_frame_that_cannot_be_judged_is_shown(tiny_bundle: Path) -> None:
    """A dark frame has a preview without a map; one that cannot be scored has none, and the next one has again."""
    with serving(tiny_bundle) as harness:
        scored, preview = preview_of(harness, marked(normal_picture(1), SEEN))
        assert scored.result is not None
        assert scored.result.scene == "dark"
        assert set(parts_of(preview)) == {"jpeg"}
        harness.submit(marked(normal_picture(1), FAIL), wanted=SHOWN)
        assert harness.next(Scored).result is None
        assert set(parts_of(preview_of(harness, normal_picture(2))[1])) == {"jpeg", "heat_map"}


def test_frame_that_repeats_is_shown_with_the_map_of_its_score(tiny_bundle: Path) -> None:
    """An identical frame is not scored again, and shown as the first one was."""
    with serving(tiny_bundle) as harness:
        first, shown = preview_of(harness, strange_picture(7), content_id=1)
        again, shown_again = preview_of(harness, strange_picture(7), content_id=1)
        assert first.result is not None
        assert again.result is not None
        assert (first.result.repeated, again.result.repeated) == (False, True)
        assert (shown.parts, shown.attached, shown.boxes) == (
            shown_again.parts,
            shown_again.attached,
            shown_again.boxes,
        )


def test_previews_leave_nothing(tiny_bundle: Path) -> None:
    """Descriptors of runtime and worker are after many previews what they were before, and no features are lost."""
    with serving(tiny_bundle) as harness:
        preview_of(harness, strange_picture(0))
        harness.score(normal_picture(0))
        before = descriptors(os.getpid()), descriptors(harness.worker())
        for seed in range(20):
            preview_of(harness, (normal_picture, strange_picture)[seed % 2](seed))
        harness.score(normal_picture(0))
        assert (descriptors(os.getpid()), descriptors(harness.worker())) == before


def test_previews_that_make_no_sense_end_the_worker_alone(tiny_bundle: Path) -> None:
    """Whatever preview a worker invents, it is replaced."""
    with serving(tiny_bundle, command=module("tests.support.fakes.senseless")) as harness:
        before = descriptors(os.getpid())
        for kind, name in enumerate(PREVIEWS):
            harness.submit(normal_picture(1), wanted=Wanted(-1.0 - kind, math.inf, preview=True))
            events = harness.until(EngineReady)
            (lost,) = (one for one in events if isinstance(one, EngineLost))
            assert (lost.cause, lost.reason.partition(":")[0]) == ("crashed", "it sent an invalid message"), name
            assert not any(isinstance(one, Previewed) for one in events), name
            assert descriptors(os.getpid()) == before, name
