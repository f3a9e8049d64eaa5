"""Fetching a clip into a file: over a real socket, and with a device that says other things than it sends."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_config.errors import MessageError, RequestError
from edge_config.wire.fetch import MAX_CLIP_PART_BYTES, ClipPart, FetchClip
from runtime.app.clip_requests import ClipRequests
from runtime.client.control_client import ControlClient
from runtime.client.fetch_clip import fetch_clip
from runtime.events import Asked
from runtime.messaging.control_socket import Control

CLIP = "top-20261127T084611Z-0b6c7f0e-5b0c-4f0e-8a53-9a3d1c2b4e5f.avi"


def test_clip_of_several_parts_arrives_whole(tmp_path: Path) -> None:
    """A clip that is longer than a reply is put together in a file, which names the user that it was for."""
    (tmp_path / "clips").mkdir()
    content = bytes(2 * MAX_CLIP_PART_BYTES) + b"the end"
    (tmp_path / "clips" / CLIP).write_bytes(content)
    asked: list[Asked] = []
    parts: list[ClipRequests] = []

    def tell(one: Asked) -> None:
        asked.append(one)
        assert parts[0].answer(one)

    control = Control("tcp://127.0.0.1:*", tell)
    parts.append(ClipRequests(str(tmp_path / "clips"), control))
    try:
        with ControlClient(control.endpoint, user="Anna") as device:
            said = device.fetch_clip("top", CLIP, tmp_path / "clip.avi")
            with pytest.raises(RequestError, match="there is no clip"):
                device.fetch_clip("top", CLIP.replace("0b6c", "ffff"), tmp_path / "none.avi")
    finally:
        parts[0].close()
        control.close()
    assert (tmp_path / "clip.avi").read_bytes() == content
    assert said.size == len(content)
    assert {one.request.user for one in asked} == {"Anna"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.avi", "clips"]


def answers(*parts: bytes, **said: Any) -> Any:
    """Make a device that answers with these parts."""
    left = list(parts)

    def ask(request: FetchClip) -> tuple[ClipPart, Sequence[bytes]]:
        whole = {"size": 4, "sha256": hashlib.sha256(b"abcd").hexdigest(), **said}
        return ClipPart(camera="top", clip=CLIP, offset=request.offset, **whole), [left.pop(0)]

    return ask


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (answers(b"ab", b"ce"), "sha256"),
        (answers(b"ab", b""), "wrong length"),
        (answers(b"ab", b"cdef"), "wrong length"),
    ],
)
def test_what_is_not_the_clip_leaves_the_old_file(tmp_path: Path, ask: Any, problem: str) -> None:
    """Parts that do not make the clip are an error, and the file that was there stays as it was."""
    (tmp_path / "clip.avi").write_bytes(b"old")
    with pytest.raises(MessageError, match=problem):
        fetch_clip(ask, "top", CLIP, tmp_path / "clip.avi")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_good_parts_are_taken(tmp_path: Path) -> None:
    """The same device with the right parts is believed."""
    fetch_clip(answers(b"ab", b"cd"), "top", CLIP, tmp_path / "clip.avi")
    assert (tmp_path / "clip.avi").read_bytes() == b"abcd"
