"""The gate of the page: each request passes it, and what it does not let in never reaches a handler."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import msgspec
import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.page.access.bounds import Crowd, bounded
from runtime.page.access.headers import with_headers
from runtime.page.access.identify import Identify, Visitor
from runtime.page.access.origin import Hosts, check_origin, check_site
from runtime.page.access.peer import Proxies, RemoteEnd, is_loopback
from runtime.page.access.roles import check_role
from runtime.page.refused import Refused

_API = "/api/"
SESSION_PATH = "/api/v1/session"
CSRF_HEADER = "X-CSRF-Token"
_READS = frozenset({"GET", "HEAD"})
_PICTURE_PATH = "/inspect"
_STREAM = b"text/event-stream"

_log = structlog.get_logger()


@dataclass(frozen=True)
class GateRules:
    """What the gate knows.

    Attributes:
        hosts: names of this page.
        proxies: proxies whose word is believed.
        identify: finds the sender of a request.
        past_proxy: requests that do not come by the proxy are let in too.
    """

    hosts: Hosts
    proxies: Proxies
    identify: Identify
    past_proxy: bool = True


class Guard:
    """Middleware around the whole app."""

    def __init__(self, app: ASGIApp, rules: GateRules) -> None:
        """Stand before this app."""
        self._app = app
        self._rules = rules
        self._crowd = Crowd()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page has no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        encrypted = scope.get("scheme") == "https"
        try:
            peer = self._rules.proxies.peer(scope, headers)
            encrypted = peer.scheme == "https"
            with self._crowd.one_more(peer.address):
                await self._let_in(scope, receive, with_headers(send, scope["path"], encrypted=encrypted), peer)
        except Refused as refused:
            body = msgspec.json.encode({"error": refused.error})
            reply = Response(body, refused.status, refused.headers, media_type="application/json")
            await reply(scope, receive, with_headers(send, scope["path"], encrypted=encrypted))

    async def _let_in(self, scope: Scope, receive: Receive, send: Send, peer: RemoteEnd) -> None:
        headers = Headers(scope=scope)
        path, method = scope["path"], scope["method"]
        host = self._rules.hosts.check(headers)
        if not (self._rules.past_proxy or peer.proxied or is_loopback(peer.address)):
            raise Refused(403, "this page answers to its proxy alone; open it by the proxy")
        receive = bounded(receive, headers, picture=path.endswith(_PICTURE_PATH))
        if not path.startswith(_API):
            if method not in _READS:
                raise Refused(405, "only the API takes changes", headers={"Allow": "GET, HEAD"})
            await self._app(scope, receive, send)
            return
        check_site(headers)
        visitor = self._check(headers, peer, host, path, method)
        scope.setdefault("state", {}).update(state_of(visitor, peer))
        if method in _READS:
            await self._streaming(scope, receive, send, peer)
        else:
            await self._app(scope, receive, _logged(send, visitor, peer, method, path))

    def _check(self, headers: Headers, peer: RemoteEnd, host: str, path: str, method: str) -> Visitor:
        """Return the sender of a request that may be sent.

        Raises:
            Refused: they may not.
        """
        visitor = self._rules.identify.visitor(headers, peer)
        if path == SESSION_PATH:
            if method not in _READS:
                check_origin(headers, peer.scheme, host)
            if method == "DELETE":
                _check_csrf(headers, visitor)
            return visitor
        if visitor.kind == "nobody":
            raise Refused(401, "log in first")
        if method not in _READS:
            if visitor.kind != "token":  # what a browser sends by itself is no proof that its user wants it
                check_origin(headers, peer.scheme, host)
                _check_csrf(headers, visitor)
            check_role(visitor.role, "operator")
        check_role(visitor.role, "viewer")
        return visitor

    async def _streaming(self, scope: Scope, receive: Receive, send: Send, peer: RemoteEnd) -> None:
        """Answer a request; a stream of events ends as soon as its reader may no longer read it."""
        streams = False
        headers = Headers(scope=scope)

        async def sending(message: Message) -> None:
            nonlocal streams
            if message["type"] == "http.response.start":
                streams = any(
                    name.lower() == b"content-type" and _STREAM in value for name, value in message["headers"]
                )
            elif streams and not self._may_still(headers, peer):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                ended.cancel()
                return
            await send(message)

        with anyio.CancelScope() as ended:
            await self._app(scope, receive, sending)

    def _may_still(self, headers: Headers, peer: RemoteEnd) -> bool:
        try:
            return bool(self._rules.identify.visitor(headers, peer).role)
        except Refused:
            return False


def state_of(visitor: Visitor, peer: RemoteEnd) -> Mapping[str, Any]:
    """Return what handlers find in `request.state`: user and role, and the rest for the handlers of the session."""
    return {"user": visitor.user, "role": visitor.role, "visitor": visitor, "peer": peer}


def _check_csrf(headers: Headers, visitor: Visitor) -> None:
    given = headers.get(CSRF_HEADER, "")
    if visitor.csrf and not hmac.compare_digest(given.encode(errors="replace"), visitor.csrf.encode()):
        raise Refused(403, f"the header {CSRF_HEADER} is missing or outdated; load the page again")


def _logged(send: Send, visitor: Visitor, peer: RemoteEnd, method: str, path: str) -> Send:
    """Return a `send` that writes to the log who has changed what, once there is a reply."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            _log.info(
                "page_change",
                user=visitor.user,
                by=visitor.kind,
                address=peer.address,
                method=method,
                path=path,
                status=message["status"],
            )
        await send(message)

    return sending
