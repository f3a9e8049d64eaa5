"""`patchedge run` as a process: signals, lost cameras, bad input."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import zmq
from prometheus_client.parser import text_string_to_metric_families

from edge_config.wire.messages import AlertMessage, ScoreMessage, StateMessage
from runtime.cli.main import main
from runtime.client.subscriber import Subscriber
from tests.support.fakes.network import NetworkCamera, network_camera
from tests.support.processes import DEVICE, ENOUGH_S, call, started
from tests.support.tiny import make_bundle, normal_picture, strange_picture, write_pictures

END_S = 2.0
"""A signal ends the runtime within this time: the promise to users."""


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    """Return an address that nothing else uses."""
    return f"ipc://{tmp_path}/events"


def wait_for_line(process: subprocess.Popen[str], event: str) -> dict:
    """Read the log until an event."""
    for line in process.stderr or ():
        if json.loads(line)["event"] == event:
            return json.loads(line)
    raise AssertionError(f"no {event!r} in the log")


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("waits", ["for subscribers", "for its next frame"])
def test_signal_ends_it_cleanly(
    tiny_bundle: Path, tmp_path: Path, endpoint: str, number: signal.Signals, waits: str
) -> None:
    """SIGINT and SIGTERM end the runtime with exit code 0 within 2 s, whatever it is waiting for."""
    source = write_pictures(tmp_path / "pictures", set(), 3)
    options = ["--wait-subscribers", "1"] if waits == "for subscribers" else ["--fps", "0.01"]
    with started(*DEVICE, "run", "--bundle", tiny_bundle, "--source", source, "--bind", endpoint, *options) as process:
        wait_for_line(process, "running")
        sent = time.monotonic()
        process.send_signal(number)
        assert process.wait(ENOUGH_S) == 0
        assert time.monotonic() - sent < END_S


COUNTERS = {
    "frames_captured_total": [{"camera": "cam1"}],
    "frames_dropped_total": [
        {"camera": "cam1", "reason": reason} for reason in ("newer", "no slot", "degraded", "too old", "not scored")
    ],
    "reconnects_total": [{"camera": "cam1", "reason": reason} for reason in ("stalled", "lost", "absent", "crashed")],
    "alerts_total": [{"camera": "cam1"}],
    "messages_total": [{"kind": kind} for kind in ("score", "alert", "state")],
    "worker_restarts_total": [{"reason": reason} for reason in ("crashed", "hung", "start")],
    "reloads_total": [{"result": result} for result in ("taken", "refused")],
    "gaps_reported_total": [{"kind": kind} for kind in ("score", "alert", "state", "health", "other")],
    "refused_total": [
        {"socket": "control", "reason": "malformed"},
        {"socket": "control", "reason": "rate"},
        {"socket": "events", "reason": "handshake"},
        {"socket": "access", "reason": "key"},
    ],
    "frame_age_seconds_count": [{"camera": "cam1"}],
    "stage_seconds_count": [{"stage": stage} for stage in ("preprocess", "embed", "search")],
}
"""What is documented, of a device that has done nothing yet."""


@pytest.mark.slow
def test_counters_are_there_before_anything_happens(tiny_bundle: Path, tmp_path: Path, endpoint: str) -> None:
    """A device that waits has every counter of docs/reference/metrics.md at 0: so `increase()` sees the first event."""
    source = write_pictures(tmp_path / "pictures", set(), 3)
    words = ["--bundle", tiny_bundle, "--source", source, "--bind", endpoint, "--wait-subscribers", "1"]
    with started(*DEVICE, "run", *words) as process:
        address = wait_for_line(process, "running")["metrics"]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=ENOUGH_S) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    found = {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}
    wanted = {(f"patchedge_{name}", frozenset(one.items())): 0.0 for name, each in COUNTERS.items() for one in each}
    assert wanted.items() <= found.items()


BLIND = "[[[0, 0], [60, 0], [60, 40]], [[0, 0], [2, 0], [2, 1]]]"
"""Of the second region, the centre of no patch: these are 8 pixels apart, and the first is at 4, 3."""


def looking(folder: Path, bundle: Path, source: Path, said: str) -> Path:
    """Write settings of a camera with regions, in line 6."""
    lines = [
        f"bundle: {bundle}",
        f"events: {{bind: 'ipc://{folder}/e'}}",
        "cameras:",
        "  top:",
        f"    source: {source}",
    ]
    config = folder / "settings.yaml"
    config.write_text("\n".join([*lines, f"    {said}"]))
    return config


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["check", "run", "doctor"])
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            f"regions: {BLIND}",
            "key `cameras.top.regions[1]`: nothing is seen there of pictures of 64 x 48 pixels",
        ),
        ("ignore: [[[0, 0], [64, 0], [64, 48], [0, 48]]]", "key `cameras.top.ignore`: nothing is left to be judged"),
    ],
)
def test_blind_region_is_named_before_anything_is_opened(
    tiny_bundle: Path, tmp_path: Path, verb: str, said: str, words: str
) -> None:
    """`check`, `run` and `doctor` end with 78 and name a region in which no patch has its centre."""
    source = write_pictures(tmp_path / "pictures", set(), 3)
    config = looking(tmp_path, tiny_bundle, source, said)
    done = call(*DEVICE, verb, "--config", config)
    assert done.returncode == 78
    assert words in " ".join((done.stderr + done.stdout).split())
    assert verb != "check" or f"{config}:6: " in done.stderr


@pytest.mark.slow
def test_regions_for_larger_frames_are_judged_by_the_first(tiny_bundle: Path, tmp_path: Path) -> None:
    """Of a recording no frame of which holds a patch of the regions, nothing is scored: 78, and the reason."""
    source = write_pictures(tmp_path / "pictures", set(), 3)
    config = looking(tmp_path, tiny_bundle, source, "regions: [[[900, 900], [1000, 900], [1000, 1000]]]")
    done = call(*DEVICE, "check", "--config", config)
    assert done.returncode == 0
    assert "cameras.top: regions reach beyond 64 x 48 pixels" in done.stderr
    done = call(*DEVICE, "run", "--config", config)
    assert done.returncode == 78
    assert "none of the 3 frames was scored: the camera's regions hold no patch of a frame of 64 x 48" in done.stderr


@pytest.mark.slow
def test_run_that_scored_nothing_is_no_success(tiny_bundle: Path, tmp_path: Path) -> None:
    """A recording of which no frame can be decoded ends with 69, and says of which camera and why."""
    source = write_pictures(tmp_path / "pictures", set(), 3)
    for picture in source.iterdir():
        picture.write_bytes(b"damaged")
    done = call(*DEVICE, "run", "--bundle", tiny_bundle, "--source", source, "--bind", f"ipc://{tmp_path}/e")
    assert done.returncode == 69
    assert "cameras.cam1: none of the 3 frames was scored: cannot be decoded" in done.stderr
    half = write_pictures(tmp_path / "half", set(), 3)
    (half / "0002.png").write_bytes(b"damaged")
    done = call(*DEVICE, "run", "--bundle", tiny_bundle, "--source", half, "--bind", f"ipc://{tmp_path}/e")
    assert done.returncode == 0


@pytest.mark.slow
def test_alert_in_progress_is_ended_for_subscribers(tiny_bundle: Path, tmp_path: Path, endpoint: str) -> None:
    """Messages come in order: state, scores, the alert's start, and at the end of the recording the alert's end."""
    source = write_pictures(tmp_path / "pictures", set(range(3, 9)), 8)
    with (
        started(
            *DEVICE, "run", "--bundle", tiny_bundle, "--source", source, "--bind", endpoint, "--wait-subscribers", "1"
        ) as process,
        Subscriber(endpoint) as subscriber,
    ):
        received = []
        while not received or received[-1].topic != "v1/state/edge/cam1/" or received[-1].message.state == "live":
            received.append(subscriber.receive(ENOUGH_S))
        assert process.wait(ENOUGH_S) == 0
    said = [(r.topic.split("/")[1], getattr(r.message, "phase", getattr(r.message, "label", ""))) for r in received]
    assert said == [
        ("state", ""),
        ("score", "normal"),
        ("score", "normal"),
        *[("score", "anomalous")] * 5,
        ("alert", "start"),
        ("score", "anomalous"),
        ("alert", "end"),
        ("state", ""),
    ]
    strange = received[3].message
    assert strange.frame_id == 3
    assert 40 <= strange.peak_xy[0] < 52
    assert 12 <= strange.peak_xy[1] < 24


def play(bundle: Path, folder: Path, camera: dict) -> list:
    """Run a recording to its end; give all messages of it."""
    folder.mkdir()
    endpoint = f"ipc://{folder}/events"
    config = folder / "settings.yaml"
    events = {"bind": endpoint, "wait_subscribers": 1}
    control = {"bind": f"ipc://{folder}/control"}
    settings = {"bundle": str(bundle), "cameras": {"cam1": camera}, "events": events, "control": control}
    config.write_text(json.dumps({**settings, "metrics": {"enabled": False}, "journal": {"enabled": False}}))
    received = []
    with started(*DEVICE, "run", "--config", config) as process, Subscriber(endpoint) as subscriber:
        while not received or not isinstance(received[-1], StateMessage) or received[-1].state == "live":
            received.append(subscriber.receive(ENOUGH_S).message)
        assert process.wait(ENOUGH_S) == 0
    return received


def alerts_of(received: list) -> list[tuple[str, int]]:
    return [(one.phase, one.frame_id) for one in received if isinstance(one, AlertMessage)]


@pytest.mark.slow
def test_alerts_of_a_recording_do_not_depend_on_its_speed(tiny_bundle: Path, tmp_path: Path) -> None:
    """The same recording in its own time and as fast as possible makes the same alerts, timed by its own clock."""
    source = write_pictures(tmp_path / "pictures", {*range(3, 13), *range(15, 17), *range(48, 58)}, 65)
    alerts = {"min_frames": 1, "min_ms": 200, "merge_ms": 300, "cooldown_ms": 400, "update_ms": 100}
    camera = {"source": str(source), "fps": 20, "alerts": alerts}
    found = [alerts_of(play(tiny_bundle, tmp_path / pace, {**camera, "pace": pace})) for pace in ("max", "fps")]
    assert found[0] == found[1]
    assert [one for one in found[0] if one[0] != "update"] == [("start", 7), ("end", 34), ("start", 52), ("end", 63)]


@pytest.mark.slow
def test_pictures_that_are_sent_again_and_again_are_no_evidence(tiny_bundle: Path, tmp_path: Path) -> None:
    """Two strange pictures, each sent five times, are two frames and no alert of three; all have a message."""
    source = tmp_path / "pictures"
    source.mkdir()
    for number in range(40):
        picture = (strange_picture if number // 5 in {2, 3} else normal_picture)(number // 5)
        cv2.imwrite(str(source / f"{number:03d}.png"), picture)
    for min_frames, expected in ((3, []), (2, [("start", 16), ("end", 21)])):
        alerts = {"min_frames": min_frames, "min_ms": 0, "merge_ms": 0, "cooldown_ms": 0}
        camera = {"source": str(source), "pace": "max", "alerts": alerts}
        received = play(tiny_bundle, tmp_path / str(min_frames), camera)
        assert alerts_of(received) == expected
        scores = [one for one in received if isinstance(one, ScoreMessage)]
        assert [one.frame_id for one in scores if not one.repeated] == list(range(1, 41, 5))
        assert [one.frame_id for one in scores] == list(range(1, 41))
        assert all(one.score == scores[at // 5 * 5].score for at, one in enumerate(scores))


@pytest.mark.slow
def test_picture_that_cannot_be_decoded_is_unknown_and_never_normal(
    tiny_bundle: Path, tmp_path: Path, endpoint: str
) -> None:
    """A damaged picture in a folder keeps its frame_id, is labelled unknown without a score, and the run goes on."""
    source = write_pictures(tmp_path / "pictures", set(), 3)
    (source / "0002.png").write_bytes(b"damaged")
    with (
        started(
            *DEVICE, "run", "--bundle", tiny_bundle, "--source", source, "--bind", endpoint, "--wait-subscribers", "1"
        ) as process,
        Subscriber(endpoint, kinds=["score"]) as subscriber,
    ):
        scores = [subscriber.receive(ENOUGH_S).message for _ in range(3)]
        log = process.stderr.read()
        assert process.wait(ENOUGH_S) == 0
    assert [(s.frame_id, s.label) for s in scores] == [(1, "normal"), (2, "unknown"), (3, "normal")]
    assert scores[1].score is None
    assert "0002.png" in log


@pytest.fixture
def camera() -> Iterator[NetworkCamera]:
    """Yield a network camera."""
    with network_camera() as camera:
        yield camera


@pytest.mark.slow
def test_live_camera_alerts_and_its_loss_is_said(tiny_bundle: Path, endpoint: str, camera: NetworkCamera) -> None:
    """A network camera's object raises an alert; unplugged, it is said to be disconnected, and the run goes on."""
    with (
        started(*DEVICE, "run", "--bundle", tiny_bundle, "--source", camera.url, "--bind", endpoint) as process,
        Subscriber(endpoint) as subscriber,
    ):
        assert subscriber.receive(ENOUGH_S) is not None
        camera.strange.set()
        topics = iter(subscriber)
        alert = next(r.message for r in topics if r.topic.startswith("v1/alert/"))
        assert (alert.phase, alert.label) == ("start", "anomalous")
        camera.unplugged.set()
        lost = next(
            r.message for r in topics if isinstance(r.message, StateMessage) and r.message.state == "disconnected"
        )
        assert "no more" in lost.reason
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENOUGH_S) == 0
        log = process.stderr.read()
    assert "secret" not in log
    assert "***@127.0.0.1" in log


def run_and_fail(*options: object) -> tuple[int, str]:
    """Run `patchedge run` and give exit code and the last line; there must be no traceback."""
    done = call(*DEVICE, "run", *options)
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0]


@pytest.mark.slow
def test_bad_bundle_is_65(tiny_bundle: Path, tmp_path: Path, endpoint: str) -> None:
    """A bundle with a byte changed ends the run with 65 and names the file."""
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bad.bundle"))
    data = bytearray((bundle / "bank.safetensors").read_bytes())
    data[200] ^= 1
    (bundle / "bank.safetensors").write_bytes(data)
    code, line = run_and_fail("--bundle", bundle, "--source", tmp_path, "--bind", endpoint)
    assert code == 65
    assert "bank.safetensors" in line


@pytest.mark.slow
@pytest.mark.parametrize("source", ["/no/such/clip.mp4", "gopher://user:secret@127.0.0.1:9/x"])
def test_source_that_cannot_ever_open_is_69(tiny_bundle: Path, endpoint: str, source: str) -> None:
    """A recording that is not there, or a source of no known kind, ends the run with 69 without its password."""
    code, line = run_and_fail("--bundle", tiny_bundle, "--source", source, "--bind", endpoint)
    assert code == 69
    assert source.replace("user:secret", "***") in line
    assert "secret" not in line


@pytest.mark.slow
@pytest.mark.parametrize("source", ["/dev/video77", "rtsp://user:secret@127.0.0.1:9/x"])
def test_camera_that_is_absent_is_a_state(tiny_bundle: Path, endpoint: str, source: str) -> None:
    """A camera that is not there at the start is published as disconnected, and the run waits for it."""
    with (
        started(*DEVICE, "run", "--bundle", tiny_bundle, "--source", source, "--bind", endpoint) as process,
        Subscriber(endpoint, kinds=["state"]) as subscriber,
    ):
        assert subscriber.receive(ENOUGH_S).message.state == "disconnected"
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENOUGH_S) == 0
        assert "secret" not in process.stderr.read()


@pytest.mark.slow
def test_address_in_use_is_69(tiny_bundle: Path, tmp_path: Path) -> None:
    """An address in use ends the run with 69 and names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        code, line = run_and_fail("--bundle", tiny_bundle, "--source", tmp_path, "--bind", bind)
    assert code == 69
    assert bind in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bundle: x\ncameras: {a: {source: 0}}\nspeed: 3\n", "unknown key `speed`"),
        ("bundle: x\ncameras: {a: {source: 0, colour: red}}\n", "colour"),
        ("bundle: x\n", "cameras"),
        ("cameras: {a: {source: 0}}\n", "bundle"),
        ("bundle: x\ncameras: {a: {source: 0}}\nevents: {bind: 'tcp://0.0.0.0:5556'}\n", "insecure"),
    ],
)
def test_bad_settings_are_78(tmp_path: Path, text: str, said: str) -> None:
    """Settings that are wrong end the run with 78, and name file and key."""
    path = tmp_path / "device.yaml"
    path.write_text(text)
    code, line = run_and_fail("--config", path)
    assert code == 78
    assert str(path) in line
    assert said in line


@pytest.mark.slow
def test_command_line_overrides_settings_file(tiny_bundle: Path, tmp_path: Path) -> None:
    """Arguments override the settings file, and the rest of the file holds."""
    source = write_pictures(tmp_path / "pictures", set(), 2)
    bind = f"ipc://{tmp_path}/other"
    (tmp_path / "device.yaml").write_text(
        f"bundle: /nowhere\ndevice: press-3\ncameras: {{top: {{source: {source}, pace: max}}}}\n"
        f"events: {{bind: 'ipc://{tmp_path}/events', wait_subscribers: 1}}\n"
    )
    with (
        started(
            *DEVICE, "run", "--config", tmp_path / "device.yaml", "--bundle", tiny_bundle, "--bind", bind
        ) as process,
        Subscriber(bind, kinds=["score"]) as subscriber,
    ):
        assert [subscriber.receive(ENOUGH_S).topic for _ in range(2)] == ["v1/score/press-3/top/"] * 2
        assert process.wait(ENOUGH_S) == 0


@pytest.mark.slow
def test_watch_prints_what_a_device_publishes(tiny_bundle: Path, tmp_path: Path, endpoint: str) -> None:
    """`patchedge watch` prints a line for each message, and ends after the wanted number."""
    source = write_pictures(tmp_path / "pictures", set(range(2, 7)), 6)
    with (
        started(*DEVICE, "watch", endpoint, "--count", "9", "--timeout", ENOUGH_S) as watch,
        started(
            *DEVICE, "run", "--bundle", tiny_bundle, "--source", source, "--bind", endpoint, "--wait-subscribers", "1"
        ),
    ):
        lines = watch.communicate(timeout=ENOUGH_S)[0].splitlines()
    assert watch.returncode == 0
    assert len(lines) == 9
    assert "state live" in lines[0]
    assert "frame 2" in lines[2]
    assert "ALERT start" in lines[7]
    assert "ALERT end" in lines[8]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_silent_watch(endpoint: str, number: signal.Signals) -> None:
    """`patchedge watch` of a device that says nothing ends with 0 on a signal."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as device:
        device.bind(endpoint)
        with started(*DEVICE, "watch", endpoint) as watch:
            device.recv()  # its subscription: it is about to wait, or waits
            watch.send_signal(number)
            assert watch.wait(ENOUGH_S) == 0


@pytest.mark.parametrize("kinds", [(), ("--kind", "alert")])
def test_watch_of_nothing_says_what_may_be_the_matter(
    endpoint: str, kinds: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that hears nothing at all of a device, not even a heartbeat, is asked about the keys."""
    monkeypatch.setattr("runtime.cli.watch.HINT_S", 0.01)
    monkeypatch.setattr("runtime.cli.watch.LISTEN_S", 0.01)
    with zmq.Context() as context, context.socket(zmq.XPUB) as device:
        device.bind(endpoint)
        assert main(["watch", endpoint, "--timeout", "0.1", *kinds]) == 69
    assert "--server-key" in capsys.readouterr().err


def test_watch_of_nothing_is_69(endpoint: str) -> None:
    """`patchedge watch --timeout` ends with 69 where nothing is published."""
    done = call(*DEVICE, "watch", endpoint, "--timeout", "0.1")
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_regions_of_bundle_and_camera_are_said(tmp_path: Path) -> None:
    """`run` says whose regions a camera has; `check` and `doctor` warn where the camera's judge what fit left out."""
    half = ((32, 0), (64, 0), (64, 48), (32, 48))
    bundle = make_bundle(tmp_path / "half.bundle", (half,), (48, 64))
    source = write_pictures(tmp_path / "pictures", set(), 3)
    own = looking(tmp_path, bundle, source, "ignore: []")
    done = call(*DEVICE, "run", "--config", own)
    assert done.returncode == 0, done.stderr
    assert "of the settings" in done.stderr
    assert done.stderr.count("judged outside of the bundle's regions") == 1
    odd = "cameras.top: its `regions` and `ignore`, in pictures of 64 x 48 pixels, judge 32 patches that fit left out"
    done = call(*DEVICE, "check", "--config", own)
    assert done.returncode == 0
    assert odd in done.stderr
    done = call(*DEVICE, "doctor", "--config", own)
    assert odd in " ".join(done.stdout.split())
    done = call(*DEVICE, "run", "--config", looking(tmp_path, bundle, source, "pace: max"))
    assert done.returncode == 0, done.stderr
    assert "of the bundle" in done.stderr
    assert "judged outside" not in done.stderr
