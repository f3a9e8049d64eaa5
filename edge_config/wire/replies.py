"""Replies of a running device to requests: types and encoding.

A reply is one ZeroMQ message, JSON in UTF-8: the envelope `Answer`, whose `reply` is one of the types below. Binary
parts are further frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal, TypeVar

import msgspec

from edge_config.errors import MessageError, RequestError
from edge_config.wire import candidates, configure, fetch, inspect, learning, upkeep
from edge_config.wire.configure import InForce as InForce  # noqa: PLC0414 - clients import it from here
from edge_config.wire.messages import AlertMessage, State, StateMessage
from edge_config.wire.request_base import SCHEMA
from edge_config.wire.requests import AnyRequest

_BUSY = ("too many requests", "busy: ", "wait for an answer", "is stopping")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of every reply.

    Attributes:
        schema: name and version of the protocol, "patchedge.control.v1".
        id: the id of the request.
        ok: whether the request was done.
        reply: payload, as JSON; absent if the request was refused.
        error: why the request was refused, one line; absent if it was done.
        denied: true if the client's key lacks the role, so a retry is no use; else absent.
    """

    schema: Literal["patchedge.control.v1"]
    ok: bool
    id: str = ""
    reply: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    error: str = ""
    denied: bool = False

    @property
    def is_busy(self) -> bool:
        """Whether a retry may succeed a moment later."""
        return not self.ok and any(words in self.error for words in _BUSY)


class CameraState(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Pause` and `Resume`.

    Attributes:
        camera: name of the camera.
        state: its current state.
        reason: reason for the state, in a few words.
    """

    camera: str
    state: State
    reason: str


class PictureTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Picture`.

    Attributes:
        camera: name of the camera.
        frame_id: number of the frame, as in messages.
        t_capture_ns: wall clock at capture, nanoseconds since 1970 UTC.
        width: width of the picture, pixels.
        height: height of the picture, pixels.
    """

    camera: str
    frame_id: int
    t_capture_ns: int
    width: int
    height: int


class CameraNow(msgspec.Struct, frozen=True, kw_only=True):
    """The latest messages about a camera.

    Attributes:
        state: the last state message; null before the first.
        alert: the last message of the open alert; null if none is open.
        alert_seq: `seq` of the last message in its alert topic, 0 before the first.
        state_seq: `seq` of the last message in its state topic, 0 before the first.
    """

    state: StateMessage | None
    alert: AlertMessage | None
    alert_seq: int
    state_seq: int


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Snapshot`: `cameras` by name.

    Attributes:
        device: name of the device.
        epoch: UUID of this start of the runtime.
        row: row of the journal up to which this is current; `After` returns newer messages.
        cameras: the cameras, by name.
    """

    device: str
    epoch: str
    row: int = 0
    cameras: dict[str, CameraNow]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message: the same bytes that were published.

    Attributes:
        topic: its topic.
        message: its JSON.
        parts: number of further frames of the reply that belong to it.
        row: its row in the journal.
    """

    topic: str
    message: msgspec.Raw
    parts: int = 0
    row: int = 0


class KeptMessages(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `After`, `Replay` and `Pending`; binary parts of the messages, in order, are further frames of it.

    Attributes:
        messages: the messages, in the order of publishing.
        more: there are more messages than fit into one reply: request those after the last one.
        next: `row` of the next `After`, `after` of the next `Pending`.
        epoch: `epoch` of the next `After`.
        complete: whether all requested messages are still there; false: some were deleted.
    """

    messages: tuple[Kept, ...]
    more: bool
    next: int = 0
    epoch: str = ""
    complete: bool = True


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Ack`.

    Attributes:
        known: whether the journal has the alert; it may have been deleted.
    """

    known: bool


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Forget`.

    Attributes:
        known: whether there was such a subscriber.
    """

    known: bool


_encoder = msgspec.json.Encoder()
_answers = msgspec.json.Decoder(Answer)
_Payload = TypeVar("_Payload")


def encode_reply(request_id_: str, payload: Any) -> bytes:
    """Encode the reply to a request that was done: `payload` is a struct or a value that JSON can hold."""
    return _encoder.encode({"schema": SCHEMA, "id": request_id_, "ok": True, "reply": payload})


def encode_refusal(request_id_: str, error: str, *, denied: bool = False) -> bytes:
    """Encode the reply to a request that was refused; `error` is one line, `denied` as in `Answer`."""
    more = {"denied": True} if denied else {}
    return _encoder.encode({"schema": SCHEMA, "id": request_id_, "ok": False, "error": error, **more})


def decode_answer(body: bytes) -> Answer:
    """Decode the envelope of a reply.

    Raises:
        MessageError: not JSON, of another version, or with an invalid field.
    """
    try:
        return _answers.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"invalid reply ({error})", remedy=f"expected {SCHEMA}") from error


def read_reply(answer: Answer, kind: type[_Payload]) -> _Payload:
    """Decode the payload of a reply, such as a `Now`.

    Raises:
        RequestError: the device refused the request.
        MessageError: the payload is of another type.
    """
    if not answer.ok:
        raise RequestError(answer.error)
    try:
        return msgspec.json.decode(answer.reply, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"damaged reply ({error})") from error


def kept_frames(kept: KeptMessages, parts: Sequence[bytes]) -> list[list[bytes]]:
    """Return the frames of each message as they were published.

    Args:
        kept: the reply.
        parts: the further frames that it came with.

    Raises:
        MessageError: there are not as many parts as the reply says.
    """
    if sum(max(0, one.parts) for one in kept.messages) != len(parts):
        raise MessageError(f"a reply with {len(parts)} binary parts, it lists others")
    rest = iter(parts)
    return [
        [one.topic.encode("ascii", "replace"), bytes(one.message), *islice(rest, one.parts)] for one in kept.messages
    ]


def json_schemas() -> dict[str, Any]:
    """Return the JSON Schemas of requests, of the envelope of replies, and of its payloads, by name."""
    kinds = {
        "request": AnyRequest,
        "reply": Answer,
        "snapshot": Now,
        "messages": KeptMessages,
        "ack": Acknowledged,
        "forget": Forgotten,
        "pause": CameraState,
        "picture": PictureTaken,
        **configure.REPLIES,
        **fetch.REPLIES,
        **inspect.REPLIES,
        **upkeep.REPLIES,
        **learning.REPLIES,
        **candidates.REPLIES,
    }
    return {f"{SCHEMA} {name}": msgspec.json.schema(kind) for name, kind in kinds.items()}
