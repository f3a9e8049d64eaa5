"""What a subscriber is given."""

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
        """Names this message for ever, over restarts of both sides: `topic` `epoch`/`seq`."""
        return f"{self.topic}{self.message.epoch}/{self.message.seq}"

    @property
    def place(self) -> Place:
        """Where it stands in its topic."""
        return Place(self.message.epoch, self.message.seq)

    @property
    def kind(self) -> str:
        """Its kind: score, alert, state or health."""
        return self.topic.split("/", 2)[1]


def read(frames: Sequence[bytes], origin: Origin = "live") -> Received:
    """Read a message from its frames.

    Raises:
        MessageError: it is not a patchedge message.
    """
    topic, body = message.decode(frames)
    return Received(topic, body, 0, tuple(bytes(part) for part in frames[2:]), origin)
