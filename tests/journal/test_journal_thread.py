"""The journal's thread: in order on a good disk, and in memory on a bad one, for as long as it is bad."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from structlog.testing import capture_logs

from edge_config.errors import JournalUnavailable
from edge_config.settings.sections import JournalSettings
from edge_config.wire import requests
from edge_config.wire.replies import Acknowledged, Forgotten, KeptMessages
from edge_config.wire.requests import Ack, After, Forget, Pending, Replay
from runtime.events import Asked
from runtime.journal import journal_thread as recorders
from runtime.journal.database import Journal
from runtime.journal.entries import GROUP, Entry
from runtime.journal.journal_thread import MAX_ASKED, JournalChanged, Recorder, Written
from runtime.process.backoff import Backoff
from tests.support.journals import MAX_BYTES, MAX_DAYS, alert, read_all, seqs, state
from tests.support.processes import ENOUGH_S

TOPIC = "v1/alert/edge/cam/"
SOON_S = 0.01
NEVER_S = 1e6


@dataclass
class Rig:
    """A recorder, and what it says."""

    recorder: Recorder
    events: SimpleQueue[Written]
    changes: SimpleQueue[JournalChanged]
    answers: SimpleQueue[tuple[Asked, Any, Any]]

    def written(self, count: int) -> list[Entry]:
        """Wait until so many entries are written."""
        entries: list[Entry] = []
        while len(entries) < count:
            entries += self.events.get(timeout=ENOUGH_S).entries
        return entries

    def changed(self) -> JournalChanged:
        """Wait for the next change of the state."""
        return self.changes.get(timeout=ENOUGH_S)

    def retry(self) -> None:
        """Let the disk be tried again when something is put or asked next, after that is done."""
        self.recorder._store._retry_s = 0.0

    def put(self, *entries: Entry) -> list[Entry]:
        for entry in entries:
            self.recorder.put(entry)
        return self.written(len(entries))

    def ask(self, request: requests.OfJournal, key: str = "") -> Any:
        self.recorder.ask(Asked(1, request, key))
        return self.answers.get(timeout=ENOUGH_S)[1]

    def replay(self) -> KeptMessages:
        return self.ask(Replay(topic=TOPIC, limit=1000))

    def pending(self) -> KeptMessages:
        return self.ask(Pending(subscriber="plc", limit=1000))


def start(path: Path | None, *, wait_s: float = NEVER_S, **settings: Any) -> Rig:
    events: SimpleQueue[Written] = SimpleQueue()
    changes: SimpleQueue[JournalChanged] = SimpleQueue()
    answers: SimpleQueue[tuple[Asked, Any, Any]] = SimpleQueue()
    recorder = Recorder(
        JournalSettings(path=None if path is None else str(path), most_mb=8, **settings),
        "edge",
        tell=lambda event: (events if isinstance(event, Written) else changes).put(event),
        reply=lambda asked, payload, parts=(): answers.put((asked, payload, parts)),
        refuse=lambda asked, line, **_: answers.put((asked, line, None)),
        backoff=Backoff(wait_s, wait_s),
    )
    return Rig(recorder, events, changes, answers)


@contextmanager
def started(path: Path | None, **settings: Any) -> Iterator[Rig]:
    """Start a recorder, and end it with the block."""
    rig = start(path, **settings)
    try:
        yield rig
    finally:
        rig.recorder.close(ENOUGH_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file in a folder that is not there yet."""
    return tmp_path / "state" / "journal.sqlite"


def on_disk(path: Path) -> list[int]:
    with closing(Journal(path, MAX_BYTES, MAX_DAYS)) as journal:
        return [seq for _, seq in read_all(journal)]


def connection(rig: Rig) -> sqlite3.Connection:
    """Return the connection to the file; while nothing is put or asked, its thread does not use it."""
    file = rig.recorder._store._file
    assert file is not None
    return file._db


def fill_disk(rig: Rig) -> None:
    """Let the file grow no more."""
    pages = connection(rig).execute("PRAGMA page_count").fetchone()[0]
    connection(rig).execute(f"PRAGMA max_page_count = {pages}").fetchall()


def free_disk(rig: Rig) -> None:
    connection(rig).execute("PRAGMA max_page_count = 1000000").fetchall()


def large(seq: int) -> Entry:
    return alert("a", "update", seq, parts=(bytes(50_000),))


def test_entries_are_on_the_disk_when_they_are_told_written(path: Path) -> None:
    """Everything comes back in order, once, when another process could read it from the file."""
    entries = [alert(f"{seq}", "start", seq) if seq % 2 else state(seq) for seq in range(1, 301)]
    with started(path) as rig:
        assert (rig.recorder.state, rig.recorder.reason) == ("on", "")
        assert rig.put(*entries) == entries
        with closing(sqlite3.connect(path)) as reader:
            assert reader.execute("SELECT count(*) FROM entries").fetchone() == (300,)
        assert rig.events.empty()


def test_many_entries_share_a_commit(path: Path) -> None:
    """What comes in while the disk is busy is written at once, in groups that are bounded."""
    with started(path) as rig:
        for seq in range(1, 1001):
            rig.recorder.put(state(seq))
        groups, count = 0, 0
        while count < 1000:
            entries = rig.events.get(timeout=ENOUGH_S).entries
            assert len(entries) <= 64
            count, groups = count + len(entries), groups + 1
    assert groups < 500


def test_requests_are_answered(path: Path) -> None:
    """Replay, pending and acknowledgement reach the journal, and each request gets one answer."""
    with started(path) as rig:
        rig.put(alert("a", "start", 1, parts=(b"jpeg",)), alert("a", "end", 2))
        assert seqs(rig.replay()) == [1, 2]
        rig.recorder.ask(Asked(7, Pending(subscriber="plc")))
        asked, payload, parts = rig.answers.get(timeout=ENOUGH_S)
        assert (asked.number, seqs(payload), parts) == (7, [1, 2], [b"jpeg"])
        assert rig.ask(Ack(subscriber="plc", alert_id="a", epoch="one", seq=1)) == Acknowledged(known=True)
        assert rig.ask(Ack(subscriber="plc", alert_id="b")) == Acknowledged(known=False)
        assert seqs(rig.pending()) == [2]


def test_open_alerts_of_the_last_run_are_known_at_the_start(path: Path) -> None:
    """The next start can end what the last one could not."""
    with started(path) as rig:
        rig.put(alert("a", "start", 1), alert("b", "start", 2), alert("a", "end", 3))
        assert rig.recorder.unfinished == ()
    with started(path) as rig:
        assert [(entry.alert_id, entry.seq) for entry in rig.recorder.unfinished] == [("b", 2)]


def test_end_writes_what_is_queued(path: Path) -> None:
    """Nothing that was put before the end is lost with it."""
    rig = start(path)
    for seq in range(1, 501):
        rig.recorder.put(alert("a", "update", seq))
    rig.recorder.close(ENOUGH_S)
    assert on_disk(path) == list(range(1, 501))
    rig.recorder.ask(Asked(1, Replay(topic=TOPIC)))
    assert rig.answers.get(timeout=ENOUGH_S)[1] == "the device is stopping"


def test_full_disk_is_a_state_and_alerting_goes_on_from_memory(path: Path) -> None:
    """On a full disk entries are told written at once, the state says why, and requests are answered from both; when
    there is room again all is on the disk, in order.
    """
    with started(path) as rig:
        rig.put(large(1), alert("b", "start", 2))
        fill_disk(rig)
        rig.put(large(3), large(4))
        assert rig.changed() == JournalChanged("memory", "database or disk is full")
        assert (rig.recorder.state, rig.recorder.reason) == ("memory", "database or disk is full")
        assert rig.ask(Ack(subscriber="plc", alert_id="a", epoch="one", seq=3)) == Acknowledged(known=True)
        kept = rig.replay()
        assert (seqs(kept), kept.complete) == ([1, 2, 3, 4], True)
        assert seqs(rig.pending()) == [2, 4]
        rig.retry()
        assert seqs(rig.replay()) == [1, 2, 3, 4]  # tried again in vain
        assert rig.recorder.state == "memory"
        free_disk(rig)
        rig.retry()
        rig.put(large(5))
        assert (rig.changed(), rig.recorder.state) == (JournalChanged("on", ""), "on")
        assert seqs(rig.pending()) == [2, 4, 5]
    assert on_disk(path) == [1, 2, 3, 4, 5]


def test_name_is_not_forgotten_while_the_disk_fails_and_stays_its_owners(path: Path) -> None:
    """A full disk frees no name: to forget one is refused until the disk is back, and so is another key."""
    with started(path) as rig:
        rig.ask(Pending(subscriber="plc"), "its key")
        rig.put(large(1))
        fill_disk(rig)
        rig.put(large(2))
        assert rig.changed().state == "memory"
        assert rig.ask(Forget(subscriber="plc")) == (
            "the journal is in memory (database or disk is full); retry when the disk works again"
        )
        assert "belongs to another key" in rig.ask(Pending(subscriber="plc"), "another key")
        assert seqs(rig.ask(Pending(subscriber="plc"), "its key")) == [1, 2]
        assert rig.ask(Pending(subscriber="new"), "another key")
        free_disk(rig)
        rig.retry()
        assert "belongs to another key" in rig.ask(Pending(subscriber="new"), "its key")
        assert rig.changed().state == "on"
        assert "belongs to another key" in rig.ask(Pending(subscriber="plc"), "another key")
        assert "belongs to another key" in rig.ask(Pending(subscriber="new"), "its key")
        with capture_logs() as said:
            assert rig.ask(Forget(subscriber="plc"), "a key") == Forgotten(known=True)
        (line,) = (one for one in said if one["event"] == "subscriber forgotten")
        assert (line["subscriber"], line["by"], line["known"]) == ("plc", "a key", True)
        assert rig.ask(Pending(subscriber="plc"), "another key")


def test_change_of_the_state_is_told_once(path: Path) -> None:
    """A disk that stays full is one event, however often it is tried."""
    with started(path, wait_s=SOON_S) as rig:
        fill_disk(rig)
        rig.recorder.put(large(1))
        assert rig.changed() == JournalChanged("memory", "database or disk is full")
        for seq in range(2, 20):
            rig.put(large(seq))
        free_disk(rig)
        assert rig.changed() == JournalChanged("on", "")  # without anything new to write
    assert on_disk(path) == list(range(1, 20))


@pytest.mark.slow
def test_file_that_may_not_grow_is_a_state(path: Path) -> None:
    """The kernel's own limit on the size of files: what it refuses is kept in memory, and written at the end if it can
    be, and the process does not die of it.
    """
    program = (
        "import resource, sys; from pathlib import Path; from tests.journal.test_journal_thread import *\n"
        "rig = start(Path(sys.argv[1])); rig.put(*map(large, range(1, 5)))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
        "rig.put(*map(large, range(5, 19))); print(rig.recorder.state, len(rig.replay().messages))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "rig.recorder.close(60)"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "memory 18\n" in done.stdout
    assert on_disk(path) == list(range(1, 19))


@contextmanager
def mounted(folder: Path, options: str = "size=2m") -> Iterator[None]:
    """Mount a small file system over a folder."""
    folder.mkdir(exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options.encode()):
        pytest.skip(f"cannot mount a file system here ({os.strerror(ctypes.get_errno())})")
    try:
        yield
    finally:
        libc.umount2(os.fsencode(folder), 2)


def remount(folder: Path, *, read_only: bool) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 32 | int(read_only), b"")


def test_disk_that_is_really_full(path: Path) -> None:
    """A file system of 2 MiB that others fill: memory, and back on the disk when they have cleared it."""
    path.parent.mkdir()
    with mounted(path.parent), started(path) as rig:
        rig.put(large(1))
        ballast = path.parent / "ballast"
        with ballast.open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space"):
            while True:
                stream.write(bytes(4096))
        rig.put(*map(large, range(2, 10)))
        assert rig.changed() == JournalChanged("memory", "database or disk is full")
        assert seqs(rig.replay()) == list(range(1, 10))
        ballast.unlink()
        rig.retry()
        rig.put(large(10))
        assert rig.changed() == JournalChanged("on", "")
        rig.recorder.close(ENOUGH_S)
        assert on_disk(path) == list(range(1, 11))


def test_disk_that_is_read_only(path: Path) -> None:
    """A file system that is read-only at the start is a state, not an end; so is one that becomes so."""
    path.parent.mkdir()
    with mounted(path.parent):
        with started(path) as rig:
            rig.put(large(1))
        if remount(path.parent, read_only=True):
            pytest.skip("cannot mount a file system read-only here")
        with started(path) as rig:
            assert (rig.recorder.state, rig.recorder.reason) == ("memory", "Read-only file system")
            rig.put(large(2))
            kept = rig.replay()
            assert (seqs(kept), kept.complete) == ([2], False)
            assert remount(path.parent, read_only=False) == 0
            rig.retry()
            rig.put(large(3))
            assert rig.changed().state == "on"
            assert seqs(rig.replay()) == [1, 2, 3]


def test_what_was_read_from_memory_alone_is_known_to_be_all(path: Path) -> None:
    """Without the file a client is told that there may be more, but not again after it has read what is there."""
    path.parent.mkdir()
    with mounted(path.parent):
        if remount(path.parent, read_only=True):
            pytest.skip("cannot mount a file system read-only here")
        with started(path) as rig:
            (first,) = rig.put(large(2))
            kept = rig.ask(After(row=first.row - 1, epoch="gone"))
            assert (seqs(kept), kept.next, kept.complete) == ([2], first.row, False)
            rig.put(large(3))
            kept = rig.ask(After(row=kept.next, epoch=kept.epoch))
            assert (seqs(kept), kept.complete) == ([3], True)


def test_answer_holds_all_that_was_put_before_the_question(path: Path) -> None:
    """However many entries wait for the disk, a request after them gets them all: what was published is in the log."""
    with started(path) as rig:
        rig.recorder._news.acquire()  # the disk is slow
        try:
            for seq in range(1, 3 * GROUP):
                rig.recorder.put(alert("a", "update", seq))
            rig.recorder.ask(Asked(1, After(limit=1000)))
        finally:
            rig.recorder._news.release()
        assert seqs(rig.answers.get(timeout=ENOUGH_S)[1]) == list(range(1, 3 * GROUP))


@pytest.mark.parametrize("loss", ["removed", "replaced", "folder"])
def test_file_that_is_taken_away_is_begun_anew(path: Path, loss: str) -> None:
    """Somebody removes the file while it is open: what comes then is in a new one."""
    with started(path) as rig:
        rig.put(alert("a", "start", 1))
        if loss == "removed":
            path.unlink()
        elif loss == "replaced":
            (path.parent / "other").write_bytes(b"no database")
            (path.parent / "other").rename(path)
        else:
            shutil.rmtree(path.parent)
        rig.put(alert("a", "update", 2))
        assert rig.changed() == JournalChanged("memory", "the file was removed or replaced")
        rig.retry()
        rig.put(alert("a", "end", 3))
        assert rig.changed().state == "on"
    assert on_disk(path)[-2:] == [2, 3]  # the log of the replaced one may be found


def test_locked_file_is_a_state(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that writes to the file holds up nothing for long."""
    monkeypatch.setattr("runtime.journal.open_database.BUSY_S", 0.05)
    with started(path) as rig, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        rig.put(alert("a", "start", 1))
        assert rig.changed() == JournalChanged("memory", "database is locked")
        assert seqs(rig.replay()) == [1]
        other.execute("ROLLBACK")
        rig.retry()
        rig.put(alert("a", "end", 2))
        assert rig.changed().state == "on"
    assert on_disk(path) == [1, 2]


def test_file_that_cannot_be_read_is_answered_without(path: Path) -> None:
    """Damage that shows while the runtime runs: requests are answered with what there is, and say that it is not all;
    then a new file begins.
    """
    with started(path) as rig:
        rig.put(*(large(seq) for seq in range(1, 41)))
        connection(rig).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection(rig).execute("PRAGMA shrink_memory")
        with path.open("r+b") as stream:
            stream.seek(8192)
            stream.write(b"\xff" * (path.stat().st_size - 8192))
        connection(rig).execute("PRAGMA cache_size = 1")
        kept = rig.replay()
        assert kept.complete is False
        rig.put(alert("b", "start", 41))
        rig.retry()
        rig.put(alert("b", "end", 42))
        assert [rig.changed().state, rig.changed().state] == ["memory", "on"]
        assert seqs(rig.replay()) == [41, 42]
    assert any(".damaged-" in one.name for one in path.parent.iterdir())


def test_memory_is_bounded_and_says_what_it_let_go(path: Path) -> None:
    """While the disk is full for long, memory holds the newest, and a replay over the gap says that it is not all."""
    path.parent.mkdir()
    path.mkdir()  # no file can be there
    with started(path) as rig:
        assert rig.recorder.state == "memory"
        for seq in range(1, 301):
            rig.put(large(seq))
        found = seqs(rig.ask(Replay(topic=TOPIC, epoch="one", from_seq=290)))
        assert found == list(range(290, 301))
        assert rig.recorder.lost > 100
        path.rmdir()
        rig.retry()
        rig.put(large(301))
        assert rig.changed().state == "on"
        kept = rig.ask(Replay(topic=TOPIC, epoch="one", from_seq=1))
        assert not kept.complete


def test_disk_that_comes_later_brings_the_alerts_that_were_open(path: Path) -> None:
    """Alerts of an earlier run are found also where the disk was not there at the start."""
    with started(path) as rig:
        rig.put(alert("a", "start", 1))
    away = path.with_name("away")
    path.rename(away)
    path.mkdir()
    with started(path) as rig:
        assert (rig.recorder.state, rig.recorder.unfinished) == ("memory", ())
        rig.put(alert("b", "start", 1, epoch="two"))
        path.rmdir()
        away.rename(path)
        rig.retry()
        rig.put(alert("b", "end", 2, epoch="two"))
        changed = rig.changed()
        assert changed.state == "on"
        assert [entry.alert_id for entry in changed.unfinished] == ["a"]


def test_chosen_path_in_use_is_refused_and_a_default_one_is_a_state(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runtimes on a machine are no mistake, but two on a file that somebody chose are."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "default"))
    with started(path), pytest.raises(JournalUnavailable, match="in use by another runtime"):
        start(path)
    with started(None) as first, started(None) as second:
        assert (first.recorder.state, second.recorder.state) == ("on", "memory")
        assert second.recorder.reason == "in use by another runtime; stop it, or set another device or journal.path"
        second.put(alert("b", "start", 1))
        assert seqs(second.replay()) == [1]
        first.recorder.close(ENOUGH_S)
        second.retry()
        second.put(alert("b", "end", 2))
        assert second.changed().state == "on"
    assert on_disk(tmp_path / "default" / "edge.sqlite") == [1, 2]


@pytest.mark.slow
def test_lock_is_free_after_kill(path: Path) -> None:
    """A runtime that was killed with -9 does not keep the next one out."""
    program = (
        "import sys, time; from pathlib import Path; from tests.journal.test_journal_thread import *\n"
        "rig = start(Path(sys.argv[1])); rig.put(alert('a', 'start', 1)); print('ready', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while child.stdout.readline() != "ready\n":
            assert child.poll() is None
        with pytest.raises(JournalUnavailable):
            start(path)
        child.send_signal(signal.SIGKILL)
        child.wait(ENOUGH_S)
    with started(path) as rig:
        assert [entry.alert_id for entry in rig.recorder.unfinished] == ["a"]


def test_journal_that_is_off_replays_from_memory_and_touches_no_disk(path: Path) -> None:
    """Without a journal, what is still in memory can be had again; the state is off, and nothing is said of it."""
    with started(path, enabled=False) as rig:
        rig.put(alert("a", "start", 1))
        assert (rig.recorder.state, rig.recorder.reason) == ("off", "")
        kept = rig.replay()
        assert (seqs(kept), kept.complete) == ([1], True)
        assert seqs(rig.pending()) == [1]
        assert rig.changes.empty()
    assert not path.parent.exists()


@dataclass
class Hanging:
    """Writes that do not return before they are let go."""

    hung: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    """Let every write to a journal hang."""
    hanging = Hanging()
    write = Journal.write

    def hang(journal: Journal, entries: Any) -> tuple[Entry, ...]:
        hanging.hung.set()
        assert hanging.go_on.wait(ENOUGH_S)
        return write(journal, entries)

    monkeypatch.setattr(Journal, "write", hang)
    yield hanging
    hanging.go_on.set()


def test_disk_that_hangs_holds_up_nobody_and_memory_is_bounded(
    path: Path, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`put` returns while a write hangs; of too many entries the states go first; what is left is written later, and an
    end does not wait for ever.
    """
    monkeypatch.setattr(recorders, "MAX_WAITING", 10)
    rig = start(path)
    rig.recorder.put(state(1))
    assert hanging.hung.wait(ENOUGH_S)
    for seq in range(2, 8):
        rig.recorder.put(state(seq))
        rig.recorder.put(alert("a", "update", seq))
    assert rig.recorder.dropped == 2
    rig.recorder.close(0.05)  # gives up
    assert rig.events.empty()
    for _ in range(MAX_ASKED + 1):
        rig.recorder.ask(Asked(1, Replay(topic=TOPIC)))
    assert rig.answers.get(timeout=ENOUGH_S)[1] == "the journal is busy; retry later"
    hanging.go_on.set()
    assert [(entry.kind, entry.seq) for entry in rig.written(11)] == [
        ("state", 1),
        *(
            (kind, seq)
            for seq in range(2, 8)
            for kind in ("state", "alert")
            if (kind, seq) not in {("state", 2), ("state", 3)}
        ),
    ]
    rig.recorder.close(ENOUGH_S)


def test_disk_that_hangs_at_the_start_holds_up_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start goes on in memory after a while; what an earlier run left open is told when the file is there."""
    with started(path) as rig:
        rig.put(alert("a", "start", 1))
    go_on = threading.Event()
    monkeypatch.setattr(recorders, "OPEN_S", 0.05)
    monkeypatch.setattr("runtime.journal.open_database._sync_folder", lambda _: go_on.wait(ENOUGH_S))
    with started(path) as rig:
        assert (rig.recorder.state, rig.recorder.reason) == ("memory", "the file is not open yet")
        assert rig.recorder.unfinished == ()
        rig.recorder.put(alert("b", "start", 1, epoch="two"))
        go_on.set()
        changed = rig.changed()
        assert changed.state == "on"
        assert [entry.alert_id for entry in changed.unfinished] == ["a"]
        assert len(rig.written(1)) == 1


def test_reply_that_cannot_be_sent_does_not_end_the_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours in an answer costs that answer."""
    with started(path) as rig:
        reply, failed = rig.recorder._answers._reply, threading.Event()
        monkeypatch.setattr(rig.recorder._answers, "_reply", lambda *_: failed.set() or 1 / 0)
        rig.recorder.ask(Asked(1, Replay(topic=TOPIC)))
        assert failed.wait(ENOUGH_S)
        monkeypatch.setattr(rig.recorder._answers, "_reply", reply)
        rig.put(alert("a", "start", 1))
        assert seqs(rig.replay()) == [1]


def test_entry_that_cannot_be_written_at_all_is_published_all_the_same(path: Path) -> None:
    """A mistake of ours in one message ends neither the thread nor what comes after."""
    with started(path) as rig:
        rig.put(alert("a", "start", 2**70))
        rig.put(alert("a", "start", 1))
        assert rig.recorder.state == "on"
    assert on_disk(path) == [1]
