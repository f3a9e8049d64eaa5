"""Scores in the store: blocks of frames, and ten seconds at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from runtime.page.store.frames import BLOCK_NS, Packed, ScoreRun, unpack
from runtime.page.store.tens import DTYPE, HOUR_MS, TEN_MS, Tens, merge, pack
from runtime.page.store.tens import unpack as unpack_tens

_MS = 1_000_000  # nanoseconds

_BLOCKS = """
SELECT device, camera, epoch, threshold, wall_ns, to_ns, clock_ns, frames, data FROM blocks
WHERE device = ? AND camera = ? AND wall_ns >= ? AND wall_ns < ? AND to_ns >= ? ORDER BY wall_ns
"""
_BLOCK = "INSERT INTO blocks (device, camera, epoch, threshold, wall_ns, to_ns, clock_ns, frames, data) VALUES "
_TENS = "INSERT OR REPLACE INTO tens (device, camera, hour, data) VALUES (?, ?, ?, ?)"


def put_block(db: sqlite3.Connection, block: Packed) -> None:
    """Store a block."""
    values = (block.device, block.camera, block.epoch, block.threshold, block.wall_ns, block.to_ns)
    db.execute(f"{_BLOCK} (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, block.clock_ns, block.frames, block.data))


def put_tens(db: sqlite3.Connection, tens: Mapping[tuple[str, str, int], Tens]) -> None:
    """Store finished ten seconds, by device, camera and hour."""
    for (device, camera, hour), new in tens.items():
        row = db.execute(
            "SELECT data FROM tens WHERE device = ? AND camera = ? AND hour = ?", (device, camera, hour)
        ).fetchone()
        both = new if row is None else merge(unpack_tens(row[0]), new)
        db.execute(_TENS, (device, camera, hour, pack(both)))


def runs(db: sqlite3.Connection, device: str, camera: str, from_ns: int, to_ns: int) -> Iterator[ScoreRun]:
    """Yield the stored frames of a camera between two times, block by block, in their order."""
    # Where `wall_ns` has its bounds, only blocks that can have such frames are read.
    rows = db.execute(_BLOCKS, (device, camera, from_ns - 2 * BLOCK_NS, to_ns, from_ns))
    for row in rows:
        run = unpack(Packed(*row)).between(from_ns, to_ns)
        if len(run.wall_ns):
            yield run


def tens(
    db: sqlite3.Connection, device: str, camera: str, from_ms: int, to_ms: int, also: Mapping[int, Tens]
) -> tuple[NDArray[np.int64], Tens]:
    """Return the ten seconds of a camera between two times: when they begin, milliseconds, and their entries.

    Args:
        db: the store.
        device: of the camera.
        camera: its name.
        from_ms: from this time on.
        to_ms: up to before this time.
        also: ten seconds that are not stored yet, by hour.
    """
    found: dict[int, Tens] = dict(also)
    sql = "SELECT hour, data FROM tens WHERE device = ? AND camera = ? AND hour >= ? AND hour <= ?"
    for hour, data in db.execute(sql, (device, camera, from_ms // HOUR_MS, to_ms // HOUR_MS)):
        stored = unpack_tens(data)
        found[hour] = merge(stored, also[hour]) if hour in also else stored
    begins, entries = [np.empty(0, np.int64)], []
    for hour in sorted(found):
        begins.append(hour * HOUR_MS + found[hour]["at"].astype(np.int64) * TEN_MS)
        entries.append(found[hour])
    if not entries:
        return begins[0], np.empty(0, DTYPE)
    times, all_ = np.concatenate(begins), np.concatenate(entries)
    wanted = (times >= from_ms - TEN_MS) & (times < to_ms)
    return times[wanted], all_[wanted]
