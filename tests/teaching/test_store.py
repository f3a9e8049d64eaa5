"""The stored pictures: lossless, whole after a kill at any instant, and bounded in age and size."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import random
import shutil
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from edge_config.errors import NotWritten
from runtime.teaching import png
from runtime.teaching.dropping import RANKS, RECORD_BYTES
from runtime.teaching.store import PictureStore
from tests.support.disks import fill, small_disk
from tests.support.stored import Open, image, new


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {".lock"}


@pytest.mark.parametrize("hw", [(1, 1), (1, 7), (48, 64), (241, 359)])
def test_png_is_lossless(hw: tuple[int, int]) -> None:
    """What OpenCV reads of the PNG is the very frame, BGR, whatever its size."""
    frame = np.random.default_rng(1).integers(0, 256, (*hw, 3), np.uint8)
    read = cv2.imdecode(np.frombuffer(png.encode(frame), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read, frame)


def test_picture_is_two_files_and_comes_back(opened: Open, tmp_path: Path) -> None:
    """A stored picture is ID.png and ID.json in the folder of its camera, and is known again after a restart."""
    store = opened(tmp_path)
    stored = store.add(new("peak", 3, score=12.5, alert="a"))
    folder = tmp_path / "top" / "pictures"
    assert np.array_equal(cv2.imread(str(folder / f"{stored.id}.png")), image(3))
    record = json.loads((folder / f"{stored.id}.json").read_text())
    assert {
        "kind": "peak",
        "camera": "top",
        "score": 12.5,
        "alert": "a",
        "decided": "",
        "by": "",
    }.items() <= record.items()
    assert oct((folder / f"{stored.id}.png").stat().st_mode & 0o777) == "0o600"
    store.close()
    assert opened(tmp_path).all() == [stored]


def test_kill_at_any_instant_leaves_whole_pictures(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies before, in or after any step of writing leaves no half picture and no file beside it."""

    class Killed(BaseException):
        pass

    left = 0
    real = Path.replace

    def count_down(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return real(self, target)

    for steps in range(4):
        folder = tmp_path / str(steps)
        left = 100
        monkeypatch.setattr(Path, "replace", count_down)
        monkeypatch.setattr(Path, "unlink", lambda *_args, **_kwargs: None)  # the dead tidy nothing up
        store = opened(folder)
        left = steps
        whole = []
        with suppress(Killed):
            whole.extend(store.add(new("taught", seed)) for seed in range(3))
        monkeypatch.undo()
        store.close()
        again = opened(folder)
        assert again.all() == whole[: steps // 2]
        assert files(folder) == {f"top/pictures/{one.id}.{kind}" for one in whole for kind in ("png", "json")}
        again.close()


def test_damaged_pictures_are_deleted_and_said(opened: Open, tmp_path: Path) -> None:
    """A JSON file that cannot be read, or is of another picture, goes with its picture, and the log names it."""
    store = opened(tmp_path)
    one, other, third = (store.add(new("taught", seed)) for seed in range(3))
    store.close()
    folder = tmp_path / "top" / "pictures"
    (folder / f"{one.id}.json").write_text("{")
    shutil.copy(folder / f"{third.id}.json", folder / f"{other.id}.json")
    with capture_logs() as log:
        assert opened(tmp_path).all() == [third]
    assert [line["event"] for line in log] == ["a damaged picture is deleted"] * 2
    assert files(tmp_path) == {f"top/pictures/{third.id}.png", f"top/pictures/{third.id}.json"}


def test_start_that_failed_is_tried_again(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot be read at first does not lock the runtime out; files of others in the folder stay."""
    store = opened(tmp_path)
    stored = store.add(new("taught"))
    (tmp_path / "top" / "pictures" / "notes.txt").write_text("mine")
    store.close()

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "glob", fail)
        with pytest.raises(NotWritten, match="Input/output error"):
            store.open()
    store.open()
    assert store.all() == [stored]
    assert (tmp_path / "top" / "pictures" / "notes.txt").read_text() == "mine"


def test_two_runtimes_never_share_a_folder(opened: Open, tmp_path: Path) -> None:
    """The second one is told in a line that the folder is in use, and deletes nothing in it."""
    store = opened(tmp_path)
    stored = store.add(new("taught"))
    with pytest.raises(NotWritten, match=r"in use by another patchedge; name another `learning.folder`"):
        opened(tmp_path)
    store.close()
    assert opened(tmp_path).all() == [stored]


def test_lower_peaks_of_an_alert_go_at_the_start(opened: Open, tmp_path: Path) -> None:
    """A process killed between writing a higher peak and deleting the lower leaves one; what was decided on stays."""
    store = opened(tmp_path)
    store.add(new("peak", 1, score=11.0, alert="a"))
    accepted = store.change(store.add(new("peak", 2, score=12.0, alert="a")), decided="accepted")
    highest = store.add(new("peak", 3, score=13.0, alert="a"))
    other = store.add(new("peak", 4, score=10.5, alert="b"))
    store.close()
    assert opened(tmp_path).all() == [accepted, highest, other]


def test_old_pictures_are_deleted(opened: Open, tmp_path: Path) -> None:
    """Pictures of all kinds and cameras older than most_days go, and no younger one."""
    store = opened(tmp_path, max_days=30)
    young = store.add(new("peak", days=29.9))
    old = [store.add(new("held_out", camera="hall", days=30.1)), store.add(new("taught", days=400))]
    assert {one.id for one in store.delete_old()} == {one.id for one in old}
    assert not store.make_room()
    assert store.all() == [young]


def test_pictures_beyond_the_bound_go_in_the_stated_order(opened: Open, tmp_path: Path) -> None:
    """What costs a person least goes first: the order is that of RANKS, and the oldest of a kind before the others."""
    store = opened(tmp_path, max_bytes=1 << 20)
    kinds = {
        "rejected": ("aside", "rejected"),
        "learnt": ("taught", "learnt"),
        "set aside": ("aside", ""),
        "peak": ("peak", ""),
        "to learn": ("peak", "accepted"),
        "held out": ("held_out", ""),
    }
    assert tuple(kinds) == RANKS
    for number, (kind, decided) in enumerate(reversed(kinds.values())):
        for older in (1, 2)[: 1 + (kind != "held_out")]:
            stored = store.add(new(kind, number, days=older, camera=("top", "hall")[older % 2]))
            store.change(stored, decided=decided)
    assert not store.make_room()
    gone = []
    while len(store.all()) > 2:
        store.max_bytes = store.size - 1
        gone += store.make_room()
    order = [(list(kinds.values()).index((one.kind, one.decided)), one.id) for one in gone]
    assert order == sorted(order)
    assert len(order) == 9
    assert {one.kind for one in store.all()} == {"peak", "held_out"}


def test_held_out_pictures_leave_room_for_others(opened: Open, tmp_path: Path) -> None:
    """Held-out pictures take at most half of the bound, the oldest of them go, and nothing else does."""
    store = opened(tmp_path)
    held_out = [store.add(new("held_out", seed)) for seed in range(6)]
    peak = store.add(new("peak", 9))
    each = held_out[0].bytes + RECORD_BYTES
    store.max_bytes = 8 * each + each // 2
    assert store.make_room() == held_out[:2]
    assert store.all() == [*held_out[2:], peak]


def test_pictures_that_are_being_learnt_stay(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a learner may read them pictures make no room for new ones, and are not too old; later they do."""
    store = opened(tmp_path, max_days=1)
    given = [store.add(new("peak", 1)), store.add(new("taught", 2, days=2))]
    store.hold(given)
    store.max_bytes = store.size + 100
    later = store.add(new("taught", 3))
    assert store.make_room() == [later]
    assert store.delete_old() == []
    monkeypatch.setattr("runtime.teaching.store.HELD_S", 0.0)
    store.hold(given)
    assert store.delete_old() == [given[1]]


def test_full_disk_loses_the_picture_only(opened: Open, tmp_path: Path) -> None:
    """A picture that does not fit on the disk leaves nothing of itself, and those before it stay."""
    with small_disk(tmp_path, 24) as folder:
        store = opened(folder / "learning")
        stored = store.add(new("taught"))
        filling = fill(folder)
        with pytest.raises(NotWritten, match="No space left"):
            store.add(new("taught", 2))
        filling.unlink()
        assert store.all() == [stored]
        assert files(folder / "learning") == {f"top/pictures/{stored.id}.png", f"top/pictures/{stored.id}.json"}
        store.close()


def test_changed_picture_is_never_read_as_whole(opened: Open, tmp_path: Path) -> None:
    """A PNG with a flipped bit is not handed out."""
    store = opened(tmp_path)
    stored = store.add(new("taught"))
    path = tmp_path / "top" / "pictures" / f"{stored.id}.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        store.read(stored)


def write_on(folder: Path) -> None:
    """Write, judge and delete pictures until killed."""
    store = PictureStore(folder, 20_000, 30)
    store.open()
    for seed in itertools.count():
        stored = store.add(new("taught", seed % 50))
        store.change(stored, decided="accepted")
        store.make_room()


@pytest.mark.slow
def test_killed_process_leaves_whole_pictures_only(opened: Open, tmp_path: Path) -> None:
    """After kill -9 at any instant all that is there after the next start is whole, and within the bound."""
    chance = random.Random(7)  # noqa: S311 - no secret
    for _ in range(30):
        writer = multiprocessing.get_context("fork").Process(target=write_on, args=[tmp_path])
        writer.start()
        writer.join(chance.uniform(0.02, 0.15))
        writer.kill()
        writer.join()
        writer.close()
        store = opened(tmp_path)
        found = store.all()
        assert files(tmp_path) == {f"top/pictures/{one.id}.{kind}" for one in found for kind in ("png", "json")}
        for one in found:
            store.read(one)
        assert store.size < 25_000
        store.close()
    assert found
