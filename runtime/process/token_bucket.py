"""Token bucket: a rate limit that allows bursts after a pause."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit: requests per second, and at once after a pause."""

    per_s: float
    burst: float


class Bucket:
    """A token bucket: each action takes a token, and tokens are refilled over time. Times are monotonic seconds."""

    def __init__(self, rate: Rate, now_s: float) -> None:
        """Begin with a full bucket."""
        self._rate = rate
        self._tokens = rate.burst
        self._at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Return the time until a token is available, seconds; 0 if one is."""
        self._tokens = min(self._rate.burst, self._tokens + (now_s - self._at_s) * self._rate.per_s)
        self._at_s = now_s
        return max(0.0, (1 - self._tokens) / self._rate.per_s)

    def take(self) -> None:
        """Take a token; call it only if `wait_s` returned 0."""
        self._tokens -= 1
