"""Frames of several cameras while all else happens to the inference worker at once.

    python -m tests.programs.engine_chaos --seeds 1 2 3 --steps 400

Cameras share a network and go together in batches. Meanwhile bundles are replaced, good ones and others, candidates
come and go, cameras are told to look at other regions, previews and their scores are asked for, some frames fail, and
the worker is killed or crashes. Two cameras have larger frames than the others. What must hold: each frame has one
answer, which is a reason or the score of that frame by the bundle and the regions that its camera had in service just
then; each order has one answer; and there is never a wait without end.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runtime.events import (
    CandidateLoaded,
    EngineLost,
    EngineReady,
    Previewed,
    Reloaded,
    ReloadRefused,
    Reviewed,
    ReviewRefused,
    Scored,
    ShadowScored,
)
from runtime.frame import SharedFrame, Wanted
from runtime.inference.engine import Engine
from runtime.inference.protocol import ScoringOptions
from runtime.inference.worker_handle import WorkerProcess
from runtime.process.backoff import Backoff
from runtime.process.child import module
from runtime.process.shared_memory import SLOTS, Memory
from tests.support.chaos_cameras import CAMERAS, PICTURES, SIZE_OF, VIEWS, picture, scores_of, size_hw, view_of
from tests.support.children import children
from tests.support.fakes.worker import CRASH, FAIL, marked
from tests.support.processes import ENOUGH_S
from tests.support.tiny import HEIGHT, MANY, THRESHOLD, WIDTH, make_bundle

EACH = 2  # frames of a camera in the worker, as a device has it
NO_BUNDLE = "none"
ACTIONS = {
    "frame": 100,
    "review": 6,
    "reload": 6,
    "reload all": 2,
    "candidate": 4,
    "drop": 2,
    "kill": 1,
    "crash": 1,
    "fail": 3,
}


@dataclass
class Rig:
    """An engine, what it owes, and what it said.

    Attributes:
        scores: path of a bundle, view, size of frames and number of a picture -> its score, computed in this process.
        serving, views: camera -> path of the bundle in service, and which regions, by what the engine said.
        frames: number of a frame that has no answer yet -> its camera, slot and picture.
        reloads, candidates, reviews: answers that are owed.
        counts: what happened how often.
    """

    engine: Engine
    events: queue.SimpleQueue[Any]
    memories: dict[str, Memory]
    scores: Mapping[tuple[str, str, int, int], float]
    paths: list[str]
    serving: dict[str, str] = field(default_factory=dict)
    frames: dict[int, tuple[str, int, int | None]] = field(default_factory=dict)
    reloads: Counter[str] = field(default_factory=Counter)
    candidates: set[int] = field(default_factory=set)
    views: dict[str, str] = field(default_factory=lambda: dict.fromkeys(CAMERAS, VIEWS[0]))
    reviews: dict[int, tuple[str, str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    ready: bool = False
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def submit(self, random: np.random.Generator, mark: int | None = None) -> None:
        """Have a frame of any camera that may have one more scored."""
        waiting = Counter(camera for camera, _, _ in self.frames.values())
        free = [camera for camera in CAMERAS if waiting[camera] < EACH]
        if not free or (self.ready and not self.engine.room):
            self.take()
            return
        camera, which = free[random.integers(len(free))], int(random.integers(PICTURES))
        slot = min(set(range(SLOTS)) - {slot for name, slot, _ in self.frames.values() if name == camera})
        shown = picture(which, SIZE_OF[camera])
        shown = shown if mark is None else marked(shown, mark)
        self.memories[camera].write(slot, shown)
        number = next(self.numbers)
        frame = SharedFrame(1 + CAMERAS.index(camera), slot, size_hw(camera), number, 0, number)
        self.frames[number] = camera, slot, which if mark is None else None
        wanted = Wanted(THRESHOLD, THRESHOLD, preview=not random.integers(4), shadow=not random.integers(3))
        self.engine.submit(camera, frame, wanted)

    def reload(self, camera: str | None, path: str) -> None:
        """Ask for a bundle."""
        for one in self.engine.reload(camera, path):
            self.reloads[one] += 1

    def candidate(self, camera: str, path: str) -> None:
        """Ask for a candidate."""
        number = self.engine.candidates.load(camera, path)
        if number is not None:
            self.candidates.add(number)

    def review(self, camera: str, view: str) -> None:
        """Ask for other regions."""
        number = self.engine.views.review(camera, view_of(view, SIZE_OF[camera]), size_hw(camera))
        if number is not None:
            self.reviews[number] = camera, view

    def take(self, *, wait: bool = True) -> bool:
        """Take what the engine said, and hold it against what is known; return whether it said anything."""
        try:
            event = self.events.get(timeout=ENOUGH_S) if wait else self.events.get_nowait()
        except queue.Empty:
            owed = self.frames, self.reloads, self.candidates, self.reviews
            assert not wait, f"nothing more is said, but owed are {owed}"
            return False
        self.counts[type(event).__name__] += 1
        match event:
            case Scored():
                self._scored(event)
            case EngineReady(bundles=there):
                self.ready = True
                self.serving = {camera: info.path for camera, info in there.items()}
            case EngineLost():
                self.ready = False
            case Previewed() | ShadowScored():
                assert not event.problem or "no candidate" in event.problem, event
            case _:
                self._answer(event)
        return True

    def _answer(self, event: Any) -> None:
        """Take the answer to an order."""
        match event:
            case Reloaded(cameras=cameras, info=info):
                self.serving |= dict.fromkeys(cameras, info.path)
                self._answered(info.path)
            case ReloadRefused(path=path, kept=kept, lost=lost):
                assert kept or lost
                assert lost or path == NO_BUNDLE, event
                self._answered(path)
            case Reviewed(number=number):
                camera, self.views[camera] = self.reviews.pop(number)
            case ReviewRefused(number=number, lost=lost):
                assert lost, event
                self.reviews.pop(number)
            case CandidateLoaded(number=number):
                self.candidates.remove(number)
            case _:
                raise AssertionError(event)

    def _answered(self, path: str) -> None:
        self.reloads[path] -= 1
        assert self.reloads[path] >= 0, f"an answer too many about {path}"

    def _scored(self, event: Scored) -> None:
        camera, slot, which = self.frames.pop(event.frame.frame_id)  # a second answer is a KeyError
        assert (event.camera, event.frame.slot) == (camera, slot)
        if event.result is None:
            assert event.reason
            self.counts["without a score"] += 1
            return
        assert which is not None
        place = self.serving[camera], self.views[camera], SIZE_OF[camera], which
        due = self.scores[place]
        assert event.result.value == due, f"{camera} has {event.result.value} with {place}, due is {due}"

    def settle(self) -> None:
        """Wait until nothing is owed, and a worker is there."""
        while self.frames or self.candidates or self.reviews or +self.reloads or not self.ready:
            self.take()


def run(seed: int, steps: int, kills: int) -> Counter[str]:
    """Do so many things in an order that the seed decides, with so many kills and crashes; return what happened."""
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        rig = _start(Path(folder))
        try:
            rig.settle()
            for _ in range(steps):
                _act(rig, random, kills)
                while rig.take(wait=False):
                    pass
            rig.settle()
        finally:
            rig.engine.close()
            for memory in rig.memories.values():
                memory.close()
    assert children() == []
    return rig.counts


def _act(rig: Rig, random: np.random.Generator, kills: int) -> None:
    weights = np.array(list(ACTIONS.values()), dtype=np.float64)
    action = list(ACTIONS)[random.choice(len(ACTIONS), p=weights / weights.sum())]
    camera = CAMERAS[random.integers(len(CAMERAS))]
    path = [*rig.paths, NO_BUNDLE][random.integers(len(rig.paths) + 1)]
    if action in {"kill", "crash"}:
        if not rig.ready or rig.counts["kills"] >= kills:
            return
        rig.counts["kills"] += 1
        if action == "kill":
            (worker,) = children()
            os.kill(worker, signal.SIGKILL if random.integers(2) else signal.SIGSEGV)
            return
    do: dict[str, Callable[[], None]] = {
        "frame": lambda: rig.submit(random),
        "crash": lambda: rig.submit(random, CRASH),
        "fail": lambda: rig.submit(random, FAIL),
        "reload": lambda: rig.reload(camera, path),
        "reload all": lambda: rig.reload(None, rig.paths[0]),
        "candidate": lambda: rig.candidate(camera, path),
        "review": lambda: rig.review(camera, VIEWS[random.integers(len(VIEWS))]),
        "drop": lambda: rig.engine.candidates.drop(camera),
    }
    do[action]()
    if not rig.ready:  # what is submitted now has its answer at once: few of these are enough
        rig.take()


def _start(folder: Path) -> Rig:
    """Start an engine with bundles of one network, of which each scores otherwise."""
    square = ((36, 8), (56, 8), (56, 28), (36, 28))
    made = [
        make_bundle(folder / "four.bundle", model=MANY),
        make_bundle(folder / "two.bundle", model=MANY, pictures=2),
        make_bundle(folder / "square.bundle", (square,), (HEIGHT, WIDTH), model=MANY),
    ]
    scores = {place: value for path in made for place, value in scores_of(path)}
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    process = WorkerProcess(command=module("tests.support.fakes.worker"))
    options = ScoringOptions(2, max_batch=4)
    paths = dict.fromkeys(CAMERAS, str(made[0]))
    engine = Engine(paths, events.put, options, process=process, backoff=Backoff(0.01, 0.02))
    memories = {camera: Memory(size_hw(camera)) for camera in CAMERAS}
    for number, memory in enumerate(memories.values(), start=1):
        engine.attach(number, memory.descriptor, memory.size)
    engine.start()
    return Rig(engine, events, memories, scores, [str(path) for path in made])


def main() -> None:
    """Run some seeds, and print a line of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--kills", type=int, default=8)
    given = parser.parse_args()
    for seed in given.seeds:
        counts = run(seed, given.steps, given.kills)
        print(f"seed {seed}: {', '.join(f'{name} {count}' for name, count in sorted(counts.items()))}", flush=True)


if __name__ == "__main__":
    main()
