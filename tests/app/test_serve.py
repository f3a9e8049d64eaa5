"""The whole runtime as a process: what it says and does when its parts are killed, bundles change, cameras hang."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import yaml
import zmq

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle.staging import staging
from edge_config.wire.messages import AlertMessage, PreviewMessage, ScoreMessage, StateMessage
from edge_config.wire.requests import SCHEMA
from edge_config.wire.upkeep import ReadOrders
from runtime.alerts.preview_pace import EVERY_S
from runtime.client.control_client import ControlClient
from runtime.client.received import Received
from runtime.client.subscriber import Subscriber
from tests.programs.soak.processes import command, tree
from tests.support.fakes.network import NetworkCamera, network_camera
from tests.support.processes import DEVICE, ENOUGH_S, started
from tests.support.tiny import HEIGHT, WIDTH, normal_picture, strange_picture, write_pictures

pytestmark = pytest.mark.slow

END_S = 3.0
"""A signal ends the runtime within this time, whatever state its cameras are in."""

HASTY = {"stall_ms": 300}
"""Settings of a camera that a test makes hang; others have time, as the machine may be busy."""

STRANGE_RED = 60
"""By so many grey levels the strange object is redder than anything else."""

SOME = 10
"""So many frames show that a camera goes on."""


class Runtime:
    """A runtime that was started: what it logs, what it publishes, its processes, and its other addresses."""

    def __init__(self, process: subprocess.Popen[str], subscriber: Subscriber, bundle: Path) -> None:
        self.process = process
        self.bundle = bundle
        self._subscriber = subscriber
        self._addresses: dict[str, Any] = {}

    def logged(self, event: str) -> dict[str, Any]:
        """Wait for a line of the log."""
        for line in self.process.stderr or ():
            found: dict[str, Any] = json.loads(line)
            if found["event"] == event:
                return found
        raise AssertionError(f"no {event!r} in the log")

    @property
    def addresses(self) -> dict[str, Any]:
        """Return what it said when it was ready."""
        self._addresses = self._addresses or self.logged("running")
        return self._addresses

    def receive(self) -> Received:
        """Wait for the next message; none may have been lost."""
        received = self._subscriber.receive(ENOUGH_S)
        assert received is not None, "nothing is published any more"
        assert received.missed == 0
        return received

    def until(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """Return the messages up to the first that is wanted."""
        heard = [self.receive().message]
        while not wanted(heard[-1]):
            heard.append(self.receive().message)
        return heard

    def until_state(self, state: str, camera: str | None = None) -> list[Any]:
        """Return the messages up to a state that is told."""
        return self.until(
            lambda m: isinstance(m, StateMessage) and m.state == state and camera in {None, m.camera},
        )

    def until_scored(self, count: int = 1) -> list[Any]:
        """Return the messages up to so many that are `normal`."""
        return [message for _ in range(count) for message in self.until(is_normal)]

    def child(self, module: str) -> int:
        """Return the process id of the worker, or of a capture process."""
        (found,) = (pid for pid in tree(self.process.pid)[1:] if module in command(pid))
        return found

    def ask(self, **fields: Any) -> dict[str, Any]:
        """Ask the control socket, and wait for the answer."""
        with self.asking(**fields) as answer:
            return answer()

    @contextmanager
    def asking(self, **fields: Any) -> Iterator[Callable[[], dict[str, Any]]]:
        """Ask the control socket; what the block is given waits for the answer."""
        with zmq.Context() as context, context.socket(zmq.DEALER) as client:
            client.linger = 0
            client.connect(self.addresses["control"])
            client.send(json.dumps({"schema": SCHEMA, **fields}).encode())

            def answer() -> dict[str, Any]:
                assert client.poll(ENOUGH_S * 1000), "no answer"
                return json.loads(client.recv())

            yield answer

    def get(self, page: str) -> tuple[int, str]:
        """Get a page of its figures and health: status and text."""
        try:
            with urllib.request.urlopen(f"http://{self.addresses['metrics']}{page}", timeout=ENOUGH_S) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def is_normal(message: Any) -> bool:
    return isinstance(message, ScoreMessage) and message.label == "normal"


def states(messages: list[Any]) -> list[str]:
    return [message.state for message in messages if isinstance(message, StateMessage)]


def scores(messages: list[Any]) -> list[ScoreMessage]:
    return [message for message in messages if isinstance(message, ScoreMessage)]


Run = Callable[..., Runtime]


@pytest.fixture
def run(tiny_bundle: Path, tmp_path: Path) -> Iterator[Run]:
    """Yield what starts a runtime over cameras (name -> source, or section); a subscriber is there from the start."""
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "site.bundle"))
    with ExitStack() as stack:

        def start(wait_subscribers: int = 1, /, **cameras: Any) -> Runtime:
            quick = {"reconnect_min_s": 0.01, "reconnect_max_s": 0.1}
            settings = {
                "bundle": str(bundle),
                "cameras": {
                    name: quick | (camera if isinstance(camera, dict) else {"source": camera})
                    for name, camera in cameras.items()
                },
                "events": {"bind": f"ipc://{tmp_path}/events", "wait_subscribers": wait_subscribers},
                "control": {"bind": f"ipc://{tmp_path}/control"},
                "metrics": {"bind": "127.0.0.1:0"},
                "degrade": {"thermal_root": str(tmp_path / "no-thermal-zones"), "least_memory_mb": 0},
            }
            (tmp_path / "device.yaml").write_text(json.dumps(settings))  # JSON is YAML
            subscriber = stack.enter_context(Subscriber(settings["events"]["bind"]))
            process = stack.enter_context(started(*DEVICE, "run", "--config", tmp_path / "device.yaml"))
            return Runtime(process, subscriber, bundle)

        yield start


@pytest.fixture
def camera() -> Iterator[NetworkCamera]:
    """Yield a network camera."""
    with network_camera() as camera:
        yield camera


def put(target: Path, good: Path, spoil: Callable[[Path], None] = lambda _folder: None) -> str:
    """Rename a copy of a bundle, with another threshold and so another id, to `target`, and give its id."""
    with staging(target, force=True) as folder:
        shutil.copytree(good, folder, dirs_exist_ok=True)
        change(folder)
        spoil(folder)
    return bundle_id(target)


def change(bundle: Path) -> str:
    """Return a bundle a higher threshold in one step, and give its new id."""
    path = bundle / bundles.MANIFEST
    found = manifests.decode(path.read_bytes(), str(path))
    calibration = msgspec.structs.replace(found.calibration, threshold=found.calibration.threshold + 1)
    aside = bundle.with_name("manifest.new")
    aside.write_bytes(manifests.encode(msgspec.structs.replace(found, calibration=calibration)))
    aside.replace(path)
    return bundle_id(bundle)


def bundle_id(bundle: Path) -> str:
    return bundles.read(bundle).id


def flip_a_bit(bundle: Path) -> None:
    data = bytearray((bundle / bundles.BANK).read_bytes())
    data[-1] ^= 1
    (bundle / bundles.BANK).write_bytes(data)


def test_worker_that_is_killed_is_replaced(run: Run, camera: NetworkCamera) -> None:
    """With the worker gone the camera is stalled and no frame is normal until a new one scores; counts go on."""
    runtime = run(top=camera.url)
    before = runtime.until_scored(SOME)
    os.kill(runtime.child("runtime.inference.worker"), signal.SIGKILL)
    runtime.until_state("stalled")
    outage = runtime.until_state("live")
    after = runtime.until_scored(SOME)
    assert states(before + outage + after) == ["live", "live"]
    assert {score.label for score in scores(outage)} <= {"unknown"}
    assert len({message.epoch for message in before + outage + after}) == 1
    frame_ids = [score.frame_id for score in scores(before + outage + after)]
    assert frame_ids == sorted(set(frame_ids))
    assert 'patchedge_worker_restarts_total{reason="crashed"} 1.0' in runtime.get("/metrics")[1]


def test_previews_are_made_while_somebody_looks(run: Run, camera: NetworkCamera) -> None:
    """Without a subscriber of previews none is made; one that comes gets picture and map, at most 5 a second."""
    runtime = run(top=camera.url)
    runtime.until_scored(SOME)
    made = 'patchedge_stage_seconds_count{stage="preview"} '
    assert made + "0.0" in runtime.get("/metrics")[1]
    with Subscriber(f"ipc://{runtime.bundle.parent}/events", kinds=["preview"]) as viewer:
        shown = [viewer.receive(ENOUGH_S) for _ in range(4)]
        assert viewer.missed == 0
    times = []
    for received in shown:
        assert received is not None
        assert isinstance(received.message, PreviewMessage)
        assert (received.message.label, received.message.state) == ("normal", "live")
        jpeg, heat = received.parts
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[:2] == received.message.frame_hw == received.message.parts[0].shape
        assert max(heat) <= 100
        times.append(received.message.t_publish_ns / 1e9)
    assert times[-1] - times[0] > 3 * EVERY_S - 0.1
    runtime.until_scored(SOME)
    before = runtime.get("/metrics")[1].partition(made)[2].partition("\n")[0]
    runtime.until_scored(SOME)
    assert made + before in runtime.get("/metrics")[1]


def test_picture_is_inspected_while_the_camera_goes_on(run: Run, camera: NetworkCamera) -> None:
    """A picture of a client is judged, with what is strange in it; the camera raises no alert, and it is noted once."""
    runtime = run(top=camera.url)
    runtime.until_scored(SOME)
    large = [
        cv2.resize(make(3), (640, 480), interpolation=cv2.INTER_NEAREST) for make in (normal_picture, strange_picture)
    ]
    with ControlClient(runtime.addresses["control"], timeout_s=ENOUGH_S, user="anna") as client:
        verdicts = [client.inspect("top", picture.data, 480, 640) for picture in large]
        assert [verdict.label for verdict, _ in verdicts] == ["normal", "anomalous"]
        (plain, calm), (strange, heat) = verdicts
        assert (plain.boxes, max(calm) <= 100, max(heat) > 100) == ((), True, True)
        assert strange.frame_hw == (480, 640)
        assert any(x <= strange.peak_xy[0] < x + w and y <= strange.peak_xy[1] < y + h for x, y, w, h in strange.boxes)
        orders, _ = client.ask(ReadOrders())
    assert [(one["request"], one["user"]) for one in orders["orders"]] == [("inspect", "anna")] * 2
    after = runtime.until_scored(SOME)
    assert not any(isinstance(message, AlertMessage) for message in after)
    assert {score.label for score in scores(after)} == {"normal"}


def test_capture_process_that_is_killed_is_replaced(run: Run, camera: NetworkCamera) -> None:
    """With its capture process gone a camera is disconnected, and live with the next one; frame_id goes on."""
    runtime = run(top=camera.url)
    before = runtime.until_scored(SOME)
    os.kill(runtime.child("runtime.camera.capture_process"), signal.SIGKILL)
    lost = runtime.until_state("disconnected")
    assert "SIGKILL" in lost[-1].reason or "signal 9" in lost[-1].reason
    after = runtime.until_state("live") + runtime.until_scored(SOME)
    assert states(after) == ["live"]
    frame_ids = [score.frame_id for score in scores(before + lost + after)]
    assert frame_ids == sorted(set(frame_ids))
    assert len({message.epoch for message in before + lost + after}) == 1


def test_runtime_that_is_killed_leaves_no_process(run: Run, camera: NetworkCamera) -> None:
    """Worker and capture processes end with the runtime, however it ends."""
    runtime = run(top=camera.url, side=camera.url)
    runtime.until_state("live", "top")
    runtime.until_scored()
    with ExitStack() as stack:
        ended = select.poll()
        children = [os.pidfd_open(pid) for pid in tree(runtime.process.pid)[1:]]
        for child in children:
            stack.callback(os.close, child)
            ended.register(child, select.POLLIN)
        assert len(children) == 3
        runtime.process.kill()
        while children:
            gone = ended.poll(ENOUGH_S * 1000)
            assert gone, "left behind"
            for child, _ in gone:
                ended.unregister(child)
                children.remove(child)


@pytest.mark.parametrize("how", ["signal", "rename", "request"])
def test_new_bundle_takes_over_between_two_frames(run: Run, camera: NetworkCamera, tmp_path: Path, how: str) -> None:
    """SIGHUP, a rename over the path, and a request put a bundle into service; every frame is scored with one."""
    runtime = run(top=camera.url)
    old = bundle_id(runtime.bundle)
    heard = runtime.until_scored(SOME)
    if how == "signal":
        new = change(runtime.bundle)  # in place: nothing but the signal says so
        runtime.process.send_signal(signal.SIGHUP)
    elif how == "rename":
        new = put(runtime.bundle, runtime.bundle)
    else:
        new = put(tmp_path / "other.bundle", runtime.bundle)
        answer = runtime.ask(request="reload", path=str(tmp_path / "other.bundle"), id="7")
        assert (answer["ok"], answer["id"]) == (True, "7")
    heard += runtime.until(lambda message: message.bundle != old)
    heard += runtime.until_scored(SOME)
    ids = [message.bundle for message in heard]
    assert ids == sorted(ids, key=[old, new].index)
    assert {score.label for score in scores(heard)} == {"normal"}
    assert len({(score.bundle, score.threshold) for score in scores(heard)}) == 2
    assert states(heard) == ["live"]


def test_damaged_bundle_is_refused_and_the_old_one_goes_on(run: Run, camera: NetworkCamera) -> None:
    """A damaged bundle at the path, or asked for, is refused by a line that names the file; no frame is lost by it."""
    runtime = run(top=camera.url)
    old = bundle_id(runtime.bundle)
    heard = runtime.until_scored(SOME)
    good = Path(shutil.copytree(runtime.bundle, runtime.bundle.with_name("good.bundle")))
    assert runtime.addresses["metrics"]
    with staging(runtime.bundle, force=True) as folder:
        shutil.copytree(good, folder, dirs_exist_ok=True)
        flip_a_bit(folder)
    refused = runtime.logged("bundle refused")
    assert "bank.safetensors" in refused["problem"]
    assert refused["old_one_goes_on"] is True
    answer = runtime.ask(request="reload")
    assert answer["ok"] is False
    assert "bank.safetensors" in answer["error"]
    status = runtime.ask(request="status")["reply"]["cameras"]["top"]
    assert (status["state"], status["bundle"]) == ("live", old)
    heard += runtime.until(lambda m: isinstance(m, ScoreMessage) and m.frame_id >= status["frames"])
    heard += runtime.until_scored(SOME)
    assert {message.bundle for message in heard} == {old}
    assert {score.label for score in scores(heard)} == {"normal"}
    new = put(runtime.bundle, good)
    assert runtime.until(lambda message: message.bundle != old)[-1].bundle == new


def test_camera_that_has_no_bundle_any_more_fails_until_there_is_one(run: Run, camera: NetworkCamera) -> None:
    """A worker that finds a damaged bundle when it starts anew scores nothing, and a good one at the path mends it."""
    runtime = run(top=camera.url)
    runtime.until_scored()
    good = Path(shutil.copytree(runtime.bundle, runtime.bundle.with_name("good.bundle")))
    assert runtime.addresses
    flip_a_bit(runtime.bundle)
    os.kill(runtime.child("runtime.inference.worker"), signal.SIGKILL)
    runtime.until_state("stalled")
    failed = runtime.until_state("failed")
    assert "bank.safetensors" in failed[-1].reason
    runtime.logged("running")  # again, as far as it can
    new = put(runtime.bundle, good)
    outage = runtime.until_state("live")
    assert not any(is_normal(message) for message in failed + outage)
    assert runtime.until_scored()[-1].bundle == new


def test_paused_camera_is_paused_until_it_is_resumed(run: Run, camera: NetworkCamera) -> None:
    """A pause closes the camera, outlives the worker, is no fault to health checks, and ends with a request."""
    runtime = run(top=camera.url)
    heard = runtime.until_scored(SOME)
    reply = runtime.ask(request="pause", camera="top")["reply"]
    assert (reply["state"], reply["reason"]) == ("paused", "by a request")
    heard += runtime.until_state("paused")
    os.kill(runtime.child("runtime.inference.worker"), signal.SIGKILL)
    runtime.logged("inference worker lost")
    runtime.logged("running")
    assert not [pid for pid in tree(runtime.process.pid)[1:] if "runtime.camera.capture_process" in command(pid)]
    assert runtime.ask(request="status")["reply"]["cameras"]["top"]["state"] == "paused"
    while (page := runtime.get("/readyz")) != (200, "0 live, 1 paused\n"):
        assert page[0] == 503  # until the next look, once a second
    while 'patchedge_camera_state{camera="top",state="paused"} 1.0' not in runtime.get("/metrics")[1]:
        pass
    assert runtime.ask(request="resume", camera="top")["ok"]
    back = runtime.until_state("live")
    back += runtime.until_scored(SOME)
    assert states(heard + back) == ["live", "paused", "live"]
    frame_ids = [score.frame_id for score in scores(heard + back)]
    assert frame_ids == sorted(set(frame_ids))


def test_configured_threshold_counts_from_the_next_frame(run: Run, camera: NetworkCamera) -> None:
    """A threshold below the camera's scores makes an alert at once, one above them ends it, null is the bundle's."""
    runtime = run(top=camera.url)
    usual = scores(runtime.until_scored(SOME))[-1]
    assert usual.score is not None
    low = {"threshold": usual.score / 100, "min_frames": 1, "min_ms": 0, "merge_ms": 0, "cooldown_ms": 0}
    answer = runtime.ask(request="configure", camera="top", alerts=low)
    assert answer["reply"]["threshold"] == low["threshold"]
    assert runtime.until(lambda m: isinstance(m, AlertMessage))[-1].phase == "start"
    refused = runtime.ask(request="configure", camera="top", alerts={"threshold": 1, "min_frames": 0})
    assert "min_frames" in refused["error"]
    assert runtime.ask(request="configure", camera="top")["reply"] == answer["reply"]
    back = runtime.ask(request="configure", camera="top", alerts={"threshold": None})["reply"]
    assert back["threshold"] == usual.threshold
    assert runtime.until(lambda m: isinstance(m, AlertMessage))[-1].phase == "end"


def test_kept_regions_hide_an_object_until_they_are_undone(
    run: Run, camera: NetworkCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an object before it a camera is normal where that is not judged, anomalous after `undo`; the file follows.

    No frame is lost or without a score over it.
    """
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    runtime = run(top=camera.url)
    camera.strange.set()
    heard = runtime.until(lambda m: isinstance(m, ScoreMessage) and m.label == "anomalous")
    path = tmp_path / "device.yaml"
    before = json.loads(path.read_text())
    left = [[0, 0], [31, 0], [31, HEIGHT], [0, HEIGHT]]
    change = {"request": "configure", "camera": "top", "keep": True, "user": "Anna"}
    nowhere = runtime.ask(**change, regions=[[[1, 1], [2, 1], [2, 2]]], alerts={"min_frames": 3})
    assert "nothing is seen there" in nowhere["error"]
    assert json.loads(path.read_text()) == before
    reply = runtime.ask(**change, regions=[left])["reply"]
    assert (reply["regions"], reply["frame_hw"], reply["regions_of"]) == ([left], [HEIGHT, WIDTH], "settings")
    heard += runtime.until_scored(SOME)
    assert yaml.safe_load(path.read_text())["cameras"]["top"]["regions"] == [left]
    (listed,) = runtime.ask(request="changes", camera="top")["reply"]["changes"]
    assert (listed["number"], listed["user"], listed["undone"]) == (1, "Anna", False)
    assert runtime.ask(request="undo", camera="top")["reply"]["regions"] is None
    heard += runtime.until(lambda m: isinstance(m, ScoreMessage) and m.label == "anomalous")
    assert json.loads(path.read_text()) == before
    assert {score.label for score in scores(heard)} == {"normal", "anomalous"}
    path.write_text(json.dumps(before | {"cameras": {"top": before["cameras"]["top"] | {"regions": [left]}}}))
    runtime.process.send_signal(signal.SIGHUP)
    runtime.until_scored(SOME)
    assert runtime.logged("regions of the settings taken over")["camera"] == "top"


def test_hang_up_reads_the_alerts_of_the_settings_again(run: Run, camera: NetworkCamera, tmp_path: Path) -> None:
    """SIGHUP takes a threshold out of the changed file from the next frame on; a broken file changes nothing."""
    runtime = run(top=camera.url)
    usual = scores(runtime.until_scored(SOME))[-1]
    assert runtime.addresses
    path = tmp_path / "device.yaml"
    settings = json.loads(path.read_text())
    settings["cameras"]["top"]["alerts"] = {"threshold": 2 * usual.threshold}
    settings["cameras"]["top"]["stall_ms"] = 7000
    path.write_text(json.dumps(settings))
    runtime.process.send_signal(signal.SIGHUP)
    assert runtime.logged("settings reloaded")["alerts_of"] == ["top"]
    assert runtime.logged("changed settings that need a restart")["keys"] == ["cameras.top.stall_ms"]
    runtime.until(lambda m: isinstance(m, ScoreMessage) and m.threshold == 2 * usual.threshold)
    path.write_text("{")
    runtime.process.send_signal(signal.SIGHUP)
    assert str(path) in runtime.logged("reloading the settings failed; the old ones remain")["problem"]
    assert runtime.ask(request="status")["reply"]["cameras"]["top"]["threshold"] == 2 * usual.threshold
    heard = runtime.until_scored(SOME)
    assert states(heard) == []


def test_picture_of_a_camera_can_be_had_while_the_worker_is_away(run: Run, camera: NetworkCamera) -> None:
    """A picture is live: it shows what is before the camera at the next frame, though nothing can be scored."""
    runtime = run(top=camera.url)
    runtime.until_scored()
    os.kill(runtime.child("runtime.inference.worker"), signal.SIGSTOP)

    def red() -> float:
        with zmq.Context() as context, context.socket(zmq.DEALER) as client:
            client.linger = 0
            client.connect(runtime.addresses["control"])
            client.send(json.dumps({"schema": SCHEMA, "request": "picture", "camera": "top", "width": 64}).encode())
            assert client.poll(ENOUGH_S * 1000), "no answer"
            answer, jpeg = client.recv_multipart()
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(float)
        assert json.loads(answer)["reply"]["width"] == picture.shape[1]
        return float((picture[..., 2] - picture[..., 1]).max())

    before = red()
    camera.strange.set()
    while red() < before + STRANGE_RED:  # some frames are on their way
        pass


def test_request_that_the_worker_takes_with_it_is_refused(run: Run, camera: NetworkCamera) -> None:
    """A worker that dies over a reload leaves its request with a refusal, and the old bundle is served again."""
    runtime = run(top=camera.url)
    runtime.until_scored()
    worker = runtime.child("runtime.inference.worker")
    os.kill(worker, signal.SIGSTOP)
    with runtime.asking(request="reload") as answer:
        assert runtime.ask(request="status")["ok"]  # so the reload was handled before
        os.kill(worker, signal.SIGKILL)
        said = answer()
    assert said["ok"] is False
    assert "worker died" in said["error"]
    runtime.until_state("stalled")
    runtime.until_state("live")
    assert runtime.until_scored()[-1].bundle == bundle_id(runtime.bundle)


def test_figures_and_health_are_served(run: Run, camera: NetworkCamera) -> None:
    """/healthz and /readyz say 200 with a live camera, and /metrics shows it; with it gone, /readyz says 503."""
    runtime = run(top=camera.url)
    runtime.until_scored()
    assert runtime.get("/healthz")[0] == 200
    while runtime.get("/readyz")[0] != 200:  # it is looked at once a second
        runtime.until_scored()
    figures = runtime.get("/metrics")[1]
    assert 'patchedge_camera_state{camera="top",state="live"} 1.0' in figures
    assert f'patchedge_bundle_info{{camera="top",id="{bundle_id(runtime.bundle)}"}} 1.0' in figures
    assert runtime.get("/nothing")[0] == 404
    camera.unplugged.set()
    runtime.until_state("disconnected")
    while runtime.get("/readyz")[0] != 503:
        assert runtime.get("/healthz")[0] == 200
    assert "secret" not in figures + json.dumps(runtime.addresses)


def test_one_faulty_camera_does_not_touch_the_other(run: Run, camera: NetworkCamera, tmp_path: Path) -> None:
    """While one camera hangs and another is absent the third is live all the time, and loses no score."""
    with network_camera() as bad:
        runtime = run(good=camera.url, bad={"source": bad.url, **HASTY}, absent=f"v4l2://{tmp_path}/no-device")
        heard = runtime.until_state("live", "bad") + runtime.until_scored(SOME)
        bad.silent.set()
        heard += runtime.until_state("stalled", "bad")
        assert bad.hung.wait(ENOUGH_S)
        heard += runtime.until_scored(5 * SOME)
    said = {name: states([m for m in heard if m.camera == name]) for name in ("good", "bad", "absent")}
    assert said == {"good": ["live"], "bad": ["live", "stalled"], "absent": ["disconnected"]}
    assert {score.label for score in scores(heard) if score.camera == "good"} == {"normal"}


def test_folder_is_scored_whole_though_the_worker_is_killed(run: Run, tmp_path: Path) -> None:
    """Of a recording every frame is published once and in order; those that the worker had are unknown."""
    count = 30
    source = write_pictures(tmp_path / "pictures", set(), count)
    runtime = run(clip={"source": str(source), "fps": 30})
    heard = runtime.until_scored(3)
    os.kill(runtime.child("runtime.inference.worker"), signal.SIGKILL)
    heard += runtime.until_state("disconnected")
    assert runtime.process.wait(ENOUGH_S) == 0
    assert [score.frame_id for score in scores(heard)] == list(range(1, count + 1))
    assert states(heard) == ["live", "stalled", "live", "disconnected"]
    assert sum(score.label == "unknown" for score in scores(heard)) <= 2


@pytest.mark.alone
@pytest.mark.parametrize("state", ["starting", "live", "stalled", "disconnected"])
def test_signal_ends_it_in_every_state(run: Run, camera: NetworkCamera, state: str) -> None:
    """SIGTERM ends the runtime with 0 in time: without a subscriber, with a hung or an absent camera, and at work."""
    runtime = run(2 if state == "starting" else 1, top={"source": camera.url, **HASTY})
    if state == "starting":
        assert runtime.ask(request="status")["reply"]["cameras"]["top"]["state"] == "starting"
    else:
        runtime.until_state("live")
        runtime.until_scored()
    if state == "stalled":
        camera.silent.set()
        runtime.until_state("stalled")
        assert camera.hung.wait(ENOUGH_S)  # and so is the next capture process in its open
    elif state == "disconnected":
        camera.unplugged.set()
        runtime.until_state("disconnected")
    sent = time.monotonic()
    runtime.process.send_signal(signal.SIGTERM)
    assert runtime.process.wait(ENOUGH_S) == 0
    assert time.monotonic() - sent < END_S
