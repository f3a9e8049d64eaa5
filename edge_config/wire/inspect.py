"""Request that has one picture judged, and its reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from edge_config.wire.messages import Box, Part
from edge_config.wire.request_base import CameraName, Request, Role

MAX_PICTURE_BYTES = 36_000_000
"""Maximum number of bytes of a picture, 12 million pixels."""

MAX_PICTURE_PART_BYTES = 1 << 17
"""Maximum number of bytes of a picture in one request: more would disconnect the client."""

Size = Annotated[int, Meta(ge=1, le=65_535)]


class InspectPicture(Request, frozen=True, tag="inspect"):
    """Judge a picture by the bundle in service of a camera; nothing of the camera changes. It is sent in parts.

    Each part is the second frame of its request, at most 128 KiB. All are uncompressed pixels, rows from the top, three
    bytes each: blue, green, red. At most 36,000,000 bytes, one picture at a time.

    Attributes:
        camera: name of the camera.
        height: height of the picture, pixels.
        width: width of the picture, pixels.
        offset: first byte of the part; 0 begins a picture.
        upload: name of the picture, chosen by the client, the same for all its parts.
    """

    role: ClassVar[Role] = "operate"
    has_part: ClassVar[bool] = True

    camera: CameraName
    height: Size
    width: Size
    offset: Annotated[int, Meta(ge=0, le=MAX_PICTURE_BYTES)] = 0
    upload: Annotated[str, Meta(max_length=64)] = ""

    @property
    def size(self) -> int:
        """Number of bytes of the whole picture."""
        return self.height * self.width * 3


class PictureVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a camera's bundle says of a picture.

    Attributes:
        camera: name of the camera.
        bundle: sha256 of the manifest of the bundle in service.
        score: anomaly score, at least 0.
        threshold: threshold of the camera; scores above it are anomalous.
        label: normal or anomalous.
        excess: as in score messages.
        p_value: as in score messages.
        peak_xy: pixel [x, y] of the picture with the highest patch score.
        boxes: regions over the threshold, largest patch distance first, at most 16.
        frame_hw: height and width of the picture, pixels.
        parts: `heat_map`, as in previews: the further frame of the reply.
    """

    camera: str
    bundle: str
    score: float
    threshold: float
    label: Literal["normal", "anomalous"]
    excess: float | None
    p_value: float | None
    peak_xy: tuple[int, int]
    boxes: tuple[Box, ...]
    frame_hw: tuple[int, int]
    parts: tuple[Part, ...]


class PictureReceived(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `InspectPicture`.

    Attributes:
        received: number of bytes of the picture so far: `offset` of its next part.
        verdict: of the whole picture, after its last part; null before.
    """

    received: int
    verdict: PictureVerdict | None = None


OfPictures = InspectPicture
"""All requests that have a picture judged."""

REPLIES: Mapping[str, type[msgspec.Struct]] = {"inspect": PictureReceived}
"""Name of a request -> the type of its reply."""
