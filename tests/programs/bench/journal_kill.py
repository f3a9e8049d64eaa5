"""A writer is killed with -9 at random instants. Usage: python -m tests.programs.bench.journal_kill [INSTANTS] [SEED].

The child writes alerts into the journal through the runtime's own thread, and says "published" of each only when it is
told that it is written, as the runtime publishes. The next child goes on with the same file. After each death the
journal must open, though nobody freed its lock, be whole, and hold everything that was said to be published.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_config.errors import JournalUnavailable
from edge_config.settings.sections import JournalSettings
from runtime.journal.database import Journal
from runtime.journal.journal_thread import Recorder
from runtime.process.child import module
from runtime.process.log import set_up_logging
from tests.support.journals import alert, read_all

MAX_MB = 1024  # nothing is pruned
LATEST_S = 0.25
"""The longest time from the first message that is published to the kill."""


@dataclass(frozen=True)
class Counts:
    """What came of it.

    Attributes:
        killed: writers that were killed.
        published: messages that they said were published.
        lost: of those, messages that are not in the journal.
        unopened: times that the journal did not open, or was not whole.
        opened_aside: files that were moved aside as damaged.
        unpublished: messages in the journal that were not yet said to be published.
    """

    killed: int
    published: int
    lost: int
    unopened: int
    opened_aside: int
    unpublished: int


def kill_writer(instants: int, seed: int, folder: Path) -> Counts:
    """Kill so many writers of one journal, one after another, and count what is lost."""
    chance = random.Random(seed)  # noqa: S311
    path = folder / "journal.sqlite"
    published: set[tuple[str, int]] = set()
    found: set[tuple[str, int]] = set()
    unopened = lost = 0
    for instant in range(instants):
        said = _run_writer(path, f"{instant}", chance.uniform(0, LATEST_S), early=chance.random() < 0.2)
        published |= {(f"{instant}", seq) for seq in said}
        try:
            found = _read(path)
        except (sqlite3.Error, OSError, JournalUnavailable) as error:
            print(f"instant {instant}: {error}")
            unopened += 1
        lost = len(published - found)
        if lost or unopened:
            break
    aside = sum(".damaged-" in one.name for one in folder.iterdir())
    return Counts(instant + 1, len(published), lost, unopened, aside, len(found - published))


def _run_writer(path: Path, epoch: str, delay_s: float, *, early: bool) -> list[int]:
    """Start a writer, kill it, and give what it said was published."""
    command = [*module("tests.programs.bench.journal_kill"), "write", str(path), epoch]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        first = "" if early else child.stdout.readline()  # early: it is killed while it starts, or opens the file
        assert early or first, "the writer does not write"
        time.sleep(delay_s)  # the instant
        child.kill()
        said = first + child.stdout.read()
    return [int(line) for line in said.split("\n")[:-1]]


def _read(path: Path) -> set[tuple[str, int]]:
    """Open the journal as a start of the runtime does, and give all that is in it."""
    with closing(Journal(path, MAX_MB << 20, 90.0)) as journal:
        found = set(read_all(journal))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return found


def write(path: Path, epoch: str) -> None:
    """Write alerts for ever, some at once, and say of each when it may be published."""
    set_up_logging()
    room = threading.Semaphore(8)

    def tell(event: object) -> None:
        for entry in getattr(event, "entries", ()):
            print(entry.seq, flush=True)
            room.release()

    def answer(*_: object) -> None:
        """Nobody asks."""

    recorder = Recorder(JournalSettings(path=str(path), most_mb=MAX_MB), "edge", tell=tell, reply=answer, refuse=answer)
    if recorder.state != "on":
        raise SystemExit(f"the journal is {recorder.state}: {recorder.reason}")
    chance = random.Random(epoch)  # noqa: S311
    seq = 0
    while True:
        room.acquire()
        seq += 1
        parts = (bytes(chance.randrange(0, 20_000)),) if seq % 3 == 0 else ()
        recorder.put(alert(f"{epoch}-{seq // 3}", ("start", "update", "end")[seq % 3], seq, epoch=epoch, parts=parts))


def main() -> None:
    """Write as a child, or kill and print what came of it."""
    if sys.argv[1:2] == ["write"]:
        write(Path(sys.argv[2]), sys.argv[3])
    instants, seed = [int(word) for word in sys.argv[1:]] + [200, 1][len(sys.argv) - 1 :]
    with tempfile.TemporaryDirectory() as folder:
        print(kill_writer(instants, seed, Path(folder)))


if __name__ == "__main__":
    main()
