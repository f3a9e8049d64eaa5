"""Parse source addresses, before anything is opened. Loads nothing heavy."""

from __future__ import annotations

import glob
import os
import re
from typing import Literal

from edge_config import redact as _redact
from edge_config.errors import SourceUnavailable

Kind = Literal["stream", "device", "recording"]

STREAMS = {"rtsp", "rtsps", "http", "https"}

GSTREAMER, CSI = _redact.PIPELINE, "csi://"

_SCHEME = re.compile(r"gst:|[a-z][a-z0-9+.-]*://", flags=re.IGNORECASE)

redact, scrub, without = _redact.redact, _redact.scrub, _redact.without
_PLAYLIST = re.compile(r"\.(m3u8?|mpd)([?#;]|$)", flags=re.IGNORECASE)


def plain(source: int | str) -> str:
    """Return the name of a source with its scheme in small letters, as FFmpeg and all else here want it."""
    name = str(source)
    scheme = _SCHEME.match(name)
    return f"{scheme[0].lower()}{name[scheme.end() :]}" if scheme else name


def kind(source: int | str) -> Kind:
    """Return the kind of a source: streams and devices are live, a recording is a file or a folder.

    A GStreamer pipeline is a stream: only the pipeline knows whether its device exists.

    Raises:
        SourceUnavailable: a URL of an unknown kind.
    """
    name = plain(source)
    scheme = name.partition("://")[0] if "://" in name else ""
    if name.startswith((GSTREAMER, CSI)):
        return "stream"
    if scheme in STREAMS:
        return "stream"
    if scheme == "v4l2" or name.isdecimal():
        return "device"
    if scheme:
        known = "a camera index, /dev/videoN, v4l2://, csi://, rtsp://, http://, gst:PIPELINE, a file or a folder"
        raise SourceUnavailable("unknown kind of source", where=redact(name), remedy=f"give {known}")
    return "device" if name.startswith("/dev/") and not name.startswith("/dev/shm/") else "recording"  # noqa: S108


def is_segmented(url: str) -> bool:
    """Return whether a stream comes in files of some seconds each, as of HLS and DASH."""
    return bool(_PLAYLIST.search(url))


def devices(source: int | str) -> list[str]:
    """Return the device nodes that a device's name stands for at this moment, the preferred one first.

    A stable name, such as those in /dev/v4l/by-id, is followed to its node; a pattern such as /dev/video* gives all
    that match.
    """
    name = plain(source).removeprefix("v4l2://")
    if name.isdecimal():
        name = f"/dev/video{name}"
    found = [name] if os.path.exists(name) else filter(os.path.exists, glob.glob(name))  # noqa: PTH207 - no Path
    return sorted((os.path.realpath(path) for path in found), key=lambda path: (len(path), path))
