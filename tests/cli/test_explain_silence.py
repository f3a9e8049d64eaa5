"""A user that waits is told something within 5 seconds: how far it is, or why nothing comes."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

import export.cli.main
import runtime.cli.main
from runtime.cli.explain_silence import unreachable
from runtime.process.progress import Gauge, ticking
from tests.evaluation.test_evaluate import write_dataset
from tests.support.fakes.answering import Device
from tests.support.processes import DEVICE, call, started
from tests.support.small import small_options
from tests.support.tiny import write_pictures

SOON_S = 5.0
"""The promise."""

START_S = 3.0
"""A start of Python on a busy machine is no part of it."""


def lines_of(main: Callable[[list[str]], int], *words: object) -> list[str]:
    """Run a command in this process without a terminal; give what it says on stderr."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        assert main([str(word) for word in words]) == 0, err.getvalue()
    return err.getvalue().splitlines()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a line due every 10 ms in place of 3 s, so that a command of a second shows what one of minutes would."""
    monkeypatch.setattr("runtime.process.progress.EVERY_S", 0.01)


@pytest.mark.usefixtures("hasty")
def test_fit_says_how_far_it_is(tmp_path: Path) -> None:
    """Each line names the command, what is worked on, how much of it is done, and how long it has taken."""
    words = small_options(tmp_path, tmp_path / "x.bundle", count=24)
    said = lines_of(export.cli.main.main, "fit", *words)
    lines = [line for line in said if line.startswith("patchedge-export fit: ")]
    assert any(re.fullmatch(r"patchedge-export fit: embed pictures, \d+ of 24 pictures, \d+ s", line) for line in lines)
    assert any(re.fullmatch(r"patchedge-export fit: select coreset, \d+ of \d+ entries, \d+ s", line) for line in lines)
    stages = {line.split(": ")[1].split(",")[0] for line in lines}
    assert {"look at pictures", "parity gate"} <= stages


@pytest.mark.slow
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("verb", ["evaluate", "recalibrate", "check"])
def test_other_commands_do_too(verb: str, tiny_bundle: Path, tmp_path: Path) -> None:
    """Every command that takes a while says that it goes on."""
    main, words = {
        "evaluate": (export.cli.main.main, ["--dataset", tmp_path / "set", "--out", tmp_path / "x"]),
        "recalibrate": (export.cli.main.main, ["--images", tmp_path / "new", "--out", tmp_path / "x.bundle"]),
        "check": (runtime.cli.main.main, []),
    }[verb]
    write_dataset(tmp_path / "set", good=3, red=3, bare=0)
    write_pictures(tmp_path / "new", set(), 20)
    said = lines_of(main, verb, tiny_bundle, *words)
    assert any(re.fullmatch(rf"patchedge(-export)? {verb}: (.*, )?\d+ s", line) for line in said), said


def test_nothing_is_printed_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """There bars are shown."""
    monkeypatch.setattr("runtime.process.progress.EVERY_S", 0.001)
    err = io.StringIO()
    monkeypatch.setattr(err, "isatty", lambda: True, raising=False)
    with contextlib.redirect_stderr(err), ticking("x"):
        select.select([], [], [], 0.05)
    assert err.getvalue() == ""


def test_innermost_stage_is_said() -> None:
    """A stage within another is named while it lasts; what has one piece has no count."""
    gauge = Gauge()
    with gauge.stage("gate"):
        with gauge.stage("embed", 9, "pictures") as inner:
            inner.update(2)
            assert str(gauge) == "embed, 2 of 9 pictures"
        assert str(gauge) == "gate"
        with gauge.stage("graph", 1, "graphs"):
            assert str(gauge) == "graph"
    assert str(gauge) == ""


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Return a device with a camera `a`."""
    with Device(tmp_path) as device:
        device.state("a", "a is there")
        yield device


def first_line(*words: object) -> tuple[str, float]:
    """Start `patchedge`; give its first line on stderr, and after how long it came."""
    with started(*DEVICE, *words) as process:
        began = time.monotonic()
        assert process.stderr is not None
        line = process.stderr.readline()
        return line, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("kind", [[], ["--kind", "alert"]])
def test_watch_without_a_device(kind: list[str]) -> None:
    """It says so within 5 seconds, and goes on waiting."""
    with zmq.Context() as context, context.socket(zmq.PUB) as free:
        url = f"tcp://127.0.0.1:{free.bind_to_random_port('tcp://127.0.0.1')}"
    line, took_s = first_line("watch", url, *kind)
    assert f"{url}: nothing listens there (Connection refused); is patchedge running there?" in line
    assert took_s < SOON_S + START_S


@pytest.mark.slow
def test_watch_of_a_device_that_goes_away(tmp_path: Path) -> None:
    """That the device has gone is one line, soon; what it says when it is back is printed."""
    with started(*DEVICE, "watch", f"ipc://{tmp_path}/events") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        with Device(tmp_path) as device:
            device.wait_subscribed(["v1/score/", "v1/alert/", "v1/state/"])
            device.say(device.state("a", "a is there"))
            assert "a is there" in process.stdout.readline()
        began = time.monotonic()
        assert "the connection is lost: nothing listens there" in process.stderr.readline()
        assert time.monotonic() - began < SOON_S
        with Device(tmp_path) as again:
            again.wait_subscribed(["v1/score/", "v1/alert/", "v1/state/"])
            again.say(again.state("a", "a is back"))
            assert "a is back" in process.stdout.readline()


@pytest.mark.slow
def test_watch_of_a_camera_that_is_not_there(device: Device) -> None:
    """A user that asks for an unknown camera is told which there are."""
    words = ("watch", device.events, "--device", "edge", "--camera", "b")
    with started(*DEVICE, *words) as process:
        device.wait_subscribed(["v1/score/edge/b/", "v1/alert/edge/b/", "v1/state/edge/b/"])
        assert process.stderr is not None
        assert "connected, but no message within 3 s" in process.stderr.readline()
        device.wait_subscribed(["v1/score/", "v1/alert/", "v1/state/", "v1/health/"])
        device.say(device.health("a"))
        assert "there are messages of edge/a, and none yet of edge/b; waiting" in process.stderr.readline()


def test_replay_of_a_camera_that_is_not_there(device: Device) -> None:
    """A typo is one line with the cameras that there are, and exit code 2."""
    done = call(*DEVICE, "replay", device.control, "--camera", "typo")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "patchedge: edge: there is no camera typo, and nothing of one in the journal; there are: a, b\n"
    )
    assert call(*DEVICE, "replay", device.control, "--camera", "b").returncode == 0  # it is there, and said nothing


@pytest.mark.parametrize("words", [["replay"], ["ask", "status", "--control"], ["forget", "hall"]])
def test_request_without_a_device(tmp_path: Path, words: list[str]) -> None:
    """The reason is part of the line."""
    done = call(*DEVICE, *words, f"ipc://{tmp_path}/nobody", "--timeout", "0.1")
    assert done.returncode == 69
    assert "nobody: no answer within 0.1 s: nothing listens there (No such file or directory)" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", [["replay"], ["versions", "top"], ["forget", "hall"]])
def test_request_without_a_device_says_so_soon(tmp_path: Path, words: list[str]) -> None:
    """Long before the time-out, which leaves a device the time to restart."""
    line, took_s = first_line(*words, "--control", f"ipc://{tmp_path}/nobody", "--timeout", 60)
    assert "nobody: nothing listens there (No such file or directory); is patchedge running there? Waiting" in line
    assert took_s < SOON_S + START_S


def test_address_is_given_once(tmp_path: Path) -> None:
    """As an argument or by --control; both would be a guess."""
    url = f"ipc://{tmp_path}/nobody"
    done = call(*DEVICE, "forget", "hall", url, "--control", url)
    assert done.returncode == 2
    assert "the address is there twice; give it once" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", [["replay"], ["ask", "status", "--control"], ["forget", "hall"]])
def test_asking_where_events_are_published(device: Device, words: list[str]) -> None:
    """The other port of a device does not answer: one line and exit code 69, and not a wait for ever."""
    done = call(*DEVICE, *words, device.events, "--timeout", "0.5")
    assert (done.returncode, done.stdout) == (69, "")
    assert f"patchedge: {device.events}: no answer within 0.5 s; another service listens there" in done.stderr


def test_why_an_address_cannot_be_reached(device: Device, tmp_path: Path) -> None:
    """A name that is not known, a port that is closed, a socket that is not there; empty where a socket listens."""
    assert unreachable("tcp://no-such-host.invalid:5556").startswith("the name is not known")
    assert unreachable(f"ipc://{tmp_path}/none") == "nothing listens there (No such file or directory)"
    assert unreachable(device.events) == ""
    assert unreachable("inproc://x") == ""
    assert unreachable("tcp://127.0.0.1") == ""
    assert os.path.exists(device.events.removeprefix("ipc://"))  # and it is still there
