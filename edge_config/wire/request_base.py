"""What all requests share: their fields, and the role that a client's key needs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from edge_config.wire.messages import NAME_PATTERN

SCHEMA: Final = "patchedge.control.v1"

Role = Literal["view", "operate"]
"""Role of a client's key: `view` may change nothing but its own acknowledgements, `operate` may send all requests."""

SubscriberName = Annotated[
    str, Meta(pattern=NAME_PATTERN, max_length=64, description="letters, digits, _ and - only, at most 64 of them")
]

CameraName = Annotated[str, Meta(min_length=1, max_length=64)]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="request"):
    """Fields of every request.

    Attributes:
        role: role that the client's key needs.
        schema: name and version of the protocol, "patchedge.control.v1".
        id: returned in the reply, for clients with several requests in flight.
    """

    role: ClassVar[Role] = "operate"

    schema: Literal["patchedge.control.v1"] = SCHEMA
    id: Annotated[str, Meta(max_length=128)] = ""
