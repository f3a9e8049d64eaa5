"""What subscribers are told of one camera: a state by its gravest cause, and no frame `normal` that was not scored."""

from __future__ import annotations

import math

import pytest

from runtime.frame import Result
from runtime.watched import Watched
from tests.fakes.parts import NEW, NORMAL, OLD, STRANGE, Publisher, frame

GOOD = Result(value=NORMAL, peak_xy=(3, 4))
BAD = Result(value=STRANGE, peak_xy=(3, 4))
DARK = Result(scene="dark", scene_reason="grey 3")


@pytest.fixture
def publisher() -> Publisher:
    """Give a publisher that keeps what it is told."""
    return Publisher()


@pytest.fixture
def camera(publisher: Publisher) -> Watched:
    """Give a camera that is live, with a bundle."""
    watched = Watched("top", publisher)
    watched.serve(OLD)
    watched.connect("live", "delivers pictures")
    return watched


def test_gravest_cause_is_the_state(publisher: Publisher, camera: Watched) -> None:
    """What cannot be scored at all comes before the connection, that before hunger, and that before the picture."""
    camera.publish(frame(1), DARK)
    camera.starve("no worker")
    camera.fail("bundle is gone")
    assert (camera.state, camera.reason) == ("failed", "bundle is gone")
    camera.connect("stalled", "no frame for 5 s")
    assert camera.state == "failed"
    camera.fail("")
    assert (camera.state, camera.reason) == ("stalled", "no frame for 5 s")
    camera.connect("live", "delivers pictures")
    assert camera.state == "stalled"  # for want of a worker
    camera.publish(frame(2), DARK)
    assert (camera.state, camera.reason) == ("dark", "grey 3")
    camera.publish(frame(3), GOOD)
    assert (camera.state, camera.reason) == ("live", "delivers pictures")
    assert publisher.of("state", "state") == ["live", "dark", "stalled", "failed", "stalled", "dark", "live"]


def test_camera_that_is_away_is_away_whatever_else_is_wrong(camera: Watched) -> None:
    """A camera that is not there is disconnected, even where nothing could be scored of it."""
    camera.fail("bundle is gone")
    camera.connect("disconnected", "no such device")
    assert camera.state == "disconnected"


def test_nothing_is_said_before_there_is_a_bundle(publisher: Publisher) -> None:
    """A state that comes before the bundle is published with it, and not before."""
    watched = Watched("top", publisher)
    watched.connect("disconnected", "no such device")
    watched.connect("live", "delivers pictures")
    assert publisher.messages == []
    watched.serve(OLD)
    assert publisher.of("state", "state", "bundle") == [("live", OLD.id)]


def test_state_is_said_when_it_changes_only(publisher: Publisher, camera: Watched) -> None:
    """The same state for the same cause again is no news."""
    camera.connect("live", "delivers pictures")
    camera.serve(OLD)
    camera.publish(frame(1), GOOD)
    assert publisher.of("state", "state") == ["live"]


@pytest.mark.parametrize("result", [None, DARK, Result(value=math.nan)])
def test_frame_without_a_score_is_unknown(publisher: Publisher, camera: Watched, result: Result | None) -> None:
    """A frame that was not scored, or cannot be judged, is unknown and never normal, and has no place of a peak."""
    decision = camera.publish(frame(7), result)
    assert decision.label == "unknown"
    assert publisher.of("score", "frame_id", "label", "peak_xy") == [(7, "unknown", None)]


def test_state_comes_before_the_frame_that_shows_it(publisher: Publisher, camera: Watched) -> None:
    """The message of a dark frame says dark, and that of the first good one live; each state is told before it."""
    camera.publish(frame(1), DARK)
    camera.publish(frame(2), GOOD)
    assert [(m["kind"], m["state"]) for m in publisher.messages] == [
        ("state", "live"),
        ("state", "dark"),
        ("score", "dark"),
        ("state", "live"),
        ("score", "live"),
    ]


def test_fault_of_a_picture_ends_with_its_connection(camera: Watched) -> None:
    """A dark frame that is answered after its connection was lost says nothing of the next connection."""
    camera.publish(frame(1), DARK)
    camera.connect("disconnected", "lost")
    camera.publish(frame(2), DARK)
    assert camera.state == "disconnected"
    camera.connect("live", "delivers pictures")
    assert camera.state == "live"


def test_open_alert_survives_reload_and_outage(publisher: Publisher, camera: Watched) -> None:
    """An alert stays open over another bundle, lost frames and a lost camera, and the next normal frame ends it."""
    camera.publish(frame(1), BAD)
    camera.serve(NEW)
    camera.publish(frame(2), None)
    camera.connect("disconnected", "lost")
    camera.connect("live", "delivers pictures")
    assert publisher.of("alert", "phase") == ["start"]
    camera.publish(frame(3), BAD)  # the new threshold is above it
    assert publisher.of("alert", "phase", "frame_id", "peak_frame_id") == [("start", 1, 1), ("end", 3, 1)]
    assert len(set(publisher.of("alert", "alert_id"))) == 1
    assert camera.alerts == 1


def test_end_closes_the_alert_and_the_camera(publisher: Publisher, camera: Watched) -> None:
    """`end` ends an open alert and says that the camera is away, in this order."""
    camera.publish(frame(1), BAD)
    camera.end("stopped")
    assert [m["kind"] for m in publisher.messages][-2:] == ["alert", "state"]
    assert publisher.of("alert", "phase") == ["start", "end"]
    assert publisher.of("state", "state", "reason")[-1] == ("disconnected", "stopped")
    assert not camera.connected


def test_every_message_says_bundle_and_degradation(publisher: Publisher, camera: Watched) -> None:
    """Scores, alerts and states carry the bundle in service, its threshold, and the level of degradation."""
    camera.degraded = 2
    camera.publish(frame(1), BAD)
    camera.serve(NEW)
    camera.degraded = 3
    camera.publish(frame(2), BAD)
    camera.connect("stalled", "no frame")
    said = [(m["kind"], m["bundle"], m["degraded"]) for m in publisher.messages[1:]]
    assert said == [
        ("score", OLD.id, 2),
        ("alert", OLD.id, 2),
        ("score", NEW.id, 3),
        ("alert", NEW.id, 3),
        ("state", NEW.id, 3),
    ]
    assert publisher.of("score", "threshold") == [OLD.threshold, NEW.threshold]


def test_frames_are_counted_by_what_became_of_them(camera: Watched) -> None:
    """Frames with a score and frames without are counted apart, and `score` is the last one's."""
    camera.publish(frame(1), GOOD)
    camera.publish(frame(2), None)
    assert (camera.frames, camera.undecodable, camera.score) == (1, 1, None)
