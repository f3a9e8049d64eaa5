"""What one can ask of a running device: requests and replies, and their bytes.

A request is one ZeroMQ message of a REQ or DEALER socket, JSON in UTF-8 of at most 64 KB:
`{"schema": "patchedge.control.v1", "request": "reload", "camera": "top"}`. Every request gets one reply. Unlike the
messages of `message.py`, requests with a field that is not known are refused: an order that is half understood is
worse than none.

To add a request: a struct here, its place in `AnyRequest`, and an answer in the main loop.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from edge_config.errors import RequestError

SCHEMA: Final = "patchedge.control.v1"
DEFAULT_CONTROL = "tcp://127.0.0.1:5557"
MAX_REQUEST_BYTES = 65536


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="request"):
    """What every request says.

    Attributes:
        schema: "patchedge.control.v1".
        id: comes back in the reply, for those who ask several things at once.
    """

    schema: Literal["patchedge.control.v1"] = SCHEMA
    id: Annotated[str, Meta(max_length=128)] = ""


class Status(Request, frozen=True, tag="status"):
    """How is it going?"""


class Reload(Request, frozen=True, tag="reload"):
    """Load a bundle and put it into service; a bad one leaves the old one running.

    Attributes:
        camera: of which camera; by default of all.
        path: of the bundle, on the device; by default the one in service, read anew.
    """

    camera: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    path: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


AnyRequest = Status | Reload

REQUESTS: tuple[str, ...] = tuple(kind.__struct_config__.tag for kind in get_args(AnyRequest))
"""What can be asked, by name."""


class _Header(msgspec.Struct):
    """What is read first, to tell another version from a mistake."""

    schema: str
    id: str = ""


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
        raise RequestError(f"not a request that is understood ({error})", remedy=known) from error


def request_id(body: bytes) -> str:
    """Give the id of what may be a bad request; empty if there is none to be read."""
    try:
        return _headers.decode(body[:MAX_REQUEST_BYTES]).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def encode_reply(request_id_: str, payload: Any) -> bytes:
    """Make the reply to a request that was done: `payload` is a struct or what JSON can hold."""
    return _encoder.encode({"schema": SCHEMA, "id": request_id_, "ok": True, "reply": payload})


def encode_refusal(request_id_: str, error: str) -> bytes:
    """Make the reply to a request that was not done; `error` is one line."""
    return _encoder.encode({"schema": SCHEMA, "id": request_id_, "ok": False, "error": error})
