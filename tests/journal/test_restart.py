"""The journal's file when things go wrong: power, damage, other programs, other versions."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_config.errors import JournalUnavailable
from runtime.journal.database import Journal
from runtime.journal.open_database import KEPT_ASIDE
from tests.programs.bench.journal_kill import kill_writer
from tests.support.journals import MAX_BYTES, MAX_DAYS, alert, pending, read_all, seqs

INSTANTS = 15  # of 200: `python -m tests.programs.bench.journal_kill`
IMAGES = 80
SECTOR = 512


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file in a folder that is not there yet."""
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def written(path: Path) -> Path:
    """Return a file with three messages that was closed."""
    with closing(open_journal(path)) as journal:
        journal.write([alert("a", "start", seq) for seq in (1, 2, 3)])
    return path


def open_journal(path: Path) -> Journal:
    return Journal(path, MAX_BYTES, MAX_DAYS)


def read(path: Path) -> list[int]:
    with closing(open_journal(path)) as journal:
        return [seq for _, seq in read_all(journal)]


def moved_aside(path: Path, why: str) -> list[Path]:
    return [one for one in path.parent.iterdir() if f".{why}-" in one.name]


@pytest.mark.slow
def test_nothing_that_was_published_is_lost_when_the_runtime_is_killed(tmp_path: Path) -> None:
    """Killed with -9 at any instant while it writes, it opens again, is whole, and has all that was published."""
    counts = kill_writer(INSTANTS, 7, tmp_path)
    assert (counts.killed, counts.lost, counts.unopened, counts.opened_aside) == (INSTANTS, 0, 0, 0)
    assert counts.published > INSTANTS / 2


def image(path: Path, folder: Path) -> tuple[bytes, bytes]:
    """Copy the file and its log as they lie on the disk now."""
    folder.mkdir(parents=True)
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", folder / f"{path.name}{suffix}")
    return (folder / path.name).read_bytes(), (folder / f"{path.name}-wal").read_bytes()


def messages(path: Path) -> Iterator[int]:
    """Write messages of all sizes, and give the number of each when it is written."""
    chance = random.Random(3)  # noqa: S311
    with closing(open_journal(path)) as journal:
        for seq in range(1, IMAGES + 1):
            journal.write([alert(f"{seq}", "start", seq, parts=(bytes(chance.randrange(30_000)),))])
            yield seq


@pytest.mark.slow
def test_power_may_fail_between_any_two_messages(path: Path, tmp_path: Path) -> None:
    """What the disk holds at any moment opens, and has every message that was written before.

    A commit returns after its fsync (test below): so this is what is left when power is lost.
    """
    for seq in messages(path):
        image(path, folder := tmp_path / f"{seq}")
        assert read(folder / path.name) == list(range(1, seq + 1))
        assert not moved_aside(folder / path.name, "damaged")


@pytest.mark.slow
def test_power_may_fail_within_a_message(path: Path, tmp_path: Path) -> None:
    """Where power is lost before the fsync, any of the sectors that were written since the last one may be old or new:
    the file opens, and has every message that was written before.
    """
    chance = random.Random(4)  # noqa: S311
    before: tuple[bytes, bytes] | None = None
    torn = 0
    for seq in messages(path):
        after = image(path, folder := tmp_path / f"{seq}")
        if before is not None and before[0] == after[0]:  # else the log was emptied into the file, after its fsync
            log = tear(before[1], after[1], chance)
            (folder / f"{path.name}-wal").write_bytes(log)
            assert read(folder / path.name) in (list(range(1, seq)), list(range(1, seq + 1)))
            assert not moved_aside(folder / path.name, "damaged")
            torn += 1
        before = after
    assert torn > IMAGES / 2


def tear(before: bytes, after: bytes, chance: random.Random) -> bytes:
    """Mix what a disk held and what was written to it, sector by sector; it may end anywhere behind what it held."""
    new = after[: chance.randint(min(len(before), len(after)), len(after))]
    old = before.ljust(len(new), b"\0")
    sectors = range(0, len(new), SECTOR)
    return b"".join((old if chance.random() < 0.5 else new)[at : min(at + SECTOR, len(new))] for at in sectors)


def test_each_commit_waits_for_the_disk(path: Path) -> None:
    """A write-ahead log that is flushed at each commit: 2 is FULL."""
    with closing(open_journal(path)) as journal:
        settings = [journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]


@pytest.mark.parametrize("damage", ["start", "middle", "text", "cut"])
def test_damaged_file_is_moved_aside_and_a_new_one_begins(written: Path, damage: str) -> None:
    """A disk that breaks pages costs what was in them, not the start of the runtime; the old file can be looked at."""
    data = written.read_bytes()
    data = {
        "start": bytes(4096) + data[4096:],
        "middle": data[:8192] + b"\xff" * 8192 + data[16384:],
        "text": b"this is no database, but some text that somebody wrote here\n" * 100,
        "cut": data[: len(data) // 2],
    }[damage]
    written.write_bytes(data)
    assert read(written) == []
    aside = moved_aside(written, "damaged")
    assert [one.read_bytes() for one in aside] == [data]
    with closing(open_journal(written)) as journal:
        journal.write([alert("b", "start", 1)])
    assert read(written) == [1]


def test_damaged_files_do_not_fill_the_disk(path: Path) -> None:
    """Of many damaged files only the last ones are kept."""
    path.parent.mkdir()
    for _ in range(KEPT_ASIDE + 3):
        path.write_bytes(b"no database " * 1000)
        open_journal(path).close()
    assert len(moved_aside(path, "damaged")) == KEPT_ASIDE


def test_file_of_a_later_version_is_moved_aside(written: Path) -> None:
    """After a downgrade the runtime starts with a new file, and the later one is kept for the way back."""
    with closing(sqlite3.connect(written)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert read(written) == []
    (aside,) = moved_aside(written, "newer")
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (3,)


OLD = """
CREATE TABLE entries (
    row INTEGER PRIMARY KEY, kind TEXT NOT NULL, topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    t_ns INTEGER NOT NULL, alert_id TEXT NOT NULL, phase TEXT NOT NULL, body BLOB NOT NULL, parts BLOB NOT NULL,
    UNIQUE (topic, epoch, seq));
CREATE TABLE acks (
    alert_id TEXT NOT NULL, subscriber TEXT NOT NULL, row INTEGER NOT NULL,
    PRIMARY KEY (alert_id, subscriber)) WITHOUT ROWID;
CREATE TABLE subscribers (
    name TEXT PRIMARY KEY, seen_ns INTEGER NOT NULL, acked_row INTEGER NOT NULL DEFAULT 0,
    lost_row INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE pruned (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, row INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (topic, epoch)) WITHOUT ROWID;
INSERT INTO entries VALUES
    (1, 'alert', 'v1/alert/edge/cam/', 'one', 1, 1, 'a', 'start', '{"epoch":"one","seq":1}', x'90'),
    (2, 'alert', 'v1/alert/edge/cam/', 'one', 2, 2, 'a', 'end', '{"epoch":"one","seq":2}', x'90');
INSERT INTO acks VALUES ('a', 'plc', 1);
INSERT INTO subscribers VALUES ('plc', 1, 1, 0);
PRAGMA application_id = 1346726508;
PRAGMA user_version = 1;
"""
"""A journal as programs left it before there were roles: nobody's key is in it."""


def test_journal_of_an_earlier_program_goes_on_and_can_go_back(path: Path) -> None:
    """Nothing is lost and nothing repeated over an update, and the earlier program can write to the file afterwards."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as old:
        old.executescript(OLD)
    for _ in range(2):
        with closing(open_journal(path)) as journal:
            assert read_all(journal) == [("one", 1), ("one", 2)]
            assert seqs(pending(journal, "plc")) == [2]
            assert journal.owners() == {"plc": ""}
    with closing(sqlite3.connect(path)) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (1,)
        old.execute("INSERT INTO subscribers (name, seen_ns) VALUES ('mes', 1)")
        old.execute("INSERT INTO acks (alert_id, subscriber, row) VALUES ('a', 'mes', 2)")
        old.commit()
    with closing(open_journal(path)) as journal:
        assert seqs(pending(journal, "mes")) == []
    assert moved_aside(path, "damaged") + moved_aside(path, "newer") == []


def test_database_of_another_program_is_left_alone(path: Path) -> None:
    """A path that was mistyped costs nobody his data: one line says what is wrong."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(JournalUnavailable, match=r"the database of another program; set another journal.path"):
        open_journal(path)
    assert path.read_bytes() == before


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    """A folder or a device in the place of the file is an error, and stays where it is."""
    for path in (tmp_path, Path("/dev/null")):
        if path.is_dir():
            with pytest.raises(OSError, match="directory"):
                open_journal(path)
    assert Path("/dev/null").is_char_device()


def test_two_runtimes_do_not_share_a_file(path: Path) -> None:
    """The second one is refused in one line, and gets the file when the first is gone."""
    with closing(open_journal(path)):
        with pytest.raises(JournalUnavailable, match="in use by another runtime") as refused:
            open_journal(path)
        assert "\n" not in str(refused.value)
        assert refused.value.exit_code == 69
    open_journal(path).close()


def test_children_of_the_runtime_do_not_keep_the_file(path: Path) -> None:
    """A process that the runtime has started, and that outlives it, holds no lock."""
    journal = open_journal(path)
    command = [sys.executable, "-c", "print('ready', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout is not None
        child.stdout.readline()
        journal.close()
        open_journal(path).close()
        child.kill()


def test_file_that_is_removed_or_replaced_is_noticed(written: Path) -> None:
    """A message that went into a file that is not there any more does not count as written."""
    path = written
    with closing(open_journal(path)) as journal:
        journal.write([alert("b", "start", 4)])
        shutil.copyfile(path, f"{path}.copy")
        Path(f"{path}.copy").rename(path)
        with pytest.raises(OSError, match="the file was removed or replaced"):
            journal.write([alert("b", "update", 5)])
    for suffix in ("", "-wal", ".lock"):
        with closing(open_journal(path)) as journal:
            Path(f"{path}{suffix}").unlink()
            with pytest.raises(OSError, match="the file was removed or replaced"):
                journal.write([alert("b", "end", 6)])


def test_file_can_be_looked_at_while_it_is_written(written: Path) -> None:
    """Other programs may read it, and see what is committed, without holding up the writer."""
    with closing(open_journal(written)) as journal, closing(sqlite3.connect(written)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM entries").fetchone() == (3,)
        journal.write([alert("b", "start", 4)])
        assert reader.execute("SELECT count(*) FROM entries").fetchone() == (3,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM entries").fetchone() == (4,)
        assert seqs(pending(journal, "plc")) == [1, 2, 3, 4]
