"""What subscribers are told of one camera: a state by its gravest cause, and no frame `normal` that was not scored."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from edge_config.wire.messages import Part
from runtime.alerts.camera_log import CameraLog
from runtime.alerts.monitored_camera import MonitoredCamera
from runtime.alerts.preview_pace import PreviewPace
from runtime.events import Previewed
from runtime.frame import Result, SharedFrame, Wanted
from tests.support.fakes.parts import EVERY_RUN, NEW, NORMAL, OLD, STRANGE, THRESHOLD, Publisher, frame

GOOD = Result(value=NORMAL, peak_xy=(3, 4))
BAD = Result(value=STRANGE, peak_xy=(3, 4))
DARK = Result(scene="dark", scene_reason="grey 3")


@pytest.fixture
def publisher() -> Publisher:
    """Return a publisher that keeps what it is told."""
    return Publisher()


@pytest.fixture
def camera(publisher: Publisher) -> MonitoredCamera:
    """Return a camera that is live, with a bundle."""
    camera = MonitoredCamera("top", publisher, EVERY_RUN)
    camera.serve(OLD)
    camera.status.connect("live", "delivers pictures")
    return camera


def test_gravest_cause_is_the_state(publisher: Publisher, camera: MonitoredCamera) -> None:
    """What cannot be scored at all comes before the connection, that before hunger, and that before the picture."""
    camera.publish(frame(1), DARK)
    camera.status.starve("no worker")
    camera.status.fail("bundle is gone")
    assert (camera.status.state, camera.status.reason) == ("failed", "bundle is gone")
    camera.status.connect("stalled", "no frame for 5 s")
    assert camera.status.state == "failed"
    camera.status.fail("")
    assert (camera.status.state, camera.status.reason) == ("stalled", "no frame for 5 s")
    camera.status.connect("live", "delivers pictures")
    assert camera.status.state == "stalled"  # for want of a worker
    camera.publish(frame(2), DARK)
    assert (camera.status.state, camera.status.reason) == ("dark", "grey 3")
    camera.publish(frame(3), GOOD)
    assert (camera.status.state, camera.status.reason) == ("live", "delivers pictures")
    assert publisher.of("state", "state") == ["live", "dark", "stalled", "failed", "stalled", "dark", "live"]


def test_camera_that_is_away_is_away_whatever_else_is_wrong(camera: MonitoredCamera) -> None:
    """A camera that is not there is disconnected, even where nothing could be scored of it."""
    camera.status.fail("bundle is gone")
    camera.status.connect("disconnected", "no such device")
    assert camera.status.state == "disconnected"


def test_nothing_is_said_before_there_is_a_bundle(publisher: Publisher) -> None:
    """A state that comes before the bundle is published with it, and not before."""
    camera = MonitoredCamera("top", publisher, EVERY_RUN)
    camera.status.connect("disconnected", "no such device")
    camera.status.connect("live", "delivers pictures")
    assert publisher.messages == []
    camera.serve(OLD)
    assert publisher.of("state", "state", "bundle") == [("live", OLD.id)]


def test_state_is_said_when_it_changes_only(publisher: Publisher, camera: MonitoredCamera) -> None:
    """The same state for the same cause again is no news."""
    camera.status.connect("live", "delivers pictures")
    camera.serve(OLD)
    camera.publish(frame(1), GOOD)
    assert publisher.of("state", "state") == ["live"]


@pytest.mark.parametrize("result", [None, DARK, Result(value=math.nan)])
def test_frame_without_a_score_is_unknown(publisher: Publisher, camera: MonitoredCamera, result: Result | None) -> None:
    """A frame that was not scored, or cannot be judged, is unknown and never normal, and has no place of a peak."""
    decision = camera.publish(frame(7), result)
    assert decision.label == "unknown"
    assert publisher.of("score", "frame_id", "label", "peak_xy") == [(7, "unknown", None)]


def test_state_comes_before_the_frame_that_shows_it(publisher: Publisher, camera: MonitoredCamera) -> None:
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


def test_repeated_frame_gets_its_message_with_the_last_score(publisher: Publisher, camera: MonitoredCamera) -> None:
    """A repeated frame is said to be so; one that is new says nothing of it."""
    camera.publish(frame(1), GOOD)
    camera.publish(frame(2), dataclasses.replace(GOOD, repeated=True))
    first, second = (m for m in publisher.messages if m["kind"] == "score")
    assert "repeated" not in first
    assert (second["frame_id"], second["score"], second["label"], second["repeated"]) == (2, NORMAL, "normal", True)


def test_fault_of_a_picture_ends_with_its_connection(camera: MonitoredCamera) -> None:
    """A dark frame that is answered after its connection was lost says nothing of the next connection."""
    camera.publish(frame(1), DARK)
    camera.status.connect("disconnected", "lost")
    camera.publish(frame(2), DARK)
    assert camera.status.state == "disconnected"
    camera.status.connect("live", "delivers pictures")
    assert camera.status.state == "live"


def test_open_alert_survives_reload_and_outage(publisher: Publisher, camera: MonitoredCamera) -> None:
    """An alert stays open over another bundle, lost frames and a lost camera, and the next normal frame ends it."""
    camera.publish(frame(1), BAD)
    camera.serve(NEW)
    camera.publish(frame(2), None)
    camera.status.connect("disconnected", "lost")
    camera.status.connect("live", "delivers pictures")
    assert publisher.of("alert", "phase") == ["start"]
    camera.publish(frame(3), BAD)  # the new threshold is above it
    assert publisher.of("alert", "phase", "frame_id", "peak_frame_id") == [("start", 1, 1), ("end", 3, 1)]
    assert len(set(publisher.of("alert", "alert_id"))) == 1
    assert camera.alerts == 1


def test_end_closes_the_alert_and_the_camera(publisher: Publisher, camera: MonitoredCamera) -> None:
    """`end` ends an open alert and says that the camera is away, in this order."""
    camera.publish(frame(1), BAD)
    camera.end("stopped")
    assert [m["kind"] for m in publisher.messages][-2:] == ["alert", "state"]
    assert publisher.of("alert", "phase", "reason") == [("start", ""), ("end", "stopped")]
    assert publisher.of("state", "state", "reason")[-1] == ("disconnected", "stopped")
    assert not camera.status.connected


def test_every_message_says_bundle_and_degradation(publisher: Publisher, camera: MonitoredCamera) -> None:
    """Scores, alerts and states carry the bundle in service, its threshold, and the level of degradation."""
    camera.messages.degraded = 2
    camera.publish(frame(1), BAD)
    camera.serve(NEW)
    camera.messages.degraded = 3
    camera.publish(frame(2), BAD)
    camera.status.connect("stalled", "no frame")
    said = [(m["kind"], m["bundle"], m["degraded"]) for m in publisher.messages[1:]]
    assert said == [
        ("score", OLD.id, 2),
        ("alert", OLD.id, 2),
        ("score", NEW.id, 3),
        ("alert", NEW.id, 3),
        ("state", NEW.id, 3),
    ]
    assert publisher.of("score", "threshold") == [OLD.threshold, NEW.threshold]


def test_frames_are_counted_by_what_became_of_them(camera: MonitoredCamera) -> None:
    """Frames with a score and frames without are counted apart, and `score` is the last one's."""
    camera.publish(frame(1), GOOD)
    camera.publish(frame(2), None)
    assert (camera.frames, camera.undecodable, camera.score) == (1, 1, None)


# Alerts as the settings want them


JPEG = Part(name="jpeg", media_type="image/jpeg")
ATTACH = frozenset({"jpeg", "heat_map"})


def at_ms(ms: int) -> SharedFrame:
    """Return a frame of that time, and with that number."""
    return frame(ms, ms * 1_000_000)


def strange(score: float, **more: Any) -> Result:
    """Return a result with boxes of its own."""
    return Result(value=score, peak_xy=(3, 4), boxes=((1, 2, int(score), 4),), **more)


def served(publisher: Publisher, **alerts: Any) -> MonitoredCamera:
    """Return a camera with these settings, and a bundle."""
    camera = MonitoredCamera("top", publisher, replace(EVERY_RUN, **alerts))
    camera.serve(OLD)
    camera.status.connect("live", "delivers pictures")
    return camera


def test_alert_says_all_of_its_peak(publisher: Publisher) -> None:
    """Boxes, place and score of the peak stay in every phase, beside what is said of the last frame."""
    camera = served(publisher)
    camera.publish(at_ms(1), strange(9.0))
    camera.publish(at_ms(2), GOOD)
    names = ("phase", "frame_id", "score", "peak_score", "peak_frame_id", "peak_frame_xy", "boxes", "t_start_ns")
    assert publisher.of("alert", *names) == [
        ("start", 1, 9.0, 9.0, 1, (3, 4), ((1, 2, 9, 4),), 0),
        ("end", 2, NORMAL, 9.0, 1, (3, 4), ((1, 2, 9, 4),), 0),
    ]


def test_parts_come_once_with_the_first_message_of_their_frame(publisher: Publisher) -> None:
    """A picture goes with the start and with each update that it is the peak of, and not again with the end."""
    camera = served(publisher, attach=ATTACH, update_ms=0)
    for ms, score in ((1, 9.0), (2, 8.0), (3, 12.0), (4, NORMAL)):
        camera.publish(at_ms(ms), strange(score, parts=(JPEG,)), (b"%d" % ms,))
    assert publisher.of("alert", "phase", "attached", "parts") == [
        ("start", (b"1",), (JPEG,)),
        ("update", (b"3",), (JPEG,)),
        ("end", (), ()),
    ]
    assert all("attached" not in m for m in publisher.messages if m["kind"] != "alert")


def test_parts_of_a_peak_that_is_told_later_come_with_it(publisher: Publisher) -> None:
    """The picture is that of the peak, though the alert begins, is updated or ends with a later frame."""
    camera = served(publisher, attach=ATTACH, min_frames=2, update_ms=10)
    for ms, score in ((1, 12.0), (2, 9.0), (3, 15.0), (13, 9.0), (14, 20.0), (15, NORMAL)):
        camera.publish(at_ms(ms), strange(score, parts=(JPEG,)), (b"%d" % ms,))
    assert publisher.of("alert", "phase", "frame_id", "peak_frame_id", "attached") == [
        ("start", 2, 1, (b"1",)),
        ("update", 13, 3, (b"3",)),
        ("end", 15, 14, (b"14",)),
    ]


def test_peak_without_parts_brings_none_of_another(publisher: Publisher) -> None:
    """Where nothing was made of the peak frame, its message has no parts."""
    camera = served(publisher, attach=ATTACH, min_frames=2)
    camera.publish(at_ms(1), strange(9.0, parts=(JPEG,)), (b"1",))
    camera.publish(at_ms(2), strange(12.0))
    assert publisher.of("alert", "peak_frame_id", "attached", "parts") == [(2, (), ())]


def test_all_is_wanted_above_the_threshold_and_then_above_the_peak(publisher: Publisher) -> None:
    """What is wanted of the next frame follows the alert; without a bundle no detail, without maps no parts."""
    camera = MonitoredCamera("top", publisher, replace(EVERY_RUN, attach=ATTACH))
    assert camera.wanted().detail_above == math.inf
    camera.serve(OLD)
    assert camera.wanted() == Wanted(THRESHOLD, THRESHOLD, ATTACH)
    camera.publish(at_ms(1), strange(9.0))
    assert camera.wanted() == Wanted(THRESHOLD, 9.0, ATTACH)
    camera.maps = False
    assert camera.wanted() == Wanted(THRESHOLD, 9.0, frozenset())


def test_excess_is_that_over_the_median(publisher: Publisher) -> None:
    """Scores are measured in the distance from the median to the threshold; an alert keeps that of its peak."""
    camera = served(publisher)
    camera.serve(dataclasses.replace(OLD, median=1.0))  # and THRESHOLD is 5
    for ms, score in ((1, 9.0), (2, 7.0), (3, 13.0), (4, NORMAL)):
        camera.publish(at_ms(ms), strange(score))
    assert publisher.of("score", "excess") == [1.0, 0.5, 2.0, -1.0]
    assert publisher.of("alert", "phase", "excess", "peak_excess") == [("start", 1.0, 1.0), ("end", -1.0, 2.0)]


def test_excess_follows_the_threshold_in_force(publisher: Publisher) -> None:
    """A threshold of the settings is that of the excess, too; one below the median leaves none, and raises alerts."""
    camera = served(publisher, threshold=3.0)
    camera.serve(dataclasses.replace(OLD, median=1.0))
    camera.publish(at_ms(1), strange(9.0))
    camera.configure(replace(EVERY_RUN, threshold=0.5))
    camera.publish(at_ms(2), strange(9.0))
    assert publisher.of("score", "excess") == [3.0, None]
    assert publisher.of("alert", "peak_excess") == [3.0]
    assert served(publisher).bundle.median is None  # of a bundle that has none, it is unknown
    camera.publish(at_ms(3), None)
    assert publisher.of("score", "excess", "p_value")[-1] == (None, None)


def test_p_value_is_passed_on(publisher: Publisher) -> None:
    """The p-value that the worker found is in the score, and in the alert."""
    camera = served(publisher)
    camera.publish(at_ms(1), dataclasses.replace(strange(9.0), p_value=0.01))
    camera.publish(at_ms(2), dataclasses.replace(GOOD, p_value=0.5))
    assert publisher.of("score", "p_value") == [0.01, 0.5]
    assert publisher.of("alert", "p_value") == [0.01, 0.5]


def test_judging_what_was_not_learnt_is_logged_once(publisher: Publisher) -> None:
    """A frame that is judged where fit left patches out is a warning, again only when their number changes."""
    camera = MonitoredCamera("top", publisher, EVERY_RUN, log=CameraLog("top"))
    camera.serve(OLD)
    with capture_logs() as said:
        for number, patches in enumerate((0, 12, 12, 12, 0, 7), 1):
            camera.publish(frame(number), dataclasses.replace(GOOD, unlearnt=patches))
    told = [one["patches"] for one in said if one["event"] == "judged outside of the bundle's regions"]
    assert told == [12, 7]


def test_threshold_of_the_settings_is_said_and_wanted(publisher: Publisher) -> None:
    """A threshold in the settings is in messages, in what is wanted and in force, whatever bundle is served."""
    camera = served(publisher, threshold=0.5)
    camera.serve(NEW)
    camera.publish(at_ms(1), GOOD)
    assert publisher.of("score", "threshold", "label") == [(0.5, "anomalous")]
    assert publisher.of("alert", "threshold", "bundle") == [(0.5, NEW.id)]
    assert (camera.threshold, camera.wanted().threshold) == (0.5, 0.5)


def test_paused_comes_before_every_other_cause(publisher: Publisher, camera: MonitoredCamera) -> None:
    """A paused camera is paused, whatever else is wrong, and afterwards what it is; an open alert ends with it."""
    camera.publish(frame(1), BAD)
    alert = camera.pause()
    assert alert is not None
    assert publisher.of("alert", "phase", "reason")[-1] == ("end", "paused")
    assert (camera.status.state, camera.status.connected) == ("paused", False)
    camera.status.fail("bundle is gone")
    camera.status.starve("no worker")
    assert camera.pause() is None
    assert camera.status.state == "paused"
    camera.status.resume(reopens=False)  # a recording, of which nothing was closed
    assert camera.status.state == "failed"
    camera.status.fail("")
    assert (camera.status.state, camera.status.connected) == ("live", True)
    assert publisher.of("state", "state") == ["live", "paused", "failed", "live"]


@pytest.mark.parametrize("state", ["live", "stalled", "disconnected"])
def test_resumed_camera_is_paused_until_something_is_heard_of_it(
    publisher: Publisher, camera: MonitoredCamera, state: Any
) -> None:
    """While a camera is opened again nobody is told that it is lost, and then what it is."""
    camera.pause()
    camera.status.resume(reopens=True)
    assert (camera.status.state, camera.status.connected) == ("paused", False)
    camera.status.connect(state, "news")
    assert camera.status.state == state
    assert publisher.of("state", "state") == ["live", "paused", state]


def test_other_settings_count_from_the_next_frame_and_leave_an_alert_open(
    publisher: Publisher, camera: MonitoredCamera
) -> None:
    """A threshold that is raised over an open alert ends it with the next frame, and the message has the new one."""
    camera.publish(frame(1), BAD)
    camera.configure(replace(EVERY_RUN, threshold=STRANGE + 1))
    assert publisher.of("alert", "phase") == ["start"]
    camera.publish(frame(2), BAD)
    assert publisher.of("alert", "phase") == ["start", "end"]
    assert publisher.of("score", "threshold", "label") == [(THRESHOLD, "anomalous"), (STRANGE + 1, "normal")]
    camera.serve(NEW)
    assert camera.threshold == STRANGE + 1  # as one in the settings does, it comes before a bundle's


def test_end_of_a_camera_that_is_gone_already_is_not_said_again(publisher: Publisher, camera: MonitoredCamera) -> None:
    """A recording that is over stays so when the program ends, and an alert that is open then is ended."""
    camera.publish(frame(1), BAD)
    camera.status.connect("disconnected", "end of recording")
    camera.end("internal error", failed=True)
    assert publisher.of("state", "reason") == ["delivers pictures", "end of recording"]
    assert publisher.of("alert", "phase", "reason") == [("start", ""), ("end", "internal error")]


def shown(one: SharedFrame, problem: str = "") -> Previewed:
    parts = () if problem else (Part(name="jpeg", media_type="image/jpeg", shape=(48, 64)),)
    return Previewed("top", one, ((1, 2, 3, 4),), parts, (b"picture",), 0.001, problem)


def test_preview_has_the_fields_of_its_score(publisher: Publisher, camera: MonitoredCamera) -> None:
    """A preview says of its frame what the score message said, and what it shows; it is no alert and no state."""
    camera.publish(one := frame(7), BAD)
    before = list(publisher.messages)
    camera.preview(shown(one))
    (told,) = publisher.messages[len(before) :]
    (score,) = (said for said in before if said["kind"] == "score")
    assert {name: field for name, field in told.items() if name in score and name != "kind"} == {
        name: field for name, field in score.items() if name != "kind"
    }
    assert (told["kind"], told["boxes"], told["frame_hw"]) == ("preview", ((1, 2, 3, 4),), (48, 64))
    assert ([part.name for part in told["parts"]], told["attached"]) == (["jpeg"], (b"picture",))


def test_preview_of_an_earlier_frame_is_not_told(publisher: Publisher, camera: MonitoredCamera) -> None:
    """What belongs to a frame before the last one would have the fields of another: it is dropped."""
    camera.publish(one := frame(7), GOOD)
    camera.publish(frame(8), None)
    camera.preview(shown(one))
    assert publisher.of("preview", "frame_id") == []


def test_preview_that_failed_is_logged(publisher: Publisher) -> None:
    """What could not be made is in the log, with the reason, and no subscriber gets half of it."""
    camera = MonitoredCamera("top", publisher, EVERY_RUN, log=CameraLog("top"))
    camera.publish(one := frame(7), GOOD)
    with capture_logs() as logs:
        camera.preview(shown(one, "ValueError: odd"))
    assert [(line["event"], line["reason"]) for line in logs] == [("no preview", "ValueError: odd")]
    assert publisher.of("preview", "frame_id") == []


def test_previews_are_asked_for_while_somebody_wants_them(publisher: Publisher) -> None:
    """A preview of the next frame is asked for while somebody subscribes; a device under strain makes fewer."""
    wanted, now_s = [True], [0.0]
    pace = PreviewPace(lambda _camera: wanted[0], lambda: now_s[0])
    camera = MonitoredCamera("top", publisher, EVERY_RUN, previews=pace)
    assert [camera.wanted().preview for _ in range(3)] == [True, False, False]
    now_s[0] = 0.3
    assert camera.wanted().preview
    camera.maps = False
    now_s[0] = 0.7
    assert camera.wanted().preview  # it was due before
    now_s[0] = 1.2
    assert not camera.wanted().preview
    wanted[0] = False
    now_s[0] = 100.0
    assert not camera.wanted().preview
