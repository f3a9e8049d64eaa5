"""The journal on disk, and in memory while the disk fails."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import structlog
from msgspec.structs import replace

from edge_config.errors import JournalUnavailable
from edge_config.wire.messages import JournalState
from edge_config.wire.replies import KeptMessages
from edge_config.wire.requests import Ack, After, Pending, Replay
from runtime.journal import lookup
from runtime.journal.audit_log import Order
from runtime.journal.database import Journal
from runtime.journal.entries import Entry
from runtime.journal.move import move
from runtime.journal.name_owners import Owners
from runtime.journal.notes import Noted
from runtime.process.backoff import Backoff

MEMORY_BYTES = 8 << 20
"""Maximum size of the entries in memory; beyond it the oldest are deleted, as in the file."""

PRUNE_S = 3600.0
"""Interval between searches for entries beyond the maximum age."""

TROUBLE = (sqlite3.Error, OSError)
"""Errors of a disk."""

_PASSING = ("database or disk is full", "database is locked")
"""Errors after which an open file can still be read, and need not be reopened."""

_log = structlog.get_logger()

T = TypeVar("T")


class Store:
    """A file, and a memory for entries that cannot be written to it. Only its attributes are thread-safe.

    Attributes:
        state: `on`, `memory` or `off`, as in health messages.
        reason: the reason for it.
        unfinished: the last message of each alert that was open when the file was opened for the first time.
        group_bytes: maximum size of a `write`, or one entry.
    """

    def __init__(
        self,
        path: Callable[[], Path] | None,
        most_bytes: int,
        most_days: float,
        *,
        backoff: Backoff,
        changed: Callable[[JournalState, str], object],
    ) -> None:
        """Begin with the file closed.

        Args:
            path: returns the path of the file, or raises OSError; None: memory only, as in the settings.
            most_bytes: maximum size of the file.
            most_days: maximum age of entries.
            backoff: waits before a failed disk is retried.
            changed: is called with a new state and reason.
        """
        self.state: JournalState = "off" if path is None else "memory"
        self.reason = "" if path is None else "the file is not open yet"
        self.unfinished: tuple[Entry, ...] = ()
        self._path = path
        self._most_bytes = most_bytes
        self._most_days = most_days
        self._backoff = backoff
        self._changed = changed
        self._file: Journal | None = None
        self._memory = Journal(None, MEMORY_BYTES, most_days)
        self.group_bytes = self._memory.group_bytes
        self._owners = Owners()
        self._opened = False
        self._since_s = time.monotonic()  # of this state
        self._retry_s = self._prune_s = 0.0  # when to (monotonic)
        self._lost = 0  # in files that are closed
        self._unread = 0  # last row of the file that was closed because it cannot be read

    @property
    def lost(self) -> int:
        """Alert messages that had to go before all had acknowledged them, because of the size."""
        return self._lost + sum(journal.lost for journal in self._journals())

    @property
    def last_row(self) -> int:
        """Place of the last entry."""
        return max(journal.last_row for journal in self._journals())

    @property
    def due_s(self) -> float:
        """When `tend` is due, monotonic time."""
        return min(self._retry_s, self._prune_s) if self.state == "memory" else self._prune_s

    def open(self) -> None:
        """Open the file for the first time.

        Raises:
            JournalUnavailable: it is in use; then entries are held in memory, and `tend` retries.
        """
        if self.state == "memory":
            try:
                self._open()
            except Exception as error:
                self._rest(error)
                if isinstance(error, JournalUnavailable):
                    raise
            else:
                self._change("on", "")

    def write(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Write entries to the file, or to memory if that fails. Return them with their rows."""
        lost = self.lost
        written = self._try(lambda: self._writable().write(entries))
        if self.lost and not lost:
            _log.warning("the journal is full: alerts are deleted before all subscribers have acknowledged them")
        return written

    def replay(self, request: Replay) -> tuple[KeptMessages, list[bytes]]:
        """Answer from both; where the file cannot be read, from memory, and not complete."""
        return self._told(self._try(lambda: lookup.replay(self._journals(), request)))

    def after(self, request: After) -> tuple[KeptMessages, list[bytes]]:
        """Answer likewise; without the file it is complete for a client that has read all of the file, too."""
        answer = self._try(lambda: lookup.after(self._journals(), request))
        return self._told(answer, known=request.epoch in self._memory.epochs and request.row >= self._unread)

    def claim(self, name: str, key: str) -> str:
        """Claim a subscriber's name for a public key; return the reason for a refusal, else empty: see `Owners`."""
        return self._owners.claim(name, key)

    def forget(self, subscriber: str) -> bool:
        """Forget a subscriber; return whether there was one.

        Raises:
            JournalUnavailable: the disk fails: the subscriber would be restored from it.
        """
        remedy = "retry when the disk works again"
        if self.state == "memory":
            raise JournalUnavailable(f"the journal is in memory ({self.reason})", remedy=remedy)
        try:
            known = [journal.forget(subscriber) for journal in self._journals()]
        except TROUBLE as error:
            raise JournalUnavailable(_words(error), remedy=remedy) from error
        self._know_owners()
        return any(known)

    def order(self, given: Sequence[Order]) -> None:
        """Store orders in the audit log."""
        self._try(lambda: self._writable().order(given))

    def orders(self, limit: int) -> list[Order]:
        """Return the last orders, the newest first, of file and memory."""
        found = self._try(lambda: [order for journal in self._journals() for order in journal.orders()])
        return sorted(found, key=lambda order: order.t_ns, reverse=True)[:limit]

    def pending(self, request: Pending, key: str = "") -> tuple[KeptMessages, list[bytes]]:
        """Answer likewise, and register the subscriber and its public key."""
        self._note([], {request.subscriber: key})
        return self._told(self._try(lambda: lookup.pending(self._journals(), request)))

    def acknowledge(self, requests: Sequence[Ack], keys: Sequence[str]) -> list[bool]:
        """Store acknowledgements, all in one transaction; False for those of an unknown alert.

        Args:
            requests: acknowledgements of any subscribers.
            keys: public key of the client of each request.
        """
        rows = self._try(lambda: [lookup.place(self._journals(), ack) for ack in requests])
        found = [
            Noted(ack.alert_id, ack.subscriber, row, key)
            for ack, row, key in zip(requests, rows, keys, strict=True)
            if row
        ]
        self._note(found, {ack.subscriber: key for ack, key in zip(requests, keys, strict=True)})
        return [row is not None for row in rows]

    def _note(self, acks: Sequence[Noted], subscribers: Mapping[str, str]) -> None:
        self._try(lambda: self._writable().note(acks, subscribers))
        self._know_owners()

    def _know_owners(self) -> None:
        """Look up the owners of names; while the disk fails, the last known ones remain."""
        owners = self._try(lambda: _owners_of(self._journals()))
        if self.state != "memory":
            self._owners.know(owners)

    def tend(self, *, last: bool = False) -> None:
        """Retry the disk, and prune, when due; at the end, retry in any case."""
        now_s = time.monotonic()
        if self.state == "memory" and (last or now_s >= self._retry_s):
            self._retry()
        if now_s >= self._prune_s:
            self._prune_s = now_s + PRUNE_S
            self._try(lambda: self._writable().prune(time.time_ns()))

    def close(self) -> None:
        """Close the file, and discard the memory."""
        for journal in self._journals():
            journal.close()

    def _writable(self) -> Journal:
        return self._file if self._file is not None and self.state == "on" else self._memory

    def _journals(self) -> list[Journal]:
        return [self._memory] if self._file is None else [self._file, self._memory]

    def _told(
        self, answer: tuple[KeptMessages, list[bytes]], *, known: bool = False
    ) -> tuple[KeptMessages, list[bytes]]:
        if known or self.state != "memory" or self._file is not None:
            return answer
        return replace(answer[0], complete=False), answer[1]  # the content of the file is unknown

    def _try(self, do: Callable[[], T]) -> T:
        """Do something with file and memory; if the file cannot be written, with memory, or else without the file."""
        try:
            return do()
        except TROUBLE as error:
            if self._file is None:
                raise
            if self.state == "on":
                self._memory.continue_after(self._file.last_row)
                self._rest(error)
            else:
                self._close_file()
        return self._try(do)

    def _rest(self, error: Exception) -> None:
        """Continue in memory, and back off from the disk."""
        now_s = time.monotonic()
        self._retry_s = now_s + self._backoff.after(now_s - self._since_s if self.state == "on" else 0.0)
        self._change("memory", _words(error))

    def _retry(self) -> None:
        """Try to move the entries in memory to the disk."""
        try:
            if self._file is None or self.reason not in _PASSING:
                self._close_file()
                self._file = self._open()
            move(self._memory, self._file)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is retried indefinitely
            self._rest(error)
        else:
            self._change("on", "")

    def _open(self) -> Journal:
        assert self._path is not None  # noqa: S101 - else it is off
        journal = Journal(self._path(), self._most_bytes, self._most_days)
        try:
            journal.prune(time.time_ns())
            if not self._opened:
                self.unfinished = tuple(journal.open_alerts())
        except BaseException:
            journal.close()
            raise
        self._file, self._opened = journal, True
        self._owners.know(_owners_of([journal, self._memory]))
        self.group_bytes = min(journal.group_bytes, self._memory.group_bytes)
        return journal

    def _close_file(self) -> None:
        if self._file is not None:
            self._lost += self._file.lost
            self._unread = self._file.last_row
            self._file.close()
            self._file = None

    def _change(self, state: JournalState, reason: str) -> None:
        if (state, reason) == (self.state, self.reason):
            return
        if state != self.state:
            self._since_s = time.monotonic()
        self.state, self.reason = state, reason
        self._changed(state, reason)


def _owners_of(journals: Sequence[Journal]) -> dict[str, str]:
    """Return the owners of names; the first journal takes precedence."""
    said = [{name: key for name, key in journal.owners().items() if key} for journal in reversed(journals)]
    return {name: key for one in said for name, key in one.items()}


def _words(error: Exception) -> str:
    """Return the message of an error, that of the system or of SQLite; of one of ours also what to do."""
    if isinstance(error, JournalUnavailable):
        return f"{error.what}; {error.remedy}" if error.remedy else error.what
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
