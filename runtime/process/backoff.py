"""Exponential back-off with jitter, for retries."""

from __future__ import annotations

from random import Random

STEADY_S = 5.0
"""A try that worked for this time resets the wait."""


class Backoff:
    """Waits that double from try to try, with jitter, so that many clients do not retry in step."""

    def __init__(self, shortest_s: float, longest_s: float, random: Random | None = None) -> None:
        """Wait at least `shortest_s`, and at most `longest_s` or, if that is less, `shortest_s`."""
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
        """Use the longest waits from now on, as an early retry would do harm."""
        self._ceiling = self._longest
        self._least = self._longest / 2

    def reset(self) -> None:
        """Start again with short waits."""
        self._ceiling = self._least = self._shortest
