"""`patchedge ask`: any request from the command line, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_config.wire.requests import Configure, Picture
from runtime.cli.main import main
from runtime.events import Asked
from runtime.messaging.control_socket import Control


class Device:
    """Answers each request with what it says; a picture with one of a few bytes; refuses what is about no camera."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.control = Control("tcp://127.0.0.1:*", self._answer)

    def _answer(self, asked: Asked) -> None:
        self.asked.append(asked.request)
        if getattr(asked.request, "camera", "top") != "top":
            self.control.refuse(asked, "no camera `hall`; known: top")
            return
        parts = [b"\xff\xd8a picture"] if isinstance(asked.request, Picture) else []
        self.control.reply(asked, msgspec.to_builtins(asked.request), parts)

    def close(self) -> None:
        self.control.close()


@pytest.fixture
def device() -> Iterator[Device]:
    """Return a device."""
    with closing(Device()) as device:
        yield device


def ask(device: Device, *words: str) -> int:
    return main(["ask", *words, "--control", device.control.endpoint])


def test_reply_is_printed_as_json(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys with dots make sections, values are JSON where they can be, and the reply is JSON on stdout."""
    assert ask(device, "configure", "camera=top", "alerts.threshold=12.5", 'alerts.attach=["jpeg"]') == 0
    (asked,) = device.asked
    assert isinstance(asked, Configure)
    assert (asked.camera, asked.alerts) == ("top", {"threshold": 12.5, "attach": ["jpeg"]})
    assert json.loads(capsys.readouterr().out)["alerts"] == {"threshold": 12.5, "attach": ["jpeg"]}


def test_picture_is_saved(device: Device, tmp_path: Path) -> None:
    """The picture is the file that was named."""
    assert ask(device, "picture", "camera=top", "--save", str(tmp_path / "top.jpg")) == 0
    assert (tmp_path / "top.jpg").read_bytes() == b"\xff\xd8a picture"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("pause", "camera=hall"), 1, "no camera `hall`; known: top"),
        (("picture", "camera=top"), 2, "a picture needs a file; give --save FILE.jpg"),
        (("explode",), 2, "explode: no such request; known: status, reload"),
        (("pause",), 2, "missing required field `camera`"),
        (("pause", "top"), 2, "top: not KEY=VALUE; write such as camera=top"),
        (("pause", "camera=top", "camera.x=1"), 2, "camera.x=1: not KEY=VALUE"),
        (("status", "camera=top"), 2, "unknown field `camera`"),
    ],
)
def test_mistake_is_one_line(
    device: Device, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    """What the device refuses, and what is no request, is one line that says why."""
    assert ask(device, *words) == code
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert said in told.err


def test_nobody_there_is_69(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an answer it ends in time, with the address."""
    assert main(["ask", "status", "--control", "tcp://127.0.0.1:9", "--timeout", "0.1"]) == 69
    assert "tcp://127.0.0.1:9: no answer within 0.1 s" in capsys.readouterr().err
