"""The thread that writes pictures: nothing waits for it, and a disk that fails costs pictures only."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from structlog.testing import capture_logs

from edge_config.settings.sections import Clips
from runtime.clips.folder import clip_name
from runtime.teaching.store import PictureStore
from runtime.teaching.store_thread import MAX_JOBS, MAX_WAITING_BYTES, StoreThread
from tests.support.disks import fill, small_disk
from tests.support.stored import DAY_NS, NOW_NS, new

ENOUGH_S = 30.0


@contextmanager
def thread(folder: Path, clips: str = "", max_bytes: int = 1 << 30) -> Iterator[StoreThread]:
    """Yield a thread whose clock stands at `NOW_NS`."""
    store = PictureStore(folder, max_bytes, 30, lambda: NOW_NS / 1e9)
    one = StoreThread(store, Clips(folder=clips), list)
    try:
        yield one
    finally:
        one.close(ENOUGH_S)


def done(one: StoreThread) -> None:
    """Wait until the thread has done all that it was given."""
    over = threading.Event()
    assert one.put(over.set)
    assert over.wait(ENOUGH_S)


def test_close_writes_what_waits(tmp_path: Path) -> None:
    """Pictures that were handed over before the end are on the disk after it."""
    with thread(tmp_path) as one:
        for seed in range(5):
            one.put(lambda seed=seed: one.add(new("taught", seed)), 100)
    assert len(list(tmp_path.rglob("*.png"))) == 5
    assert not one.put(print)


def test_disk_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    """While a write hangs frames are refused beyond a bound, jobs too, and `close` gives up in time."""
    hangs = threading.Event()
    with thread(tmp_path) as one:
        one.put(lambda: hangs.wait(ENOUGH_S) and None, MAX_WAITING_BYTES)
        assert not one.has_room(1)
        assert sum(one.put(list) for _ in range(2 * MAX_JOBS)) <= MAX_JOBS
        with capture_logs() as log:
            one.close(0.01)
        assert [line["event"] for line in log] == ["stored pictures given up: the disk does not respond"]
        hangs.set()


def test_a_frame_larger_than_the_queue_has_room_alone(tmp_path: Path) -> None:
    """A very large camera can be taught, too."""
    with thread(tmp_path) as one:
        done(one)
        assert one.has_room(2 * MAX_WAITING_BYTES)


def test_full_disk_is_said_once_and_counted(tmp_path: Path) -> None:
    """On a full disk each picture is counted as lost, the log has one line, and one more when it works again."""
    with small_disk(tmp_path, 24) as folder, capture_logs() as log, thread(folder / "learning") as one:
        done(one)
        filling = fill(folder)
        for seed in range(3):
            one.put(lambda seed=seed: one.add(new("taught", seed)) and None)
        done(one)
        assert one.lost == 3
        assert "No space left on device" in one.problem
        filling.unlink()
        one.put(lambda: one.add(new("taught", 4)) and None)
        done(one)
        assert (one.lost, one.problem) == (3, "")
    assert [line["event"] for line in log] == ["pictures cannot be stored", "pictures are stored"]


def test_folder_that_is_in_use_is_a_problem_and_no_end(tmp_path: Path) -> None:
    """A second runtime with the same folder says so, stores nothing, and goes on with its cameras."""
    with thread(tmp_path) as first:
        done(first)
        with thread(tmp_path) as second:
            done(second)
            assert second.problem.startswith(f"{tmp_path}: in use by another patchedge")
            assert second.add(new("taught")) is None
    assert not list(tmp_path.rglob("*.png"))


def test_old_clips_are_deleted_though_no_alert_comes(tmp_path: Path) -> None:
    """At the start clips older than clips.most_days go, and nothing else of the folder."""
    folder = tmp_path / "clips"
    folder.mkdir()
    t_ns = {days: time.time_ns() - days * DAY_NS for days in (29, 31)}
    names = [clip_name("top", t_ns[days], str(uuid.UUID(int=days))) for days in t_ns]
    for name in [*names, "holiday.avi"]:
        (folder / name).write_bytes(b"RIFF")
    with thread(tmp_path / "learning", str(folder)) as one:
        done(one)
    assert {path.name for path in folder.iterdir()} == {names[0], "holiday.avi"}


def test_value_that_is_lost_is_a_warning(tmp_path: Path) -> None:
    """Deleting frames that a person taught is logged as a warning, deleting peaks is not."""
    with thread(tmp_path, max_bytes=3500) as one:
        done(one)
        with capture_logs() as log:
            for seed in range(4):
                one.add(new("peak", seed))
            for seed in range(4, 8):
                one.add(new("taught", seed))
    levels = [line["log_level"] for line in log if line["event"] == "stored pictures deleted"]
    assert levels[0] == "info"
    assert levels[-1] == "warning"
    assert all(line["key"] == "learning.most_mb" for line in log)


def test_mistake_of_ours_costs_a_job_only(tmp_path: Path) -> None:
    """A job that raises is logged, and the next one is done."""
    with thread(tmp_path) as one, capture_logs() as log:
        one.put(lambda: 1 / 0 and None)
        done(one)
    assert [line["event"] for line in log] == ["internal error of stored pictures"]
    shutil.rmtree(tmp_path)
