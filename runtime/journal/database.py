"""The journal in a database: published alerts and states, and the acknowledgements of subscribers."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from runtime.journal import audit_log
from runtime.journal.audit_log import Order
from runtime.journal.entries import COLUMNS, Entry, Reader
from runtime.journal.notes import Noted, Notes
from runtime.journal.open_database import PAGE_BYTES, Database
from runtime.journal.prune import Pruner

GROUP_BYTES = 1 << 20
"""Maximum size of a transaction, or one entry; less if the journal must stay small."""

MAX_SUBSCRIBERS = 100
"""Maximum number of subscribers; a further one replaces the one that was not seen for longest."""

SEEN_NS = 3_600_000_000_000
"""Interval at which it is recorded that a subscriber is active."""

LARGE = 4
"""Maximum size of an entry, in groups; a larger one is stored without its binary parts."""

_WRITE = (
    f"INSERT INTO entries (row, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
    " ON CONFLICT (topic, epoch, seq) DO NOTHING"
)
_SEE = """INSERT INTO subscribers (name, seen_ns, key) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET
    seen_ns = excluded.seen_ns, key = CASE key WHEN '' THEN excluded.key ELSE key END"""
_ACKNOWLEDGE = """INSERT INTO acks (alert_id, subscriber, row, key) VALUES (?, ?, ?, ?)
    ON CONFLICT (alert_id, subscriber) DO UPDATE SET row = max(row, excluded.row), key = excluded.key"""
_ACKNOWLEDGED = "UPDATE subscribers SET acked_row = max(acked_row, ?) WHERE name = ?"
_EPOCHS = """SELECT epoch, min(row) FROM (SELECT epoch, row FROM entries UNION ALL SELECT epoch, row FROM pruned)
    GROUP BY epoch"""
_DROP_SUBSCRIBERS = """DELETE FROM subscribers WHERE name IN (
    SELECT name FROM subscribers ORDER BY seen_ns DESC LIMIT -1 OFFSET ?)"""


class Journal(Reader):
    """One database of messages and acknowledgements. Use it from one thread.

    Each entry has a place (`row`): the microsecond of its message, or one more than the last place. So places grow
    over a damaged file that was replaced, and over entries that were held in memory for a while.

    Every method may raise OSError or sqlite3.Error; then nothing of it is written.

    """

    def __init__(self, path: Path | None, most_bytes: int, most_days: float) -> None:
        """Open or create the file.

        Args:
            path: of the file; None: in memory.
            most_bytes: maximum size of the file and its log, at least 1 MiB.
            most_days: maximum age of entries.

        Raises:
            JournalUnavailable: another runtime uses it, or it is the database of another program.
            OSError, sqlite3.Error: it cannot be written.
        """
        self._database = Database(path)
        super().__init__(self._database.connection, min(GROUP_BYTES, most_bytes // 16))
        # The log is emptied into the file when it is as long as a group, and may by then hold one large entry more.
        log_bytes = 0 if path is None else 8 * self.group_bytes
        self._pruner = Pruner(self._db, (most_bytes - log_bytes) // PAGE_BYTES, most_days)
        try:
            self._db.execute(f"PRAGMA wal_autocheckpoint = {self.group_bytes // PAGE_BYTES}")
            self._db.execute(f"PRAGMA journal_size_limit = {self.group_bytes}")
            rows = [self._first_of(f"SELECT max(row) FROM {table}") or 0 for table in ("entries", "pruned")]  # noqa: S608
            self.epochs.update(self._db.execute(_EPOCHS))
        except BaseException:
            self._database.close()
            raise
        self.last_row = max(rows)

    @property
    def lost(self) -> int:
        """Alert messages that went before all had acknowledged them, because of the size."""
        return self._pruner.lost

    def write(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Write entries, all or none; those that exist already are skipped. They are on disk when it returns.

        Returns:
            The entries with their places. One that has a place keeps it, if that is behind the last one.
        """
        written = []
        with self._transaction():
            self._pruner.make_room([entry.size for entry in entries], time.time_ns())
            for entry in entries:
                self.last_row = max(self.last_row + 1, entry.t_ns // 1000, entry.row)
                self.epochs.setdefault(entry.epoch, self.last_row)
                parts = entry.parts if entry.size <= LARGE * self.group_bytes else ()
                told = (entry.kind, entry.topic, entry.epoch, entry.seq, entry.t_ns, entry.alert_id, entry.phase or "")
                self._db.execute(_WRITE, (self.last_row, *told, entry.body, msgspec.msgpack.encode(parts)))
                written.append(replace(entry, row=self.last_row))
        return tuple(written)

    def note(self, acks: Sequence[Noted], subscribers: Mapping[str, str]) -> None:
        """Store acknowledgements, and that these subscribers are active, name -> public key of its owner."""
        now_ns = time.time_ns()
        acks = [ack for ack in acks if ack.row > self.acked(ack.alert_id, ack.subscriber)]
        found = self._db.execute("SELECT name, seen_ns, key FROM subscribers").fetchall()
        seen = {name: seen_ns for name, seen_ns, key in found if key or not subscribers.get(name)}
        news = {name: key for name, key in subscribers.items() if abs(now_ns - seen.get(name, 0)) > SEEN_NS}
        if not acks and not news:
            return
        with self._transaction():
            self._pruner.make_room([0] * len(acks), now_ns)
            self._db.executemany(_SEE, [(name, now_ns, key) for name, key in news.items()])
            self._db.executemany(_ACKNOWLEDGE, acks)
            self._db.executemany(_ACKNOWLEDGED, [(ack.row, ack.subscriber) for ack in acks])
            if self._db.execute(_DROP_SUBSCRIBERS, (MAX_SUBSCRIBERS,)).rowcount:
                self._db.execute("DELETE FROM acks WHERE subscriber NOT IN (SELECT name FROM subscribers)")

    def forget(self, subscriber: str) -> bool:
        """Forget a subscriber and all that it acknowledged; return whether there was one."""
        with self._transaction():
            self._db.execute("DELETE FROM acks WHERE subscriber = ?", (subscriber,))
            return bool(self._db.execute("DELETE FROM subscribers WHERE name = ?", (subscriber,)).rowcount)

    def order(self, given: Sequence[Order]) -> None:
        """Store orders in the audit log."""
        with self._transaction():
            self._pruner.make_room([audit_log.SIZE] * len(given), time.time_ns())
            audit_log.write(self._db, given)

    def prune(self, now_ns: int) -> None:
        """Delete entries beyond the maximum age or size, and shrink the file."""
        for step in (self._pruner.expire, self._pruner.step):
            more = True
            while more:
                with self._transaction():
                    more = step(now_ns)
        self._pruner.shrink()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def remove(self, entries: Sequence[Entry]) -> None:
        """Remove entries that are kept elsewhere."""
        with self._transaction():
            self._db.executemany("DELETE FROM entries WHERE row = ?", [(entry.row,) for entry in entries])

    def clear(self) -> None:
        """Forget everything; places go on."""
        with self._transaction():
            for table in ("entries", "acks", "subscribers", "pruned", "orders"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608
        self.epochs.clear()

    def orders(self) -> list[Order]:
        """Return the audit log, the oldest order first."""
        return audit_log.read(self._db)

    def notes(self) -> Notes:
        """Return all that is kept beside the entries."""
        return Notes.read(self._db)

    def adopt(self, notes: Notes) -> None:
        """Add what another journal kept beside its entries."""
        with self._transaction():
            notes.write(self._db)

    def continue_after(self, row: int) -> None:
        """Continue with rows after this one."""
        self.last_row = max(self.last_row, row)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all or nothing; after it all is on the disk, at the path."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have done it
                self._db.execute("ROLLBACK")
            raise
        self._database.verify()
