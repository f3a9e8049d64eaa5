"""The inference worker as the runtime sees it: kept alive, watched, and sent new bundles."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from runtime.events import EngineEvent, EngineLost, EngineReady, EngineRefused, Reloaded, ReloadRefused, Scored
from runtime.frame import SharedFrame, Wanted
from runtime.inference.beside.candidates import Candidates
from runtime.inference.bundle_paths import BundlePaths, Origins
from runtime.inference.camera_views import CameraViews
from runtime.inference.memories import SharedMemories
from runtime.inference.protocol import (
    Attach,
    Begin,
    Detach,
    Done,
    Load,
    Loaded,
    LoadedBeside,
    PreviewDone,
    Refusal,
    ScoringOptions,
    ShadowDone,
)
from runtime.inference.providers.say import say_what_is_odd
from runtime.inference.worker_handle import Lost, WorkerHandle, WorkerProcess, lost
from runtime.process.backoff import Backoff
from runtime.process.child import LinkClosed
from runtime.process.out_of_memory import Patience
from runtime.view import View

_MAX_IN_FLIGHT = 2
"""Maximum number of frames, or batches, in the worker: one is embedded while the one before it is searched."""

_BUILDS = 10
"""Times as long as loading it, a bundle may take whose index is built on the device, or whose graph is compiled."""

_TICK_S = 0.25  # the watch looks so often whether an answer is overdue

_OPTIONS, _PROCESS, _ORIGINS = ScoringOptions(), WorkerProcess(), Origins()  # by default


class Engine:
    """Scores frames in a worker process.

    Any thread may call the methods; they return at once, and what comes of them is told. A worker that crashes or hangs
    is replaced by another, with the bundles that are in service and the memories that are attached then.
    The `views` of the cameras can be changed, and `candidates` be loaded beside their bundles.
    """

    def __init__(
        self,
        bundles: Mapping[str, str],
        tell: Callable[[EngineEvent], None],
        options: ScoringOptions = _OPTIONS,
        views: Mapping[str, View] | None = None,
        process: WorkerProcess = _PROCESS,
        backoff: Backoff | None = None,
        patience: Patience | None = None,
        origins: Origins = _ORIGINS,
    ) -> None:
        """Take what to serve; nothing runs before `start`.

        Args:
            bundles: camera -> path of its bundle.
            tell: receives events, in any thread, and must not block.
            options: how to score.
            views: camera -> which regions of its frames are scored; by default all of them.
            process: how a worker is started and watched.
            backoff: between a loss and the next start; by default 0.5 to 30 s.
            patience: the same where the kernel killed it for want of memory; by default 5 to 300 s.
            origins: where bundles come from.
        """
        self._options = options
        self._tell = tell
        slowly_s = _BUILDS * process.load_timeout_s
        self._process = replace(process, load_timeout_s=slowly_s) if options.loads_slowly else process
        self._backoff = backoff or Backoff(0.5, 30.0)
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._worker: WorkerHandle | None = None
        self._memories = SharedMemories()
        self._number: Callable[[], int] = partial(next, itertools.count(1))
        self._paths = BundlePaths(bundles, self._number, origins)
        self.views = CameraViews(views or {}, self._lock, self._number, self._ready_worker, tell)
        self.candidates = Candidates(self._lock, self._number, self._ready_worker, tell)
        self._served = False  # a worker was ready once
        self._closed = False
        self._wake = threading.Event()
        # A process dies with the thread that started it: this one starts all, and ends with the last.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the worker."""
        self._thread.start()

    @property
    def room(self) -> int:
        """How many frames may be submitted now."""
        with self._lock:
            return max(0, _MAX_IN_FLIGHT * worker.batch - len(worker.jobs)) if (worker := self._ready_worker()) else 0

    def attach(self, memory: int, descriptor: int, size: int) -> None:
        """Share a memory with the worker, before any frame in it; the descriptor stays the caller's."""
        with self._lock:
            if self._closed:
                return
            self._memories.add(memory, descriptor, size)
            if self._worker:
                self._worker.send(Attach(memory, size), [descriptor])

    def detach(self, memory: int) -> None:
        """Forget a memory; frames in it that were submitted before are still scored."""
        with self._lock:
            if self._memories.remove(memory) and self._worker:
                self._worker.send(Detach(memory))

    def submit(self, camera: str, frame: SharedFrame, wanted: Wanted) -> None:
        """Submit a frame for scoring. A `Scored` follows in any case, at once if it cannot be scored.

        Args:
            camera: that it is of.
            frame: its slot must stay as it is until there is an answer.
            wanted: of it, beside the score.
        """
        problem = self._submit(camera, frame, wanted)
        if problem:
            self._tell(Scored(camera, frame, None, problem))

    def reload(self, camera: str | None = None, path: str | None = None) -> set[str]:
        """Reload a bundle, or load another in its place. It is answered by a `Reloaded` or a `ReloadRefused`.

        Args:
            camera: which; None means all.
            path: of the bundle; None means where the one in service came from, and then for all cameras that have it
                from there. Where that makes several bundles, each gets an answer of its own.

        Returns:
            The paths of the bundles that there will be an answer for.

        Raises:
            KeyError: there is no such camera.
        """
        with self._lock:
            wanted = self._paths.ask(camera, path)
            self._paths.send_waiting(self._ready_worker())
        self._wake.set()
        return wanted

    def close(self) -> None:
        """End the worker, and wait for that. What it has not scored is told to be so, and after that nothing."""
        with self._lock:
            self._closed = True
            if self._worker:
                self._worker.hang_up()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        with self._lock:
            self._memories.close()

    def _submit(self, camera: str, frame: SharedFrame, wanted: Wanted) -> str:
        """Send a frame; return the reason if that fails."""
        with self._lock:
            if frame.hw is None:
                return "cannot be decoded"
            if (worker := self._ready_worker()) is None:
                return "no inference worker"
            if frame.memory not in self._memories:
                return "its memory is gone"
            worker.submit(self._number(), camera, frame, frame.hw, wanted)
            return ""

    def _run(self) -> None:
        """Start one worker after the other."""
        while not self._closed:
            self._wake.clear()
            began = time.monotonic()
            event = self._live()
            if isinstance(event, EngineRefused):
                return
            if not self._closed:
                waits = self._patience if event.cause == "memory" else self._backoff
                self._wake.wait(waits.after(time.monotonic() - began))

    def _live(self) -> EngineLost | EngineRefused:
        """Start a worker, listen to it until it is lost, and clear up after it; give what was told of that."""
        try:
            worker = WorkerHandle(self._process)
        except Lost as error:
            self._tell(error.event)
            return error.event
        event: EngineLost | EngineRefused | None = None
        try:
            self._introduce(worker)
            self._listen(worker)
        except LinkClosed:
            pass
        except Lost as error:
            worker.kill()
            event = error.event
        with self._lock:
            self._worker = None
        how = worker.end()
        event = event or how
        if not self._closed:
            self._tell(event)
        self._answer(worker, event)
        return event

    def _introduce(self, worker: WorkerHandle) -> None:
        """Send a worker what to serve, and the shared memories."""
        with self._lock:
            if self._closed:
                raise LinkClosed
            views = self.views.encoded()
            worker.begin(Begin(self._options, len(views)), views)
            self._paths.start(worker)
            for memory, descriptor, size in self._memories:
                worker.send(Attach(memory, size), [descriptor])
            self._worker = worker

    def _listen(self, worker: WorkerHandle) -> None:
        """Pass on what a worker says, for as long as it does."""
        while True:
            match worker.receive(_TICK_S):
                case Done() as done, attached:
                    with self._lock:
                        camera, frame = worker.done(done)
                    self._tell(Scored(camera, frame, done.result, done.problem, attached))
                case PreviewDone() as made, attached:
                    with self._lock:
                        previewed = worker.previewed(made, attached)
                    self._tell(previewed)
                case ShadowDone() as scored, _:
                    with self._lock:
                        shadowed = worker.shadowed(scored)
                    self._tell(shadowed)
                case LoadedBeside() as beside, _:
                    self.candidates.loaded(worker, beside)
                case Loaded() as loaded, _ if loaded.number in worker.reviews:
                    self.views.answered(worker, loaded)
                case Loaded() as loaded, _:
                    self._loaded(worker, loaded)
            with self._lock:
                worker.watch()

    def _loaded(self, worker: WorkerHandle, loaded: Loaded) -> None:
        with self._lock:
            load, starts = worker.loaded(loaded)
            if loaded.info is not None:
                self._paths.taken(load)
                say_what_is_odd(loaded.info)
        if loaded.refusal is not None:
            self._refused(worker, load, loaded.refusal, starts=starts)
        elif loaded.info is not None and not starts:
            self._tell(Reloaded(load.cameras, loaded.info))
        if starts and not worker.starting:
            self._served = True
            self._tell(EngineReady(dict(worker.bundles)))
            with self._lock:
                worker.ready = True
                self._paths.send_waiting(worker)

    def _refused(self, worker: WorkerHandle, load: Load, refusal: Refusal, *, starts: bool) -> None:
        """Report that a bundle is not served; or give up the worker that starts with it."""
        error = refusal.error()
        with self._lock:
            otherwise = self._paths.start_otherwise(worker, load, str(error)) if starts and refusal.kind else []
        for told in otherwise:
            self._tell(told)
        if otherwise:
            return
        if starts and not self._served:
            raise Lost(EngineRefused(error))
        if starts and not refusal.kind:  # nothing is wrong with the bundle: the next try may succeed
            raise lost("start", str(error))
        self._tell(ReloadRefused(load.cameras, load.path, str(error), kept=not starts))

    def _answer(self, worker: WorkerHandle, event: EngineLost | EngineRefused) -> None:
        """Answer what a worker that is gone owed an answer to."""
        cause = event.cause if isinstance(event, EngineLost) else "refused"
        for camera, frame, _ in worker.jobs.values():
            self._tell(Scored(camera, frame, None, f"inference worker {cause}"))
        if not self._closed:
            self.views.lost(worker)
            self.candidates.lost(worker)
        for number, (load, _) in worker.loads.items():
            if number not in worker.starting and not self._closed:
                line = f"{load.path}: the inference worker died while loading it"
                self._tell(ReloadRefused(load.cameras, load.path, line, lost=True))

    def _ready_worker(self) -> WorkerHandle | None:
        return self._worker if self._worker and self._worker.ready else None
