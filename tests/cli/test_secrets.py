"""No program shows a secret of a source, whatever goes wrong with it."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import pytest
import zmq

from edge_config.settings.sections import Camera
from runtime.camera.feed import Feed
from tests.support.processes import DEVICE, ENOUGH_S, call, started
from tests.support.reader import Unread

pytestmark = pytest.mark.slow

SECRET = "Zq7hushKj"  # noqa: S105 - of nobody
URL = (
    f"http://{SECRET}:{SECRET}@127.0.0.1:1/user={SECRET}_password={SECRET}_channel=1;token={SECRET}"
    f"?pwd={SECRET}&p%61ss={SECRET}&strange={SECRET}#key={SECRET}"
)
"""A secret in every place of a URL at which nobody answers."""

PIPELINE = f'gst:rtspsrc location=rtsp://u:{SECRET}@127.0.0.1:1/x?password={SECRET} user-pw="{SECRET}" ! decodebin'

DAMAGED = (
    f"bundle: none\ncameras: {{top: {{source: {URL}\n",
    f"bundle: none\ncameras:\n  top:\n    source: 'a' {URL}\n",
    f"bundle: none\ncameras:\n  top:\n    {URL}: 1\n",
    f"bundle: none\ncameras:\n  top:\n    source: [{URL}]\n",
    f"bundle: none\ncameras:\n  top:\n    source: csi://{URL}\n",
)
"""Settings of which an error may quote a line or a value."""


def settings(folder: Path, bundle: Path, source: str = URL) -> Path:
    path = folder / "device.json.yaml"
    section = {"source": source, "reconnect_min_s": 0.01, "reconnect_max_s": 0.02}
    events, control = (f"ipc://{folder}/{name}" for name in ("events", "control"))
    tree = {"bundle": str(bundle), "cameras": {"top": section}, "journal": {"path": str(folder / "j.sqlite")}}
    tree |= {"events": {"bind": events}, "control": {"bind": control}, "metrics": {"bind": "127.0.0.1:0"}}
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.parametrize("source", [URL, PIPELINE, URL.replace("http", "ftp")])
@pytest.mark.parametrize("words", [["probe"], ["record"], ["bench"]])
def test_one_shot_programs(tiny_bundle: Path, tmp_path: Path, source: str, words: list[str]) -> None:
    """`probe`, `record` and `bench` of a source that does not open end with 69 and a line without its secrets."""
    ends = {"probe": [source], "record": [source, tmp_path / "x"], "bench": [tiny_bundle, "--source", source]}
    done = call(*DEVICE, *words, *ends[words[0]])
    assert done.returncode == 69, done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("source", "words"), [(URL, ["doctor"]), (PIPELINE, ["doctor", "--json"]), (URL, ["check"]), (PIPELINE, ["check"])]
)
def test_programs_of_settings(tiny_bundle: Path, tmp_path: Path, source: str, words: list[str]) -> None:
    """`doctor` and `check` of settings show the camera without its secrets."""
    done = call(*DEVICE, *words, "--config", settings(tmp_path, tiny_bundle, source))
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("text", DAMAGED)
def test_settings_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    """An error about settings says where, and quotes no line that holds a secret."""
    (tmp_path / "device.yaml").write_text(text)
    programs = ("run", "doctor") if text == DAMAGED[0] else ("run",)
    for name in programs:
        done = call(*DEVICE, name, "--config", tmp_path / "device.yaml")
        assert done.returncode == 78, done.stderr
        assert SECRET not in done.stdout + done.stderr


def test_wrong_arguments() -> None:
    """An argument that is too many is shown without its secrets."""
    done = call(*DEVICE, "probe", URL, URL)
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr


def test_run(tiny_bundle: Path, tmp_path: Path) -> None:
    """Neither log, status reply, metrics nor the bytes of the journal hold a secret of a camera that does not open."""
    with started(*DEVICE, "run", "--config", settings(tmp_path, tiny_bundle)) as process:
        log = [process.stderr.readline()]
        while json.loads(log[-1])["event"] != "running":
            log.append(process.stderr.readline())
        with zmq.Context() as context, context.socket(zmq.REQ) as socket:
            socket.connect(f"ipc://{tmp_path}/control")
            said = ""
            while '"disconnected"' not in said:
                socket.send_json({"schema": "patchedge.control.v1", "request": "status"})
                assert socket.poll(ENOUGH_S * 1000)
                said = socket.recv().decode()
        with urllib.request.urlopen(f"http://{json.loads(log[-1])['metrics']}/metrics", timeout=ENOUGH_S) as page:
            metrics = page.read().decode()
        process.terminate()
        log.append(process.communicate(timeout=ENOUGH_S)[1])
    assert process.returncode == 0
    assert "127.0.0.1:1/" in "".join(log)
    assert "patchedge_camera_state" in metrics
    assert b"disconnected" in (tmp_path / "j.sqlite").read_bytes()
    everything = "".join([*log, said, metrics])
    assert SECRET not in everything
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.glob("j.sqlite*"))


def test_traceback_of_a_capture_process(capfd: pytest.CaptureFixture[str]) -> None:
    """What a capture process writes to standard error before it dies is handed on, without the secrets."""
    crash = (sys.executable, "-c", f"raise OSError('cannot open {URL}: error 5')")
    told: list[str] = []
    feed = Feed("top", Camera(source=URL), lambda event: told.append(getattr(event, "reason", "")), Unread(), crash)
    feed.start()
    said = ""
    while "OSError" not in said:
        said += capfd.readouterr().err
    feed.close()
    assert "cannot open http://***@127.0.0.1:1/" in said
    assert SECRET not in said + "".join(told)
