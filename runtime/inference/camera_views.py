"""Views of the cameras: what workers begin with, and what a running one is asked to judge from the next frame on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import msgspec

from runtime.events import Reviewed, ReviewRefused
from runtime.inference.protocol import Loaded
from runtime.inference.worker_handle import WorkerHandle
from runtime.view import View


class CameraViews:
    """The views of all cameras. Any thread may call `review`; the other methods are the engine's."""

    def __init__(
        self,
        views: Mapping[str, View],
        lock: threading.Lock,
        number: Callable[[], int],
        worker: Callable[[], WorkerHandle | None],
        tell: Callable[[Reviewed | ReviewRefused], None],
    ) -> None:
        """Take what workers begin with.

        Args:
            views: camera -> its view.
            lock: of the engine, over all that follows.
            number: returns a new number; called with the lock.
            worker: returns the worker if it takes frames; called with the lock.
            tell: receives events, in any thread.
        """
        self._views = dict(views)
        self._lock = lock
        self._number = number
        self._worker = worker
        self._tell = tell
        self._checks: set[int] = set()  # numbers of reviews that only check

    def review(
        self,
        camera: str,
        view: View,
        frame_hw: tuple[int, int] | None,
        *,
        check_only: bool = False,
        insist: bool = False,
    ) -> int | None:
        """Judge other parts of a camera's frames, from the next frame on. A `Reviewed` or `ReviewRefused` follows.

        Args:
            camera: name of the camera.
            view: the parts.
            frame_hw: height and width of its frames, pixels, if known.
            check_only: only check that it can be done.
            insist: workers that are started later begin with it, also if this one dies before it has answered.

        Returns:
            The number of the review; None if there is no worker now, or no memory: without `insist`, nothing has
            changed then.
        """
        with self._lock:
            if insist:
                self._views[camera] = view
            if (worker := self._worker()) is None:
                return None
            number = self._number()
            try:
                worker.review(number, camera, view, frame_hw, check=check_only)
            except OSError:
                return None
            if check_only:
                self._checks.add(number)
            return number

    def encoded(self) -> bytes:
        """Return what a worker begins with, as JSON; called with the lock."""
        return msgspec.json.encode(self._views)

    def answered(self, worker: WorkerHandle, loaded: Loaded) -> None:
        """Take the answer to a review."""
        with self._lock:
            camera, view = worker.reviewed(loaded)
            if loaded.number not in self._checks and loaded.info is not None:
                self._views[camera] = view
            self._checks.discard(loaded.number)
        if loaded.refusal is not None:
            self._tell(ReviewRefused(loaded.number, camera, str(loaded.refusal.error())))
        elif loaded.info is not None:
            self._tell(Reviewed(loaded.number, camera, loaded.info))

    def lost(self, worker: WorkerHandle) -> None:
        """Answer what a worker that is gone owed an answer to."""
        for number, (camera, *_) in worker.reviews.items():
            self._checks.discard(number)
            self._tell(ReviewRefused(number, camera, "the inference worker died", lost=True))
