"""The session of a browser: show it, log in, log out."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from edge_config.installed import version
from runtime.page.access.identify import Visitor, cookie_name
from runtime.page.access.peer import RemoteEnd
from runtime.page.api.endpoint import Call, Endpoint, json_response
from runtime.page.users.sessions import ABSOLUTE_S

_MAX_TYPED = 1024


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A user who logs in.

    Attributes:
        user: name of the user.
        password: of the user.
    """

    user: Annotated[str, Meta(max_length=_MAX_TYPED)]
    password: Annotated[str, Meta(max_length=_MAX_TYPED)]


class SessionShown(msgspec.Struct, frozen=True, kw_only=True):
    """The user of a session, and what this user may do.

    Attributes:
        user: name of the user or the token; empty for nobody, and for anybody on this machine if the page has no users.
        role: `viewer` or `operator`; empty: log in first.
        login_needed: the page has users.
        csrf: token for the header `X-CSRF-Token` of each change by a browser.
        page_version: version of the page.
        fleet: whether the page shows a fleet.
    """

    user: str
    role: str
    login_needed: bool
    csrf: str
    page_version: str
    fleet: bool


async def _show(call: Call) -> SessionShown:
    return _shown(call, _visitor(call))


async def _log_in(call: Call) -> Response:
    given, peer = call.body(Credentials), _peer(call)
    visitor = await call.services.access.log_in.begin(given.user, given.password, peer, _visitor(call))
    reply = json_response(_shown(call, visitor))
    encrypted = peer.scheme == "https"
    reply.set_cookie(
        cookie_name(encrypted=encrypted),
        visitor.session,
        max_age=int(ABSOLUTE_S),
        secure=encrypted,
        httponly=True,
        samesite="strict",
    )
    return reply


async def _log_out(call: Call) -> Response:
    call.services.access.log_in.end(_visitor(call))
    encrypted = _peer(call).scheme == "https"
    reply = json_response(_shown(call, Visitor("nobody")))
    reply.delete_cookie(cookie_name(encrypted=encrypted), secure=encrypted, httponly=True, samesite="strict")
    return reply


def _shown(call: Call, visitor: Visitor) -> SessionShown:
    return SessionShown(
        user=visitor.user,
        role=visitor.role,
        login_needed=call.services.access.identify.login_needed,
        csrf=visitor.csrf,
        page_version=version() or "",
        fleet=call.services.fleet is not None,
    )


def _visitor(call: Call) -> Visitor:
    found: Visitor = call.request.state.visitor
    return found


def _peer(call: Call) -> RemoteEnd:
    found: RemoteEnd = call.request.state.peer
    return found


ROUTES = [
    Endpoint("GET", "/session", _show, "Return the user of this session and the role.", reply=SessionShown, role=None),
    Endpoint(
        "POST",
        "/session",
        _log_in,
        "Log in: a cookie holds the session.",
        reply=SessionShown,
        body=Credentials,
        role=None,
        statuses=(429,),
    ),
    Endpoint("DELETE", "/session", _log_out, "Log out: the session ends.", reply=SessionShown, role=None),
]
