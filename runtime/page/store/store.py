"""What the page keeps, on disk: opened with the page, written by one thread, read by two."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge_config.settings.page import StoreSettings
from edge_config.wire.messages import AlertMessage, ScoreMessage
from runtime.page.refused import Refused
from runtime.page.shapes import AlertComment, ByWhom, ShownAlert
from runtime.page.store import alerts, scores
from runtime.page.store.alerts import AlertPicture, AlertsWanted, KeptPicture
from runtime.page.store.curve import Curve, Gather
from runtime.page.store.database import open_to_read
from runtime.page.store.frames import Packed, ScoreRun
from runtime.page.store.prune import StorePruner
from runtime.page.store.recorder import ScoreRecorder
from runtime.page.store.tens import HOUR_MS, TEN_MS
from runtime.page.store.writer import NotStored, Work, Writer

FLUSH_S = 10.0
"""Interval at which blocks that are full are stored, and finished ten seconds."""

READERS = 2

_MS = 1_000_000  # nanoseconds

T = TypeVar("T")


class PageStore:
    """Scores, alerts and comments in the page's folder. Use it from one event loop, unless a method says otherwise."""

    def __init__(self, folder: Path, settings: StoreSettings) -> None:
        """Do nothing yet; `open` opens the file."""
        self.path = folder / "page.sqlite"
        self.settings = settings
        self._writer = Writer(self.path, StorePruner(settings))
        self._recorder = ScoreRecorder(self._put_block)
        self._readers = ThreadPoolExecutor(READERS, "page store reader")
        self._local = threading.local()
        self._flushing: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str:
        """Why nothing can be stored; empty if it can."""
        return self._writer.problem

    async def open(self) -> None:
        """Open the file, or make it; where that fails the page goes on without, and `problem` says why."""
        await asyncio.to_thread(self._writer.start)
        self._flushing = asyncio.create_task(self._flush())

    async def close(self) -> None:
        """Write what is left, and close the file."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        self._recorder.flush()
        self._put_tens()
        await asyncio.to_thread(self._writer.close)
        self._readers.shutdown(wait=False, cancel_futures=True)

    def add_score(self, device: str, said: ScoreMessage) -> None:
        """Keep a frame of a device; it is on disk within about a minute. Never waits."""
        self._recorder.add(device, said)

    async def put_alert(
        self, device: str, said: AlertMessage, shown: AlertPicture, frame_hw: tuple[int, int] | None
    ) -> ShownAlert | None:
        """PageStore a message about an alert, and return the alert as it is stored then.

        Raises:
            NotStored: it was not stored.
        """
        result: ShownAlert | None = await self._writer.do(lambda db: alerts.put(db, device, said, shown, frame_hw))
        return result

    async def put_kept(self, alert: str, kept: KeptPicture, *, instead: bool = False) -> ShownAlert | None:
        """PageStore the picture that a device keeps of an alert, where there is none or `instead`; return the alert.

        Raises:
            NotStored: it was not stored.
        """
        work = partial(alerts.put_kept, alert=alert, kept=kept, instead=instead)
        result: ShownAlert | None = await self._writer.do(work)
        return result

    async def close_lost(self, device: str, epoch: str, reason: str) -> None:
        """End the open alerts of a device that are of an earlier start of it.

        Raises:
            NotStored: it was not stored.
        """
        await self._writer.do(lambda db: alerts.close_lost(db, device, epoch, reason))

    async def cursor(self, device: str) -> tuple[int, str]:
        """Return up to which row of a device's journal its alerts are stored, and the epoch that goes with it."""
        sql = "SELECT row, epoch FROM cursors WHERE device = ?"
        row = await self.read(lambda db: db.execute(sql, (device,)).fetchone())
        return (0, "") if row is None else (int(row[0]), str(row[1]))

    async def set_cursor(self, device: str, row: int, epoch: str) -> None:
        """Note up to which row of a device's journal its alerts are stored.

        Raises:
            NotStored: it was not stored.
        """
        sql = "INSERT OR REPLACE INTO cursors (device, row, epoch) VALUES (?, ?, ?)"
        await self._writer.do(lambda db: db.execute(sql, (device, row, epoch)) and None)

    async def acknowledge(self, alert: str, by: ByWhom | None) -> ShownAlert:
        """Note who has seen an alert, or that nobody has after all.

        Raises:
            Refused: there is no such alert, or nothing can be stored.
        """
        return await self._change(lambda db: alerts.acknowledge(db, alert, by))

    async def call_false(self, alert: str, by: ByWhom | None) -> ShownAlert:
        """Note who has called an alert a false alarm, or that it is none after all. It raises as `acknowledge`."""
        return await self._change(lambda db: alerts.call_false(db, alert, by))

    async def comment(self, alert: str, said: AlertComment) -> ShownAlert:
        """Add a comment. It raises as `acknowledge`."""
        return await self._change(lambda db: alerts.comment(db, alert, said))

    async def alert(self, alert: str) -> ShownAlert:
        """Return an alert. It raises as `acknowledge`."""
        found = await self.read(lambda db: alerts.get(db, alert))
        if found is None:
            raise Refused(404, "there is no such alert; it may have been deleted")
        return found

    async def alerts(self, wanted: AlertsWanted) -> list[ShownAlert]:
        """Return alerts, the latest first."""
        return await self.read(lambda db: alerts.find(db, wanted))

    async def overlapping(self, device: str, camera: str, from_ms: int, to_ms: int) -> list[ShownAlert]:
        """Return the alerts of a camera that were open at some time between two, the earliest first."""
        return await self.read(lambda db: alerts.overlapping(db, device, camera, from_ms, to_ms))

    async def picture(self, alert: str) -> AlertPicture | None:
        """Return what an alert shows of its peak; None: nothing."""
        return await self.read(lambda db: alerts.picture(db, alert))

    async def curve(self, device: str, camera: str, from_ms: int, to_ms: int, points: int) -> Curve:
        """Return the scores of a camera between two times as at most so many points.

        Of short times each frame counts, as long as frames are kept; of longer ones ten seconds at a time.
        """
        in_memory, tens = self._recorder.run_of(device, camera), self._recorder.tens_of(device, camera)
        is_fine = (to_ms - from_ms) / points < TEN_MS

        def work(db: sqlite3.Connection) -> Curve:
            gather = Gather(from_ms, to_ms, points)
            if is_fine:
                for run in _with(scores.runs(db, device, camera, from_ms * _MS, to_ms * _MS), in_memory):
                    gather.add_run(run.between(from_ms * _MS, to_ms * _MS))
                found = gather.curve()
                if len(found.t_ms) or from_ms > time.time_ns() // _MS - self.settings.hours * HOUR_MS:
                    return found
            gather.add_tens(*scores.tens(db, device, camera, from_ms, to_ms, tens))
            return gather.curve()

        return await self.read(work)

    async def runs(self, device: str, camera: str, from_ms: int, to_ms: int) -> Iterator[ScoreRun]:
        """Return all frames of a camera between two times, block by block, in their order.

        The iterator reads as it goes; use it in a thread: `await asyncio.to_thread(...)`.
        """
        in_memory = self._recorder.run_of(device, camera)

        def found() -> Iterator[ScoreRun]:
            db = open_to_read(self.path)
            try:
                for run in _with(scores.runs(db, device, camera, from_ms * _MS, to_ms * _MS), in_memory):
                    part = run.between(from_ms * _MS, to_ms * _MS)
                    if len(part.wall_ns):
                        yield part
            finally:
                db.close()

        return found()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of something that reads; it runs in another thread.

        Raises:
            Refused: the file cannot be read.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)
        except sqlite3.Error as error:
            raise Refused(503, f"the store of the page cannot be read ({error})") from error

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = open_to_read(self.path)
        return work(db)

    async def _change(self, work: Callable[[sqlite3.Connection], ShownAlert | None]) -> ShownAlert:
        try:
            found: ShownAlert | None = await self._writer.do(work)
        except NotStored as error:
            raise Refused(507, f"the page cannot store this ({error})") from error
        if found is None:
            raise Refused(404, "there is no such alert, or it has too many comments")
        return found

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self._recorder.flush(time.monotonic())
            self._put_tens()

    def _put_block(self, block: Packed) -> None:
        self._write(lambda db: scores.put_block(db, block))

    def _put_tens(self) -> None:
        tens = self._recorder.take_tens()
        if tens:
            self._write(lambda db: scores.put_tens(db, tens))

    def _write(self, work: Work) -> None:
        self._writer.put(work)  # what fails is said by the writer


def _with(runs: Iterator[ScoreRun], last: ScoreRun | None) -> Iterator[ScoreRun]:
    """Yield runs, and one that is in memory at the end, unless it was stored meanwhile."""
    end_ns = 0
    for run in runs:
        yield run
        end_ns = int(run.wall_ns[-1])
    if last is not None and len(last.wall_ns) and int(last.wall_ns[-1]) > end_ns:
        yield last
