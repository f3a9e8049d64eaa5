"""Scores of frames, packed: a block is at most a minute of one camera with one threshold.

Times are exact, so that the alert logic decides on them as the device did: of each frame the step of the device's
monotonic clock since the frame before is kept in nanoseconds. Scores are kept as they came; they take four bytes where
that is without loss, as they are made of float32.
"""

from __future__ import annotations

import math
import time
import zlib
from array import array
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from edge_config.wire.messages import ScoreMessage, State

BLOCK_NS = 60_000_000_000
"""Longest block: what a crash may lose."""

MAX_STEP_NS = 2**32 - 1
"""Longest step; after a longer one a new block begins."""

MAX_SLEW_NS = 20_000_000
"""Wall clock and monotonic clock may drift apart by this within a block; after more a new one begins."""

STATES: tuple[State, ...] = get_args(State)

_REPEATED = 1
_STATE_SHIFT = 1
_LEVEL = 1


@dataclass(frozen=True, slots=True, eq=False)
class ScoreRun:
    """Frames of one camera, in their order, of one start of its device and with one threshold.

    Attributes:
        epoch: start of the device.
        threshold: threshold in force.
        wall_ns: wall clock at capture, int64 [frames], nanoseconds since 1970 UTC.
        clock_ns: monotonic clock at capture, int64 [frames], nanoseconds; comparable within an epoch.
        scores: float64 [frames]; NaN: not scored.
        repeated: bool [frames]: the frame is identical to the one before, and counts for nothing.
        states: uint8 [frames]: state of the camera, as its place in `STATES`.
    """

    epoch: str
    threshold: float
    wall_ns: NDArray[np.int64]
    clock_ns: NDArray[np.int64]
    scores: NDArray[np.float64]
    repeated: NDArray[np.bool_]
    states: NDArray[np.uint8]

    def between(self, from_ns: int, to_ns: int) -> ScoreRun:
        """Return the frames from one time up to before another one, of the wall clock."""
        begin, end = np.searchsorted(self.wall_ns, (from_ns, to_ns))
        part = slice(int(begin), int(end))
        return ScoreRun(
            self.epoch,
            self.threshold,
            self.wall_ns[part],
            self.clock_ns[part],
            self.scores[part],
            self.repeated[part],
            self.states[part],
        )


@dataclass(frozen=True, slots=True)
class Packed:
    """A block as it is stored.

    Attributes:
        device, camera: of whom.
        epoch, threshold: as in `ScoreRun`.
        wall_ns, clock_ns: of the first frame.
        to_ns: wall clock of the last one.
        frames: number of frames.
        data: the rest, packed.
    """

    device: str
    camera: str
    epoch: str
    threshold: float
    wall_ns: int
    to_ns: int
    clock_ns: int
    frames: int
    data: bytes


@dataclass(slots=True)
class OpenBlock:
    """The block of a camera that is being filled."""

    device: str
    camera: str
    epoch: str
    threshold: float
    wall_ns: int
    clock_ns: int
    begun_s: float = field(default_factory=time.monotonic)
    clocks: array[int] = field(default_factory=lambda: array("q"))
    scores: array[float] = field(default_factory=lambda: array("d"))
    flags: array[int] = field(default_factory=lambda: array("B"))

    @classmethod
    def begin(cls, device: str, said: ScoreMessage) -> OpenBlock:
        """Return a block that begins with this frame, which is not in it yet."""
        return cls(device, said.camera, said.epoch, said.threshold, said.t_capture_ns, said.t_mono_ns)

    def takes(self, said: ScoreMessage) -> bool:
        """Return whether a frame belongs to this block."""
        if said.epoch != self.epoch or said.threshold != self.threshold:
            return False
        since_ns = said.t_mono_ns - self.clock_ns
        step_ns = said.t_mono_ns - self.clocks[-1] if self.clocks else 0
        slew_ns = abs(said.t_capture_ns - self.wall_ns - since_ns)
        return 0 <= step_ns <= MAX_STEP_NS and 0 <= since_ns < BLOCK_NS and slew_ns <= MAX_SLEW_NS

    def add(self, said: ScoreMessage) -> None:
        """Take in a frame that belongs to this block."""
        self.clocks.append(said.t_mono_ns)
        self.scores.append(math.nan if said.score is None else said.score)
        repeated = _REPEATED if said.repeated is True else 0
        self.flags.append(STATES.index(said.state) << _STATE_SHIFT | repeated)

    def run(self) -> ScoreRun:
        """Return its frames so far."""
        clocks = np.array(self.clocks, np.int64)
        flags = np.array(self.flags, np.uint8)
        return _run(self.epoch, self.threshold, self.wall_ns, clocks, np.array(self.scores, np.float64), flags)

    def pack(self) -> Packed:
        """Return it as it is stored."""
        clocks, scores = np.array(self.clocks, np.int64), np.array(self.scores, np.float64)
        return Packed(
            self.device,
            self.camera,
            self.epoch,
            self.threshold,
            self.wall_ns,
            self.wall_ns + int(clocks[-1] - clocks[0]),
            self.clock_ns,
            len(clocks),
            pack(clocks, scores, np.array(self.flags, np.uint8)),
        )


def pack(clocks: NDArray[np.int64], scores: NDArray[np.float64], flags: NDArray[np.uint8]) -> bytes:
    """Return the frames of a block, packed."""
    steps = np.diff(clocks, prepend=clocks[:1]).astype("<u4")
    small = scores.astype("<f4")
    lossless = bool(np.all((small == scores) | np.isnan(scores)))
    values = small if lossless else scores.astype("<f8")
    # Byte by byte: the upper bytes of neighbours are alike, and zlib finds that.
    planes = [one.view(np.uint8).reshape(len(clocks), -1).T.tobytes() for one in (steps, values)]
    return bytes([values.itemsize]) + zlib.compress(b"".join([*planes, flags.tobytes()]), _LEVEL)


def unpack(packed: Packed) -> ScoreRun:
    """Return the frames of a block.

    Raises:
        ValueError: it is damaged.
    """
    size, count = packed.data[0], packed.frames
    try:
        data = np.frombuffer(zlib.decompress(packed.data[1:]), np.uint8)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    steps, values, flags = np.split(data, [4 * count, (4 + size) * count])
    clocks = packed.clock_ns + np.cumsum(_numbers(steps, 4, "<u4"), dtype=np.int64)
    scores = _numbers(values, size, f"<f{size}").astype(np.float64)
    return _run(packed.epoch, packed.threshold, packed.wall_ns, clocks, scores, flags)


def _numbers(planes: NDArray[np.uint8], size: int, kind: str) -> NDArray[np.generic]:
    return np.ascontiguousarray(planes.reshape(size, -1).T).view(kind).reshape(-1)


def _run(
    epoch: str,
    threshold: float,
    wall_ns: int,
    clocks: NDArray[np.int64],
    scores: NDArray[np.float64],
    flags: NDArray[np.uint8],
) -> ScoreRun:
    walls = wall_ns + (clocks - clocks[:1])
    return ScoreRun(
        epoch,
        threshold,
        walls,
        clocks,
        scores,
        (flags & _REPEATED).astype(np.bool_),
        (flags >> _STATE_SHIFT).astype(np.uint8),
    )
