"""Evidence that normal frames score higher than learnt: an e-detector over blocks of frames, in the form of a CUSUM.

A block of `BLOCK_S` seconds is high if at least `SHARE` of its frames score above the r-th highest of the n held-out
scores. New frames exceed that with an unknown probability, which is Beta(r, n + 1 - r) distributed over calibrations:
its 95 % quantile q is taken. However the frames of a block depend on each other, the block is high with probability
q / `SHARE` at most (Markov's inequality). So the factor `1 - BET + BET * SHARE / q` for a high block, and `1 - BET` for
another, has an expectation of 1 at most. Products of such factors that restart at 1 reach `BLOCKS_A_YEAR` once in as
many blocks at most, on average: once in a year. (Shin, Ramdas, Rinaldo: E-detectors, 2022.)

Frames of alerts are left out by the caller. Those that remain are known to be below the threshold, which makes them
exceed a lower score less often: the bound holds all the more.
"""

from __future__ import annotations

import math

import numpy as np

BLOCK_S = 10.0
"""One value a block: frames of a video a moment apart are almost the same. Chosen by simulation:
with a score that forgets its past in 10 s, shorter ones raise a false flag every week (docs/evidence/drift.md)."""

SHARE = 0.75
"""Most frames of a block must be high, not some: what lasts is drift, what does not is not."""

LEVEL = 0.1
"""Share of the held-out scores that are high."""
MIN_RANK = 2
"""At least so many are, and ..."""
ABOVE_THRESHOLD = 2
"""... at least so many times those above the threshold: frames above it do not count."""

CONFIDENCE = 0.95
"""Of the bound on the rate of high frames, over calibrations."""

BET = 0.8
"""Share of the evidence that a block puts at stake."""

BLOCKS_A_YEAR = 365.25 * 86_400 / BLOCK_S
"""Mean number of blocks between two false flags, at least; of a camera with few frames that is more than a year."""

_STEPS = 60  # of a bisection: to the last bit of a rate


def upper_rate(n: int, rank: int) -> float:
    """Return the rate that new scores exceed the `rank`-th highest of n with, at most, with 95 % confidence.

    It is the 95 % quantile of Beta(rank, n + 1 - rank): the rate at which n trials have less than `rank` successes
    with a probability of 5 %.
    """
    few = np.arange(rank)
    choose = np.concatenate(([0.0], np.cumsum(np.log((n - few[:-1]) / few[1:])))) if rank > 1 else np.zeros(1)
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        rate = (low + high) / 2
        if not 0 < rate < 1:
            break
        fewer = float(np.exp(choose + few * math.log(rate) + (n - few) * math.log1p(-rate)).sum())
        low, high = (rate, high) if fewer > 1 - CONFIDENCE else (low, rate)
    return high


class Evidence:
    """Evidence of one camera with one bundle. Use it from one thread.

    Attributes:
        value: logarithm of the product of factors, from 0 to `limit`.
        since_ns: wall clock at which it was 0 last, so where the drift began if there is one.
        is_drift: the limit was reached, and not all of the evidence has been lost since.
        limit: logarithm of `BLOCKS_A_YEAR`.
    """

    limit = math.log(BLOCKS_A_YEAR)

    def __init__(self, held_out: int, promised_alpha: float) -> None:
        """Begin without evidence.

        Args:
            held_out: number n of held-out scores.
            promised_alpha: false-alarm rate of the threshold, on average over calibrations.
        """
        n = held_out
        above = round(promised_alpha * (n + 1))
        rank = min(n, max(MIN_RANK, math.floor(LEVEL * (n + 1)), ABOVE_THRESHOLD * above))
        bound = upper_rate(n, rank) / SHARE
        self._high_p = (rank + 0.5) / (n + 1)  # p-values are whole multiples of 1 / (n + 1)
        self._win = math.log(1 - BET + BET / bound)
        self._lose = math.log(1 - BET)
        self.value = 0.0
        self.since_ns = 0
        self.is_drift = False
        self._begun_ns: int | None = None  # clock of the block's first frame
        self._wall_ns = 0
        self._frames = self._high = 0

    def restore(self, value: float, since_ns: int, *, is_drift: bool) -> None:
        """Go on with the attributes of an earlier run."""
        self.value, self.since_ns, self.is_drift = min(value, self.limit), since_ns, is_drift

    def __call__(self, clock_ns: int, wall_ns: int, p_value: float) -> None:
        """Take a frame that is in no alert.

        Args:
            clock_ns: its clock, see `Frame.clock_ns`.
            wall_ns: wall clock at its capture.
            p_value: of its score.
        """
        if self._begun_ns is None or not 0 <= clock_ns - self._begun_ns < BLOCK_S * 1e9:
            self._close()
            self._begun_ns, self._wall_ns = clock_ns, wall_ns
        self._frames += 1
        self._high += p_value < self._high_p

    def _close(self) -> None:
        """Count the block that is over."""
        if not self._frames:
            return
        if self.value <= 0:
            self.since_ns = self._wall_ns
        is_high = self._high >= SHARE * self._frames
        self.value = min(self.limit, max(0.0, self.value + (self._win if is_high else self._lose)))
        self._frames = self._high = 0
        if self.value >= self.limit:
            self.is_drift = True
        elif self.value <= 0:
            self.is_drift = False
