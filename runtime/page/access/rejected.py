"""A request that the page refuses: status, one sentence, and how it is sent."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Rejected(HTTPException):
    """A request is refused; raised by a handler, the app replies, before that the gate."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        """Say why.

        Args:
            status: of HTTP.
            text: one sentence: what, and what to do.
            headers: further headers of the reply.
        """
        super().__init__(status, text, dict(headers or {}))

    async def reply(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it as JSON, the one form of all errors of the page."""
        body = msgspec.json.encode({"error": self.detail})
        response = Response(body, self.status_code, self.headers, media_type="application/json")
        await response(scope, receive, send)
