"""Messages as a subscriber receives them, and their places in a topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from edge_config.wire import messages as message
from edge_config.wire.messages import AnyMessage

Origin = Literal["live", "snapshot", "replay"]
"""How a message came: as it was published; as the latest of its kind when the subscriber joined; out of the journal."""


class Place(NamedTuple):
    """Where a message stands in its topic: `seq` counts within one start of the device, the epoch."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it arrived.

    Attributes:
        topic: its topic, v1/<kind>/<device>/<camera>/.
        message: a ScoreMessage, AlertMessage, StateMessage or HealthMessage.
        missed: messages of this topic that were lost since the last one that arrived.
        parts: binary parts, as `message.parts` of an alert lists them.
        origin: how it came: live, snapshot or replay.
    """

    topic: str
    message: AnyMessage
    missed: int
    parts: tuple[bytes, ...] = ()
    origin: Origin = "live"

    @property
    def key(self) -> str:
        """Text that identifies this message over restarts of both sides; it is made of topic, epoch and seq."""
        return key_of(self.topic, self.place)

    @property
    def place(self) -> Place:
        """Where it stands in its topic."""
        return Place(self.message.epoch, self.message.seq)

    @property
    def kind(self) -> str:
        """Its kind, such as `alert`."""
        return self.topic.split("/", 2)[1]

    def is_before(self, other: Received) -> bool:
        """Return whether this message comes before another one of its topic and epoch."""
        return self.message.epoch == other.message.epoch and self.message.seq < other.message.seq

    @property
    def size(self) -> int:
        """Bytes of the binary parts."""
        return sum(map(len, self.parts))


def key_of(topic: str, place: Place) -> str:
    """Return the key of the message at a place of a topic."""
    return f"{topic}{place.epoch}/{place.seq}"


def missing(last: Place | None, place: Place) -> int:
    """Count the messages between two of a topic. What was before the very first one was never ours."""
    return 0 if last is None else max(0, place.seq - 1 - (last.seq if last.epoch == place.epoch else 0))


def read(frames: Sequence[bytes], origin: Origin = "live") -> Received:
    """Read a message from its frames.

    Raises:
        MessageError: it is not a patchedge message.
    """
    topic, body = message.decode(frames)
    return Received(topic, body, 0, tuple(bytes(part) for part in frames[2:]), origin)
