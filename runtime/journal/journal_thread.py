"""The journal's thread: writes alerts and states to disk before they are published, and answers requests."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from edge_config.errors import JournalUnavailable
from edge_config.settings.sections import JournalSettings
from edge_config.wire.messages import JournalState
from runtime.events import Asked
from runtime.journal.answers import Answers, Refuse, Reply
from runtime.journal.audit_log import Order
from runtime.journal.disk_or_memory import Store
from runtime.journal.entries import GROUP, Entry
from runtime.journal.open_database import default_path
from runtime.process.backoff import Backoff

MAX_WAITING = 10_000
"""Maximum backlog while the disk does not respond; beyond it the oldest state is dropped, or else the oldest entry."""

MAX_WAITING_BYTES = 32 << 20
"""Maximum size of the backlog."""

MAX_ASKED = 1000
"""Maximum number of queued requests; further ones are refused."""

OPEN_S = 10.0
"""Time-out for opening the file at the start. After it the journal is in memory until the file is open."""

RETRY_S = (1.0, 30.0)
"""Shortest and longest back-off before a failed disk is retried."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Written:
    """These entries are in the journal; in memory, if its state says so."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class JournalChanged:
    """The journal is written to disk again, or no longer is.

    Attributes:
        state: its new state.
        reason: the reason, in a few words; empty for `on`.
        unfinished: as `Recorder.unfinished`, if the file could not be opened at the start but now is.
    """

    state: JournalState
    reason: str
    unfinished: tuple[Entry, ...] = ()


class Recorder:
    """Writes the journal in a thread of its own. If the disk fails, it continues in memory until the disk works.

    Attributes:
        unfinished: the last message of each alert that an earlier run of the runtime left open.
        dropped: number of entries dropped because the backlog was full.
    """

    def __init__(
        self,
        section: JournalSettings,
        device: str,
        *,
        tell: Callable[[Written | JournalChanged], object],
        reply: Reply,
        refuse: Refuse,
        backoff: Backoff | None = None,
    ) -> None:
        """Open the journal and start.

        Args:
            section: settings; the default path may be in use, as two runtimes on a machine are allowed.
            device: name of the device, for the default path.
            tell: receives events, in the journal's thread, and must not wait. The initial state is not sent.
            reply: answers a request.
            refuse: refuses a request, with the reason in one line.
            backoff: waits before a failed disk is retried.

        Raises:
            JournalUnavailable: the configured file is in use by another runtime, or by another program.
        """
        self.unfinished: tuple[Entry, ...] = ()
        self.dropped = 0
        self._tell = tell
        self._refuse = refuse
        self._chosen = section.path is not None
        chosen = None if section.path is None else Path(section.path)
        self._store = Store(
            (lambda: chosen or default_path(device)) if section.enabled else None,
            section.most_mb << 20,
            section.most_days,
            backoff=backoff or Backoff(*RETRY_S),
            changed=self._change,
        )
        self._answers = Answers(self._store, reply, refuse)
        self._news = threading.Condition()  # over what follows
        self._entries: deque[Entry] = deque()
        self._bytes = 0  # of them
        self._asked: deque[Asked] = deque()
        self._orders: deque[Order] = deque(maxlen=MAX_ASKED)
        self._closing = self._ended = False
        self._started = False  # the constructor has returned, or is about to
        self._opened = False
        self._told = False  # what is unfinished
        self._refusal: JournalUnavailable | None = None
        # A write may hang in the kernel: nothing waits for the thread at exit.
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        with self._news:
            self._news.wait_for(lambda: self._opened, OPEN_S)
            self._started = True
        if self._refusal is not None:
            self._thread.join()
            raise self._refusal

    @property
    def state(self) -> JournalState:
        """`on`, `memory` or `off`, as in health messages."""
        return self._store.state

    @property
    def reason(self) -> str:
        """Why it is not on; empty if it is."""
        return self._store.reason

    @property
    def last_row(self) -> int:
        """Place of the last entry."""
        return self._store.last_row

    @property
    def lost(self) -> int:
        """Number of alert messages deleted before all subscribers had acknowledged them, because it was full."""
        return self._store.lost

    def put(self, entry: Entry) -> None:
        """Queue an entry for writing; the event `Written` follows. Never waits."""
        with self._news:
            self._entries.append(entry)
            self._bytes += entry.size
            while len(self._entries) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
                self._drop()
            self._news.notify_all()

    def ask(self, asked: Asked) -> None:
        """Queue a request of `OfJournal` for an answer. Never waits."""
        with self._news:
            problem = "the device is stopping" if self._ended else ""
            if len(self._asked) >= MAX_ASKED:
                problem = "the journal is busy; retry later"
            if not problem:
                self._asked.append(asked)
                self._news.notify_all()
        if problem:
            self._refuse(asked, problem)

    def note(self, order: Order) -> None:
        """Queue an order for the audit log. Never waits."""
        with self._news:
            self._orders.append(order)
            self._news.notify_all()

    def close(self, timeout_s: float) -> None:
        """Write the backlog, and stop; give up after this time if the disk hangs."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.error("journal given up: the disk does not respond", waiting=len(self._entries))

    def _drop(self) -> None:
        """Drop the oldest state, or the oldest entry if there is none."""
        place = next((place for place, entry in enumerate(self._entries) if entry.kind == "state"), 0)
        self._bytes -= self._entries[place].size
        del self._entries[place]
        self.dropped += 1

    def _run(self) -> None:
        try:
            going_on = self._begin()
            while going_on:
                try:
                    going_on = self._turn()
                except Exception as error:  # noqa: BLE001, PERF203 - a mistake of ours costs a request, not the journal
                    _log.error("internal error of the journal", problem=repr(error))
        finally:
            with self._news:
                self._ended = self._opened = True
                self._news.notify_all()
            for asked in self._asked:
                self._refuse(asked, "the device is stopping")
            self._store.close()

    def _begin(self) -> bool:
        """Open the file; False if it is configured and in use by another program."""
        refusal = None
        try:
            self._store.open()
        except JournalUnavailable as error:
            refusal = error
        with self._news:
            if not self._started:  # else it took too long, and the memory is better than an exit
                self._refusal = refusal if self._chosen else None
            self._opened = True
            self._news.notify_all()
        return self._refusal is None

    def _turn(self) -> bool:
        """Process the queues once; False after the last time."""
        with self._news:
            if not (self._entries or self._asked or self._orders or self._closing):
                self._news.wait(max(0.0, self._store.due_s - time.monotonic()))
            entries, orders = self._group(), list(self._orders)
            asked = [] if self._entries else list(self._asked)  # what was said before an answer is in it
            self._orders.clear()
            if asked:
                self._asked.clear()
            last = self._closing and not self._entries
        if entries:
            self._write(entries)
        if orders:
            self._note(orders)
        self._answers.answer(asked)
        self._store.tend(last=last)
        return not last

    def _group(self) -> tuple[Entry, ...]:
        """Take the entries of one transaction."""
        group: list[Entry] = []
        left = self._store.group_bytes
        while self._entries and len(group) < GROUP and (not group or self._entries[0].size <= left):
            group.append(self._entries.popleft())
            left -= group[-1].size
            self._bytes -= group[-1].size
        return tuple(group)

    def _write(self, entries: tuple[Entry, ...]) -> None:
        try:
            entries = self._store.write(entries)
        except Exception as error:  # noqa: BLE001 - whatever it is, they are published
            _log.error("entries cannot be kept", problem=repr(error), topics=[entry.topic for entry in entries])
        self._tell(Written(entries))

    def _note(self, orders: list[Order]) -> None:
        try:
            self._store.order(orders)
        except Exception as error:  # noqa: BLE001 - whatever it is, they are done
            _log.error("orders cannot be stored", problem=repr(error), orders=[one.request for one in orders])

    def _change(self, state: JournalState, reason: str) -> None:
        if state == "on":
            _log.info("journal on the disk")
        else:
            _log.warning("journal in memory", reason=reason)
        with self._news:
            unfinished = self._store.unfinished if state == "on" and not self._told else ()
            self._told = self._told or state == "on"
            if not self._started:
                self.unfinished = unfinished
                return
        self._tell(JournalChanged(state, reason, unfinished))
