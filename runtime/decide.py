"""From scores to labels and alerts, for one camera."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace

from runtime.frame import Alert, Decision


class Decide:
    """A score above the threshold is anomalous; an alert lasts from the first such frame to the next normal one."""

    def __init__(self, threshold: float) -> None:
        """Start with no alert open."""
        self.threshold = threshold
        self._open: Alert | None = None

    def __call__(self, frame_id: int, score: float | None) -> Decision:
        """Decide on a frame; a score of None (nothing was scored) is unknown and leaves an open alert open."""
        if score is None or math.isnan(score):
            return Decision("unknown", None)
        if score > self.threshold:
            return Decision("anomalous", self._raise(frame_id, score))
        return Decision("normal", self.close())

    def close(self) -> Alert | None:
        """End the open alert, if there is one."""
        ended, self._open = self._open, None
        return replace(ended, phase="end") if ended else None

    def _raise(self, frame_id: int, score: float) -> Alert | None:
        """Open an alert, or move the peak of the open one; None if neither."""
        if self._open is None:
            self._open = Alert(str(uuid.uuid4()), "start", 0, score, frame_id)
            return self._open
        if score > self._open.peak_score:
            self._open = replace(self._open, phase="update", peak_score=score, peak_frame_id=frame_id)
            return self._open
        return None
