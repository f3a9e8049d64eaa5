"""How FFmpeg is told to take a stream, and that it is not waited for without end."""

from __future__ import annotations

import os
import threading

import cv2
import pytest

from edge_config.errors import SettingsError, SourceUnavailable
from edge_config.settings.parse import parse
from runtime.camera.sources import rtsp

OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


@pytest.mark.parametrize(
    ("given", "transport", "wanted"),
    [
        (None, "tcp", "rtsp_flags;prefer_tcp"),
        (None, "udp", "rtsp_transport;udp"),
        ("fflags;nobuffer|timeout;5", "tcp", "fflags;nobuffer|timeout;5|rtsp_flags;prefer_tcp"),
        ("fflags;nobuffer", "udp", "fflags;nobuffer|rtsp_transport;udp"),
        ("rtsp_transport;udp_multicast|fflags;nobuffer", "tcp", "rtsp_transport;udp_multicast|fflags;nobuffer"),
        ("rtsp_transport;tcp|fflags;nobuffer", "udp", "fflags;nobuffer|rtsp_transport;udp"),
    ],
)
def test_options_of_the_user_are_kept(
    monkeypatch: pytest.MonkeyPatch, given: str | None, transport: str, wanted: str
) -> None:
    """The transport is added to what the user gives FFmpeg; `tcp`, the default, leaves a transport of the user's."""
    monkeypatch.setenv(OPTIONS, given or "")
    if given is None:
        monkeypatch.delenv(OPTIONS)
    rtsp._choose(transport)
    assert os.environ[OPTIONS] == wanted


def test_transport_is_a_setting() -> None:
    """A camera's transport is tcp unless it is set, and nothing else than tcp or udp."""
    cameras = {"a": {"source": "rtsp://h/x"}, "b": {"source": "rtsp://h/x", "transport": "udp"}}
    found = parse({"bundle": "b", "cameras": cameras}).cameras
    assert (found["a"].transport, found["b"].transport) == ("tcp", "udp")
    with pytest.raises(SettingsError, match="transport"):
        parse({"bundle": "b", "cameras": {"a": {"source": "rtsp://h/x", "transport": "UDP"}}})


def test_open_that_does_not_return_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An FFmpeg that waits for a name server beyond its own time-out is left behind, with an error."""
    over = threading.Event()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: over.wait())
    monkeypatch.setattr(rtsp, "OPEN_S", 0.01)
    with pytest.raises(SourceUnavailable, match="does not open in time"):
        rtsp.open_stream("rtsp://h/x", "tcp")
    over.set()
