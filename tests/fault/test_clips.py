"""Clips of the real capture process: what they show, and that no camera suffers from them."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from edge_config.sections import Camera, Clips
from runtime.clips import clip_name, slot_at
from runtime.events import FeedChanged, FeedEnded
from runtime.feed import Feed
from runtime.filming import MOST_AT_ONCE
from runtime.frame import Image
from runtime.link import Link
from tests.fakes.camera import COMMAND, HANG, HANG_HARD, KILL, LOST, PICTURE, THROW, Remote, pixels, plugged
from tests.fakes.disk import hanging
from tests.reader import ENOUGH_S, PATIENT, REAL, SOON, Reader, children, reading, wait_until

SECOND = 1_000_000_000
FPS = 20.0
LEVEL = 4
"""Grey of the first picture of a recording, and the step from one to the next."""

PICTURES = 60
LIMIT_BYTES = 1 << 16
"""More than the shared memory of a fake camera, and less than a clip of it."""

FULL_DISK = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT_BYTES}, {LIMIT_BYTES})); "
WITH_FULL_DISK = (sys.executable, "-c", f"{FULL_DISK} from tests.fakes.camera import main; main()")


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    """Give a camera that is plugged in."""
    with plugged(tmp_path / "camera") as remote:
        yield remote


def name(number: int = 0) -> str:
    return clip_name("front", number * SECOND, str(uuid.UUID(int=number)))


def settings(tmp_path: Path, **more: float) -> Clips:
    return Clips(**{"folder": str(tmp_path / "clips"), "fps": 30.0, "after_s": 60.0, **more})


def held(tmp_path: Path) -> set[str]:
    """Give the names of all that is in the folder of clips."""
    return {path.name for path in (tmp_path / "clips").glob("*")} | {
        path.name for path in (tmp_path / "clips").glob(".*")
    }


def part(number: int = 0) -> str:
    return f".{name(number)}.part"


def images(path: Path) -> list[Image]:
    """Play a film."""
    capture = cv2.VideoCapture(str(path))
    shown = []
    while (read := capture.read())[0]:
        shown.append(np.asarray(read[1]))
    return shown


def seen(image: Image, most: int) -> int:
    """Tell which of the first `most` pictures of the fake camera this is, after compression."""
    grey = image.mean(axis=2)
    return 1 + int(np.argmin([np.abs(pixels(number).mean(axis=2) - grey).mean() for number in range(1, most + 1)]))


def begin(reader: Reader, remote: Remote, tmp_path: Path) -> None:
    """Begin a clip of a camera that delivers, and wait until it is being written."""
    reader.look(reader.shoot(remote))
    reader.feed.begin_clip(name())
    wait_until(lambda: held(tmp_path) == {part()})


def shoot_until(reader: Reader, remote: Remote, fits: Callable[[], bool]) -> None:
    late = time.monotonic() + ENOUGH_S
    while not fits():
        assert time.monotonic() < late
        reader.look(reader.shoot(remote))


class Played:
    """A recording that is played at its pace, with alerts at some of its frames."""

    def __init__(self, tmp_path: Path, begins: dict[int, int], ends: dict[int, int], **more: float) -> None:
        """Play it to its end; `begins` and `ends` tell which clip begins and ends with which frame."""
        folder = tmp_path / "pictures"
        folder.mkdir()
        for number in range(1, PICTURES + 1):
            cv2.imwrite(str(folder / f"{number:02}.png"), np.full((48, 64, 3), LEVEL * number, np.uint8))
        self.stamps: dict[int, int] = {}
        self.ended: dict[int, tuple[int, int]] = {}
        clips = settings(tmp_path, **{"before_s": 0.5, "after_s": 0.5, "fps": FPS / 2, **more})
        with reading(str(folder), REAL, fps=FPS, clips=clips) as reader:
            for number in range(1, PICTURES + 1):
                frame = reader.next()
                self.stamps[number] = frame.t_mono_ns
                reader.feed.give_back(frame)
                if number in begins:
                    reader.feed.begin_clip(name(begins[number]), frame.t_mono_ns)
                if number in ends:
                    called = time.monotonic_ns()
                    reader.feed.end_clip(name(ends[number]))
                    self.ended[ends[number]] = called, time.monotonic_ns()
            reader.hear(FeedEnded)
        wait_until(lambda: children() == [])

    def expected(self, clip: int, begin: int, fps: float) -> tuple[list[int], range]:
        """Give what a clip should show, as far as it may go, and how many pictures of it there may be."""
        due: dict[int, int] = {}  # the first frame in each slot
        for number, stamp in self.stamps.items():
            due.setdefault(slot_at(stamp, fps), number)
        first = min(slot for slot in due if slot >= slot_at(self.stamps[begin] - SECOND // 2, fps))
        earliest, latest = (slot_at(stamp + SECOND // 2, fps) for stamp in self.ended[clip])
        shown = [due[max(known for known in due if known <= slot)] for slot in range(first, latest + 1)]
        return shown, range(earliest - first + 1, latest - first + 2)


def assert_shows(path: Path, expected: list[int], lengths: range) -> None:
    """Compare a film with what it should show; a frame may be passed over where the machine is busy."""
    shown = [round(float(image.mean()) / LEVEL) for image in images(path)]
    assert len(shown) in lengths
    before = [expected[0], *expected]
    assert all(number in {due, late} for number, due, late in zip(shown, expected, before, strict=False)), (
        shown,
        expected,
    )


def test_clip_shows_what_was_before_during_and_after_the_alert(tmp_path: Path) -> None:
    """Each picture of the film is the frame of its moment, from `before_s` before the alert to `after_s` after it."""
    played = Played(tmp_path, begins={25: 0}, ends={35: 0})
    assert held(tmp_path) == {name()}
    shown, lengths = played.expected(0, 25, FPS / 2)
    assert shown[0] < 20
    assert shown[-1] > 40
    assert_shows(tmp_path / "clips" / name(), shown, lengths)


def test_alerts_that_follow_each_other_have_a_clip_each(tmp_path: Path) -> None:
    """An alert that begins while the clip of another goes on has one of its own, with what they share."""
    played = Played(tmp_path, begins={12: 1, 20: 2}, ends={16: 1, 24: 2})
    assert held(tmp_path) == {name(1), name(2)}
    films = [played.expected(1, 12, FPS / 2), played.expected(2, 20, FPS / 2)]
    assert set(films[0][0]) & set(films[1][0])
    for number, (shown, lengths) in enumerate(films, start=1):
        assert_shows(tmp_path / "clips" / name(number), shown, lengths)


def test_time_of_a_film_is_true_with_a_slow_camera(tmp_path: Path) -> None:
    """Where the film has more pictures a second than the camera, frames are shown again."""
    played = Played(tmp_path, begins={25: 0}, ends={35: 0}, fps=30.0)
    shown, lengths = played.expected(0, 25, 30.0)
    assert len(set(shown)) < len(shown)
    assert_shows(tmp_path / "clips" / name(), shown, lengths)


def test_clip_of_an_alert_that_outlives_the_recording_is_whole(tmp_path: Path) -> None:
    """The end of a recording ends its clips."""
    Played(tmp_path, begins={50: 0}, ends={})
    assert held(tmp_path) == {name()}
    assert len(images(tmp_path / "clips" / name())) >= 5


def test_pictures_are_reduced(tmp_path: Path) -> None:
    """Frames that are wider than `width` are reduced in proportion."""
    Played(tmp_path, begins={50: 0}, ends={}, width=32)
    assert {image.shape for image in images(tmp_path / "clips" / name())} == {(24, 32, 3)}


@pytest.mark.parametrize("fault", [LOST, THROW, HANG])
def test_clip_survives_the_end_of_the_connection(remote: Remote, tmp_path: Path, fault: bytes) -> None:
    """What was filmed until a camera is lost, breaks or is stalled is a whole clip."""
    with reading(remote.source, clips=settings(tmp_path), **SOON) as reader:
        begin(reader, remote, tmp_path)
        remote.do(fault)
        reader.hear(FeedChanged, lambda event: event.state != "live")
        wait_until(lambda: held(tmp_path) == {name()})
        assert seen(images(tmp_path / "clips" / name())[0], 5) == 1


@pytest.mark.parametrize("how", ["close", "reconnect"])
def test_clip_survives_the_end_of_the_runtime(remote: Remote, tmp_path: Path, how: str) -> None:
    """What was filmed until the runtime ends or opens the camera anew is a whole clip."""
    with reading(remote.source, clips=settings(tmp_path), **PATIENT) as reader:
        begin(reader, remote, tmp_path)
        for _ in range(5):  # time for the first of them to be encoded
            reader.look(reader.shoot(remote))
        if how == "reconnect":
            reader.feed.reconnect()
            reader.state("disconnected")
    assert held(tmp_path) == {name()}
    assert seen(images(tmp_path / "clips" / name())[0], 5) == 1


@pytest.mark.parametrize("fault", [KILL, HANG_HARD])
def test_killed_process_leaves_a_part_that_the_next_one_removes(remote: Remote, tmp_path: Path, fault: bytes) -> None:
    """After kill -9 there is no broken film, and what is left is gone after the next start; foreign files are not."""
    with reading(remote.source, clips=settings(tmp_path), **{**SOON, "reconnect_min_s": 3600}) as reader:
        begin(reader, remote, tmp_path)
        remote.do(fault)
        reader.hear(FeedChanged, lambda event: event.state != "live")
        wait_until(lambda: children() == [])
        assert held(tmp_path) == {part()}
    (tmp_path / "clips" / ".notes.part").write_text("mine")
    with reading(remote.source, clips=settings(tmp_path), **PATIENT):
        wait_until(lambda: held(tmp_path) == {".notes.part"})


def test_camera_goes_on_while_the_disk_hangs(remote: Remote, tmp_path: Path) -> None:
    """Not a frame is lost to a disk that takes nothing for a while, and the film has all of that time."""
    with (
        hanging(tmp_path / "disk") as disk,
        reading(remote.source, disk.command, clips=settings(tmp_path, after_s=0.1), **PATIENT) as reader,
    ):
        begin(reader, remote, tmp_path)
        since = reader.shots
        until = time.monotonic_ns() + SECOND
        shoot_until(reader, remote, lambda: time.monotonic_ns() > until)
        assert reader.shots - since > 25
        assert reader.feed.dropped["newer"] == 0
        assert held(tmp_path) == {part()}
        reader.feed.end_clip(name())
        disk.let_pass(1000)
        wait_until(lambda: held(tmp_path) == {name()})
        shown = [seen(image, reader.shots) for image in images(tmp_path / "clips" / name())]
        assert shown == sorted(shown)
        assert len(set(shown)) > 15  # half of the slots of that second, where the machine is busy


def test_close_is_quick_while_the_disk_hangs(remote: Remote, tmp_path: Path) -> None:
    """The end of the runtime does not wait for a disk, and the clip is lost."""
    with (
        hanging(tmp_path / "disk") as disk,
        reading(remote.source, disk.command, clips=settings(tmp_path), **PATIENT) as reader,
    ):
        begin(reader, remote, tmp_path)
    assert children() == []
    assert held(tmp_path) == {part()}


def test_full_disk_costs_the_clips_and_is_told_once(remote: Remote, tmp_path: Path) -> None:
    """Where the disk takes no more there is no clip and no part of it, one line in the log, and a camera as before."""
    clips = settings(tmp_path, before_s=0.0)
    with capture_logs() as logs, reading(remote.source, WITH_FULL_DISK, clips=clips, **PATIENT) as reader:
        for _ in range(2):
            begin(reader, remote, tmp_path)
            shoot_until(reader, remote, lambda: held(tmp_path) == set())
        wait_until(lambda: bool(logs))
        reader.look(reader.shoot(remote))
        assert sum(reader.feed.reconnects.values()) == 0
    problem = f"{tmp_path / 'clips'}: {os.strerror(27)}"
    assert logs == [{"event": "no clip", "log_level": "warning", "camera": "front", "clip": name(), "problem": problem}]


@pytest.mark.parametrize(
    ("folder", "problem"), [("/proc/none/clips", "No such file or directory"), (__file__, "Not a directory")]
)
def test_folder_that_cannot_be_is_told(remote: Remote, tmp_path: Path, folder: str, problem: str) -> None:
    """A folder that cannot be made or is none is told in the log, and the camera delivers."""
    clips = settings(tmp_path, folder=folder)
    with capture_logs() as logs, reading(remote.source, clips=clips, **PATIENT) as reader:
        reader.look(reader.shoot(remote))
        reader.feed.begin_clip(name())
        wait_until(lambda: any(problem in line["problem"] for line in logs))
        reader.look(reader.shoot(remote))
        assert sum(reader.feed.reconnects.values()) == 0


def test_cause_is_told_again_after_a_clip_that_came(remote: Remote, tmp_path: Path) -> None:
    """A failure that is mended and comes again is worth another line."""
    with capture_logs() as logs, reading(remote.source, clips=settings(tmp_path, after_s=0.0), **PATIENT) as reader:
        for times in (1, 2):
            begin(reader, remote, tmp_path)
            for number in range(1, MOST_AT_ONCE + 1):
                reader.feed.begin_clip(name(number))
            wait_until(lambda times=times: len(logs) == times)
            for number in range(MOST_AT_ONCE):
                reader.feed.end_clip(name(number))
            wait_until(lambda: held(tmp_path) >= {name(number) for number in range(MOST_AT_ONCE)})
            wait_until(lambda: not any(left.endswith(".part") for left in held(tmp_path)))
            for number in range(MOST_AT_ONCE):
                (tmp_path / "clips" / name(number)).unlink()
    assert {line["problem"] for line in logs} == {
        f"{tmp_path / 'clips'}: {MOST_AT_ONCE} clips are being written already"
    }


def test_clips_are_kept_within_their_bounds(remote: Remote, tmp_path: Path) -> None:
    """When a clip is whole the oldest go, and nothing else."""
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "holiday.avi").write_bytes(bytes(1 << 20))
    with reading(remote.source, clips=settings(tmp_path, most=2, after_s=0.0), **PATIENT) as reader:
        reader.look(reader.shoot(remote))
        for number in range(1, 4):
            reader.feed.begin_clip(name(number))
        for number in range(1, 4):
            reader.feed.end_clip(name(number))
        wait_until(lambda: held(tmp_path) == {"holiday.avi", name(2), name(3)})


def test_clip_is_no_sign_of_life_of_a_camera(remote: Remote, tmp_path: Path) -> None:
    """A camera that hangs while its clip ends is stalled as soon as any other."""
    stall_s = 3.0
    with reading(remote.source, clips=settings(tmp_path, after_s=2.0), **{**SOON, "stall_ms": 3000}) as reader:
        begin(reader, remote, tmp_path)
        remote.do(PICTURE, HANG)
        frame = reader.next()
        reader.feed.end_clip(name())
        reader.state("stalled")
        assert held(tmp_path) == {name()}
        assert time.monotonic_ns() - frame.t_mono_ns < (stall_s + 1.5) * SECOND  # and not two seconds and a half


def test_orders_never_block(remote: Remote, tmp_path: Path) -> None:
    """Orders to a capture process that hears nothing are lost, and cost no time."""
    with reading(remote.source, clips=settings(tmp_path), **PATIENT) as reader:
        reader.look(reader.shoot(remote))
        (child,) = children()
        os.kill(child, signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(5000):
            reader.feed.end_clip(name())
        assert time.monotonic() - began < 5.0  # one that waits would take a second, and thousands did not fit
        os.kill(child, signal.SIGCONT)
        reader.look(reader.shoot(remote))


def test_orders_without_a_connection_do_nothing(remote: Remote, tmp_path: Path) -> None:
    """Before the start and after the end of a feed there is nobody to film."""
    Feed("front", Camera(source=0), print, COMMAND, clips=settings(tmp_path)).begin_clip(name())
    with reading(remote.source, clips=settings(tmp_path), **PATIENT) as reader:
        reader.look(reader.shoot(remote))
    reader.feed.begin_clip(name())
    reader.feed.end_clip(name())
    assert held(tmp_path) == set()


@pytest.mark.parametrize(("opened", "folder", "orders"), [(True, "clips", 2), (False, "clips", 0), (True, "", 0)])
def test_orders_are_for_open_cameras_and_wanted_clips(*, opened: bool, folder: str, orders: int) -> None:
    """Nothing is sent where clips are off, nor before a source is open: the first order must be the one to open it."""
    feed = Feed("front", Camera(source=0), print, COMMAND, clips=Clips(folder=folder))
    link = Mock(spec=Link)
    feed._connection = Mock(link=link, opened=opened)
    feed.begin_clip(name())
    feed.end_clip(name())
    assert link.send.call_count == orders
