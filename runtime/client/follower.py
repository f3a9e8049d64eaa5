"""What a subscriber does with what arrives: what the user is given, and what the device is asked.

There is no socket here, and no clock: frames and the time are told, `take` gives what is for the user, and `due` what
is to be sent. Of a device with a control socket

- alerts and states are given once each, and per topic in the order of the device's journal: what was lost on the way
  is replayed, and what comes after it waits meanwhile. The phases of an alert so come in their order;
- only while the device does not answer, for longer than two time-outs, what waits is given with its gap (`missed`).
  What was lost comes late, with the origin "replay": it too is given once, but after its successors;
- scores and health are given as they arrive, and gaps in them are reported to the device.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from edge_config.errors import MessageError, RequestError
from edge_config.wire import messages as message
from edge_config.wire.messages import JOURNALED, AlertMessage, HealthMessage, Kind, StateMessage
from edge_config.wire.replies import Answer, KeptMessages, Now, kept_frames, read_reply
from edge_config.wire.requests import Replay, Snapshot
from runtime.client.acks import Acks
from runtime.client.gaps import Gaps
from runtime.client.pending import Unacknowledged
from runtime.client.received import Place, Received, read
from runtime.client.requests import Asking
from runtime.client.resequence import Resequencer

JOIN_S = 5.0
"""Live alerts and states wait so long for the snapshot, and for what is pending; then they go on without."""

ENOUGH = 100
"""With so many messages that the user has not taken, no more are asked for."""

MAX_NAME = 64
"""Characters of a subscriber's name."""

SILENT_BEATS = 3
"""A device of which nothing is heard for so many heartbeats is not alive."""

_MOST_EPOCHS = 64
_MOST_JOINING = 2000
_NEVER_NS = 2**63 - 1


class Follower:
    """Follows one device.

    Attributes:
        missed: messages lost so far, over all topics, as far as was known when the next one was given.
        damaged: messages that arrived but could not be read.
        alive: False while a device whose heartbeat was heard is silent.
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
            kinds: what the user wants.
            device: only of this device.
            camera: only of this camera of the device.
            control: the device can be asked.
            name: of a subscriber that acknowledges.
            handled: keys of messages that are acknowledged at once, and not given.

        Raises:
            ValueError: a kind that there is none of; a camera without its device; a name without `control` or without
                alerts, or that is none.
        """
        if isinstance(kinds, str) or not set(kinds) <= set(message.TYPES):  # nothing would ever arrive
            raise ValueError(f"kinds are a list of {', '.join(message.TYPES)}; this is {kinds!r}")
        if name is not None and (len(name) > MAX_NAME or not re.match(message.NAME_PATTERN, name)):
            raise ValueError(f"a name is letters, digits, - and _, {MAX_NAME} of them at most")
        if name is not None and not (control and "alert" in kinds):
            raise ValueError("a name is for a subscriber of alerts that knows the control socket")
        self.missed = 0
        self.damaged = 0
        self.alive = True
        self.asking = Asking()
        self.acks = Acks(name, self.asking, self._is_whole, self._deny) if name else None
        followed: set[Kind] = {*kinds, "health"} if control else {*kinds}
        self.prefixes = sorted(message.topic_prefix(kind, device, camera) for kind in followed)
        self._kinds = frozenset(kinds)
        self._denied = ""
        self._camera = camera
        self._control = control
        self._name = name
        self._handled = set(handled)
        self._given: deque[Received] = deque()
        self._gaps = Gaps(self.asking, name)
        self._lines: dict[str, Resequencer] = {}
        self._epochs: dict[str, int] = {}  # those heard of, and the earliest time heard in each, by the device's clock
        self._waiting: list[Received] | None = [] if control else None  # for the snapshot
        self._heads: dict[str, Place] = {}  # that alerts go on from when what is pending was given
        self._join_until_s: float | None = None
        self._later: deque[Callable[[], None]] = deque()  # pages to ask for when the user has taken what there is
        self._pending = Unacknowledged(
            name, self.asking, take=self._take_pending, later=self._later.append, ended=self._begin_alerts
        )
        self._snapshot_asked = False
        self._has_snapshot = False
        self._heard_s = 0.0
        self._beat_s: float | None = None
        self._was_failing = False

    # What comes in.

    def arrived(self, frames: Sequence[bytes], now_s: float) -> None:
        """Take in a published message.

        Raises:
            MessageError: it is not a patchedge message.
        """
        try:
            received = read(frames)
        except MessageError:
            self.damaged += 1
            raise
        if not self._control:
            self._plain(received)
            return
        self._heard_s, self.alive = now_s, True
        self._note_epoch(received.message.epoch, received.message.t_publish_ns)
        if received.kind not in JOURNALED:
            if isinstance(received.message, HealthMessage):
                self._beat(received.message)
            self._plain(received)
        elif self._waiting is None:
            self._line(received.topic).arrived(received, answering=not self.asking.is_down)
        elif len(self._waiting) < _MOST_JOINING:
            self._waiting.append(received)

    def answered(self, frames: Sequence[bytes], now_s: float) -> None:
        """Take in what the control socket said."""
        self.asking.answered(frames, now_s)

    def acknowledge(self, received: Received) -> None:
        """Take in that the user is done with an alert message, and with those of this alert before it."""
        if self.acks is not None:
            self.acks.put(received)

    # What goes out.

    def take(self) -> Received | None:
        """Return the next message for the user, if there is one.

        Raises:
            RequestError: the device lets this client's key not have what was asked for, such as the name.
        """
        if self._denied:
            raise RequestError(self._denied)
        return self._given.popleft() if self._given else None

    @property
    def is_hungry(self) -> bool:
        """Whether the next published message is wanted: the user has taken all that there was."""
        return not self._given

    def tick(self, now_s: float, *, quiet: bool) -> bool:
        """Let time pass, after all that arrived was taken in, and tell whether the control socket is to be made anew.

        Args:
            now_s: monotonic time, seconds.
            quiet: nothing that was published waits to be taken in.
        """
        if not self._control:
            return False
        if self._join_until_s is None:
            self._join_until_s = now_s + JOIN_S
            self._heard_s = now_s
            self._ask_snapshot()
        if quiet and self._beat_s is not None and now_s > self._heard_s + SILENT_BEATS * self._beat_s:
            self.alive = False
        if self._waiting is not None and now_s >= self._join_until_s:
            self._go_on()
        overdue = self.asking.overdue(now_s)
        if self.asking.is_down:
            for line in self._lines.values():
                line.give_up()
        self._notice_recovery()
        if self._has_snapshot:
            self._pending.tick(now_s)
        while self._later and len(self._given) < ENOUGH:
            self._later.popleft()()
        self._gaps.report(now_s)
        if self.acks is not None:
            self.acks.send()
        return overdue

    def due(self, now_s: float) -> list[bytes]:
        """Return the requests to be sent now."""
        return self.asking.due(now_s)

    # Joining.

    def _ask_snapshot(self) -> None:
        if not self._snapshot_asked:
            self._snapshot_asked = True
            self.asking.put(Snapshot(camera=self._camera), self._when_snapshot)

    def _when_snapshot(self, answer: Answer, _parts: Sequence[bytes]) -> None:
        self._snapshot_asked, self._has_snapshot = False, True
        try:
            now = read_reply(answer, Now)
        except (RequestError, MessageError):
            now = None
        if now is not None:
            self._note_now(now)
            self._adopt(now)
        if self._pending.over:
            self._go_on()
        else:
            self._pending.start()

    def _note_now(self, now: Now) -> None:
        said = [one for latest in now.cameras.values() for one in (latest.state, latest.alert) if one is not None]
        times_ns = [one.t_publish_ns for one in said if one.epoch == now.epoch]
        self._note_epoch(now.epoch, min(times_ns, default=_NEVER_NS))

    def _adopt(self, now: Now) -> None:
        """Begin topics that are not followed yet with what the device says; the others may see that they lost some."""
        for camera, latest in now.cameras.items():
            self._begin("state", now, camera, latest.state_seq, latest.state)
            if self._name is None:
                self._begin("alert", now, camera, latest.alert_seq, latest.alert)
            else:
                self._begin("alert", now, camera, latest.alert_seq, None)

    def _begin(self, kind: Kind, now: Now, camera: str, seq: int, newest: StateMessage | AlertMessage | None) -> None:
        topic = message.topic(kind, now.device, camera)
        if not self._wants(topic):
            return
        line, head = self._line(topic), Place(now.epoch, seq)
        first = next((one.place for one in self._waiting or () if one.topic == topic), None)
        if kind == "alert" and not self._pending.over:
            self._heads.setdefault(topic, head)  # of before it was asked what is pending
        elif line.at is not None and not (line.barren and kind == "state"):
            line.told(head, answering=not self.asking.is_down)
        elif kind == "alert" and self._name is not None:
            line.begin(head, forget=False)
        elif first is not None and (first.epoch != head.epoch or first.seq <= head.seq):
            line.begin(Place(first.epoch, first.seq - 1))  # it came by itself: all the more is not thrown away
        else:
            line.adopt(head, None if newest is None else Received(topic, newest, 0, origin="snapshot"))

    def _go_on(self) -> None:
        """Let live messages through."""
        waiting, self._waiting = self._waiting, None
        for received in waiting or ():
            self._line(received.topic).arrived(received, answering=not self.asking.is_down)

    # What was not acknowledged.

    def _start_pending(self) -> None:
        """Ask what is pending, but not before the first snapshot: alerts go on from there."""
        if self._has_snapshot:
            self._pending.start()

    def _deny(self, error: str) -> None:
        """Have the user told what would otherwise be silence: alerts without end, or none that were missed."""
        self._denied = error

    def _take_pending(self, answer: Answer, parts: Sequence[bytes]) -> KeptMessages | None:
        if answer.denied:
            self._deny(answer.error)
        kept, messages = self._read_kept(answer, parts)
        lost = kept is not None and not kept.complete and not self._pending.over
        for received in messages:
            if self._wants(received.topic):
                is_new = self._line(received.topic).pending(received, missed=int(lost))
                lost = lost and not is_new
                if not is_new and self.acks is not None and received.key in self.acks:
                    self.acks.put(received)  # the device has forgotten it, as after a loss of power
        return kept

    def _begin_alerts(self) -> None:
        """Go on from the snapshot, now that what is pending was given."""
        for topic, head in self._heads.items():
            if self._line(topic).at is None:
                self._line(topic).begin(head, forget=False)
        self._heads.clear()
        self._go_on()

    # Replays.

    def _ask_replay(self, topic: str, after: Place, missing: int) -> None:
        self._gaps.add(topic, missing)
        self._ask_page(topic, after, after)

    def _ask_page(self, topic: str, begin: Place, after: Place) -> None:
        def done(answer: Answer, parts: Sequence[bytes]) -> None:
            self._when_replay(topic, begin, answer, parts)

        self.asking.put(Replay(topic=topic, epoch=after.epoch, from_seq=after.seq + 1), done)

    def _when_replay(self, topic: str, begin: Place, answer: Answer, parts: Sequence[bytes]) -> None:
        line = self._line(topic)
        kept, messages = self._read_kept(answer, parts)
        if kept is None:
            line.barren = True
        else:
            line.replayed(self._since(begin, messages), complete=kept.complete or not begin.seq)
        if kept is not None and kept.more and messages:
            last = messages[-1].place
            self._later.append(lambda: self._ask_page(topic, begin, last))
            return
        line.finish()
        if line.barren:
            self._ask_snapshot()

    def _since(self, begin: Place, messages: Sequence[Received]) -> Sequence[Received]:
        """Leave out what is older than an epoch in which nothing was said before.

        The journal knows nothing of such an epoch in this topic, and begins with the first that it has. Of epochs that
        were not heard of only the clock of the device tells which is older.
        """
        begin_ns = self._epochs.get(begin.epoch, _NEVER_NS)
        if begin.seq or begin_ns == _NEVER_NS:
            return messages
        heard = list(self._epochs)
        older = heard[: heard.index(begin.epoch)]
        return [
            one
            for one in messages
            if one.place.epoch not in older and (one.place.epoch in heard or one.message.t_publish_ns >= begin_ns)
        ]

    def _read_kept(self, answer: Answer, parts: Sequence[bytes]) -> tuple[KeptMessages | None, list[Received]]:
        """Read a page; None if the device refused. A message that is damaged is counted and passed over."""
        try:
            kept = read_reply(answer, KeptMessages)
            frames = kept_frames(kept, parts)
        except (RequestError, MessageError):
            return None, []
        return kept, [received for one in frames if (received := self._read(one)) is not None]

    def _read(self, frames: Sequence[bytes]) -> Received | None:
        try:
            return read(frames, "replay")
        except MessageError:
            self.damaged += 1
            return None

    # All else.

    def _plain(self, received: Received) -> None:
        """Give a message that cannot be had again."""
        missed = self._gaps.before(received)
        if received.kind in self._kinds:
            if self._control and received.kind == "score":
                self._gaps.add(received.topic, missed)
            self._give(replace(received, missed=missed))

    def _beat(self, health: HealthMessage) -> None:
        """Take in what the device has published: the last message of a topic may be lost without a gap."""
        self._beat_s = health.heartbeat_s
        if self._waiting is not None:
            return
        heads: tuple[tuple[Kind, int], ...] = (("alert", health.alert_seq), ("state", health.state_seq))
        for kind, seq in heads:
            topic = message.topic(kind, health.device, health.camera)
            if self._wants(topic):
                self._line(topic).told(Place(health.epoch, seq), answering=not self.asking.is_down)

    def _note_epoch(self, epoch: str, t_publish_ns: int) -> None:
        """Note an epoch, and ask anew after a restart of the device."""
        if epoch in self._epochs:
            self._epochs[epoch] = min(self._epochs[epoch], t_publish_ns)
            return
        is_first = not self._epochs
        self._epochs[epoch] = t_publish_ns
        if len(self._epochs) > _MOST_EPOCHS:
            del self._epochs[next(iter(self._epochs))]
        if not is_first:
            self._ask_snapshot()
            self._start_pending()

    def _notice_recovery(self) -> None:
        """Ask anew after the device did not answer."""
        failing = self.asking.failures > 0
        if self._was_failing and not failing:
            self._start_pending()
        self._was_failing = failing

    def _line(self, topic: str) -> Resequencer:
        if topic not in self._lines:
            self._lines[topic] = Resequencer(topic, self._give, self._ask_replay)
        return self._lines[topic]

    def _wants(self, topic: str) -> bool:
        """Return whether it is a journaled topic that the user wants."""
        return topic.split("/", 2)[1] in self._kinds and any(map(topic.startswith, self.prefixes))

    def _is_whole(self, topic: str) -> bool:
        """Return whether no earlier message of a topic may still come."""
        return self._pending.over and not self._line(topic).loose

    def _give(self, received: Received) -> None:
        self.missed += received.missed
        if received.key in self._handled:
            self._handled.remove(received.key)
            self.acknowledge(received)
            return
        self._given.append(received)
        if self.acks is not None:
            self.acks.given(received)
