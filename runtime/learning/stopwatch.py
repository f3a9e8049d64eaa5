"""Time of the stages of learning."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.process.progress import GAUGE


class Stopwatch:
    """Measures the time of stages, and shows which one is running.

    Attributes:
        seconds: of each stage, without the stages inside it, in order.
    """

    def __init__(self) -> None:
        """Begin with no stage."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Show that a stage is running, and add how long it took."""
        start, others = time.perf_counter(), sum(self.seconds.values())
        with GAUGE.stage(stage):
            yield
        inside = sum(self.seconds.values()) - others
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start - inside
