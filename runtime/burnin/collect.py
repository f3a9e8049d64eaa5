"""Collect the scores of a burn-in until they are written to the disk."""

from __future__ import annotations

import msgspec

from runtime.burnin import scores
from runtime.burnin.kept import BurnInRun
from runtime.frame import Frame, SharedFrame

GAP_S, GAP_STEPS = 5.0, 10
"""Frames further apart than this, and than this multiple of the usual step, have an interruption between them."""

_RECENT = 0.1  # weight of the last step in the usual one


class ScoreCollector:
    """Records of the scores of one camera. Use it from one thread."""

    def __init__(self, on_disk: int) -> None:
        """Go on behind the records that are on the disk."""
        self._records = bytearray()
        self._on_disk = on_disk  # or on the way
        self._last_ns: int | None = None  # clock of the last frame of this segment
        self._usual_s = 0.0

    @property
    def count(self) -> int:
        """Number of records."""
        return self._on_disk + len(self._records) // scores.RECORD_BYTES

    def restart(self) -> None:
        """Begin with nothing."""
        self._records.clear()
        self._on_disk, self._last_ns, self._usual_s = 0, None, 0.0

    def take(self, run: BurnInRun, frame: Frame | SharedFrame, value: float) -> BurnInRun:
        """Record the score of a frame; return how far the burn-in is."""
        step_s = gap_s = 0.0
        if self._last_ns is None:
            self._records += scores.segment(max(0, frame.t_capture_ns))
            gap_s = max(0.0, (frame.t_capture_ns - run.last_ns) / 1e9) if run.last_ns else 0.0
        else:
            step_s = max(0.0, (frame.clock_ns - self._last_ns) / 1e9)
            if step_s > max(GAP_S, GAP_STEPS * self._usual_s) and self._usual_s:
                gap_s = step_s
            elif self._usual_s:
                self._usual_s += _RECENT * (step_s - self._usual_s)
            else:
                self._usual_s = step_s
        self._last_ns = frame.clock_ns
        self._records += scores.frame(step_s, value)
        return msgspec.structs.replace(
            run,
            watched_s=run.watched_s + (0.0 if gap_s else step_s),
            gaps=run.gaps + bool(gap_s),
            gap_s=run.gap_s + gap_s,
            last_ns=frame.t_capture_ns,
        )

    def hand_over(self) -> tuple[int, bytes]:
        """Return the records that are not on the disk, and the number of those before them."""
        at, records = self._on_disk, bytes(self._records)
        self._records.clear()
        self._on_disk += len(records) // scores.RECORD_BYTES
        return at, records
