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

USER_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*\Z"
"""Without control characters, and without those that turn the direction of a line of the log."""

UserName = Annotated[
    str,
    Meta(pattern=USER_PATTERN, max_length=64, description="at most 64 characters, no control characters"),
]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="request"):
    """Fields of every request.

    Attributes:
        role: role that the client's key needs.
        has_part: the request has a second frame, of bytes.
        schema: name and version of the protocol, "patchedge.control.v1".
        id: returned in the reply, for clients with several requests in flight.
        user: name of the person that the client asks for. The device does not check it: in the audit log and in the log
            it stands beside the client's key, as claimed by that key.
    """

    role: ClassVar[Role] = "operate"
    has_part: ClassVar[bool] = False

    schema: Literal["patchedge.control.v1"] = SCHEMA
    id: Annotated[str, Meta(max_length=128)] = ""
    user: UserName = ""
