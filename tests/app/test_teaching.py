"""Teaching a running device, as a person does: `patchedge teach`, false alarms, and what is deleted."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_config.wire.messages import AlertMessage
from runtime.cli.main import main
from runtime.client.subscriber import Subscriber
from tests.app.test_run import wait_for_line
from tests.programs.soak.processes import command, tree
from tests.support.fakes.network import NetworkCamera, network_camera
from tests.support.processes import DEVICE, ENOUGH_S, started
from tests.support.reader import wait_until
from tests.support.tiny import HEIGHT, WIDTH, write_pictures

pytestmark = pytest.mark.slow


class Running:
    """A device that runs; the words of `patchedge` are said to it."""

    def __init__(self, folder: Path, bundle: Path, source: str, fps: float | None = None) -> None:
        self.folder = folder
        self.control = f"ipc://{folder}/control"
        self.events = f"ipc://{folder}/events"
        self.pictures = folder / "learning" / "top" / "pictures"
        alerts = {"min_ms": 0, "min_frames": 2, "merge_ms": 200}
        settings = {
            "bundle": str(bundle),
            "cameras": {"top": {"source": source, "fps": fps, "alerts": alerts}},
            "events": {"bind": self.events},
            "control": {"bind": self.control},
            "metrics": {"enabled": False},
            "journal": {"path": str(folder / "journal.sqlite")},
            "learning": {"folder": str(folder / "learning")},
            "clips": {"folder": str(folder / "clips"), "before_s": 0.2, "after_s": 0.2},
        }
        self.config = folder / "settings.yaml"
        self.config.write_text(json.dumps(settings))

    @contextmanager
    def run(self) -> Iterator[subprocess.Popen[str]]:
        with started(*DEVICE, "run", "--config", self.config) as process:
            wait_for_line(process, "running")
            yield process

    def say(self, capsys: pytest.CaptureFixture[str], *words: object) -> Any:
        """Run a verb in this process, and return what it prints as JSON."""
        capsys.readouterr()
        assert main([*map(str, words), "--json", "--control", self.control]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    def alert(self, phase: str, act: Callable[[], None]) -> AlertMessage:
        """Return the next alert of this phase after what is done."""
        with Subscriber(self.events) as subscriber:
            received = subscriber.receive(ENOUGH_S)
            assert received is not None
            act()
            while not (isinstance(received.message, AlertMessage) and received.message.phase == phase):
                received = subscriber.receive(ENOUGH_S)
                assert received is not None
            return received.message


class Live(Running):
    """A device that watches a network camera."""

    def __init__(self, folder: Path, bundle: Path, camera: NetworkCamera) -> None:
        super().__init__(folder, bundle, camera.url)
        self.camera = camera


@pytest.fixture
def running(tiny_bundle: Path, tmp_path: Path) -> Iterator[Live]:
    """Return a device that is not running yet."""
    with network_camera() as camera:
        yield Live(tmp_path, tiny_bundle, camera)


def reds(path: Path) -> int:
    """Count the pixels of the object in a picture."""
    image = np.asarray(cv2.imread(str(path)), np.int16)
    assert image.shape == (HEIGHT, WIDTH, 3)
    return int(((image[..., 2] > 180) & (image[..., 0] < 90)).sum())


def test_object_that_passes_while_teaching_is_set_aside(running: Live, capsys: pytest.CaptureFixture[str]) -> None:
    """Normal frames are taught, frames of an object wait for a person, and none of these is learnt before."""
    with running.run():
        state = running.say(capsys, "teach", "start", "top", "--count", 5, "--every-ms", 20)
        assert (state["taught"], state["aside"], state["state"]) == (5, 0, "over")
        running.alert("start", running.camera.strange.set)
        state = running.say(capsys, "teach", "start", "top", "--count", 4, "--every-ms", 20)
        assert (state["taught"], state["aside"]) == (0, 4)
        running.camera.strange.clear()
        listed = running.say(capsys, "teach", "list", "top", "--kind", "aside", "--kind", "taught")
        assert [one["kind"] for one in listed] == ["taught"] * 5 + ["aside"] * 4
        for one in listed:
            found = reds(running.pictures / f"{one['id']}.png")
            assert (found > 50) == (one["kind"] == "aside"), one
            assert (one["score"] > one["threshold"]) == (one["kind"] == "aside")
        saved = running.say(capsys, "teach", "save", "top", listed[0]["id"], "--to", running.folder / "look")
        assert Path(saved[0]).read_bytes() == (running.pictures / f"{listed[0]['id']}.png").read_bytes()
        judged = running.say(capsys, "teach", "accept", "top", listed[5]["id"])
        assert judged == {"camera": "top", "changed": 1, "undecided": 3}
        assert running.say(capsys, "teach", "reject", "top", "--all") == {"camera": "top", "changed": 3, "undecided": 0}
        assert [one["decided"] for one in running.say(capsys, "teach", "list", "--kind", "aside")] == [
            "accepted",
            *["rejected"] * 3,
        ]


def test_alert_that_goes_on_is_marked_as_false(running: Live, capsys: pytest.CaptureFixture[str]) -> None:
    """The peak of an open alert is on disk while it goes on; a false alarm accepts it, and survives a kill."""
    with running.run() as process:
        alert = running.alert("start", running.camera.strange.set)
        marked = running.say(capsys, "teach", "false-alarm", "top", alert.alert_id)
        assert (marked["open"], marked["picture"]["alert"]) == (True, alert.alert_id)
        assert (marked["picture"]["kind"], marked["picture"]["decided"]) == ("peak", "accepted")
        assert reds(running.pictures / f"{marked['picture']['id']}.png") > 50
        orders = running.say(capsys, "teach", "status")
        assert orders["pictures"]["stored"] >= 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait(ENOUGH_S)
    running.camera.strange.clear()
    (running.pictures / ".20261127T000000000Z-00000000.png.7.part").write_bytes(b"half")
    with running.run():
        kept = running.say(capsys, "teach", "list", "top", "--kind", "peak")
        assert marked["picture"] in kept
        assert {one.name for one in running.pictures.iterdir()} == {
            f"{one['id']}.{kind}" for one in kept for kind in ("png", "json")
        }


def test_worker_that_is_killed_does_not_end_teaching(running: Live, capsys: pytest.CaptureFixture[str]) -> None:
    """A collection goes on with the next worker; another one of the same camera replaces it and says so."""
    with running.run() as process:
        first = running.say(capsys, "teach", "start", "top", "--count", 2000, "--every-ms", 20, "--no-wait")
        assert (first["state"], first["replaced"]) == ("running", False)
        (worker,) = (pid for pid in tree(process.pid)[1:] if "runtime.inference.worker" in command(pid))
        os.kill(worker, signal.SIGKILL)
        wait_for_line(process, "inference worker lost")
        wait_for_line(process, "running")
        stored = stored_now = running.say(capsys, "teach", "status", "top")["cameras"]["top"]["taught"]
        while stored_now == stored:
            state = running.say(capsys, "teach", "status", "top")["cameras"]["top"]
            stored_now = state["taught"]
        assert state["state"] == "running"
        words = ("teach", "start", "top", "--count", "3", "--every-ms", "20", "--control", running.control)
        assert main(list(words)) == 0
        said = capsys.readouterr()
        assert "an unfinished collection of camera `top` was replaced" in said.err
        assert said.out == "top: 3 taught, 0 set aside, of 3; over: 3 frames are stored\n"


def test_everything_is_deleted_by_one_verb(running: Live, capsys: pytest.CaptureFixture[str]) -> None:
    """Peaks, taught frames and clips are gone from the disk; a kind can be named; the audit log has it."""
    clips = running.folder / "clips"
    with running.run():
        running.say(capsys, "teach", "start", "top", "--count", 3, "--every-ms", 20)
        running.alert("start", running.camera.strange.set)
        running.alert("end", running.camera.strange.clear)
        wait_until(lambda: bool(list(clips.glob("*.avi"))))
        only = running.say(capsys, "delete-pictures", "top", "--kind", "peak")
        assert (only["pictures"], only["clips"]) == (1, 0)
        assert len(list(running.pictures.iterdir())) == 2 * 3
        gone = running.say(capsys, "delete-pictures", "--all-cameras")
        assert (gone["pictures"], gone["clips"]) == (3, 1)
        assert gone["freed_bytes"] > 0
        assert list(running.pictures.iterdir()) == list(clips.glob("*.avi")) == []
    with closing(sqlite3.connect(running.folder / "journal.sqlite")) as journal:
        orders = [name for (name,) in journal.execute("SELECT request FROM orders ORDER BY number")]
    assert orders == ["teach", "delete_pictures", "delete_pictures"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("teach", "start", "hall"), 1, "no camera `hall`; known: top"),
        (("teach", "stop", "top"), 1, "no frames of camera `top` are collected"),
        (
            ("teach", "false-alarm", "top", "never"),
            1,
            "no peak of alert never of camera `top` is stored; ",
        ),
        (("teach", "accept", "top"), 2, "teach accept: name pictures, or --all; `teach list` shows their ids"),
        (("teach", "accept", "top", "x"), 2, "accept: not a request"),
        (("teach", "reject", "top", "20261127T140512345Z-0a1b2c3d"), 1, "no picture 20261127T140512345Z-0a1b2c3d of"),
        (("teach", "list", "hall"), 1, "no camera `hall`; known: top"),
        (("delete-pictures",), 2, "delete-pictures: name a camera, or --all-cameras"),
        (("delete-pictures", "hall"), 1, "no camera `hall`; known: top"),
    ],
)
def test_mistake_is_one_line(
    teachable: Running, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    """What is wrong, of which camera, and what to do is one line, with the documented exit code."""
    capsys.readouterr()
    assert main([*words, "--control", teachable.control]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert re.match(r"patchedge: ", line)


@pytest.fixture(scope="module")
def teachable(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a device that runs, and has stored nothing."""
    folder = tmp_path_factory.mktemp("teachable")
    one = Running(folder, tiny_bundle, str(write_pictures(folder / "source", set(), 3)), fps=0.01)
    with one.run():
        yield one
