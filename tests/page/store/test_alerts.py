"""Alerts in the store: messages in any order, what people say, and the filters of the list."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.page.shapes import AlertComment, ByWhom, HeatShown, ShownAlert
from runtime.page.store import alerts
from runtime.page.store.alerts import AlertPicture, AlertsWanted, KeptPicture
from runtime.page.store.database import open_to_write
from tests.page.scored import NOW_NS, alert

NOW_MS = NOW_NS // 1_000_000
NOTHING = AlertPicture()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Return an empty store."""
    opened = open_to_write(tmp_path / "page.sqlite")
    yield opened
    opened.close()


def ids(found: list[ShownAlert]) -> list[str]:
    return [one.id for one in found]


PHASES = (
    (alert("a", 1, peak_score=4.0), AlertPicture(picture=b"first")),
    (alert("a", 2, phase="update", peak_score=9.0, boxes=((1, 2, 3, 4),)), AlertPicture(picture=b"peak")),
    (alert("a", 3, phase="end", peak_score=9.0, reason="normal again", clip="c.avi"), NOTHING),
)


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_the_order_of_messages_does_not_matter(db: sqlite3.Connection, order: tuple[int, ...]) -> None:
    """However live messages and those of the journal mix, and also twice, the alert is the same in the end."""
    for number in (*order, *order):
        said, shown = PHASES[number]
        alerts.put(db, "press-3", said, shown, None)
    (found,) = alerts.find(db, AlertsWanted())
    assert (found.key, found.peak_score, found.reason, found.clip) == ("press-3:top", 9.0, "normal again", "c.avi")
    assert found.end_ms == NOW_MS + 3 * 40
    assert found.boxes == ((1, 2, 3, 4),)
    shown = alerts.picture(db, "a")
    assert shown is not None
    assert shown.picture == b"peak"


def test_boxes_are_those_of_the_picture(db: sqlite3.Connection) -> None:
    """A later peak without a picture leaves the boxes that fit the picture; without any picture the last ones count."""
    first, later = ((1, 2, 3, 4),), ((5, 6, 7, 8),)
    for alert_id, shown, wanted in (("a", AlertPicture(picture=b"first"), first), ("b", NOTHING, later)):
        alerts.put(db, "press-3", alert(alert_id, 1, peak_score=4.0, boxes=first), shown, None)
        said = alert(alert_id, 2, phase="update", peak_score=9.0, boxes=later)
        found = alerts.put(db, "press-3", said, NOTHING, None)
        assert found is not None
        assert found.boxes == wanted


def test_picture_heat_map_and_boxes_are_of_one_frame(db: sqlite3.Connection) -> None:
    """A later peak with a heat map alone leaves the picture as it is, with its own heat map, score and boxes."""
    first, later = ((1, 2, 3, 4),), ((5, 6, 7, 8),)
    alerts.put(db, "press-3", alert("a", 1, peak_score=4.0, boxes=first), AlertPicture(picture=b"first"), None)
    heat = HeatShown(rows=1, columns=1, area=(0, 0, 1, 1), values="")
    said = alert("a", 2, phase="update", peak_score=9.0, boxes=later)
    found = alerts.put(db, "press-3", said, AlertPicture(heat=heat), None)
    assert found is not None
    assert (found.boxes, found.picture_score, found.has_heat) == (first, 4.0, False)
    assert found.peak_ms == NOW_MS + 2 * 40
    kept = KeptPicture(7.0, b"kept", ((9, 9, 9, 9),), (120, 160))
    assert alerts.put_kept(db, "a", kept, instead=False) == found
    found = alerts.put_kept(db, "a", kept, instead=True)
    assert found is not None
    assert (found.boxes, found.picture_score, found.frame_hw) == (kept.boxes, 7.0, (120, 160))


def test_a_file_of_the_version_before_is_read(tmp_path: Path) -> None:
    """Alerts of an earlier version stay, with their begin as the time of their peak."""
    path = tmp_path / "page.sqlite"
    with contextlib.closing(open_to_write(path)) as db:
        alerts.put(db, "press-3", *PHASES[0], None)
        db.executescript("ALTER TABLE alerts DROP COLUMN peak_ms; PRAGMA user_version = 1")
    with contextlib.closing(open_to_write(path)) as db:
        found = alerts.get(db, "a")
    assert found is not None
    assert found.peak_ms == found.start_ms


def test_what_people_said_stays(db: sqlite3.Connection) -> None:
    """Later messages of the device leave comments and marks alone; the first to acknowledge is remembered."""
    alerts.put(db, "press-3", *PHASES[0], None)
    alerts.comment(db, "a", AlertComment(by="anna", at_ms=1, text="oil"))
    alerts.acknowledge(db, "a", ByWhom(by="anna", at_ms=2))
    alerts.acknowledge(db, "a", ByWhom(by="otto", at_ms=3))
    alerts.call_false(db, "a", ByWhom(by="otto", at_ms=4))
    found = alerts.put(db, "press-3", *PHASES[2], None)
    assert found is not None
    assert found.acknowledged == ByWhom(by="anna", at_ms=2)
    assert found.false_alarm == ByWhom(by="otto", at_ms=4)
    assert [one.text for one in found.comments] == ["oil"]


def test_comments_are_bounded(db: sqlite3.Connection) -> None:
    """An alert takes a hundred comments, and an alert that is not there takes none."""
    alerts.put(db, "press-3", *PHASES[0], None)
    said = AlertComment(by="", at_ms=1, text="x")
    assert [alerts.comment(db, "a", said) is None for _ in range(101)].count(True) == 1
    assert alerts.comment(db, "nothing", said) is None


def test_alerts_of_an_earlier_start_are_ended(db: sqlite3.Connection) -> None:
    """What was open when the device lost power ends at its last message; what is open now stays open."""
    alerts.put(db, "press-3", alert("old", 1), NOTHING, None)
    alerts.put(db, "press-3", alert("new", 1, epoch="second"), NOTHING, None)
    alerts.put(db, "press-4", alert("other", 1), NOTHING, None)
    assert alerts.close_lost(db, "press-3", "second", "the device was restarted") == 1
    assert sorted(ids(alerts.find(db, AlertsWanted(state="open")))) == ["new", "other"]
    old = alerts.get(db, "old")
    assert old is not None
    assert (old.end_ms, old.reason) == (NOW_MS + 40, "the device was restarted")


def test_filters(db: sqlite3.Connection) -> None:
    """The list is filtered by camera, time, state and text, latest first, and read page by page."""
    for number in range(7):
        said = alert(f"a{number}", 1, t_start_ns=NOW_NS + number * 1_000_000_000, camera=f"cam{number % 2}")
        alerts.put(db, "press-3", said, NOTHING, None)
    alerts.comment(db, "a3", AlertComment(by="", at_ms=1, text="Oil on the belt: 100%"))
    alerts.acknowledge(db, "a4", ByWhom(by="", at_ms=1))
    alerts.call_false(db, "a5", ByWhom(by="", at_ms=1))
    find = lambda **wanted: ids(alerts.find(db, AlertsWanted(**wanted)))  # noqa: E731 - short
    assert find(cameras=(("press-3", "cam1"),)) == ["a5", "a3", "a1"]
    assert find(cameras=(("press-4", "cam1"),)) == []
    assert find(from_ms=NOW_MS + 2000, to_ms=NOW_MS + 4000) == ["a3", "a2"]
    assert find(state="new") == ["a6", "a3", "a2", "a1", "a0"]
    assert find(state="acknowledged") == ["a4"]
    assert find(state="false_alarm") == ["a5"]
    assert find(text="oil ON") == ["a3"]
    assert find(text="0%") == ["a3"]
    pages, before = [], None
    while page := alerts.find(db, AlertsWanted(limit=3, before=before)):
        pages.append(ids(page))
        before = (page[-1].start_ms, page[-1].id)
    assert pages == [["a6", "a5", "a4"], ["a3", "a2", "a1"], ["a0"]]


def test_overlapping_alerts_of_a_curve(db: sqlite3.Connection) -> None:
    """An alert that was open at some time of the curve is in it, an open one too."""
    alerts.put(db, "press-3", alert("over", 10, phase="end"), NOTHING, None)
    alerts.put(db, "press-3", alert("open", 1, t_start_ns=NOW_NS + 10**9), NOTHING, None)
    at = lambda from_ms, to_ms: ids(alerts.overlapping(db, "press-3", "top", NOW_MS + from_ms, NOW_MS + to_ms))  # noqa: E731
    assert at(-1000, 0) == []
    assert at(100, 200) == ["over"]
    assert at(500, 900) == []
    assert at(5000, 6000) == ["open"]
    assert at(0, 6000) == ["over", "open"]


def test_cursors_are_kept(tmp_path: Path) -> None:
    """The place in a journal is there after a restart."""
    from edge_config.settings.page import StoreSettings
    from runtime.page.store.store import PageStore

    async def use(*, write: bool) -> tuple[int, str]:
        store = PageStore(tmp_path, StoreSettings())
        await store.open()
        if write:
            await store.set_cursor("press-3", 17, "epoch")
        found = await store.cursor("press-3")
        await store.close()
        return found

    assert asyncio.run(use(write=True)) == (17, "epoch")
    assert asyncio.run(use(write=False)) == (17, "epoch")
