"""Scores in the store: exact, and bounded."""

from __future__ import annotations

import asyncio
import math
import random
import sqlite3
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_config.settings.page import StoreSettings
from edge_config.wire.messages import ScoreMessage
from runtime.page.store import alerts
from runtime.page.store.alerts import AlertPicture
from runtime.page.store.database import open_to_write
from runtime.page.store.frames import STATES, Packed, ScoreRun, pack
from runtime.page.store.prune import StorePruner
from runtime.page.store.scores import put_block
from runtime.page.store.store import PageStore
from runtime.page.store.writer import NotStored
from tests.page.scored import NOW_NS, STEP_NS, alert, score
from tests.support.disks import fill, small_disk

FOREVER = StoreSettings(hours=720, days=3650, most_mb=500)
END_MS = NOW_NS // 1_000_000 + 3_600_000
"""After all frames."""
FRAMES_A_MINUTE = 1500
MAX_MINUTE_BYTES = 12_500
"""12 KB a minute at 25 frames a second, and what SQLite needs beside."""

random_ = random.Random(5)  # noqa: S311 - of numbers


def kept(
    folder: Path, said: Iterable[ScoreMessage], settings: StoreSettings = FOREVER, *, close: bool = True
) -> list[ScoreRun]:
    """Store scores, and return what another page reads; without `close`, what a crash would leave."""

    async def read() -> list[ScoreRun]:
        other = PageStore(folder, settings)
        await other.open()
        found = await asyncio.to_thread(list, await other.runs("edge", "top", 0, END_MS))
        await other.close()
        return found

    async def run() -> list[ScoreRun]:
        store = PageStore(folder, settings)
        await store.open()
        for one in said:
            store.add_score("edge", one)
        if close:
            await store.close()
            return await read()
        await store._writer.do(lambda _: None)  # what is on its way is on the disk
        found = await read()
        await store.close()
        return found

    return asyncio.run(run())


def in_store(folder: Path, use: Callable[[PageStore], Coroutine[Any, Any, Any]], **bounds: float) -> Any:
    """Return what `use` returns of an open store."""

    async def run() -> Any:
        store = PageStore(folder, StoreSettings(**{"hours": 720, "days": 3650, "most_mb": 500, **bounds}))
        await store.open()
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(run())


def test_frames_are_kept_exactly(tmp_path: Path) -> None:
    """Times, scores, gaps, repeated frames, states and thresholds are the same after a restart."""
    jitter = [random_.randrange(1, STEP_NS) for _ in range(3000)]
    said = [
        score(
            number,
            None if number % 7 == 0 else random_.random() * 5,
            t_mono_ns=7_000_000_000 + number * STEP_NS + jitter[number],
            t_capture_ns=NOW_NS + number * STEP_NS + jitter[number],
            threshold=3.0 if number < 2000 else 2.5,
            state="dark" if number % 7 == 0 else "live",
            **({"repeated": True} if number % 11 == 1 else {}),
        )
        for number in range(3000)
    ]
    runs = kept(tmp_path, said)
    joined = {name: np.concatenate([getattr(one, name) for one in runs]) for name in ("wall_ns", "clock_ns", "scores")}
    assert joined["clock_ns"].tolist() == [one.t_mono_ns for one in said]
    assert joined["wall_ns"].tolist() == [one.t_capture_ns for one in said]
    assert [None if math.isnan(one) else one for one in joined["scores"].tolist()] == [one.score for one in said]
    assert np.concatenate([one.repeated for one in runs]).tolist() == [one.repeated is True for one in said]
    assert [STATES[one] for run in runs for one in run.states] == [one.state for one in said]
    assert [run.threshold for run in runs for _ in run.scores] == [one.threshold for one in said]


def test_a_restart_of_the_device_begins_a_run(tmp_path: Path) -> None:
    """Frames of two starts of a device, or on both sides of a jump of its clock, are never in one run."""
    said = [score(number) for number in range(10)]
    said += [score(number, epoch="second", t_mono_ns=number * STEP_NS) for number in range(10, 20)]
    said += [score(number, epoch="second", t_mono_ns=(number - 20) * STEP_NS) for number in range(20, 30)]
    assert [(run.epoch, len(run.scores)) for run in kept(tmp_path, said)] == [
        ("first", 10),
        ("second", 10),
        ("second", 10),
    ]


def test_a_crash_loses_a_minute_at_most(tmp_path: Path) -> None:
    """What is older than a minute when the page is killed is there afterwards."""
    runs = kept(tmp_path, [score(number) for number in range(4000)], close=False)
    assert sum(len(run.scores) for run in runs) >= 4000 - FRAMES_A_MINUTE
    assert runs[0].wall_ns[0] == NOW_NS


def test_a_minute_takes_twelve_kilobytes() -> None:
    """At 25 frames a second, with times and scores that no compression makes smaller."""
    clocks = np.cumsum([STEP_NS + random_.randrange(-(2**23), 2**23) for _ in range(FRAMES_A_MINUTE)])
    scores = np.array([random_.random() for _ in clocks]).astype("<f4").astype(np.float64)
    assert len(pack(clocks, scores, np.zeros(len(clocks), np.uint8))) < MAX_MINUTE_BYTES


def test_what_is_in_memory_is_read_too(tmp_path: Path) -> None:
    """Frames are returned at once, before they are on the disk, and never twice."""

    async def use(store: PageStore) -> list[int]:
        for number in range(2000):
            store.add_score("edge", score(number))
        await store._writer.do(lambda _: None)
        runs = await asyncio.to_thread(list, await store.runs("edge", "top", 0, END_MS))
        return [int(one) for run in runs for one in run.wall_ns]

    assert in_store(tmp_path, use) == [NOW_NS + number * STEP_NS for number in range(2000)]


@pytest.mark.parametrize("points", [20, 600], ids=["ten seconds", "each frame"])
def test_a_curve_shows_every_peak(tmp_path: Path, points: int) -> None:
    """One frame over the threshold in minutes of quiet ones is the highest point, at its place, from either source."""
    begin_ms = NOW_NS // 1_000_000

    async def use(store: PageStore) -> Any:
        for number in range(6000):
            store.add_score("edge", score(number, 8.5 if number == 3100 else 1.0))
        await store._writer.do(lambda _: None)
        return await store.curve("edge", "top", begin_ms, begin_ms + 240_000, points)

    curve = in_store(tmp_path, use)
    step_ms = 240_000 / points
    peak = int(np.argmax(curve.highest))
    slack_ms = max(step_ms, 10_000)  # a peak is somewhere in its ten seconds
    assert curve.highest[peak] == 8.5
    assert abs(curve.t_ms[peak] - (begin_ms + 3100 * 40)) <= slack_ms
    assert np.sort(curve.highest)[-2] == 1.0
    assert set(curve.threshold) == {3.0}


def test_ten_seconds_are_whole_after_a_restart(tmp_path: Path) -> None:
    """Frames of the same ten seconds from before and after a restart of the page are counted together."""
    begin_ms = NOW_NS // 1_000_000 // 10_000 * 10_000

    def told(first: int, last: int) -> Callable[[PageStore], Coroutine[Any, Any, None]]:
        async def use(store: PageStore) -> None:
            for number in range(first, last):
                store.add_score("edge", score(number, float(number), t_capture_ns=begin_ms * 1_000_000 + number))

        return use

    in_store(tmp_path, told(0, 4))
    in_store(tmp_path, told(4, 10))
    curve = in_store(tmp_path, lambda store: store.curve("edge", "top", begin_ms, begin_ms + 3_600_000, 10))
    assert curve.mean.tolist() == [4.5]
    assert curve.highest.tolist() == [9.0]


def _filled(path: Path, blocks: int, settings: StoreSettings, cameras: int = 10) -> sqlite3.Connection:
    """Return a store with so many minutes of all cameras, kept within its bounds as it grows."""
    db = open_to_write(path)
    pruner = StorePruner(settings)
    data = random_.randbytes(12_000)
    for minute in range(blocks):
        db.execute("BEGIN")
        wall_ns = NOW_NS + minute * 60_000_000_000
        for camera in range(cameras):
            put_block(db, Packed("edge", str(camera), "first", 3.0, wall_ns, wall_ns, 0, FRAMES_A_MINUTE, data))
        db.execute("COMMIT")
        if minute % 10 == 9:
            pruner.prune(db, wall_ns)
    return db


def test_the_file_stays_within_its_size(tmp_path: Path) -> None:
    """Where there is more than fits, the oldest is deleted, and the file with its log is never larger than allowed."""
    path = tmp_path / "page.sqlite"
    db = _filled(path, 120, StoreSettings(hours=24, days=90, most_mb=10))
    size = sum(one.stat().st_size for one in tmp_path.iterdir() if "shm" not in one.name)
    first_ns, last_ns = db.execute("SELECT min(wall_ns), max(wall_ns) FROM blocks").fetchone()
    db.close()
    assert size <= 10 << 20
    assert size >= 4 << 20
    assert last_ns == NOW_NS + 119 * 60_000_000_000
    assert first_ns > NOW_NS


def test_alerts_stay_where_scores_fill_the_file(tmp_path: Path) -> None:
    """An alert that is older than all scores is kept: scores that take more than half of the file go first."""
    path = tmp_path / "page.sqlite"
    db = open_to_write(path)
    alerts.put(
        db, "edge", alert("old", 1, t_start_ns=NOW_NS - 3600 * 10**9), AlertPicture(picture=b"x" * 100_000), None
    )
    db.close()
    db = _filled(path, 120, StoreSettings(hours=24, days=90, most_mb=10))
    kept_alert, first_ns = alerts.get(db, "old"), db.execute("SELECT min(wall_ns) FROM blocks").fetchone()[0]
    db.close()
    assert kept_alert is not None
    assert kept_alert.has_picture
    assert first_ns > NOW_NS


def test_scores_are_kept_for_their_hours(tmp_path: Path) -> None:
    """What is older than `hours` is deleted, and nothing else."""
    db = _filled(tmp_path / "page.sqlite", 100, StoreSettings(hours=1, days=90, most_mb=500), cameras=1)
    first_ns = db.execute("SELECT min(wall_ns) FROM blocks").fetchone()[0]
    db.close()
    assert first_ns == NOW_NS + (99 - 60) * 60_000_000_000


def test_a_full_disk_is_said_and_waited_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """While the disk is full the page goes on and names the problem; when there is room, it stores again."""
    with small_disk(tmp_path / "disk", 150) as folder:

        async def use(store: PageStore) -> None:
            filler = fill(folder)
            for number in range(6000):
                store.add_score("edge", score(number, random_.random()))
            with pytest.raises(NotStored, match="full"):
                await store.put_alert("edge", alert("a", 1), AlertPicture(), None)
            assert "full" in store.problem
            filler.unlink()
            assert await store.put_alert("edge", alert("a", 1), AlertPicture(), None)
            assert not store.problem

        in_store(folder, use, most_mb=10)
    said = capfd.readouterr()
    assert (said.out + said.err).count("the page cannot store anything, and goes on without") == 1


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    """A file that is no database is kept under another name, and a new one begins."""
    (tmp_path / "page.sqlite").write_bytes(b"no database at all" * 1000)
    assert len(kept(tmp_path, [score(1)])) == 1
    assert (tmp_path / "page.damaged").read_bytes().startswith(b"no database")
