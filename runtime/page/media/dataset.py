"""A data set in MVTec layout, of the stored pictures of cameras and the pictures of their alerts.

    DEVICE-CAMERA/train/good    taught pictures, and those that were set aside and accepted
    DEVICE-CAMERA/test/good     held-out pictures, and peaks of false alarms
    DEVICE-CAMERA/test/alert    peaks of all other alerts

Pictures are the PNG files of the device, without loss. Where the device has none of an alert any more, it is the JPEG
that came with the message, as it came.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge_config.errors import PatchedgeError
from edge_config.wire.teaching import StoredPicture
from runtime.page.media.table import csv_lines, iso
from runtime.page.media.zipping import ZipPieces
from runtime.page.refused import Refused
from runtime.page.shapes import ShownAlert

MAX_PICTURES = 10_000
"""Maximum number of pictures of a data set; further ones are left out, which its README says."""

MAX_BYTES = 4 << 30
"""Maximum size of a data set."""

MAX_FAILED = 20
"""Pictures that cannot be read, after which no more are tried: the device is away."""

COLUMNS = ("file", "source", "picture", "alert", "time", "score", "threshold", "kind", "decided", "sha256")

_TAKEN = frozenset({"accepted", "learnt"})
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class CameraPictures:
    """What there is of one camera.

    Attributes:
        device, camera: its names.
        pictures: stored on the device.
        alerts: known to the page.
    """

    device: str
    camera: str
    pictures: Sequence[StoredPicture]
    alerts: Sequence[ShownAlert]

    @property
    def folder(self) -> str:
        """Its folder in the archive."""
        return "-".join(_FOREIGN.sub("_", name)[:64] for name in (self.device, self.camera))


@dataclass(frozen=True)
class Picked:
    """A picture of the data set.

    Attributes:
        path: in the archive.
        of: its camera.
        stored: the picture on the device; None: it is that of the alert's message.
        alert: of which it is the peak.
    """

    path: str
    of: CameraPictures
    stored: StoredPicture | None
    alert: ShownAlert | None


Read = Callable[[Picked], Awaitable[bytes]]
"""Reads a picture; it may raise PatchedgeError or Refused."""


def pick(
    cameras: Iterable[CameraPictures], from_ms: int | None, to_ms: int | None, *, named: bool = False
) -> list[Picked]:
    """Return the pictures of a data set, those of each camera in the order of time.

    Args:
        cameras: what there is.
        from_ms: only of this time or later.
        to_ms: only before this time.
        named: of alerts only those that are known to the page.
    """

    def within(at_ms: int) -> bool:
        return (from_ms is None or at_ms >= from_ms) and (to_ms is None or at_ms < to_ms)

    found: list[Picked] = []
    for one in cameras:
        alerts = {alert.id: alert for alert in one.alerts}
        stored = [picture for picture in one.pictures if within(_ms(picture.time))]
        if named:
            stored = [picture for picture in stored if picture.kind != "peak" or picture.alert in alerts]
        found += [picked for picture in stored if (picked := _of_picture(one, picture, alerts))]
        have = {picture.alert for picture in one.pictures}
        found += [
            Picked(f"{one.folder}/test/{_kind(alert)}/{_FOREIGN.sub('_', alert.id)[:64]}.jpg", one, None, alert)
            for alert in sorted(one.alerts, key=lambda alert: alert.start_ms)
            if alert.has_picture and alert.id not in have and within(alert.start_ms)
        ]
    return found


def _of_picture(one: CameraPictures, picture: StoredPicture, alerts: dict[str, ShownAlert]) -> Picked | None:
    """Return where a stored picture goes; None: nobody has said what it shows."""
    alert = alerts.get(picture.alert or "")
    place = ""
    if picture.kind == "peak":
        false = picture.decided in _TAKEN or (alert is not None and alert.false_alarm is not None)
        place = "test/good" if false else "test/alert"
    elif picture.decided == "rejected":
        return None
    elif picture.kind == "held_out":
        place = "test/good"
    elif picture.kind == "taught" or picture.decided in _TAKEN:
        place = "train/good"
    return Picked(f"{one.folder}/{place}/{picture.id}.png", one, picture, alert) if place else None


def _kind(alert: ShownAlert) -> str:
    return "alert" if alert.false_alarm is None else "good"


def _ms(time: str) -> int:
    """Return a time of a device in ms since 1970; 0 where it is none."""
    try:
        return round(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


async def archive(picked: Sequence[Picked], read: Read, head: str) -> AsyncIterator[bytes]:
    """Yield the archive: the pictures, a table of them, and a README that says how it was made.

    Args:
        picked: the pictures.
        read: reads one.
        head: first lines of the README.
    """
    pieces, failed, rows, left_out = ZipPieces(), list[str](), list[tuple[Any, ...]](), 0
    counts: Counter[str] = Counter()
    for number, one in enumerate(picked):
        if number >= MAX_PICTURES or pieces.bytes >= MAX_BYTES or len(failed) >= MAX_FAILED:
            left_out = len(picked) - number
            break
        try:
            data = await read(one)
        except (PatchedgeError, Refused) as error:
            failed.append(f"{one.path}: {error}")
            continue
        counts[one.path.rpartition("/")[0]] += 1
        rows.append(_row(one))
        yield pieces.add(one.path, data, at_s=_at_ms(one) / 1000)
    yield pieces.add("files.csv", csv_lines([COLUMNS, *rows]), compressed=True)
    readme = "\n".join(_readme(head, counts, failed, left_out))
    yield pieces.add("README.txt", readme.encode("utf-8", "backslashreplace"), compressed=True)
    yield pieces.end()


def _at_ms(one: Picked) -> int:
    if one.stored is not None:
        return _ms(one.stored.time)
    return 0 if one.alert is None else one.alert.start_ms


def _row(one: Picked) -> tuple[Any, ...]:
    stored, alert = one.stored, one.alert
    if stored is not None:
        known = (stored.score, stored.threshold, stored.kind, stored.decided, stored.sha256)
        return (one.path, "device", stored.id, stored.alert or "", iso(_at_ms(one)), *known)
    assert alert is not None  # noqa: S101 - one of both is there
    return (one.path, "message", "", alert.id, iso(_at_ms(one)), alert.peak_score, alert.threshold, "peak", "", "")


def _readme(head: str, counts: Counter[str], failed: Sequence[str], left_out: int) -> Iterator[str]:
    yield from (head, "", "Pictures in each folder:", "")
    yield from (f"    {number:6}  {folder}" for folder, number in sorted(counts.items()))
    yield from (
        "",
        "train/good  taught pictures, and pictures that were set aside and accepted as normal",
        "test/good   pictures that were held out, and peaks of alerts that were called false alarms",
        "test/alert  peaks of all other alerts: nobody has said that they show a fault",
        "",
        "Pictures that were rejected, or set aside and not decided on, are left out. A false alarm that was learnt",
        "(`decided` is `learnt` in files.csv) is known to the bundle in service: a figure with it is too good.",
        "PNG files are those of the device, without loss. JPEG files (`source` is `message` in files.csv) are the",
        "pictures that came with the messages of alerts of which the device has no PNG any more: with the losses of",
        "JPEG, and reduced where the device reduces what it attaches.",
        "",
        "Figures of a bundle on one camera:",
        "",
        "    patchedge-export evaluate BUNDLE --dataset DEVICE-CAMERA",
    )
    if left_out:
        yield from ("", f"NOT WHOLE: {left_out} further pictures are left out; ask for a shorter time.")
    if failed:
        yield from ("", f"NOT WHOLE: {len(failed)} pictures could not be read:", *(f"    {one}" for one in failed))
    yield ""
