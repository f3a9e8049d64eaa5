"""Asking again and again what a named subscriber has not acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_config.wire.replies import Answer, KeptMessages
from edge_config.wire.requests import Pending
from runtime.client.requests import Asking

EVERY_S = 60.0
"""It is asked so often whether there is something that did not arrive."""


class Unacknowledged:
    """Reads what is pending from the journal, page by page.

    Attributes:
        over: all that was pending at the start was given, or cannot be had.
    """

    def __init__(
        self,
        name: str | None,
        asking: Asking,
        *,
        take: Callable[[Answer, Sequence[bytes]], KeptMessages | None],
        later: Callable[[Callable[[], None]], object],
        ended: Callable[[], object],
    ) -> None:
        """Begin with nothing.

        Args:
            name: of the subscriber; without one nothing is ever asked.
            asking: what requests are put to.
            take: gives the messages of a page to the user, and the page; None if the device refused.
            later: calls what asks for the next page when the user has taken what there is.
            ended: is called when it is over.
        """
        self.over = name is None
        self._name = name
        self._asking = asking
        self._take = take
        self._later = later
        self._ended = ended
        self._runs = False
        self._again = False
        self._next = 0
        self._due_s: float | None = None

    def start(self, after: int = 0) -> None:
        """Ask: from the beginning of the journal, which may be another one than before, or from a place in it."""
        if self._name is None:
            return
        if self._runs:
            self._again = self._again or after == 0
            return
        self._runs, self._again = True, False
        self._ask(self._name, after)

    def tick(self, now_s: float) -> None:
        """Let time pass, monotonic seconds."""
        if self._due_s is not None and now_s >= self._due_s:
            self.start(self._next)
        if self._due_s is None or now_s >= self._due_s:
            self._due_s = now_s + EVERY_S

    def _ask(self, name: str, after: int) -> None:
        def done(answer: Answer, parts: Sequence[bytes]) -> None:
            self._when_answered(name, after, answer, parts)

        self._asking.put(Pending(subscriber=name, after=after), done)

    def _when_answered(self, name: str, after: int, answer: Answer, parts: Sequence[bytes]) -> None:
        kept = self._take(answer, parts)
        behind = after if kept is None else max(after, kept.next)
        if kept is not None and kept.more and behind > after:
            self._later(lambda: self._ask(name, behind))
            return
        self._runs, self._next = False, behind
        if not self.over:
            self.over = True
            self._ended()
        if self._again:
            self.start()
