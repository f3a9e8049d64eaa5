"""Candidates of the cameras: bundles that the worker loads and checks beside those in service."""

from __future__ import annotations

import threading
from collections.abc import Callable

from runtime.events import CandidateLoaded
from runtime.inference.protocol import DropBeside, LoadedBeside
from runtime.inference.worker_handle import WorkerHandle


class Candidates:
    """The candidates, one of each camera. Any thread may call `load` and `drop`; the others are the engine's.

    A worker that is replaced takes them with it: the next one begins without.
    """

    def __init__(
        self,
        lock: threading.Lock,
        number: Callable[[], int],
        worker: Callable[[], WorkerHandle | None],
        tell: Callable[[CandidateLoaded], None],
    ) -> None:
        """Take what loads them.

        Args:
            lock: of the engine, over all that follows.
            number: returns a new number; called with the lock.
            worker: returns the worker if it takes frames; called with the lock.
            tell: receives events, in any thread.
        """
        self._lock = lock
        self._number = number
        self._worker = worker
        self._tell = tell

    def load(self, camera: str, path: str) -> int | None:
        """Load and check a bundle beside the one in service. A `CandidateLoaded` follows.

        Returns:
            The number of the order; None if there is no worker now.
        """
        with self._lock:
            if (worker := self._worker()) is None:
                return None
            number = self._number()
            worker.load_beside(number, camera, path)
            return number

    def drop(self, camera: str) -> None:
        """Let go of the candidate of a camera, if there is one."""
        with self._lock:
            if worker := self._worker():
                worker.send(DropBeside(camera))

    def loaded(self, worker: WorkerHandle, loaded: LoadedBeside) -> None:
        """Take the answer of the worker."""
        with self._lock:
            order = worker.loaded_beside(loaded)
        problem = "" if loaded.refusal is None else str(loaded.refusal.error())
        figures = loaded.golden_difference, loaded.now_ms, loaded.candidate_ms
        self._tell(CandidateLoaded(order.camera, order.number, loaded.info, *figures, problem))

    def lost(self, worker: WorkerHandle) -> None:
        """Answer what a worker that is gone owed an answer to."""
        for order, _ in worker.beside.values():
            line = f"{order.path}: the inference worker died while loading it"
            self._tell(CandidateLoaded(order.camera, order.number, None, problem=line))
