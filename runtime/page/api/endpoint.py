"""Declare an operation of the API: from it come the route and its part of the OpenAPI description.

A module of this room has `ROUTES`, a list of `Endpoint`. Its handler is an `async def` that takes a `Call` and returns
the reply: a struct of the declared type, None (status 204), or a response of Starlette, as for pictures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runtime.page.refused import Refused
from runtime.page.services import Services

PREFIX = "/api/v1"

MAX_BODY_BYTES = 1 << 20
"""Maximum size of a JSON body; handlers that take other bodies read them themselves."""

MAX_TEXT = 2000
"""Maximum number of characters of a parameter in the address."""

NAME_HEADER = "x-patchedge-name"
"""Header with the name of the person, where there are no users."""

MAX_NAME = 64
"""Maximum number of characters of a name; that of `user` in requests to a device."""

PageRole = Literal["viewer", "operator"]
"""`viewer` may see everything, `operator` may also change something."""

T = TypeVar("T")


@dataclass(frozen=True)
class Endpoint:
    """An operation.

    Attributes:
        method: HTTP method, in capitals.
        path: path below /api/v1, such as `/cameras/{key}`; each parameter is one level.
        handler: does it.
        summary: what it does, one sentence.
        reply: type of the reply; a text is a media type, such as `image/jpeg`; None: there is none (204).
        query: struct of the parameters after the `?`, all of plain types with defaults.
        body: struct of the JSON body; a text is the media type of a body that the handler reads itself.
        role: role that the user needs; None: everybody may, even without log-in.
        statuses: statuses that it answers beside 200 or 204, and those that all have.
    """

    method: str
    path: str
    handler: Callable[[Call], Awaitable[Any]]
    summary: str
    reply: Any = None
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | str | None = None
    role: PageRole | None = "viewer"
    statuses: Sequence[int] = ()


@dataclass(frozen=True)
class Call:
    """A call of an operation.

    Attributes:
        request: as Starlette has it.
        services: what the page is made of.
    """

    request: Request
    services: Services
    _query: msgspec.Struct | None
    _body: Any

    @property
    def user(self) -> str:
        """Return the name of the user; without log-in the one that the browser was told, or nothing."""
        return str(getattr(self.request.state, "user", "")) or _claimed(self.request)

    @property
    def role(self) -> PageRole:
        """Return the role of the user."""
        return role_of(self.request)

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return str(self.request.path_params[name])

    def query(self, kind: type[T]) -> T:
        """Return the parameters after the `?`, as declared."""
        assert isinstance(self._query, kind)  # noqa: S101 - for the type checker
        return self._query

    def body(self, kind: type[T]) -> T:
        """Return the JSON body, as declared."""
        assert isinstance(self._body, kind)  # noqa: S101 - for the type checker
        return self._body


def role_of(request: Request) -> PageRole:
    """Return the role of the user of a request; without access control everybody is an operator."""
    return "operator" if getattr(request.state, "role", "operator") == "operator" else "viewer"


def to_route(endpoint: Endpoint) -> Route:
    """Return the route of an operation."""

    async def answer(request: Request) -> Response:
        if endpoint.role == "operator" and role_of(request) != "operator":
            raise Refused(403, "you may look, but not change anything: ask somebody who is an operator here")
        services: Services = request.app.state.services
        call = Call(request, services, _query(request, endpoint), await _body(request, endpoint))
        reply = await endpoint.handler(call)
        if isinstance(reply, Response):
            return reply
        return Response(status_code=204) if reply is None else json_response(reply)

    return Route(PREFIX + endpoint.path, answer, methods=[endpoint.method], name=_name(endpoint))


def json_response(reply: Any, status: int = 200) -> Response:
    """Return a response with a struct as JSON."""
    return Response(
        msgspec.json.encode(reply), status, media_type="application/json", headers={"cache-control": "no-store"}
    )


def _name(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def _claimed(request: Request) -> str:
    """Return the name in `NAME_HEADER`, percent-encoded UTF-8, in one line of at most 64 characters."""
    name = unquote(request.headers.get(NAME_HEADER, ""))
    return "".join(letter for letter in name if letter.isprintable()).strip()[:MAX_NAME]


def _query(request: Request, endpoint: Endpoint) -> msgspec.Struct | None:
    if endpoint.query is None:
        return None
    given = {name: value[: MAX_TEXT + 1] for name, value in request.query_params.items()}
    for name, value in given.items():
        if len(value) > MAX_TEXT:
            raise Refused(400, f"parameter `{name[:80]}` is longer than {MAX_TEXT} characters")
    try:
        return msgspec.convert(given, endpoint.query, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(400, f"invalid parameter: {_told(error)}") from error


async def _body(request: Request, endpoint: Endpoint) -> Any:
    if endpoint.body is None or isinstance(endpoint.body, str):
        return None
    try:
        return msgspec.json.decode(await read_body(request, MAX_BODY_BYTES) or b"{}", type=endpoint.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # ValidationError is a DecodeError
        raise Refused(400, f"invalid body: {_told(error)}") from error


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Read the body of a request.

    Raises:
        Refused: it is too long.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise Refused(413, f"the body is longer than {most_bytes} bytes")
    return bytes(body)


def _told(error: Exception) -> str:
    return str(error)[:300]
