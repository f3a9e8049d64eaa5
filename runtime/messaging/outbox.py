"""Outgoing messages: scores are sent at once, alerts and states after they are in the journal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from edge_config.errors import MessageError
from edge_config.wire import messages
from edge_config.wire.messages import JOURNALED, AlertMessage, Kind, Message, StateMessage
from edge_config.wire.replies import CameraNow, Now
from runtime.journal.entries import Entry
from runtime.journal.journal_thread import Recorder
from runtime.messaging.publisher import Publisher

PATIENCE_S = 2.0
"""Time-out for the journal: a message that is not written by then is published anyway, as a hanging disk must not delay
alerts."""

_CLOSE_S = 1.0  # for the journal to write the last messages

_MADE_ANEW = frozenset(messages.Message.__struct_fields__) - {"bundle", "state", "degraded"} | {"age_ms"}

_log = structlog.get_logger()


@dataclass(slots=True)
class _PendingMessage:
    """An alert or a state, until it is written."""

    entry: Entry
    said: Message
    since_s: float
    written: bool = False


@dataclass(frozen=True, slots=True)
class _Behind:
    """Another message of the same camera, which must not overtake it."""

    kind: Kind
    fields: dict[str, Any]


class Outbox:
    """Publishes the messages of each camera in their order. Use it from one thread."""

    def __init__(self, publisher: Publisher, recorder: Recorder, heartbeat_s: float) -> None:
        """Use this socket, this journal, and this heartbeat interval, seconds."""
        self.heartbeat_s = heartbeat_s
        self._publisher = publisher
        self._recorder = recorder
        self._lines: dict[str, deque[_PendingMessage | _Behind]] = {}  # of each camera; the first waits for the disk
        self._waiting: dict[tuple[str, int], _PendingMessage] = {}  # (topic, seq) -> a message that is not written yet
        self._row = recorder.last_row  # of the last message that was published after it was written
        self._hangs = False  # the disk hangs, so nothing waits for it
        self._latest: dict[tuple[Kind, str], Any] = {}  # kind and camera -> the last published message
        self._open: dict[str, dict[str, AlertMessage]] = {}  # camera -> id -> the last message of an open alert

    def send(self, kind: Kind, camera: str, attached: Sequence[bytes] = (), **fields: Any) -> None:
        """Publish a message; an alert or a state after it is written, and later messages of the camera after it.

        Args:
            kind: kind of the message.
            camera: name of its camera.
            attached: bytes of the parts that it lists.
            fields: the fields of its type that the publisher does not set itself.
        """
        if kind in JOURNALED:
            self._put(kind, *self._publisher.make(kind, camera, **fields), attached)
        elif kind == "preview":  # it waits for no disk, and nobody relies on its order
            self._publisher.send(kind, camera, attached, **fields)
        elif line := self._lines.get(camera):
            line.append(_Behind(kind, fields))
        else:
            self._send(kind, camera, fields)

    def finish(self, unfinished: Iterable[Entry], reason: str) -> None:
        """End the alerts that an earlier run of the runtime left open."""
        for entry in unfinished:
            try:
                _, last = messages.decode([entry.topic.encode(), entry.body])
            except MessageError as error:
                _log.warning("an alert in the journal cannot be read", problem=str(error))
                continue
            fields = {name: getattr(last, name) for name in last.__struct_fields__ if name not in _MADE_ANEW}
            fields |= {"phase": "end", "reason": reason, "parts": ()}
            _log.info("alert ends", camera=last.camera, alert=fields.get("alert_id"), reason=reason)
            topic, said = self._publisher.make("alert", last.camera, **fields)
            # Its frame may have been captured before this machine booted: its age now has no meaning.
            self._put("alert", topic, msgspec.structs.replace(said, age_ms=getattr(last, "age_ms", 0.0)), ())

    def written(self, entries: Iterable[Entry]) -> None:
        """Publish entries that are now written, and the messages that waited for them."""
        self._hangs = False
        for entry in entries:
            self._row = entry.row
            if (waiting := self._waiting.pop((entry.topic, entry.seq), None)) is not None:
                waiting.written = True
                self._advance(waiting.said.camera)

    def turn(self) -> None:
        """Publish messages that have waited longer than `PATIENCE_S`."""
        due_s = time.monotonic() - PATIENCE_S
        if any(waiting.since_s < due_s for waiting in self._waiting.values()):
            _log.warning("journal does not respond: published before it is written", messages=len(self._waiting))
            self._hangs = True
            self._let_go()

    def now(self, cameras: Iterable[str]) -> Now:
        """Return the latest messages of these cameras."""
        said = {name: self._camera(name) for name in cameras}
        return Now(device=self._publisher.device, epoch=self._publisher.epoch, row=self._row, cameras=said)

    def close(self) -> None:
        """Write and publish the backlog."""
        self._recorder.close(_CLOSE_S)
        self._let_go()

    def _put(self, kind: Kind, topic: str, said: Message, attached: Sequence[bytes]) -> None:
        body = messages.encode(topic, said)[1]
        alert = (said.alert_id, said.phase) if isinstance(said, AlertMessage) else ("", None)
        entry = Entry(kind, topic, said.epoch, said.seq, said.t_publish_ns, body, tuple(attached), *alert)
        waiting = _PendingMessage(entry, said, time.monotonic())
        self._lines.setdefault(said.camera, deque()).append(waiting)
        self._waiting[topic, said.seq] = waiting
        self._recorder.put(entry)
        if self._hangs:
            self._let_go()

    def _let_go(self) -> None:
        """Publish all waiting messages, written or not."""
        for waiting in self._waiting.values():
            waiting.written = True
        self._waiting.clear()
        for camera in list(self._lines):
            self._advance(camera)

    def _advance(self, camera: str) -> None:
        """Publish the first messages of a camera's queue that need not wait."""
        line = self._lines.get(camera, deque())
        while line and (isinstance(line[0], _Behind) or line[0].written):
            match line.popleft():
                case _Behind() as behind:
                    self._send(behind.kind, camera, behind.fields)
                case _PendingMessage() as waiting:
                    self._publish(waiting.entry, waiting.said)
        if not line:
            self._lines.pop(camera, None)

    def _send(self, kind: Kind, camera: str, fields: dict[str, Any]) -> None:
        """Publish a message that is not journaled."""
        more = self._of_health(camera) if kind == "health" else {}
        self._publisher.send(kind, camera, **fields, **more)

    def _publish(self, entry: Entry, said: Message) -> None:
        """Publish a journaled message: the same bytes."""
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
            "journal": "memory" if self._hangs else self._recorder.state,
            "journal_reason": "the disk does not respond" if self._hangs else self._recorder.reason,
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
        """Return `seq` of the last published message, 0 before the first."""
        latest = self._latest.get((kind, camera))
        return 0 if latest is None else int(latest.seq)
