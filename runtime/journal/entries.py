"""Read the journal: its entries, and the acknowledgements of subscribers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from edge_config.wire.messages import Kind, Phase

COLUMNS = "kind, topic, epoch, seq, t_ns, alert_id, phase, body, parts"

GROUP = 64
"""Maximum number of entries in one transaction."""

_OPEN = """SELECT max(row) FROM entries WHERE alert_id != '' GROUP BY alert_id HAVING max(phase = 'end') = 0
    ORDER BY max(row)"""
_PENDING = """SELECT row, alert_id FROM entries WHERE alert_id != '' AND row > ?2 AND row > coalesce((
        SELECT acks.row FROM acks WHERE acks.alert_id = entries.alert_id AND acks.subscriber = ?1), 0)
    ORDER BY row"""

_parts = msgspec.msgpack.Decoder(tuple[bytes, ...])


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as it is published.

    Attributes:
        kind: alert or state.
        topic: topic of the message, with device and camera.
        epoch: start of the runtime that `seq` belongs to.
        seq: number of the message in its topic, from 1.
        t_ns: wall clock at publishing, nanoseconds since 1970 UTC.
        body: the JSON.
        parts: further frames of the message.
        alert_id: id of the alert; empty for a state.
        phase: of an alert.
        row: its place in the journal; 0 before it is written.
    """

    kind: Kind
    topic: str
    epoch: str
    seq: int
    t_ns: int
    body: bytes
    parts: tuple[bytes, ...] = ()
    alert_id: str = ""
    phase: Phase | None = None
    row: int = field(default=0, compare=False)

    @property
    def size(self) -> int:
        """Bytes of body and parts."""
        return len(self.body) + sum(map(len, self.parts))


class Reader:
    """Queries on the database of a journal. Every method may raise sqlite3.Error.

    Attributes:
        group_bytes: a transaction should hold no more, or one entry.
        last_row: the last row; 0 at first.
        epochs: first place of each start of the runtime that it knows of.
    """

    def __init__(self, connection: sqlite3.Connection, group_bytes: int) -> None:
        self._db = connection
        self.group_bytes = group_bytes
        self.last_row = 0
        self.epochs: dict[str, int] = {}

    def open_alerts(self) -> list[Entry]:
        """Return the last message of each open alert."""
        return [entry for (row,) in self._db.execute(_OPEN).fetchall() if (entry := self.entry(row)) is not None]

    def oldest(self) -> list[Entry]:
        """Return the oldest entries that fit into one transaction."""
        rows = self._db.execute("SELECT row FROM entries ORDER BY row LIMIT ?", (GROUP,)).fetchall()
        group: list[Entry] = []
        size = 0
        for (row,) in rows:
            if (entry := self.entry(row)) is None:
                continue
            size += entry.size
            if group and size > self.group_bytes:
                break
            group.append(entry)
        return group

    def entry(self, row: int) -> Entry | None:
        """Return the entry at a row; None if it cannot be read."""
        found = self._db.execute(f"SELECT {COLUMNS} FROM entries WHERE row = ?", (row,)).fetchone()  # noqa: S608
        try:
            kind, topic, epoch, seq, t_ns, alert_id, phase, body, parts = found
            return Entry(kind, topic, epoch, seq, t_ns, body, _parts.decode(parts), alert_id, phase or None, row)
        except (TypeError, ValueError):  # a damaged page: DecodeError is a ValueError
            return None

    def first_row(self, topic: str, epoch: str, seq: int) -> int | None:
        """Find the first message of an epoch from `seq` on."""
        return self._first_of(
            "SELECT row FROM entries WHERE topic = ? AND epoch = ? AND seq >= ? ORDER BY seq LIMIT 1", topic, epoch, seq
        )

    def last_row_of(self, topic: str, epoch: str) -> int | None:
        """Find the last message of an epoch, even if it is pruned."""
        return self._first_of(
            "SELECT max(row) FROM (SELECT row FROM entries WHERE topic = ?1 AND epoch = ?2"
            " UNION ALL SELECT row FROM pruned WHERE topic = ?1 AND epoch = ?2)",
            topic,
            epoch,
        )

    def is_pruned(self, topic: str, row: int, epoch: str, seq: int) -> bool:
        """Return whether anything of a topic is pruned, from a place on or of an epoch from `seq` on."""
        query = "SELECT 1 FROM pruned WHERE topic = ? AND (row >= ? OR (epoch = ? AND seq >= ?)) LIMIT 1"
        return self._first_of(query, topic, row, epoch, seq) is not None

    def is_pruned_after(self, row: int, prefixes: tuple[str, ...]) -> bool:
        """Return whether anything behind a place is pruned of the topics that begin so."""
        return any(topic.startswith(prefixes) for (topic,) in self._each("SELECT topic FROM pruned WHERE row > ?", row))

    def rows_after(self, row: int, prefixes: tuple[str, ...]) -> Iterator[int]:
        """Return the places behind one of the messages of the topics that begin so."""
        found = self._each("SELECT row, topic FROM entries WHERE row > ? ORDER BY row", row)
        return (place for place, topic in found if topic.startswith(prefixes))

    def rows_of_topic(self, topic: str, row: int) -> Iterator[int]:
        """Return the places of the messages of a topic, from one on."""
        return (
            row
            for (row,) in self._each("SELECT row FROM entries WHERE topic = ? AND row >= ? ORDER BY row", topic, row)
        )

    def rows_of_subscriber(self, subscriber: str, after: int) -> Iterator[tuple[int, str]]:
        """Return row and alert of each alert message after a row that a subscriber has not acknowledged."""
        return self._each(_PENDING, subscriber, after)

    def row_of_alert(self, alert_id: str, epoch: str, seq: int) -> int | None:
        """Find the last message of an alert, up to `seq` of an epoch; without `epoch` the last of all.

        Returns:
            Its row; 0 if all are after `seq`; None if there is no such alert.
        """
        if not epoch:
            return self._first_of("SELECT max(row) FROM entries WHERE alert_id = ?", alert_id)
        query = "SELECT max(CASE WHEN epoch = ? AND seq <= ? THEN row ELSE 0 END) FROM entries WHERE alert_id = ?"
        return self._first_of(query, epoch, seq, alert_id)

    def acked(self, alert_id: str, subscriber: str) -> int:
        """Return the last row of an alert that a subscriber has acknowledged, 0 for none."""
        return self._first_of("SELECT row FROM acks WHERE alert_id = ? AND subscriber = ?", alert_id, subscriber) or 0

    def owners(self) -> dict[str, str]:
        """Return the names of subscribers, and the public key of each one's owner; empty without one."""
        return dict(self._db.execute("SELECT name, key FROM subscribers").fetchall())

    def misses(self, subscriber: str, after: int) -> bool:
        """Return whether messages after a row, and after all it has acknowledged, were pruned unacknowledged."""
        query = "SELECT 1 FROM subscribers WHERE name = ? AND lost_row > max(acked_row, ?)"
        return self._first_of(query, subscriber, after) is not None

    def _first_of(self, query: str, *values: str | int) -> int | None:
        found = self._db.execute(query, values).fetchone()
        return None if found is None else cast("int | None", found[0])

    def _each(self, query: str, *values: str | int) -> Iterator[Any]:
        with closing(self._db.execute(query, values)) as cursor:  # if not read to its end, it must not hold the log
            yield from cursor
