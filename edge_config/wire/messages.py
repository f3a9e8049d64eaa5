"""Published messages: topics, message types, and their encoding.

A message is a ZeroMQ multipart: frame 0 the topic `v1/<kind>/<device>/<camera>/` in ASCII, frame 1 JSON in
UTF-8 of less than 2 KB. Further frames are binary parts, which an alert or a preview lists in `parts`. A topic ends in
`/` because subscriptions match prefixes: without it `cam1` would match `cam10`. Readers ignore unknown fields, so
that old readers keep working.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from edge_config.errors import MessageError

WIRE_VERSION = "v1"
MAX_JSON_BYTES = 2048
DEFAULT_EVENTS = "tcp://127.0.0.1:5556"

NAME_PATTERN = r"^[A-Za-z0-9_-]+\Z"
"""Of names of devices and cameras, which are levels of a topic."""

Kind = Literal["score", "alert", "state", "health", "preview"]
Label = Literal["normal", "anomalous", "unknown"]
State = Literal["starting", "live", "stalled", "frozen", "dark", "blurred", "moved", "disconnected", "failed", "paused"]
"""State of a camera. `starting`: no frame yet. `live`: it delivers pictures that can be judged. `stalled`: it is open,
but delivers nothing, or nothing is scored. `frozen`, `dark` (or blinding), `blurred` (or covered), `moved`: it delivers
pictures that cannot be judged. `disconnected`: it is absent, or a recording has ended. `failed`: a failure that needs
manual repair. `paused`: closed by a request."""
Phase = Literal["start", "update", "end"]
JournalState = Literal["on", "memory", "off"]
Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of every message.

    Attributes:
        schema: kind and version, such as "patchedge.score.v1".
        device: name of the device.
        camera: name of the camera.
        epoch: UUID of this start of the runtime; `seq` is comparable only within one epoch.
        seq: number of the message in its topic, from 1; a gap means lost messages.
        t_publish_ns: wall clock at publishing, nanoseconds since 1970 UTC.
        bundle: sha256 of the manifest of the bundle in service, 64 hex digits; empty before there is one.
        state: state of the camera.
        degraded: degradation level, 0 to 3; 0 is none.
    """

    schema: str
    device: str
    camera: str
    epoch: str
    seq: int
    t_publish_ns: Nanoseconds
    bundle: str
    state: State
    degraded: int = 0


class _OfFrame(Message, frozen=True, kw_only=True):
    """Fields of every message about one frame.

    Attributes:
        frame_id: number of the frame at its source, from 1; a gap means frames that a live source dropped.
        t_capture_ns: wall clock at capture, nanoseconds since 1970 UTC.
        t_mono_ns: monotonic clock of the device at capture, nanoseconds.
        age_ms: time from capture to publishing, milliseconds.
        score: anomaly score of the frame, at least 0; null if the frame could not be scored.
        threshold: scores above it are anomalous.
        label: normal, anomalous, or unknown if the frame was not scored or cannot be judged.
        peak_xy: pixel [x, y] of the camera frame with the highest patch score; null without a score.
        excess: (score - threshold) / (threshold - median of the held-out normal scores): 0 at the threshold, comparable
            between cameras and bundles; null without a score, or where the median is not below the threshold.
        p_value: share of normal pictures that score at least as high, an upper bound from the held-out ones: at least
            1 / (n + 1) of n; null without a score.
    """

    frame_id: int
    t_capture_ns: Nanoseconds
    t_mono_ns: Nanoseconds
    age_ms: float
    score: float | None
    threshold: float
    label: Label
    peak_xy: tuple[int, int] | None
    excess: float | None = None
    p_value: float | None = None


class ScoreMessage(_OfFrame, frozen=True, kw_only=True):
    """One scored frame.

    Attributes:
        repeated: true if the frame is identical to the last scored one, pixel by pixel, and has its score; it was not
            scored again and does not count for alerts. Absent otherwise.
    """

    repeated: bool | msgspec.UnsetType = msgspec.UNSET


Box = tuple[int, int, int, int]
"""x and y of the upper left corner, width and height: pixels of the camera frame."""

MAX_BOXES = 16


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A binary part of a message; the parts are further frames, in this order.

    Attributes:
        name: `jpeg`, a picture of the frame; `heat_map`, patch distances of the frame, one pixel per patch.
        media_type: image/jpeg; image/png for the heat map of an alert; application/octet-stream, numbers row by row,
            for that of a preview (uint8, percent of the threshold) and of alerts of earlier versions (float32,
            little-endian).
        dtype: type of the numbers or pixels, such as uint16.
        shape: rows and columns of the numbers or pixels.
        area: box of the camera frame that they cover; null: all of it.
        min: patch distance of the pixel value 0 of a heat map.
        max: patch distance of the pixel value 65,535 of a heat map.
    """

    name: str
    media_type: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    area: Box | None = None
    min: float | None = None
    max: float | None = None


class AlertMessage(_OfFrame, frozen=True, kw_only=True):
    """An alert begins, reaches a new peak (update) or ends. Its fields about a frame are of the latest frame.

    Attributes:
        alert_id: UUID, the same in all phases of one alert.
        phase: start, update or end.
        peak_score: highest score of the alert so far.
        peak_excess: `excess` of that score, which alerts are ranked by; null where there is none.
        peak_frame_id: `frame_id` of the frame with that score.
        peak_frame_xy: pixel [x, y] of that frame with the highest patch score.
        boxes: regions of that frame over the threshold, largest patch distance first, at most 16.
        t_start_ns: wall clock at capture of the first frame of the alert, nanoseconds since 1970 UTC.
        reason: why it ended, such as "normal again"; empty before.
        clip: name of the clip on the device, which other alerts may share; empty without. If the alert continues in
            another clip, the name of that one.
        parts: the further frames of the message.
    """

    alert_id: str
    phase: Phase
    peak_score: float
    peak_frame_id: int
    peak_frame_xy: tuple[int, int] | None = None
    peak_excess: float | None = None
    boxes: tuple[Box, ...] = ()
    t_start_ns: Nanoseconds = 0
    reason: str = ""
    clip: str = ""
    parts: tuple[Part, ...] = ()


class PreviewMessage(_OfFrame, frozen=True, kw_only=True):
    """What a camera sees, a few times a second; made only while somebody subscribes to it by name.

    Attributes:
        boxes: regions of the frame over the threshold, largest patch distance first, at most 16.
        frame_hw: height and width of the frame, pixels.
        parts: `jpeg`, the frame in at most 640 pixels of width and 100 kB; and, if the frame has a score, `heat_map`:
            for each patch the percent of the threshold, 100 at it, at most 255. Below 100 a value may be too high.
    """

    boxes: tuple[Box, ...] = ()
    frame_hw: tuple[int, int]
    parts: tuple[Part, ...] = ()


class StateMessage(Message, frozen=True, kw_only=True):
    """The state of a camera has changed.

    Attributes:
        reason: why, in a few words, such as "end of recording".
    """

    reason: str


class HealthMessage(Message, frozen=True, kw_only=True):
    """A heartbeat: the device is alive, and its latest messages have these numbers; clients that have fewer lost some.

    Attributes:
        heartbeat_s: time until the next heartbeat at most, seconds.
        alert_seq: `seq` of the last message in the camera's alert topic, 0 before the first.
        state_seq: `seq` of the last message in the camera's state topic, 0 before the first.
        journal: `on`: alerts and states are written to disk before they are published. `memory`: the disk fails, and
            they are held in memory until it works; a restart loses them. `off`: disabled by the settings.
        journal_reason: why it is in memory, in a few words, such as "database or disk is full"; else empty.
        drift: how normal frames differ from what was learnt, in a few words, such as "normal frames score higher than
            learnt"; absent if they do not. It is never about a single frame.
        drift_since_ns: since when they differ, wall clock, nanoseconds since 1970 UTC; absent if they do not.
        burn_in_left_s: a burn-in runs, and no alert is raised: time that is still to be watched, seconds. Absent
            otherwise.
    """

    heartbeat_s: float
    alert_seq: int
    state_seq: int
    journal: JournalState
    journal_reason: str = ""
    drift: str | msgspec.UnsetType = msgspec.UNSET
    drift_since_ns: Nanoseconds | msgspec.UnsetType = msgspec.UNSET
    burn_in_left_s: float | msgspec.UnsetType = msgspec.UNSET


AnyMessage = ScoreMessage | AlertMessage | StateMessage | HealthMessage | PreviewMessage

TYPES: dict[Kind, type[Message]] = {
    "score": ScoreMessage,
    "alert": AlertMessage,
    "state": StateMessage,
    "health": HealthMessage,
    "preview": PreviewMessage,
}

JOURNALED: tuple[Kind, ...] = ("alert", "state")
"""Kinds of messages that are written to the journal before they are published, and can be replayed."""

_encoder = msgspec.json.Encoder()
_decoders: dict[str, msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(type_) for kind, type_ in TYPES.items()}


def topic(kind: Kind, device: str, camera: str) -> str:
    """Name the topic of a kind of message of one camera, such as `v1/score/edge/cam1/`."""
    return f"{WIRE_VERSION}/{kind}/{device}/{camera}/"


def topic_prefix(kind: Kind, device: str | None = None, camera: str | None = None) -> str:
    """Name the subscription that covers a kind, a device or one camera; a camera needs its device.

    Raises:
        ValueError: a camera without a device has no common prefix.
    """
    if camera is not None and device is None:
        raise ValueError("a camera can be subscribed to only together with its device")
    names = [name for name in (WIRE_VERSION, kind, device, camera) if name is not None]
    return "/".join(names) + "/"


def schema_name(kind: Kind) -> str:
    """Name the schema of a kind of message, as its `schema` field says it."""
    return f"patchedge.{kind}.{WIRE_VERSION}"


def encode(topic_: str, message: Message, parts: Sequence[bytes] = ()) -> list[bytes]:
    """Make the frames of a message; `parts` are those that it lists.

    Raises:
        MessageError: the JSON would not stay below 2 KB.
    """
    body = _encoder.encode(message)
    if len(body) >= MAX_JSON_BYTES:
        raise MessageError(f"message of {len(body)} bytes, the wire allows {MAX_JSON_BYTES - 1}", where=topic_)
    return [topic_.encode("ascii"), body, *parts]


def decode(frames: Sequence[bytes]) -> tuple[str, AnyMessage]:
    """Read topic and message from the frames of a multipart.

    Raises:
        MessageError: not a multipart of this version, or JSON that does not match its kind.
    """
    try:
        topic_, body = bytes(frames[0]).decode("ascii"), frames[1]
        version, kind, _device, _camera, end = topic_.split("/")
        decoder = _decoders[kind] if version == WIRE_VERSION and not end else None
    except (IndexError, KeyError, ValueError) as error:
        raise MessageError("not a patchedge message", where=repr(bytes(frames[0])[:80]) if frames else "") from error
    if decoder is None:
        raise MessageError("not a message of this version", where=topic_, remedy=f"expected {WIRE_VERSION}/...")
    try:
        message: AnyMessage = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # ValidationError is a DecodeError
        raise MessageError(f"damaged message ({error})", where=topic_) from error
    return topic_, message


def json_schemas() -> dict[str, Any]:
    """Return the JSON Schema of every kind of message, by its name."""
    return {schema_name(kind): msgspec.json.schema(type_) for kind, type_ in TYPES.items()}
