"""The journal's database file: opened, locked, checked, and moved aside if it cannot be read."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import stat
import time
from contextlib import suppress
from pathlib import Path

import structlog

from edge_config.errors import JournalUnavailable
from runtime.state_folder import state_folder

PAGE_BYTES = 4096
VERSION = 1
"""Version of the tables, stored in `user_version`."""

KEPT_ASIDE = 2
"""Maximum number of damaged files that are kept; the oldest are deleted."""

BUSY_S = 1.0
"""Time-out of a write while another program writes to the file."""

_APPLICATION = 0x50456A6C  # "PEjl": tells a journal from the database of another program

_SETTINGS = (
    f"page_size = {PAGE_BYTES}",
    "auto_vacuum = INCREMENTAL",  # of a new file: it can shrink
    "secure_delete = OFF",  # pruned pages are not overwritten
    "temp_store = MEMORY",
    "trusted_schema = OFF",
    "journal_mode = WAL",
    "synchronous = FULL",
)

_TABLES = (
    # Rows are never used twice, and always grow: see `Journal.write`.
    """CREATE TABLE IF NOT EXISTS entries (
        row INTEGER PRIMARY KEY, kind TEXT NOT NULL, topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
        t_ns INTEGER NOT NULL, alert_id TEXT NOT NULL, phase TEXT NOT NULL, body BLOB NOT NULL, parts BLOB NOT NULL,
        UNIQUE (topic, epoch, seq))""",
    "CREATE INDEX IF NOT EXISTS entries_of_topic ON entries (topic)",
    "CREATE INDEX IF NOT EXISTS entries_of_alert ON entries (alert_id, row, phase)",
    "CREATE INDEX IF NOT EXISTS alert_entries ON entries (row, alert_id) WHERE alert_id != ''",
    # The last message of each alert that a subscriber has acknowledged, and its public key.
    """CREATE TABLE IF NOT EXISTS acks (
        alert_id TEXT NOT NULL, subscriber TEXT NOT NULL, row INTEGER NOT NULL, key TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (alert_id, subscriber)) WITHOUT ROWID""",
    # `acked_row`: the last row that it acknowledged; `lost_row`: the last row that was pruned before it did;
    # `key`: public key of the owner of the name.
    """CREATE TABLE IF NOT EXISTS subscribers (
        name TEXT PRIMARY KEY, seen_ns INTEGER NOT NULL, acked_row INTEGER NOT NULL DEFAULT 0,
        lost_row INTEGER NOT NULL DEFAULT 0, key TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    # The last pruned message of each topic and epoch.
    """CREATE TABLE IF NOT EXISTS pruned (
        topic TEXT NOT NULL, epoch TEXT NOT NULL, row INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (topic, epoch)) WITHOUT ROWID""",
    # Requests that changed something, the public keys of their clients, and the persons that these keys claim.
    """CREATE TABLE IF NOT EXISTS orders (
        number INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL,
        fields TEXT NOT NULL, user TEXT NOT NULL DEFAULT '', UNIQUE (t_ns, request, key) ON CONFLICT IGNORE)""",
)

# Columns that earlier versions lack. They can use a file that has them, so `VERSION` stays.
_ADDED = (("acks", "key"), ("subscribers", "key"), ("orders", "user"))


class Newer(Exception):
    """The tables are of a later version of this program."""


class Database:
    """A connection with the tables of a journal, and the lock against other runtimes. Use it from one thread.

    Commits are on the disk when they return: a write-ahead log with one fsync for each (synchronous=FULL). After a
    power cut inside a commit, the checksums of the log show it, and all earlier commits are intact.

    Attributes:
        connection: in autocommit mode.
    """

    def __init__(self, path: Path | None) -> None:
        """Open or create the file, readable by its owner only, as is its folder.

        A file that is damaged, or of a later version, is moved aside and replaced by a new one.

        Args:
            path: of the file; None: in memory.

        Raises:
            JournalUnavailable: another runtime uses it, or it is the database of another program.
            OSError, sqlite3.Error: it cannot be written.
        """
        self._path = None if path is None else path.absolute()
        self._lock: int | None = None
        if self._path is None:
            self.connection = _connect(":memory:")
            _lay_out(self.connection)
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _take_lock(self._path)
        try:
            self.connection = self._open(self._path)
            self._files = self._identify(self._path)
        except BaseException:
            os.close(self._lock)
            raise

    def verify(self) -> None:
        """Check that the path still leads to the open files.

        Raises:
            OSError: they were removed or replaced, and everything written to them is lost.
        """
        if self._path is None:
            return
        try:
            there = self._identify(self._path) == self._files
        except FileNotFoundError:
            there = False
        if not there:
            raise OSError(errno.ESTALE, "the file was removed or replaced", str(self._path))

    def close(self) -> None:
        """Close the file and release the lock. Commits are kept, even if this fails."""
        with suppress(sqlite3.Error):
            self.connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open(self, path: Path) -> sqlite3.Connection:
        """Open the file; one that cannot be read is moved aside."""
        try:
            return _open(path)
        except Newer as error:
            _move_aside(path, "newer", str(error))
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # subclasses are disk errors and bugs of ours
                raise
            _move_aside(path, "damaged", str(error))
        return _open(path)

    def _identify(self, path: Path) -> list[tuple[int, int]]:
        found = [Path(f"{path}{suffix}").stat() for suffix in ("", "-wal", ".lock")]
        return [(one.st_dev, one.st_ino) for one in found]


def default_path(device: str) -> Path:
    """Return the path for a device whose settings name none; raises OSError if the user has no home."""
    return state_folder() / f"{device}.sqlite"


def _take_lock(path: Path) -> int:
    """Return the descriptor that holds the lock; the kernel releases it when this process ends, however it ends."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise JournalUnavailable(
            "in use by another runtime", where=str(path), remedy="stop it, or set another device or journal.path"
        ) from error
    except BaseException:
        os.close(lock)
        raise
    return lock


def _open(path: Path) -> sqlite3.Connection:
    # SQLite would make it readable by others. No connection is open: closing a descriptor would end its locks.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
    finally:
        os.close(descriptor)
    connection = _connect(str(path))
    try:
        _check(connection, path)
        _lay_out(connection)
        _sync_folder(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Check an existing database.

    Raises:
        JournalUnavailable: it is the database of another program.
        Newer: it is of a later version.
        sqlite3.DatabaseError: it is damaged.
    """
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
        raise JournalUnavailable("the database of another program", where=str(path), remedy="set another journal.path")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise Newer(f"version {version}, this program knows {VERSION}")
    if (found := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(found)


def _lay_out(connection: sqlite3.Connection) -> None:
    """Create the tables. This always writes, so that a read-only or full disk is detected at once."""
    for setting in _SETTINGS:
        connection.execute(f"PRAGMA {setting}")
    connection.execute("BEGIN IMMEDIATE")
    for table in _TABLES:
        connection.execute(table)
    for table, column in _ADDED:
        if column not in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _move_aside(path: Path, why: str, problem: str) -> None:
    """Rename a file together with its write-ahead log."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.{why}-{now}")
    for count in range(2, 1000):
        if not aside.exists():
            break
        aside = path.with_name(f"{path.name}.{why}-{now}-{count}")
    path.rename(aside)
    with suppress(FileNotFoundError):
        Path(f"{path}-wal").rename(f"{aside}-wal")
    Path(f"{path}-shm").unlink(missing_ok=True)
    _sync_folder(path.parent)
    structlog.get_logger().warning("journal moved aside, a new one was created", problem=problem, now=str(aside))
    kept = sorted(one for one in path.parent.glob(f"{path.name}.damaged-*") if not one.name.endswith("-wal"))
    for old in kept[:-KEPT_ASIDE]:
        old.unlink(missing_ok=True)
        Path(f"{old}-wal").unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that the names in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
