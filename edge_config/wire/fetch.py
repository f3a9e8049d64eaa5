"""Request that reads a file of the device in parts, and its reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from edge_config.wire.request_base import CameraName, Request, Role

MAX_CLIP_PART_BYTES = 512 * 1024
"""Maximum number of bytes of a clip in one reply."""

CLIP_PATTERN = r"^[A-Za-z0-9_-]{1,160}\.avi\Z"
ClipName = Annotated[
    str, Meta(pattern=CLIP_PATTERN, description="the name of a clip, as `clip` of an alert message gives it")
]


class FetchClip(Request, frozen=True, tag="fetch"):
    """Return the clip of an alert, in parts of at most 512 KiB: each is a further frame of its reply.

    Attributes:
        camera: name of the camera.
        clip: name of the clip.
        offset: first byte of the part.
    """

    role: ClassVar[Role] = "view"

    camera: CameraName
    clip: ClipName
    offset: Annotated[int, Meta(ge=0, le=2**40)] = 0


class ClipPart(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `FetchClip`: the bytes from `offset` on are a further frame of it.

    Attributes:
        camera: name of the camera.
        clip: name of the clip.
        offset: first byte of the part.
        size: size of the whole clip, bytes.
        sha256: of the whole clip, in hex.
    """

    camera: str
    clip: str
    offset: int
    size: int
    sha256: str


OfFiles = FetchClip
"""All requests that read files."""

REPLIES: Mapping[str, type[msgspec.Struct]] = {"fetch": ClipPart}
"""Name of a request -> the type of its reply."""
