"""What the API does with a device: a real one, with a camera whose scene the tests decide."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.page.browser.rig import MERGE_MS, Page, Rig, device, until
from tests.support.processes import ENOUGH_S

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("the API of a device")]

CAMERA = "edge:belt"
SECRET = "hunter2-Zx9"  # noqa: S105 - of nobody


@pytest.fixture(autouse=True)
def no_thread_left() -> None:
    """Allow threads to come and go: the cameras, which outlive a test, have one for each connection."""


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """Yield a device with a camera that sees a normal scene."""
    with device("belt", capture={"csi": f"rtspsrc location=rtsp://admin:{SECRET}@10.0.0.7/1 ! appsink"}) as rig:
        yield rig


@pytest.fixture(scope="module")
def page(rig: Rig) -> Iterator[Page]:
    """Yield a page that shows it."""
    with rig.page() as page:
        page.until_live(["belt"])
        yield page


def fetch(page: Page, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of what is at a path of the API."""
    request = urllib.request.Request(f"{page.url}/api/v1/{path}", headers=headers or {})  # noqa: S310 - of loopback
    try:
        with urllib.request.urlopen(request, timeout=ENOUGH_S) as answer:  # noqa: S310
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def send(page: Page, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
    """Send a request that changes something, as a browser without log-in does, and return the reply."""
    _, _, session = fetch(page, "session")
    csrf = json.loads(session).get("csrf", "")
    headers = {"content-type": "application/json", "x-csrf-token": csrf, "origin": page.url}
    data = None if body is None else json.dumps(body).encode()
    url = f"{page.url}/api/v1/{path}"
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - of loopback
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            got, said = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        got, said = error.code, error.read()
    assert got == status, said
    return json.loads(said)


def alert(rig: Rig, page: Page, what: str, *, seconds: float = 1.0) -> dict[str, Any]:
    """Show an object for a while; return the alert when it is over."""
    before = {one["id"] for one in page.get("alerts")["alerts"]}
    rig.cameras["belt"].show(what)
    until(lambda: page.get(f"cameras/{CAMERA}")["alert"], "an alert")
    end_s = time.monotonic() + seconds
    until(lambda: time.monotonic() > end_s, "the object is in view")
    rig.cameras["belt"].show()

    def over() -> dict[str, Any] | None:
        found = [one for one in page.get("alerts")["alerts"] if one["id"] not in before]
        return found[0] if found and found[0]["end_ms"] else None

    found: dict[str, Any] = until(over, "the alert is over")
    return found


def test_clip_of_an_alert_plays(rig: Rig, page: Page, tmp_path: Path) -> None:
    """The clip comes as a film that OpenCV plays, whole or a range of it; of another alert there is one clear error."""
    found = alert(rig, page, "red")
    assert found["has_clip"]
    path = f"alerts/{found['id']}/clip"
    # Its frames after the end of the alert are still to come.
    status, headers, film = until(lambda: (got := fetch(page, path))[0] == 200 and got, "the clip is whole")
    assert headers["content-type"] in {"video/mp4", "video/webm"}
    (tmp_path / "film").write_bytes(film)
    capture = cv2.VideoCapture(str(tmp_path / "film"), cv2.CAP_FFMPEG)
    reds = 0
    while (read := capture.read())[0]:
        image = np.asarray(read[1], np.int16)
        reds += int(((image[..., 2] > 150) & (image[..., 0] < 100)).sum() > 50)
    assert reds >= 2, "the object is seen in the film"
    status, headers, part = fetch(page, path, {"Range": "bytes=10-19"})
    assert (status, part) == (206, film[10:20])
    assert headers["content-range"] == f"bytes 10-19/{len(film)}"
    status, _, said = fetch(page, "alerts/00000000-0000-0000-0000-000000000000/clip")
    assert (status, "error" in json.loads(said)) == (404, True)


def test_simulation_of_the_settings_in_force_is_what_happened(rig: Rig, page: Page) -> None:
    """Replayed with the settings in force, the scores give the alerts that the device raised; a threshold above all
    scores gives none.
    """
    alert(rig, page, "blue")
    happened = [one for one in page.get("alerts")["alerts"] if one["end_ms"]]
    from_ms, to_ms = 0, round(time.time() * 1000) + 1000
    tried = {"alerts": {"threshold": 1e6}, "from_ms": from_ms, "to_ms": to_ms}
    found = send(page, "POST", f"cameras/{CAMERA}/simulate", tried)
    assert (found["then"], found["then_list"]) == (0, [])
    assert found["now"] == len(happened) >= 1
    for said, one in zip(found["now_list"], sorted(happened, key=lambda one: one["start_ms"]), strict=True):
        assert abs(said["from_ms"] - one["start_ms"]) <= 1
        assert abs(said["to_ms"] - one["end_ms"]) <= 1
        assert said["peak"] == pytest.approx(one["peak_score"])
    said = send(page, "POST", f"cameras/{CAMERA}/simulate", {**tried, "alerts": {"treshold": 1}}, status=400)
    assert "treshold" in said["error"]


def test_pictures_are_collected_shown_and_judged(page: Page) -> None:
    """Teaching collects pictures, which come as PNG and are judged by id; what is wrong is refused by the page."""
    of = f"cameras/{CAMERA}"
    assert page.get(f"{of}/teaching") is None
    send(page, "POST", f"{of}/teaching", {"frames": 1000, "every_ms": 50})
    until(lambda: page.get(f"{of}/teaching")["taught"] >= 4, "four pictures")  # those near an alert are set aside
    assert send(page, "DELETE", f"{of}/teaching")["state"] == "over"
    listed = page.get(f"{of}/pictures?kind=taught")["pictures"]
    assert {one["kind"] for one in listed} == {"taught"}
    status, headers, png = fetch(page, f"{of}/pictures/{listed[0]['id']}")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED).shape[2] == 3
    assert fetch(page, f"{of}/pictures/{listed[0]['id']}", {"If-None-Match": headers["etag"]})[0] == 304
    status, headers, small = fetch(page, f"{of}/pictures/{listed[0]['id']}?width=64")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR).shape[1] == 64
    judged = send(page, "POST", f"{of}/pictures/reject", {"ids": [listed[0]["id"]]})
    assert judged["changed"] == 1
    assert page.get(f"{of}/pictures?kind=taught")["pictures"][0]["decided"] == "rejected"
    send(page, "POST", f"{of}/pictures/reject", {"ids": ["../../etc/passwd"]}, status=400)
    send(page, "POST", f"{of}/pictures/reject", {}, status=400)
    assert fetch(page, f"{of}/pictures/..%2F..%2Fetc")[0] in {400, 404}
    deleted = send(page, "DELETE", f"{of}/pictures?kind=taught&ids={listed[1]['id']}")
    assert deleted["pictures"] == 1


def test_settings_are_changed_and_a_look_is_no_order(page: Page) -> None:
    """A change of the threshold is in force at once and in the audit log; to look at the settings is not."""
    of = f"cameras/{CAMERA}/settings"
    before = page.get(of)
    assert before["alerts"]["merge_ms"] == MERGE_MS
    after = send(page, "PUT", of, {"alerts": {"threshold": 123.0}, "keep": False})
    assert after["threshold"] == 123.0
    assert page.get(of)["threshold"] == 123.0
    until(lambda: page.get(f"cameras/{CAMERA}")["threshold"] == 123.0, "the threshold is in force")
    send(page, "PUT", of, {"alerts": {"threshold": -1}, "keep": False}, status=409)
    send(page, "PUT", of, {"alerts": {"threshold": None}, "keep": False})
    assert page.get(of)["threshold"] == before["threshold"]


def test_looks_are_no_orders(page: Page) -> None:
    """The audit log has changes of settings, the newest first, and none of the requests that only read them."""
    of = f"cameras/{CAMERA}/settings"
    send(page, "PUT", of, {"alerts": {"cooldown_ms": 7}, "keep": False})
    for _ in range(3):
        assert page.get(of)["alerts"]["cooldown_ms"] == 7
    send(page, "PUT", of, {"alerts": {"cooldown_ms": 0}, "keep": False})
    orders = [one for one in page.get("devices/edge/orders")["orders"] if one["request"] == "configure"]
    assert [json.loads(one["fields"])["alerts"] for one in orders[:2]] == [{"cooldown_ms": 0}, {"cooldown_ms": 7}]
    assert all(json.loads(one["fields"])["alerts"] for one in orders)


def test_kept_change_is_listed_and_taken_back(page: Page) -> None:
    """A kept change is said in one line, with the way back."""
    of = f"cameras/{CAMERA}/settings"
    before = page.get(of)
    after = send(page, "PUT", of, {"alerts": {"merge_ms": 600}, "ignore": [[[0, 0], [30, 0], [30, 30]]]})
    assert (after["alerts"]["merge_ms"], after["ignore"]) == (600, [[[0, 0], [30, 0], [30, 30]]])
    (change, *_) = after["changes"]
    assert set(change["what"].split(", ")) == {f"merge_ms: {MERGE_MS} → 600", "ignore: default → 1 polygon"}
    values = {one["name"]: (one["before"], one["after"]) for one in change["values"]}
    assert values == {"merge_ms": (MERGE_MS, 600), "ignore": (None, 1)}
    undone = send(page, "POST", f"{of}/undo")
    for one in (before, undone):
        one["alerts"]["attach"].sort()  # a set
    assert (undone["alerts"], undone["ignore"]) == (before["alerts"], before["ignore"])


def test_device_is_looked_after(page: Page) -> None:
    """Status, bundles, log and metrics of the device are there; one that is unknown is 404."""
    logs = page.get("devices/edge/logs")
    assert any(json.loads(line["text"])["event"] == "running" for line in logs["lines"])
    assert page.get(f"devices/edge/logs?after={logs['next']}")["missed"] == 0
    status, headers, metrics = fetch(page, "devices/edge/metrics")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert b'patchedge_frames_captured_total{camera="belt"}' in metrics
    assert page.get("devices/edge/doctor")["state"] == "never"
    assert "belt" in page.get("devices/edge/status")["cameras"]
    (bundle,) = page.get("devices/edge/bundle")["bundles"]
    assert (bundle["camera"], len(bundle["id"])) == (CAMERA, 64)
    versions = page.get(f"cameras/{CAMERA}/versions")
    assert [one["active"] for one in versions["versions"]] == [True]
    assert fetch(page, "devices/none/status")[0] == 404


def test_exports_have_what_the_page_shows(rig: Rig, page: Page) -> None:
    """The table has the alerts of the list, with its filters; the data set has their peaks without loss, those of false
    alarms among the normal ones.
    """
    alert(rig, page, "green")
    shown = page.get("alerts")["alerts"]
    send(page, "POST", f"alerts/{shown[0]['id']}/false-alarm")
    status, headers, table = fetch(page, "export/alerts.csv")
    assert (status, headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert re.search(r'filename="alerts-\d{4}-\d\d-\d\d\.csv"', headers["content-disposition"])
    rows = list(csv.DictReader(io.StringIO(table.decode(), newline="")))
    assert [row["id"] for row in rows] == [one["id"] for one in shown]
    _, _, some = fetch(page, "export/alerts.csv?state=false_alarm")
    assert [row["id"] for row in csv.DictReader(io.StringIO(some.decode(), newline=""))] == [shown[0]["id"]]
    status, headers, data = fetch(page, f"export/dataset.zip?camera={CAMERA}")
    assert (status, headers["content-type"]) == (200, "application/zip")
    whole = zipfile.ZipFile(io.BytesIO(data))
    files = list(csv.DictReader(io.StringIO(whole.read("files.csv").decode(), newline="")))
    (false,) = (row for row in files if row["alert"] == shown[0]["id"])
    assert false["file"].startswith("edge-belt/test/good/")
    assert hashlib.sha256(whole.read(false["file"])).hexdigest() == false["sha256"]
    assert cv2.imdecode(np.frombuffer(whole.read(false["file"]), np.uint8), cv2.IMREAD_COLOR) is not None
    others = {row["alert"] for row in files if row["file"].startswith("edge-belt/test/alert/")}
    assert others <= {one["id"] for one in shown[1:]}
    assert fetch(page, "export/dataset.zip?camera=none")[0] == 404


def test_support_archive_has_no_pictures_unless_asked_for(page: Page) -> None:
    """It has status, settings and orders of the device without secrets; the current picture only on demand."""
    send(page, "PUT", f"cameras/{CAMERA}/settings", {"alerts": {"password": SECRET}, "keep": False}, status=409)
    assert SECRET in json.dumps(page.get("devices/edge/orders")), "it is planted"
    status, _, data = fetch(page, "devices/edge/support.zip")
    assert status == 200
    whole = zipfile.ZipFile(io.BytesIO(data))
    assert "belt" in json.loads(whole.read("status.json"))["cameras"]
    assert json.loads(whole.read("cameras/0-belt-settings.json"))["alerts"]["merge_ms"] == MERGE_MS
    assert json.loads(whole.read("orders.json"))["orders"]
    said = json.loads(whole.read("settings.json"))
    assert said["settings"]["cameras"]["belt"]["stall_ms"] == 1500
    assert "10.0.0.7" in said["settings"]["capture"]["csi"]
    assert said["manifests"]["belt"]["calibration"]
    assert b"running" in whole.read("log.txt")
    assert "What could not be had" not in whole.read("README.txt").decode()
    assert not [name for name in whole.namelist() if name.endswith(".jpg") or SECRET.encode() in whole.read(name)]
    _, _, data = fetch(page, "devices/edge/support.zip?pictures=true")
    picture = zipfile.ZipFile(io.BytesIO(data)).read("cameras/0-belt-picture.jpg")
    assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) is not None
    assert fetch(page, "devices/none/support.zip")[0] == 404


def inspect(page: Page, data: bytes) -> tuple[int, dict[str, Any]]:
    """Return status and reply to an uploaded picture."""
    headers = {"content-type": "image/*", "x-csrf-token": page.get("session")["csrf"]}
    url = f"{page.url}/api/v1/cameras/{CAMERA}/inspect"
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - of loopback
    try:
        with urllib.request.urlopen(request, timeout=ENOUGH_S) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_an_uploaded_picture_is_judged(page: Page) -> None:
    """A picture of the normal scene is normal, one with an object is anomalous where the object is; neither becomes an
    alert by that. What is no picture is refused, and the page goes on.
    """
    _, _, normal = fetch(page, f"cameras/{CAMERA}/picture")
    status, said = inspect(page, normal)
    assert (status, said["label"]) == (200, "normal"), said
    image = cv2.imdecode(np.frombuffer(normal, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    assert said["frame_hw"] == said["uploaded_hw"] == [height, width]
    y, x, side = height // 2, width // 3, height // 5
    image[y : y + side, x : x + side] = (0, 0, 255)
    before = len(page.get("alerts")["alerts"])
    status, said = inspect(page, cv2.imencode(".png", image)[1].tobytes())
    assert (status, said["label"]) == (200, "anomalous"), said
    peak_x, peak_y = said["peak_xy"]
    assert abs(peak_x - x - side / 2) < side
    assert abs(peak_y - y - side / 2) < side
    assert said["score"] > said["threshold"]
    assert said["heat"]["rows"] * said["heat"]["columns"] > 1
    assert len(page.get("alerts")["alerts"]) == before
    status, said = inspect(page, b"\x89PNG\r\n\x1a\n of a stranger")
    assert (status, "not a picture" in said["error"]) == (415, True)
    assert inspect(page, b"x" * 16_000_001)[0] == 413
