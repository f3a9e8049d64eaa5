"""Find the sender of a request: a session, a token, a user named by the proxy, or anybody on this machine."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from edge_config.errors import SettingsError, UsageError
from runtime.page.access.peer import RemoteEnd, is_loopback
from runtime.page.refused import Refused
from runtime.page.users.register import Register, Role, UsersFile, digest, name_of
from runtime.page.users.sessions import Sessions

Kind = Literal["nobody", "machine", "session", "token", "proxy"]

_BEARER = "bearer "
_PLAIN_COOKIE, _SECURE_COOKIE = "patchedge", "__Host-patchedge"
"""Names of the cookie; a browser takes the second one only if it is set encrypted, by this very host."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The sender of a request.

    Attributes:
        kind: how that is known; `machine` is anybody on this machine, where the page has no users.
        user: name of the person or of the token; empty for `nobody` and `machine`.
        role: what the visitor may do; empty: nothing but log in.
        csrf: token that changes must carry; empty where none is needed.
        session: identifier of the session.
    """

    kind: Kind
    user: str = ""
    role: Role | Literal[""] = ""
    csrf: str = ""
    session: str = ""


class Identify:
    """Finds the sender of a request."""

    def __init__(
        self,
        users: UsersFile,
        sessions: Sessions,
        key: bytes,
        *,
        open_here: bool,
        header: str = "",
        roles: Mapping[str, Role] = MappingProxyType({}),
    ) -> None:
        """Use these users and sessions.

        Args:
            users: the file of the users.
            sessions: those of people who have logged in.
            key: secret from which the tokens of changes are made, for visitors without a session.
            open_here: the page is reachable from this machine alone, so it needs no users.
            header: in which a trusted proxy names the user; empty: none does.
            roles: user named by the proxy -> role; `*` stands for all others.
        """
        self._users = users
        self._sessions = sessions
        self._open_here = open_here
        self._header = header
        self._roles = roles
        self._key = key
        self._had_users = False

    def register(self) -> Register:
        """Return users and tokens as they are now.

        Raises:
            Refused: their file cannot be used.
        """
        try:
            register = self._users.read()
        except SettingsError as error:
            raise Refused(503, f"the users cannot be read: {error}") from error
        self._had_users |= bool(register.users)
        return register

    @property
    def login_needed(self) -> bool:
        """Return whether people have to log in.

        Once there were users, the page never again lets everybody in until it is restarted: the file may be damaged.
        """
        self.register()
        return not self._open_here or self._had_users

    def visitor(self, headers: Headers, peer: RemoteEnd) -> Visitor:
        """Return the sender of a request.

        Raises:
            Refused: a token is not valid, or the users cannot be read.
        """
        if (given := headers.get("authorization")) is not None:
            return self._of_token(given)
        if self._header and peer.proxied and (name := headers.get(self._header)):
            return self._of_proxy(name)
        if (name := session_cookie(headers, encrypted=peer.scheme == "https")) and (
            found := self.of_session(name)
        ).kind == "session":
            return found
        if self.login_needed:
            return Visitor("nobody")
        if not is_loopback(peer.address) or peer.strange_proxy:
            raise Refused(403, "this page has no users, so it answers to this machine alone; add users for others")
        return Visitor("machine", "", "operator", self._csrf("machine"))

    def of_session(self, name: str) -> Visitor:
        """Return whose session this is; it ends if the user is gone or has another password.

        Raises:
            Refused: the users cannot be read.
        """
        register = self.register()
        session = self._sessions.find(name)
        user = register.users.get(session.user) if session else None
        if session is None or user is None or not hmac.compare_digest(user.password, session.proof):
            self._sessions.end(name)
            return Visitor("nobody")
        return Visitor("session", session.user, user.role, session.csrf, name)

    def _of_token(self, given: str) -> Visitor:
        token = given[len(_BEARER) :].strip() if given.lower().startswith(_BEARER) else ""
        wanted = digest(token)
        for name, one in self.register().tokens.items():
            if hmac.compare_digest(one.sha256, wanted):
                return Visitor("token", name, one.role)
        raise Refused(401, "this token is not valid", headers={"WWW-Authenticate": "Bearer"})

    def _of_proxy(self, given: str) -> Visitor:
        try:
            name = name_of(given.encode("latin-1").decode())
        except (UsageError, UnicodeError) as error:
            raise Refused(400, f"the proxy names no valid user in {self._header}") from error
        role: Role | Literal[""] = self._roles.get(name, self._roles.get("*", ""))
        return Visitor("proxy", name, role, self._csrf(f"proxy {name}"))

    def _csrf(self, whose: str) -> str:
        return hmac.new(self._key, whose.encode(), hashlib.sha256).hexdigest()


def cookie_name(*, encrypted: bool) -> str:
    """Return the name of the cookie of a session."""
    return _SECURE_COOKIE if encrypted else _PLAIN_COOKIE


def session_cookie(headers: Headers, *, encrypted: bool) -> str:
    """Return the identifier of the session that a request carries; empty: none."""
    return cookie_parser("; ".join(headers.getlist("cookie"))).get(cookie_name(encrypted=encrypted), "")
