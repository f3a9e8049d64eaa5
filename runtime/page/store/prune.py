"""Delete what is too old, and the oldest of all where there is too much."""

from __future__ import annotations

import sqlite3

import structlog

from edge_config.settings.page import StoreSettings
from runtime.page.store.database import WAL_BYTES, used_bytes
from runtime.page.store.tens import HOUR_MS

SLACK = 0.95
"""Share of `most_mb` that is used at most, the write-ahead log left aside."""

SCORES_SHARE = 0.5
"""Where every score takes more than this share, the oldest of these are deleted, and what is kept for days stays."""

PORTION = 200
"""Maximum number of rows that are deleted at a time where there is too much."""

_MS = 1_000_000  # nanoseconds

# Each in milliseconds.
_OLDEST = {
    "tens": "SELECT min(hour) * 3600000 FROM tens",
    "alerts": "SELECT min(start_ms) FROM alerts",
}
_DELETE = {
    "blocks": "DELETE FROM blocks WHERE number IN (SELECT number FROM blocks ORDER BY wall_ns LIMIT ?)",
    "tens": "DELETE FROM tens WHERE hour IN (SELECT DISTINCT hour FROM tens ORDER BY hour LIMIT ?)",
    "alerts": "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts ORDER BY start_ms, id LIMIT ?)",
}
_ORPHANS = (
    "DELETE FROM pictures WHERE alert NOT IN (SELECT id FROM alerts)",
    "DELETE FROM comments WHERE alert NOT IN (SELECT id FROM alerts)",
)


class StorePruner:
    """Keeps the store within its bounds. Use it from the thread that writes."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._most_bytes = int(SLACK * (settings.most_mb << 20)) - WAL_BYTES
        self._told = False

    def prune(self, db: sqlite3.Connection, now_ns: int) -> None:
        """Delete what is too old or too much, and give its space back."""
        settings = self._settings
        hours_ns = int(settings.hours * HOUR_MS) * _MS
        days_ms = int(settings.days * 24 * HOUR_MS)
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM blocks WHERE wall_ns < ?", (now_ns - hours_ns,))
        db.execute("DELETE FROM tens WHERE hour < ?", ((now_ns // _MS - days_ms) // HOUR_MS,))
        if db.execute("DELETE FROM alerts WHERE start_ms < ?", (now_ns // _MS - days_ms,)).rowcount:
            _sweep(db)
        db.execute("COMMIT")
        self._make_room(db)
        db.execute("PRAGMA incremental_vacuum").fetchall()

    def _make_room(self, db: sqlite3.Connection) -> None:
        while used_bytes(db) > self._most_bytes:
            oldest = self._oldest(db)
            if oldest is None:
                return
            if not self._told:
                self._told = True
                structlog.get_logger().warning(
                    "the store of the page is full: the oldest is deleted", most_mb=self._settings.most_mb
                )
            db.execute("BEGIN IMMEDIATE")
            db.execute(_DELETE[oldest], (PORTION if oldest == "blocks" else PORTION // 10,))
            if oldest == "alerts":
                _sweep(db)
            db.execute("COMMIT")

    def _oldest(self, db: sqlite3.Connection) -> str | None:
        """Return the table of which something is to be deleted; None: there is nothing."""
        (scores,) = db.execute("SELECT coalesce(sum(length(data)), 0) FROM blocks").fetchone()
        ages = {name: db.execute(sql).fetchone()[0] for name, sql in _OLDEST.items()}
        kept = {name: age for name, age in ages.items() if age is not None}
        if scores > SCORES_SHARE * self._most_bytes or (scores and not kept):
            return "blocks"
        return min(kept, key=lambda name: kept[name]) if kept else None


def _sweep(db: sqlite3.Connection) -> None:
    for sql in _ORPHANS:
        db.execute(sql)
