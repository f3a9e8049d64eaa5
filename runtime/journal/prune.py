"""Prune the journal, by size and by age.

By size, the oldest first among the states, which are not acknowledged, and the alert messages that all known
subscribers have acknowledged. If that is not enough, the oldest alerts are deleted anyway, open ones last. By age, all
but the open alerts. Subscribers that were not seen for the maximum age of entries do not count.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from runtime.journal.open_database import PAGE_BYTES

DAY_NS = 86_400_000_000_000

REMEMBERED = 100
"""Maximum number of epochs of each topic that are remembered after all their messages are pruned."""

_OF_ENTRY = 400  # bytes of an entry beside its body and parts, in the table and its indexes
_SLACK = 64  # this share of the maximum size is freed at once, so that not every message needs a search
_VACUUM_PAGES = 256
_AT_ONCE = 2000  # entries in one transaction, which must not make the log long

_CLOSED = """(alert_id = '' OR EXISTS (
    SELECT 1 FROM entries AS ends WHERE ends.alert_id = entries.alert_id AND ends.phase = 'end'))"""
_ACKNOWLEDGED = """(alert_id = '' OR NOT EXISTS (
    SELECT 1 FROM subscribers WHERE seen_ns >= :since_ns AND entries.row > coalesce((
        SELECT row FROM acks WHERE acks.alert_id = entries.alert_id AND acks.subscriber = subscribers.name), 0)))"""
_IN_TURN = (f"{_CLOSED} AND {_ACKNOWLEDGED}", _CLOSED, "1")


@dataclass(frozen=True, slots=True)
class _Old:
    """An entry that may be deleted; `size` in bytes."""

    row: int
    topic: str
    epoch: str
    seq: int
    alert_id: str
    size: int


class Pruner:
    """Keeps a database within its maximum size and age. All but `shrink` is part of the caller's transaction.

    Attributes:
        lost: number of alert messages deleted because of the size before all known subscribers had acknowledged them.
    """

    def __init__(self, connection: sqlite3.Connection, most_pages: int, most_days: float) -> None:
        """Bound a database to `most_pages`, and its entries to an age of `most_days`."""
        self.lost = 0
        self._db = connection
        self._most_pages = most_pages
        self._most_ns = int(most_days * DAY_NS)

    def make_room(self, sizes: list[int], now_ns: int) -> None:
        """Make room for entries of these sizes, bytes."""
        # One more page than it fills, as an entry larger than a page shares none with others.
        wanted = sum((size + _OF_ENTRY) / PAGE_BYTES + (size > PAGE_BYTES / 4) for size in sizes) + 1
        while self.step(now_ns, wanted):
            pass

    def step(self, now_ns: int, wanted: float = 0) -> bool:
        """Delete some of the oldest if the size is too large, or will be with `wanted` pages; False if it is not."""
        excess = self._pages() - self._free() + wanted - self._most_pages
        if excess <= 0:
            return False
        for turn, which in enumerate(_IN_TURN):
            old = self._oldest(which, (excess + self._most_pages / _SLACK) * PAGE_BYTES, now_ns)
            if old:
                self.lost += sum(bool(one.alert_id) for one in old) if turn else 0
                self._remove(old)
                return True
        return False

    def expire(self, now_ns: int) -> bool:
        """Delete some entries beyond the maximum age; False if there are none.

        A row is the time of writing, and does not decrease when the clock is set back.
        """
        until = (now_ns - self._most_ns) // 1000
        query = f"SELECT {_COLUMNS} FROM entries WHERE row < ? AND {_CLOSED} ORDER BY row LIMIT {_AT_ONCE}"  # noqa: S608
        old = [_Old(*row) for row in self._db.execute(query, (until,))]
        self._remove(old)
        return bool(old)

    def shrink(self) -> None:
        """Return free pages to the disk if the file is too large. No transaction may be open."""
        if self._pages() <= self._most_pages:
            return
        while self._pages() > self._most_pages and self._free():
            self._db.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")  # `execute` frees one page only
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _pages(self) -> int:
        return int(self._db.execute("PRAGMA page_count").fetchone()[0])

    def _free(self) -> int:
        return int(self._db.execute("PRAGMA freelist_count").fetchone()[0])

    def _oldest(self, which: str, wanted: float, now_ns: int) -> list[_Old]:
        """Find the oldest entries that together free `wanted` bytes, at most `_AT_ONCE`."""
        query = f"SELECT {_COLUMNS} FROM entries WHERE {which} ORDER BY row LIMIT {_AT_ONCE}"  # noqa: S608
        old: list[_Old] = []
        cursor = self._db.execute(query, {"since_ns": now_ns - self._most_ns})
        for row in cursor:
            old.append(_Old(*row))
            wanted -= old[-1].size
            if wanted <= 0:
                break
        cursor.close()
        return old

    def _remove(self, old: list[_Old]) -> None:
        """Delete entries; remember the last per topic, and for each subscriber that had not acknowledged them."""
        execute = self._db.executemany
        last = {(one.topic, one.epoch): one for one in old}  # rows and seq grow together
        execute(_REMEMBER, [(one.topic, one.epoch, one.row, one.seq) for one in last.values()])
        execute(_FORGET, [(topic,) for topic in {one.topic for one in old}])
        alerts = [(one.row, one.alert_id) for one in old if one.alert_id]
        execute(_MISS, [{"row": row, "alert_id": alert_id} for row, alert_id in alerts])
        execute("DELETE FROM entries WHERE row = ?", [(one.row,) for one in old])
        execute(_UNACKNOWLEDGE, [(alert_id,) for alert_id in {alert_id for _, alert_id in alerts}])


_COLUMNS = f"row, topic, epoch, seq, alert_id, length(body) + length(parts) + {_OF_ENTRY}"
_REMEMBER = """INSERT INTO pruned (topic, epoch, row, seq) VALUES (?, ?, ?, ?)
    ON CONFLICT (topic, epoch) DO UPDATE SET row = max(row, excluded.row), seq = max(seq, excluded.seq)"""
_FORGET = f"""DELETE FROM pruned WHERE topic = ?1 AND row <= (
    SELECT row FROM pruned WHERE topic = ?1 ORDER BY row DESC LIMIT 1 OFFSET {REMEMBERED})"""  # noqa: S608
_MISS = """UPDATE subscribers SET lost_row = max(lost_row, :row) WHERE :row > coalesce((
    SELECT acks.row FROM acks WHERE acks.alert_id = :alert_id AND acks.subscriber = subscribers.name), 0)"""
_UNACKNOWLEDGE = """DELETE FROM acks WHERE alert_id = ?1 AND NOT EXISTS (
    SELECT 1 FROM entries WHERE entries.alert_id = ?1)"""
