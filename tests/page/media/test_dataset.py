"""Data sets in MVTec layout, from invented cameras; `patchedge-export evaluate` reads them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import zipfile
from pathlib import Path

import cv2
import msgspec
import pytest

from edge_config.errors import RequestError
from edge_config.wire.teaching import Decision, PictureKind, StoredPicture
from export.cli.main import main
from runtime.page.media import dataset
from runtime.page.media.dataset import CameraPictures, Picked, archive, pick
from runtime.page.shapes import ByWhom, ShownAlert
from tests.support.tiny import THRESHOLD, normal_picture, strange_picture

START_MS = 1_764_241_445_000
NOBODY = ByWhom(by="", at_ms=0)


def stored(number: int, kind: PictureKind, decided: Decision = "", alert: str | None = None) -> StoredPicture:
    """Return what a device says of a picture; its time is `number` seconds after the start."""
    return StoredPicture(
        id=f"20251127T1104{5 + number:02d}000Z-0000000{number:x}",
        kind=kind,
        camera="belt",
        time=f"2025-11-27T11:04:{5 + number:02d}.000Z",
        frame=number,
        score=1.0,
        threshold=THRESHOLD,
        sha256="0" * 64,
        bytes=100,
        alert=alert,
        decided=decided,
    )


def alert(number: int, *, false: bool = False, picture: bool = True) -> ShownAlert:
    """Return an alert of the page, which began `number` seconds after the start."""
    return ShownAlert(
        id=f"alert-{number}",
        key="edge:belt",
        device="edge",
        camera="belt",
        start_ms=START_MS + 1000 * number,
        end_ms=None,
        peak_score=3.0,
        peak_excess=1.0,
        threshold=THRESHOLD,
        has_picture=picture,
        false_alarm=NOBODY if false else None,
    )


PICTURES = [
    stored(0, "taught"),
    stored(1, "taught", "rejected"),
    stored(2, "taught", "learnt"),
    stored(3, "aside"),
    stored(4, "aside", "accepted"),
    stored(5, "aside", "rejected"),
    stored(6, "held_out"),
    stored(7, "peak", alert="alert-7"),
    stored(8, "peak", "accepted", alert="alert-8"),
    stored(9, "peak", "rejected", alert="alert-9"),
]
ALERTS = [alert(7), alert(8, false=True), alert(9), alert(10), alert(11, false=True), alert(12, picture=False)]
BELT = CameraPictures("edge", "belt", PICTURES, ALERTS)


def place(picked: list[Picked]) -> dict[str, set[int | str]]:
    """Return the folders, and which pictures are in each: numbers, or ids of alerts."""
    found: dict[str, set[int | str]] = {}
    for one in picked:
        folder, _, _name = one.path.rpartition("/")
        found.setdefault(folder, set()).add(one.alert.id if one.stored is None and one.alert else one.stored.frame)  # type: ignore[union-attr]
    return found


def test_each_picture_goes_where_people_have_put_it() -> None:
    """Taught and accepted pictures are for training, held-out ones and false alarms are good, other alerts are not;
    of alerts without a stored picture it is that of the message; what nobody judged is left out.
    """
    assert place(pick([BELT], None, None)) == {
        "edge-belt/train/good": {0, 2, 4},
        "edge-belt/test/good": {6, 8, "alert-11"},
        "edge-belt/test/alert": {7, 9, "alert-10"},
    }


def test_times_bound_pictures_and_alerts() -> None:
    """Only what is of the wanted time is taken."""
    picked = pick([BELT], START_MS + 6000, START_MS + 11_000)
    assert place(picked) == {"edge-belt/test/good": {6, 8}, "edge-belt/test/alert": {7, 9, "alert-10"}}


@pytest.mark.parametrize("time", ["1970-01-01T00:00:07.000Z", "9999-12-31T23:59:59.999Z", "no time", ""])
def test_clock_of_a_device_does_not_stop_the_archive(time: str) -> None:
    """A picture of a device whose clock began anew, or that says no time at all, is in it like the others."""
    one = msgspec.structs.replace(stored(0, "taught"), time=time)
    found = asyncio.run(gathered(pick([CameraPictures("edge", "belt", [one], [])], None, None)))
    assert f"edge-belt/train/good/{one.id}.png" in found.namelist()


def test_filter_of_alerts_leaves_normal_pictures() -> None:
    """Where only some alerts are wanted, the peaks of others are left out, and all normal pictures stay."""
    some = CameraPictures("edge", "belt", PICTURES, [alert(8, false=True), alert(10)])
    assert place(pick([some], None, None, named=True)) == {
        "edge-belt/train/good": {0, 2, 4},
        "edge-belt/test/good": {6, 8},
        "edge-belt/test/alert": {"alert-10"},
    }


def test_names_of_others_lead_nowhere() -> None:
    """A camera or an alert with a name of dots and slashes stays inside of the archive."""
    wild = CameraPictures("../..", "/etc", [], [ShownAlert(**{**_fields(alert(1)), "id": "../../x"})])
    (one,) = pick([wild], None, None)
    assert one.path == "_____-_etc/test/alert/______x.jpg"


def _fields(of: ShownAlert) -> dict[str, object]:
    return {name: getattr(of, name) for name in of.__struct_fields__}


async def read(one: Picked) -> bytes:
    """Return a picture: strange in `alert`, else normal."""
    number = int(one.path[-5], 16) if one.stored else 20
    image = strange_picture(number) if "/alert/" in one.path else normal_picture(number)
    return cv2.imencode(Path(one.path).suffix, image)[1].tobytes()


async def gathered(picked: list[Picked], reading: dataset.Read = read) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join([piece async for piece in archive(picked, reading, "Head.")])))


@pytest.mark.slow
def test_evaluate_reads_the_data_set(tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The unpacked archive is a data set for `patchedge-export evaluate`, which finds all strange pictures in it."""
    whole = asyncio.run(gathered(pick([BELT], None, None)))
    assert whole.testzip() is None
    whole.extractall(tmp_path / "set")
    words = ["evaluate", tiny_bundle, "--dataset", tmp_path / "set" / "edge-belt", "--out", tmp_path / "figures"]
    assert main([*map(str, words), "--json"]) == 0, capsys.readouterr().err
    figures = json.loads(capsys.readouterr().out)
    assert (figures["normal"], figures["anomalous"], figures["image_auroc"]) == (3, 3, 1.0)


def test_table_and_readme_say_how_it_was_made() -> None:
    """Each file is in the table with its source; the README counts, and says which pictures have losses."""
    whole = asyncio.run(gathered(pick([BELT], None, None)))
    table = list(csv.DictReader(io.StringIO(whole.read("files.csv").decode(), newline="")))
    pictures = {name for name in whole.namelist() if name.endswith((".png", ".jpg"))}
    assert {row["file"] for row in table} == pictures
    assert {row["source"] for row in table if row["file"].endswith(".jpg")} == {"message"}
    assert {row["source"] for row in table if row["file"].endswith(".png")} == {"device"}
    (row,) = (row for row in table if row["alert"] == "alert-8")
    assert (row["decided"], row["kind"], row["time"]) == ("accepted", "peak", "2025-11-27T11:04:13.000Z")
    readme = whole.read("README.txt").decode()
    assert readme.startswith("Head.\n")
    assert "     3  edge-belt/train/good\n" in readme
    assert "losses of\nJPEG" in readme
    assert "NOT WHOLE" not in readme


def test_what_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that is gone is named in the README, and the rest is there; so is what goes beyond the maximum."""

    async def gone(one: Picked) -> bytes:
        if one.stored is not None and one.stored.frame == 2:
            raise RequestError("there is no such picture")
        return await read(one)

    monkeypatch.setattr(dataset, "MAX_PICTURES", 5)
    whole = asyncio.run(gathered(pick([BELT], None, None), gone))
    readme = whole.read("README.txt").decode()
    assert (
        "NOT WHOLE: 1 pictures could not be read:\n    edge-belt/train/good/20251127T110407000Z-00000002.png" in readme
    )
    assert "NOT WHOLE: 4 further pictures are left out" in readme
    assert sum(name.endswith((".png", ".jpg")) for name in whole.namelist()) == 4


def test_archive_is_made_piece_by_piece() -> None:
    """No more than a picture is in memory: each piece has the bytes of one file."""

    async def large(_one: Picked) -> bytes:
        return bytes(100_000)

    async def sizes() -> list[int]:
        return [len(piece) async for piece in archive(pick([BELT], None, None), large, "")]

    assert max(asyncio.run(sizes())) < 101_000
