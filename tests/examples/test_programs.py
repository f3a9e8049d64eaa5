"""The programs of examples/ keep what they promise, each run as a user runs it against a device that raises alerts."""

from __future__ import annotations

import csv
import json
import runpy
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import cv2
import pytest
import yaml

from patchedge import AlertMessage, ControlClient, Received, Subscriber, requests
from tests.examples import promql
from tests.support.ports import free_port
from tests.support.processes import DEVICE, ENOUGH_S, started
from tests.support.tiny import HEIGHT, WIDTH, write_pictures

EXAMPLES = Path(__file__).parents[2] / "examples"
ALERTS = (set(range(4, 10)), set(range(22, 28)))
FPS, WRITTEN, PICTURES = 10, 40, 6000
"""Two alerts in the first four seconds; the device then goes on for ten minutes, which the slowest machine may need."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Device:
    """A running device, and the alert messages that are in its journal: those of two alerts that are over."""

    events: str
    control: str
    metrics: str
    alerts: list[Received]

    @property
    def keys(self) -> list[str]:
        return [alert.key for alert in self.alerts]


@pytest.fixture(scope="module")
def device(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    folder = tmp_path_factory.mktemp("device")
    source = write_pictures(folder / "pictures", set.union(*ALERTS), WRITTEN)
    for number in range(WRITTEN + 1, PICTURES + 1):  # the last ten again and again, which are normal
        (source / f"{number:04d}.png").hardlink_to(source / f"{WRITTEN - 9 + number % 10:04d}.png")
    tree = {
        "bundle": str(tiny_bundle),
        "cameras": {"top": {"source": str(source), "fps": FPS, "alerts": {"attach": ["jpeg"]}}},
        "events": {"bind": "tcp://127.0.0.1:*", "wait_subscribers": 1},
        "control": {"bind": "tcp://127.0.0.1:*"},
        "journal": {"path": str(folder / "journal.sqlite")},
        "metrics": {"bind": "127.0.0.1:0"},
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(tree))
    with started(*DEVICE, "run", "--config", folder / "settings.yaml") as process:
        at = next(said for line in process.stderr or () if (said := json.loads(line))["event"] == "running")
        drained = threading.Thread(target=process.communicate)
        drained.start()
        yield Device(at["events"], at["control"], at["metrics"], all_alerts(at["events"], at["control"]))
        process.kill()
        drained.join(ENOUGH_S)


def all_alerts(events: str, control: str) -> list[Received]:
    """Return all messages of the alerts, once the last one is over."""
    found: list[Received] = []
    with Subscriber(events, control=control, kinds=["alert"]) as alerts:
        while sum(one.message.phase == "end" for one in found) < len(ALERTS):
            received = alerts.receive(ENOUGH_S)
            assert received is not None, found
            found.append(received)
    return found


@contextmanager
def example(device: Device, name: str, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program of examples/; it must have said nothing on stderr when the block ends."""
    at = ["--events", device.events, "--control", device.control]
    command = [sys.executable, "-u", str(EXAMPLES / name), *map(str, words), *at]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        limit = threading.Timer(ENOUGH_S, process.kill)
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            process.kill()
            _, said = process.communicate()
    assert not said


def pending(device: Device, name: str) -> int:
    """Return how many alert messages a name has not acknowledged."""
    with ControlClient(device.control) as client:
        kept, _ = client.ask(requests.Pending(subscriber=name))
    return len(kept["messages"])


def ticks(device: Device) -> Iterator[None]:
    """Yield at each score of the device, which is a clock, for as long as anything may take."""
    with Subscriber(device.events, kinds=["score"]) as clock:
        for _ in range(int(ENOUGH_S * FPS)):
            assert clock.receive(ENOUGH_S) is not None
            yield


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip("\n")
    pytest.fail(f"it ended, or hung for {ENOUGH_S:.0f} s")


def test_pictures_are_saved(device: Device, tmp_path: Path) -> None:
    """Each alert with a picture is a JPEG file of the frame, with the red square, and half a file is never there."""
    expected = {alert.message.peak_frame_id for alert in device.alerts if alert.parts}
    with example(device, "save_pictures.py", tmp_path / "new" / "pictures") as process:
        said = lines(process)
        files: set[str] = set()
        while len(files) < len(expected):
            files.add(next(said).partition(":")[0])
        assert any(pending(device, "pictures") == 0 for _ in ticks(device)), "not all is acknowledged"
        process.send_signal(signal.SIGINT)
        assert process.wait(ENOUGH_S) == 0
    assert files == {path.name for path in (tmp_path / "new/pictures").iterdir()}
    for path in (tmp_path / "new/pictures").iterdir():
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.shape == (HEIGHT, WIDTH, 3)
        red = picture.astype(int)[14:22, 42:50]
        assert (red[..., 2] - red[..., 0]).mean() > 100, "no red square"
    assert {int(name.rpartition("frame")[2].removesuffix(".jpg")) for name in files} == expected


@dataclass
class Receiver:
    """A web server on a fixed port that can be down, refuse, redirect, or never answer; it notes what it was sent."""

    port: int = field(default_factory=free_port)
    answers: list[int] = field(default_factory=list)
    """Statuses of the next answers; 0: none until the client is gone. Then 204."""

    got: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alerts?token=hidden"

    @contextmanager
    def up(self) -> Iterator[None]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                key = self.headers["Idempotency-Key"]
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver.answers.pop(0) if receiver.answers else 204
                with receiver.changed:
                    receiver.got.append((key, body))
                    receiver.paths.append(self.path)
                    if 200 <= status < 300:
                        receiver.taken.append(key)
                    receiver.changed.notify_all()
                if not status:
                    self.rfile.read(1)  # until the client has gone
                    return
                self.send_response(status)
                self.send_header("Location", receiver.url)
                self.end_headers()

            def do_GET(self) -> None:
                pytest.fail("a redirect was followed")

            def log_message(self, *_: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", self.port), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join(ENOUGH_S)

    def wait(self, count: int) -> None:
        """Wait until it has taken so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.taken) >= count, ENOUGH_S), self.taken


def test_a_webhook_that_was_down_gets_every_alert(device: Device) -> None:
    """While the server is down, answers 503 or redirects, nothing is acknowledged; then it gets all, in order."""
    receiver = Receiver(answers=[503, 301])
    with example(device, "webhook.py", receiver.url, "--name", "down") as process:
        said = lines(process)
        assert "Connection refused" in next(said)
        with receiver.up():
            receiver.wait(len(device.alerts))
        assert any("status 503" in line for line in said)
        assert "status 301" in next(said)
    assert receiver.taken == device.keys
    assert [key for key, _ in receiver.got] == [*device.keys[:1] * 2, *device.keys]
    first = device.alerts[0].message
    assert isinstance(first, AlertMessage)
    _, body = receiver.got[0]
    assert (body["alert_id"], body["camera"], body["phase"]) == (first.alert_id, "top", "start")
    assert body["peak_score"] == pytest.approx(first.peak_score)
    assert body["peak_excess"] == pytest.approx(first.peak_excess)
    assert set(receiver.paths) == {"/alerts?token=hidden"}


def test_a_webhook_that_was_killed_goes_on(device: Device) -> None:
    """Killed while the server had an alert and had not answered, it sends that one again at its next start."""
    receiver = Receiver(answers=[204, 0])
    with receiver.up(), example(device, "webhook.py", receiver.url, "--name", "killed") as process:
        with receiver.changed:
            assert receiver.changed.wait_for(lambda: len(receiver.got) == 2, ENOUGH_S)
        process.kill()
    assert receiver.taken == device.keys[:1]
    with receiver.up(), example(device, "webhook.py", receiver.url, "--name", "killed"):
        receiver.wait(len(device.alerts))
    sent = [key for key, _ in receiver.got]
    assert sent[1] == device.keys[1]
    assert sent[2] in device.keys[:2], (
        "nothing is skipped; the first may come again, as its acknowledgement was under way"
    )
    assert sent[sent.index(device.keys[1], 2) :] == device.keys[1:]


def test_a_wrong_url_is_an_error_in_a_line() -> None:
    """An address without http:// ends with exit code 2, and says what it begins with."""
    command = [sys.executable, str(EXAMPLES / "webhook.py"), "ftp://127.0.0.1/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH_S, check=False)
    assert done.returncode == 2
    assert "the url begins with http:// or https://" in done.stderr


def test_csv_has_a_line_for_each_score_and_alert(device: Device, tmp_path: Path) -> None:
    """A second run continues the file under its one header; each alert message is there once, and scores in order."""
    file = tmp_path / "scores.csv"
    for _ in range(2):
        with example(device, "csv_log.py", file, "--name", "table") as process:
            before = max(len(read(file)), len(device.alerts))
            assert any(has_grown(file, before, len(device.alerts)) for _ in ticks(device)), "the file does not grow"
            process.send_signal(signal.SIGINT)
            assert process.wait(ENOUGH_S) == 0
    rows = read(file)
    assert file.read_text().count("time,device") == 1
    assert [row["key"] for row in rows if row["kind"] == "alert"] == device.keys
    scores = [row for row in rows if row["kind"] == "score"]
    frames = [int(row["frame"]) for row in scores]
    assert frames == sorted(set(frames))
    assert {(row["missed"], row["label"], row["phase"]) for row in scores} == {("0", "normal", "")}
    assert all(0 < float(row["score"]) < float(row["threshold"]) for row in scores)
    assert all(float(row["excess"]) < 0 for row in scores)
    assert all(float(row["excess"]) > 0 for row in rows if row["kind"] == "alert")


def test_csv_says_what_was_missed(device: Device) -> None:
    """The number of messages that were lost before a line stands in it."""
    program = runpy.run_path(str(EXAMPLES / "csv_log.py"))
    alert = device.alerts[0]
    values = dict(zip(program["COLUMNS"], program["row"](replace(alert, missed=3)), strict=True))
    assert (values["missed"], values["key"], values["kind"]) == (3, alert.key, "alert")


def read(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def has_grown(file: Path, before: int, alerts: int) -> bool:
    """Return whether a file has all alerts, and three scores more than before."""
    rows = read(file)
    return len(rows) >= before + 3 and sum(row["kind"] == "alert" for row in rows) >= alerts


def test_dashboard_and_rules_are_about_real_metrics(device: Device) -> None:
    """Each metric, label and value that the dashboard and the rules name is in the text that a device serves."""
    served = metrics(device)
    found = list(promql.expressions(EXAMPLES / "grafana"))
    assert len(found) > 20
    assert [problem for expression in found for problem in promql.problems(expression, served)] == []


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("rate(patchedge_frame_total[1m])", "no metric patchedge_frame_total"),
        ('patchedge_score{cam="top"}', "patchedge_score has no label cam"),
        ('patchedge_camera_state{state=~"live|alive"}', "state is never alive"),
        ("sum by (instance, camera, state) (patchedge_score)", "no label state"),
    ],
)
def test_a_mistake_in_an_expression_is_found(device: Device, query: str, problem: str) -> None:
    """The test above finds a metric, label and value that are not there."""
    assert list(promql.problems(promql.Expression("x", query), metrics(device))) == [f"x: {problem}"]


def metrics(device: Device) -> promql.Samples:
    with urllib.request.urlopen(f"http://{device.metrics}/metrics", timeout=ENOUGH_S) as answer:
        return promql.samples(answer.read().decode())
