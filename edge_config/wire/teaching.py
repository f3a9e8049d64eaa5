"""Requests that collect pictures to learn from, and that list, judge and delete stored pictures; and their replies."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from edge_config.wire.request_base import CameraName, Request, Role

PictureKind = Literal["peak", "taught", "aside", "held_out"]
"""`peak`: the frame of an alert with the highest score. `taught`: a normal frame, collected while teaching. `aside`: a
frame that a person must judge first. `held_out`: not learnt; scored again whenever the threshold is set."""

Decision = Literal["", "accepted", "rejected", "learnt"]
"""What was decided on a stored picture; empty: nothing yet."""

PICTURE_ID_PATTERN = r"^[0-9]{8}T[0-9]{9}Z-[0-9a-f]{8}\Z"
PictureId = Annotated[
    str, Meta(pattern=PICTURE_ID_PATTERN, description="the id of a stored picture, 20260131T140512345Z-0a1b2c3d")
]
PictureIds = Annotated[tuple[PictureId, ...], Meta(max_length=1000)]

MAX_TEACHING = 5000
"""Maximum number of frames of one teaching."""

MAX_PART_BYTES = 900_000
"""Maximum number of bytes of a stored picture in one reply."""


class StoredPicture(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a stored picture.

    Attributes:
        id: its name in requests and on disk; ids sort by time.
        kind: why it is stored.
        camera: name of the camera.
        time: wall clock at capture, ISO 8601, UTC.
        frame: number of the frame, as in messages.
        score: score of the frame when it was stored.
        threshold: threshold in force then.
        sha256: of the PNG, in hex.
        bytes: size of the PNG.
        alert: id of the alert that it is the peak of; null for other kinds.
        by: public key of the client that collected or judged it, and the person: `KEY for NAME`; empty without.
        decided: what was decided on it; empty: nothing yet.
        boxes: regions of the frame over the threshold, x, y, width, height in pixels, as far as they were known.
    """

    id: str
    kind: PictureKind
    camera: str
    time: str
    frame: int
    score: float
    threshold: float
    sha256: str
    bytes: int
    alert: str | None = None
    by: str = ""
    decided: Decision = ""
    boxes: tuple[tuple[int, int, int, int], ...] = ()


class Teach(Request, frozen=True, tag="teach"):
    """Collect normal frames of a camera from now on, to learn from; it replaces an unfinished collection.

    Only judged frames of a live camera are stored. Those over the threshold, or around an alert, are set aside.

    Attributes:
        camera: name of the camera.
        frames: ends after this number of stored frames; by default 100.
        minutes: ends after this time, minutes; by default when there are enough frames.
        every_ms: minimum time between two frames, milliseconds; by default spread over `minutes`, or 1000.
    """

    camera: CameraName
    frames: Annotated[int, Meta(ge=1, le=MAX_TEACHING)] | None = None
    minutes: Annotated[float, Meta(gt=0, le=20_160)] | None = None
    every_ms: Annotated[int, Meta(ge=0, le=86_400_000)] | None = None


class StopTeaching(Request, frozen=True, tag="stop_teaching"):
    """End the collection of frames of a camera; what was stored stays.

    Attributes:
        camera: name of the camera.
    """

    camera: CameraName


class ListPictures(Request, frozen=True, tag="pictures"):
    """List stored pictures, the oldest first.

    Attributes:
        camera: name of the camera; by default all.
        kinds: only these kinds; by default all.
        undecided: only pictures on which nothing was decided yet.
        after: only pictures with a later id, such as the last one of the reply before; empty: from the first.
        limit: maximum number of pictures of one reply.
    """

    role: ClassVar[Role] = "view"

    camera: CameraName | None = None
    kinds: Annotated[tuple[PictureKind, ...], Meta(max_length=4)] = ()
    undecided: bool = False
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class FetchPicture(Request, frozen=True, tag="fetch_picture"):
    """Return a stored picture as PNG, in parts of at most 900 kB: each is a further frame of its reply.

    Attributes:
        camera: name of the camera.
        picture: id of the picture.
        offset: first byte of the part.
    """

    role: ClassVar[Role] = "view"

    camera: CameraName
    picture: PictureId
    offset: Annotated[int, Meta(ge=0, le=2**40)] = 0


class Accept(Request, frozen=True, tag="accept"):
    """Accept stored pictures as normal: the next learning learns them.

    Attributes:
        camera: name of the camera.
        pictures: their ids.
        all: all pictures that are set aside and not decided on.
    """

    camera: CameraName
    pictures: PictureIds = ()
    all: bool = False


class Reject(Request, frozen=True, tag="reject"):
    """Reject stored pictures: they are never learnt. A rejected peak remains a fault that must be found.

    Attributes:
        camera: name of the camera.
        pictures: their ids.
        all: all pictures that are set aside and not decided on.
    """

    camera: CameraName
    pictures: PictureIds = ()
    all: bool = False


class FalseAlarm(Request, frozen=True, tag="false_alarm"):
    """Mark an alert, open or over, as a false alarm: its peak frame is accepted as normal.

    Attributes:
        camera: name of the camera.
        alert_id: id of the alert.
        score: of the picture that was looked at; refused if no peak with it is stored. By default the highest one.
    """

    camera: CameraName
    alert_id: Annotated[str, Meta(min_length=1, max_length=64)]
    score: float | None = None


class DeletePictures(Request, frozen=True, tag="delete_pictures"):
    """Delete stored pictures and clips from the disk.

    Attributes:
        camera: name of the camera, which may be one of earlier settings.
        all_cameras: those of all cameras, instead of one.
        kinds: only these kinds; by default all.
        pictures: only pictures with these ids; by default all.
    """

    camera: CameraName | None = None
    all_cameras: bool = False
    kinds: Annotated[tuple[PictureKind | Literal["clip"], ...], Meta(max_length=5)] = ()
    pictures: PictureIds = ()


OfTeaching = Teach | StopTeaching | ListPictures | FetchPicture | Accept | Reject | FalseAlarm | DeletePictures


class TeachingState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a collection of frames is.

    Attributes:
        camera: name of the camera.
        state: `running`, or `over`.
        reason: why it is over; empty while it runs.
        wanted: number of frames after which it ends; null if only the time ends it.
        taught: number of frames stored as normal.
        aside: number of frames set aside for a person.
        lost: number of frames that could not be stored.
        every_ms: minimum time between two stored frames, milliseconds.
        ends: wall clock at which it ends, ISO 8601, UTC; null if only the number ends it.
        by: public key of the client that asked for it, and the person that it names: `KEY for NAME`; empty without.
        replaced: it replaced a collection that was not over.
    """

    camera: str
    state: Literal["running", "over"]
    reason: str
    wanted: int | None
    taught: int
    aside: int
    lost: int
    every_ms: int
    ends: str | None
    by: str
    replaced: bool = False


class PictureList(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `ListPictures`.

    Attributes:
        pictures: stored pictures, the oldest first.
        more: there are more than fit into one reply: request those after the last one.
        stored_bytes: size of all stored pictures, of all cameras.
        most_bytes: their maximum size; `learning.most_mb`.
    """

    pictures: tuple[StoredPicture, ...]
    more: bool
    stored_bytes: int
    most_bytes: int


class PicturePart(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `FetchPicture`: the bytes from `offset` on are a further frame of it.

    Attributes:
        picture: what is known of the picture.
        offset: first byte of the part.
        size: size of the whole PNG, bytes.
    """

    picture: StoredPicture
    offset: int
    size: int


class PicturesJudged(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Accept` and `Reject`.

    Attributes:
        camera: name of the camera.
        changed: number of pictures that were decided otherwise before.
        undecided: number of pictures set aside that a person has not decided on yet.
    """

    camera: str
    changed: int
    undecided: int


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `FalseAlarm`.

    Attributes:
        camera: name of the camera.
        picture: the accepted peak of the alert.
        open: the alert is not over.
    """

    camera: str
    picture: StoredPicture
    open: bool


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `DeletePictures`.

    Attributes:
        pictures: number of deleted pictures.
        clips: number of deleted clips.
        freed_bytes: their size.
    """

    pictures: int
    clips: int
    freed_bytes: int


REPLIES: dict[str, type[msgspec.Struct]] = {
    "teach": TeachingState,
    "pictures": PictureList,
    "fetch_picture": PicturePart,
    "accept": PicturesJudged,
    "false_alarm": Marked,
    "delete_pictures": Deleted,
}
