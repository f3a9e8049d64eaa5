"""Decide which of two messages is newer: a snapshot or a replay may deliver an old one after a new one."""

from __future__ import annotations

from dataclasses import dataclass

from edge_config.wire.messages import Message


@dataclass(frozen=True, slots=True)
class Moment:
    """When a message was published: `seq` of `epoch`, at `t_ns` by the device's wall clock."""

    epoch: str
    seq: int
    t_ns: int

    @classmethod
    def of(cls, message: Message) -> Moment:
        """Return when a message was published."""
        return cls(message.epoch, message.seq, message.t_publish_ns)

    def precedes(self, other: Moment) -> bool:
        """Return whether `other` came later; the clock decides only where the device was restarted between the two."""
        if self.epoch == other.epoch:
            return self.seq < other.seq
        return self.t_ns < other.t_ns


class Newest:
    """Remembers the newest moment of each camera."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], Moment] = {}

    def take(self, device: str, camera: str, moment: Moment) -> bool:
        """Record a moment, and return whether it is the newest; a repetition of the newest is, too."""
        last = self._newest.get((device, camera))
        if last is not None and moment.precedes(last):
            return False
        self._newest[device, camera] = moment
        return True
