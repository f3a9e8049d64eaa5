"""Requests to a running device: types and encoding. Their replies are in `replies.py`.

A request is one ZeroMQ message of a REQ or DEALER socket, JSON in UTF-8 of at most 64 KB:
`{"schema": "patchedge.control.v1", "request": "reload", "camera": "top"}`. Every request gets one reply. Unlike
published messages, requests with an unknown field are refused: half of an order is worse than none.

To add a request: a struct here with the role that it needs, its place in `AnyRequest`, the type of its reply in
`replies.py`, and an answer in `runtime/app/answer_requests.py`, or in `runtime/journal/answers.py` if it is one
`OfJournal`. Those about learning on the device are in `learning.py`, those about settings in `configure.py`, those that
read files in `fetch.py`, that about a picture in `inspect.py`, those with which a person looks after a device in
`upkeep.py`, and those about a bundle that a fleet brings in `candidates.py`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, get_args

import msgspec
from msgspec import Meta

from edge_config.errors import RequestError
from edge_config.wire.candidates import OfCandidates
from edge_config.wire.configure import Configure as Configure  # noqa: PLC0414 - clients import it from here
from edge_config.wire.configure import OfSettings
from edge_config.wire.fetch import OfFiles
from edge_config.wire.inspect import OfPictures
from edge_config.wire.learning import OfLearning
from edge_config.wire.messages import NAME_PATTERN
from edge_config.wire.request_base import SCHEMA, USER_PATTERN, CameraName, Request, Role, SubscriberName
from edge_config.wire.upkeep import OfUpkeep, ReadOrders

DEFAULT_CONTROL = "tcp://127.0.0.1:5557"
MAX_REQUEST_BYTES = 65536

_MAX_REASON = 200  # characters of the reason why a request is refused


class Status(Request, frozen=True, tag="status"):
    """Return the status of the device and its cameras."""

    role: ClassVar[Role] = "view"


class Reload(Request, frozen=True, tag="reload"):
    """Reload a bundle; if the new one is refused, the old one stays in service.

    Attributes:
        camera: name of the camera; by default all.
        path: path of the bundle on the device; by default that of the bundle in service.
    """

    camera: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    path: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


class Pause(Request, frozen=True, tag="pause"):
    """Close a camera until `Resume` or the end of the runtime. An open alert ends.

    Attributes:
        camera: name of the camera.
    """

    camera: CameraName


class Resume(Request, frozen=True, tag="resume"):
    """Reopen a paused camera; it stays `paused` until it is open or has failed to open.

    Attributes:
        camera: name of the camera.
    """

    camera: CameraName


class Picture(Request, frozen=True, tag="picture"):
    """Return the next frame of a camera as a JPEG, in a further frame of the reply.

    Attributes:
        camera: name of the camera.
        width: maximum width, pixels; a wider frame is reduced.
        quality: JPEG quality; a picture of more than 900 kB is reduced further.
    """

    role: ClassVar[Role] = "view"

    camera: CameraName
    width: Annotated[int, Meta(ge=16, le=8192)] = 1280
    quality: Annotated[int, Meta(ge=1, le=100)] = 85


class Snapshot(Request, frozen=True, tag="snapshot"):
    """Return the current state and open alert of cameras, for late joiners.

    Attributes:
        camera: name of the camera; by default all.
    """

    role: ClassVar[Role] = "view"

    camera: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class Replay(Request, frozen=True, tag="replay"):
    """Return the messages of a topic again: from `from_seq` of `epoch` on, and all later ones, in their order.

    Attributes:
        topic: topic of alerts or states, v1/alert/DEVICE/CAMERA/.
        epoch: start of the runtime that `from_seq` belongs to; empty: from the oldest stored message.
        from_seq: `seq` of the first message.
        limit: maximum number of messages of one reply.
    """

    role: ClassVar[Role] = "view"

    topic: Annotated[str, Meta(min_length=1, max_length=256)]
    epoch: Annotated[str, Meta(max_length=64)] = ""
    from_seq: Annotated[int, Meta(ge=1, le=2**63 - 1)] = 1
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class After(Request, frozen=True, tag="after"):
    """Return all alerts and states after a row of the journal, in the order of rows.

    Attributes:
        row: `next` of the last reply, or `row` of a snapshot; 0: from the oldest stored message.
        epoch: `epoch` of that reply or snapshot. If the journal does not know it, the row is of another journal, such
            as one replaced after damage: the reply then has all stored messages, and is not complete. Empty: any.
        topics: prefixes of the topics, such as v1/alert/; by default all.
        limit: maximum number of messages of one reply.
    """

    role: ClassVar[Role] = "view"

    row: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    epoch: Annotated[str, Meta(max_length=64)] = ""
    topics: Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(max_length=16)] = ()
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Pending(Request, frozen=True, tag="pending"):
    """Return the alert messages that a subscriber has not acknowledged, and register the subscriber.

    Attributes:
        subscriber: name of the subscriber.
        after: row of the journal: only later messages are returned; `next` of the last reply, 0 at first.
        limit: maximum number of messages of one reply.
    """

    role: ClassVar[Role] = "view"

    subscriber: SubscriberName
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Ack(Request, frozen=True, tag="ack"):
    """Acknowledge an alert, up to one of its messages; without `epoch` and `seq` all of them so far.

    Attributes:
        subscriber: name of the subscriber that has stored it.
        alert_id: id of the alert.
        epoch: `epoch` of the message.
        seq: `seq` of the message.
    """

    role: ClassVar[Role] = "view"

    subscriber: SubscriberName
    alert_id: Annotated[str, Meta(min_length=1, max_length=64)]
    epoch: Annotated[str, Meta(max_length=64)] = ""
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class ReportGap(Request, frozen=True, tag="report_gap"):
    """Report messages that did not arrive, for the device's metrics.

    Attributes:
        topic: topic of the messages.
        missed: number of lost messages.
        subscriber: name of the subscriber, if it has one.
    """

    role: ClassVar[Role] = "view"

    topic: Annotated[str, Meta(min_length=1, max_length=256)]
    missed: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    subscriber: SubscriberName | None = None


class Forget(Request, frozen=True, tag="forget"):
    """Forget a subscriber: nothing is kept for it any more, and another key may use its name.

    A subscriber that uses the name again receives all alerts in the journal.

    Attributes:
        subscriber: name of the subscriber.
    """

    subscriber: SubscriberName


OfJournal = After | Replay | Pending | Ack | Forget | ReadOrders
"""Requests that the journal answers; the main loop answers all others."""

OfPresent = Status | Reload | Snapshot | ReportGap | Pause | Resume | Picture
"""Requests of this file that the main loop answers."""

AnyRequest = OfPresent | OfJournal | OfSettings | OfFiles | OfPictures | OfUpkeep | OfLearning | OfCandidates

REQUESTS: tuple[str, ...] = tuple(kind.__struct_config__.tag for kind in get_args(AnyRequest))
"""Names of all requests."""


def name_of(request: Request) -> str:
    """Return the name of a request, such as `reload`."""
    return str(type(request).__struct_config__.tag)


class _Header(msgspec.Struct):
    """Is read first, to tell another version from a mistake."""

    schema: str
    id: Annotated[str, Meta(max_length=128)] = ""


class _Named(msgspec.Struct):
    """Is read to say which fields a request has that is not valid."""

    request: str


_KINDS = {kind.__struct_config__.tag: kind for kind in get_args(AnyRequest)}
_names = msgspec.json.Decoder(_Named)
_requests: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
_headers = msgspec.json.Decoder(_Header)
_encoder = msgspec.json.Encoder()


def decode_request(body: bytes) -> AnyRequest:
    """Decode a request.

    Raises:
        RequestError: too long, not JSON, of another version, unknown, or with an invalid field.
    """
    if len(body) > MAX_REQUEST_BYTES:
        raise RequestError(f"a request of {len(body)} bytes, {MAX_REQUEST_BYTES} are allowed")
    try:
        schema = _headers.decode(body).schema
        if schema != SCHEMA:
            raise RequestError(f"unknown schema `{schema[:80]}`", remedy=f"this version expects {SCHEMA}")
        return _requests.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # ValidationError is a DecodeError
        raise RequestError(f"invalid request ({_short(error)})", remedy=_known(body)) from error


def _known(body: bytes) -> str:
    """Return what is allowed in place of an invalid request: the fields of the one that it names, or else the names."""
    try:
        kind = _KINDS[_names.decode(body).request]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return f"known here: {', '.join(REQUESTS)}"
    own = [field for field in msgspec.structs.fields(kind) if field.name not in Request.__struct_fields__]
    told = [field.encode_name if field.required else f"{field.encode_name} (optional)" for field in own]
    return f"its fields are {', '.join(told)}" if told else "it has no fields of its own"


_PATTERN_TEXTS = {
    f"`str` matching regex {NAME_PATTERN!r}": "letters, digits, _ and - only",
    f"`str` matching regex {USER_PATTERN!r}": "no control characters",
}
"""Patterns in the errors of msgspec -> what they mean."""


def _short(error: Exception) -> str:
    """Shorten the text of an error, which quotes untrusted input."""
    text = str(error)
    for pattern, meaning in _PATTERN_TEXTS.items():
        text = text.replace(pattern, meaning)
    return text if len(text) <= _MAX_REASON else f"{text[: _MAX_REASON // 2]}...{text[-_MAX_REASON // 2 :]}"


def request_id(body: bytes) -> str:
    """Return the id of a request, which may be invalid; empty if none can be read."""
    try:
        return _headers.decode(body[:MAX_REQUEST_BYTES]).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def encode_request(request: Request) -> bytes:
    """Encode a request."""
    return _encoder.encode(request)
