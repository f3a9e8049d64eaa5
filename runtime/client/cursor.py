"""The place of a client in the journal of a device: everything behind a row, in the order of rows.

A message over PUB only signals that there is more to read: the client requests everything after the last row that it
has read. The message itself is delivered only if the journal cannot do it: while the device does not respond (messages
lost before it are then delivered late), or if the journal does not have it. One request at a time is in flight,
so nothing is reordered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_config.errors import MessageError, RequestError
from edge_config.wire import messages as message
from edge_config.wire.messages import AlertMessage, Kind, StateMessage
from edge_config.wire.replies import Answer, KeptMessages, Now, kept_frames, read_reply
from edge_config.wire.request_base import Request
from edge_config.wire.requests import After, Pending, Replay, Snapshot
from runtime.client.delivery import Delivery
from runtime.client.in_flight import Asking
from runtime.client.received import Place, Received, key_of, read

JOIN_S = 5.0
"""Time-out for the first row; after it messages are delivered as they arrive."""

EVERY_S = 60.0
"""Poll interval of the journal without any signal of more messages."""

MAX_HEARD, MAX_HEARD_BYTES = 2000, 32 << 20
"""Maximum number of messages, and bytes of their parts, that wait until they are read from the journal; others are only
read there."""


class Cursor:
    """Reads the journal of one device, without a socket and without a clock.

    With a name, the unacknowledged messages of this name are read first.

    Attributes:
        delivery: the delivered messages.
        denied: reason why the device denies the name to this client's key; empty if it does not.
        damaged: number of messages of the journal that could not be read.
    """

    def __init__(
        self,
        topics: Sequence[str],
        asking: Asking,
        delivery: Delivery,
        *,
        camera: str | None = None,
        name: str | None = None,
        again: Callable[[Received], object] = lambda _: None,
    ) -> None:
        """Begin with nothing.

        Args:
            topics: prefixes of the topics.
            asking: sends requests.
            delivery: delivers every message to the user.
            camera: only messages of this camera.
            name: name of a subscriber that acknowledges.
            again: gets what was given and is not acknowledged, as far as the device knows.
        """
        self.delivery, self.denied, self.damaged = delivery, "", 0
        self._topics, self._asking, self._camera, self._name, self._again = tuple(topics), asking, camera, name, again
        self._row: int | None = None  # all up to it was read; None: it is not known yet where to begin
        self._epoch = ""  # start of the runtime that the row is of
        self._pending: int | None = None if name is None else 0  # unacknowledged is read behind it; None: it was
        self._pending_end, self._pending_anew, self._was_pending = 0, False, False
        self._wants_snapshot = True
        self._snapshot: Now | None = None  # to be given when the journal was read up to its row
        self._runtime = ""  # epoch that was heard of last
        self._first: Received | None = None  # that was heard: the journal is read from there on
        self._behind = self._is_asking = False  # there may be more in the journal; a request is on its way
        self._patient = True  # what is heard waits for the journal
        self._join_until_s: float | None = None
        self._due_s = 0.0
        self._heard: dict[str, Received] = {}  # what waits, in its order
        self._heard_bytes = 0
        self._told: dict[str, Place] = {}  # what the device said of each topic, and was asked for

    def heard(self, received: Received) -> None:
        """Take in a message that was published."""
        if not self._is_news(received.topic, received.place) or received.key in self._heard:
            return
        self._behind = True
        if self._row is None and self._first is None:
            self._first = received
        if not self._patient:
            self.delivery.give_live(received, loose=True)
        elif len(self._heard) < MAX_HEARD and self._heard_bytes < MAX_HEARD_BYTES:
            self._heard[received.key] = received
            self._heard_bytes += received.size

    def told(self, topic: str, head: Place) -> None:
        """Take in what the device published last in a topic; number 0 of a new epoch says that the old one is over."""
        is_behind = self._is_news(topic, head) or not self.delivery.is_whole(topic)
        if self._wants(topic) and is_behind and head != self._told.get(topic):
            self._told[topic] = head  # the journal may not have it any more: it is asked once
            self._behind = True

    def note(self, epoch: str) -> None:
        """Take in which start of the device a message is of: it may have forgotten acknowledgements of the last one."""
        self._pending_anew |= self._name is not None and self._runtime not in {"", epoch}
        self._runtime = epoch

    def tick(self, now_s: float, *, hungry: bool) -> None:
        """Let time pass, monotonic seconds; ask, if the user is `hungry`."""
        if self._join_until_s is None:
            self._join_until_s, self._due_s = now_s + JOIN_S, now_s + EVERY_S
        if now_s >= self._due_s:
            self._due_s, self._behind = now_s + EVERY_S, True
            if self._name is not None and self._pending is None:
                self._pending = self._pending_end
        self._patient = not self._asking.is_down and (self._row is not None or now_s < self._join_until_s)
        if not self._patient:
            self._let_go()
        if hungry and not self._is_asking:
            self._ask()

    def _ask(self) -> None:
        """Ask what is to be known next."""
        if self._pending is None and self._pending_anew:
            self._pending, self._pending_anew = 0, False
        if self._wants_snapshot:
            self._put(Snapshot(camera=self._camera), self._when_snapshot)
        elif not self._topics:
            pass
        elif self._row is None and self._first is not None:
            topic, (epoch, seq) = self._first.topic, self._first.place
            self._put(Replay(topic=topic, epoch=epoch, from_seq=seq, limit=1), self._when_found)
        elif self._name is not None and self._pending is not None:
            self._put(Pending(subscriber=self._name, after=self._pending), self._when_pending)
        elif self._row is not None and self._behind:
            self._behind = False
            covered = self.delivery.loose.union(self._heard)
            request = After(row=self._row, epoch=self._epoch, topics=self._topics)
            self._put(request, lambda answer, parts: self._when_after(answer, parts, covered))

    def _put(self, request: Request, done: Callable[[Answer, Sequence[bytes]], object]) -> None:
        def when_answered(answer: Answer, parts: Sequence[bytes]) -> None:
            self._is_asking = False
            done(answer, parts)

        self._is_asking = True
        self._asking.put(request, when_answered)

    def _when_snapshot(self, answer: Answer, _parts: Sequence[bytes]) -> None:
        self._wants_snapshot = False
        try:
            self._snapshot = now = read_reply(answer, Now)
        except (RequestError, MessageError):
            return  # the first message that is heard tells where to begin
        self._runtime = now.epoch
        if self._row is None and self._first is None:
            self._begin_with(now)
        else:
            self._behind = True

    def _begin_with(self, now: Now) -> None:
        has_said = any(latest.alert_seq or latest.state_seq for latest in now.cameras.values())
        self._row, self._epoch = now.row, now.epoch if has_said else ""  # else the journal does not know the epoch
        self._adopt()

    def _when_found(self, answer: Answer, parts: Sequence[bytes]) -> None:
        """Begin with the first message that was heard; where the journal does not have it, with the snapshot."""
        _, messages = self._read(answer, parts)
        first, self._first = self._first, None
        if first is not None and messages and messages[0][1].key == first.key:
            self._row, self._epoch = messages[0][0] - 1, first.place.epoch
        elif self._snapshot is not None:
            self._begin_with(self._snapshot)
        else:
            self._let_go()

    def _when_pending(self, answer: Answer, parts: Sequence[bytes]) -> None:
        after = self._pending or 0
        if answer.denied:
            self.denied = answer.error
        kept, messages = self._read(answer, parts)
        if kept is not None and not kept.complete and not self._was_pending:
            self.delivery.lost = max(1, self.delivery.lost)
        for _, received in messages:
            if received.key in self.delivery:
                self._again(received)
            elif self._wants(received.topic):
                self._forget(received.key)
                self.delivery.give(received, "replay")
        self._pending_end = after if kept is None else max(after, kept.next)
        has_more = kept is not None and kept.more and self._pending_end > after
        self._pending = self._pending_end if has_more else None
        self._was_pending |= not has_more

    def _when_after(self, answer: Answer, parts: Sequence[bytes], covered: set[str]) -> None:
        """Take a page; of what was heard or given before it was asked for (`covered`) it has all that there will be."""
        kept, messages = self._read(answer, parts)
        if kept is None:
            self._let_go()
            self._told.clear()  # the next heartbeat has it asked again
            return
        if not kept.complete:
            self.delivery.lost, self._wants_snapshot = max(1, self.delivery.lost), True
        for row, received in messages:
            if self._snapshot is not None and row > self._snapshot.row:
                self._adopt()
            if self._wants(received.topic):
                is_heard = self._forget(received.key)
                waiting = self._heard.values()
                self._give_waiting([one for one in waiting if one.topic == received.topic and one.is_before(received)])
                self.delivery.read(received, heard=is_heard)
        self._row, self._epoch = kept.next, kept.epoch
        if kept.more:
            self._behind = True
            return
        self._adopt()
        self._give_waiting([one for key, one in self._heard.items() if key in covered])
        self.delivery.reach_end(covered)
        self._behind = self._behind or bool(self._heard)

    def _adopt(self) -> None:
        """Deliver what the snapshot holds and the journal, read up to its row, did not."""
        now, self._snapshot = self._snapshot, None
        if now is None:
            return
        for camera, latest in now.cameras.items():
            newest: tuple[tuple[Kind, int, StateMessage | AlertMessage | None], ...] = (
                ("state", latest.state_seq, latest.state),
                ("alert", latest.alert_seq, latest.alert if self._name is None else None),
            )
            for kind, seq, said in newest:
                topic = message.topic(kind, now.device, camera)
                if self._wants(topic):
                    self.delivery.adopt(
                        topic, Place(now.epoch, seq), None if said is None else Received(topic, said, 0)
                    )

    def _let_go(self) -> None:
        """Deliver waiting messages without the journal."""
        self._give_waiting(list(self._heard.values()), loose=True)

    def _give_waiting(self, waiting: Sequence[Received], *, loose: bool = False) -> None:
        """Deliver waiting messages; unless they are `loose`, the journal does not have them."""
        for received in waiting:
            self._forget(received.key)
            self.delivery.give_live(received, loose=loose)

    def _forget(self, key: str) -> bool:
        """Let go of what was heard; return whether it was."""
        received = self._heard.pop(key, None)
        self._heard_bytes -= 0 if received is None else received.size
        return received is not None

    def _wants(self, topic: str) -> bool:
        return topic.startswith(self._topics)

    def _is_news(self, topic: str, place: Place) -> bool:
        return (
            self._wants(topic)
            and not self.delivery.has_passed(topic, place)
            and key_of(topic, place) not in self.delivery
        )

    def _read(self, answer: Answer, parts: Sequence[bytes]) -> tuple[KeptMessages | None, list[tuple[int, Received]]]:
        """Read a page, with rows; None if the device refused. A damaged message is counted and passed over."""
        try:
            kept = read_reply(answer, KeptMessages)
            frames = kept_frames(kept, parts)
        except (RequestError, MessageError):
            return None, []
        found = []
        for one, its in zip(kept.messages, frames, strict=True):
            try:
                found.append((one.row, read(its, "replay")))
            except MessageError:  # noqa: PERF203 - it is rare
                self.damaged += 1
        return kept, found
