"""Acknowledgements of one named subscriber, until the device has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edge_config.wire.messages import AlertMessage
from edge_config.wire.replies import Answer
from edge_config.wire.requests import Ack
from runtime.client.in_flight import Asking
from runtime.client.received import Place, Received

MAX_WAITING = 256
"""Maximum number of unconfirmed acknowledgements; beyond it the next one waits."""

MAX_KEPT = 20_000
"""Maximum number of acknowledgements kept while the device does not respond; an alert beyond it is redelivered after a
restart."""


class Acks:
    """Sends the last acknowledged message of each alert, which covers those before it.

    An alert of which an earlier message may still come, or came late and is not acknowledged itself, is not
    acknowledged to the device: it would be taken as handled.
    """

    def __init__(
        self,
        subscriber: str,
        asking: Asking,
        is_whole: Callable[[str], bool],
        denied: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Begin with nothing.

        Args:
            subscriber: name of the subscriber.
            asking: sends requests.
            is_whole: returns whether no earlier message of a topic is missing.
            denied: receives the reason if this client's key may not use the name.
        """
        self._denied = denied
        self._subscriber = subscriber
        self._asking = asking
        self._is_whole = is_whole
        self._given: dict[str, tuple[Place, bool]] = {}  # the furthest message of each alert, and whether it is the end
        self._late: dict[str, set[str]] = {}  # keys of messages that were given after later ones of their alert
        self._due: dict[str, Received] = {}
        self._sent = 0
        self._done: dict[str, None] = {}  # keys that were acknowledged

    def __contains__(self, key: str) -> bool:
        """Return whether this message was acknowledged, by itself."""
        return key in self._done

    @property
    def is_full(self) -> bool:
        """Whether the next one has to wait. Not for a device that does not answer: alerts would wait with it."""
        ready = self._sent + sum(map(self._is_ready, self._due.values())) if self.waiting >= MAX_WAITING else 0
        return ready >= MAX_WAITING and not self._asking.is_down

    @property
    def waiting(self) -> int:
        """How many alerts were acknowledged without the device knowing it yet."""
        return self._sent + len(self._due)

    def given(self, received: Received) -> None:
        """Take note of a message that the user got."""
        alert = received.message
        if not isinstance(alert, AlertMessage):
            return
        place, ended = self._given.get(alert.alert_id, (received.place, False))
        if ended if place.epoch != received.place.epoch else received.place.seq < place.seq:
            self._late.setdefault(alert.alert_id, set()).add(received.key)
            _bound(self._late)
        else:
            self._given[alert.alert_id] = received.place, alert.phase == "end"
            _bound(self._given)

    def put(self, received: Received) -> None:
        """Take in that the user is done with a message."""
        alert = received.message
        if not isinstance(alert, AlertMessage):
            return
        self._done[received.key] = None
        _bound(self._done)
        late = self._late.get(alert.alert_id, set())
        was_late = received.key in late
        if was_late:
            late.remove(received.key)
            if not late:
                del self._late[alert.alert_id]
        before = self._due.get(alert.alert_id)
        if before is None or not (was_late or received.is_before(before)):
            self._due[alert.alert_id] = received
            _bound(self._due)

    def send(self) -> None:
        """Hand on what can be sent now."""
        room = self._asking.room
        if not room or not self._due:
            return
        for alert_id in [alert_id for alert_id, received in self._due.items() if self._is_ready(received)][:room]:
            received = self._due.pop(alert_id)
            epoch, seq = received.place
            self._sent += 1
            self._asking.put(
                Ack(subscriber=self._subscriber, alert_id=alert_id, epoch=epoch, seq=seq), self._when_answered
            )

    def _when_answered(self, answer: Answer, _parts: Sequence[bytes]) -> None:
        self._sent -= 1  # whatever it says: an alert that is no longer known needs none
        if answer.denied:
            self._denied(answer.error)

    def _is_ready(self, received: Received) -> bool:
        alert = received.message
        return isinstance(alert, AlertMessage) and alert.alert_id not in self._late and self._is_whole(received.topic)


def _bound(table: dict[str, Any]) -> None:
    if len(table) > MAX_KEPT:
        del table[next(iter(table))]
