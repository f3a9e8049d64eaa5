"""What the name of a source means."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_config.errors import SourceUnavailable
from runtime.camera import address


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (0, "device"),
        ("2", "device"),
        ("/dev/video0", "device"),
        ("/dev/video*", "device"),
        ("/dev/v4l/by-id/usb-camera", "device"),
        ("v4l2:///dev/video0", "device"),
        ("RTSP://host/stream", "stream"),
        ("https://host/stream", "stream"),
        ("/dev/shm/clip.mp4", "recording"),  # noqa: S108
        ("clips", "recording"),
        ("gst:videotestsrc", "stream"),
        ("gst:filesrc location=/dev/video0", "stream"),
        ("csi://0", "stream"),
        ("gst.mp4", "recording"),
    ],
)
def test_kinds_of_sources(source: int | str, kind: str) -> None:
    """Devices and streams are told from recordings by their names."""
    assert address.kind(source) == kind


def test_unknown_kind_is_refused_without_its_credentials() -> None:
    """A URL of an unknown kind is an error that hides what it must."""
    with pytest.raises(SourceUnavailable, match="unknown kind of source") as caught:
        address.kind("ftp://me:secret@host/clip")
    assert "secret" not in str(caught.value)


def test_stable_name_is_followed_to_its_node_of_the_moment(tmp_path: Path) -> None:
    """A link that points elsewhere after a replug gives the new node; one that points nowhere gives none."""
    stable = tmp_path / "by-id"
    for node in ("video0", "video1"):
        (tmp_path / node).touch()
        stable.unlink(missing_ok=True)
        stable.symlink_to(tmp_path / node)
        assert address.devices(f"v4l2://{stable}") == [str(tmp_path / node)]
    (tmp_path / "video1").unlink()
    assert address.devices(str(stable)) == []


def test_pattern_gives_all_nodes_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Of a pattern, lower numbers come first; a name that holds the signs of a pattern and exists is that name."""
    for node in ("video10", "video2", "video[0]"):
        (tmp_path / node).touch()
    assert address.devices(f"{tmp_path}/video[0-9]*") == [f"{tmp_path}/video2", f"{tmp_path}/video10"]
    assert address.devices(f"{tmp_path}/video[0]") == [f"{tmp_path}/video[0]"]
    assert address.devices(f"{tmp_path}/camera*") == []
    assert address.devices("61") == []


@pytest.mark.parametrize(
    ("url", "segmented"),
    [
        ("http://me:a?b@host/live.m3u8", True),
        ("https://host/cam/INDEX.M3U8?token=x", True),
        ("http://host/x.mpd#t=1", True),
        ("rtsp://host/cam", False),
        ("http://host/m3u8", False),
        ("http://host/m3u8/video.mjpg", False),
    ],
)
def test_playlists_are_known_by_their_names(url: str, *, segmented: bool) -> None:
    """HLS and DASH come in segments; the name of the playlist says so, whatever follows it."""
    assert address.is_segmented(url) is segmented
