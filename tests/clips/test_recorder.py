"""Clips of the real capture process: what they show, and that no camera suffers from them."""

from __future__ import annotations

import itertools
import os
import signal
import socket
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

from edge_config.settings.sections import Camera, Clips
from runtime.camera.capture_run import CaptureRun
from runtime.camera.feed import Feed
from runtime.camera.protocol import Order
from runtime.clips.folder import clip_name
from runtime.clips.plan import ClipPlan
from runtime.clips.recorder import MAX_AT_ONCE
from runtime.clips.ring import slot_at
from runtime.events import FeedChanged, FeedEnded
from runtime.frame import Alert, Image
from runtime.process.child import Link
from tests.support.children import children
from tests.support.fakes.camera import COMMAND, HANG, HANG_HARD, KILL, LOST, PICTURE, THROW, Remote, pixels, plugged
from tests.support.fakes.disk import hanging
from tests.support.reader import ENOUGH_S, PATIENT, REAL, SOON, Reader, Unread, reading, wait_until

pytestmark = pytest.mark.slow

SECOND = 1_000_000_000
FPS = 20.0
LEVEL = 4
"""Grey of the first picture of a recording, and the step from one to the next."""

PICTURES = 60
LIMIT_BYTES = 1 << 16
"""More than the shared memory of a fake camera, and less than a clip of it."""

FULL_DISK = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT_BYTES}, {LIMIT_BYTES})); "
WITH_FULL_DISK = (sys.executable, "-c", f"{FULL_DISK} from tests.support.fakes.camera import main; main()")


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    """Yield a camera that is plugged in."""
    with plugged(tmp_path / "camera") as remote:
        yield remote


def name(number: int = 0) -> str:
    return clip_name("front", number * SECOND, str(uuid.UUID(int=number)))


def settings(tmp_path: Path, **more: float) -> Clips:
    # The names of these clips are of 1970.
    return Clips(**{"folder": str(tmp_path / "clips"), "fps": 30.0, "after_s": 60.0, "most_days": 36_500.0, **more})


def held(tmp_path: Path) -> set[str]:
    """Return the names of all that is in the folder of clips."""
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


def draw(folder: Path) -> None:
    """Make the pictures of a recording."""
    folder.mkdir()
    for number in range(1, PICTURES + 1):
        cv2.imwrite(str(folder / f"{number:02}.png"), np.full((48, 64, 3), LEVEL * number, np.uint8))


class Played:
    """A recording that is played at its pace, with alerts at some of its frames."""

    def __init__(self, tmp_path: Path, begins: dict[int, int], ends: dict[int, int], **more: float) -> None:
        """Play it to its end; `begins` and `ends` tell which clip begins and ends with which frame."""
        folder = tmp_path / "pictures"
        draw(folder)
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
        """Return what a clip should show, as far as it may go, and how many pictures of it there may be."""
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


def test_clips_of_two_names_may_overlap(tmp_path: Path) -> None:
    """A clip that is begun while another goes on has all of its time, and so has the other."""
    played = Played(tmp_path, begins={12: 1, 20: 2}, ends={16: 1, 24: 2})
    assert held(tmp_path) == {name(1), name(2)}
    films = [played.expected(1, 12, FPS / 2), played.expected(2, 20, FPS / 2)]
    assert set(films[0][0]) & set(films[1][0])
    for number, (shown, lengths) in enumerate(films, start=1):
        assert_shows(tmp_path / "clips" / name(number), shown, lengths)


class Storm:
    """A recording that is played at its pace, with alerts between some of its frames."""

    def __init__(self, tmp_path: Path, *alerts: tuple[int, int], **more: float) -> None:
        """Play it to its end; each alert begins with a frame and ends with another."""
        clips = settings(tmp_path, **{"before_s": 0.25, "after_s": 0.25, "fps": FPS, **more})
        draw(tmp_path / "pictures")
        self.named: list[str] = []  # by the end of each alert
        self.begun: list[str] = []  # by its start
        with reading(str(tmp_path / "pictures"), REAL, fps=FPS, clips=clips) as reader:
            plan, is_open = ClipPlan("front", clips, reader.feed), False
            for number in range(1, PICTURES + 1):
                frame = reader.next()
                reader.feed.give_back(frame)
                if number in dict(alerts):
                    one = Alert(str(uuid.UUID(int=number)), "start", number * SECOND, 9.0, number)
                    self.begun.append(plan.begin(one, frame.t_mono_ns))
                    is_open = True
                elif is_open:
                    current = plan.go_on(frame.t_mono_ns)
                if number in dict(alerts).values():
                    plan.end()
                    self.named.append(current)
                    is_open = False
            reader.hear(FeedEnded)
        wait_until(lambda: children() == [])
        self.films = {
            name: [round(float(image.mean()) / LEVEL) for image in images(tmp_path / "clips" / name)]
            for name in held(tmp_path)
        }


NEAR = 2
"""Frames: a slot may show the one before or after, and the last may be missing, where the machine is busy."""


def test_alerts_whose_clips_would_overlap_share_one(tmp_path: Path) -> None:
    """The film goes on from before the first to after the last, also where only the seconds before and after touch."""
    storm = Storm(tmp_path, (8, 10), (16, 18), (27, 29))
    assert set(storm.begun + storm.named) == set(storm.films)
    (film,) = storm.films.values()
    assert film == sorted(film)
    assert abs(film[0] - 3) <= NEAR
    assert abs(film[-1] - 34) <= NEAR
    assert all(later - earlier <= NEAR for earlier, later in itertools.pairwise(film))


def test_alert_that_touches_no_clip_has_one_of_its_own(tmp_path: Path) -> None:
    """With a second between its first picture and the last one of the clip before, an alert begins another."""
    storm = Storm(tmp_path, (6, 8), (45, 47), before_s=0.1, after_s=0.1)
    assert storm.begun == storm.named
    assert len(set(storm.named)) == len(storm.films) == 2


def test_storm_makes_files_that_are_bounded_and_show_all(tmp_path: Path) -> None:
    """Alerts without end make files of `longest_s`, each alert is in the one that it names, and hardly any is twice."""
    alerts = [(number, number + 2) for number in range(6, PICTURES - 6, 4)]
    storm = Storm(tmp_path, *alerts, longest_s=1.0)
    assert set(storm.films) == set(storm.begun + storm.named)
    assert all(len(film) <= FPS + 1 for film in storm.films.values())
    for (begin, end), name in zip(alerts, storm.begun, strict=True):
        assert min(storm.films[name]) - NEAR <= begin <= end <= max(storm.films[name]) + NEAR
    shown = sorted(set().union(*storm.films.values()))
    assert shown[0] <= 3 + NEAR
    assert shown[-1] >= alerts[-1][1] + 5 - NEAR
    assert all(later - earlier <= 2 * NEAR for earlier, later in itertools.pairwise(shown))
    assert sum(map(len, storm.films.values())) < 2 * PICTURES


def test_alert_that_outlasts_a_shared_file_goes_on_in_its_own(tmp_path: Path) -> None:
    """It names the shared file at first, then the one that goes on where this ends."""
    storm = Storm(tmp_path, (8, 10), (16, 50), longest_s=1.5)
    assert storm.begun[0] == storm.begun[1] == storm.named[0] != storm.named[1]
    first, second = storm.films[storm.begun[0]], storm.films[storm.named[1]]
    assert abs(len(first) - 1.5 * FPS) <= NEAR
    assert abs(second[0] - first[-1]) <= NEAR
    assert second[-1] > 50


def test_clip_that_was_over_when_it_should_go_on_gives_way(remote: Remote, tmp_path: Path) -> None:
    """Where the order comes too late, the alert has its own file, which its end ends; the old one stays as it is."""
    clips = settings(tmp_path, before_s=0.5, after_s=0.0)
    with reading(remote.source, clips=clips, **PATIENT) as reader:
        begin(reader, remote, tmp_path)
        reader.feed.end_clip(name())
        wait_until(lambda: held(tmp_path) == {name()})
        before = (tmp_path / "clips" / name()).read_bytes()
        reader.feed.begin_clip(name(), None, name(1))
        wait_until(lambda: part(1) in held(tmp_path))
        reader.look(reader.shoot(remote))
        wait_until(lambda: not reader.feed.is_filming(name()))
        reader.feed.end_clip(name(), None, name(1))
        wait_until(lambda: held(tmp_path) == {name(), name(1)})
        assert (tmp_path / "clips" / name()).read_bytes() == before


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
        reading(remote.source, disk.command, clips=settings(tmp_path, before_s=0.5, after_s=0.1), **PATIENT) as reader,
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
        wait_until(disk.hangs)
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
    with (
        capture_logs() as logs,
        reading(remote.source, clips=settings(tmp_path, before_s=0.5, after_s=0.0), **PATIENT) as reader,
    ):
        for times in (1, 2):
            begin(reader, remote, tmp_path)
            for number in range(1, MAX_AT_ONCE + 1):
                reader.feed.begin_clip(name(number))
            wait_until(lambda times=times: len(logs) == times)
            for number in range(MAX_AT_ONCE):
                reader.feed.end_clip(name(number))
            wait_until(lambda: held(tmp_path) >= {name(number) for number in range(MAX_AT_ONCE)})
            wait_until(lambda: not any(left.endswith(".part") for left in held(tmp_path)))
            for number in range(MAX_AT_ONCE):
                (tmp_path / "clips" / name(number)).unlink()
    assert {line["problem"] for line in logs} == {
        f"{tmp_path / 'clips'}: {MAX_AT_ONCE} clips are being written already"
    }


def test_clips_are_kept_within_their_bounds(remote: Remote, tmp_path: Path) -> None:
    """When a clip is whole the oldest go, and nothing else."""
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "holiday.avi").write_bytes(bytes(1 << 20))
    with reading(remote.source, clips=settings(tmp_path, most=2, before_s=0.5, after_s=0.0), **PATIENT) as reader:
        reader.look(reader.shoot(remote))
        for number in range(1, 4):
            reader.feed.begin_clip(name(number))
        for number in range(1, 4):
            reader.feed.end_clip(name(number))
        wait_until(lambda: held(tmp_path) == {"holiday.avi", name(2), name(3)})


def test_clip_is_no_sign_of_life_of_a_camera(remote: Remote, tmp_path: Path) -> None:
    """A camera that hangs while its clip ends is stalled as soon as any other."""
    stall_s = 3.0
    with reading(
        remote.source, clips=settings(tmp_path, before_s=0.0, after_s=1.0), **{**SOON, "stall_ms": 3000}
    ) as reader:
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
    Feed("front", Camera(source=0), print, Unread(), COMMAND, clips=settings(tmp_path)).begin_clip(name())
    with reading(remote.source, clips=settings(tmp_path), **PATIENT) as reader:
        reader.look(reader.shoot(remote))
    reader.feed.begin_clip(name())
    reader.feed.end_clip(name())
    assert held(tmp_path) == set()


@pytest.mark.parametrize(("opened", "folder", "orders"), [(True, "clips", 2), (False, "clips", 0), (True, "", 0)])
def test_orders_are_for_open_cameras_and_wanted_clips(*, opened: bool, folder: str, orders: int) -> None:
    """Nothing is sent where clips are off, nor before a source is open: the first order must be the one to open it."""
    feed = Feed("front", Camera(source=0), print, Unread(), COMMAND, clips=Clips(folder=folder))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        feed._capture = CaptureRun("front", (Mock(), ours), 1.0, None)
        feed._capture.opened = opened
        feed.begin_clip(name())
        feed.end_clip(name())
        sent: Link[Order] = Link(theirs, Order)
        assert sum(sent.receive(0.0) is not None for _ in range(orders + 1)) == orders
