"""Scores as they come, in memory, until there is a minute of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_config.wire.messages import ScoreMessage
from runtime.page.store.frames import BLOCK_NS, OpenBlock, Packed, ScoreRun
from runtime.page.store.tens import DTYPE, TEN_MS, OpenTen, Tens

Of = tuple[str, str]
"""Device and camera."""

_MS = 1_000_000  # nanoseconds


class ScoreRecorder:
    """Collects scores of all cameras. Use it from one thread.

    Attributes:
        tens: finished ten seconds that are not stored yet: device, camera and hour -> entries.
    """

    def __init__(self, full: Callable[[Packed], object]) -> None:
        """Begin with nothing; `full` gets each block that is full."""
        self._full = full
        self._blocks: dict[Of, OpenBlock] = {}
        self._tens: dict[Of, OpenTen] = {}
        self.tens: dict[tuple[str, str, int], Tens] = {}

    def add(self, device: str, said: ScoreMessage) -> None:
        """Take in a frame."""
        of = device, said.camera
        block = self._blocks.get(of)
        if block is None or not block.takes(said):
            if block is not None:
                self._full(block.pack())
            block = self._blocks[of] = OpenBlock.begin(device, said)
        block.add(said)
        if said.score is not None and said.repeated is not True:
            number = said.t_capture_ns // _MS // TEN_MS
            ten = self._tens.get(of)
            if ten is None or ten.number != number:
                self._finish(of)
                ten = self._tens[of] = OpenTen(number)
            ten.add(said.score, said.threshold)

    def flush(self, now_s: float | None = None) -> None:
        """Pass on blocks that are a minute old at a time, monotonic seconds; by default all, and all tens."""
        for of, block in list(self._blocks.items()):
            if now_s is None or now_s - block.begun_s >= BLOCK_NS / 1e9:
                self._full(block.pack())
                del self._blocks[of]
        for of, ten in list(self._tens.items()):
            if now_s is None or now_s - ten.begun_s >= 2 * TEN_MS / 1000:
                self._finish(of)

    def take_tens(self) -> dict[tuple[str, str, int], Tens]:
        """Return the finished ten seconds, and forget them."""
        taken, self.tens = self.tens, {}
        return taken

    def run_of(self, device: str, camera: str) -> ScoreRun | None:
        """Return the frames of a camera that are in memory; None if there are none."""
        block = self._blocks.get((device, camera))
        return None if block is None else block.run()

    def tens_of(self, device: str, camera: str) -> dict[int, Tens]:
        """Return the ten seconds of a camera that are in memory, by hour."""
        found = {hour: tens for (its, name, hour), tens in self.tens.items() if (its, name) == (device, camera)}
        ten = self._tens.get((device, camera))
        if ten is not None and ten.count:
            found[ten.hour] = np.concatenate([found.get(ten.hour, np.empty(0, DTYPE)), ten.entry()])
        return found

    def _finish(self, of: Of) -> None:
        ten = self._tens.pop(of, None)
        if ten is not None and ten.count:
            key = (*of, ten.hour)
            self.tens[key] = np.concatenate([self.tens.get(key, np.empty(0, DTYPE)), ten.entry()])
