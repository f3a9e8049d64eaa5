"""Log-in: the password is checked, within the limits of attempts, and a session begins."""

from __future__ import annotations

import math
import unicodedata
from functools import partial

import anyio
import structlog

from runtime.page.access.identify import Identify, Visitor
from runtime.page.access.peer import RemoteEnd
from runtime.page.refused import Refused
from runtime.page.users import passwords
from runtime.page.users.attempts import LOCK_S, Attempts
from runtime.page.users.register import MAX_NAME
from runtime.page.users.sessions import Sessions

_MAX_WAITING = 8  # log-ins that wait for their turn; a hash takes memory and a core
_WRONG = "the user or the password is wrong"

_log = structlog.get_logger()


class LogIn:
    """Begins and ends sessions."""

    def __init__(self, identify: Identify, sessions: Sessions, attempts: Attempts | None = None) -> None:
        """Use these users and sessions."""
        self._identify = identify
        self._sessions = sessions
        self._attempts = attempts or Attempts()
        self._one_hash = anyio.CapacityLimiter(1)

    async def begin(self, user: str, password: str, peer: RemoteEnd, before: Visitor) -> Visitor:
        """Begin a session for a user whose password is right; the session that there was before ends.

        Raises:
            Refused: the password is wrong, too many were, or the connection is not encrypted.
        """
        if peer.proxied and peer.scheme != "https":
            raise Refused(403, "the connection to the proxy is not encrypted; open the page by https")
        name = unicodedata.normalize("NFC", user)
        proof = await self._check(name, password, peer.address)
        found = self._identify.register().users.get(name)
        if found is None or found.password != proof:  # removed or changed while the hash was made
            raise Refused(401, _WRONG)
        self._sessions.end(before.session)
        return self._identify.of_session(self._sessions.begin(name, proof))

    def end(self, visitor: Visitor) -> None:
        """End a session."""
        self._sessions.end(visitor.session)

    async def _check(self, name: str, password: str, address: str) -> str:
        """Return the hash of a user's password, if the password given is the right one.

        Raises:
            Refused: it is wrong, or too many were.
        """
        wait = self._attempts.begin(name, address)
        if wait > 0:
            seconds = math.ceil(wait)
            text = f"too many wrong passwords; try again in {_in_words(seconds)}"
            raise Refused(429, text, headers={"Retry-After": str(seconds)})
        if self._one_hash.statistics().tasks_waiting >= _MAX_WAITING:
            raise Refused(503, "too many people log in at this moment; try again", headers={"Retry-After": "2"})
        user = self._identify.register().users.get(name)
        check = partial(passwords.is_right, user.password if user else None, password)
        if not await anyio.to_thread.run_sync(check, limiter=self._one_hash) or user is None:
            typed = name[:MAX_NAME]  # by anybody: the log may be read at a terminal
            shown = typed if typed.isprintable() else ascii(typed)
            _log.warning("page_login_refused", user=shown, address=address)
            raise Refused(401, _WRONG)
        self._attempts.succeed(name, address)
        _log.info("page_login", user=name, address=address)
        return user.password


def _in_words(seconds: int) -> str:
    if seconds > LOCK_S / 5:
        return f"{math.ceil(seconds / 60)} minutes"
    return f"{seconds} s"
