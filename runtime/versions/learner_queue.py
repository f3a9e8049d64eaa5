"""Learns for one camera after the other, in a thread of its own that starts and watches the learners."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from edge_config.errors import PatchedgeError
from runtime.learning.grow.job import LearningJob, write_job
from runtime.process.backoff import Backoff
from runtime.versions.events import LearnerEnded, LearnerMoved, VersionEvent
from runtime.versions.learner_process import Ending, LearnerLimits, LearnerProcess, Step
from runtime.versions.records import LearningOrder
from runtime.versions.seal import Seal, Task

MAX_STARTS = 4
"""A learner that is killed is started again, until it was started this often for one order."""

CLOSE_S = 1.0
"""Time-out of the end of a learner that was killed."""

HELD_S, RUNS_S = 0.2, 0.02
"""A learner is held for so long at most while frames are scored without a pause, and then runs for so long at least."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How learners are run.

    Attributes:
        limits: of each learner.
        shortest_s, longest_s: wait before a learner that was killed is started again, seconds.
    """

    limits: LearnerLimits = field(default_factory=LearnerLimits)
    shortest_s: float = 1.0
    longest_s: float = 30.0


_OPTIONS = QueueOptions()


class LearnerQueue:
    """One learner at a time for the whole device; others wait. Any thread may call."""

    def __init__(self, tell: Callable[[VersionEvent], object], seal: Seal, options: QueueOptions = _OPTIONS) -> None:
        """Start the thread, in which no learner runs yet.

        Args:
            tell: receives events, in the thread of the queue, and must not wait.
            seal: makes a version of what a learner leaves.
            options: how learners are run.
        """
        self._tell = tell
        self._seal = seal
        self._options = options
        self._news = threading.Condition()  # over what follows
        self._tasks: deque[Task] = deque()
        self._current: Task | None = None
        self._process: LearnerProcess | None = None
        self._stopped = ""  # why the current one is to end
        self._closing = False
        self._held, self._turned_s = False, 0.0
        # A learner dies with the thread that started it: this one starts all.
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)
        self._thread.start()

    def ask(self, task: Task) -> None:
        """Queue a task. The events follow."""
        with self._news:
            self._tasks.append(task)
            self._news.notify_all()

    def ahead(self, camera: str) -> int:
        """Return how many tasks are before that of a camera."""
        with self._news:
            cameras = [task.camera for task in (self._current, *self._tasks) if task is not None]
            return cameras.index(camera) if camera in cameras else len(cameras)

    def stop(self, camera: str, reason: str) -> None:
        """Stop the learning of a camera, if there is any; a `LearnerEnded` follows then."""
        with self._news:
            waiting = [task for task in self._tasks if task.camera == camera]
            for task in waiting:
                self._tasks.remove(task)
            if self._current is not None and self._current.camera == camera:
                self._stopped = reason
                self._end_process()
        for task in waiting:
            task.shelf.end()
            self._tell(LearnerEnded(camera, None, reason, stopped=True))

    def give_way(self, *, busy: bool) -> None:
        """Hold the learner while frames are scored, but for a share of the time; call it at every turn of the loop.

        Idle priority is not enough: cores share caches and memory.
        """
        if (process := self._process) is None:
            return
        now_s = time.monotonic()
        if busy and now_s - self._turned_s > (HELD_S if self._held else RUNS_S):
            self._held, self._turned_s = not self._held, now_s
        elif not busy and self._held:
            self._held, self._turned_s = False, now_s
        process.hold(held=self._held)

    def close(self) -> None:
        """Kill the learner, and end the thread. What was begun goes on after the next start."""
        with self._news:
            self._closing = True
            self._end_process()
        self._thread.join(CLOSE_S)  # the kernel may hold a learner inside a driver

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._news.notify_all()

    def _run(self) -> None:
        while (task := self._next()) is not None:
            try:
                event = self._learn(task)
            except PatchedgeError as error:
                event = LearnerEnded(task.camera, None, str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next camera may learn
                _log.exception("internal error while learning", camera=task.camera)
                event = LearnerEnded(task.camera, None, f"internal error ({type(error).__name__}: {error})")
            with self._news:
                self._current = None
            if event is not None:
                if event.version is None:
                    task.shelf.end()
                self._tell(event)

    def _next(self) -> Task | None:
        with self._news:
            self._news.wait_for(lambda: self._tasks or self._closing)
            if self._closing:
                return None
            self._current, self._stopped = self._tasks.popleft(), ""
            return self._current

    def _learn(self, task: Task) -> LearnerEnded | None:
        """Run learners until one seals a bundle, or none will; None: the device is stopping."""
        backoff = Backoff(self._options.shortest_s, self._options.longest_s)
        order, reason = task.order, "it was started too often"
        while order.starts < MAX_STARTS:
            order = msgspec.structs.replace(order, starts=order.starts + 1)
            ending = self._start(task, order)
            if self._closing:
                task.shelf.begin(msgspec.structs.replace(order, starts=order.starts - 1))  # it is not to blame
                return None
            if self._stopped:
                return LearnerEnded(task.camera, None, self._stopped, stopped=True)
            if ending.done:
                version = self._seal(task)
                return LearnerEnded(task.camera, version, force=order.force)
            reason = ending.reason
            if not ending.killed:
                return LearnerEnded(task.camera, None, reason)
            _log.warning("learner killed", camera=task.camera, reason=reason, starts=order.starts, most=MAX_STARTS)
            with self._news:
                self._news.wait_for(lambda: self._closing or self._stopped, backoff.after(0.0))
        return LearnerEnded(task.camera, None, f"given up after {order.starts} starts: {reason}")

    def _start(self, task: Task, order: LearningOrder) -> Ending:
        """Run a learner to its end."""
        shelf, limits = task.shelf, self._options.limits
        shelf.begin(order)  # counted before: a learner that takes the device down with it must not come back for ever
        path = shelf.work / "job.json"
        write_job(path, self._job(task))
        self._tell(LearnerMoved(task.camera, order.starts))
        with self._news:
            if self._closing or self._stopped:
                return Ending(done=False, reason="stopped")
            try:
                process = self._process = LearnerProcess(str(path), limits)
            except OSError as error:
                return Ending(done=False, killed=True, reason=f"cannot be started ({error.strerror})")
        try:
            return process.follow(lambda step: self._tell(_moved(task.camera, order.starts, step)))
        finally:
            with self._news:
                self._process = None

    def _job(self, task: Task) -> LearningJob:
        limits = self._options.limits
        return LearningJob(
            bundle=task.parent_path,
            camera=task.camera,
            learn=list(task.pictures.learn),
            hold_out=[path for name, path in task.pictures.held_out.items() if name in task.held_out],
            peaks=list(task.pictures.peaks),
            out=str(task.shelf.sealed),
            work=str(task.shelf.features),
            by=task.order.by,
            threads=limits.threads,
            memory_mb=limits.memory_mb,
            force=True,
        )


def _moved(camera: str, starts: int, step: Step) -> LearnerMoved:
    return LearnerMoved(camera, starts, step.stage[:100], max(0, step.done), max(0, step.total))
