"""Errors of the API: a status, and one sentence as JSON, `{"error": ...}`."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from edge_config.errors import (
    AddressUnavailable,
    MessageError,
    NotEnoughMemory,
    PatchedgeError,
    RequestError,
    UsageError,
)
from runtime.page.refused import Refused

_STATUSES: tuple[tuple[type[PatchedgeError], int], ...] = (
    (RequestError, 409),
    (AddressUnavailable, 503),
    (NotEnoughMemory, 503),
    (MessageError, 502),
    (UsageError, 400),
)
"""Error -> status; the first that fits."""

_WORDS = {
    404: "there is nothing at this address",
    405: "this address does not take this method",
}


class ApiError(msgspec.Struct, frozen=True, kw_only=True):
    """What every refusal says.

    Attributes:
        error: one sentence: what is wrong, and what to do.
    """

    error: str


def error_response(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    """Return a refusal."""
    body = msgspec.json.encode(ApiError(error=error))
    return Response(
        body, status, media_type="application/json", headers={"cache-control": "no-store"} | (headers or {})
    )


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - for the type checker
    return error_response(error.status, error.error, error.headers)


async def _ours(_request: Request, error: Exception) -> Response:
    return error_response(next((status for kind, status in _STATUSES if isinstance(error, kind)), 500), str(error))


async def _of_starlette(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
    text = _WORDS.get(error.status_code, error.detail)
    return error_response(error.status_code, text, dict(error.headers or {}))


async def _gone(_request: Request, _error: Exception) -> Response:
    return error_response(400, "the connection ended before the body was complete")  # nobody reads it: it is no fault


async def _internal(request: Request, error: Exception) -> Response:
    structlog.get_logger().error(
        "request of a browser failed", method=request.method, path=request.url.path, error=repr(error), exc_info=error
    )
    return error_response(500, "an internal error: the log of the page says more")


HANDLERS: dict[Any, Any] = {
    Refused: _refused,
    PatchedgeError: _ours,
    HTTPException: _of_starlette,
    ClientDisconnect: _gone,
    Exception: _internal,
}
"""Error -> what makes a response of it; for Starlette."""
