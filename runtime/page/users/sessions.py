"""Sessions of people who have logged in: in memory, bounded in number and time."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

IDLE_S = 8 * 3600.0
"""A session ends if nothing was requested for this time; an open live view counts as a request."""

ABSOLUTE_S = 7 * 24 * 3600.0
"""A session ends this long after log-in, whatever happens."""

MAX_SESSIONS = 512
MAX_OF_USER = 16
"""Maximum number of sessions of one user; beyond it the one that was not used for longest ends."""

_BYTES = 32  # of an identifier


@dataclass(slots=True)
class PageSession:
    """A session.

    Attributes:
        user: name of the user.
        proof: hash of the password with which the session began; when it changes, the session is over.
        began, used: by the clock of `Sessions`, seconds.
        csrf: token that a page of ours sends with each change, and no other site knows.
    """

    user: str
    proof: str
    began: float
    used: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(_BYTES))


class Sessions:
    """All sessions; not for several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._clock = clock
        self._sessions: OrderedDict[str, PageSession] = OrderedDict()  # the one that was used last is at the end

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self._sessions)

    def begin(self, user: str, proof: str) -> str:
        """Begin a session; return its identifier, which is always a new one."""
        now = self._clock()
        own = [name for name, session in self._sessions.items() if session.user == user]
        for name in own[: max(0, len(own) - MAX_OF_USER + 1)]:
            del self._sessions[name]
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.popitem(last=False)
        name = secrets.token_urlsafe(_BYTES)
        self._sessions[name] = PageSession(user, proof, now, now)
        return name

    def find(self, name: str) -> PageSession | None:
        """Return a session that is not over, and count this as its use."""
        session = self._sessions.get(name)
        if session is None:
            return None
        now = self._clock()
        if now - session.used > IDLE_S or now - session.began > ABSOLUTE_S:
            self.end(name)
            return None
        session.used = now
        self._sessions.move_to_end(name)
        return session

    def end(self, name: str) -> None:
        """End a session; without one, nothing happens."""
        self._sessions.pop(name, None)
