"""The interface of a broker: where messages are forwarded to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from edge_config.wire.messages import AlertMessage, HealthMessage, ScoreMessage, StateMessage


class Sink(Protocol):
    """A broker. It connects by itself, and reconnects indefinitely."""

    name: str
    """What logs call it."""

    async def start(self) -> None:
        """Begin to connect; returns at once."""

    async def alert(self, said: AlertMessage, parts: Sequence[bytes], key: str, /) -> None:
        """Publish an alert message; returns when the broker has confirmed it, however long that takes.

        Args:
            said: the message.
            parts: binary parts of the message.
            key: identifies the message, over restarts too.
        """

    def state(self, said: StateMessage, key: str, /) -> None:
        """Publish the state of a camera in time; a newer one may replace it until then."""

    async def score(self, said: ScoreMessage, /) -> bool:
        """Publish a score now, and return whether it was sent rather than dropped."""

    def health(self, said: HealthMessage, /) -> None:
        """Record that a device is alive, and the state of a camera."""

    def lost(self, device: str) -> None:
        """Record that a device has sent nothing for a while."""

    async def close(self, timeout_s: float) -> None:
        """Publish that the bridge is offline, and disconnect, within `timeout_s` seconds."""


@dataclass(slots=True)
class Counts:
    """Counters of forwarded messages.

    Attributes:
        alerts: alert messages that every broker has confirmed.
        states: states forwarded; of several in quick succession brokers get the newest.
        scores, scores_dropped: scores sent, and scores dropped, counted for each broker.
        damaged: messages that could not be decoded.
        unacknowledged: confirmed alert messages whose acknowledgement failed: they come again.
    """

    alerts: int = 0
    states: int = 0
    scores: int = 0
    scores_dropped: int = 0
    damaged: int = 0
    unacknowledged: int = 0

    def all(self) -> dict[str, int]:
        """Return them by name."""
        return asdict(self)
