"""Alerts in the store: written from messages and by people, read for the page."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

import msgspec

from edge_config.wire.messages import AlertMessage, Box
from runtime.page.shapes import AlertComment, ByWhom, HeatShown, ShownAlert

_MS = 1_000_000  # nanoseconds

MAX_COMMENTS = 100
"""Maximum number of comments on an alert."""

AlertFilter = Literal["open", "new", "acknowledged", "false_alarm"]

_WHERE: dict[AlertFilter, str] = {
    "open": "end_ms IS NULL",
    "new": "ack_ms IS NULL AND false_ms IS NULL",
    "acknowledged": "ack_ms IS NOT NULL",
    "false_alarm": "false_ms IS NOT NULL",
}

_TEXT = """(
    instr(lower(device), lower(?)) OR instr(lower(camera), lower(?)) OR instr(lower(reason), lower(?))
    OR alerts.id IN (SELECT alert FROM comments WHERE instr(lower(text), lower(?)))
)"""

_COLUMNS = (
    "alerts.id, device, camera, start_ms, end_ms, peak_score, peak_excess, threshold, reason, clip, boxes, height,"
    " width, ack_by, ack_ms, false_by, false_ms, peak_ms, pictures.picture IS NOT NULL, pictures.score,"
    " pictures.heat IS NOT NULL"
)
_SELECT = f"SELECT {_COLUMNS} FROM alerts LEFT JOIN pictures ON pictures.alert = alerts.id"  # noqa: S608 - constants

_PUT = """
INSERT INTO alerts (id, device, camera, epoch, seq, start_ms, last_ms, end_ms, peak_score, peak_excess, threshold,
    reason, clip, boxes, height, width, peak_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, last_ms = excluded.last_ms, end_ms = excluded.end_ms,
    peak_score = excluded.peak_score, peak_excess = excluded.peak_excess, threshold = excluded.threshold,
    reason = excluded.reason, clip = excluded.clip, epoch = excluded.epoch,
    height = coalesce(excluded.height, height), width = coalesce(excluded.width, width),
    peak_ms = CASE WHEN excluded.peak_score > peak_score THEN excluded.peak_ms ELSE peak_ms END
WHERE excluded.seq >= seq OR excluded.epoch <> epoch
"""
_PICTURE = """
INSERT INTO pictures (alert, score, media_type, picture, heat) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (alert) DO UPDATE SET score = excluded.score, media_type = excluded.media_type,
    picture = excluded.picture, heat = excluded.heat
WHERE excluded.score >= score AND (excluded.picture IS NOT NULL OR picture IS NULL)
"""
# Picture, heat map and boxes are of one frame: a device that does less sends a later peak without a picture.
_KEPT_PICTURE = """
INSERT INTO pictures (alert, score, media_type, picture, heat) VALUES (?, ?, ?, ?, NULL)
ON CONFLICT (alert) DO UPDATE SET media_type = excluded.media_type, picture = excluded.picture, score = excluded.score,
    heat = CASE WHEN abs(excluded.score - score) <= 1e-6 * score THEN heat END
WHERE picture IS NULL OR ?
"""
_BOXES_OF_PICTURE = """
UPDATE alerts SET boxes = ? WHERE id = ? AND EXISTS (SELECT 1 FROM pictures WHERE alert = alerts.id AND score = ?)
"""
_BOXES_ALONE = """
UPDATE alerts SET boxes = ? WHERE id = ? AND seq = ? AND epoch = ?
    AND NOT EXISTS (SELECT 1 FROM pictures WHERE alert = alerts.id AND picture IS NOT NULL)
"""
_CLOSE = """
UPDATE alerts SET end_ms = last_ms, reason = ? WHERE device = ? AND end_ms IS NULL AND epoch <> ?
"""


@dataclass(frozen=True, slots=True)
class AlertPicture:
    """What an alert shows of its peak.

    Attributes:
        media_type: of the picture.
        picture: its bytes; None: there is none.
        heat: its heat map.
    """

    media_type: str = "image/jpeg"
    picture: bytes | None = None
    heat: HeatShown | None = None


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture that the device keeps of an alert, to learn from.

    Attributes:
        score: of its frame.
        picture: its bytes, a PNG.
        boxes: regions of it over the threshold.
        frame_hw: its height and width.
    """

    score: float
    picture: bytes
    boxes: tuple[Box, ...]
    frame_hw: tuple[int, int] | None
    media_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class AlertsWanted:
    """Which alerts are wanted.

    Attributes:
        cameras: devices and cameras; empty: all.
        from_ms, to_ms: they began from the first of these times on, and before the second.
        state: only these.
        text: in the name of device or camera, the reason, or a comment.
        before: begin and id of an alert: only those before it.
        limit: maximum number.
    """

    cameras: tuple[tuple[str, str], ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    state: AlertFilter | None = None
    text: str = ""
    before: tuple[int, str] | None = None
    limit: int = 50


def put(
    db: sqlite3.Connection, device: str, said: AlertMessage, shown: AlertPicture, frame_hw: tuple[int, int] | None
) -> ShownAlert | None:
    """Store a message, unless it is older than what is stored, and return the alert."""
    latest_ms = said.t_capture_ns // _MS
    boxes = msgspec.json.encode(said.boxes).decode()
    db.execute(
        _PUT,
        (
            said.alert_id,
            device,
            said.camera,
            said.epoch,
            said.seq,
            (said.t_start_ns or said.t_capture_ns) // _MS,  # earlier devices do not say it
            latest_ms,
            latest_ms if said.phase == "end" else None,
            said.peak_score,
            said.peak_excess,
            said.threshold,
            said.reason,
            said.clip,
            boxes,
            *(frame_hw or (None, None)),
            latest_ms,
        ),
    )
    if shown.picture is not None or shown.heat is not None:
        heat = None if shown.heat is None else msgspec.json.encode(shown.heat).decode()
        db.execute(_PICTURE, (said.alert_id, said.peak_score, shown.media_type, shown.picture, heat))
    if shown.picture is not None:
        db.execute(_BOXES_OF_PICTURE, (boxes, said.alert_id, said.peak_score))
    else:
        db.execute(_BOXES_ALONE, (boxes, said.alert_id, said.seq, said.epoch))
    return get(db, said.alert_id)


def put_kept(db: sqlite3.Connection, alert: str, kept: KeptPicture, *, instead: bool) -> ShownAlert | None:
    """Store the picture that the device keeps of an alert, where there is none, or `instead` of what is shown."""
    done = db.execute(_KEPT_PICTURE, (alert, kept.score, kept.media_type, kept.picture, instead))
    if done.rowcount:
        boxes = msgspec.json.encode(kept.boxes).decode()
        size = kept.frame_hw or (None, None)
        db.execute(
            "UPDATE alerts SET boxes = ?, height = coalesce(?, height), width = coalesce(?, width) WHERE id = ?",
            (boxes, *size, alert),
        )
    return get(db, alert)


def close_lost(db: sqlite3.Connection, device: str, epoch: str, reason: str) -> int:
    """End the open alerts of a device that are of an earlier start of it; return how many."""
    return db.execute(_CLOSE, (reason, device, epoch)).rowcount


def acknowledge(db: sqlite3.Connection, alert: str, by: ByWhom | None) -> ShownAlert | None:
    """Note who has seen an alert, the first one stays, or that nobody has; None: there is no such alert."""
    known = " AND ack_ms IS NULL" if by else ""
    db.execute(f"UPDATE alerts SET ack_by = ?, ack_ms = ? WHERE id = ?{known}", (*_person(by), alert))  # noqa: S608
    return get(db, alert)


def call_false(db: sqlite3.Connection, alert: str, by: ByWhom | None) -> ShownAlert | None:
    """Note who has called an alert a false alarm, or that it is none after all; None: there is no such alert."""
    db.execute("UPDATE alerts SET false_by = ?, false_ms = ? WHERE id = ?", (*_person(by), alert))
    return get(db, alert)


def _person(by: ByWhom | None) -> tuple[str | None, int | None]:
    return (by.by, by.at_ms) if by else (None, None)


def comment(db: sqlite3.Connection, alert: str, said: AlertComment) -> ShownAlert | None:
    """Add a comment; None: there is no such alert, or it has the maximum number of comments."""
    count = db.execute("SELECT count(*) FROM comments WHERE alert = ?", (alert,)).fetchone()[0]
    if count >= MAX_COMMENTS or get(db, alert) is None:
        return None
    db.execute(
        "INSERT INTO comments (alert, by, at_ms, text) VALUES (?, ?, ?, ?)", (alert, said.by, said.at_ms, said.text)
    )
    return get(db, alert)


def get(db: sqlite3.Connection, alert: str) -> ShownAlert | None:
    """Return an alert; None: there is no such."""
    rows = _shown(db, db.execute(f"{_SELECT} WHERE alerts.id = ?", (alert,)).fetchall())
    return rows[0] if rows else None


def find(db: sqlite3.Connection, wanted: AlertsWanted) -> list[ShownAlert]:
    """Return alerts, the latest first."""
    where, values = ["1"], []
    if wanted.cameras:
        where.append(f"(device, camera) IN (VALUES {', '.join(['(?, ?)'] * len(wanted.cameras))})")
        values += [name for one in wanted.cameras for name in one]
    if wanted.from_ms is not None:
        where.append("start_ms >= ?")
        values.append(wanted.from_ms)  # type: ignore[arg-type]
    if wanted.to_ms is not None:
        where.append("start_ms < ?")
        values.append(wanted.to_ms)  # type: ignore[arg-type]
    if wanted.state is not None:
        where.append(_WHERE[wanted.state])
    if wanted.text:
        where.append(_TEXT)
        values += [wanted.text] * 4
    if wanted.before is not None:
        where.append("(start_ms, alerts.id) < (?, ?)")
        values += wanted.before  # type: ignore[arg-type]
    sql = f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY start_ms DESC, alerts.id DESC LIMIT ?"
    return _shown(db, db.execute(sql, (*values, wanted.limit)).fetchall())


def overlapping(db: sqlite3.Connection, device: str, camera: str, from_ms: int, to_ms: int) -> list[ShownAlert]:
    """Return the alerts of a camera that were open at some time between two, the earliest first; at most 1000."""
    sql = (
        f"{_SELECT} WHERE device = ? AND camera = ? AND start_ms < ? AND coalesce(end_ms, ?) >= ?"
        " ORDER BY start_ms DESC LIMIT 1000"
    )
    return _shown(db, db.execute(sql, (device, camera, to_ms, to_ms, from_ms)).fetchall())[::-1]


def picture(db: sqlite3.Connection, alert: str) -> AlertPicture | None:
    """Return what an alert shows of its peak; None: nothing."""
    row = db.execute("SELECT media_type, picture, heat FROM pictures WHERE alert = ?", (alert,)).fetchone()
    if row is None:
        return None
    return AlertPicture(row[0], row[1], None if row[2] is None else msgspec.json.decode(row[2], type=HeatShown))


def _shown(db: sqlite3.Connection, rows: list[tuple]) -> list[ShownAlert]:  # type: ignore[type-arg]
    said: dict[str, list[AlertComment]] = {}
    for row in rows:
        said[row[0]] = [
            AlertComment(by=by, at_ms=at_ms, text=text)
            for by, at_ms, text in db.execute(
                "SELECT by, at_ms, text FROM comments WHERE alert = ? ORDER BY number", (row[0],)
            )
        ]
    return [_one(row, tuple(said[row[0]])) for row in rows]


def _one(row: tuple, comments: tuple[AlertComment, ...]) -> ShownAlert:  # type: ignore[type-arg]
    alert, device, camera, start_ms, end_ms, peak, excess, threshold, reason, clip, boxes, height, width, *more = row
    ack_by, ack_ms, false_by, false_ms, peak_ms, has_picture, picture_score, has_heat = more
    return ShownAlert(
        id=alert,
        key=f"{device}:{camera}",
        device=device,
        camera=camera,
        start_ms=start_ms,
        end_ms=end_ms,
        peak_score=peak,
        peak_excess=excess,
        threshold=threshold,
        reason=reason,
        clip=clip,
        peak_ms=start_ms if peak_ms is None else peak_ms,
        has_picture=bool(has_picture),
        picture_score=picture_score if has_picture else None,
        has_heat=bool(has_heat),
        has_clip=bool(clip),
        boxes=msgspec.json.decode(boxes, type=tuple[Box, ...]),
        frame_hw=None if height is None else (height, width),
        acknowledged=None if ack_ms is None else ByWhom(by=ack_by, at_ms=ack_ms),
        false_alarm=None if false_ms is None else ByWhom(by=false_by, at_ms=false_ms),
        comments=comments,
    )
