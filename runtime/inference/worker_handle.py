"""One inference worker from its start to its end: its process, and the frames that it has not answered yet."""

from __future__ import annotations

import math
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from runtime.events import EngineLost, EngineRefused, Previewed, ShadowScored
from runtime.frame import PICTURE, BundleInfo, SharedFrame, Wanted
from runtime.inference.late_answers import LateAnswers
from runtime.inference.protocol import (
    Begin,
    Done,
    FromWorker,
    Job,
    Load,
    LoadBeside,
    Loaded,
    LoadedBeside,
    PreviewDone,
    Review,
    ShadowDone,
    ToWorker,
    sizes_of,
)
from runtime.process.child import Link, LinkClosed, module, spawn
from runtime.process.long_payload import pack, unpack
from runtime.process.out_of_memory import Child, Kills
from runtime.process.signals import signal_name
from runtime.view import View

Cause = Literal["crashed", "memory", "hung", "start"]


class Lost(Exception):
    """A worker cannot be used any more; `event` is the event to report."""

    def __init__(self, event: EngineLost | EngineRefused) -> None:
        super().__init__()
        self.event = event


def lost(cause: Cause, reason: str) -> Lost:
    """Make an error of cause and reason, as in `EngineLost`."""
    return Lost(EngineLost(cause, reason))


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """How a worker is started and watched.

    Attributes:
        command: starts the process.
        job_timeout_s: frame time-out, seconds, after which a worker counts as hung.
        load_timeout_s: the same for a bundle; ten times as long where `ScoringOptions.loads_slowly`.
        kills: the kernel's count of processes that it killed for want of memory; None: the real one.
    """

    command: Sequence[str] = module("runtime.inference.worker")
    job_timeout_s: float = 10.0
    load_timeout_s: float = 120.0
    kills: Kills | None = None


class WorkerHandle:
    """A worker. The methods are for one thread at a time, but `receive`, which waits."""

    def __init__(self, process: WorkerProcess) -> None:
        """Start the process; it dies with the thread that does this.

        Raises:
            Lost: there is no process, no memory or no descriptor to be had.
        """
        try:
            self._process, sock = spawn(process.command)
        except OSError as error:
            raise lost("start", f"cannot be started ({error.strerror})") from error
        self._child = Child("worker", self._process, process.kills)
        self._link: Link[FromWorker] = Link(sock, FromWorker)
        self._job_timeout_s = process.job_timeout_s
        self._load_timeout_s = process.load_timeout_s
        self._answered_s = dict.fromkeys((Job, Load), 0.0)
        self.jobs: dict[int, tuple[str, SharedFrame, float]] = {}
        self._late = LateAnswers()
        self.loads: dict[int, tuple[Load, float]] = {}
        self.reviews: dict[int, tuple[str, View, float]] = {}
        """Number of a `Review` that is not answered -> camera, its new view, and when it was sent."""
        self.beside: dict[int, tuple[LoadBeside, float]] = {}
        """Number of a candidate that is not answered -> what was sent, and when."""
        self.bundles: dict[str, BundleInfo] = {}
        """Of the cameras that can be scored."""
        self.starting: set[int] = set()
        """Numbers of the loads that the worker starts with, and that are not answered."""
        self.ready = False

    @property
    def batch(self) -> int:
        """The smallest batch of its bundles: more frames in it would only be older when their turn comes."""
        return min((info.batch for info in self.bundles.values()), default=1)

    def send(self, message: ToWorker, descriptors: Sequence[int] = ()) -> None:
        """Send a message; where that is not possible, `receive` finds out."""
        try:
            self._link.send(message, descriptors)
        except LinkClosed:
            self._link.hang_up()

    def begin(self, begin: Begin, views: bytes) -> None:
        """Send how to score.

        Raises:
            Lost: there is no shared memory for it.
        """
        try:
            parcel = pack([views])
        except OSError as error:
            raise lost("start", f"no shared memory ({error.strerror})") from error
        self.send(begin, [parcel])
        os.close(parcel)

    def submit(self, number: int, camera: str, frame: SharedFrame, hw: tuple[int, int], wanted: Wanted) -> None:
        """Send a frame of the height and width `hw`, and what is wanted of it."""
        self.jobs[number] = camera, frame, time.monotonic()
        above = wanted.detail_above if math.isfinite(wanted.detail_above) else None
        place = (frame.memory, frame.slot, hw)
        told = (wanted.attach, wanted.jpeg_quality, frame.content_id)
        late = wanted.preview, frame.frame_id == PICTURE, wanted.shadow
        job = Job(number, camera, *place, frame.clock_ns, wanted.threshold, above, *told, *late)
        self._late.ask(job, camera, frame)
        self.send(job)

    def load(self, number: int, cameras: tuple[str, ...], path: str, root: str) -> None:
        """Send a bundle, and the one that it must be a child of."""
        load = Load(number, cameras, path, root)
        self.loads[number] = load, time.monotonic()
        self.send(load)

    def load_beside(self, number: int, camera: str, path: str) -> None:
        """Send a candidate."""
        self.beside[number] = LoadBeside(number, camera, path), time.monotonic()
        self.send(self.beside[number][0])

    def loaded_beside(self, loaded: LoadedBeside) -> LoadBeside:
        """Take a candidate off the list; give what was sent.

        Raises:
            Lost: it is not on the list.
        """
        if loaded.number not in self.beside:
            raise _senseless("an answer for an unknown candidate")
        self._answered_s[Load] = time.monotonic()
        return self.beside.pop(loaded.number)[0]

    def review(self, number: int, camera: str, view: View, frame_hw: tuple[int, int] | None, *, check: bool) -> None:
        """Send another view of a camera.

        Raises:
            OSError: there is no shared memory for it.
        """
        data = msgspec.json.encode(view)
        parcel = pack([data])
        self.reviews[number] = camera, view, time.monotonic()
        self.send(Review(number, camera, len(data), frame_hw, check), [parcel])
        os.close(parcel)

    def reviewed(self, loaded: Loaded) -> tuple[str, View]:
        """Take a review off the list; give its camera and view."""
        self._answered_s[Load] = time.monotonic()
        camera, view, _ = self.reviews.pop(loaded.number)
        if loaded.info is not None:
            self.bundles[camera] = loaded.info
        return camera, view

    def done(self, done: Done) -> tuple[str, SharedFrame]:
        """Take a frame off the list; give it and its camera.

        Raises:
            Lost: it is not on the list.
        """
        if done.number not in self.jobs:
            raise _senseless("an answer for an unknown frame")
        self._answered_s[Job] = time.monotonic()
        camera, frame, _ = self.jobs.pop(done.number)
        if done.result is None:
            self._late.drop(done.number)
        return camera, frame

    def previewed(self, done: PreviewDone, attached: tuple[bytes, ...]) -> Previewed:
        """Take a preview, with the bytes of its parts, off the list; give what to tell of it.

        Raises:
            Lost: it is not on the list, or too early.
        """
        if done.number in self.jobs or (found := self._late.previewed(done, attached)) is None:
            raise _senseless("a preview of an unknown frame")
        return found

    def shadowed(self, done: ShadowDone) -> ShadowScored:
        """Take the score by a candidate off the list; it raises as `previewed` does."""
        if done.number in self.jobs or (found := self._late.shadowed(done)) is None:
            raise _senseless("a candidate's score of an unknown frame")
        return found

    def loaded(self, loaded: Loaded) -> tuple[Load, bool]:
        """Take a bundle off the list; give what was sent, and whether the worker started with it.

        Raises:
            Lost: it is not on the list.
        """
        if loaded.number not in self.loads:
            raise _senseless("an answer for an unknown bundle")
        self._answered_s[Load] = time.monotonic()
        self._child.look()
        load, _ = self.loads.pop(loaded.number)
        starts = loaded.number in self.starting
        self.starting.discard(loaded.number)
        if loaded.info is not None:
            self.bundles.update(dict.fromkeys(load.cameras, loaded.info))
        return load, starts

    def receive(self, timeout_s: float) -> tuple[FromWorker, tuple[bytes, ...]] | None:
        """Wait for an answer, and the bytes of the parts of its result.

        Raises:
            LinkClosed: there will be none.
            Lost: the message is invalid.
        """
        heard = self._link.receive(timeout_s)
        if heard is None:
            return None
        message, descriptors = heard
        try:
            return message, unpack(descriptors, sizes_of(message))
        except (OSError, ValueError) as error:
            raise _senseless(str(error)) from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def watch(self) -> None:
        """Look whether an answer is overdue, and what memory loading takes.

        Raises:
            Lost: so it is.
        """
        now = time.monotonic()
        jobs = [since for _, _, since in self.jobs.values()]
        if jobs and now - max(jobs[0], self._answered_s[Job]) > self._job_timeout_s:
            raise lost("hung", f"frame time-out of {self._job_timeout_s:g} s")
        loads = [since for _, since in (*self.loads.values(), *self.beside.values())]
        loads += [since for *_, since in self.reviews.values()]
        if self.loads or self.beside:
            self._child.look()  # where memory is short, it is killed while it loads: afterwards nothing is known
        if loads and now - max(min(loads), self._answered_s[Load]) > self._load_timeout_s:
            raise lost("hung", f"time-out of {self._load_timeout_s:g} s while loading a bundle")

    def hang_up(self) -> None:
        """Make the worker end, and `receive` raise."""
        self._link.hang_up()

    def kill(self) -> None:
        """End it without asking."""
        self._process.kill()

    def end(self) -> EngineLost:
        """Free what it has, and say how it ended; for the thread that receives."""
        self._link.close()
        self._child.end()
        bundles = tuple(info.path for info in self.bundles.values())
        sent = (*(one.path for one, _ in self.loads.values()), *(one.path for one, _ in self.beside.values()))
        cameras = {camera for load, _ in self.loads.values() for camera in load.cameras} | set(self.bundles)
        reason = self._child.killed_for_memory((*bundles, *sent), max(1, len(cameras)))
        return EngineLost("memory", reason) if reason else EngineLost("crashed", _how(self._process))


def _senseless(what: str) -> Lost:
    """Return the error for a worker that sends invalid messages."""
    return lost("crashed", f"it sent an invalid message: {what}")


def _how(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code is None:
        return "the kernel cannot end it"
    if code >= 0:
        return f"ended with exit code {code}"
    return f"ended by {signal_name(-code)}"
