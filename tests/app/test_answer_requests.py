"""What one may ask of a running device, and what the main loop answers."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from edge_config.errors import RequestError
from edge_config.wire.requests import SCHEMA, Ack, Configure, Pause, ReportGap, Resume, Snapshot, Status, decode_request
from runtime.events import Asked
from runtime.frame import Wanted
from tests.support.fakes.parts import EVERY_RUN, OLD, THRESHOLD, Feed, Parts


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    """Yield what answers, with two cameras."""
    parts = Parts(tmp_path, SimpleQueue().put, {"top": Feed(live=True), "side": Feed(live=True)})
    yield parts
    parts.monitor.close()


def ask(parts: Parts, request: Any) -> tuple[bool, Any]:
    """Ask, and give the answer."""
    parts.requests.handle(Asked(1, request))
    ((_, done, said),) = parts.control.answers
    return done, said


def test_snapshot_is_of_all_cameras_or_of_one(parts: Parts) -> None:
    """A late joiner gets the current state of every camera."""
    assert ask(parts, Snapshot()) == (True, {"now": ["top", "side"]})


def test_snapshot_of_one_camera(parts: Parts) -> None:
    """A snapshot may be of one camera."""
    assert ask(parts, Snapshot(camera="side")) == (True, {"now": ["side"]})


def test_snapshot_of_an_unknown_camera_is_refused(parts: Parts) -> None:
    """A camera that the device does not have is named in the refusal, with those that it has."""
    done, said = ask(parts, Snapshot(camera="hall"))
    assert (done, said) == (False, "no camera `hall`; known: top, side")


def test_gap_that_a_subscriber_reports_is_counted(parts: Parts) -> None:
    """What subscribers missed shows in the metrics, by kind; a topic that is none counts as other."""
    assert ask(parts, ReportGap(topic="v1/alert/edge/top/", missed=3)) == (True, {"counted": 3})
    parts.requests.handle(Asked(2, ReportGap(topic="nonsense", missed=2)))
    assert parts.figure('gaps_reported_total{kind="alert"} 3.0')
    assert parts.figure('gaps_reported_total{kind="other"} 2.0')


def test_status_says_how_the_journal_is(parts: Parts) -> None:
    """A disk that cannot be written shows in the status."""
    parts.wire.recorder.state, parts.wire.recorder.reason = "memory", "disk is full"
    done, said = ask(parts, Status())
    assert (done, said["journal"], said["journal_reason"]) == (True, "memory", "disk is full")


def test_request_that_is_not_for_the_main_loop_gets_an_answer(parts: Parts) -> None:
    """No request is left without an answer."""
    done, _ = ask(parts, Ack(subscriber="hall", alert_id="a"))
    assert not done


def test_configure_changes_some_settings_and_says_what_is_in_force(parts: Parts) -> None:
    """What is named changes from the next frame on, all else stays, and reply and status say what is in force."""
    camera = parts.cameras["top"]
    camera.serve(OLD)
    done, said = ask(parts, Configure(camera="top", alerts={"threshold": 12, "attach": ["jpeg"]}))
    assert (done, said.camera, said.threshold) == (True, "top", 12.0)
    assert said.alerts == {**msgspec.to_builtins(EVERY_RUN), "threshold": 12.0, "attach": ["jpeg"]}
    assert camera.wanted() == Wanted(12.0, 12.0, frozenset({"jpeg"}))
    parts.control.answers.clear()
    assert ask(parts, Status())[1]["cameras"]["top"]["alerts"] == said.alerts
    assert parts.cameras["side"].settings == EVERY_RUN
    parts.control.answers.clear()
    done, said = ask(parts, Configure(camera="top", alerts={"threshold": None}))
    assert (done, said.threshold) == (True, THRESHOLD)  # the bundle's again
    assert camera.settings.attach == frozenset({"jpeg"})


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ({"min_frames": 0}, "key `min_frames`"),
        ({"min_frames": "3"}, "key `min_frames`"),
        ({"treshold": 3}, "unknown key `treshold`; known here: threshold, hysteresis"),
        ({"threshold": -1, "min_frames": 3}, "key `threshold`"),
    ],
)
def test_configure_checks_as_the_settings_do(parts: Parts, alerts: dict[str, Any], said: str) -> None:
    """A value that no settings file may hold is refused with its key, and nothing changes, not even what is good."""
    done, error = ask(parts, Configure(camera="top", alerts=alerts))
    assert not done
    assert said in error
    assert parts.cameras["top"].settings == EVERY_RUN


def test_pause_and_resume_reach_the_camera_once(parts: Parts) -> None:
    """A camera is paused and goes on; to ask twice is no mistake, and the reply says its state."""
    parts.cameras["top"].serve(OLD)
    parts.cameras["top"].status.connect("live", "delivers pictures")
    for _ in range(2):
        parts.control.answers.clear()
        done, said = ask(parts, Pause(camera="top"))
        assert (done, said.state, said.reason) == (True, "paused", "by a request")
    for _ in range(2):
        parts.control.answers.clear()
        done, said = ask(parts, Resume(camera="top"))
        assert (done, said.state, said.reason) == (True, "paused", "resumed, and not open yet")
    assert parts.feeds["top"].orders == ["pause", "pause", "resume"]
    assert parts.feeds["side"].orders == []


@pytest.mark.parametrize("request_", [Configure(camera="hall"), Pause(camera="hall"), Resume(camera="hall")])
def test_order_for_an_unknown_camera_is_refused(parts: Parts, request_: Any) -> None:
    """Whatever is ordered of a camera that is not there is refused with the names of those that are."""
    assert ask(parts, request_) == (False, "no camera `hall`; known: top, side")


@pytest.mark.parametrize(
    ("key", "user", "by"),
    [
        ("KEY", "Anna", "KEY for Anna"),
        ("KEY", "", "KEY"),
        ("", "Anna", "for Anna"),
        ("", "", ""),
        ("", "KEY for Eva", "for KEY for Eva"),
    ],
)
def test_log_names_the_key_and_the_person_that_it_claims(parts: Parts, key: str, user: str, by: str) -> None:
    """The key comes first, and a name that is claimed can never be read as a key."""
    with capture_logs() as told:
        parts.requests.handle(Asked(1, Pause(camera="top", user=user), key))
    assert [line["by"] for line in told if line["event"] == "camera paused"] == [by]


HUGE = "1" + "0" * 400
ODD = ("null", HUGE, f"-{HUGE}", "1e308", "true", "12.5", '"x"', "[]", '["jpeg", "jpeg"]', "[[1]]", '{"a": {"b": 1}}')


@pytest.mark.parametrize("key", [*EVERY_RUN.__struct_fields__, "", "x y", "camera", "event"])
@pytest.mark.parametrize("value", ODD)
def test_no_value_of_configure_ends_the_main_loop(parts: Parts, key: str, value: str) -> None:
    """Whatever JSON stands in a configure, it is answered once: with what is in force, or why nothing changed."""
    body = f'{{"schema": "{SCHEMA}", "request": "configure", "camera": "top", "alerts": {{"{key}": {value}}}}}'
    try:
        request = decode_request(body.encode())
    except RequestError:
        return  # it never gets here
    done, said = ask(parts, request)
    settings = parts.cameras["top"].settings
    assert said.alerts == msgspec.to_builtins(settings) if done else settings == EVERY_RUN
