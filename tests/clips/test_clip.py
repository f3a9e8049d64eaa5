"""Clips: which pictures, at which time, in which file, and which files go."""

from __future__ import annotations

import fcntl
import re
import threading
import uuid
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.settings.sections import Clips
from runtime.clips import folder as clips
from runtime.clips.clip import Clip
from runtime.clips.folder import NAME, clip_name, keep_within, remove_leftovers
from runtime.clips.ring import ClipFrame, Ring

FPS = 4.0
SECOND = 1_000_000_000
START_S = 1000
START_SLOT = round(START_S * FPS)
JPEGS = [cv2.imencode(".jpg", np.full((48, 64, 3), 5 * number, np.uint8))[1].tobytes() for number in range(50)]


def shot(number: int, hw: tuple[int, int] = (48, 64)) -> ClipFrame:
    """Return the picture that belongs into the n-th slot from the start on; its grey is 5 n."""
    return ClipFrame(START_SLOT + number, hw, JPEGS[number])


def settings(folder: Path, **more: float) -> Clips:
    return Clips(**{"folder": str(folder), "fps": FPS, "before_s": 0.0, "after_s": 1.0, "longest_s": 600.0, **more})


def name(second: int = 0, camera: str = "front") -> str:
    return clip_name(camera, second * SECOND, str(uuid.UUID(int=second)))


def numbers(path: Path) -> list[int]:
    """Play a film of `shot`s; give their numbers."""
    capture = cv2.VideoCapture(str(path))
    found = []
    while True:
        there, image = capture.read()
        if not there:
            return found
        found.append(round(float(image.mean()) / 5))


def film(folder: Path, *pictures: ClipFrame, ended_s: float | None = None, **more: float) -> list[int]:
    """Film an alert that begins at the start; give the numbers that the clip shows."""
    clip = Clip(settings(folder, **more), name(), START_S * SECOND)
    if ended_s is not None:
        clip.end(round((START_S + ended_s) * SECOND))
    for picture in pictures:
        if not clip.is_full:
            clip.add(picture)
    assert clip.finish()
    return numbers(folder / name())


def make(folder: Path, second: int, size: int = 1000, camera: str = "front") -> Path:
    path = folder / name(second, camera)
    path.write_bytes(bytes(size))
    return path


def test_name_tells_camera_time_and_alert() -> None:
    """The name is CAMERA-YYYYmmddTHHMMSSZ-ALERTID.avi, in UTC, and is known as ours."""
    alert = "5f2c1e3a-7b1d-4c55-9d8e-0123456789ab"
    made = clip_name("line-2_left", 1_700_000_000_999_999_999, alert)
    assert made == f"line-2_left-20231114T221320Z-{alert}.avi"
    assert NAME.fullmatch(made)


def test_ring_is_bounded_in_time() -> None:
    """The newest slots are kept, however few pictures came in them."""
    ring = Ring(4)
    for number in (0, 1, 2, 3, 5):
        ring.add(shot(number))
    assert [picture.slot - START_SLOT for picture in ring.since(0)] == [2, 3, 5]
    assert [picture.slot - START_SLOT for picture in ring.since(START_SLOT + 3)] == [3, 5]
    assert ring.since(START_SLOT + 6) == []
    ring.add(shot(40))
    assert [picture.slot - START_SLOT for picture in ring.since(0)] == [40]


def test_ring_is_bounded_in_bytes() -> None:
    """The oldest pictures go when their bytes are too many; one that is too large alone is not kept."""
    ring = Ring(1000, max_bytes=250)
    for slot in range(5):
        ring.add(ClipFrame(slot, (48, 64), bytes(100)))
        assert ring.size <= 250
    assert [picture.slot for picture in ring.since(0)] == [3, 4]
    ring.add(ClipFrame(5, (48, 64), bytes(251)))
    assert (ring.since(0), ring.size) == ([], 0)
    ring.add(ClipFrame(6, (48, 64), bytes(100)))
    assert [picture.slot for picture in ring.since(0)] == [6]


def test_clip_begins_before_the_alert_and_ends_after_it(tmp_path: Path) -> None:
    """A clip asks for pictures from `before_s` before the alert, and shows those until `after_s` after its end."""
    clip = Clip(settings(tmp_path, before_s=2.0), name(), START_S * SECOND)
    assert clip.next == START_SLOT - 8
    shown = film(tmp_path / "other", *map(shot, range(40)), ended_s=3.0)
    assert shown == list(range(17))  # 3 s and 1 s at 4 a second, and the slot that begins then
    clip.discard()


def test_time_of_a_film_is_true_with_a_slow_camera(tmp_path: Path) -> None:
    """A slot without a picture shows the one before it, also up to the end of the clip."""
    assert film(tmp_path, shot(1), shot(5), shot(6), shot(20), ended_s=1.0) == [1, 1, 1, 1, 5, 6, 6, 6]


def test_clip_is_cut_off(tmp_path: Path) -> None:
    """A clip is never longer than `longest_s`, with what lies before the alert, of which half may be."""
    assert len(film(tmp_path, *map(shot, range(40)), longest_s=5.0)) == 20
    clip = Clip(settings(tmp_path, before_s=60.0, longest_s=5.0), name(1), START_S * SECOND)
    assert clip.next == START_SLOT - 10
    clip.discard()


def test_clip_is_bounded_in_bytes(tmp_path: Path) -> None:
    """A clip is cut off at `most_mb`."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 512, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", noise, (cv2.IMWRITE_JPEG_QUALITY, 100))[1].tobytes()
    pictures = [ClipFrame(START_SLOT + number, (256, 512), jpeg) for number in range(50)]
    film(tmp_path, *pictures, most_mb=1)
    size = (tmp_path / name()).stat().st_size
    assert (1 << 20) - len(jpeg) - 100 < size <= 1 << 20


def test_film_has_one_size(tmp_path: Path) -> None:
    """Where the pictures of a camera change their size the clip ends."""
    assert film(tmp_path, shot(0), shot(2), shot(3, (90, 120)), shot(4)) == [0, 0, 2]


def test_clip_that_shows_nothing_is_none(tmp_path: Path) -> None:
    """Without a picture in its time there is no file."""
    clip = Clip(settings(tmp_path), name(), START_S * SECOND)
    clip.end(START_S * SECOND)
    clip.add(shot(40))
    assert clip.is_full
    assert not clip.finish()
    assert list(tmp_path.iterdir()) == []


def test_clip_is_over_without_pictures_too(tmp_path: Path) -> None:
    """A clip of a camera that delivers no more ends by time, when no alert can touch it any more."""
    clip = Clip(settings(tmp_path, after_s=1.0), name(), START_S * SECOND)
    clip.end((START_S + 2) * SECOND)
    assert not clip.is_over((START_S + 4) * SECOND)
    assert clip.is_over((START_S + 5) * SECOND)
    clip.discard()


def test_clip_is_held_while_an_alert_could_touch_it(tmp_path: Path) -> None:
    """A clip waits for `before_s` and a second; one that is as long as it may be does not."""
    clip = Clip(settings(tmp_path, before_s=4.0), name(), START_S * SECOND)
    clip.end((START_S + 2) * SECOND)
    for number in range(-16, 20):
        clip.add(ClipFrame(START_SLOT + number, (48, 64), JPEGS[0]))
    assert not clip.is_over((START_S + 3 + 4) * SECOND)
    assert clip.is_over((START_S + 3 + 6) * SECOND)
    clip.discard()
    clip = Clip(settings(tmp_path, longest_s=1.0), name(1), START_S * SECOND)
    for number in range(5):
        clip.add(shot(number))
    assert clip.is_over(START_S * SECOND)
    clip.discard()


def test_extended_clip_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """ClipFrames after its end are shown when it is extended, none is twice, and it is no longer than it may be."""
    clip = Clip(settings(tmp_path, longest_s=5.0), name(), START_S * SECOND)
    clip.end((START_S + 1) * SECOND)
    for number in range(12):
        clip.add(shot(number))
    assert clip.next == START_SLOT + 9
    clip.extend()
    for number in range(9, 40):  # the ring has those since `next` still
        clip.add(shot(number))
    assert clip.finish()
    assert numbers(tmp_path / name()) == list(range(20))


def test_clip_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """Before, there is a hidden file only; folders are made; and what is given up leaves nothing."""
    folder = tmp_path / "new" / "clips"
    clip = Clip(settings(folder), name(), START_S * SECOND)
    clip.add(shot(0))
    assert [path.name for path in folder.iterdir()] == [f".{name()}.part"]
    with pytest.raises(FileExistsError):
        Clip(settings(folder), name(), START_S * SECOND)
    clip.finish()
    assert [path.name for path in folder.iterdir()] == [name()]
    Clip(settings(folder), name(1), START_S * SECOND).discard()
    assert [path.name for path in folder.iterdir()] == [name()]


@pytest.mark.parametrize("foreign", ["film.avi", "../" + name(), "", "front-2023-x.avi", name() + ".part"])
def test_name_that_is_none_is_refused(tmp_path: Path, foreign: str) -> None:
    """A file that would not be found as a clip later, or lies elsewhere, is not begun."""
    with pytest.raises(ValueError, match="not the name of a clip"):
        Clip(settings(tmp_path), foreign, 0)
    assert list(tmp_path.iterdir()) == []


def test_oldest_clips_go_and_foreign_files_stay(tmp_path: Path) -> None:
    """By the time in their names, over all cameras; what is no clip of ours is untouched, file, folder or link."""
    old = [make(tmp_path, second, camera=camera) for second, camera in enumerate(["z", "a", "m", "b", "c"])]
    foreign = [tmp_path / one for one in ("holiday.avi", "front-old.avi", ".hidden", f".{name(7)}.part", name(8) + "~")]
    for path in foreign:
        path.write_bytes(bytes(100_000))
    link = tmp_path / name(1, "link")
    link.symlink_to(foreign[0])
    folder = tmp_path / name(1, "folder")
    folder.mkdir()
    keep_within(tmp_path, 3, 10_000)
    assert [path.exists() for path in old] == [False, False, True, True, True]
    keep_within(tmp_path, 3, 2500)
    assert [path.exists() for path in old] == [False, False, False, True, True]
    keep_within(tmp_path, 3, 0)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in [*foreign, link, folder])


def test_clip_that_cannot_be_removed_is_not_the_end_of_the_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newer ones go in its place, and the reason is told."""
    old = [make(tmp_path, second) for second in range(4)]
    unlink = Path.unlink

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        if path == old[0]:
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(PermissionError):
        keep_within(tmp_path, 2, 10_000)
    assert [path.exists() for path in old] == [True, False, False, True]


def test_many_may_keep_the_bounds_at_once(tmp_path: Path) -> None:
    """Clips that another process removes meanwhile are no mistake, and none is removed in vain."""
    old = [make(tmp_path, second) for second in range(300)]
    failed: list[OSError] = []

    def keep() -> None:
        try:
            keep_within(tmp_path, 10, 1 << 20)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=keep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [path.exists() for path in old] == [False] * 290 + [True] * 10


def test_folder_that_is_absent_holds_nothing(tmp_path: Path) -> None:
    """There is nothing to remove before the first clip."""
    keep_within(tmp_path / "none", 1, 1)
    remove_leftovers(tmp_path / "none")


def test_leftovers_of_the_dead_go_and_clips_of_the_living_stay(tmp_path: Path) -> None:
    """A part file goes if nobody writes it; foreign files with like names stay."""
    living = Clip(settings(tmp_path), name(1), START_S * SECOND)
    living.add(shot(0))
    (tmp_path / f".{name(2)}.part").write_bytes(b"half")
    foreign = [tmp_path / ".film.avi.part", tmp_path / f"{name(3)}.part", tmp_path / f".{name(3)}.swp"]
    for path in foreign:
        path.write_bytes(b"mine")
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*foreign, tmp_path / f".{name(1)}.part"])
    assert living.finish()
    assert numbers(tmp_path / name(1)) == [0]


def test_clip_that_is_taken_for_a_leftover_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may look for leftovers between the making of a file and its lock."""
    flock, raced = fcntl.flock, []

    def race(file: object, how: int) -> None:
        if not raced:
            raced.append(file)
            monkeypatch.setattr(clips.fcntl, "flock", flock)
            remove_leftovers(tmp_path)
        flock(file, how)

    monkeypatch.setattr(clips.fcntl, "flock", race)
    assert film(tmp_path, shot(0), shot(1)) == [0, 1]
    assert len(raced) == 1


def test_pattern_of_names_is_ours_alone() -> None:
    """What looks nearly like a clip is none."""
    good = name(5)
    assert re.fullmatch(NAME, good)
    for bad in (good.upper(), good[1:].replace("ront-", ""), good.replace(".avi", ".mp4"), f"a/{good}", f".{good}"):
        assert not NAME.fullmatch(bad)
