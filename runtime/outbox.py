"""What subscribers are told, on its way out: scores at once, alerts and states after they are written down."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from edge_config import message
from edge_config.control import CameraNow, Now
from edge_config.errors import MessageError
from edge_config.message import JOURNALED, AlertMessage, Kind, Message, StateMessage
from runtime.journal_read import Entry
from runtime.publish import Publisher

PATIENCE_S = 2.0
"""A message that is not written by then is published all the same: a disk that hangs must not hold an alert."""

_CLOSE_S = 1.0  # for the journal to write the last messages

_MADE_ANEW = frozenset(message.Message.__struct_fields__) - {"bundle", "state", "degraded"} | {"age_ms"}

_log = structlog.get_logger()


class Recorder(Protocol):
    """Writes entries down, and says so later."""

    @property
    def state(self) -> message.JournalState:
        """Whether what is put is safe."""
        ...

    @property
    def reason(self) -> str:
        """Why it is not; empty if it is."""
        ...

    def put(self, entry: Entry) -> None:
        """Have it written, without waiting for that."""
        ...

    def close(self, timeout_s: float) -> None:
        """Write what is left, if it can be done in time."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    entry: Entry
    said: Message
    since_s: float


class Outbox:
    """Publishes in the order in which it is told, topic by topic. Use it from one thread."""

    def __init__(self, publisher: Publisher, recorder: Recorder, heartbeat_s: float) -> None:
        """Take the socket, what writes alerts and states down, and the time between two health messages."""
        self.heartbeat_s = heartbeat_s
        self._publisher = publisher
        self._recorder = recorder
        self._waiting: dict[tuple[str, int], _Waiting] = {}  # (topic, seq) -> what is not written yet
        self._latest: dict[tuple[Kind, str], Any] = {}  # kind and camera -> the last message that was published
        self._open: dict[str, dict[str, AlertMessage]] = {}  # camera -> id -> the last message of an open alert

    def send(self, kind: Kind, camera: str, attached: Sequence[bytes] = (), **fields: Any) -> None:
        """Publish a message; an alert or a state once it is written down.

        Args:
            kind: of the message.
            camera: that it is about.
            attached: bytes of the parts that it lists.
            fields: those of its type that nobody else knows.
        """
        if kind == "health":
            fields |= self._of_health(camera)
        if kind not in JOURNALED:
            self._publisher.send(kind, camera, **fields)
            return
        topic, said = self._publisher.make(kind, camera, **fields)
        self._put(kind, topic, said, attached)

    def finish(self, unfinished: Iterable[Entry], reason: str) -> None:
        """End the alerts that an earlier runtime left open, or nobody ever would."""
        for entry in unfinished:
            try:
                _, last = message.decode([entry.topic.encode(), entry.body])
            except MessageError as error:
                _log.warning("an alert in the journal cannot be read", problem=str(error))
                continue
            fields = {name: getattr(last, name) for name in last.__struct_fields__ if name not in _MADE_ANEW}
            fields |= {"phase": "end", "reason": reason, "parts": ()}
            topic, said = self._publisher.make("alert", last.camera, **fields)
            # Its frame was grabbed before this machine started, maybe: its age now says nothing.
            self._put("alert", topic, msgspec.structs.replace(said, age_ms=getattr(last, "age_ms", 0.0)), ())

    def written(self, entries: Iterable[Entry]) -> None:
        """Publish what is written down now."""
        for entry in entries:
            if (waiting := self._waiting.pop((entry.topic, entry.seq), None)) is not None:
                self._publish(waiting)

    def turn(self) -> None:
        """Publish what has waited for too long."""
        due_s = time.monotonic() - PATIENCE_S
        late = [key for key, waiting in self._waiting.items() if waiting.since_s < due_s]
        if late:
            _log.warning("journal does not answer: published before it is written", messages=len(late))
        for key in late:
            self._publish(self._waiting.pop(key))

    def now(self, cameras: Iterable[str]) -> Now:
        """Say what subscribers of these cameras have been told."""
        said = {name: self._camera(name) for name in cameras}
        return Now(device=self._publisher.device, epoch=self._publisher.epoch, cameras=said)

    def close(self) -> None:
        """Write and publish what is left."""
        self._recorder.close(_CLOSE_S)
        for waiting in self._waiting.values():
            self._publish(waiting)
        self._waiting.clear()

    def _put(self, kind: Kind, topic: str, said: Message, attached: Sequence[bytes]) -> None:
        body = message.encode(topic, said)[1]
        alert = (said.alert_id, said.phase) if isinstance(said, AlertMessage) else ("", None)
        entry = Entry(kind, topic, said.epoch, said.seq, said.t_publish_ns, body, tuple(attached), *alert)
        self._waiting[topic, said.seq] = _Waiting(entry, said, time.monotonic())
        self._recorder.put(entry)

    def _publish(self, waiting: _Waiting) -> None:
        entry, said = waiting.entry, waiting.said
        self._publisher.send_frames(entry.kind, [entry.topic.encode("ascii"), entry.body, *entry.parts])
        self._latest[entry.kind, said.camera] = said
        if isinstance(said, AlertMessage):
            alerts = self._open.setdefault(said.camera, {})
            if said.phase == "end":
                alerts.pop(said.alert_id, None)
            else:
                alerts[said.alert_id] = msgspec.structs.replace(said, parts=())  # they are not sent twice

    def _of_health(self, camera: str) -> dict[str, Any]:
        return {
            "heartbeat_s": self.heartbeat_s,
            "alert_seq": self._last_seq("alert", camera),
            "state_seq": self._last_seq("state", camera),
            "journal": self._recorder.state,
            "journal_reason": self._recorder.reason,
        }

    def _camera(self, name: str) -> CameraNow:
        state = self._latest.get(("state", name))
        return CameraNow(
            state=state if isinstance(state, StateMessage) else None,
            alert=next(iter(self._open.get(name, {}).values()), None),
            alert_seq=self._last_seq("alert", name),
            state_seq=self._last_seq("state", name),
        )

    def _last_seq(self, kind: Kind, camera: str) -> int:
        """Give the number of the last message that was published, 0 before the first."""
        latest = self._latest.get((kind, camera))
        return 0 if latest is None else int(latest.seq)
