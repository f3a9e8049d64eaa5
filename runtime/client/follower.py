"""The logic of a subscriber, without sockets: which messages the user receives, and which requests are sent.

There is no socket and no clock here: frames and time are arguments, `take` returns messages for the user, and `due`
requests to send. From a device with a control socket

- alerts and states are delivered once each, in the order of the device's journal: see `runtime.client.cursor`;
- only while the device does not respond, for longer than two time-outs, they are delivered as they arrive, with gaps
  (`missed`). Lost ones are delivered late, with the origin "replay": also once, but after their successors;
- scores and health are delivered as they arrive, and gaps in them are reported to the device.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from edge_config.errors import MessageError, RequestError
from edge_config.wire import messages as message
from edge_config.wire.messages import JOURNALED, HealthMessage, Kind
from runtime.client.acks import Acks
from runtime.client.cursor import Cursor
from runtime.client.delivery import Delivery
from runtime.client.gaps import Gaps
from runtime.client.in_flight import Asking
from runtime.client.received import Place, Received, read

ENOUGH = 100
"""Maximum number of messages that wait for the user; beyond it no more are requested."""

MAX_NAME = 64
"""Maximum length of a subscriber's name, characters."""

SILENT_BEATS = 3
"""Number of missed heartbeats after which a device is not alive."""


class Follower:
    """Follows one device.

    Attributes:
        missed: number of messages lost so far, over all topics, as known when the next one was delivered.
        alive: False while a device with a known heartbeat is silent.
        asking: the requests to the device.
        acks: acknowledgements of a subscriber that has a name.
        prefixes: prefixes of the topics to subscribe to.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        device: str | None = None,
        camera: str | None = None,
        *,
        control: bool = False,
        name: str | None = None,
        handled: Collection[str] = (),
    ) -> None:
        """Begin with nothing.

        Args:
            kinds: kinds of messages to receive.
            device: only messages of this device.
            camera: only messages of this camera of the device.
            control: whether there is a control socket.
            name: name of a subscriber that acknowledges.
            handled: keys of messages that are acknowledged at once, and not delivered.

        Raises:
            ValueError: an unknown kind; a camera without its device; a name without `control` or alerts, or an invalid
                one.
        """
        if isinstance(kinds, str) or not set(kinds) <= set(message.TYPES):  # nothing would ever arrive
            raise ValueError(f"kinds are a list of {', '.join(message.TYPES)}; this is {kinds!r}")
        if name is not None and (len(name) > MAX_NAME or not re.match(message.NAME_PATTERN, name)):
            raise ValueError(f"a name is letters, digits, - and _, {MAX_NAME} of them at most")
        if name is not None and not (control and "alert" in kinds):
            raise ValueError("a name is for a subscriber of alerts that knows the control socket")
        prefixes = {kind: message.topic_prefix(kind, device, camera) for kind in (*kinds, "health")}
        self.prefixes = sorted(prefix for kind, prefix in prefixes.items() if control or kind in kinds)
        self.missed = 0
        self.alive = True
        self.asking = Asking()
        self._kinds = frozenset(kinds)
        self._handled = set(handled)
        self._given: deque[Received] = deque()
        self._gaps = Gaps(self.asking, name)
        self._damaged = 0
        self._heard_s = 0.0
        self._beat_s: float | None = None
        delivery = Delivery(self._give)
        self.acks = Acks(name, self.asking, delivery.is_whole, self._deny) if name else None
        topics = [prefix for kind, prefix in prefixes.items() if kind in JOURNALED]
        self._cursor = (
            Cursor(topics, self.asking, delivery, camera=camera, name=name, again=self._acknowledge_again)
            if control
            else None
        )

    @property
    def damaged(self) -> int:
        """Messages that arrived but could not be read."""
        return self._damaged + (0 if self._cursor is None else self._cursor.damaged)

    def arrived(self, frames: Sequence[bytes], now_s: float) -> None:
        """Take in a published message.

        Raises:
            MessageError: it is not a patchedge message.
        """
        try:
            received = read(frames)
        except MessageError:
            self._damaged += 1
            raise
        self._heard_s, self.alive = now_s, True
        missed = self._gaps.before(received)
        if self._cursor is not None:
            self._cursor.note(received.message.epoch)
            if isinstance(received.message, HealthMessage):
                self._beat(self._cursor, received.message)
            if received.kind in JOURNALED:
                self._cursor.heard(received)
                return
        if received.kind in self._kinds:
            self._give(replace(received, missed=missed))

    def answered(self, frames: Sequence[bytes], now_s: float) -> None:
        """Take in what the control socket said."""
        self.asking.answered(frames, now_s)

    def acknowledge(self, received: Received) -> None:
        """Take in that the user is done with an alert message, and with those of this alert before it."""
        if self.acks is not None:
            self.acks.put(received)

    def take(self) -> Received | None:
        """Return the next message for the user, if there is one.

        Raises:
            RequestError: the device lets this client's key not have what was asked for, such as the name.
        """
        if self._cursor is not None and self._cursor.denied:
            raise RequestError(self._cursor.denied)
        return self._given.popleft() if self._given else None

    @property
    def is_hungry(self) -> bool:
        """Whether the next published message is wanted: the user has taken all that there was."""
        return not self._given

    def tick(self, now_s: float, *, quiet: bool) -> bool:
        """Let time pass, after all that arrived was taken in; return whether a new control socket is needed.

        Args:
            now_s: monotonic time, seconds.
            quiet: nothing that was published waits to be taken in.
        """
        if self._cursor is None:
            return False
        if quiet and self._beat_s is not None and now_s > self._heard_s + SILENT_BEATS * self._beat_s:
            self.alive = False
        overdue = self.asking.overdue(now_s)
        self._cursor.tick(now_s, hungry=len(self._given) < ENOUGH)
        self._gaps.report(now_s)
        if self.acks is not None:
            self.acks.send()
        return overdue

    def due(self, now_s: float) -> list[bytes]:
        """Return the requests to be sent now."""
        return self.asking.due(now_s)

    def _beat(self, cursor: Cursor, health: HealthMessage) -> None:
        """Take in what the device has published: the last message of a topic may be lost without a gap."""
        self._beat_s = health.heartbeat_s
        heads: tuple[tuple[Kind, int], ...] = (("alert", health.alert_seq), ("state", health.state_seq))
        for kind, seq in heads:
            cursor.told(message.topic(kind, health.device, health.camera), Place(health.epoch, seq))

    def _deny(self, error: str) -> None:
        """Have the user told what would otherwise be silence: alerts without end, or none that were missed."""
        if self._cursor is not None:
            self._cursor.denied = error

    def _acknowledge_again(self, received: Received) -> None:
        """Acknowledge what the device has forgotten, as after a loss of power."""
        if self.acks is not None and received.key in self.acks:
            self.acks.put(received)

    def _give(self, received: Received) -> None:
        self.missed += received.missed
        if received.key in self._handled:
            self._handled.remove(received.key)
            self.acknowledge(received)
            return
        self._given.append(received)
        if self.acks is not None:
            self.acks.given(received)
