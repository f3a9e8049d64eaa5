"""The file of the store: its tables, how it is opened, and how it stays small."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import structlog

VERSION = 2

WAIT_S = 5.0
"""Time-out for a lock of the file."""

WAL_BYTES = 4 << 20
"""Size of the write-ahead log that stays."""

SCHEMA = """
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY, device TEXT NOT NULL, camera TEXT NOT NULL, epoch TEXT NOT NULL,
    threshold REAL NOT NULL, wall_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL, clock_ns INTEGER NOT NULL,
    frames INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX blocks_of ON blocks (device, camera, wall_ns);
CREATE INDEX blocks_age ON blocks (wall_ns);
CREATE TABLE tens (
    device TEXT NOT NULL, camera TEXT NOT NULL, hour INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (device, camera, hour)
) WITHOUT ROWID;
CREATE INDEX tens_age ON tens (hour);
CREATE TABLE alerts (
    id TEXT PRIMARY KEY, device TEXT NOT NULL, camera TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    start_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, end_ms INTEGER, peak_score REAL NOT NULL, peak_excess REAL,
    threshold REAL NOT NULL, reason TEXT NOT NULL, clip TEXT NOT NULL, boxes TEXT NOT NULL, height INTEGER,
    width INTEGER, ack_by TEXT, ack_ms INTEGER, false_by TEXT, false_ms INTEGER, peak_ms INTEGER
) WITHOUT ROWID;
CREATE INDEX alerts_age ON alerts (start_ms, id);
CREATE INDEX alerts_open ON alerts (device, camera) WHERE end_ms IS NULL;
CREATE TABLE pictures (
    alert TEXT PRIMARY KEY, score REAL NOT NULL, media_type TEXT NOT NULL, picture BLOB, heat TEXT
);
CREATE TABLE comments (
    number INTEGER PRIMARY KEY, alert TEXT NOT NULL, by TEXT NOT NULL, at_ms INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE INDEX comments_of ON comments (alert);
CREATE TABLE cursors (device TEXT PRIMARY KEY, row INTEGER NOT NULL, epoch TEXT NOT NULL) WITHOUT ROWID;
"""

FROM_1 = "ALTER TABLE alerts ADD COLUMN peak_ms INTEGER;"
"""What version 1 lacks."""


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open the file, or make it; a damaged one is set aside.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # no space, no permission: not damaged
            raise
        aside = path.with_suffix(".damaged")
        structlog.get_logger().error(
            "the store of the page is damaged, and a new one begins", problem=str(error), kept=str(aside)
        )
        path.replace(aside)
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        return _open(path)


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open the file for reading.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=WAIT_S, check_same_thread=False)
    db.execute("PRAGMA query_only = ON")
    return db


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(
            "PRAGMA synchronous = NORMAL"
        )  # a loss of power loses seconds, and the journal of the device has them
        db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        db.execute("PRAGMA cache_size = -2000")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version == 1:
            db.executescript(f"BEGIN; {FROM_1} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"version {version}, this program knows {VERSION}")  # noqa: TRY301 - as below
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.close()
        raise
    return db


def used_bytes(db: sqlite3.Connection) -> int:
    """Return the size of what is in the file, without free pages."""
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
