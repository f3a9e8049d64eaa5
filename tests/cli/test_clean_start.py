"""Programs that are started in the background, by nohup, or by a careless parent: signals and streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq

from runtime.camera.image_files import walk
from tests.support.fakes.mjpeg import streaming
from tests.support.processes import DEVICE, ENOUGH_S, NEGLECTED, call, started
from tests.support.tiny import write_pictures

pytestmark = pytest.mark.slow

SIGNALS = [signal.SIGINT, signal.SIGTERM]

_CLOSE = "import os, sys; os.closerange(0, 3); os.execv(sys.argv[1], sys.argv[1:])"
CLOSED = (sys.executable, "-c", _CLOSE)
"""Before a command: starts it with no standard streams."""


def wait_for(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """Read the log until an event."""
    for line in process.stderr or ():
        if json.loads(line)["event"] == event:
            return json.loads(line)
    raise AssertionError(f"no {event!r} in the log")


def children(pid: int) -> dict[str, int]:
    """Find the children of a process by their modules."""
    pids = Path(f"/proc/{pid}/task").glob("*/children")
    words = {
        int(child): Path(f"/proc/{child}/cmdline").read_text() for each in pids for child in each.read_text().split()
    }
    return {
        name: pid
        for pid, word in words.items()
        for name in ("runtime.inference.worker", "runtime.camera.capture_process")
        if name in word
    }


@pytest.mark.parametrize("number", SIGNALS)
def test_watch_ends(tmp_path: Path, number: signal.Signals) -> None:
    """`watch` that was started with signals ignored and blocked ends with 0 on a signal."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as device:
        device.bind(f"ipc://{tmp_path}/events")
        with started(*NEGLECTED, *DEVICE, "watch", f"ipc://{tmp_path}/events") as watch:
            device.recv()  # its subscription: it is about to wait, or waits
            watch.send_signal(number)
            assert watch.wait(ENOUGH_S) == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_record_ends(tmp_path: Path, number: signal.Signals) -> None:
    """`record` ends with 0 and its summary."""
    words = ["--count", "10000", "--every", "0.001"]
    with streaming() as stream, started(*NEGLECTED, *DEVICE, "record", stream.url, tmp_path / "new", *words) as process:
        while len(list(walk(tmp_path / "new"))) < 2:
            assert process.poll() is None
        process.send_signal(number)
        assert "pictures of 64 x 48 pixels" in process.communicate(timeout=ENOUGH_S)[0]
        assert process.returncode == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_one_shot_verb_ends(tmp_path: Path, number: signal.Signals) -> None:
    """A verb that waits for a device, as `replay`, ends with 130."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as device:
        device.bind(f"ipc://{tmp_path}/control")
        with started(*NEGLECTED, *DEVICE, "replay", f"ipc://{tmp_path}/control", "--timeout", ENOUGH_S) as replay:
            device.recv()
            replay.send_signal(number)
            assert replay.wait(ENOUGH_S) == 130


@pytest.mark.parametrize("number", SIGNALS)
def test_bridge_ends(tmp_path: Path, number: signal.Signals) -> None:
    """`bridge` ends with 0."""
    pytest.importorskip("aiomqtt")
    config = tmp_path / "bridge.yaml"
    config.write_text(
        f"devices: [{{events: 'ipc://{tmp_path}/events', control: 'ipc://{tmp_path}/control'}}]\n"
        "mqtt: {host: 127.0.0.1, port: 9}\n"
    )
    with started(*NEGLECTED, *DEVICE, "bridge", "--config", config) as bridge:
        assert bridge.stderr is not None
        bridge.stderr.readline()
        bridge.send_signal(number)
        assert bridge.wait(ENOUGH_S) == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_run_reloads_sees_how_children_end_and_ends(tiny_bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    """`run` reads its bundles anew on SIGHUP, says by which signal its worker ended, and ends with 0."""
    source = write_pictures(tmp_path / "pictures", set(), 3)
    words = ["--bundle", tiny_bundle, "--source", source, "--fps", "0.01", "--bind", f"ipc://{tmp_path}/events"]
    with started(*NEGLECTED, *DEVICE, "run", *words) as process:
        wait_for(process, "running")
        process.send_signal(signal.SIGHUP)
        wait_for(process, "bundle in service")
        os.kill(children(process.pid)["runtime.inference.worker"], signal.SIGKILL)
        assert wait_for(process, "inference worker lost")["reason"] == "ended by SIGKILL"
        process.send_signal(number)
        assert process.wait(ENOUGH_S) == 0


def test_every_verb_can_be_interrupted() -> None:
    """What both commands begin with makes SIGINT an interruption, however they were started."""
    said = (
        "import os, signal; from runtime.cli import clean_start; clean_start.settle(); "
        "os.kill(os.getpid(), signal.SIGINT); print('went on')"
    )
    done = call(*NEGLECTED, sys.executable, "-c", said)
    assert "KeyboardInterrupt" in done.stderr
    assert "went on" not in done.stdout


def test_closed_streams_lead_nowhere(tiny_bundle: Path, tmp_path: Path) -> None:
    """Started without standard streams, no file of `run` takes their numbers, and a recording ends with 0."""
    source = write_pictures(tmp_path / "pictures", {2}, 3)
    words = ["--bundle", tiny_bundle, "--source", source, "--bind", f"ipc://{tmp_path}/events"]
    with (
        zmq.Context() as context,
        context.socket(zmq.SUB) as subscriber,
        started(*CLOSED, *DEVICE, "run", *words, "--wait-subscribers", "1") as process,
    ):
        subscriber.subscribe(b"v1/")
        subscriber.connect(f"ipc://{tmp_path}/events")
        assert subscriber.poll(ENOUGH_S * 1000)
        streams = {str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) for number in range(3)}
        assert streams == {"/dev/null"}
        assert process.wait(ENOUGH_S) == 0


def test_verbs_do_without_standard_streams() -> None:
    """What is printed into a closed stream goes nowhere, and is no fault."""
    assert call(*CLOSED, *DEVICE, "schema").returncode == 0
    assert call(*CLOSED, *DEVICE, "check", "no.bundle").returncode == 65
