"""A device with two cameras that learns on: its main loop, real learners' processes, and an engine that is a fake."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from edge_config.bundle import files as bundles
from edge_config.wire.versions import LearnOn, OfVersions
from runtime.events import Asked, Reloaded, ReloadRefused
from runtime.frame import BundleInfo
from runtime.versions.activations import Activation
from runtime.versions.events import LearnerEnded, LearnerMoved, Pointed, TargetFound
from runtime.versions.keeper import VersionKeeper
from runtime.versions.learner_process import LearnerLimits
from runtime.versions.learner_queue import LearnerQueue, QueueOptions
from runtime.versions.lessons import LessonPictures
from runtime.versions.listing import Bounds
from runtime.versions.seal import Seal
from runtime.versions.shelves import Shelves
from tests.support.fakes.learner import COMMAND
from tests.support.processes import ENOUGH_S

ME = "k" * 40


class Taught:
    """Stored pictures: those that were not learnt yet."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[str]] = {}
        self.held_out: dict[str, list[str]] = {}
        self.rejected: list[str] = []

    def pictures(self, camera: str) -> LessonPictures:
        held_out = {name: f"/pictures/{name}" for name in self.held_out.get(camera, [])}
        return LessonPictures(tuple(f"/pictures/{name}" for name in self.waiting.get(camera, [])), held_out)

    def learnt(self, camera: str, learnt: Sequence[str], held_out: Sequence[str]) -> None:
        self.waiting[camera] = [name for name in self.waiting.get(camera, []) if name not in {*learnt, *held_out}]
        self.held_out[camera] = sorted({*self.held_out.get(camera, []), *held_out})
        self.rejected = [name for name in self.rejected if name not in {*learnt, *held_out}]

    def learn_again(self, camera: str, learnt: Sequence[str], held_out: Sequence[str]) -> None:
        names = [*learnt, *held_out]
        self.held_out[camera] = [name for name in self.held_out.get(camera, []) if name not in names]
        self.waiting[camera] = [*self.waiting.get(camera, []), *names]

    def taken_back(self, camera: str, pictures: Sequence[str]) -> None:
        self.held_out[camera] = [name for name in self.held_out.get(camera, []) if name not in pictures]
        self.rejected += pictures


class LearningDevice:
    """A device with two cameras, its main loop, and an engine that answers at once.

    Attributes:
        answers: number of the request -> its reply, or the reason why it was refused.
        loses: how often the worker dies while it loads.
        refuses: why the engine refuses bundles; empty: it does not.
    """

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder = folder
        self.roots = {"top": str(bundle), "side": str(bundle)}
        self.taught = Taught()
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.answers: dict[int, Any] = {}
        self.loses, self.refuses = 0, ""
        self.loaded: list[str] = []
        self.key: SigningKey | None = None
        self._numbers = 0
        self.start()

    def start(self) -> None:
        """Start, as after a restart of the device."""
        self.shelves = Shelves(self.roots, self.folder)
        self.serving = {camera: info_at(path) for camera, path in self.shelves.at_start().items()}
        limits = LearnerLimits(command=COMMAND)
        learners = LearnerQueue(self.inbox.put, Seal(self.key), QueueOptions(limits, shortest_s=0.01, longest_s=0.02))
        parts = (self.shelves, self, self, self.serving.__getitem__, self.taught)
        self.keeper = VersionKeeper(*parts, tell=self.inbox.put, queue=learners, bounds=Bounds())
        self.keeper.ready()

    def teach(self, *names: str, camera: str = "top") -> None:
        """Accept pictures."""
        self.taught.waiting[camera] = list(names)

    def ask(self, request: OfVersions) -> int:
        """Send a request; return its number."""
        self._numbers += 1
        self.keeper.ask(Asked(self._numbers, request, ME))
        return self._numbers

    def answer(self, request: OfVersions) -> Any:
        """Send a request, and wait for the answer."""
        number = self.ask(request)
        self.until(lambda: number in self.answers)
        return self.answers[number]

    def until(self, wanted: Callable[[], bool]) -> None:
        """Run the main loop until something is the case."""
        while not wanted():
            self.turn()

    def turn(self) -> None:
        """Handle an event."""
        match self.inbox.get(timeout=ENOUGH_S):
            case LearnerMoved() | LearnerEnded() | TargetFound() | Pointed() as event:
                self.keeper.handle(event)
            case Reloaded() as event:
                self.serving[event.cameras[0]] = event.info
                self.keeper.taken(event)
            case ReloadRefused() as event:
                self.keeper.refused(event)
            case None:
                pass

    def state(self, camera: str = "top") -> dict[str, Any]:
        """Return what the status says."""
        return self.keeper.status()[camera]

    def until_state(self, *states: str, camera: str = "top") -> dict[str, Any]:
        """Run until learning of a camera is in a state."""
        self.until(lambda: self.state(camera)["state"] in states)
        return self.state(camera)

    def learn(self, *names: str, camera: str = "top") -> str:
        """Learn pictures, and wait until the new bundle serves; return its id."""
        self.teach(*names, camera=camera)
        self.answer(LearnOn(camera=camera))
        state = self.until_state("done", "failed", "waiting", camera=camera)
        assert state["state"] == "done", state
        assert self.serving[camera].id == state["version"]
        return str(state["version"])

    def learner(self) -> int:
        """Wait for a learner, and return its process id."""
        self.until(lambda: self.state()["step"] != "")
        return int(self.keeper._queue._process.pid)

    def root_request(self, what: str, path: Path | None = None, camera: str = "top") -> tuple[Activation, str]:
        """Assign the bundle at a path as the root, or go back; return how it ended, and the problem."""
        ended: list[tuple[Activation, str]] = []

        def done(one: Activation, problem: str) -> None:
            ended.append((one, problem))
            self.inbox.put(None)

        if what == "go_back":
            self.keeper.roots.go_back(camera, ME, done)
        else:
            assert path is not None
            self.keeper.roots.activate(camera, str(path), bundles.read(path).id, ME, done)
        self.until(lambda: bool(ended))
        return ended[0]

    # The engine

    def reload(self, camera: str | None = None, path: str | None = None) -> set[str]:
        assert camera is not None
        assert path is not None
        self.loaded.append(path)
        if self.loses:
            self.loses -= 1
            self.inbox.put(ReloadRefused((camera,), path, "the worker died", lost=True))
        elif self.refuses:
            self.inbox.put(ReloadRefused((camera,), path, self.refuses))
        else:
            self.inbox.put(Reloaded((camera,), info_at(path)))
        return {path}

    # The control socket

    def reply(self, asked: Asked, payload: Any) -> None:
        self.answers[asked.number] = payload
        self.inbox.put(None)

    def refuse(self, asked: Asked, error: str) -> None:
        self.reply(asked, error)


def info_at(path: str) -> BundleInfo:
    found = bundles.read(path)
    return BundleInfo(found.id, path, found.manifest.calibration.threshold, 0.01)
