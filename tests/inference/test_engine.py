"""The inference worker: it scores as the stages do in one process, and whatever happens to it, frames are answered."""

from __future__ import annotations

import itertools
import math
import os
import queue
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file

from edge_config.bundle import files as bundles
from edge_config.errors import BundleFileHash, MissingExtra
from runtime.events import (
    EngineLost,
    EngineReady,
    EngineRefused,
    Reloaded,
    ReloadRefused,
    Reviewed,
    ReviewRefused,
    Scored,
)
from runtime.frame import Image, SharedFrame, Wanted
from runtime.inference.engine import Engine
from runtime.inference.load import load
from runtime.inference.protocol import Attach, ScoringOptions
from runtime.inference.worker_handle import WorkerHandle, WorkerProcess
from runtime.process.backoff import Backoff
from runtime.process.child import module
from runtime.process.shared_memory import SLOTS, Memory
from runtime.scoring import heat_map
from runtime.scoring.scorer import Scorer
from runtime.search.full import ExactSearch
from runtime.view import View
from tests.support.children import children
from tests.support.fakes.senseless import ANSWERS
from tests.support.fakes.worker import CRASH, FAIL, HANG, SEEN, STARVE, marked
from tests.support.forge import edit_golden, reseal
from tests.support.processes import ENOUGH_S
from tests.support.tiny import GRID, HEIGHT, THRESHOLD, WIDTH, normal_picture, strange_picture, with_threshold

pytestmark = pytest.mark.slow

FAKE = module("tests.support.fakes.worker")
HW = (HEIGHT, WIDTH)
PLAIN = Wanted(THRESHOLD, math.inf)
"""Of a frame: its score, and what is known anyway."""
HEAP = 8 << 20
"""Bytes by which a heap may grow on a busy machine, whose threads cut it up. 4.2 MiB were seen there; on a quiet one -3
to 6 MiB for 50 to 300 swaps, so they do not add up."""

SWAPS = 50
OF_SCORING, OF_PROCESS = set(ScoringOptions.__struct_fields__), {one.name for one in fields(WorkerProcess)}
E_ = TypeVar("E_")


class Harness:
    """An engine, a memory with frames for it, and the events that it told."""

    def __init__(self, bundle_of: Mapping[str, Path], **settings: Any) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        settings = {"threads": 2, "command": FAKE, "backoff": Backoff(0.01, 0.02), **settings}
        options = ScoringOptions(**{name: settings.pop(name) for name in OF_SCORING & set(settings)})
        process = WorkerProcess(**{name: settings.pop(name) for name in OF_PROCESS & set(settings)})
        paths = {name: str(path) for name, path in bundle_of.items()}
        self.engine = Engine(paths, self.events.put, options, process=process, **settings)
        self.memory = Memory(HW)
        self.engine.attach(1, self.memory.descriptor, self.memory.size)
        self._frame_ids = itertools.count(1)

    def next(self, kind: type[E_]) -> E_:
        """Wait for the next event, which is of this kind."""
        event = self.events.get(timeout=ENOUGH_S)
        assert isinstance(event, kind), event
        return event

    def until(self, kind: type) -> list[Any]:
        """Wait for an event of a kind; give it and all before it."""
        events = [self.events.get(timeout=ENOUGH_S)]
        while not isinstance(events[-1], kind):
            events.append(self.events.get(timeout=ENOUGH_S))
        return events

    def submit(
        self, picture: Image, camera: str = "cam1", wanted: Wanted = PLAIN, content_id: int | None = None
    ) -> SharedFrame:
        """Write a picture into the memory, and have it scored."""
        frame_id = next(self._frame_ids)
        frame = SharedFrame(1, frame_id % SLOTS, HW, frame_id, 0, frame_id, None, content_id)
        self.memory.write(frame.slot, picture)
        self.engine.submit(camera, frame, wanted)
        return frame

    def score(self, picture: Image, camera: str = "cam1") -> float | None:
        """Have a picture scored, and wait for its score."""
        self.submit(picture, camera)
        result = self.next(Scored).result
        assert result is not None
        return result.value

    def worker(self) -> int:
        """Return the process id of the worker."""
        (pid,) = children()
        return pid


@contextmanager
def serving(bundle_of: Mapping[str, Path] | Path, **settings: Any) -> Iterator[Harness]:
    """Start an engine and wait until it is ready; afterwards nothing of it may be left."""
    harness = Harness({"cam1": bundle_of} if isinstance(bundle_of, Path) else bundle_of, **settings)
    harness.engine.start()
    try:
        harness.ready = harness.next(EngineReady)  # type: ignore[attr-defined]
        yield harness
    finally:
        harness.engine.close()
        harness.memory.close()
        assert children() == []


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle that may be changed."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "mine.bundle"))


@pytest.fixture
def scorer(tiny_bundle: Path) -> Scorer:
    """Return the stages of the bundle in this process; they have seen no frame yet."""
    return load(tiny_bundle, 1)[1].another()


def flip(path: Path) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# What it scores


def test_scores_are_those_of_the_same_stages_in_one_process(tiny_bundle: Path, scorer: Scorer) -> None:
    """Score, patch, entry and share of the search of a frame are, bit for bit, those of the stages without a worker."""
    with serving(tiny_bundle) as harness:
        for seed in range(8):
            picture = strange_picture(seed) if seed % 3 == 2 else normal_picture(seed)
            expected = scorer(picture)
            frame = harness.submit(picture)
            scored = harness.next(Scored)
            assert (scored.camera, scored.frame) == ("cam1", frame)
            result = scored.result
            assert result is not None
            assert (result.value, result.patch, result.entry) == (expected.value, expected.patch, expected.entry)
            assert result.searched == expected.found.searched
            assert result.peak_xy == scorer.preprocess.to_camera(expected.patch, scorer.grid, HW)
            assert set(result.stage_seconds) - {"detail"} == {"inspect", "preprocess", "embed", "search", "score"}
            assert ("detail" in result.stage_seconds) == (expected.value > THRESHOLD)


def test_ready_says_what_is_in_service(tiny_bundle: Path) -> None:
    """The first event names the bundle of each camera and its threshold."""
    with serving({"cam1": tiny_bundle, "cam2": tiny_bundle}) as harness:
        infos = harness.ready.bundles  # type: ignore[attr-defined]
        assert set(infos) == {"cam1", "cam2"}
        assert infos["cam1"].id == bundles.read(tiny_bundle).id
        assert infos["cam1"].threshold == THRESHOLD


@pytest.mark.parametrize("threads", [1, 2])
def test_a_second_frame_is_ready_when_the_first_is_done(tiny_bundle: Path, threads: int) -> None:
    """The worker takes two frames: the second is in work already, or waits where there is but one thread."""
    with serving(tiny_bundle, threads=threads) as harness:
        assert harness.engine.room == 2
        for _ in range(2):
            harness.submit(marked(normal_picture(1), HANG))
        assert harness.engine.room == 0


def test_frames_are_answered_in_order(tiny_bundle: Path) -> None:
    """Whether a frame is scored, is found to be faulty or fails, its answer does not overtake that of another one."""
    with serving(tiny_bundle) as harness:
        pictures = [marked(normal_picture(1), mark) for mark in (0, FAIL, 0, SEEN, 0, FAIL, SEEN, 0)]
        frames = []
        for picture in pictures:
            frames.append(harness.submit(picture))
            if len(frames) > 1:
                assert harness.next(Scored).frame == frames[-2]
        assert harness.next(Scored).frame == frames[-1]


def test_picture_that_cannot_be_judged_has_no_score(tiny_bundle: Path) -> None:
    """Where the first stage finds a fault of the scene, the result says so, and nothing else was computed."""
    with serving(tiny_bundle) as harness:
        harness.submit(marked(normal_picture(1), SEEN))
        result = harness.next(Scored).result
        assert result is not None
        assert (result.value, result.scene, result.scene_reason) == (None, "dark", "marked")
        assert set(result.stage_seconds) == {"inspect"}


def scored_again(harness: Harness, content_id: int, wanted: Wanted = PLAIN, picture: Image | None = None) -> bool:
    """Submit a frame of this content, and tell whether it was computed; it must have a result."""
    picture = strange_picture(7) if picture is None else picture
    harness.submit(picture, wanted=wanted, content_id=content_id)
    scored = harness.next(Scored)
    assert scored.result is not None, scored.reason
    assert scored.result.repeated == ("embed" not in scored.result.stage_seconds)
    assert "inspect" in scored.result.stage_seconds
    return not scored.result.repeated


def test_identical_frame_is_not_scored_again(tiny_bundle: Path, scorer: Scorer) -> None:
    """A frame with the pixels of the last one has its score and is inspected, and nothing else is computed."""
    attached = Wanted(THRESHOLD, 0.0, frozenset({"jpeg"}))
    with serving(tiny_bundle) as harness:
        expected = scorer(strange_picture(7))
        for content_id in (1, 1, 1):
            harness.submit(strange_picture(7), wanted=attached, content_id=content_id)
        first, *others = (harness.next(Scored) for _ in range(3))
        assert [len(first.attached), *(len(one.attached) for one in others)] == [1, 0, 0]
        for one in others:
            assert one.result is not None
            assert (one.result.value, one.result.patch, one.result.repeated) == (expected.value, expected.patch, True)
            assert set(one.result.stage_seconds) == {"inspect"}
            assert one.result.boxes == first.result.boxes
        assert scored_again(harness, 4)
        assert not scored_again(harness, 4)


def test_frame_is_scored_again_where_something_else_changed(bundle: Path, tmp_path: Path) -> None:
    """After a reload, also of the very same bundle, and with another threshold the first frame is scored again."""
    other = with_threshold(bundle, tmp_path / "other.bundle", THRESHOLD + 1)
    with serving(bundle) as harness:
        assert [scored_again(harness, 1) for _ in range(2)] == [True, False]
        for path in (bundle, other):
            harness.engine.reload("cam1", str(path))
            harness.next(Reloaded)
            assert [scored_again(harness, 1) for _ in range(2)] == [True, False]
        lower = Wanted(THRESHOLD / 2, math.inf)
        assert [scored_again(harness, 1, lower) for _ in range(2)] == [True, False]


def test_frame_after_one_that_failed_or_could_not_be_judged_is_scored(tiny_bundle: Path) -> None:
    """Only a score is repeated: never that a frame failed, and no finding of the scene."""
    with serving(tiny_bundle) as harness:
        harness.submit(marked(normal_picture(1), FAIL), content_id=1)
        assert harness.next(Scored).result is None
        assert scored_again(harness, 1)
        harness.submit(marked(normal_picture(1), SEEN), content_id=1)
        found = harness.next(Scored).result
        assert found is not None
        assert (found.scene, found.value) == ("dark", None)
        assert not scored_again(harness, 1)


# What happens to it


def kill(harness: Harness) -> None:
    harness.submit(marked(normal_picture(1), HANG))  # so that a frame is in its hands
    os.kill(harness.worker(), signal.SIGKILL)


def crash(harness: Harness) -> None:
    harness.submit(marked(normal_picture(1), CRASH))


def starve(harness: Harness) -> None:
    harness.submit(marked(normal_picture(1), STARVE))


def hang(harness: Harness) -> None:
    harness.submit(marked(normal_picture(1), HANG))


def stop(harness: Harness) -> None:
    os.kill(harness.worker(), signal.SIGSTOP)
    harness.submit(normal_picture(1))


@pytest.mark.parametrize(
    ("fault", "cause", "reason"),
    [
        (kill, "crashed", "SIGKILL"),
        (crash, "crashed", "SIGSEGV"),
        (starve, "crashed", "exit code 1"),
        (hang, "hung", "frame time-out"),
        (stop, "hung", "frame time-out"),
    ],
)
def test_lost_worker_is_replaced_and_owes_no_answer(
    tiny_bundle: Path, scorer: Scorer, fault: Callable[[Harness], None], cause: str, reason: str
) -> None:
    """A killed, crashed, starved, hung or stopped worker is told, its frames are answered, and another one goes on."""
    with serving({"cam1": tiny_bundle, "cam2": tiny_bundle}, job_timeout_s=1.0) as harness:
        fault(harness)
        waiting = harness.submit(normal_picture(2), "cam2")
        events = harness.until(EngineReady)
        (lost,) = (event for event in events if isinstance(event, EngineLost))
        assert lost.cause == cause
        assert reason in lost.reason
        answers = [event for event in events if isinstance(event, Scored)]
        assert [answer.result for answer in answers] == [None, None]
        assert all(answer.reason for answer in answers)
        assert waiting in [answer.frame for answer in answers]
        assert set(events[-1].bundles) == {"cam1", "cam2"}
        assert harness.engine.room == 2
        assert harness.score(strange_picture(3)) == scorer(strange_picture(3)).value


def test_frame_that_cannot_be_scored_costs_nothing_but_itself(tiny_bundle: Path, scorer: Scorer) -> None:
    """Where a stage fails, this frame has no result and the reason; the next one is scored by the same worker."""
    with serving(tiny_bundle) as harness:
        worker = harness.worker()
        harness.submit(marked(normal_picture(1), FAIL))
        harness.submit(normal_picture(2))
        failed = harness.next(Scored)
        assert failed.result is None
        assert "marked to fail" in failed.reason
        scored = harness.next(Scored).result
        assert scored is not None
        assert scored.value == scorer(normal_picture(2)).value
        assert harness.worker() == worker


def test_frames_that_nobody_can_score_are_answered_at_once(tiny_bundle: Path) -> None:
    """An undecodable frame, one in a memory that is gone or too small, and one without a worker get no result."""
    with serving(tiny_bundle) as harness:
        harness.engine.submit("cam1", SharedFrame(1, 0, None, 1, 0, 0), PLAIN)
        assert harness.next(Scored).reason == "cannot be decoded"
        harness.engine.submit("cam1", SharedFrame(99, 0, HW, 1, 0, 0), PLAIN)
        assert harness.next(Scored).reason == "its memory is gone"
        harness.engine.submit("cam1", SharedFrame(1, SLOTS, HW, 1, 0, 0), PLAIN)
        assert harness.next(Scored).reason == "no such slot in shared memory"
        harness.engine.submit("cam9", SharedFrame(1, 0, HW, 1, 0, 0), PLAIN)
        assert harness.next(Scored).reason == "no bundle in service"
        harness.engine.close()
        harness.submit(normal_picture(1))
        assert harness.next(Scored).reason == "no inference worker"


def test_memory_may_be_attached_by_any_thread_while_a_worker_starts(
    tiny_bundle: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A memory that a feed attaches at the very moment when a worker is told of those before it is known to it, too."""
    send = WorkerHandle.send
    second = Memory(HW)
    second.write(0, strange_picture(5))

    def and_attach_another(worker: WorkerHandle, message: Any, descriptors: Sequence[int] = ()) -> None:
        send(worker, message, descriptors)
        if isinstance(message, Attach) and feed.ident is None:
            feed.start()
            feed.join(0.2)  # it must wait for this thread, or else is done by then

    monkeypatch.setattr(WorkerHandle, "send", and_attach_another)
    harness = Harness({"cam1": tiny_bundle})
    feed = threading.Thread(target=harness.engine.attach, args=(2, second.descriptor, second.size))
    harness.engine.start()
    harness.next(EngineReady)
    feed.join()
    harness.engine.submit("cam1", SharedFrame(2, 0, HW, 1, 0, 0), PLAIN)
    scored = harness.next(Scored)
    assert scored.result is not None, scored.reason
    assert scored.result.value == scorer(strange_picture(5)).value
    harness.engine.close()
    harness.memory.close()
    second.close()


def test_memory_that_there_is_no_room_for_is_mapped_when_there_is(tiny_bundle: Path) -> None:
    """Its frames are not scored, those in another memory are; once there is room, they are scored as well."""
    with serving(tiny_bundle) as harness:
        pid = harness.worker()
        harness.score(normal_picture(1))
        used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (used + (32 << 20), resource.RLIM_INFINITY))
        large = Memory((4000, 4000))
        harness.engine.attach(2, large.descriptor, large.size)
        harness.engine.submit("cam1", SharedFrame(2, 0, large.hw, 1, 0, 0), PLAIN)
        assert harness.next(Scored).reason == "shared memory cannot be mapped (Cannot allocate memory)"
        harness.score(normal_picture(1))
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        harness.engine.submit("cam1", SharedFrame(2, 0, large.hw, 2, 0, 0), PLAIN)
        assert harness.next(Scored).result is not None
        large.close()


def test_worker_that_never_starts_is_tried_again(tiny_bundle: Path) -> None:
    """A worker that ends before it is ready is told each time, and started anew."""
    harness = Harness({"cam1": tiny_bundle}, command=(sys.executable, "-c", "raise SystemExit(3)"))
    harness.engine.start()
    for _ in range(3):
        assert harness.next(EngineLost) == EngineLost("crashed", "ended with exit code 3")
    harness.engine.close()
    harness.memory.close()


def test_program_that_is_not_there_is_tried_again(tiny_bundle: Path) -> None:
    """Where no process can be made, that is told too."""
    harness = Harness({"cam1": tiny_bundle}, command=("/nowhere/python",))
    harness.engine.start()
    for _ in range(2):
        assert harness.next(EngineLost).cause == "start"
    harness.engine.close()
    harness.memory.close()


def test_load_that_never_ends_is_a_hang(tiny_bundle: Path, tmp_path: Path) -> None:
    """A worker that does not come through a reload is replaced; the reload is refused, and the old bundle goes on."""
    slow = with_threshold(tiny_bundle, tmp_path / "slow.bundle", 70.0)
    with serving(tiny_bundle, load_timeout_s=5.0) as harness:
        harness.engine.reload(path=str(slow))
        assert harness.next(EngineLost).cause == "hung"
        assert str(slow) in harness.next(ReloadRefused).error
        assert harness.next(EngineReady).bundles["cam1"].threshold == THRESHOLD


# Bundles


def test_bad_bundle_at_the_start_is_refused(bundle: Path) -> None:
    """The first start gives up with the very error that the bundle causes, and leaves no process."""
    flip(bundle / bundles.BANK)
    harness = Harness({"cam1": bundle})
    harness.engine.start()
    error = harness.next(EngineRefused).error
    assert isinstance(error, BundleFileHash)
    assert (error.exit_code, bundles.BANK in str(error)) == (65, True)
    harness.engine.close()
    harness.memory.close()
    assert children() == []


def test_missing_library_is_named(tiny_bundle: Path) -> None:
    """Without ONNX Runtime the first start gives up, and the error says what to install."""
    command = (*FAKE[:2], FAKE[2].replace("import main; sys.exit(main())", "import bare; bare()"))
    harness = Harness({"cam1": tiny_bundle}, command=command)
    harness.engine.start()
    error = harness.next(EngineRefused).error
    assert isinstance(error, MissingExtra)
    assert "onnxruntime is not installed; pip install" in str(error)
    harness.engine.close()
    harness.memory.close()


def test_new_bundle_takes_over_between_two_frames(bundle: Path, tmp_path: Path) -> None:
    """While frames go on, the answer to a reload stands between the last one of the old bundle and the first of the
    new one, and no frame is lost.
    """
    with serving({"cam1": bundle, "cam2": bundle}) as harness:
        new = with_threshold(bundle, tmp_path / "new.bundle", 70.0)
        shutil.rmtree(bundle)
        new.rename(bundle)
        harness.engine.reload()
        reloaded, scored = None, 0
        while reloaded is None:
            harness.submit(normal_picture(scored))
            event = harness.events.get(timeout=ENOUGH_S)
            if isinstance(event, Reloaded):
                reloaded, event = event, harness.next(Scored)
            assert event.result is not None
            scored += 1
        assert reloaded.cameras == ("cam1", "cam2")
        assert reloaded.info.threshold == 70.0
        assert scored > 1


def test_one_camera_gets_a_bundle_of_its_own(bundle: Path, tmp_path: Path) -> None:
    """A path for one camera changes that one; where both have bundles of their own, each is reloaded from there."""
    with serving({"cam1": bundle, "cam2": bundle}) as harness:
        new = with_threshold(bundle, tmp_path / "new.bundle", 70.0)
        harness.engine.reload("cam2", str(new))
        assert harness.next(Reloaded).cameras == ("cam2",)
        harness.engine.reload()
        answers = [harness.next(Reloaded) for _ in range(2)]
        assert {answer.cameras: answer.info.threshold for answer in answers} == {("cam1",): THRESHOLD, ("cam2",): 70.0}
        with pytest.raises(KeyError):
            harness.engine.reload("cam9")


def truncated(bundle: Path) -> None:
    os.truncate(bundle / bundles.MODEL, 100)


def flipped(bundle: Path) -> None:
    flip(bundle / bundles.INDEX)


def absent(bundle: Path) -> None:
    shutil.rmtree(bundle)


def other_golden(bundle: Path) -> None:
    """Golden frames that this machine scores otherwise, in a bundle that is whole."""
    edit_golden(bundle, "scores", lambda scores: scores * 2)
    reseal(bundle)


@pytest.mark.parametrize("spoil", [truncated, flipped, absent, other_golden])
def test_bad_bundle_leaves_the_old_one_running(bundle: Path, scorer: Scorer, spoil: Callable[[Path], None]) -> None:
    """A reload of a bundle that is damaged, gone or scores otherwise is refused in one line, and scoring goes on."""
    with serving(bundle) as harness:
        worker = harness.worker()
        spoil(bundle)
        harness.engine.reload()
        refused = harness.next(ReloadRefused)
        assert (refused.cameras, refused.path, refused.kept) == (("cam1",), str(bundle), True)
        assert str(bundle) in refused.error
        assert "\n" not in refused.error
        assert harness.score(normal_picture(1)) == scorer(normal_picture(1)).value
        assert harness.worker() == worker


def test_bundle_that_went_bad_costs_its_own_camera_only(bundle: Path, tiny_bundle: Path, scorer: Scorer) -> None:
    """If a worker is lost while a bundle is bad on disk, the others go on, and a good one brings the camera back."""
    with serving({"cam1": bundle, "cam2": tiny_bundle}) as harness:
        absent(bundle)
        os.kill(harness.worker(), signal.SIGKILL)
        harness.next(EngineLost)
        refused = harness.next(ReloadRefused)
        assert (refused.cameras, refused.kept) == (("cam1",), False)
        assert set(harness.next(EngineReady).bundles) == {"cam2"}
        assert harness.score(normal_picture(1), "cam2") == scorer(normal_picture(1)).value
        harness.submit(normal_picture(1))
        assert harness.next(Scored).reason == "no bundle in service"
        shutil.copytree(tiny_bundle, bundle)
        harness.engine.reload("cam1")
        assert harness.next(Reloaded).cameras == ("cam1",)
        assert harness.score(normal_picture(1)) == scorer(normal_picture(1)).value


def test_reload_waits_for_a_worker(bundle: Path) -> None:
    """A reload that is asked for while no worker runs is done by the next one."""
    with serving(bundle) as harness:
        os.kill(harness.worker(), signal.SIGKILL)
        harness.next(EngineLost)
        harness.engine.reload()
        harness.next(EngineReady)
        assert harness.next(Reloaded).cameras == ("cam1",)


# What it leaves


def resident(pid: int) -> int:
    """Return the memory of a process that is its own, bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_fifty_swaps_leave_nothing(bundle: Path, tmp_path: Path) -> None:
    """Memory, descriptors and threads of the worker are after many swaps what they were after a few."""
    pair = [bundle, with_threshold(bundle, tmp_path / "new.bundle", 70.0)]
    with serving({"cam1": bundle, "cam2": bundle}) as harness:
        pid = harness.worker()
        for swap in range(SWAPS + 10):
            if swap == 10:
                before = resident(pid), descriptors(pid), len(list(Path(f"/proc/{pid}/task").iterdir()))
            harness.engine.reload(path=str(pair[(swap + 1) % 2]))
            assert harness.next(Reloaded).info.path == str(pair[(swap + 1) % 2])
            harness.score(normal_picture(swap))
        after = resident(pid), descriptors(pid), len(list(Path(f"/proc/{pid}/task").iterdir()))
        assert after[1:] == before[1:]
        assert after[0] - before[0] < HEAP


def test_memory_is_unmapped_when_it_is_detached(tiny_bundle: Path) -> None:
    """After many memories came and went, the worker has mapped only the last, and no descriptor is left open."""
    with serving(tiny_bundle) as harness:
        pid = harness.worker()
        harness.score(normal_picture(1))
        here, there = descriptors(os.getpid()), descriptors(pid)
        for number in range(2, 52):
            memory = Memory(HW)
            harness.engine.attach(number, memory.descriptor, memory.size)
            memory.write(0, normal_picture(1))
            memory.close()
            harness.engine.submit("cam1", SharedFrame(number, 0, HW, number, 0, 0), PLAIN)
            assert harness.next(Scored).result is not None
            harness.engine.detach(number)
        harness.score(normal_picture(1))
        assert Path(f"/proc/{pid}/maps").read_text().count("memfd:patchedge") == 1
        assert (descriptors(os.getpid()), descriptors(pid)) == (here, there)


def test_crashes_leave_nothing(tiny_bundle: Path) -> None:
    """Descriptors, threads and children of the runtime are after some crashes what they were before."""
    with serving(tiny_bundle) as harness:
        before = descriptors(os.getpid()), threading.active_count()
        for _ in range(5):
            os.kill(harness.worker(), signal.SIGKILL)
            harness.next(EngineLost)
            harness.next(EngineReady)
        assert (descriptors(os.getpid()), threading.active_count()) == before
        harness.worker()


@pytest.mark.parametrize("fault", [None, hang, stop])
def test_close_ends_a_worker_in_any_state(tiny_bundle: Path, fault: Callable[[Harness], None] | None) -> None:
    """An idle, a hung and a stopped worker are gone within a second, and their frames are answered."""
    with serving(tiny_bundle) as harness:
        if fault:
            fault(harness)
        start = time.monotonic()
        harness.engine.close()
        assert time.monotonic() - start < 1.0
        assert children() == []
        if fault:
            assert harness.next(Scored).result is None
        assert harness.events.empty()


def test_close_before_and_during_the_start(tiny_bundle: Path) -> None:
    """An engine that never started, and one that is just starting, end without a word."""
    for started in (False, True):
        harness = Harness({"cam1": tiny_bundle})
        if started:
            harness.engine.start()
        harness.engine.close()
        harness.memory.close()
        assert harness.events.empty()
        assert children() == []


PARENT = """
import queue, sys
from runtime.inference.engine import Engine
from runtime.inference.protocol import ScoringOptions
events = queue.SimpleQueue()
Engine({"cam1": sys.argv[1]}, events.put, ScoringOptions(threads=1)).start()
print(events.get(), flush=True)
queue.SimpleQueue().get()
"""


def test_killed_parent_leaves_no_worker(tiny_bundle: Path) -> None:
    """SIGKILL of the runtime ends the worker too."""
    root = Path(__file__).parents[2]
    command = (sys.executable, "-c", PARENT, str(tiny_bundle))
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert "EngineReady" in parent.stdout.readline()
        (worker,) = children(parent.pid)
        watched = os.pidfd_open(worker)
        parent.kill()
    ended = select.poll()
    ended.register(watched, select.POLLIN)
    try:
        assert ended.poll(ENOUGH_S * 1000)
    finally:
        os.close(watched)


def test_engine_is_light() -> None:
    """The side of the runtime loads neither OpenCV nor ONNX Runtime nor hnswlib."""
    check = "import sys, runtime.inference.engine; print(sorted({'cv2', 'onnxruntime', 'hnswlib'} & set(sys.modules)))"
    done = subprocess.run(
        (sys.executable, "-c", check), cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# What it tells of a frame beside its score

QUALITY = 90
AN_ALERT = Wanted(THRESHOLD, THRESHOLD, frozenset({"jpeg", "heat_map"}), QUALITY)
SQUARE_BOX = (40, 12, 16, 12)
"""The patches, 8 x 6 pixels each, that the red square of a strange picture lies on."""
NEAR = 12.0  # mean grey levels: a JPEG of noise at this quality is no further from it


def told_of(harness: Harness, picture: Image, wanted: Wanted = AN_ALERT) -> Scored:
    """Have a picture scored, and wait for what is told of it."""
    harness.submit(picture, wanted=wanted)
    scored = harness.next(Scored)
    assert scored.result is not None, scored.reason
    return scored


def half_of(picture: Image, left: Image) -> Image:
    """Return a picture whose left half is another's."""
    return np.concatenate((left[:, : WIDTH // 2], picture[:, WIDTH // 2 :]), axis=1)


def test_alert_brings_boxes_a_picture_and_a_map(tiny_bundle: Path) -> None:
    """Of a frame over `detail_above`: the box of the red square, the frame as a JPEG, and a map that peaks there."""
    with serving(tiny_bundle) as harness:
        for seed in range(3):
            harness.score(normal_picture(seed))
        picture = strange_picture(7)
        scored = told_of(harness, picture)
        assert scored.result is not None
        assert scored.result.boxes == (SQUARE_BOX,)
        told = {part.name: (part, data) for part, data in zip(scored.result.parts, scored.attached, strict=True)}
        assert set(told) == {"jpeg", "heat_map"}
        part, data = told["jpeg"]
        assert part.media_type == "image/jpeg"
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == picture.shape
        assert np.abs(decoded.astype(float) - picture).mean() < NEAR
        part, data = told["heat_map"]
        assert (part.media_type, part.dtype, part.shape) == ("image/png", "uint16", GRID)
        assert part.area == (0, 0, WIDTH, HEIGHT)
        levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert (levels.dtype, levels.shape) == (np.uint16, GRID)
        y, x = np.unravel_index(np.argmax(levels), GRID)
        left, top, width, height = SQUARE_BOX
        assert left <= x * WIDTH / GRID[1] < left + width
        assert top <= y * HEIGHT / GRID[0] < top + height


def test_quality_of_the_picture_is_the_one_that_is_wanted(tiny_bundle: Path) -> None:
    """The JPEG of each frame has the quality that is asked for with it: the better one takes more bytes."""
    with serving(tiny_bundle) as harness:
        sizes = []
        for quality in (20, 95):
            wanted = Wanted(THRESHOLD, THRESHOLD, frozenset({"jpeg"}), quality)
            harness.submit(strange_picture(7), wanted=wanted)
            (data,) = harness.next(Scored).attached
            sizes.append(len(data))
        assert sizes[1] > 2 * sizes[0]


def test_nothing_is_brought_that_is_not_wanted(tiny_bundle: Path) -> None:
    """A frame below the threshold has no boxes, one below `detail_above` has what is known, and parts only by name."""
    with serving(tiny_bundle) as harness:
        below = told_of(harness, normal_picture(1))
        assert below.result is not None
        assert (below.result.boxes, below.result.parts, below.attached) == ((), (), ())
        known = told_of(harness, strange_picture(2), Wanted(THRESHOLD, 1e6, AN_ALERT.attach))
        assert known.result is not None
        (box,) = known.result.boxes
        left, top, width, height = SQUARE_BOX
        assert left <= box[0] < left + width
        assert top <= box[1] < top + height
        assert (known.result.parts, known.attached) == ((), ())
        named = told_of(harness, strange_picture(2), Wanted(THRESHOLD, THRESHOLD, frozenset({"jpeg"})))
        assert named.result is not None
        assert [part.name for part in named.result.parts] == ["jpeg"]


def test_only_the_regions_of_a_camera_are_judged(tiny_bundle: Path) -> None:
    """With the red square outside of a camera's regions it scores as if it were not there; another camera sees it."""
    left = ((0, 0), (31, 0), (31, HEIGHT), (0, HEIGHT))
    right = ((32, 0), (WIDTH, 0), (WIDTH, HEIGHT), (32, HEIGHT))
    views = {"left": View(regions=(left,)), "rest": View(ignore=(right,)), "right": View(regions=(right,))}
    bundles_of = dict.fromkeys([*views, "all"], tiny_bundle)
    with serving(bundles_of, views=views) as harness:
        for seed in range(5):
            strange, normal = strange_picture(seed), normal_picture(seed)
            scores = {name: harness.score(strange, name) for name in bundles_of}
            assert scores["left"] == scores["rest"] == harness.score(normal, "left")
            assert scores["left"] < THRESHOLD < scores["right"] == scores["all"]  # type: ignore[operator]
            other = half_of(normal, left=strange_picture(seed)[:, ::-1])  # a red square on the left
            assert harness.score(other, "right") < THRESHOLD < harness.score(other, "left")  # type: ignore[operator]


LEFT = ((0, 0), (31, 0), (31, HEIGHT), (0, HEIGHT))
"""Polygon without the red square of a strange picture."""

NOWHERE = ((1, 1), (2, 1), (2, 2))
"""Polygon between the centres of patches."""


def test_regions_change_between_two_frames(tiny_bundle: Path) -> None:
    """Frames that were submitted before a review are scored as before, and all later ones by the new regions."""
    with serving(tiny_bundle) as harness:
        before = [harness.submit(strange_picture(seed)) for seed in range(2)]
        number = harness.engine.views.review("cam1", View(regions=(LEFT,)), HW)
        scored = [harness.next(Scored) for _ in before]
        assert all(one.result is not None and one.result.value > THRESHOLD for one in scored)  # type: ignore[operator]
        reviewed = harness.next(Reviewed)
        assert (reviewed.number, reviewed.info.regions_of["cam1"]) == (number, "settings")
        assert harness.score(strange_picture(3)) < THRESHOLD  # type: ignore[operator]
        harness.engine.views.review("cam1", View(own=False), HW)
        assert harness.next(Reviewed).info.regions_of["cam1"] == ""
        assert harness.score(strange_picture(3)) > THRESHOLD  # type: ignore[operator]


def test_scores_after_a_review_are_those_of_a_worker_that_began_with_it(tiny_bundle: Path) -> None:
    """The search keeps nothing from the time before that could change a score."""
    with serving(tiny_bundle, views={"cam1": View(regions=(LEFT,))}) as fresh:
        expected = [fresh.score(strange_picture(seed)) for seed in range(4)]
    with serving(tiny_bundle) as harness:
        harness.score(strange_picture(1))
        harness.engine.views.review("cam1", View(regions=(LEFT,)), HW)
        harness.next(Reviewed)
        assert [harness.score(strange_picture(seed)) for seed in range(4)] == expected


def test_regions_in_which_nothing_is_seen_change_nothing(tiny_bundle: Path) -> None:
    """They are refused with the reason, also if they are far outside of the frame, and the camera goes on."""
    far = ((900, 900), (1000, 900), (1000, 1000))
    everything = ((0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT))
    with serving(tiny_bundle) as harness:
        for view, problem in (
            (View(regions=(LEFT, NOWHERE)), "cameras.cam1.regions[1]`: nothing is seen there"),
            (View(regions=(far,)), "hold no patch of a frame of 64 x 48 pixels"),
            (View(ignore=(everything,)), "nothing is left to be judged"),
        ):
            harness.engine.views.review("cam1", view, HW)
            assert problem in harness.next(ReviewRefused).error
        harness.engine.views.review("cam1", View(regions=(LEFT,)), HW, check_only=True)
        harness.next(Reviewed)
        assert harness.score(strange_picture(1)) > THRESHOLD  # type: ignore[operator]


def test_next_worker_begins_with_the_new_regions(tiny_bundle: Path) -> None:
    """A worker that is replaced after a review judges what that said; a review that was only a check is forgotten."""
    with serving(tiny_bundle) as harness:
        harness.engine.views.review("cam1", View(regions=(LEFT,)), HW)
        harness.next(Reviewed)
        harness.engine.views.review("cam1", View(), HW, check_only=True)
        harness.next(Reviewed)
        os.kill(harness.worker(), signal.SIGKILL)
        harness.until(EngineReady)
        assert harness.score(strange_picture(1)) < THRESHOLD  # type: ignore[operator]


@pytest.mark.parametrize("insist", [False, True])
def test_review_that_a_worker_dies_over(tiny_bundle: Path, *, insist: bool) -> None:
    """It is answered as lost; the next worker begins with it only if that was insisted on."""
    with serving(tiny_bundle) as harness:
        os.kill(harness.worker(), signal.SIGSTOP)
        number = harness.engine.views.review("cam1", View(regions=(LEFT,)), HW, insist=insist)
        os.kill(harness.worker(), signal.SIGKILL)
        refused = [one for one in harness.until(EngineReady) if isinstance(one, ReviewRefused)]
        assert [(one.number, one.lost) for one in refused] == [(number, True)]
        assert (harness.score(strange_picture(1)) < THRESHOLD) == insist  # type: ignore[operator]


def test_what_is_not_judged_is_in_no_box_and_no_map(tiny_bundle: Path, scorer: Scorer) -> None:
    """Boxes hold patches of the regions only, and the map is that of distances that are zero in all others."""
    columns = ((0, 0), (47, 0), (47, HEIGHT), (0, HEIGHT))  # all patches but those of the last two columns
    with serving(tiny_bundle, views={"cam1": View(regions=(columns,))}) as harness:
        scored = told_of(harness, strange_picture(3))
        assert scored.result is not None
        assert scored.result.boxes == ((40, 12, 8, 12),)
        (heat,) = (
            heat_map.decode(part, data)
            for part, data in zip(scored.result.parts, scored.attached, strict=True)
            if part.name == "heat_map"
        )
        features = scorer.embed(scorer.preprocess(strange_picture(3)))
        distances = ExactSearch(load_file(tiny_bundle / bundles.BANK)["bank"])(features).distance.reshape(GRID)
        distances[:, 6:] = 0
        over = distances >= THRESHOLD
        np.testing.assert_allclose(heat[over], distances[over], atol=distances.max() / 65535)
        assert (heat[~over] < THRESHOLD).all()
        assert not heat[:, 6:].any()


def test_regions_without_a_patch_are_said(tiny_bundle: Path) -> None:
    """Where no patch lies in the regions, frames have no score and the reason says so; other cameras go on."""
    far = ((900, 900), (1000, 900), (1000, 1000))  # as of a larger frame than those that were learnt from
    with serving({"cam1": tiny_bundle, "cam2": tiny_bundle}, views={"cam1": View(regions=(far,))}) as harness:
        harness.submit(normal_picture(1))
        scored = harness.next(Scored)
        assert (scored.result, scored.reason) == (
            None,
            "the camera's regions hold no patch of a frame of 64 x 48 pixels",
        )
        assert harness.score(normal_picture(1), "cam2") is not None


def test_many_regions_reach_the_worker(tiny_bundle: Path) -> None:
    """Settings with as many corners as are allowed reach the worker, though they are longer than a message may be."""
    far = tuple((60_000 + corner, 60_000 + corner % 7) for corner in range(256))
    view = View(regions=(((0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)), *[far] * 63), ignore=(far,) * 64)
    with serving(tiny_bundle, views={"cam1": view}) as harness:
        assert harness.score(strange_picture(1)) > THRESHOLD  # type: ignore[operator]


def test_parts_leave_nothing(tiny_bundle: Path) -> None:
    """Descriptors of runtime and worker are after many parts what they were before."""
    with serving(tiny_bundle) as harness:
        told_of(harness, strange_picture(0))
        harness.score(normal_picture(0))  # when it is answered, the worker is done with the frame before
        before = descriptors(os.getpid()), descriptors(harness.worker())
        for seed in range(20):
            assert len(told_of(harness, strange_picture(seed)).attached) == 2
        harness.score(normal_picture(0))
        assert (descriptors(os.getpid()), descriptors(harness.worker())) == before


def test_answers_that_make_no_sense_end_the_worker_alone(tiny_bundle: Path) -> None:
    """Whatever nonsense a worker answers, it is replaced, the frame is answered, and no descriptor is left open."""
    with serving(tiny_bundle, command=module("tests.support.fakes.senseless")) as harness:
        before = descriptors(os.getpid())
        for kind, name in enumerate(ANSWERS):
            frame = harness.submit(normal_picture(1), wanted=Wanted(kind, math.inf))
            lost, scored = harness.next(EngineLost), harness.next(Scored)
            assert (lost.cause, lost.reason.partition(":")[0]) == ("crashed", "it sent an invalid message"), name
            assert (scored.frame, scored.result, scored.attached) == (frame, None, ()), name
            harness.next(EngineReady)
            assert descriptors(os.getpid()) == before, name
