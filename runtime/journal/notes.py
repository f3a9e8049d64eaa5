"""Everything in a journal beside its entries: acknowledgements, subscribers, pruned rows, and orders."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, NamedTuple

from runtime.journal import audit_log
from runtime.journal.audit_log import Order

# Another key may have used a name while the owner was unknown, because the disk did not respond.
_ACK = """INSERT INTO acks (alert_id, subscriber, row, key) SELECT ?1, ?2, ?3, ?4
    WHERE ?4 = '' OR (SELECT key FROM subscribers WHERE name = ?2) IN ('', ?4)
    ON CONFLICT (alert_id, subscriber) DO UPDATE SET row = max(row, excluded.row), key = excluded.key"""
_SUBSCRIBER = """INSERT INTO subscribers (name, seen_ns, acked_row, lost_row, key) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET seen_ns = max(seen_ns, excluded.seen_ns),
    acked_row = max(acked_row, excluded.acked_row), lost_row = max(lost_row, excluded.lost_row),
    key = CASE key WHEN '' THEN excluded.key ELSE key END"""
_PRUNED = """INSERT INTO pruned (topic, epoch, row, seq) VALUES (?, ?, ?, ?)
    ON CONFLICT (topic, epoch) DO UPDATE SET row = max(row, excluded.row), seq = max(seq, excluded.seq)"""


class Noted(NamedTuple):
    """An acknowledgement of an alert by a subscriber, up to a row; `key` is its public key."""

    alert_id: str
    subscriber: str
    row: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """The content of a journal beside its entries: rows of its tables, in their order; and its orders."""

    acks: list[tuple[str, str, int, str]]
    subscribers: list[tuple[str, int, int, int, str]]
    pruned: list[tuple[str, str, int, int]]
    given: list[Order]

    @classmethod
    def read(cls, db: sqlite3.Connection) -> Notes:
        """Read the notes of a journal."""
        rows: list[list[Any]] = [
            db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
            for table in ("acks", "subscribers", "pruned")
        ]
        acks, subscribers, pruned = rows
        return cls(acks, subscribers, pruned, audit_log.read(db))

    def write(self, db: sqlite3.Connection) -> None:
        """Add these notes to those of a journal."""
        db.executemany(_SUBSCRIBER, self.subscribers)
        db.executemany(_ACK, self.acks)
        db.executemany(_PRUNED, self.pruned)
        audit_log.write(db, self.given)

    def lifted(self, first: int, shift: int) -> Notes:
        """Return a copy in which all rows from `first` on are moved by `shift`."""

        def lift(row: int) -> int:
            return row + shift if row >= first else row

        return Notes(
            [(alert_id, subscriber, lift(row), key) for alert_id, subscriber, row, key in self.acks],
            [(name, seen_ns, lift(acked), lift(lost), key) for name, seen_ns, acked, lost, key in self.subscribers],
            [(topic, epoch, lift(row), seq) for topic, epoch, row, seq in self.pruned],
            self.given,
        )
