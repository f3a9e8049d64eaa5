"""What is said of a camera's drift: when it begins and ends, over restarts, and with another bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from edge_config.bundle.may_vary import Usual
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.drift.saved import MAX_BYTES, DriftFile
from runtime.drift.watch import CAUSES, DriftWatch
from runtime.frame import BundleInfo, Frame, Result
from runtime.measures import Measures, Normal
from tests.support.fakes.parts import EVERY_RUN, Publisher

SECOND = 1_000_000_000
WALL = 1_795_788_600 * SECOND  # 2026-11-27 14:10 UTC
USUAL = Usual(luminance=(80.0, 120.0), highlights=(140.0, 180.0), edges=(0.5, 0.6))
BUNDLE = BundleInfo("a" * 64, "a.bundle", 5.0, 1 / 101, normal=Normal(100, USUAL))
OTHER = replace(BUNDLE, id="b" * 64)
INSIDE = Measures(luminance=100.0, contrast=60.0, sharpness=0.55 * 60 / 101, detail=0.1)
DIM = INSIDE._replace(luminance=70.0, contrast=65.0, sharpness=0.55 * 65 / 71)
USUAL_FRAME = Result(1.0, p_value=0.5, measures=INSIDE)
HIGH_FRAME = Result(4.0, p_value=2 / 101, measures=INSIDE)
DIM_FRAME = Result(1.0, p_value=0.5, measures=DIM)
SAID = "normal frames score higher than learnt"

IMAGE = np.zeros((4, 4, 3), np.uint8)


def play(watch: DriftWatch, result: Result, begin_s: float, seconds: float, *, in_alert: bool = False) -> None:
    """Play a result for some time, at a frame a second."""
    for second in range(round(seconds)):
        at = round((begin_s + second) * SECOND)
        watch(Frame(IMAGE, second + 1, WALL + at, at), result, in_alert=in_alert)
    watch.turn()


def serving(bundle: BundleInfo = BUNDLE, file: DriftFile | None = None) -> DriftWatch:
    """Return a watch with a bundle."""
    watch = DriftWatch("top", file)
    watch.serve(bundle)
    return watch


def test_line_says_since_when_what_and_what_to_do() -> None:
    """The line names the beginning, what differs, and the verb that helps; without drift it is empty."""
    watch = serving()
    assert watch.line == watch.said == ""
    assert watch.since_ns is None
    play(watch, HIGH_FRAME, 0, 200)
    assert watch.line == f"since 2026-11-27 14:10 UTC {SAID}; if that is normal now, `patchedge teach` it"
    assert watch.since_ns == WALL
    assert watch.levels() == {cause: float(cause == "scores") for cause in CAUSES}


def test_beginning_and_end_are_logged_once() -> None:
    """One line when drift begins, and one when it ends."""
    watch = serving()
    with capture_logs() as logs:
        for begin in range(0, 400, 50):
            play(watch, HIGH_FRAME, begin, 50)
        for begin in range(400, 1000, 50):
            play(watch, USUAL_FRAME, begin, 50)
    assert [(log["event"], log["camera"], log["reason"]) for log in logs] == [
        ("drift begins", "top", SAID),
        ("drift ends", "top", SAID),
    ]
    assert watch.line == ""


def test_light_and_scores_are_said_together() -> None:
    """Two causes are one line, since the first of them."""
    watch = serving()
    play(watch, DIM_FRAME, 0, 60)
    assert watch.said == "the picture is darker than learnt"
    play(watch, replace(DIM_FRAME, p_value=2 / 101), 60, 200)
    assert watch.said == f"{SAID}; the picture is darker than learnt"
    assert watch.since_ns == WALL


@pytest.mark.parametrize(
    "result", [replace(HIGH_FRAME, repeated=True), Result(scene="dark", scene_reason="dark", measures=DIM)]
)
def test_frames_that_are_no_evidence(result: Result) -> None:
    """Repeated frames, and pictures that cannot be judged, say nothing about what is normal."""
    watch = serving()
    play(watch, result, 0, 1000)
    assert not watch.causes
    assert watch.levels()["scores"] == 0


def test_frames_of_alerts_are_no_evidence() -> None:
    """What raises an alert is not normal: it neither makes drift nor ends it."""
    watch = serving()
    play(watch, DIM_FRAME, 0, 1000, in_alert=True)
    assert not watch.causes
    play(watch, HIGH_FRAME, 1000, 200)
    play(watch, USUAL_FRAME, 1200, 1000, in_alert=True)
    assert watch.said == SAID


def test_camera_leaves_out_its_alerts() -> None:
    """A camera with an alert that never ends does not drift; with scores below the threshold as high it does."""
    publisher = Publisher()
    for value, said in ((9.0, ""), (4.0, SAID)):
        camera = MonitoredCamera("top", publisher, EVERY_RUN)
        camera.serve(BUNDLE)
        for second in range(300):
            at = second * SECOND
            camera.publish(Frame(IMAGE, second + 1, WALL + at, at), replace(HIGH_FRAME, value=value))
        camera.turn()
        camera.beat()
        health = publisher.messages[-1]
        assert (health["kind"], health.get("drift", "")) == ("health", said)
        assert ("drift_since_ns" in health) == bool(said)


def test_restart_forgets_nothing(tmp_path: Path) -> None:
    """A restart goes on with the evidence, with drift and with its beginning; half of the evidence counts, too."""
    path = tmp_path / "top" / "drift.json"
    first = serving(file=DriftFile(path))
    play(first, replace(DIM_FRAME, p_value=2 / 101), 0, 45)
    before = first.levels()["scores"]
    assert 0 < before < 1
    first.close()
    second = serving(file=DriftFile(path))
    assert second.levels() == pytest.approx(first.levels(), abs=1e-4)
    assert (second.said, second.since_ns) == (first.said, WALL)
    play(second, HIGH_FRAME, 0, 75)
    assert SAID in second.said
    second.close()
    third = serving(file=DriftFile(path))
    assert (third.said, third.since_ns) == (second.said, second.since_ns)
    assert path.stat().st_size < MAX_BYTES
    third.close()


def test_another_bundle_begins_again(tmp_path: Path) -> None:
    """Learning ends drift: another bundle has its own, also when it is put in place while the device is off."""
    path = tmp_path / "drift.json"
    watch = serving(file=DriftFile(path))
    play(watch, HIGH_FRAME, 0, 200)
    watch.close()
    elsewhere = serving(OTHER, DriftFile(path))
    assert (elsewhere.said, elsewhere.levels()["scores"]) == ("", 0)
    with capture_logs() as logs:
        watch.serve(OTHER)
    assert [log["event"] for log in logs] == ["drift ends"]
    assert not watch.causes


def test_same_bundle_again_changes_nothing() -> None:
    """A worker that is restarted serves the same bundle: the evidence stays."""
    watch = serving()
    play(watch, HIGH_FRAME, 0, 60)
    before = watch.levels()
    watch.serve(BUNDLE)
    assert watch.levels() == before != serving().levels()


def test_bundle_without_scores_is_not_watched() -> None:
    """Without held-out scores, as in early bundles, drift is never said."""
    watch = serving(replace(BUNDLE, normal=None))
    play(watch, HIGH_FRAME, 0, 300)
    play(watch, DIM_FRAME, 300, 300)
    assert watch.line == ""


def test_camera_without_drift_leaves_no_file(tmp_path: Path) -> None:
    """Nothing is written where there is nothing to remember."""
    watch = serving(file=DriftFile(tmp_path / "top" / "drift.json"))
    play(watch, USUAL_FRAME, 0, 100)
    watch.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b'{"bundle": "a", "evidence": -1}', b"x" * 10_000, b"\xff"])
def test_damaged_file_is_said_and_begun_again(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be read is one line in the log, and no more."""
    path = tmp_path / "drift.json"
    path.write_bytes(content)
    with capture_logs() as logs:
        watch = serving(file=DriftFile(path))
    assert [log["log_level"] for log in logs] == ["warning"]
    assert watch.line == ""


def test_folder_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    """A file in the place of the folder: one line in the log, and drift is noticed all the same."""
    (tmp_path / "top").write_bytes(b"")
    watch = serving(file=DriftFile(tmp_path / "top" / "drift.json"))
    with capture_logs() as logs:
        play(watch, HIGH_FRAME, 0, 200)
        watch.close()
        play(watch, DIM_FRAME, 200, 200)
        watch.close()
    assert watch.causes
    assert [log["event"] for log in logs if "saved" in log["event"]] == [
        "what is known of drift cannot be saved: a restart forgets it"
    ]
