"""Requests to a running device, and their replies: types and encoding.

A request is one ZeroMQ message of a REQ or DEALER socket, JSON in UTF-8 of at most 64 KB:
`{"schema": "patchedge.control.v1", "request": "reload", "camera": "top"}`. Every request gets one reply. Unlike the
messages of `message.py`, requests with a field that is not known are refused: an order that is half understood is
worse than none.

To add a request: a struct here with the role that it needs, its place in `AnyRequest`, and an answer in the main loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta

from edge_config.errors import MessageError, RequestError
from edge_config.wire.messages import NAME_PATTERN, AlertMessage, State, StateMessage

SCHEMA: Final = "patchedge.control.v1"
DEFAULT_CONTROL = "tcp://127.0.0.1:5557"
MAX_REQUEST_BYTES = 65536

_MAX_SAID = 300  # characters of what is wrong with a request

Role = Literal["view", "operate"]
"""What a client's key may ask for: `view` changes nothing but its own acknowledgements, `operate` may ask for all."""

SubscriberName = Annotated[str, Meta(pattern=NAME_PATTERN, max_length=64)]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="request"):
    """What every request says.

    Attributes:
        role: that the key of who asks must have.
        schema: "patchedge.control.v1".
        id: comes back in the reply, for those who ask several things at once.
    """

    role: ClassVar[Role] = "operate"

    schema: Literal["patchedge.control.v1"] = SCHEMA
    id: Annotated[str, Meta(max_length=128)] = ""


class Status(Request, frozen=True, tag="status"):
    """How is it going?"""

    role: ClassVar[Role] = "view"


class Reload(Request, frozen=True, tag="reload"):
    """Load a bundle and put it into service; a bad one leaves the old one running.

    Attributes:
        camera: of which camera; by default of all.
        path: of the bundle, on the device; by default the one in service, read anew.
    """

    camera: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    path: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


CameraName = Annotated[str, Meta(min_length=1, max_length=64)]


class Configure(Request, frozen=True, tag="configure"):
    """Change when the scores of a camera make an alert, from the next frame on, until the runtime ends.

    Attributes:
        camera: of which camera.
        alerts: those keys of its section `alerts` that change, as in the settings; a `threshold` of null is the
            bundle's. Without any the reply just says what is in force.
    """

    camera: CameraName
    alerts: Annotated[dict[str, Any], Meta(max_length=64)] = {}


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Configure`: what is in force from the next frame on.

    Attributes:
        camera: of which camera.
        threshold: a score above it is anomalous; 0 before there is a bundle.
        alerts: its whole section `alerts`.
    """

    camera: str
    threshold: float
    alerts: dict[str, Any]


class Pause(Request, frozen=True, tag="pause"):
    """Close a camera and look at no more of it, until `Resume` or the end of the runtime. An open alert ends.

    Attributes:
        camera: which.
    """

    camera: CameraName


class Resume(Request, frozen=True, tag="resume"):
    """Go on with a camera that is paused; its state stays so until it is open, or is known not to open.

    Attributes:
        camera: which.
    """

    camera: CameraName


class CameraState(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Pause` and `Resume`: the state of the camera now, and why."""

    camera: str
    state: State
    reason: str


class Picture(Request, frozen=True, tag="picture"):
    """Show a camera as it is now: its next frame, as a JPEG, which is the further frame of the reply.

    Attributes:
        camera: which.
        width: pixels; a wider frame is reduced.
        quality: of the JPEG; where it would be larger than 900 kB the picture is made smaller instead.
    """

    role: ClassVar[Role] = "view"

    camera: CameraName
    width: Annotated[int, Meta(ge=16, le=8192)] = 1280
    quality: Annotated[int, Meta(ge=1, le=100)] = 85


class PictureTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Picture`.

    Attributes:
        camera: which.
        frame_id: as in messages.
        t_capture_ns: when the frame was grabbed, nanoseconds since 1970 UTC.
        width, height: of the picture, pixels.
    """

    camera: str
    frame_id: int
    t_capture_ns: int
    width: int
    height: int


class Snapshot(Request, frozen=True, tag="snapshot"):
    """What is the case now? For those who join late.

    Attributes:
        camera: of which camera; by default of all.
    """

    role: ClassVar[Role] = "view"

    camera: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class CameraNow(msgspec.Struct, frozen=True, kw_only=True):
    """What subscribers of a camera have been told.

    Attributes:
        state: the last state message; null before the first.
        alert: the last message of the open alert; null if none is open.
        alert_seq, state_seq: `seq` of the last message in each topic, 0 before the first.
    """

    state: StateMessage | None
    alert: AlertMessage | None
    alert_seq: int
    state_seq: int


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Snapshot`: `cameras` by name; `epoch` is of the runtime that answers."""

    device: str
    epoch: str
    cameras: dict[str, CameraNow]


class Replay(Request, frozen=True, tag="replay"):
    """Say again what was said in a topic: from `from_seq` of `epoch` on, and all that came later, in its order.

    Attributes:
        topic: of alerts or states, v1/alert/DEVICE/CAMERA/.
        epoch: start of the runtime that `from_seq` was counted in; empty: from the first message that is left.
        from_seq: first message that is wanted.
        limit: most messages of one reply.
    """

    role: ClassVar[Role] = "view"

    topic: Annotated[str, Meta(min_length=1, max_length=256)]
    epoch: Annotated[str, Meta(max_length=64)] = ""
    from_seq: Annotated[int, Meta(ge=1, le=2**63 - 1)] = 1
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Pending(Request, frozen=True, tag="pending"):
    """Give the alert messages that a subscriber has not acknowledged. Who asks is known from then on.

    Attributes:
        subscriber: its name.
        after: only what follows this place of the journal: `next` of the last reply, 0 at first.
        limit: most messages of one reply.
    """

    role: ClassVar[Role] = "view"

    subscriber: SubscriberName
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A message out of the journal: the bytes are those that were published.

    Attributes:
        topic: as published.
        message: as published.
        parts: so many further frames of the reply belong to it.
    """

    topic: str
    message: msgspec.Raw
    parts: int = 0


class KeptMessages(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Replay` and `Pending`; the binary parts of all messages, in order, are further frames of the reply.

    Attributes:
        messages: in the order of publishing.
        more: there are more than one reply may hold: ask again, from behind the last one.
        next: `after` of the next `Pending`.
        complete: nothing before these was thrown away that was asked for.
    """

    messages: tuple[Kept, ...]
    more: bool
    next: int = 0
    complete: bool = True


class Ack(Request, frozen=True, tag="ack"):
    """Acknowledge an alert, up to one of its messages; without `epoch` and `seq` all that was published of it so far.

    Attributes:
        subscriber: who has it safe.
        alert_id: of the alert.
        epoch, seq: of the message.
    """

    role: ClassVar[Role] = "view"

    subscriber: SubscriberName
    alert_id: Annotated[str, Meta(min_length=1, max_length=64)]
    epoch: Annotated[str, Meta(max_length=64)] = ""
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Ack`: `known` tells whether the journal has such an alert (it may be too old)."""

    known: bool


class ReportGap(Request, frozen=True, tag="report_gap"):
    """Tell the device that messages did not arrive: it counts them.

    Attributes:
        topic: of the messages.
        missed: how many.
        subscriber: who misses them, if it has a name.
    """

    role: ClassVar[Role] = "view"

    topic: Annotated[str, Meta(min_length=1, max_length=256)]
    missed: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    subscriber: SubscriberName | None = None


class Forget(Request, frozen=True, tag="forget"):
    """Forget a subscriber: nothing is kept for it any more, and its name is free for another key.

    Should the name come back, it begins anew, with all alerts that the journal holds.

    Attributes:
        subscriber: its name.
    """

    subscriber: SubscriberName


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """Reply to `Forget`: `known` tells whether there was such a name."""

    known: bool


AnyRequest = (
    Status | Reload | Snapshot | Replay | Pending | Ack | ReportGap | Forget | Configure | Pause | Resume | Picture
)

OfJournal = Replay | Pending | Ack | Forget
"""What the journal answers; all else is the main loop's."""

REQUESTS: tuple[str, ...] = tuple(kind.__struct_config__.tag for kind in get_args(AnyRequest))
"""What can be asked, by name."""


def name_of(request: Request) -> str:
    """Return what a request is called, such as `reload`."""
    return str(type(request).__struct_config__.tag)


class _Header(msgspec.Struct):
    """What is read first, to tell another version from a mistake."""

    schema: str
    id: Annotated[str, Meta(max_length=128)] = ""


_requests: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
_headers = msgspec.json.Decoder(_Header)
_encoder = msgspec.json.Encoder()


def decode_request(body: bytes) -> AnyRequest:
    """Read a request.

    Raises:
        RequestError: too long, not JSON, of another version, unknown, or with a wrong field.
    """
    if len(body) > MAX_REQUEST_BYTES:
        raise RequestError(f"a request of {len(body)} bytes, {MAX_REQUEST_BYTES} are allowed")
    try:
        schema = _headers.decode(body).schema
        if schema != SCHEMA:
            raise RequestError(f"unknown schema `{schema[:80]}`", remedy=f"this version answers {SCHEMA}")
        return _requests.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # ValidationError is a DecodeError
        known = f"known here: {', '.join(REQUESTS)}"
        raise RequestError(f"not a request that is understood ({_short(error)})", remedy=known) from error


_NAME_SAID = f"`str` matching regex {NAME_PATTERN!r}"
"""How msgspec says what a name may be."""


def _short(error: Exception) -> str:
    """Say what is wrong, without all that a stranger wrote."""
    text = str(error).replace(_NAME_SAID, "letters, digits, _ and - only")
    return text if len(text) <= _MAX_SAID else f"{text[: _MAX_SAID // 2]}...{text[-_MAX_SAID // 2 :]}"


def request_id(body: bytes) -> str:
    """Return the id of what may be a bad request; empty if there is none to be read."""
    try:
        return _headers.decode(body[:MAX_REQUEST_BYTES]).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def encode_reply(request_id_: str, payload: Any) -> bytes:
    """Make the reply to a request that was done: `payload` is a struct or what JSON can hold."""
    return _encoder.encode({"schema": SCHEMA, "id": request_id_, "ok": True, "reply": payload})


def encode_refusal(request_id_: str, error: str, *, denied: bool = False) -> bytes:
    """Return the reply to a request that was not done; `error` is one line, `denied` as in `Answer`."""
    more = {"denied": True} if denied else {}
    return _encoder.encode({"schema": SCHEMA, "id": request_id_, "ok": False, "error": error, **more})


def json_schemas() -> dict[str, Any]:
    """Return the JSON Schemas of requests, of the envelope of replies, and of what the envelope holds, by name."""
    kinds = {
        "request": AnyRequest,
        "reply": Answer,
        "snapshot": Now,
        "messages": KeptMessages,
        "ack": Acknowledged,
        "forget": Forgotten,
        "configure": InForce,
        "pause": CameraState,
        "picture": PictureTaken,
    }
    return {f"{SCHEMA} {name}": msgspec.json.schema(kind) for name, kind in kinds.items()}


# What follows is for those who ask.

_BUSY = ("too many requests", "wait for an answer", "is stopping")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of every reply.

    Attributes:
        schema: "patchedge.control.v1".
        id: that of the request.
        ok: it was done.
        reply: what it asked for, as JSON; null if it was not done.
        error: why it was not done, one line; empty if it was.
        denied: the key of who asks may not have it done, and to ask again is no use.
    """

    schema: Literal["patchedge.control.v1"]
    ok: bool
    id: str = ""
    reply: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    error: str = ""
    denied: bool = False

    @property
    def is_busy(self) -> bool:
        """Whether the same request may well be answered a moment later."""
        return not self.ok and any(words in self.error for words in _BUSY)


_answers = msgspec.json.Decoder(Answer)
_Payload = TypeVar("_Payload")


def encode_request(request: Request) -> bytes:
    """Make the bytes of a request."""
    return _encoder.encode(request)


def decode_answer(body: bytes) -> Answer:
    """Read the envelope of a reply.

    Raises:
        MessageError: not JSON, of another version, or with a wrong field.
    """
    try:
        return _answers.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"not a reply that is understood ({error})", remedy=f"expected {SCHEMA}") from error


def read_reply(answer: Answer, kind: type[_Payload]) -> _Payload:
    """Read what was asked for, such as a `Now`.

    Raises:
        RequestError: the device did not do it.
        MessageError: it is not what such a request is answered by.
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
