"""What comes of a frame after its score was told: its preview, and its score by the candidate."""

from __future__ import annotations

from runtime.events import Previewed, ShadowScored
from runtime.frame import SharedFrame
from runtime.inference.protocol import Job, PreviewDone, ShadowDone

Frame = tuple[str, SharedFrame]


class LateAnswers:
    """What a worker owes beside the results of frames. Not thread-safe."""

    def __init__(self) -> None:
        """Nothing is owed."""
        self._previews: dict[int, Frame] = {}  # number of a job -> its camera and frame
        self._shadows: dict[int, Frame] = {}

    def ask(self, job: Job, camera: str, frame: SharedFrame) -> None:
        """Take note of what a job asks for."""
        if job.preview:
            self._previews[job.number] = camera, frame
        if job.shadow:
            self._shadows[job.number] = camera, frame

    def drop(self, number: int) -> None:
        """Expect nothing of a job that has no result."""
        self._previews.pop(number, None)
        self._shadows.pop(number, None)

    def previewed(self, done: PreviewDone, attached: tuple[bytes, ...]) -> Previewed | None:
        """Take a preview, with the bytes of its parts, off the list; None: it is not on the list."""
        if (of := self._previews.pop(done.number, None)) is None:
            return None
        return Previewed(*of, done.boxes, done.parts, attached, done.seconds, done.problem)

    def shadowed(self, done: ShadowDone) -> ShadowScored | None:
        """Take the score by a candidate off the list; None: it is not on the list."""
        if (of := self._shadows.pop(done.number, None)) is None:
            return None
        return ShadowScored(*of, done.value, done.seconds, done.problem)
