"""News for browsers: each has a mailbox in which a newer piece of news takes the place of an older one.

A browser that reads slowly gets less, and nothing waits for it: its mailbox holds one piece for each camera and kind,
and a bounded number of alerts.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from runtime.client.within import within

MAX_BROWSERS = 32
"""Maximum number of browsers that get news at the same time."""

MAX_ALERTS = 256
"""Alerts that a mailbox holds; of more the oldest are dropped, and the list of alerts still has them."""

HEARTBEAT_S = 10.0
"""After this time without news a comment is sent, so that both sides notice a connection that is dead."""


def event(kind: str, data: bytes) -> bytes:
    """Return a server-sent event; the JSON in `data` has no line breaks."""
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


class TooManyBrowsers(Exception):
    """So many browsers get news that no other can."""


class Mailbox:
    """News for one browser.

    Attributes:
        previews: keys of the cameras of which it wants pictures.
    """

    def __init__(self, previews: frozenset[str], rate: float) -> None:
        """Begin with no news; `rate` is the maximum number of pictures of a camera a second."""
        self.previews = previews
        self._every_s = 1 / rate
        self._news: dict[tuple[str, str], bytes] = {}
        self._alerts: deque[bytes] = deque(maxlen=MAX_ALERTS)
        self._pictures: dict[str, bytes] = {}
        self._next_s = dict.fromkeys(previews, 0.0)
        self._arrived = asyncio.Event()
        self._ended = False

    def put(self, kind: str, key: str, said: bytes) -> None:
        """Put in news about a camera or device; older news of this kind is dropped."""
        self._news.pop((kind, key), None)
        self._news[kind, key] = said
        self._arrived.set()

    def put_alert(self, said: bytes) -> None:
        """Put in an alert."""
        self._alerts.append(said)
        self._arrived.set()

    def put_picture(self, key: str, said: bytes) -> None:
        """Put in a picture of a camera; an older one that was not taken is dropped."""
        if key in self.previews:
            self._pictures[key] = said
            self._arrived.set()

    def drop_picture(self, key: str) -> None:
        """Take out the picture of a camera: it is old by now."""
        self._pictures.pop(key, None)

    def end(self) -> None:
        """Have `take` say that nothing more comes."""
        self._ended = True
        self._arrived.set()

    async def take(self) -> bytes | None:
        """Wait for news, and return all that there is; a comment if there is none for a while; None at the end."""
        until_s = time.monotonic() + HEARTBEAT_S
        while not self._ended:
            now_s = time.monotonic()
            if said := self._due(now_s):
                return said
            if now_s >= until_s:
                return b": still here\n\n"
            self._arrived.clear()
            due_s = min((self._next_s[key] for key in self._pictures), default=until_s)
            with contextlib.suppress(asyncio.TimeoutError):
                await within(max(0.001, min(due_s, until_s) - now_s), self._arrived.wait())
        return None

    def _due(self, now_s: float) -> bytes:
        said = [*self._alerts, *self._news.values()]
        self._alerts.clear()
        self._news.clear()
        for key in [key for key in self._pictures if self._next_s[key] <= now_s]:
            said.append(self._pictures.pop(key))
            # A picture a little early is one too: the pace of a camera and that of a browser are not in step.
            self._next_s[key] = now_s + 0.8 * self._every_s
        return b"".join(said)


class Hub:
    """Hands news to all browsers; each piece is encoded once."""

    def __init__(self, wanted: Callable[[frozenset[str]], object] = lambda _keys: None) -> None:
        """Begin with no browser; `wanted` is told the cameras whose pictures somebody watches, when they change."""
        self._wanted = wanted
        self._mailboxes: set[Mailbox] = set()
        self._watched: frozenset[str] = frozenset()
        self._ended = False

    @property
    def count(self) -> int:
        """Number of browsers."""
        return len(self._mailboxes)

    def join(self, previews: Iterable[str] = (), rate: float = 5.0) -> Mailbox:
        """Return a mailbox for a browser, until it leaves.

        Raises:
            TooManyBrowsers: there are too many.
        """
        if len(self._mailboxes) >= MAX_BROWSERS:
            raise TooManyBrowsers
        mailbox = Mailbox(frozenset(previews), rate)
        if self._ended:
            mailbox.end()
        self._mailboxes.add(mailbox)
        self._look()
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """Forget a mailbox."""
        self._mailboxes.discard(mailbox)
        self._look()

    def tell(self, kind: str, key: str, news: msgspec.Struct) -> None:
        """Tell all browsers of a camera or a device."""
        if self._mailboxes:
            said = event(kind, msgspec.json.encode(news))
            for mailbox in self._mailboxes:
                mailbox.put(kind, key, said)

    def tell_alert(self, news: msgspec.Struct) -> None:
        """Tell all browsers of an alert."""
        if self._mailboxes:
            said = event("alert", msgspec.json.encode(news))
            for mailbox in self._mailboxes:
                mailbox.put_alert(said)

    def show(self, key: str, make: Callable[[], msgspec.Struct | None]) -> None:
        """Show a picture to browsers that watch the camera; it is made only if there are some."""
        watching = [mailbox for mailbox in self._mailboxes if key in mailbox.previews]
        news = make() if watching else None
        if news is not None:
            said = event("preview", msgspec.json.encode(news))
            for mailbox in watching:
                mailbox.put_picture(key, said)

    def drop_picture(self, key: str) -> None:
        """Take pictures of a camera that is gone out of all mailboxes."""
        for mailbox in self._mailboxes:
            mailbox.drop_picture(key)

    def end(self) -> None:
        """Send all browsers away."""
        self._ended = True
        for mailbox in self._mailboxes:
            mailbox.end()

    def _look(self) -> None:
        watched = frozenset().union(*(mailbox.previews for mailbox in self._mailboxes))
        if watched != self._watched:
            self._watched = watched
            self._wanted(watched)
