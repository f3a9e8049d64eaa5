"""The page with real sockets and a device that does what it is told."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_config.wire import messages as message
from edge_config.wire.messages import Part, PreviewMessage
from edge_config.wire.teaching import Decision, Reject
from runtime.page.devices import link, peaks
from runtime.page.devices.hub import MAX_BROWSERS
from tests.page.serving import JPEG, PagedDevice, ServedPage, served, settings_for
from tests.support.fakes.answering import OF_FRAME, START_NS

PREFIXES = ["v1/score/", "v1/alert/", "v1/state/", "v1/health/"]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PagedDevice]:
    """Return a device with cameras `a` and `b`."""
    one = PagedDevice(tmp_path / "device")
    yield one
    one.close()


@pytest.fixture
def page(device: PagedDevice, tmp_path: Path) -> Iterator[ServedPage]:
    """Return a page that has found the device."""
    with served(tmp_path / "page", settings_for(line=device)) as one:
        device.wait_subscribed(PREFIXES)
        one.until(lambda: one.get("devices")["devices"][0]["role"])
        yield one


def preview(device: PagedDevice, camera: str, seq: int) -> list[bytes]:
    """Return the frames of a picture."""
    parts = (
        Part(name="jpeg", media_type="image/jpeg"),
        Part(
            name="heat_map", media_type="application/octet-stream", dtype="uint8", shape=(2, 3), area=(0, 0, 320, 240)
        ),
    )
    said = PreviewMessage(
        schema="patchedge.preview.v1",
        device=device.name,
        camera=camera,
        epoch=device.epoch,
        seq=seq,
        t_publish_ns=START_NS,
        bundle="",
        state="live",
        **OF_FRAME,
        frame_hw=(240, 320),
        boxes=((1, 2, 3, 4),),
        parts=parts,
    )
    return message.encode(message.topic("preview", device.name, camera), said, [JPEG, bytes(range(6))])


def test_devices_and_cameras(device: PagedDevice, page: ServedPage) -> None:
    """A device is listed with what its key may do, and its cameras with their latest score, by either key."""
    (said,) = page.get("devices")["devices"]
    assert (said["name"], said["connected"], said["role"], said["version"]) == ("line", True, "operate", "9.9")
    assert said["cameras"] == ["line:a", "line:b"]
    device.say(device.state("a", "delivers pictures"))
    device.say(device.score("a"))
    camera = page.until(lambda: (one := page.get("cameras/a"))["score"] is not None and one["reason"] and one)
    assert (camera["key"], camera["state"], camera["score"], camera["threshold"]) == ("line:a", "live", 9.0, 3.0)
    assert camera["reason"] == "delivers pictures"
    assert camera["scored_ms"] == START_NS // 1_000_000
    assert page.get("cameras/line:a") == camera
    assert [one["key"] for one in page.get("cameras")["cameras"]] == ["line:a", "line:b"]


@pytest.mark.parametrize("path", ["cameras/c", "cameras/other:a", "alerts/x", "alerts/x/picture", "nothing"])
def test_what_is_not_there(page: ServedPage, path: str) -> None:
    """It is answered with 404 and one sentence."""
    reply = page.ask(path)
    assert (reply.status, [*reply.json]) == (404, ["error"])


@pytest.mark.parametrize(
    "path",
    ["alerts?limit=0", "alerts?before=x", "alerts?state=shut", "cameras/a/scores?from_ms=5&to_ms=5", "events?rate=99"],
)
def test_bad_parameters(page: ServedPage, path: str) -> None:
    """They are answered with 400 and one sentence."""
    reply = page.ask(path)
    assert (reply.status, [*reply.json]) == (400, ["error"])


def test_an_alert_from_its_message_to_its_end(device: PagedDevice, page: ServedPage) -> None:
    """An alert is told at once with its picture, and can be commented, acknowledged and called false, also later."""
    with page.events() as events:
        device.say(device.alert("a", "one", "start", (JPEG,)))
        said = next(one for kind, one in events if kind == "alert")
        assert (said["id"], said["key"], said["has_picture"], said["frame_hw"]) == ("one", "line:a", True, [120, 160])
        assert page.get("cameras/a")["alert"]["id"] == "one"
        assert page.ask("alerts/one/picture").body == JPEG
        page.ask("alerts/one/comment", "POST", {"text": " <b>oil</b> "})
        page.ask("alerts/one/acknowledge", "POST")
        marked = page.ask("alerts/one/false-alarm", "POST").json
        assert marked["comments"][0]["text"] == "<b>oil</b>"
        assert marked["acknowledged"]["by"] == marked["false_alarm"]["by"] == "anna"
        assert [(one.camera, one.alert_id, one.user) for one in device.orders] == [("a", "one", "anna")]
        device.say(device.alert("a", "one", "end"))
        ended = next(one for kind, one in events if kind == "alert" and one["end_ms"] is not None)
        assert ended["comments"] == marked["comments"]
    assert page.get("cameras/a")["alert"] is None
    assert [one["id"] for one in page.get("alerts?state=false_alarm")["alerts"]] == ["one"]


def test_a_real_fault_can_be_taken_back(device: PagedDevice, page: ServedPage) -> None:
    """An alert that was called a real fault by mistake is a new one again, and the next person to say so is noted."""
    device.say(device.alert("a", "one", "start"))
    page.until(lambda: page.get("alerts")["alerts"])
    assert page.ask("alerts/one/acknowledge", "POST").json["acknowledged"]["by"] == "anna"
    assert page.ask("alerts/one/acknowledge", "DELETE").json["acknowledged"] is None
    assert [one["id"] for one in page.get("alerts?state=new")["alerts"]] == ["one"]
    assert page.ask("alerts/one/acknowledge", "POST").json["acknowledged"]["by"] == "anna"


def test_a_false_alarm_that_the_device_refuses_is_not_marked(device: PagedDevice, page: ServedPage) -> None:
    """What the device says is the answer, and the alert stays as it is."""
    device.refusal = "the picture is not there any more"
    device.say(device.alert("a", "one", "start"))
    page.until(lambda: page.get("alerts")["alerts"])
    reply = page.ask("alerts/one/false-alarm", "POST")
    assert (reply.status, reply.json) == (409, {"error": "the picture is not there any more"})
    assert page.get("alerts/one")["false_alarm"] is None


def test_only_what_was_seen_is_called_fine(device: PagedDevice, page: ServedPage) -> None:
    """Where the device keeps another picture than the one that was looked at, nothing is taught, and it is shown."""
    png = b"\x89PNG\r\n\x1a\n" + bytes(8) + (160).to_bytes(4, "big") + (120).to_bytes(4, "big")
    device.peaks = {"one": png}
    device.say(device.alert("a", "one", "start", (JPEG,)))
    page.until(lambda: page.get("alerts")["alerts"])
    reply = page.ask("alerts/one/false-alarm", "POST", {"score": 4.0})
    assert (reply.status, reply.json) == (409, {"error": "the picture has changed: look again"})
    assert device.orders == []
    now = page.get("alerts/one")
    assert (now["false_alarm"], now["picture_score"], now["boxes"]) == (None, 9.0, [[1, 2, 3, 4]])
    assert page.ask("alerts/one/picture").body == png
    assert page.ask("alerts/one/false-alarm", "POST", {"score": 9.0}).json["false_alarm"]["by"] == "anna"


@pytest.mark.parametrize("decided", ["accepted", "learnt"])
def test_a_false_alarm_is_taken_back(device: PagedDevice, page: ServedPage, decided: Decision) -> None:
    """The device rejects the peak for the user, unless it was learnt already, and the alert is not marked any more."""
    device.peaks, device.decided = {"one": b"png", "another": b"png"}, decided
    device.say(device.alert("a", "one", "start"))
    page.until(lambda: page.get("alerts")["alerts"])
    page.ask("alerts/one/false-alarm", "POST")
    assert page.ask("alerts/one/false-alarm", "DELETE").json["false_alarm"] is None
    assert page.get("alerts?state=false_alarm")["alerts"] == []
    rejected = [(one.pictures, one.user) for one in device.orders if isinstance(one, Reject)]
    assert rejected == ([(("20261127T000000000Z-00000001",), "anna")] if decided == "accepted" else [])


def test_viewers_change_nothing(device: PagedDevice, tmp_path: Path) -> None:
    """A viewer reads alerts, and every change is answered with 403 before the device is asked."""
    with served(tmp_path / "page", settings_for(line=device), role="viewer") as page:
        device.wait_subscribed(PREFIXES)
        device.say(device.alert("a", "one", "start"))
        page.until(lambda: page.get("alerts")["alerts"])
        for what, body in (("acknowledge", None), ("false-alarm", None), ("comment", {"text": "x"})):
            assert page.ask(f"alerts/one/{what}", "POST", body).status == 403
        for what in ("acknowledge", "false-alarm"):
            assert page.ask(f"alerts/one/{what}", "DELETE").status == 403
        assert page.get("alerts/one")["comments"] == []
    assert device.orders == []


def test_a_key_that_may_only_view(device: PagedDevice, tmp_path: Path) -> None:
    """The role of the page's key is found out, and what it may not do is answered with 403."""
    device.role = "view"
    with served(tmp_path / "page", settings_for(line=device)) as page:
        device.wait_subscribed(PREFIXES)
        page.until(lambda: page.get("devices")["devices"][0]["role"] == "view")
        device.say(device.alert("a", "one", "start"))
        page.until(lambda: page.get("alerts")["alerts"])
        assert page.ask("alerts/one/false-alarm", "POST").status == 403


@pytest.mark.slow
def test_alerts_while_the_page_was_off(device: PagedDevice, tmp_path: Path) -> None:
    """They are read from the journal, with pictures, once: the next start begins where this one ended."""
    for number in range(45):
        device.alert("a", f"before-{number}", "start", (JPEG,))
        device.alert("a", f"before-{number}", "end")
    device.alert("a", "lost", "start", (JPEG,))
    device.restart()
    device.alert("b", "open", "start", (JPEG,))
    for start in range(2):
        with served(tmp_path / "page", settings_for(line=device)) as page:
            page.until(lambda: len(page.get("alerts?limit=500")["alerts"]) == 47)
            page.until(lambda: [one["id"] for one in page.get("alerts?state=open")["alerts"]] == ["open"])
            page.until(lambda: page.ask("cameras/b").json.get("alert"))
            assert page.ask("alerts/before-7/picture").body == JPEG
            assert page.get("alerts/lost")["reason"] == "the device was restarted"
        assert start or device.count("after") > 0
        device.asked.clear()
    assert device.count("after") <= 2


def test_pictures_are_asked_for_only_while_somebody_watches(device: PagedDevice, page: ServedPage) -> None:
    """Exactly the cameras that are watched are subscribed to; the picture comes with boxes and heat map."""
    with page.events("?previews=a") as events:
        device.wait_subscribed(["v1/preview/edge/a/"])
        device.say(preview(device, "b", 1))
        device.say(device.state("a"))
        page.until(lambda: page.get("cameras/a")["state"] == "live")
        device.say(preview(device, "a", 7))
        said = next(one for kind, one in events if kind == "preview")
    assert (said["camera"], said["seq"], said["captured_ms"]) == ("line:a", 7, START_NS // 1_000_000)
    assert (said["frame_hw"], said["width"], said["height"], said["boxes"]) == ([240, 320], 160, 120, [[1, 2, 3, 4]])
    assert said["heat"] == {"rows": 2, "columns": 3, "area": [0, 0, 320, 240], "values": "AAECAwQF"}
    assert device._publisher.poll(10_000)
    assert device._publisher.recv() == b"\x00v1/preview/edge/a/"


def test_no_old_picture_of_a_camera_that_is_gone(device: PagedDevice, page: ServedPage) -> None:
    """A picture that arrives after the camera is said to be away is not shown; state and time are."""
    with page.events("?previews=a") as events:
        device.wait_subscribed(["v1/preview/edge/a/"])
        device.say(device.state("a", "unplugged", "disconnected"))
        page.until(lambda: page.get("cameras/a")["state"] == "disconnected")
        device.say(preview(device, "a", 1))
        device.say(device.alert("b", "later", "start"))
        kinds = [kind for kind, _ in itertools.takewhile(lambda one: one[0] != "alert", events)]
    assert "preview" not in kinds
    assert page.get("cameras/a")["reason"] == "unplugged"


@pytest.mark.slow
def test_a_device_that_is_away(device: PagedDevice, page: ServedPage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said since when; its cameras are unreachable, and requests to it fail at once, until it is back."""
    monkeypatch.setattr(link, "ANSWER_S", 0.5)
    monkeypatch.setattr(link, "LOOK_S", 0.1)
    device.say(device.state("a"))
    page.until(lambda: page.get("cameras/a")["state"] == "live")
    device.silent = True
    camera = page.until(lambda: (one := page.get("cameras/a"))["state"] == "unreachable" and one)
    (said,) = page.get("devices")["devices"]
    assert not said["connected"]
    assert said["error"]
    assert camera["since_ms"] <= said["since_ms"] + 1000
    assert page.ask("cameras/a/picture").status == 503
    device.silent = False
    page.until(lambda: page.get("cameras/a")["state"] == "live")


def test_the_next_frame(page: ServedPage) -> None:
    """The picture of a camera comes with the time at which it was captured."""
    reply = page.ask("cameras/a/picture?width=100")
    assert (reply.status, reply.body, reply.headers["x-captured-ms"]) == (200, JPEG, "7")


def test_scores_of_a_camera(device: PagedDevice, page: ServedPage) -> None:
    """The curve has the scores, the threshold, and the alerts of its time."""
    device.say(device.score("a"))
    device.say(device.alert("a", "one", "start"))
    page.until(lambda: page.get("alerts")["alerts"])
    begin_ms = START_NS // 1_000_000 - 1000
    curve = page.get(f"cameras/a/scores?from_ms={begin_ms}&to_ms={begin_ms + 3000}&points=10")
    assert (curve["max"], curve["mean"], curve["threshold"]) == ([9.0], [9.0], [3.0])
    assert begin_ms < curve["t_ms"][0] <= begin_ms + 1000


@pytest.mark.slow
def test_too_many_browsers(page: ServedPage) -> None:
    """One more than may watch is told so, and may come when another has left."""
    with page.events() as first:
        next(first)
        others = []
        for _ in range(MAX_BROWSERS - 1):
            other = socket.create_connection(("127.0.0.1", page.port))
            other.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert other.recv(12) == b"HTTP/1.1 200"
            others.append(other)
        refused = page.ask("events")
        assert refused.status == 503
        assert str(MAX_BROWSERS) in refused.json["error"]
        for other in others:
            other.close()

    def may_come() -> bool:
        connection = socket.create_connection(("127.0.0.1", page.port))
        with connection:
            connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            return connection.recv(12) == b"HTTP/1.1 200"

    page.until(may_come)


def test_a_body_that_is_too_long(page: ServedPage) -> None:
    """It is answered with 413 before all of it was read."""
    assert page.ask("alerts/one/comment", "POST", b"x" * 2_000_000).status == 413


def test_an_alert_without_a_picture_gets_the_peak(
    device: PagedDevice, page: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the settings attach nothing, the peak that the device has stored is fetched when the alert ends."""
    monkeypatch.setattr(peaks, "WAIT_S", 0.0)
    device.peaks["one"] = png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x01\x40\x00\x00\x00\xf0" + bytes(2000)
    device.say(device.alert("a", "other", "start"))
    device.say(device.alert("a", "other", "end"))
    device.say(device.alert("a", "one", "start"))
    device.say(device.alert("a", "one", "end"))
    page.until(lambda: page.ask("alerts/one").json.get("has_picture"))
    reply = page.ask("alerts/one/picture")
    assert (reply.headers["content-type"], reply.body) == ("image/png", png)
    assert page.get("alerts/one")["frame_hw"] == [240, 320]
    assert not page.get("alerts/other")["has_picture"]


def test_what_a_camera_is_learning(device: PagedDevice, page: ServedPage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera says how far learning and teaching are, and nothing of them when there is nothing to say."""
    monkeypatch.setattr(link, "LOOK_S", 0.05)
    teaching = {"camera": "a", "state": "running", "wanted": 100, "taught": 7, "aside": 1, "lost": 0, "reason": ""}
    device.status["a"] = {"state": "live", "threshold": 2.5, "teaching": teaching}
    device.learning["a"] = {"camera": "a", "state": "running", "step": "features", "done": 3, "total": 9}
    device.learning["b"] = {"camera": "b", "state": "idle", "step": "", "done": 0, "total": 0}
    camera = page.until(lambda: (one := page.get("cameras/a"))["learning"] and one)
    assert camera["learning"] == {"state": "running", "step": "features", "done": 3, "total": 9}
    assert camera["teaching"] == {"state": "running", "wanted": 100, "taught": 7, "aside": 1}
    assert (camera["state"], camera["threshold"]) == ("live", 2.5)
    other = page.get("cameras/b")
    assert (other["learning"], other["teaching"]) == (None, None)
