"""The interface of a broker: where messages are forwarded to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from edge_config.wire.messages import AlertMessage, HealthMessage, ScoreMessage, StateMessage


class Sink(Protocol):
    """A broker. It connects by itself, and again whenever it must, for ever."""

    name: str
    """What logs call it."""

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        ...

    async def alert(self, said: AlertMessage, parts: Sequence[bytes], key: str, /) -> None:
        """Publish an alert message; returns when the broker has confirmed it, however long that takes.

        Args:
            said: the message.
            parts: what came along.
            key: identifies the message for ever.
        """
        ...

    def state(self, said: StateMessage, key: str, /) -> None:
        """Publish the state of a camera in time; a newer one may replace it until then."""
        ...

    async def score(self, said: ScoreMessage, /) -> bool:
        """Publish a score now, or tell that it was dropped."""
        ...

    def health(self, said: HealthMessage, /) -> None:
        """Take in that a device is alive, and what it says of a camera."""
        ...

    def lost(self, device: str) -> None:
        """Take in that a device has not been heard of for a while."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Say good-bye within `timeout_s` seconds."""
        ...


@dataclass(slots=True)
class Counts:
    """What was done.

    Attributes:
        alerts: alert messages that every broker has confirmed.
        states: states handed on; of those in quick succession brokers get the newest.
        scores, scores_dropped: scores sent; those that no broker took at the time, once for each.
        damaged: messages that could not be read.
        unacknowledged: confirmed alert messages that the device could not be told of: they come again.
    """

    alerts: int = 0
    states: int = 0
    scores: int = 0
    scores_dropped: int = 0
    damaged: int = 0
    unacknowledged: int = 0

    def all(self) -> dict[str, int]:
        """Give them by name."""
        return asdict(self)
