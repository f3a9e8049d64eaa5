"""Scores by candidates, in the worker: after the frame's own score was told."""

from __future__ import annotations

import math
import time

from runtime.frame import Image
from runtime.inference.protocol import ShadowDone
from runtime.inference.stages import Stages


class Shadows:
    """The stages of the candidates. One thread puts and drops them, another one scores."""

    def __init__(self) -> None:
        """Begin with none."""
        self._stages: dict[str, Stages] = {}

    def put(self, camera: str, stages: Stages) -> None:
        """Take the candidate of a camera, in place of another one."""
        self._stages[camera] = stages

    def drop(self, camera: str) -> None:
        """Let go of the candidate of a camera, if there is one."""
        self._stages.pop(camera, None)

    def score(self, number: int, camera: str, image: Image) -> ShadowDone:
        """Return what the candidate of a camera says of the frame of a job.

        Raises:
            MemoryError: there is not enough of it.
        """
        start = time.perf_counter()
        if (stages := self._stages.get(camera)) is None:
            return ShadowDone(number, problem="there is no candidate")
        try:
            value = stages.score_beside(image)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a candidate must not end the worker of the bundle in service
            value = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        seconds = time.perf_counter() - start
        if isinstance(value, str) or not math.isfinite(value):
            return ShadowDone(number, None, seconds, value if isinstance(value, str) else f"the score is {value}")
        return ShadowDone(number, value, seconds)
