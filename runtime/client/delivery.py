"""Deliver each message of a device's journal once, with the number of messages lost before it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from runtime.client.received import Origin, Place, Received, missing

MAX_KNOWN = 20_000
"""Maximum number of keys of delivered messages that are remembered."""


class Delivery:
    """Gives messages to the user.

    In a topic the journal goes forward only. What is given without it is loose until it has been read as far: what was
    lost before is read, and given, late.

    Attributes:
        lost: to be told with the next message, at least.
    """

    def __init__(self, give: Callable[[Received], object]) -> None:
        """Begin with nothing; `give` gets every message for the user."""
        self.lost = 0
        self._give_user = give
        self._known: dict[str, None] = {}  # keys of what was given, or is not to be had
        self._last: dict[str, Place] = {}  # the furthest message of each topic
        self._loose: dict[str, set[str]] = {}  # topic -> keys
        self._replays = False  # since the end of the journal was reached something was read that was not heard

    def __contains__(self, key: str) -> bool:
        """Return whether this message was given, as far as is remembered."""
        return key in self._known

    @property
    def loose(self) -> set[str]:
        """Keys of all that is loose."""
        return {key for keys in self._loose.values() for key in keys}

    def is_whole(self, topic: str) -> bool:
        """Return whether no earlier message of a topic may still come."""
        return topic not in self._loose

    def has_passed(self, topic: str, place: Place) -> bool:
        """Return whether a topic has come to this place, or further within its epoch."""
        last = self._last.get(topic)
        return last is not None and last.epoch == place.epoch and place.seq <= last.seq

    def read(self, received: Received, *, heard: bool) -> None:
        """Deliver the next message of the journal, if it is new; `heard` tells whether it was published meanwhile."""
        topic, place = received.topic, received.place
        if topic in self._loose:  # what is missing was told with the message that is loose
            self._loose[topic].discard(received.key)
            if not self._loose[topic]:
                del self._loose[topic]
        elif self.has_passed(topic, place):
            return
        else:
            self.lost = max(self.lost, missing(self._last.get(topic), place))
            self._last[topic] = place
        if received.key not in self:
            self._replays = self._replays or not heard
            self.give(received, "live" if not self._replays else "replay")

    def give_live(self, received: Received, *, loose: bool) -> None:
        """Deliver a message that was published, without the journal."""
        if loose:
            self._loose.setdefault(received.topic, set()).add(received.key)
        self.lost = max(self.lost, missing(self._last.get(received.topic), received.place))
        self._last[received.topic] = received.place
        self.give(received, "live")

    def adopt(self, topic: str, head: Place, newest: Received | None) -> None:
        """Take over what a snapshot tells: the number of the last message, and what is the case now."""
        if newest is not None and newest.key not in self and not self.has_passed(topic, newest.place):
            self.give(newest, "snapshot")
        if not self.has_passed(topic, head):
            self._last[topic] = head

    def give(self, received: Received, origin: Origin) -> None:
        """Deliver a message."""
        missed, self.lost = self.lost, 0
        self.know(received.key)
        self._give_user(replace(received, missed=missed, origin=origin))

    def know(self, key: str) -> None:
        """Remember a message that was given, or that the journal does not have."""
        self._known[key] = None
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def reach_end(self, covered: Collection[str]) -> None:
        """Take in that the journal was read to its end; what it has not of the `covered` it will never have."""
        self._loose = {topic: left for topic, keys in self._loose.items() if (left := keys.difference(covered))}
        self._replays = False
