"""Exponential back-off with jitter, for retries."""

from __future__ import annotations

from random import Random

STEADY_S = 5.0
"""What has worked for so long is tried again as soon as at first."""


class Backoff:
    """Waits that grow from try to try, each drawn at random, so that many do not try in step."""

    def __init__(self, shortest_s: float, longest_s: float, random: Random | None = None) -> None:
        """Wait at least `shortest_s`, and at most `longest_s` or, where that is less, `shortest_s`."""
        self._shortest = shortest_s
        self._longest = max(shortest_s, longest_s)
        self._random = random or Random()  # noqa: S311 - not a secret
        self._ceiling = self._least = shortest_s

    def after(self, worked_s: float) -> float:
        """Return the next wait in seconds, after a try that worked for `worked_s`; 0 if it did not."""
        if worked_s >= STEADY_S:
            self.reset()
        self._ceiling = min(2 * self._ceiling, self._longest)
        return self._random.uniform(min(self._least, self._ceiling), self._ceiling)

    def be_patient(self) -> None:
        """Wait for the longest time from now on: to try soon would do harm."""
        self._ceiling = self._longest
        self._least = self._longest / 2

    def reset(self) -> None:
        """Begin anew with short waits."""
        self._ceiling = self._least = self._shortest
