"""Cameras that hang, freeze, die, go and come back, in processes that are killed for it."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import Camera
from runtime.camera.feed import Feed
from runtime.camera.supervisor import MAX_UNDEAD
from runtime.events import FeedChanged, FeedEnded, FrameArrived, PictureReady
from runtime.process.shared_memory import SLOTS
from tests.support.children import children
from tests.support.fakes.camera import (
    AGAIN,
    ALMOST,
    BROKEN,
    COMMAND,
    GREY,
    HANG,
    HANG_HARD,
    HANGS_IN_OPEN,
    KILL,
    LOST,
    PICTURE,
    SEGFAULT,
    THROW,
    WIDE,
    Remote,
    pixels,
    plugged,
)
from tests.support.fakes.mjpeg import streaming
from tests.support.fakes.videos import variable_rate
from tests.support.reader import (
    ENOUGH_S,
    PATIENT,
    REAL,
    SOON,
    Reader,
    Unread,
    read_of_process,
    reading,
    wait_until,
)
from tests.support.tiny import normal_picture, write_pictures

TURN_S = 0.05


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    """Yield a camera that is plugged in."""
    with plugged(tmp_path / "camera") as remote:
        yield remote


def assert_ends(process: int) -> None:
    """Wait for the end of a process, given by its pidfd."""
    ended, _, _ = select.select([process], [], [], ENOUGH_S)
    assert ended


@contextlib.contextmanager
def open_process(pid: int) -> Iterator[int]:
    """Return a pidfd."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_frames_arrive_as_they_were_grabbed(remote: Remote) -> None:
    """Every frame has the pixels of the camera, its number, and stamps of both clocks."""
    with reading(remote.source, **PATIENT) as reader:
        stamps = [time.time_ns()]
        for _ in range(20):
            frame = reader.shoot(remote)
            assert 0 <= time.monotonic_ns() - frame.t_mono_ns < ENOUGH_S * 1e9
            assert np.array_equal(reader.look(frame), pixels(frame.frame_id))
            assert frame.frame_id == reader.shots
            stamps.append(frame.t_capture_ns)
        assert stamps == sorted(stamps)
        assert reader.feed.live
        assert reader.feed.dropped["newer"] == 0


def test_memory_is_attached_before_a_frame_in_it_can_be_taken(remote: Remote) -> None:
    """What reads frames has the memory, by an open descriptor, before the frame arrives; the feed keeps none open."""
    seen: list[tuple[bool, int]] = []
    with reading(remote.source, **PATIENT) as reader:
        attach = reader.attach

        def look(memory: int, descriptor: int, size: int) -> None:
            seen.append((reader.feed.peek() is None, descriptor))
            attach(memory, descriptor, size)

        reader.attach = look  # type: ignore[method-assign]
        for what in (PICTURE, WIDE):
            remote.do(what)
            reader.look(reader.next())
        assert [nothing_there for nothing_there, _ in seen] == [True, True]
        for _, descriptor in seen:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)


def test_identical_frames_are_known_by_their_content(remote: Remote) -> None:
    """A picture that comes again has the content of the first one; one other value in its last pixel is another."""
    with reading(remote.source, **PATIENT) as reader:
        ids, contents = [], []
        for doing in (PICTURE, AGAIN, AGAIN, ALMOST, BROKEN, ALMOST, AGAIN, WIDE, PICTURE, PICTURE):
            frame = reader.shoot(remote, doing)
            ids.append(frame.frame_id)
            contents.append(frame.content_id)
            assert frame.t_media_ns is None
            reader.feed.give_back(frame)
        first = [None if content is None else ids.index(content) for content in contents]
        assert first == [0, 0, 0, 3, None, 3, 6, 7, 8, 9]


def test_who_comes_late_gets_the_newest_frame(remote: Remote) -> None:
    """Frames that nobody takes make way for newer ones, are counted, and are visible in the numbers."""
    with reading(remote.source, **PATIENT) as reader:
        remote.do(PICTURE)
        reader.hear(FrameArrived)
        for dropped in range(1, SLOTS):
            remote.do(PICTURE)
            wait_until(lambda n=dropped: reader.feed.dropped["newer"] == n)
        frame = reader.feed.take()
        assert frame is not None
        assert frame.frame_id == SLOTS
        assert np.array_equal(reader.look(frame), pixels(SLOTS))
        assert reader.feed.take() is None


@pytest.mark.slow
def test_who_holds_all_slots_stops_no_camera(remote: Remote) -> None:
    """While all slots are taken the camera is drained, its frames are counted, and it is not called stalled."""
    with reading(remote.source, **SOON) as reader:
        held = [reader.shoot(remote) for _ in range(SLOTS)]
        began = time.monotonic()
        while time.monotonic() - began < 2 * SOON["stall_ms"] / 1000:
            before = reader.feed.dropped["no slot"]
            remote.do(PICTURE)
            wait_until(lambda seen=before: reader.feed.dropped["no slot"] > seen)
        reader.shots += reader.feed.dropped["no slot"]
        for frame in held:
            assert np.array_equal(reader.look(frame), pixels(frame.frame_id))
        assert reader.shoot(remote).frame_id == reader.shots
        assert not any(isinstance(event, FeedChanged) and event.state != "live" for event in reader.past)


@pytest.mark.slow
def test_read_that_never_returns_costs_one_process(remote: Remote) -> None:
    """A camera that delivers nothing for stall_ms is stalled, its process is killed, and another goes on counting."""
    with reading(remote.source, **SOON) as reader:
        for number, hang in enumerate([HANG, HANG_HARD], start=1):
            remote.do(PICTURE, hang)
            assert reader.next().frame_id == number
            assert reader.state("stalled") == "no frame for 0.5 s"
        remote.do(PICTURE)
        frame = reader.next()
        assert np.array_equal(reader.look(frame), pixels(1))
        assert frame.frame_id == 3
        assert reader.feed.reconnects["stalled"] == 2
        assert len(children()) == 1


@pytest.mark.slow
def test_open_that_never_returns_is_a_stall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that hangs while it is opened is given up after a while, and opened anew."""
    monkeypatch.setattr("runtime.camera.capture_run.OPENING_S", 0.1)
    with plugged(tmp_path / HANGS_IN_OPEN) as remote, reading(remote.source, **SOON) as reader:
        assert reader.state("stalled") == "does not open in time"
        wait_until(lambda: reader.feed.reconnects["stalled"] >= 2)


@pytest.mark.parametrize(
    ("fault", "state", "reason", "count"),
    [
        (LOST, "disconnected", "delivers no more pictures", "lost"),
        (THROW, "disconnected", "capture failed (OverflowError: driver of rtsp://***@host/)", "lost"),
        (KILL, "disconnected", "capture process killed by signal 9", "crashed"),
        (SEGFAULT, "disconnected", "capture process killed by signal 11", "crashed"),
    ],
)
def test_camera_that_breaks_is_opened_anew(remote: Remote, fault: bytes, state: str, reason: str, count: str) -> None:
    """However a connection ends, its end is told and counted, and the next one delivers."""
    with reading(remote.source, **PATIENT) as reader:
        remote.do(PICTURE, fault)
        reader.feed.give_back(reader.next())
        assert reader.state(state) == reason
        remote.do(PICTURE)
        assert reader.state("live") == "delivers pictures"
        assert reader.next().frame_id == 2
        assert reader.feed.reconnects == {**dict.fromkeys(reader.feed.reconnects, 0), count: 1}


def test_capture_process_may_be_killed_at_any_time(remote: Remote) -> None:
    """Kill -9 of the process is survived; frames that were taken stay whole until they are given back."""
    with reading(remote.source, **PATIENT) as reader:
        remote.do(PICTURE)
        frame = reader.next()
        (child,) = children()
        os.kill(child, signal.SIGKILL)
        assert reader.state("disconnected") == "capture process killed by signal 9"
        remote.do(PICTURE)
        assert reader.next().frame_id == 2
        assert reader.gone.empty()
        assert np.array_equal(reader.look(frame), pixels(1))
        assert reader.gone.get(timeout=ENOUGH_S) == frame.memory


@pytest.mark.slow
def test_camera_that_is_absent_is_waited_for(tmp_path: Path) -> None:
    """A camera that is not there at the start is an ordinary state; it is live when it comes, also after it went."""
    path = tmp_path / "camera"
    with reading(f"v4l2://{path}", **PATIENT) as reader:
        assert reader.state("disconnected") == "no such device"
        wait_until(lambda: reader.feed.reconnects["absent"] >= 3)
        for frame_id in (1, 2):
            with plugged(path) as remote:
                remote.do(PICTURE)
                assert reader.next().frame_id == frame_id
            reader.state("disconnected")
        told = [event.reason for event in reader.past if isinstance(event, FeedChanged) and event.state != "live"]
        assert len(told) <= 5, "a state is told when it changes, and not at each try"


@pytest.mark.slow
def test_device_that_is_plugged_in_is_opened_at_once(tmp_path: Path) -> None:
    """However long the next try is away, a device that appears is not waited out."""
    path = tmp_path / "camera"
    with reading(f"v4l2://{path}", stall_ms=60_000, reconnect_min_s=3600, reconnect_max_s=3600) as reader:
        reader.state("disconnected")
        with plugged(path) as remote:
            remote.do(PICTURE)
            reader.next()


@pytest.mark.slow
def test_driver_that_lets_no_process_end_gets_no_more_of_them(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that cannot even be killed do not pile up; when they end, the camera is opened anew."""
    monkeypatch.setattr("runtime.process.out_of_memory.end", lambda _: False)
    with reading(remote.source, **SOON) as reader:
        for _ in range(MAX_UNDEAD):
            remote.do(PICTURE, HANG_HARD)
            reader.state("stalled")
        assert reader.state("stalled") == "capture processes hang in the driver and cannot be killed"
        remote.do(PICTURE)
        stuck = children()
        assert len(stuck) == MAX_UNDEAD
        for child in stuck:
            os.kill(child, signal.SIGKILL)
        reader.state("live")
        monkeypatch.undo()


def test_size_may_change_at_any_time(remote: Remote) -> None:
    """Pictures of another size come in another memory, and the old one goes when its frames are given back."""
    with reading(remote.source, **PATIENT) as reader:
        held = []
        for what in (PICTURE, WIDE, PICTURE):
            remote.do(what)
            held.append(reader.next())
        assert [frame.hw for frame in held] == [(48, 64), (90, 122), (48, 64)]
        assert len({frame.memory for frame in held}) == 3
        for number, frame in enumerate(held, start=1):
            assert np.array_equal(reader.look(frame), pixels(number, WIDE if number == 2 else PICTURE))
        assert reader.gone.get(timeout=ENOUGH_S) == held[0].memory
        assert reader.gone.get(timeout=ENOUGH_S) == held[1].memory


def test_undecodable_frames_are_frames(remote: Remote) -> None:
    """A frame that cannot be decoded, or is no colour picture, comes without a picture."""
    with reading(remote.source, **PATIENT) as reader:
        for what in (BROKEN, GREY, PICTURE):
            remote.do(what)
            frame = reader.next()
            assert (frame.hw is None) == (what != PICTURE)
            reader.feed.give_back(frame)
        assert frame.frame_id == 3


def test_reconnect_throws_the_connection_away(remote: Remote) -> None:
    """`reconnect` starts another process although the camera delivers."""
    with reading(remote.source, **PATIENT) as reader:
        remote.do(PICTURE)
        reader.feed.give_back(reader.next())
        wait_until(lambda: len(children()) == 1)  # one of an earlier test may be about to end
        (before,) = children()
        reader.feed.reconnect()
        reader.state("disconnected")
        remote.do(PICTURE)
        assert reader.next().frame_id == 2
        assert reader.feed.reconnects["asked"] == 1
        assert children() != [before]


def test_slowed_feed_gives_every_nth_frame(remote: Remote) -> None:
    """`slow_down` leaves frames out, counts them, and is taken back by 1."""
    with reading(remote.source, **PATIENT) as reader:
        reader.feed.slow_down(2)
        for dropped, frame_id in ((1, 2), (2, 4)):
            remote.do(PICTURE)
            wait_until(lambda n=dropped: reader.feed.dropped["degraded"] == n)
            remote.do(PICTURE)
            assert reader.next().frame_id == frame_id
    with reading(remote.source, **PATIENT) as reader:
        reader.feed.slow_down(2)
        reader.feed.slow_down(1)
        remote.do(PICTURE)
        assert reader.next().frame_id == 1


@pytest.mark.slow
def test_nothing_is_left_after_many_reconnects(remote: Remote) -> None:
    """Fifty reconnects leave no descriptor, no process, no thread and no memory, and neither does the end."""
    gc.collect()  # readers of tests before, and what they have mapped
    threads, files = threading.active_count(), descriptors()
    with reading(remote.source, **PATIENT) as reader:
        for number in range(1, 51):
            remote.do(PICTURE, (LOST, KILL, THROW)[number % 3])
            frame = reader.next()
            assert frame.frame_id == number
            reader.feed.give_back(frame)
            reader.state("disconnected")
        remote.do(PICTURE)
        reader.look(reader.next())
        assert threading.active_count() == threads + 2  # it, and the reader of its process's standard error
        assert len(children()) == 1
        assert len(reader.maps) == 1
    assert (threading.active_count(), descriptors(), children(), reader.maps) == (threads, files, [], {})


@pytest.mark.parametrize("doing", [PICTURE, HANG, HANG_HARD])
def test_close_is_quick_whatever_the_camera_does(remote: Remote, doing: bytes) -> None:
    """`close` returns within half a second and leaves no process, also where the driver hangs."""
    with reading(remote.source, **PATIENT) as reader:
        remote.do(PICTURE, doing)
        reader.next()
        (child,) = children()
    assert not Path(f"/proc/{child}").exists()


def test_close_is_quick_while_nothing_is_connected(tmp_path: Path) -> None:
    """`close` does not wait for the next try."""
    with reading(f"v4l2://{tmp_path}/none", reconnect_min_s=3600, reconnect_max_s=3600) as reader:
        reader.state("disconnected")
    Feed("front", Camera(source=0), reader.inbox.put, reader).close()  # not even started


@pytest.mark.slow
def test_death_of_the_runtime_takes_the_capture_process_along(remote: Remote) -> None:
    """Kill -9 of the parent leaves no child, also none whose driver lets nothing run."""
    program = f"""
import queue, sys
from edge_config.settings.sections import Camera
from runtime.camera.feed import Feed
from tests.support.reader import Unread
inbox = queue.SimpleQueue()
feed = Feed("front", Camera(source={remote.source!r}, stall_ms=60000), inbox.put, Unread(), {COMMAND!r})
feed.start()
while feed.take() is None:
    inbox.get()
print("live", flush=True)
sys.stdin.read()
"""
    remote.do(PICTURE, HANG_HARD)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "live\n"
        tasks = Path(f"/proc/{parent.pid}/task").iterdir()
        (child,) = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
        watch = os.pidfd_open(child)
        parent.kill()
        parent.wait()
    try:
        assert_ends(watch)
    finally:
        os.close(watch)


def test_folder_loses_no_picture(tmp_path: Path) -> None:
    """A folder gives every picture once and in order, however slowly they are taken, and then it ends."""
    write_pictures(tmp_path, set(), 12)
    (tmp_path / "0005.png").write_bytes(b"broken")
    with reading(str(tmp_path), REAL, pace="max") as reader:
        for number in range(1, 13):
            frame = reader.next()
            assert frame.frame_id == number
            if number == 5:
                assert frame.hw is None
                reader.feed.give_back(frame)
            else:
                assert np.array_equal(reader.look(frame), normal_picture(number))
        assert reader.hear(FeedEnded) == FeedEnded("front", "end of recording", failed=False)
        assert not reader.feed.live
        assert sum(reader.feed.dropped.values()) == 0


def test_last_frames_of_a_recording_can_be_taken_after_its_end(tmp_path: Path) -> None:
    """The end of the capture process takes no frame away."""
    write_pictures(tmp_path, set(), SLOTS - 1)  # with one more, the last look for a picture would wait for a slot
    with reading(str(tmp_path), REAL, pace="max") as reader:
        reader.hear(FeedEnded)
        for number in range(1, SLOTS):
            frame = reader.feed.take()
            assert frame is not None
            assert np.array_equal(reader.look(frame), normal_picture(number))
        assert reader.feed.take() is None
        reader.gone.get(timeout=ENOUGH_S)


def test_video_loses_no_frame(tmp_path: Path) -> None:
    """A video file gives every frame in order at its pace."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 100, (64, 48))
    for level in range(0, 200, 10):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    levels, stamps = [], []
    with reading(str(path), REAL) as reader:
        for _ in range(20):
            frame = reader.next()
            stamps.append(frame.t_mono_ns)
            levels.append(round(float(reader.look(frame).mean()), -1))
    assert levels == list(range(0, 200, 10))
    assert stamps[-1] - stamps[0] >= 18e9 / 100  # a frame that is late does not put off those after it


@pytest.mark.slow
def test_recording_that_is_taken_slowly_is_not_stalled(tmp_path: Path) -> None:
    """A recording waits for the consumer of its frames, and for its own pace; neither is a stall."""
    write_pictures(tmp_path, set(), SLOTS + 2)
    with reading(str(tmp_path), REAL, pace="fps", fps=4, stall_ms=100) as reader:
        held = [reader.next() for _ in range(SLOTS)]
        with pytest.raises(queue.Empty):
            reader.inbox.get(timeout=0.5)  # more than the stall and the pace together
        for frame in held:
            reader.feed.give_back(frame)
        assert reader.next().frame_id == SLOTS + 1
        assert [event.state for event in reader.past if isinstance(event, FeedChanged)] == ["live"]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed: it makes the video")
def test_gap_in_a_video_of_variable_rate_is_not_a_stall(tmp_path: Path) -> None:
    """While the next frame is not due by the video's own time stamps, nothing is wrong with the recording."""
    clip = variable_rate(tmp_path / "clip.mp4", [0.0, 0.12, 1.6])
    with reading(str(clip), REAL, stall_ms=100) as reader:
        frames = [reader.next() for _ in range(3)]
        assert [event.state for event in reader.past if isinstance(event, FeedChanged)] == ["live"]
        assert frames[2].t_mono_ns - frames[1].t_mono_ns >= 1.4e9  # it was late for less than a tenth of a second
        assert [frame.t_media_ns for frame in frames] == [0, 120_000_000, 1_600_000_000]


def test_recording_that_is_none_ends_with_its_reason(tmp_path: Path) -> None:
    """A file that is absent is not waited for: the end says what is wrong in one line."""
    with reading(str(tmp_path / "clip.mp4"), REAL) as reader:
        ended = reader.hear(FeedEnded)
    assert ended.failed
    assert ended.reason == f"{tmp_path}/clip.mp4: no such file, folder or camera"


def test_recording_whose_process_dies_ends_and_says_so(tmp_path: Path) -> None:
    """A recording is not played again from its start after a crash."""
    write_pictures(tmp_path, set(), 3)
    with reading(str(tmp_path), REAL, fps=0.01) as reader:
        reader.next()
        (child,) = children()
        os.kill(child, signal.SIGSTOP)
        os.kill(child, signal.SIGKILL)
        assert reader.hear(FeedEnded) == FeedEnded("front", "capture process killed by signal 9", failed=True)


def test_stream_that_refuses_hides_its_credentials(capfd: pytest.CaptureFixture[str]) -> None:
    """User and password of a URL show in no event, no command line, no environment and no output."""
    with reading("http://admin:s3cret@127.0.0.1:9/video", REAL, **PATIENT) as reader:
        wait_until(lambda: children() != [])
        for child in children():
            for name in ("cmdline", "environ"):
                assert "s3cret" not in read_of_process(child, name)
        assert reader.state("disconnected") == "nothing listens at port 9 (connection refused)"
    assert "s3cret" not in repr(reader.past)
    assert "s3cret" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_stream_goes_silent_changes_and_comes_back() -> None:
    """A real stream that goes silent is stalled, one that is cut is lost, and both are live again by themselves."""
    with streaming() as stream, reading(stream.url, REAL, **{**SOON, "stall_ms": 1000}) as reader:
        assert abs(int(reader.look(reader.next()).mean()) - 100) <= 2
        stream.silent.set()
        reader.state("stalled")
        stream.level, stream.hw = 200, (96, 128)
        stream.silent.clear()
        reader.state("live")
        frame = reader.next()
        assert frame.hw == (96, 128)
        assert abs(int(reader.look(frame).mean()) - 200) <= 2
        stream.cut.set()
        reader.state("disconnected")
        stream.cut.clear()
        reader.state("live")
        assert "s3cret" not in repr(reader.past)


@pytest.mark.slow
def test_recording_whose_process_stops_is_stalled_and_goes_on(tmp_path: Path) -> None:
    """A recording that gives nothing, though it could, is stalled; it is not killed, as no frame may be lost."""
    write_pictures(tmp_path, set(), 4)
    with reading(str(tmp_path), REAL, fps=2, stall_ms=100) as reader:
        reader.look(reader.next())
        (child,) = children()
        os.kill(child, signal.SIGSTOP)
        assert reader.state("stalled") == "no frame for 0.6 s"
        os.kill(child, signal.SIGCONT)
        reader.state("live")
        assert [reader.next().frame_id for _ in range(3)] == [2, 3, 4]
        assert not reader.hear(FeedEnded).failed


def test_absent_camera_of_the_machine_is_a_state() -> None:
    """The real capture process says that a camera is not there."""
    with reading(61, REAL, **PATIENT) as reader:
        assert reader.state("disconnected") == "no such device"


def test_unknown_kind_of_source_is_refused_at_once() -> None:
    """What can never open is not tried for ever."""
    with pytest.raises(SourceUnavailable, match="unknown kind of source"):
        Feed("front", Camera(source="ftp://host/clip"), print, Unread())


def test_program_that_cannot_start_is_a_state(tmp_path: Path) -> None:
    """Where no process can be started, that is the reason of the state, and it is tried again."""
    with reading(0, (str(tmp_path / "no-such-program"),), **SOON) as reader:
        assert "No such file" in reader.state("disconnected")
        wait_until(lambda: reader.feed.reconnects["crashed"] >= 3)


def test_capture_process_of_a_foreign_folder_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in the working directory, the capture process is the one of this runtime."""
    for name in ("runtime", "json", "cv2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    with reading(61, REAL, **PATIENT) as reader:
        assert reader.state("disconnected") == "no such device"


@pytest.mark.slow
def test_paused_camera_is_closed_and_opened_again(remote: Remote) -> None:
    """While a camera is paused no process holds it, and nothing is told of it; then frames go on, with no alarm."""
    with reading(remote.source, **PATIENT) as reader:
        first = reader.shoot(remote)
        reader.feed.give_back(first)
        (capture,) = children()
        with open_process(capture) as process:
            reader.feed.pause()
            assert_ends(process)
        assert reader.feed.take() is None
        wait_until(lambda: not children())
        reader.feed.resume()
        reader.shots = 0
        frame = reader.shoot(remote)
        assert frame.frame_id > first.frame_id
        reader.feed.give_back(frame)
        told = [event.state for event in reader.past if isinstance(event, FeedChanged)]
        assert told == ["live", "live"]
        assert set(reader.feed.reconnects.values()) == {0}


def go_on(reader: Reader, remote: Remote) -> None:
    """Have a camera take pictures until one arrives: one that is just being closed may take some along."""
    late = time.monotonic() + ENOUGH_S
    while (frame := reader.feed.take()) is None:
        assert time.monotonic() < late, reader.past
        remote.do(PICTURE)
        with contextlib.suppress(queue.Empty):
            reader.inbox.put(reader.inbox.get(timeout=TURN_S))
            reader.hear(object)
    reader.feed.give_back(frame)


@pytest.mark.slow
def test_camera_that_is_paused_and_resumed_at_once_goes_on(remote: Remote) -> None:
    """Whatever the capture process is doing when it is closed: frames come in the end, and nothing looks wrong."""
    with reading(remote.source, **PATIENT) as reader:
        for _ in range(5):
            go_on(reader, remote)
            for _ in range(3):
                reader.feed.pause()
                reader.feed.resume()
        go_on(reader, remote)
        told = {event.state for event in reader.past if isinstance(event, FeedChanged)}
        assert told == {"live"}
        assert set(reader.feed.reconnects.values()) == {0}


def test_absent_camera_says_so_again_after_a_pause() -> None:
    """The state after a pause is told, though it is the same as before: the client that resumes it waits for it."""
    with reading("/dev/video77", REAL, **SOON) as reader:
        reader.state("disconnected")
        reader.feed.pause()
        reader.feed.resume()
        reader.state("disconnected")


def test_end_of_a_paused_camera_is_quick(remote: Remote) -> None:
    """A camera that is paused holds up no end."""
    with reading(remote.source, **PATIENT) as reader:
        reader.feed.give_back(reader.shoot(remote))
        reader.feed.pause()
        wait_until(lambda: not children())


def shown(reader: Reader, remote: Remote, number: int, width: int = 4096, quality: int = 95) -> PictureReady:
    """Ask for a picture, and have the camera take some until one of them is shown."""
    assert reader.feed.show(number, width, quality)
    while True:
        go_on(reader, remote)
        for event in reader.past:
            if isinstance(event, PictureReady) and event.number == number:
                return event


def test_picture_is_that_of_the_next_frame(remote: Remote) -> None:
    """A request for a picture gets the next frame as a JPEG, of the size that was asked for; frames go on beside it."""
    with reading(remote.source, **PATIENT) as reader:
        go_on(reader, remote)
        whole = shown(reader, remote, 7)
        decoded = cv2.imdecode(np.frombuffer(whole.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert (whole.problem, whole.hw) == ("", decoded.shape[:2])
        _, same = cv2.imencode(".jpg", pixels(whole.frame_id), (cv2.IMWRITE_JPEG_QUALITY, 95))
        assert whole.jpeg == same.tobytes()
        assert time.time_ns() - whole.t_capture_ns < ENOUGH_S * 1e9
        small = shown(reader, remote, 8, width=16)
        assert small.hw[1] == 16
        held = descriptors()
        for number in range(20, 30):
            assert shown(reader, remote, number).jpeg
        assert descriptors() <= held


def test_no_picture_of_what_is_not_open(remote: Remote) -> None:
    """A camera that is paused, or not opened yet, says at once that there is no picture."""
    reader = Reader(remote.source, **PATIENT)
    assert not reader.feed.show(1, 640, 85)
    reader.close()
